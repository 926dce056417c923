//! Making the index of a drive anew while it serves, from the segments.
//!
//! A second store is filled beside the damaged one. From its first moment every change goes to both,
//! and what a change has touched is not filled in again. When all segments were read the second
//! store takes over, and a file says so to the next start.

use super::error::DriveError;
use super::index::IndexBatch;
use super::segments::segment_name;
use super::verify::{Pace, read_directory, read_header};
use super::{Drive, DriveCore};
use crate::error::chain;
use crate::failpoint::{Step, failpoint};
use crate::ids::{SegmentId, StripeId};
use crate::segment::footer::DirectoryEntry;
use crate::segment::record::RecordPlace;
use crate::segment::scan::{ScanError, scan_segment};

/// Entries that are filled in at once.
const FILL_BATCH_MAX: usize = 1024;

impl Drive {
    /// Makes the index anew and answers the shards in it. Reads and writes go on meanwhile. Blocking.
    ///
    /// Where the old index cannot say whether a record is still needed, `owned` is asked whether its stripe has
    /// an owner; of two records of one shard that of the newer segment holds.
    ///
    /// # Errors
    /// The old index stays in use; what failed may be tried again.
    pub fn rebuild_index(&self, owned: &dyn Fn(StripeId) -> bool, pace: &mut Pace<'_>) -> Result<u64, DriveError> {
        let core = &self.core;
        if !self.state().writes() {
            return Err(core.health.offline());
        }
        core.index.begin_rebuild(&*core.io)?;
        failpoint(Step::ReindexBegun);
        let rebuilt = fill(core, owned, pace);
        match rebuilt {
            Ok(shards) => {
                let rows = core.segments.rows();
                core.index.finish_rebuild(&*core.io, &rows)?;
                Ok(shards)
            }
            Err(error) => {
                core.index.abandon_rebuild();
                Err(error)
            }
        }
    }
}

fn fill(core: &DriveCore, owned: &dyn Fn(StripeId) -> bool, pace: &mut Pace<'_>) -> Result<u64, DriveError> {
    let mut shards = 0;
    for (_, id) in by_age(core) {
        let entries = match entries_of(core, id) {
            Ok(entries) => entries,
            Err(error) => {
                // Its shards are missing then, and are rebuilt from the other drives.
                core.counts.add_read_error();
                tracing::warn!(drive = %core.id, segment = %id, error = chain(&error), "a segment is left out of the index");
                continue;
            }
        };
        for chunk in entries.chunks(FILL_BATCH_MAX) {
            let mut batch = IndexBatch::default();
            for entry in chunk.iter().filter(|entry| is_needed(core, entry, owned)) {
                batch.put_shard(&entry.key, &entry.location);
                shards += 1;
            }
            core.index.fill(batch)?;
            failpoint(Step::ReindexFilled);
        }
        let bytes = entries.iter().map(|entry| 64 + 8 * entry.location.crcs.len() as u64).sum();
        if pace(bytes).is_break() {
            return Err(DriveError::Busy);
        }
    }
    Ok(shards)
}

/// The segments, oldest first: a repaired record is in a newer one than the record that it replaces.
fn by_age(core: &DriveCore) -> Vec<(u64, SegmentId)> {
    let created = |id| {
        let file = core.io.open(&segment_name(id)).ok()?;
        read_header(core, &*file, id).map(|header| header.created_us)
    };
    let mut ids: Vec<(u64, SegmentId)> =
        core.segments.ids().into_iter().map(|id| (created(id).unwrap_or(0), id)).collect();
    ids.sort();
    ids
}

fn entries_of(core: &DriveCore, id: SegmentId) -> Result<Vec<DirectoryEntry>, ScanError> {
    let file = core.io.open(&segment_name(id))?;
    if let Some(entries) = core.segments.is_sealed(id).then(|| read_directory(&*file, id)).flatten() {
        return Ok(entries);
    }
    let place = RecordPlace { cluster: core.cluster, drive: core.id, segment: id, offset: 0 };
    Ok(scan_segment(&*file, &place)?.directory)
}

fn is_needed(core: &DriveCore, entry: &DirectoryEntry, owned: &dyn Fn(StripeId) -> bool) -> bool {
    match core.index.shard(&entry.key) {
        Ok(found) => found.as_ref() == Some(&entry.location),
        Err(_) => owned(entry.key.stripe),
    }
}
