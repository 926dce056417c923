//! Filling a drive with every shard that belongs on it and is not there: a new one, or one that came back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::Mender;
use super::queue::Job;
use super::stripe::{ShardSet, StripeTask, survey_stripe};
use super::tally::{Tally, Ticket};
use super::walk::RunWalk;
use crate::error::{StorageError, chain};
use crate::ids::DriveId;
use crate::namespace::rows::StripeRun;

/// How often a walk looks whether the queue has room again, and a waiter whether the rebuild is done.
const POLL: Duration = Duration::from_millis(50);

/// Rebuilds of one drive that are under way or done. Clones watch the same one.
#[derive(Debug, Clone)]
pub struct Rebuild {
    drive: DriveId,
    counts: Arc<Counts>,
}

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RebuildProgress {
    /// Stripes of the namespace that were looked at.
    pub stripes: u64,
    /// Shards that belong on the drive and were not there.
    pub missing: u64,
    /// Those that are there now.
    pub rebuilt: u64,
    /// Those that could not be rebuilt; a later rebuild, or scrub, tries again.
    pub failed: u64,
    /// Bytes of cells rebuilt.
    pub bytes: u64,
    /// Whether every stripe was looked at and every missing shard settled.
    pub done: bool,
}

#[derive(Debug, Default)]
struct Counts {
    stripes: AtomicU64,
    walked: AtomicBool,
    tally: Arc<Tally>,
}

impl Rebuild {
    /// The drive that is filled.
    pub fn drive(&self) -> DriveId {
        self.drive
    }

    /// How far it is.
    pub fn progress(&self) -> RebuildProgress {
        let tallied = self.counts.tally.now();
        RebuildProgress {
            stripes: self.counts.stripes.load(Relaxed),
            missing: tallied.expected,
            rebuilt: tallied.good,
            failed: tallied.failed,
            bytes: tallied.bytes,
            done: self.counts.walked.load(Relaxed) && self.counts.tally.is_settled(),
        }
    }

    /// Waits until it is done.
    pub async fn finished(&self) -> RebuildProgress {
        loop {
            let progress = self.progress();
            if progress.done {
                return progress;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Mender {
    /// Begins to rebuild every shard that belongs on `drive` by the newest layout and is not there. Copies that
    /// an older layout put elsewhere are read like any other good shard, and freed once theirs is durable.
    ///
    /// Goes on in the background, within the repair budget; a stripe without redundancy goes first. Asked for
    /// again, it looks again.
    pub fn rebuild_drive(self: &Arc<Self>, drive: DriveId) -> Rebuild {
        self.rebuild_drives(&[drive]).remove(0)
    }

    /// The same for several drives, in one walk: one rebuild each, in their order.
    pub fn rebuild_drives(self: &Arc<Self>, drives: &[DriveId]) -> Vec<Rebuild> {
        let rebuilds: Vec<Rebuild> =
            drives.iter().map(|drive| Rebuild { drive: *drive, counts: Arc::default() }).collect();
        let (mender, walking) = (self.clone(), rebuilds.clone());
        self.spawn(async move {
            if let Err(error) = mender.walk_for(&walking).await {
                tracing::error!(error = chain(&error), "the rebuild of drives stopped; ask for it again");
                // What was not looked at is not known to be there: a ticket that is dropped has failed.
                walking.iter().for_each(|rebuild| drop(Ticket::new(&rebuild.counts.tally, None, 1)));
            }
            walking.iter().for_each(|rebuild| rebuild.counts.walked.store(true, Relaxed));
        });
        rebuilds
    }

    async fn walk_for(&self, rebuilds: &[Rebuild]) -> Result<(), StorageError> {
        if rebuilds.is_empty() {
            return Ok(());
        }
        let drives: Vec<DriveId> = rebuilds.iter().map(Rebuild::drive).collect();
        let mut walk = RunWalk::new(self.machine.clone());
        while let Some(runs) = walk.next_page().await? {
            while !self.lock_queue().has_room() {
                tokio::time::sleep(POLL).await;
            }
            let (blobs, drives) = (self.blobs.clone(), drives.clone());
            let found = tokio::task::spawn_blocking(move || missing_on(&blobs, &runs, &drives)).await;
            let (stripes, jobs) = found.map_err(|_| StorageError::Closed)?;
            for rebuild in rebuilds {
                rebuild.counts.stripes.fetch_add(stripes, Relaxed);
            }
            for MissingStripe { run, index, missing, spare } in jobs {
                let counted = rebuilds.iter().zip(&missing).filter(|(_, count)| **count > 0);
                let tickets = counted
                    .map(|(rebuild, count)| Ticket::new(&rebuild.counts.tally, Some(rebuild.drive), *count))
                    .collect();
                self.push(Job {
                    task: StripeTask { run, index, check: ShardSet::NONE, rewrite: ShardSet::NONE },
                    redundancy: spare.clamp(0, u8::MAX.into()) as u8,
                    heal: ShardSet::NONE,
                    found_by: None,
                    tickets,
                });
                self.wake.notify_one();
            }
        }
        Ok(())
    }
}

/// A stripe with shards that some of the drives lack.
struct MissingStripe {
    run: StripeRun,
    index: u32,
    /// How many, drive by drive.
    missing: Vec<u64>,
    spare: i32,
}

/// Stripes seen, and those with a shard that one of `drives` lacks.
fn missing_on(blobs: &crate::blob::BlobStore, runs: &[StripeRun], drives: &[DriveId]) -> (u64, Vec<MissingStripe>) {
    let (mut seen, mut stripes) = (0, Vec::new());
    for run in runs {
        for index in 0..run.count {
            seen += 1;
            let Some(survey) = survey_stripe(blobs, run, index) else { continue };
            let count = |drive: &DriveId| survey.missing.iter().filter(|(_, target)| target == drive).count() as u64;
            let missing: Vec<u64> = drives.iter().map(count).collect();
            if missing.iter().any(|count| *count > 0) {
                stripes.push(MissingStripe { run: run.clone(), index, missing, spare: survey.spare });
            }
        }
    }
    (seen, stripes)
}
