//! Segments: the append-only files of a drive, and the records in them.
//!
//! One file per structure on disk: [`header`] opens a segment, [`record`] holds one shard of one
//! stripe, [`footer`] closes a sealed segment. [`shape`] says how a stripe is cut into cells, and
//! [`scan`] reads back a segment that a crash left open. Bytes: `docs/formats/segment.md`.

pub mod bytes;
pub mod checksum;
pub mod footer;
pub mod header;
pub mod location;
pub mod record;
pub mod scan;
pub mod shape;
pub mod stripe;

/// Records and footers start at multiples of this.
pub const BLOCK_BYTES: u64 = 4096;

/// Rounds up to a whole number of blocks.
pub const fn round_up_to_block(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

/// What in a segment was not as it was written, or not by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Shorter than the structure.
    #[error("cut short")]
    Short,
    /// Not the first bytes of this structure.
    #[error("no magic bytes")]
    Magic,
    /// Made by a newer version of Chartrier.
    #[error("format version {found}; this server reads up to {known}")]
    NewerVersion {
        /// On disk.
        found: u32,
        /// The newest that this code reads.
        known: u32,
    },
    /// The checksum does not match: a torn write or a damaged disk.
    #[error("checksum mismatch")]
    Checksum,
    /// It says that it belongs to another place: a misdirected or stale write.
    #[error("it belongs to another drive, segment or offset")]
    Misplaced,
    /// A field is out of its range.
    #[error("a field is out of range")]
    Range,
}
