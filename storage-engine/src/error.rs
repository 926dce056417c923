//! What the engine answers when it cannot do what was asked.

use std::io;
use std::path::PathBuf;

use crate::namespace::encoding::DecodeError;
use crate::state::kv::KvError;

/// An error of the engine. A refused command is not one: that is an outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The drives are full. Nothing was written; the client retries when space is free.
    #[error("no space left on the drives")]
    Full,
    /// Too few drives or mirrors are at hand. Nothing was acknowledged; the client retries.
    #[error("storage is unavailable: {why}")]
    Unavailable {
        /// What is missing.
        why: String,
    },
    /// Stored bytes are not what was written and no redundancy is left to mend them.
    #[error("{what} is damaged beyond repair")]
    Corrupted {
        /// Which bytes.
        what: String,
    },
    /// A file operation failed.
    #[error("{op} {path} failed")]
    Io {
        /// What was attempted.
        op: &'static str,
        /// On which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A sync failed or the state could not follow the log: nothing is written until the next start.
    #[error("the engine refuses writes until it is restarted: {why}")]
    Poisoned {
        /// What happened.
        why: String,
    },
    /// The engine is closing: the client goes elsewhere or retries.
    #[error("the engine is closed")]
    Closed,
    /// The index could not be read or written.
    #[error("the index failed")]
    State(#[from] StateError),
    /// The command is larger than a log entry can be. A bug in the caller.
    #[error("a command of {len_bytes} bytes is too large for the log")]
    TooLarge {
        /// Its encoded length.
        len_bytes: usize,
    },
    /// The journal refused: a bug, or damage in the index.
    #[error("the journal failed")]
    Journal(#[from] chartrier_journal::JournalError),
}

/// What the metadata plane answers; the same set of cases as the whole engine.
pub type MetaError = StorageError;

/// An error of the state machine. After one of `apply_batch` nothing of the batch is visible.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The store below failed. A corruption is mended by rebuilding from checkpoint and log.
    #[error("the store of the index failed")]
    Kv(#[from] KvError),
    /// A row on disk does not decode: rebuild, or start the program that wrote it.
    #[error("a row of family {family} does not decode")]
    Row {
        /// Where it was read.
        family: &'static str,
        /// Why not.
        #[source]
        source: DecodeError,
    },
    /// The store was written by a newer program.
    #[error("the index has format {found}, this program knows up to {known}")]
    NewerFormat {
        /// As stored.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// The store was written by a program of before a change that it cannot be read without.
    #[error("the index has format {found}, this program reads none before {known}")]
    OlderFormat {
        /// As stored.
        found: u32,
        /// The oldest that can be read.
        known: u32,
    },
    /// The log replays an entry that was applied already. A bug in the caller.
    #[error("entry {index} comes after entry {applied}, which is not before it")]
    OutOfOrder {
        /// The entry offered.
        index: u64,
        /// The last one applied.
        applied: u64,
    },
    /// The state contradicts itself: damage, or a bug.
    #[error("the index is inconsistent: {what}")]
    Inconsistent {
        /// Which rule does not hold.
        what: &'static str,
    },
    /// Leaves or hashes of the journal could not be made or read.
    #[error("the journal failed")]
    Journal(#[from] chartrier_journal::JournalError),
}

impl StateError {
    /// Whether the store must be rebuilt from checkpoint and log.
    pub fn is_corruption(&self) -> bool {
        matches!(self, Self::Kv(KvError::Corruption { .. }) | Self::Row { .. } | Self::Inconsistent { .. })
    }
}

/// An error with its causes, in one line: each error tells its own level only.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Why the engine did not open. One line tells the operator what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
    /// Another server runs on this directory.
    #[error("{path} is in use by another server")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The data was written by a newer program: start that one.
    #[error("{path} has format {found}, this program knows up to {known}: start a newer chartrier")]
    NewerFormat {
        /// The directory or file.
        path: PathBuf,
        /// As stored.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// The data was written by a program of before the first release, in a format that none has read since.
    #[error(
        "{path} has format {found}, this program reads none before {known}: start the chartrier that wrote it, copy the \
         objects out with any S3 client, and into a new installation"
    )]
    OlderFormat {
        /// The directory or file.
        path: PathBuf,
        /// As stored.
        found: u32,
        /// The oldest that can be read.
        known: u32,
    },
    /// Fewer drives than the data needs.
    #[error("{present} of {total} drives are usable, at least {needed} are needed: {detail}")]
    TooFewDrives {
        /// Usable drives.
        present: usize,
        /// Drives in the layout.
        total: usize,
        /// k.
        needed: usize,
        /// Which are missing, and why.
        detail: String,
    },
    /// The drives do not belong to this data directory or to one another.
    #[error("{0}")]
    Mismatch(String),
    /// A file operation failed.
    #[error("{op} {path} failed")]
    Io {
        /// What was attempted.
        op: &'static str,
        /// On which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Recovery could not rebuild the state.
    #[error("the data cannot be opened: {0}")]
    Recovery(String),
}
