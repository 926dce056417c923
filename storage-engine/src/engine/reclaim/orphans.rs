//! Shards that no row names: of uploads that a crash cut short, of frees that did not reach a drive.
//!
//! A shard is an orphan only on a positive answer, after every entry of the log that was durable when
//! it was asked: nobody owns its stripe, it is not of a run that waits to be freed, nobody in this
//! process writes or reads it, and it is old. What cannot be read is no answer: the pass ends there.
//! The same walk meets copies that a change of drives left behind ([`super::strays`]).

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::super::Engine;
use super::strays::{self, OwnedPlaces};
use crate::drive::{DataMetrics, Drive};
use crate::error::{StorageError, chain};
use crate::failpoint::{Step, failpoint};
use crate::ids::{SegmentId, StripeId};
use crate::meta::MetaReads;
use crate::segment::location::{ShardKey, ShardLocation};

/// Entries of a drive's index read at once.
const PAGE_ENTRIES: usize = 2048;
/// Rest between two pages: clients come first.
const PAGE_REST: Duration = Duration::from_millis(5);
/// How long the index may take to follow the log.
const FOLLOW_MAX: Duration = Duration::from_secs(10);
const FOLLOW_STEP: Duration = Duration::from_millis(5);

/// What a walk over the drives' indexes found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrphanReport {
    /// Shards looked at.
    pub shards: u64,
    /// Orphans freed, and copies that a change of drives left behind.
    pub orphans: u64,
    /// Bytes of their records.
    pub orphan_bytes: u64,
}

/// Walks over the index of every drive that is online. The engine may go meanwhile: the walk then ends.
pub(in crate::engine) async fn walk(engine: &Weak<Engine>) -> Result<OrphanReport, StorageError> {
    let mut report = OrphanReport::default();
    let Some(drives) = engine.upgrade().map(|engine| engine.blobs.drives()) else { return Ok(report) };
    let ids: Vec<_> = drives.iter().filter(|drive| drive.state().writes()).map(|drive| drive.id()).collect();
    drop(drives);
    for id in ids {
        let mut walk = Walk { after: None, live: None, owned: None };
        loop {
            let Some(engine) = engine.upgrade() else { return Ok(report) };
            let drive = engine.blobs.drives().into_iter().find(|drive| drive.id() == id);
            let Some(drive) = drive.filter(|drive| drive.state().writes()) else { break };
            if !walk.page(&engine, &drive, &mut report).await? {
                break;
            }
            drop((engine, drive));
            tokio::time::sleep(PAGE_REST).await;
        }
    }
    Ok(report)
}

/// A walk over one drive's index.
struct Walk {
    after: Option<ShardKey>,
    /// Bytes that the index points at in the segments that were sealed when the walk began.
    live: Option<HashMap<SegmentId, u64>>,
    /// The owner of the last stripe that had one.
    owned: Option<OwnedPlaces>,
}

impl Walk {
    /// Looks at the next entries; false after the last.
    async fn page(
        &mut self,
        engine: &Arc<Engine>,
        drive: &Arc<Drive>,
        report: &mut OrphanReport,
    ) -> Result<bool, StorageError> {
        let live = self.live.get_or_insert_with(|| drive.sealed_segments().into_iter().map(|id| (id, 0)).collect());
        let (reading, after) = (drive.clone(), self.after);
        let read = tokio::task::spawn_blocking(move || reading.shards(after.as_ref(), PAGE_ENTRIES)).await;
        let entries = read.map_err(|_| interrupted())?.map_err(|error| unreadable(&error))?;
        let Some((last, _)) = entries.last() else {
            drive.note_live(live).map_err(|error| unreadable(&error))?;
            return Ok(false);
        };
        self.after = Some(*last);
        report.shards += entries.len() as u64;
        for (_, location) in &entries {
            if let Some(bytes) = live.get_mut(&location.segment) {
                *bytes += u64::from(location.record_bytes);
            }
        }
        let Candidates { nobodys, strays } = self.candidates(engine, drive, entries)?;
        if !nobodys.is_empty() {
            self.free(engine, drive, nobodys, report).await?;
        }
        // While drives come or go nothing is a stray.
        if !strays.is_empty()
            && let Ok(_changing) = engine.roster.changing.try_lock()
        {
            let strays = strays::needless(engine, drive, strays)?;
            free_shards(engine, drive, strays, report).await?;
        }
        Ok(true)
    }

