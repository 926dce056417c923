//! What the engine tells the log of damage, of its repair, and of the passes that look for it.
//!
//! Stripes are named by id: it says nothing of their content. Every list has a limit that apply
//! enforces, so that a leaf never outgrows its 65,535 bytes.

use serde::{Deserialize, Serialize};

use super::command::MissingShard;
use super::rows::StripeRun;
use crate::ids::DriveId;

/// Stripes in one [`Repair`].
pub const REPAIR_STRIPES_MAX: usize = 48;
/// Files in one [`Repair`].
pub const REPAIR_FILES_MAX: usize = 16;
/// Heal rows that one [`Repair`] clears.
pub const REPAIR_HEALED_MAX: usize = 4096;
/// Shards that one [`Corruption`] lists; those beyond are only counted.
pub const CORRUPTION_SHARDS_MAX: usize = 256;
/// Longest name of a place or scope, in bytes.
pub const PLACE_BYTES_MAX: usize = 256;
/// Drives that one [`ScrubPass`] marks.
pub const SCRUB_DRIVES_MAX: usize = 64;

/// What was rebuilt and is durable again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Shards, by stripe. Those of a run without an owner are not journalled: the run is freed.
    pub stripes: Vec<StripeRepair>,
    /// Files, or parts of files, that were written again.
    pub files: Vec<FileRepair>,
    /// Shards that are no longer missing, whoever healed them: their heal rows go.
    pub healed: Vec<MissingShard>,
}

/// The shards of one stripe that were rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripeRepair {
    /// The run that it belongs to.
    pub run: StripeRun,
    /// Which stripe of the run.
    pub stripe_index: u32,
    /// At most as many as the stripe has shards.
    pub shards: Vec<RepairedShard>,
}

/// One shard that was rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairedShard {
    /// 0..k+m.
    pub shard_index: u8,
    /// Where it is now.
    pub drive: DriveId,
    /// What was wrong.
    pub fault: ShardFault,
    /// Bytes of its cells.
    pub bytes: u32,
}

/// What was wrong with a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShardFault {
    /// The drive where it belongs did not hold it.
    Missing,
    /// Its header or a cell did not match its checksum, or could not be read.
    Damaged,
    /// Its cells matched their checksums and were not of the stripe that was written.
    Mismatched,
}

/// A file, or a part of one, that was written again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRepair {
    /// What it is.
    pub kind: CorruptionKind,
    /// The drive that holds it; `None` in the data directory.
    pub drive: Option<DriveId>,
    /// Its name on the drive.
    pub place: String,
    /// Bytes written.
    pub bytes: u64,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in leaves, reports and metrics.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

words! {
    /// What was found damaged or missing.
    CorruptionKind {
        /// Header or cell of a shard that a stripe needs.
        Shard = "shard",
        /// A shard that its drive does not hold.
        ShardMissing = "shard-missing",
        /// First block of a segment.
        SegmentHeader = "segment-header",
        /// Directory or trailer of a sealed segment.
        SegmentFooter = "segment-footer",
        /// A whole segment.
        SegmentMissing = "segment-missing",
        /// An entry or the header of a log segment on one mirror.
        LogSegment = "log-segment",
        /// A manifest or a file of a checkpoint on one mirror.
        Checkpoint = "checkpoint",
        /// One of the two copies of a drive's superblock.
        Superblock = "superblock",
        /// The index of a drive.
        DriveIndex = "drive-index",
        /// The index of the namespace, in the data directory.
        Index = "index",
        /// Cells that match their checksums but are not of one codeword.
        Parity = "parity",
        /// A stripe with fewer than k good shards.
        StripeLost = "stripe-lost",
    }
}

words! {
    /// Who met the damage.
    FoundBy {
        /// A scrub pass.
        Scrub = "scrub",
        /// A client's read.
        Read = "read",
        /// The compaction of a segment.
        Compaction = "compaction",
        /// A repair of something else.
        Repair = "repair",
    }
}

/// Damage of one kind in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corruption {
    /// What.
    pub kind: CorruptionKind,
    /// Who met it.
    pub found_by: FoundBy,
    /// The drive; `None` in the data directory, and for a stripe as a whole.
    pub drive: Option<DriveId>,
    /// The file on the drive; empty when it is not one file.
    pub place: String,
    /// How many records, entries, rows or files.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The shards concerned, the first [`CORRUPTION_SHARDS_MAX`] of them.
    pub shards: Vec<MissingShard>,
}

/// One pass of scrub that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubPass {
    /// What was asked for: `all`, `drive`, `bucket`, `object`, `index`.
    pub scope: String,
    /// Unix time in microseconds.
    pub began_us: u64,
    /// Unix time in microseconds.
    pub ended_us: u64,
    /// Drives that were checked whole: their scrub age starts anew.
    pub drives: Vec<DriveId>,
    /// What was checked.
    pub checked: ScrubCounts,
    /// What was found, by kind, each kind once.
    pub found: Vec<(CorruptionKind, u64)>,
    /// Shards and files that the pass had mended before it ended.
    pub repaired: u64,
    /// Their bytes.
    pub repaired_bytes: u64,
    /// Findings that were not mended when the pass ended.
    pub unrepaired: u64,
    /// Whether all that was asked for was checked.
    pub complete: bool,
}

/// What a pass of scrub checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubCounts {
    /// Data segments.
    pub segments: u64,
    /// Records that a stripe needs.
    pub records: u64,
    /// Bytes read from segments.
    pub bytes: u64,
    /// Records in the drives' indexes that nobody owns (yet, or any more): left to garbage collection.
    pub unowned_records: u64,
    /// Stripes of the namespace whose shards were looked for.
    pub stripes: u64,
    /// Stripes whose parity was computed again and compared.
    pub parity_stripes: u64,
    /// Log segments, one for each mirror.
    pub log_segments: u64,
    /// Manifests and files of checkpoints, for each mirror.
    pub checkpoint_files: u64,
    /// Copies of superblocks.
    pub superblocks: u64,
    /// Rows of the drives' indexes and of the namespace.
    pub index_rows: u64,
}

impl ScrubCounts {
    /// Name and value of each count, as leaves and reports show them.
    pub fn named(&self) -> [(&'static str, u64); 10] {
        [
            ("segments", self.segments),
            ("records", self.records),
            ("bytes", self.bytes),
            ("unowned_records", self.unowned_records),
            ("stripes", self.stripes),
            ("parity_stripes", self.parity_stripes),
            ("log_segments", self.log_segments),
            ("checkpoint_files", self.checkpoint_files),
            ("superblocks", self.superblocks),
            ("index_rows", self.index_rows),
        ]
    }

    /// Adds what another part of the pass checked.
    pub fn add(&mut self, other: &Self) {
        self.segments += other.segments;
        self.records += other.records;
        self.bytes += other.bytes;
        self.unowned_records += other.unowned_records;
        self.stripes += other.stripes;
        self.parity_stripes += other.parity_stripes;
        self.log_segments += other.log_segments;
        self.checkpoint_files += other.checkpoint_files;
        self.superblocks += other.superblocks;
        self.index_rows += other.index_rows;
    }
}

/// When a drive was last checked whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubMark {
    /// Unix time in microseconds.
    pub began_us: u64,
    /// Unix time in microseconds.
    pub ended_us: u64,
}
