//! One page of health.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::drives::{Drive, Moves};

/// What `GET /status` answers: one page of health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `ready`, `degraded` while something that was there is missing, or `read-only` after a failed sync.
    pub state: String,
    /// Why writes are refused, if they are.
    pub reason: Option<String>,
    /// The program's.
    pub version: String,
    /// The installation's id.
    pub cluster: String,
    /// As configured.
    pub tenant: String,
    /// As configured.
    pub node: String,
    /// As configured.
    pub region: String,
    /// Data and parity columns, `4+2`.
    pub erasure: String,
    /// How many there are.
    pub buckets: usize,
    /// How many there are, root included.
    pub users: usize,
    /// The `cycle` log.
    pub journal: JournalStatus,
    /// The commit log.
    pub log: LogStatus,
    /// Shards that degraded writes left to be healed.
    pub shards_to_heal: u64,
    /// What is being repaired, and what was since the start.
    pub repair: RepairStatus,
    /// Where scrub stands.
    pub scrub: ScrubSummary,
    /// Whether every shard is known to be on the drive where it belongs.
    pub settled: bool,
    /// As `GET /drives`.
    pub moves: Option<Moves>,
    /// The space of what was deleted.
    pub reclaim: ReclaimStatus,
    /// Small objects and parts, which are packed together.
    pub packing: PackStatus,
    /// As `GET /drives`.
    pub drives: Vec<Drive>,
}

/// The part of [`Status`] that tells of space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReclaimStatus {
    /// Data segments on all drives.
    pub segments: u64,
    /// Bytes of records that something owns.
    pub live_bytes: u64,
    /// Bytes of records that nothing owns any more.
    pub dead_bytes: u64,
    /// Runs of deleted versions that wait for readers.
    pub waiting_runs: u64,
    /// Bytes that removed segments gave back since the start.
    pub reclaimed_bytes: u64,
    /// Bytes that compaction copied since the start.
    pub compacted_bytes: u64,
    /// Bytes of shards that nobody owned, freed since the start.
    pub orphan_bytes: u64,
    /// Segments kept for a damaged record until it is rebuilt.
    pub blocked_segments: u64,
    /// End of the last look at the segments, RFC 3339; none before the first.
    pub compacted: Option<String>,
    /// End of the last walk for orphans, RFC 3339; none before the first.
    pub walked: Option<String>,
}

/// The part of [`Status`] that tells of small objects and parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackStatus {
    /// Kept as whole copies until they are packed.
    pub waiting: u64,
    /// Their sealed bytes, each counted once.
    pub waiting_bytes: u64,
    /// Packs.
    pub packs: u64,
    /// Bytes in them, parity left out.
    pub packed_bytes: u64,
    /// Objects and parts in them that something names.
    pub members: u64,
    /// Their sealed bytes.
    pub live_bytes: u64,
    /// Put into packs since the start.
    pub packed_since_start: u64,
}

/// The journal's part of [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStatus {
    /// The log's name.
    pub origin: String,
    /// Leaves in it.
    pub leaves: u64,
    /// Leaves under the last signed checkpoint.
    pub signed_leaves: u64,
}

/// The commit log's part of [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStatus {
    /// Grows at each change of the mirrors.
    pub epoch: u64,
    /// Grows at each start.
    pub term: u64,
    /// Last entry durable on every live mirror.
    pub durable_index: u64,
    /// Live mirrors.
    pub mirrors: usize,
    /// Mirrors aimed for.
    pub mirrors_wanted: usize,
    /// Bytes that a restart would read from each mirror.
    pub live_bytes: u64,
}

/// Repair's part of [`Status`]; all but what waits counts from the start of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairStatus {
    /// Stripes in the queue.
    pub queued_stripes: u64,
    /// Those by the shards that they could still lose when they were queued: 0, 1, 2, 3, and more.
    pub queued_by_redundancy: [u64; 5],
    /// Stripes whose repair failed and is tried again: a drive is full or takes no writes.
    pub waiting_stripes: u64,
    /// Shards rebuilt.
    pub repaired_shards: u64,
    /// Bytes of their cells.
    pub repaired_bytes: u64,
    /// Files, or parts of files, written again.
    pub repaired_files: u64,
    /// Stripes found with too few good shards: their objects are damaged beyond repair.
    pub lost_stripes: u64,
}

/// Scrub's part of [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubSummary {
    /// Findings since the start, by kind.
    pub found: BTreeMap<String, u64>,
    /// When each drive was last checked whole, RFC 3339; drives that never were are left out.
    pub drives: BTreeMap<String, String>,
    /// Stripes by the shards that they can still lose, by the last walk over all of them: unreadable, 0, 1, 2, 3, and
    /// more. All zero before the first walk.
    pub stripes_by_redundancy: [u64; 6],
    /// What scrub fails to check whole in the background; empty when all is well.
    pub failing: Vec<ScrubFailing>,
}

/// Something that scrub fails to check whole: it is tried again later and later, at last once a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubFailing {
    /// The drive's id; null for what is not data: the index, the log, the checkpoints.
    pub drive: Option<String>,
    /// Passes that failed, one after the other.
    pub times: u32,
    /// When the first of them ended, RFC 3339.
    pub since: String,
    /// When it is tried again, RFC 3339.
    pub retry: String,
    /// What the last one said.
    pub reason: String,
}
