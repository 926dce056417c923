//! Proof files, `c2sp.org/tlog-proof@v1`: that a leaf is in a signed tree, in one small text.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of the leaf>
//! index <n>
//! <base64 hash>            zero or more, the leaf's sibling first
//!
//! <checkpoint, verbatim>
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, parse_decimal};
use crate::error::JournalError;
use crate::hash::{Hash, leaf_hash};
use crate::note::{NOTE_LEN_MAX, Verifier};
use crate::proof::{check_record, prove_record};
use crate::stored::HashReader;

/// Longest proof file in bytes.
pub const PROOF_LEN_MAX: usize = NOTE_LEN_MAX + (128 << 10);

/// Most hashes of an inclusion proof: the height of the largest tree.
const HASHES_MAX: usize = 60;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The leaf itself: our proofs carry it here, so that one file is enough. Nothing vouches for it
    /// before [`Proof::verify`] hashed it.
    pub extra: Option<Vec<u8>>,
    /// Index of the leaf in the log.
    pub index: u64,
    /// The inclusion proof.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

impl Proof {
    /// Makes the proof of leaf `index` in the tree of a signed checkpoint.
    ///
    /// `log` is the log's own key: a proof is made only for a checkpoint that opens, and the finished proof
    /// is verified before it is answered.
    ///
    /// # Errors
    /// The reader's; [`JournalError::OutsideTree`] if the checkpoint does not cover the leaf yet;
    /// [`JournalError::ProofFailed`] if the stored hashes are not those of the signed tree.
    pub fn make(
        index: u64,
        leaf: Vec<u8>,
        checkpoint_note: &str,
        log: &Verifier,
        reader: &impl HashReader,
    ) -> Result<Self, JournalError> {
        let checkpoint = Checkpoint::open(checkpoint_note, log)?;
        let hashes = prove_record(checkpoint.size(), index, reader)?;
        let proof = Self { extra: Some(leaf), index, hashes, checkpoint: checkpoint_note.to_owned() };
        proof.verify(proof.extra.as_deref().unwrap_or_default(), log)?;
        Ok(proof)
    }

    /// The text of the file.
    pub fn encode(&self) -> String {
        let extra = self.extra.as_ref().map_or_else(String::new, |extra| format!("extra {}\n", STANDARD.encode(extra)));
        let hashes: String = self.hashes.iter().map(|hash| format!("{hash}\n")).collect();
        format!("{HEADER}\n{extra}index {}\n{hashes}\n{}", self.index, self.checkpoint)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`JournalError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, JournalError> {
        let malformed = |why| JournalError::malformed("proof", why);
        if text.len() > PROOF_LEN_MAX {
            return Err(malformed("too long"));
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or_else(|| malformed("no empty line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(malformed("it does not start with c2sp.org/tlog-proof@v1"));
        }
        let extra = match lines.next_if(|line| line.starts_with("extra ")) {
            Some(line) => Some(STANDARD.decode(&line[6..]).map_err(|_| malformed("extra is not base64"))?),
            None => None,
        };
        let index = lines.next().and_then(|line| parse_decimal(line.strip_prefix("index ")?));
        let index = index.ok_or_else(|| malformed("no index line"))?;
        let mut hashes = Vec::new();
        for line in lines {
            if hashes.len() == HASHES_MAX {
                return Err(malformed("more hashes than a tree is high"));
            }
            hashes.push(line.parse()?);
        }
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that `entry` is the leaf at the index in the tree that the log signed.
    ///
    /// # Errors
    /// [`JournalError::ProofFailed`], [`JournalError::OutsideTree`], and as [`Checkpoint::open`].
    pub fn verify(&self, entry: &[u8], log: &Verifier) -> Result<Checkpoint, JournalError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, log)?;
        check_record(&self.hashes, checkpoint.size(), &checkpoint.root(), self.index, &leaf_hash(entry))?;
        Ok(checkpoint)
    }
}