    /// Entries that are old and that nobody owns as the index stands, or that belong elsewhere.
    fn candidates(
        &mut self,
        engine: &Engine,
        drive: &Drive,
        entries: Vec<(ShardKey, ShardLocation)>,
    ) -> Result<Candidates, StorageError> {
        let age_ms = u64::try_from(engine.reclaim.config.orphan_age.as_millis()).unwrap_or(u64::MAX);
        let old_ms = engine.env.now_ms().saturating_sub(age_ms);
        let mut candidates = Candidates::default();
        for (key, location) in entries {
            if key.stripe.time_ms() > old_ms {
                continue;
            }
            let candidate = (key, u64::from(location.record_bytes));
            let is_known = |of: &OwnedPlaces| key.stripe.is_in_run(of.owned.first, of.owned.owner.count);
            if !self.owned.as_ref().is_some_and(is_known) {
                let Some(owned) = engine.machine.run_owner(key.stripe)? else {
                    candidates.nobodys.push(candidate);
                    continue;
                };
                self.owned = Some(OwnedPlaces::of(engine, owned)?);
            }
            if self.owned.as_ref().is_some_and(|of| of.is_stray(&key, drive.id())) {
                candidates.strays.push(candidate);
            }
        }
        Ok(candidates)
    }

    /// Asks again, now that the index has followed the log, and frees those that are nobody's still.
    async fn free(
        &mut self,
        engine: &Arc<Engine>,
        drive: &Arc<Drive>,
        candidates: Vec<(ShardKey, u64)>,
        report: &mut OrphanReport,
    ) -> Result<(), StorageError> {
        // A writer that is not there any more has had its command applied, or will never have one:
        // so writers are looked for first, then the log, then the owner.
        let unwritten: Vec<_> =
            candidates.into_iter().filter(|(key, _)| !engine.blobs.is_written(key.stripe)).collect();
        follow_log(engine).await?;
        let mut orphans = Vec::new();
        for candidate in unwritten {
            if is_nobodys(engine, candidate.0.stripe)? {
                orphans.push(candidate);
            }
        }
        free_shards(engine, drive, orphans, report).await
    }
}

/// Shards of one page that may be needless, with the bytes of their records.
#[derive(Default)]
struct Candidates {
    nobodys: Vec<(ShardKey, u64)>,
    strays: Vec<(ShardKey, u64)>,
}

pub(super) async fn free_shards(
    engine: &Engine,
    drive: &Drive,
    shards: Vec<(ShardKey, u64)>,
    report: &mut OrphanReport,
) -> Result<(), StorageError> {
    if shards.is_empty() {
        return Ok(());
    }
    let (count, bytes) = (shards.len() as u64, shards.iter().map(|(_, bytes)| bytes).sum());
    let freed = drive.free(shards.into_iter().map(|(key, _)| key).collect()).await.map_err(|_| interrupted())?;
    freed.map_err(|error| unreadable(&error))?;
    failpoint(Step::OrphansFreed);
    report.orphans += count;
    report.orphan_bytes += bytes;
    let metrics = engine.blobs.metrics();
    DataMetrics::add(&metrics.orphans_freed, count);
    DataMetrics::add(&metrics.orphan_bytes_freed, bytes);
    Ok(())
}

pub(super) fn is_nobodys(engine: &Engine, stripe: StripeId) -> Result<bool, StorageError> {
    // The dead have a queue of their own, with a grace for readers.
    Ok(engine.machine.run_owner(stripe)?.is_none() && !engine.machine.is_dead(stripe)? && !engine.blobs.is_read(stripe))
}

/// Waits until every entry that is durable now is applied.
pub(super) async fn follow_log(engine: &Engine) -> Result<(), StorageError> {
    let durable = engine.solo.status().durable_index;
    let mut waited = Duration::ZERO;
    while engine.machine.applied_index() < durable {
        if waited >= FOLLOW_MAX {
            return Err(StorageError::Unavailable { why: "the index is behind the log".to_owned() });
        }
        tokio::time::sleep(FOLLOW_STEP).await;
        waited += FOLLOW_STEP;
    }
    Ok(())
}

pub(super) fn interrupted() -> StorageError {
    StorageError::Unavailable { why: "a walk over a drive's index was interrupted".to_owned() }
}

fn unreadable(error: &crate::drive::DriveError) -> StorageError {
    StorageError::Unavailable { why: format!("a drive's index cannot be walked: {}", chain(error)) }
}
