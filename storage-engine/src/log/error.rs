//! What can go wrong with the log, and who can do something about it.

use std::io;

use crate::ids::DriveId;

/// An error of the commit log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Entries that were acknowledged are damaged on every mirror at hand. The operator brings back a
    /// missing drive, or restores; nothing is truncated.
    #[error(
        "the log is damaged: entry {first_bad} is unreadable on every mirror at hand, but entries up to {durable} were acknowledged; bring back the missing mirrors ({mirrors})"
    )]
    Damaged {
        /// The first index that no mirror gives.
        first_bad: u64,
        /// Acknowledged up to here.
        durable: u64,
        /// Which drives were asked.
        mirrors: String,
    },
    /// No mirror of the last known set is at hand. The operator brings one back.
    #[error("none of the log's mirrors is present: log epoch {epoch} names {mirrors}")]
    MirrorsMissing {
        /// The newest epoch that the drives at hand know.
        epoch: u64,
        /// The drives that hold the log.
        mirrors: String,
    },
    /// The drives are blank or foreign, but the index or a checkpoint is not. The operator points at the right drives.
    #[error("the index holds entries up to {applied}, but no drive holds a log: are these the right drives?")]
    NoLog {
        /// The last entry in the index.
        applied: u64,
    },
    /// Between the newest state and the oldest log entry something is missing. The operator brings back a drive.
    #[error("the log begins at entry {first}, but the newest readable state ends at entry {applied}")]
    Gap {
        /// First index that the log still holds.
        first: u64,
        /// Last index in the state.
        applied: u64,
    },
    /// Two different entries of one term at one place: a bug, or a drive cloned while it ran. Report it.
    #[error("two different entries {index} of term {term}: was a drive copied while in use?")]
    Forked {
        /// The entry.
        index: u64,
        /// The term of both.
        term: u64,
    },
    /// Too few mirrors are left to acknowledge anything. Writes resume when a drive comes back.
    #[error("only {live} of {needed} needed log mirrors are left; writes wait for a drive")]
    TooFewMirrors {
        /// Mirrors that still work.
        live: usize,
        /// Mirrors without which nothing is acknowledged.
        needed: usize,
    },
    /// The drives are full; nothing was written. Retry after freeing space.
    #[error("no space left for the log")]
    Full,
    /// The payload is larger than an entry can be. Nothing was written.
    #[error("a log entry of {len_bytes} bytes is over the limit of {max_bytes}")]
    TooLarge {
        /// Its length.
        len_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A drive failed where no other could help.
    #[error("{op} on drive {drive}")]
    Io {
        /// What was tried.
        op: &'static str,
        /// On which drive.
        drive: DriveId,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// Names drives in a message.
pub(crate) fn drive_list(drives: &[DriveId]) -> String {
    drives.iter().map(DriveId::to_string).collect::<Vec<_>>().join(", ")
}
