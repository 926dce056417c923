//! Where a drive tells of shards that cannot be read back as they were written.

use crate::ids::{DriveId, SegmentId};
use crate::segment::location::ShardKey;

/// A shard whose record is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRecord {
    /// The drive that holds it.
    pub drive: DriveId,
    /// The segment that it is in, and that stays until the shard is elsewhere.
    pub segment: SegmentId,
    /// The shard.
    pub key: ShardKey,
    /// Bytes of its record.
    pub record_bytes: u32,
    /// What is wrong with it, for people.
    pub why: String,
}

/// Takes note of damaged shards, to have them rebuilt.
pub trait DamageSink: Send + Sync {
    /// Called by a thread of the drive, once for each time that a shard is met. Does not wait.
    fn damaged(&self, record: DamagedRecord);
}
