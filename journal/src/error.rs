//! What can go wrong between a leaf and a verified tree.

use std::error::Error as StdError;

use crate::leaf::LeafError;

/// Why an operation of the journal was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The caller's reader failed: see the source; retry or repair the store.
    #[error("the journal's hashes or leaves could not be read")]
    Read(#[source] Box<dyn StdError + Send + Sync>),
    /// The caller's sink failed: see the source.
    #[error("the export could not be written")]
    Write(#[source] std::io::Error),
    /// The reader answered another number of hashes: a bug in the reader.
    #[error("asked for {asked} hashes, got {got}")]
    HashCount {
        /// Hashes asked for.
        asked: usize,
        /// Hashes answered.
        got: usize,
    },
    /// The index or size lies outside the tree: a bug in the caller, or a hostile proof.
    #[error("{what} {value} is outside the tree of size {size}")]
    OutsideTree {
        /// What was asked.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The tree it was asked of.
        size: u64,
    },
    /// The proof does not lead to the root: the leaf, the proof or the tree is not the one claimed.
    #[error("the Merkle proof does not hold")]
    ProofFailed,
    /// The text is not what its format says: refuse it.
    #[error("malformed {what}: {why}")]
    Malformed {
        /// Which format.
        what: &'static str,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// No signature is of the known key: another log, or another key.
    #[error("no signature by the known key {name}")]
    NotSigned {
        /// The known key's name.
        name: String,
    },
    /// A signature that claims the known key does not verify: the note was changed.
    #[error("the signature by {name} does not verify")]
    BadSignature {
        /// The known key's name.
        name: String,
    },
    /// The entry is longer than a bundle can carry: move the long part to a manifest object.
    #[error("an entry of {len} bytes is over the limit of 65535")]
    EntryTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The signed tree is not the tree of these leaves: the store is damaged; do not publish.
    #[error("the leaves do not hash to the signed root")]
    RootMismatch,
    /// The leaf breaks a rule of its schema.
    #[error("the leaf is not valid")]
    Leaf(#[from] LeafError),
}

impl JournalError {
    /// Wraps the error of a [`HashReader`](crate::HashReader) or of a reader of leaves.
    pub fn read(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Read(source.into())
    }

    pub(crate) fn malformed(what: &'static str, why: &'static str) -> Self {
        Self::Malformed { what, why }
    }
}
