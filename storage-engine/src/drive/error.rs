//! What a drive answers when it cannot do what was asked.

use std::io;

use super::site::Site;
use crate::ids::ClusterId;
use crate::segment::FormatError;
use crate::state::kv::KvError;

/// An error of one drive. The blob store does without the drive; nobody retries on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError {
    /// The drive is out of service.
    #[error("the drive is out of service: {reason}")]
    Offline {
        /// Since what.
        reason: String,
    },
    /// The drive takes no writes any more.
    #[error("the drive is read-only: {reason}")]
    ReadOnly {
        /// Since what.
        reason: String,
    },
    /// The drive is full. It takes writes again when space returns.
    #[error("the drive is full")]
    Full,
    /// More work waits on the drive than its queue takes.
    #[error("the drive does not keep up")]
    Busy,
    /// A file operation failed.
    #[error("{op} failed")]
    Io {
        /// What was attempted.
        op: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A sync failed before: what this segment holds may not be durable.
    #[error("an earlier sync of the segment failed")]
    Poisoned,
    /// The index of the drive took no entry for what was written; the log says why.
    #[error("the drive's index takes no entries")]
    IndexRefused,
    /// The index of the drive failed.
    #[error("the drive's index failed")]
    Index(#[from] KvError),
    /// An entry of the index does not decode.
    #[error("an entry of the drive's index is damaged")]
    IndexEntry(#[from] FormatError),
}

impl DriveError {
    pub(super) fn from_io(op: &'static str, source: io::Error) -> Self {
        if crate::io::is_full(&source) { Self::Full } else { Self::Io { op, source } }
    }
}

/// Why a directory cannot be used as a drive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveOpenError {
    /// A newer program wrote it: start that one.
    #[error("the drive has format {found}, this program knows up to {known}")]
    NewerFormat {
        /// As stored.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// It belongs to another installation.
    #[error("the drive belongs to cluster {found}, not to {expected}")]
    OtherCluster {
        /// As stored.
        found: ClusterId,
        /// The one being opened.
        expected: ClusterId,
    },
    /// It stands elsewhere than the configuration says.
    #[error("the drive says that it stands in {found}, the configuration says {expected}")]
    OtherSite {
        /// As stored.
        found: Site,
        /// As configured.
        expected: Site,
    },
    /// It holds data but no readable superblock. Restore one copy, or take the drive as lost.
    #[error("no copy of the superblock is readable, and the directory is not empty")]
    Damaged,
    /// The configuration asks for segments that cannot hold a record.
    #[error("segments of {bytes} bytes are too small, the least is {min}")]
    SegmentTooSmall {
        /// Asked for.
        bytes: u64,
        /// The least.
        min: u64,
    },
    /// A file operation failed.
    #[error("{op} failed")]
    Io {
        /// What was attempted.
        op: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The index can neither be opened nor made anew.
    #[error("the drive's index cannot be opened")]
    Index(#[from] KvError),
}
