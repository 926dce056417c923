//! From the namespace: where its shards are, its own index, and the log and checkpoints that it is rebuilt from.

use std::sync::Arc;
use std::time::Duration;

use super::super::stripe::{ShardSet, StripeTask, survey_stripe};
use super::super::walk::RunWalk;
use super::pass::{Pass, Speed};
use crate::blob::BlobStore;
use crate::error::{StateError, chain};
use crate::ids::{BucketId, DriveId};
use crate::namespace::command::MissingShard;
use crate::namespace::integrity::{CorruptionKind, FileRepair, FoundBy};
use crate::namespace::rows::StripeRun;
use crate::solo::MirrorDamage;
use crate::state::StateMachine;

/// One stripe in so many is coded again and compared.
const PARITY_SHARE: u64 = 1000;
/// A pass in the background rests so long after each page of runs.
const PAGE_REST: Duration = Duration::from_millis(50);
/// How often the mirrors are checked again after something on them was mended.
const MIRROR_ROUNDS: usize = 3;
/// Rows of a bucket looked at in one step.
const ROWS_PAGE: usize = 256;

/// What one page of runs came to.
#[derive(Default)]
struct Page {
    stripes: u64,
    by_redundancy: [u64; 6],
    /// Stripes with shards that are not where they belong, on the drives asked for.
    lacking: Vec<Lacking>,
    parity: Vec<(StripeRun, u32, i32)>,
}

/// A stripe with shards that are not where they belong.
struct Lacking {
    run: StripeRun,
    index: u32,
    spare: i32,
    missing: Vec<(u8, DriveId)>,
}

/// A stripe of an object, and what the drives' indexes say of it.
struct Surveyed {
    index: u32,
    spare: i32,
    away: usize,
}

impl Pass {
    /// Looks for every shard of every stripe on its drive, or for those that belong on one drive.
    pub(super) async fn runs(self: &Arc<Self>, only: Option<DriveId>) {
        let mut walk = RunWalk::new(self.mender.machine.clone());
        let mut by_redundancy = [0; 6];
        // Another stripe in a thousand in each pass; the first one of a small store in every pass.
        let mut until_parity = self.began_us() % PARITY_SHARE;
        let mut first = true;
        loop {
            let runs = match walk.next_page().await {
                Ok(Some(runs)) => runs,
                Ok(None) => break,
                Err(error) => {
                    self.leave_out();
                    return self.unmended(format!("the owners of stripes cannot be listed: {}", chain(&error)));
                }
            };
            let (blobs, machine) = (self.mender.blobs.clone(), self.mender.machine.clone());
            let offset = if std::mem::take(&mut first) { 0 } else { until_parity };
            let surveyed = self.blocking(move || survey(&blobs, &machine, &runs, only, offset)).await;
            let Some((page, next_parity)) = surveyed else { return };
            until_parity = next_parity;
            self.count(|counts| counts.stripes += page.stripes);
            for (sum, count) in by_redundancy.iter_mut().zip(page.by_redundancy) {
                *sum += count;
            }
            self.take_page(page).await;
            if self.is_stopped() {
                return;
            }
            if matches!(self.speed, Speed::Paced(_)) {
                tokio::time::sleep(PAGE_REST).await;
            }
        }
        if only.is_none() {
            self.mender.lock_scrub().stripes_by_redundancy = by_redundancy;
        }
    }

    async fn take_page(self: &Arc<Self>, page: Page) {
        let mut by_drive: std::collections::BTreeMap<DriveId, Vec<MissingShard>> = Default::default();
        for Lacking { run, index, spare, missing } in page.lacking {
            let stripe = run.first.nth(index);
            for (shard_index, drive) in missing {
                by_drive.entry(drive).or_default().push(MissingShard { stripe, shard_index });
                // Read and not just located: the index may name a file that is gone.
                let set = ShardSet::one(shard_index);
                let task = StripeTask { run: run.clone(), index, check: set, rewrite: ShardSet::NONE };
                self.push(task, spare, None, (Some(drive), 1)).await;
            }
        }
        for (drive, shards) in by_drive {
            self.found(CorruptionKind::ShardMissing, Some(drive), "", (shards.len() as u64, 0), &shards).await;
        }
        for (run, index, spare) in page.parity {
            self.count(|counts| counts.parity_stripes += 1);
            let shards = u64::from(run.k) + u64::from(run.m);
            let task = StripeTask { run, index, check: ShardSet::ALL, rewrite: ShardSet::NONE };
            self.push(task, spare, Some(FoundBy::Scrub), (None, shards)).await;
        }
    }

    /// Checks every shard of every version and part of a bucket, or of one key in it.
    pub(super) async fn objects(self: &Arc<Self>, bucket: BucketId, key: Option<String>) -> Vec<DriveId> {
        let mut after = None;
        loop {
            let (blobs, machine, key) = (self.mender.blobs.clone(), self.mender.machine.clone(), key.clone());
            let page = self.blocking(move || {
                let (runs, next) = machine.runs_in(bucket, key.as_deref(), after, ROWS_PAGE)?;
                Ok::<_, StateError>((runs.into_iter().map(|run| surveyed(&blobs, run)).collect::<Vec<_>>(), next))
            });
            let (runs, next) = match page.await {
                Some(Ok(page)) => page,
                Some(Err(error)) => {
                    self.leave_out();
                    self.unmended(format!("the objects cannot be listed: {}", chain(&error)));
                    return Vec::new();
                }
                None => return Vec::new(),
            };
            for (run, stripes) in runs {
                for Surveyed { index, spare, away } in stripes {
                    let shards = u64::from(run.k) + u64::from(run.m);
                    self.count(|counts| {
                        counts.stripes += 1;
                        counts.parity_stripes += 1;
                        counts.records += shards - away as u64;
                    });
                    let task = StripeTask { run: run.clone(), index, check: ShardSet::ALL, rewrite: ShardSet::NONE };
                    self.push(task, spare, Some(FoundBy::Scrub), (None, shards)).await;
                }
            }
            after = next;
            if after.is_none() || self.is_stopped() {
                return Vec::new();
            }
        }
    }

