//! Checks exports and proofs offline, with no server and no trust in who made them.
//!
//! Whatever the input, the answer is [`VerifiedExport`] or [`VerifiedProof`] when everything holds, and
//! otherwise an error that names the first thing that does not.

mod export;
mod folder;
mod proof;

use std::io;

pub use export::{ExportReader, VerifiedExport, verify_export};
pub use folder::FolderReader;
pub use proof::{VerifiedProof, verify_proof};

use crate::error::JournalError;
use crate::leaf::Leaf;

/// The first thing that does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The file could not be read.
    #[error("{path}: cannot be read")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that the signed tree needs is not there.
    #[error("{path}: missing")]
    Missing {
        /// Which file.
        path: String,
    },
    /// A file under `tile/` that the signed tree does not have: nothing vouches for it.
    #[error("{path}: not part of the signed tree")]
    Unexpected {
        /// Which file.
        path: String,
    },
    /// The file is not what its format says, or its signature does not verify.
    #[error("{path}: not valid")]
    Invalid {
        /// Which file.
        path: String,
        /// Which rule it breaks.
        #[source]
        source: JournalError,
    },
    /// The tile is not that of the entries.
    #[error("{path}: its hashes are not those of the entries")]
    WrongTile {
        /// Which file.
        path: String,
    },
    /// The entries are not those that were signed.
    #[error("the entries do not hash to the signed root")]
    WrongRoot,
    /// A leaf breaks a rule of the journal.
    #[error("leaf {index}: {why}")]
    Leaf {
        /// Its index.
        index: u64,
        /// Which rule.
        why: &'static str,
        /// More, if the leaf could not even be read.
        #[source]
        source: Option<JournalError>,
    },
    /// The verifier key in the export is another than the one asked for.
    #[error("vkey: not the key that was given")]
    OtherKey,
    /// The proof carries no leaf and none was given: there is nothing to prove.
    #[error("the proof carries no entry: give it with --entry")]
    NoEntry,
    /// The leaf in the proof is another than the one given.
    #[error("the entry in the proof is not the one given")]
    OtherEntry,
}

impl VerifyError {
    fn invalid(path: impl Into<String>) -> impl FnOnce(JournalError) -> Self {
        let path = path.into();
        |source| Self::Invalid { path, source }
    }
}

/// Rules of a leaf in its place: canonical, of this log, numbered by its index.
fn check_leaf(entry: &[u8], index: u64, origin: &str) -> Result<Leaf, VerifyError> {
    let refuse = |why, source| VerifyError::Leaf { index, why, source };
    let leaf = Leaf::parse(entry).map_err(|error| refuse("not a valid leaf", Some(error)))?;
    if leaf.seq != index {
        return Err(refuse("its seq is not its index", None));
    }
    if leaf.log != origin {
        return Err(refuse("it belongs to another log", None));
    }
    Ok(leaf)
}
