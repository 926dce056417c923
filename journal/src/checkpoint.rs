//! Checkpoints, C2SP tlog-checkpoint v1.0.0: the head of a tree as a signed note.

use crate::error::JournalError;
use crate::hash::{Hash, empty_root};
use crate::note::{Signer, Verifier, is_name, open_note, sign_note};
use crate::stored::TREE_SIZE_MAX;

/// Longest origin of a log in bytes.
pub const ORIGIN_LEN_MAX: usize = 512;

/// Origin, size and root of a tree. Its text is these three lines; extension lines are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
}

impl Checkpoint {
    /// The head of the tree of `size` leaves.
    ///
    /// # Errors
    /// [`JournalError::Malformed`] if the origin is not a log's, the size is over
    /// [`TREE_SIZE_MAX`], or the root is not that of an empty tree though the size is 0.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, JournalError> {
        let malformed = |why| JournalError::malformed("checkpoint", why);
        if !is_origin(origin) {
            return Err(malformed("the origin is empty, too long, or has a space, control or plus"));
        }
        if size > TREE_SIZE_MAX {
            return Err(malformed("the size is over the limit"));
        }
        if size == 0 && root != empty_root() {
            return Err(malformed("the root of an empty tree is another"));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// Which log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// Reads the text of [`Checkpoint::text`]; only that one spelling.
    ///
    /// # Errors
    /// [`JournalError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, JournalError> {
        let malformed = |why| JournalError::malformed("checkpoint", why);
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), Some(""), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed("not the three lines origin, size, root"));
        };
        let size = parse_decimal(size).ok_or_else(|| malformed("the size is not a decimal number"))?;
        Self::new(origin, size, root.parse()?)
    }

    /// The signed note. The signer's name must be the origin.
    ///
    /// A log never signs two trees: the caller makes the note durable before anyone sees it.
    ///
    /// # Errors
    /// [`JournalError::Malformed`] if the key is of another log.
    pub fn sign(&self, signer: &Signer) -> Result<String, JournalError> {
        if signer.name() != self.origin {
            return Err(JournalError::malformed("checkpoint", "the signer's name is not the origin"));
        }
        sign_note(&self.text(), &[signer])
    }

    /// Checks a signed note against the log's key and reads it. The origin must be the key's name.
    ///
    /// # Errors
    /// As [`open_note`] and [`Checkpoint::parse`].
    pub fn open(note: &str, log: &Verifier) -> Result<Self, JournalError> {
        let checkpoint = Self::parse(&open_note(note, &[log])?.text)?;
        if checkpoint.origin != log.name() {
            return Err(JournalError::malformed("checkpoint", "the origin is not the key's name"));
        }
        Ok(checkpoint)
    }
}

/// Whether it may be the origin of a log: as a key's name, and at most [`ORIGIN_LEN_MAX`] bytes.
pub(crate) fn is_origin(origin: &str) -> bool {
    is_name(origin) && origin.len() <= ORIGIN_LEN_MAX
}

/// A decimal number without sign or leading zero.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