    /// Checks the namespace's own index, and mends its files from the checkpoints where it can.
    pub(super) async fn index(self: &Arc<Self>) {
        let Err(detail) = self.verify_index().await else { return };
        self.found(CorruptionKind::Index, None, "index", (1, 0), &[]).await;
        let Some(engine) = self.engine() else { return };
        let mended = self.blocking(move || engine.mend_index()).await;
        let files = match mended {
            Some(Ok(files)) => files,
            Some(Err(error)) => {
                self.note(format!("the index cannot be mended from the checkpoints: {}", chain(&error)));
                Vec::new()
            }
            None => return,
        };
        if !files.is_empty() && self.verify_index().await.is_ok() {
            let repair = |(name, bytes): (String, u64)| FileRepair {
                kind: CorruptionKind::Index,
                drive: None,
                place: format!("index/{name}"),
                bytes,
            };
            if let Some(engine) = self.engine() {
                engine.index_is_good_again();
            }
            return self.mended(files.into_iter().map(repair).collect()).await;
        }
        if let Some(engine) = self.engine() {
            engine.rebuild_index_at_next_start(&detail);
        }
        self.unmended(format!(
            "the index in the data directory is damaged ({detail}): restart the server, which rebuilds it from the \
             last checkpoint and the log"
        ));
    }

    async fn verify_index(self: &Arc<Self>) -> Result<(), String> {
        let (machine, mut pace) = (self.mender.machine.clone(), self.pacer(None));
        match self.blocking(move || machine.verify(&mut pace)).await {
            Some(Ok(rows)) => {
                self.count(|counts| counts.index_rows += rows);
                Ok(())
            }
            Some(Err(error)) if error.is_corruption() => Err(chain(&error)),
            Some(Err(error)) => {
                self.unchecked(format!("the index was not checked: {}", chain(&error)));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Checks the log and the checkpoints on their mirrors, or on one drive.
    pub(super) async fn mirrors(self: &Arc<Self>, only: Option<DriveId>) {
        // What a damaged manifest names is known only once it is mended.
        for round in 0..MIRROR_ROUNDS {
            let Some(engine) = self.engine() else { return };
            let mut pace = self.pacer(None);
            let Some(check) = self.blocking(move || engine.check_mirrors(only, &mut pace)).await else { return };
            if round == 0 {
                self.count(|counts| {
                    counts.log_segments += check.log_segments;
                    counts.checkpoint_files += check.checkpoint_files;
                    counts.bytes += check.bytes;
                });
            }
            if check.damaged.is_empty() || !self.mend_mirrors(check.damaged).await || self.is_stopped() {
                return;
            }
        }
    }

    /// Whether all of it was mended.
    async fn mend_mirrors(self: &Arc<Self>, damaged: Vec<MirrorDamage>) -> bool {
        let mut all = true;
        for damage in damaged {
            let (kind, drive, place) = (damage.kind(), damage.drive(), damage.place());
            self.found(kind, Some(drive), &place, (1, 0), &[]).await;
            let Some(engine) = self.engine() else { return false };
            match self.blocking(move || engine.mend_mirror(damage)).await {
                Some(Ok(bytes)) => self.mended(vec![FileRepair { kind, drive: Some(drive), place, bytes }]).await,
                Some(Err(error)) => {
                    all = false;
                    self.unmended(format!("{place} on drive {drive} cannot be mended: {}", chain(&error)));
                }
                None => return false,
            }
        }
        all
    }
}

/// Looks up the stripes of a run. Blocking.
fn surveyed(blobs: &BlobStore, run: StripeRun) -> (StripeRun, Vec<Surveyed>) {
    let survey = |index| {
        survey_stripe(blobs, &run, index).map(|survey| Surveyed { index, spare: survey.spare, away: survey.away })
    };
    let stripes = (0..run.count).filter_map(survey).collect();
    (run, stripes)
}

/// Looks up the stripes of some runs; answers also how many stripes from the next page's start to the next one
/// whose parity is compared.
fn survey(
    blobs: &BlobStore,
    machine: &StateMachine,
    runs: &[StripeRun],
    only: Option<DriveId>,
    mut until_parity: u64,
) -> (Page, u64) {
    let mut page = Page::default();
    for run in runs {
        for index in 0..run.count {
            let Some(survey) = survey_stripe(blobs, run, index) else { continue };
            page.stripes += 1;
            page.by_redundancy[(survey.spare + 1).clamp(0, 5) as usize] += 1;
            let stripe = run.first.nth(index);
            // What a degraded write did without is known, and on its way.
            let healing = |shard_index| machine.is_to_be_healed(&MissingShard { stripe, shard_index }).unwrap_or(false);
            let asked = |drive: &DriveId| only.is_none_or(|only| only == *drive);
            let missing: Vec<_> =
                survey.missing.into_iter().filter(|(shard, drive)| asked(drive) && !healing(*shard)).collect();
            if !missing.is_empty() {
                page.lacking.push(Lacking { run: run.clone(), index, spare: survey.spare, missing });
            }
            if until_parity == 0 {
                until_parity = PARITY_SHARE;
                page.parity.push((run.clone(), index, survey.spare));
            }
            until_parity -= 1;
        }
    }
    (page, until_parity)
}
