//! Steps of the protocols at which a test can end the process.
//!
//! Each place between two effects that must not be torn apart passes its [`Step`]. A test, or a binary built with
//! the feature `failpoints`, is ended there by SIGKILL when `CHARTRIER_FAILPOINT=Step:n` is in its environment and
//! the step is passed for the n-th time. In any other build a passage is nothing.

/// Passes a step: the process may end here.
#[cfg(not(any(test, feature = "failpoints")))]
#[inline(always)]
pub(crate) fn failpoint(_step: Step) {}

#[cfg(any(test, feature = "failpoints"))]
pub(crate) use armed::failpoint;

macro_rules! steps {
    ($($(#[$docs:meta])* $name:ident,)+) => {
        /// Where the process may end.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Step {
            $($(#[$docs])* $name,)+
        }

        #[cfg(any(test, feature = "failpoints"))]
        impl Step {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

steps! {
    // One drive: segments, records, its index.
    /// A superblock copy was replaced.
    SuperblockWritten,
    /// A segment's file is there, its header not.
    SegmentCreated,
    /// A record is written, not yet in the index.
    RecordWritten,
    /// Records are in the index, not synced and not answered.
    RecordsIndexed,
    /// A segment is about to be synced.
    SegmentUnsynced,
    /// A segment is synced, nobody was answered.
    SegmentSynced,
    /// A footer is written, not synced.
    FooterWritten,
    /// A segment is closed and its row says so.
    SegmentSealed,
    /// Shards left the index of a drive.
    ShardsFreed,
    /// A start has removed what a compaction did not finish.
    UnfinishedRemoved,
    /// A start has indexed the records of a segment, not closed it.
    SegmentIndexed,
    /// A start has closed a segment, its row does not say so.
    SegmentClosed,

    // Compaction.
    /// A record was copied.
    CompactionCopied,
    /// The new segment is closed and synced, under the name of an unfinished one.
    CompactionSynced,
    /// The new segment has its name, no entry points at it.
    CompactionNamed,
    /// Some entries point at the new segment.
    CompactionMoved,
    /// All do, durably; the old files are there.
    CompactionFlushed,
    /// An old file is gone, its row is not.
    CompactionRemoved,

    // A drive's index made anew.
    /// The second store was begun.
    ReindexBegun,
    /// A batch was filled into it.
    ReindexFilled,
    /// It is complete and flushed, and not the current one.
    ReindexFlushed,
    /// It is the current one.
    ReindexTaken,

    // The log.
    /// A mirror wrote a batch and did not sync it.
    LogWritten,
    /// A mirror synced a batch.
    LogSynced,
    /// A batch is durable on every mirror, nothing of it applied.
    LogDurable,
    /// A segment was prepared or taken from the spares.
    LogSegmentPrepared,
    /// A segment that nobody needs was put away on one mirror.
    LogSegmentRecycled,
    /// A drive's folder was emptied for a new mirror.
    MirrorCleared,
    /// A new mirror has a segment, or a part of it.
    MirrorCopied,
    /// A mirror was dropped, the drives do not know it.
    MirrorDropped,
    /// Every drive knows the new set of mirrors.
    MembershipPublished,

    // The state.
    /// A batch is about to be applied.
    ApplyBegun,
    /// A batch is applied, nobody was answered.
    ApplyDone,
    /// The first of a batch was answered, others not.
    Answered,

    // Checkpoints.
    /// The state's own copy is made.
    CheckpointCopied,
    /// A file is in a drive's pool under its temporary name.
    CheckpointFileWritten,
    /// A file is in a drive's pool.
    CheckpointFileNamed,
    /// One drive has the manifest.
    CheckpointPublished,
    /// Every mirror has the checkpoint; the log before it is there.
    CheckpointComplete,
    /// An old manifest went, its files are there.
    CheckpointManifestRemoved,
    /// A file of an old checkpoint went.
    CheckpointFileRemoved,

    // The index brought back.
    /// The old index was put aside.
    IndexPutAside,
    /// A file of it was restored.
    RestoreFile,
    /// The restored index has its name.
    RestoreNamed,
    /// A batch of the log was replayed.
    ReplayBatch,
    /// What was put aside is gone, the mark of damage is there.
    OldIndexForgotten,

    // Repair.
    /// Rebuilt shards are durable, the log does not say so.
    RepairWritten,
    /// The log says so, what they replace is not freed.
    RepairRecorded,

    // Packing.
    /// A pack is durable, the log does not name it.
    PackWritten,
    /// Its members are members, their copies are not freed.
    PackRecorded,

    // Space given back.
    /// Dead runs are freed on the drives.
    DeadFreed,
    /// Every drive has durably forgotten them.
    DeadFlushed,
    /// Their rows are gone.
    DeadForgotten,
    /// Orphans were freed on one drive.
    OrphansFreed,

    // Which drives there are.
    /// `engine.json` is written under its temporary name.
    DescriptionWritten,
    /// `engine.json` is replaced.
    DescriptionNamed,
    /// A directory was made a drive.
    DriveMade,
    /// A change of drives is in the log, nothing follows it yet.
    DrivesChanged,
    /// Every shard is where the layout wants it, the state does not say so.
    LayoutFollowed,
}

#[cfg(any(test, feature = "failpoints"))]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Step;

    const VARIABLE: &str = "CHARTRIER_FAILPOINT";

    struct Armed {
        step: Step,
        /// Passages until the end.
        left: AtomicU64,
    }

    /// Passes a step: the process may end here.
    pub(crate) fn failpoint(step: Step) {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let Some(armed) = ARMED.get_or_init(|| std::env::var(VARIABLE).ok().map(|text| parse(&text))) else { return };
        if armed.step == step && armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Nothing is flushed, nothing is dropped, no other thread goes on.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }

    fn parse(text: &str) -> Armed {
        let (name, passage) = text.split_once(':').unwrap_or((text, "1"));
        let step = Step::ALL.iter().find(|step| format!("{step:?}") == name);
        let step = *step.unwrap_or_else(|| panic!("{VARIABLE}: there is no step {name}"));
        let left = passage.parse().unwrap_or_else(|_| panic!("{VARIABLE}: {passage} is no number"));
        Armed { step, left: AtomicU64::new(left) }
    }
}
