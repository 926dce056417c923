//! Records that a crash tore before they were acknowledged.
//!
//! A start reads back every record whose head is good, and compaction is the first to read its cells. If they are
//! not as they were written, either the disk has damaged a record that was acknowledged, or the record is of a write
//! that a crash cut short. The first has an owner: the mender rebuilds it, and it stays until then. The second
//! has none and cannot get one any more, so it need not reach the age of an orphan to go: it lies in
//! a segment that was there before the drive was opened, its blob was begun before the engine was, nobody in this
//! process has the blob in hand, and no entry of the log names it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Engine;
use super::orphans::{OrphanReport, follow_log, free_shards, interrupted, is_nobodys};
use crate::drive::Drive;
use crate::error::StorageError;
use crate::ids::{DriveId, SegmentId};
use crate::segment::location::ShardKey;

/// Torn records of one drive.
struct Torn {
    drive: Arc<Drive>,
    /// With the bytes of their records.
    shards: Vec<(ShardKey, u64)>,
    segments: Vec<SegmentId>,
}

impl Engine {
    /// Frees those of the damaged records that were never acknowledged. What else has no owner is left to
    /// the walk for orphans, and to the queue of the dead.
    ///
    /// # Errors
    /// The index, or that of a drive, cannot be read, or a drive went away: the records stay.
    pub(crate) async fn free_torn(self: &Arc<Self>, damaged: Vec<(DriveId, ShardKey)>) -> Result<(), StorageError> {
        // In this order, as for orphans: writers, then the log, then the owner.
        let unwritten = damaged.into_iter().filter(|(_, key)| !self.blobs.is_written(key.stripe)).collect();
        follow_log(self).await?;
        let engine = self.clone();
        let found = tokio::task::spawn_blocking(move || engine.torn(unwritten)).await;
        for Torn { drive, shards, segments } in found.map_err(|_| interrupted())?? {
            for (shard, bytes) in &shards {
                tracing::info!(drive = %drive.id(), ?shard, bytes, "a record torn before it was acknowledged is freed");
            }
            free_shards(self, &drive, shards, &mut OrphanReport::default()).await?;
            segments.into_iter().for_each(|segment| drive.let_compact(segment));
        }
        Ok(())
    }

    /// Those that were written before this engine was opened and that nobody owns, by drive. Blocking.
    fn torn(&self, damaged: Vec<(DriveId, ShardKey)>) -> Result<Vec<Torn>, StorageError> {
        let mut by_drive: BTreeMap<DriveId, Torn> = BTreeMap::new();
        for (id, key) in damaged {
            let Some(drive) = self.blobs.drive(id).filter(|drive| drive.state().writes()) else { continue };
            // What cannot be located, or was freed meanwhile, is not freed here.
            let Ok(Some(location)) = drive.locate(key.stripe, key.shard) else { continue };
            let is_old = key.stripe.time_ms().saturating_mul(1000) < self.reclaim.opened_us;
            if !is_old || !drive.is_from_before(location.segment) || !is_nobodys(self, key.stripe)? {
                continue;
            }
            let torn = by_drive.entry(id).or_insert_with(|| Torn { drive, shards: Vec::new(), segments: Vec::new() });
            torn.shards.push((key, u64::from(location.record_bytes)));
            torn.segments.push(location.segment);
        }
        Ok(by_drive.into_values().collect())
    }
}
