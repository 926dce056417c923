//! Verification of one proof file.

use std::fmt;

use super::{VerifyError, check_leaf};
use crate::checkpoint::Checkpoint;
use crate::leaf::Leaf;
use crate::note::Verifier;
use crate::time::format_time;
use crate::tlog_proof::Proof;

/// What was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedProof {
    /// The leaf that is in the log.
    pub leaf: Leaf,
    /// The signed head whose tree it is in.
    pub checkpoint: Checkpoint,
    /// The key that signed it.
    pub key: Verifier,
}

impl fmt::Display for VerifiedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (origin, event, seq) = (self.checkpoint.origin().escape_debug(), self.leaf.event.name(), self.leaf.seq);
        let (time, size, key) =
            (format_time(self.leaf.time_us).unwrap_or_default(), self.checkpoint.size(), self.key.key_id_hex());
        write!(f, "ok: {origin}: leaf {seq} ({event} at {time}) is in the tree of {size} leaves signed by key {key}")
    }
}

/// Checks a proof file: the leaf is a valid one, and is at its index in a tree that the log signed.
///
/// `entry` is the leaf, if known from elsewhere; else the proof must carry it. When both are there they must
/// be equal.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify_proof(text: &str, entry: Option<&[u8]>, log: &Verifier) -> Result<VerifiedProof, VerifyError> {
    let proof = Proof::parse(text).map_err(VerifyError::invalid("proof"))?;
    let entry = match (proof.extra.as_deref(), entry) {
        (None, None) => return Err(VerifyError::NoEntry),
        (Some(own), Some(given)) if own != given => return Err(VerifyError::OtherEntry),
        (_, Some(entry)) | (Some(entry), None) => entry,
    };
    let checkpoint = proof.verify(entry, log).map_err(VerifyError::invalid("proof"))?;
    let leaf = check_leaf(entry, proof.index, checkpoint.origin())?;
    Ok(VerifiedProof { leaf, checkpoint, key: log.clone() })
}
