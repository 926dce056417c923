//! Scrub: everything stored is read from the disk and checked, and what is bad is mended.
//!
//! Two directions. From the drives: superblocks, indexes, every record that an index names. From the
//! namespace: does each drive hold the shards that belong on it; and one stripe in a thousand is coded
//! again and compared. Beside these the log and the checkpoints on their mirrors, and the
//! namespace's own index. No key is needed. Bytes that nobody needs any more are not judged.

mod drive;
mod namespace;
mod pass;
mod schedule;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Mender;
use crate::engine::Engine;
use crate::error::StorageError;
use crate::ids::{BucketId, DriveId};
use crate::namespace::integrity::{CorruptionKind, ScrubCounts};
use pass::{Pass, Speed};
pub(super) use schedule::run as run_schedule;

/// What a pass is to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScrubScope {
    /// Everything.
    All,
    /// One drive: all that it holds, and all that it should.
    Drive(DriveId),
    /// Every shard of every version and part in a bucket.
    Bucket(BucketId),
    /// Every shard of every version and part of one key.
    Object(BucketId, String),
    /// What is not data: the namespace's index, the log, the checkpoints, and where shards should be.
    Index,
}

impl ScrubScope {
    /// One word, as leaves and reports show it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Drive(_) => "drive",
            Self::Bucket(_) => "bucket",
            Self::Object(..) => "object",
            Self::Index => "index",
        }
    }
}

/// What a pass checked, found and mended; of a running pass, so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Names the pass.
    pub id: u64,
    /// See [`ScrubScope::word`].
    pub scope: String,
    /// Unix time in microseconds.
    pub began_us: u64,
    /// 0 while it runs.
    pub ended_us: u64,
    /// What was checked.
    pub checked: ScrubCounts,
    /// Findings by kind.
    pub found: BTreeMap<CorruptionKind, u64>,
    /// Shards and files that were written again.
    pub repaired: u64,
    /// Their bytes.
    pub repaired_bytes: u64,
    /// Findings that are not mended.
    pub unrepaired: u64,
    /// What could not be checked or mended, and what to do about it.
    pub notes: Vec<String>,
}

/// Where scrub stands.
#[derive(Debug, Clone, Default)]
pub struct ScrubStatus {
    /// The pass that was asked for and runs.
    pub running: Option<ScrubReport>,
    /// The last pass that was asked for and ended.
    pub last: Option<ScrubReport>,
    /// When each drive was last checked whole, Unix time in microseconds.
    pub drives: BTreeMap<DriveId, u64>,
    /// Findings since the start, by kind.
    pub found: BTreeMap<CorruptionKind, u64>,
    /// Stripes by the shards that they can still lose, by the last walk over all: unreadable, 0, 1, 2, 3, and more.
    pub stripes_by_redundancy: [u64; 6],
}

/// What the mender keeps of scrub.
#[derive(Default)]
pub(super) struct ScrubState {
    running: Option<Arc<Pass>>,
    last: Option<ScrubReport>,
    found: BTreeMap<CorruptionKind, u64>,
    stripes_by_redundancy: [u64; 6],
    /// Drives that a background pass is on.
    on_drives: Vec<DriveId>,
}

/// Notes in one report.
const NOTES_MAX: usize = 100;

impl Mender {
    /// Begins a pass at full speed, beside the background's; answers its id.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] while another that was asked for runs, or for a drive that is not there.
    pub fn begin_scrub(self: &Arc<Self>, engine: &Arc<Engine>, scope: ScrubScope) -> Result<u64, StorageError> {
        if let ScrubScope::Drive(id) = &scope
            && !self.blobs.drive(*id).is_some_and(|drive| drive.state().reads())
        {
            return Err(StorageError::Unavailable { why: format!("drive {id} is not one that can be read") });
        }
        let pass = Pass::new(self.clone(), engine, scope, Speed::Full);
        {
            let mut state = self.lock_scrub();
            if state.running.is_some() {
                return Err(StorageError::Unavailable { why: "a scrub that was asked for is running".to_owned() });
            }
            state.running = Some(pass.clone());
        }
        let mender = self.clone();
        let id = pass.id();
        self.spawn(async move {
            let report = pass.run().await;
            let mut state = mender.lock_scrub();
            state.running = None;
            state.last = Some(report);
        });
        Ok(id)
    }

    /// Where scrub stands.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn scrub_status(&self) -> Result<ScrubStatus, StorageError> {
        let marks = self.machine.scrub_marks()?;
        let state = self.lock_scrub();
        Ok(ScrubStatus {
            running: state.running.as_ref().map(|pass| pass.report()),
            last: state.last.clone(),
            drives: marks.into_iter().map(|(drive, mark)| (drive, mark.ended_us)).collect(),
            found: state.found.clone(),
            stripes_by_redundancy: state.stripes_by_redundancy,
        })
    }

    /// The period within which every drive is checked, in seconds; 0 is never.
    pub fn set_scrub_period_s(&self, seconds: u64) {
        self.scrub_period_s.store(seconds, Relaxed);
    }
}
