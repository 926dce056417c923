//! What a drive holds, as its index and the table of its segments know it.

use std::collections::HashMap;

use super::Drive;
use super::error::DriveError;
use super::index::IndexBatch;
use crate::ids::{SegmentId, StripeId};
use crate::segment::location::{ShardKey, ShardLocation};

impl Drive {
    /// Up to `limit` shards in order, after `after`, and where they lie. Reads the index: may wait for the disk.
    pub fn shards(&self, after: Option<&ShardKey>, limit: usize) -> Result<Vec<(ShardKey, ShardLocation)>, DriveError> {
        if !self.state().reads() {
            return Err(self.core.health.offline());
        }
        self.core.index.shards(after, limit)
    }

    /// The sealed segments: no entry of the index ever points into one that did not before.
    pub fn sealed_segments(&self) -> Vec<SegmentId> {
        self.core.segments.rows().into_iter().filter(|(_, row)| row.sealed).map(|(id, _)| id).collect()
    }

    /// Takes what a walk over the whole index found live in segments that were sealed when it began:
    /// what else they hold is dead, though nothing counted it.
    pub fn note_live(&self, live_bytes: &HashMap<SegmentId, u64>) -> Result<(), DriveError> {
        let _rows = self.core.index.lock_rows();
        let mut batch = IndexBatch::default();
        for (id, row) in self.core.segments.rows() {
            let Some(live) = live_bytes.get(&id) else { continue };
            let dead_bytes = row.stored_bytes.saturating_sub(*live);
            if let Some(row) = self.core.segments.raise_dead(id, dead_bytes) {
                batch.put_segment(id, &row);
            }
        }
        Ok(self.core.index.write(batch)?)
    }

    /// Where a shard lies, or `None` if the index does not know it.
    pub fn locate(&self, stripe: StripeId, shard: u8) -> Result<Option<ShardLocation>, DriveError> {
        if !self.state().reads() {
            return Err(self.core.health.offline());
        }
        self.core.index.shard(&ShardKey { stripe, shard })
    }

    /// Of a thousand bytes that are free or hold records, how many are free; `None` if the drive does not say.
    pub fn free_permille(&self) -> Option<u64> {
        let free = u128::from(self.core.io.free_bytes().ok()?);
        let space = free + u128::from(self.core.segments.usage().stored_bytes);
        u64::try_from((free * 1000).checked_div(space)?).ok()
    }

    /// Whether a segment is one of this drive's.
    pub fn has_segment(&self, segment: SegmentId) -> bool {
        self.core.segments.has(segment)
    }

    /// Whether a segment was there when the drive was opened: what is in it was written by a process, or while the
    /// drive was open another time, that is over.
    pub fn is_from_before(&self, segment: SegmentId) -> bool {
        self.core.segments.is_from_before(segment)
    }

    /// Whether a sync of a segment failed since the drive was opened: what the index names in it may be read, and may
    /// be gone after a power cut. It belongs in another segment.
    pub fn is_doubtful(&self, segment: SegmentId) -> bool {
        self.core.segments.is_poisoned(segment)
    }
}
