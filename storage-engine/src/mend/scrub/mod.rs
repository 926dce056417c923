//! Scrub: everything stored is read from the disk and checked, and what is bad is mended.
//!
//! Two directions. From the drives: superblocks, indexes, every record that an index names. From the
//! namespace: does each drive hold the shards that belong on it; and one stripe in a thousand is coded
//! again and compared. Beside these the log and the checkpoints on their mirrors, and the
//! namespace's own index. No key is needed. Bytes that nobody needs any more are not judged.

mod drive;
mod failing;
mod namespace;
mod pass;
mod schedule;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Mender;
use crate::engine::Engine;
use crate::error::StorageError;
use crate::ids::{BucketId, DriveId};
use crate::namespace::integrity::{CorruptionKind, ScrubCounts};
use failing::Failing;
pub use failing::ScrubFailure;
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
    /// Whether all of the scope was checked; false while it runs, and when a part broke off or could not be read.
    pub complete: bool,
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
    /// What scrub fails to check whole in the background.
    pub failing: Vec<ScrubFailure>,
    /// Passes since the start that did not check all of their scope.
    pub failed_passes: u64,
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
    failing: Failing,
    failed_passes: u64,
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
        let id = pass.id();
        let running = pass.clone();
        self.begin_pass(pass, async move { running.check_scope().await })?;
        Ok(id)
    }

    /// Has `work` done as the pass that was asked for. However it ends, another may begin then.
    fn begin_pass(
        self: &Arc<Self>,
        pass: Arc<Pass>,
        work: impl Future<Output = ScrubReport> + Send + 'static,
    ) -> Result<(), StorageError> {
        {
            let mut state = self.lock_scrub();
            if state.running.is_some() {
                return Err(StorageError::Unavailable { why: "a scrub that was asked for is running".to_owned() });
            }
            state.running = Some(pass.clone());
        }
        let mender = self.clone();
        self.spawn(async move {
            let report = pass.to_its_end(work).await;
            let mut state = mender.lock_scrub();
            state.running = None;
            state.last = Some(report);
        });
        Ok(())
    }

    /// A pass ended: what it did not check is tried again later and later, and shown meanwhile.
    fn note_ended(&self, report: &ScrubReport, scope: &ScrubScope, whole: &[DriveId]) {
        let mut state = self.lock_scrub();
        let of = match scope {
            ScrubScope::Drive(id) => Some(Some(*id)),
            ScrubScope::Index => Some(None),
            ScrubScope::All | ScrubScope::Bucket(_) | ScrubScope::Object(..) => None,
        };
        if report.complete {
            if *scope == ScrubScope::All {
                state.failing.clear(None);
            }
            whole.iter().for_each(|drive| state.failing.clear(Some(*drive)));
            of.into_iter().for_each(|of| state.failing.clear(of));
            return;
        }
        state.failed_passes += 1;
        let Some(drive) = of else { return };
        let reason = report.notes.last().cloned().unwrap_or_default();
        let failure = state.failing.note(drive, report.ended_us, reason);
        let (times, retry_s) = (failure.times, (failure.retry_us - report.ended_us) / 1_000_000);
        tracing::error!(?drive, times, retry_s, reason = failure.reason, "scrub fails: something was not checked");
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
            failing: state.failing.list(),
            failed_passes: state.failed_passes,
        })
    }

    /// The period within which every drive is checked, in seconds; 0 is never.
    pub fn set_scrub_period_s(&self, seconds: u64) {
        self.scrub_period_s.store(seconds, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::EngineConfig;
    use crate::env::SimEnv;

    fn small(dir: &std::path::Path) -> EngineConfig {
        EngineConfig {
            data_dir: dir.join("data"),
            drives: (0..3).map(|n| dir.join(format!("d{n}"))).collect(),
            k: 2,
            m: 1,
            segment_bytes: 2 << 20,
            log_segment_bytes: 256 << 10,
            ..EngineConfig::default()
        }
    }

    fn broken_check() -> ScrubReport {
        panic!("a bug in a check");
    }

    async fn ended(mender: &Mender, id: u64) -> ScrubReport {
        for _ in 0..600 {
            let status = mender.scrub_status().unwrap();
            if let Some(last) = status.last.filter(|last| last.id == id && status.running.is_none()) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("pass {id} has not ended within 30 s");
    }

    /// A pass that panicked once counted as running until the server was restarted, and none could be begun.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_pass_that_panics_has_failed_and_the_next_begins() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(small(dir.path()), SimEnv::env(1)).await.unwrap();
        let mender = engine.mender();
        let pass = Pass::new(mender.clone(), &engine, ScrubScope::All, Speed::Full);
        let checks = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            broken_check()
        };
        mender.begin_pass(pass.clone(), checks).unwrap();
        assert!(mender.begin_scrub(&engine, ScrubScope::All).is_err(), "it runs");
        let report = ended(mender, pass.id()).await;
        assert_eq!((report.unrepaired, report.notes.len()), (1, 1), "{report:?}");
        assert!(report.ended_us >= report.began_us && !report.complete);
        let status = mender.scrub_status().unwrap();
        assert_eq!((status.drives.len(), status.failed_passes, status.failing), (0, 1, Vec::new()));
        // A blocking part of it.
        let pass = Pass::new(mender.clone(), &engine, ScrubScope::All, Speed::Full);
        let part: Option<()> = pass.blocking(|| panic!("another")).await;
        assert_eq!((part, pass.report().unrepaired), (None, 1));

        let id = mender.begin_scrub(&engine, ScrubScope::All).unwrap();
        let report = ended(mender, id).await;
        assert_eq!((report.unrepaired, report.notes.len()), (0, 0), "{report:?}");
        assert_eq!(mender.scrub_status().unwrap().drives.len(), 3);
        assert!(report.complete);
        drop(pass);
        engine.close().await.unwrap();
    }

    /// A drive whose pass panics each time was tried again every 30 s for ever, and nothing but the log said so.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_drive_whose_passes_fail_waits_longer_and_is_shown_until_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(small(dir.path()), SimEnv::env(1)).await.unwrap();
        let mender = engine.mender();
        let drive = mender.blobs.drives()[0].id();
        let now_us = engine.env().clock.now_us();
        let leaves = engine.status().journal_leaves;
        assert!(mender.claim(drive, true, now_us) && !mender.claim(drive, true, now_us), "one at a time");
        for times in 1..=2 {
            let pass = Pass::new(mender.clone(), &engine, ScrubScope::Drive(drive), Speed::Full);
            let report = pass.to_its_end(async { broken_check() }).await;
            assert!(!report.complete && report.unrepaired == 1, "{report:?}");
            mender.lock_scrub().on_drives.clear();
            let failing = mender.scrub_status().unwrap().failing;
            assert_eq!((failing.len(), failing[0].drive, failing[0].times), (1, Some(drive), times));
            assert!(failing[0].reason.contains("broke off"), "{failing:?}");
            let wait_us = failing[0].retry_us - failing[0].last_us;
            assert_eq!(wait_us, u64::from(times) * 60_000_000);
            assert!(!mender.claim(drive, true, failing[0].retry_us - 1));
            assert!(mender.claim(drive, false, failing[0].retry_us), "whenever it was checked before");
            mender.lock_scrub().on_drives.clear();
        }
        assert_eq!(engine.status().journal_leaves, leaves + 2, "each has a leaf");
        let pass = Pass::new(mender.clone(), &engine, ScrubScope::Drive(drive), Speed::Full);
        assert!(pass.run().await.complete);
        let status = mender.scrub_status().unwrap();
        assert_eq!((status.failing.len(), status.failed_passes, status.drives.len()), (0, 2, 1));
        drop(pass);
        engine.close().await.unwrap();
    }
}
