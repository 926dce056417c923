//! The segment that takes the live records of others.
//!
//! Until it is whole, closed and synced it has a name that no start takes for a segment.

use std::io::IoSlice;
use std::sync::Arc;

use super::super::DriveCore;
use super::super::error::DriveError;
use super::super::index::SegmentRow;
use super::super::metrics::DataMetrics;
use super::super::segments::{segment_name, unfinished_name};
use super::write_error;
use crate::failpoint::{Step, failpoint};
use crate::ids::SegmentId;
use crate::io::{DriveFile, Fill};
use crate::segment::footer::{DirectoryEntry, encode_footer};
use crate::segment::header::{SegmentClass, SegmentHeader};
use crate::segment::location::{LOCATION_BYTES_MAX, ShardKey, ShardLocation};
use crate::segment::record::{RECORD_HEADER_BYTES, RecordPlace, rehome_record_head};
use crate::segment::{BLOCK_BYTES, round_up_to_block};

/// Copied bytes that wait for a sync at most: one long sync would hold up the writers' short ones.
const UNSYNCED_BYTES_MAX: u64 = 8 << 20;
/// One entry of a directory.
const ENTRY_BYTES_MAX: u64 = 17 + LOCATION_BYTES_MAX as u64;

/// Bytes of a file for `count` records of `bytes` in all.
fn output_bytes(count: u64, bytes: u64) -> u64 {
    2 * BLOCK_BYTES + bytes + round_up_to_block(count * ENTRY_BYTES_MAX)
}

/// The most that the records of a segment can take in another.
pub(super) fn output_bytes_max(row: &SegmentRow) -> u64 {
    let live = row.live_bytes();
    output_bytes(live / BLOCK_BYTES, live)
}

/// A segment being filled.
pub(super) struct Output<'a> {
    core: &'a DriveCore,
    id: SegmentId,
    file: Arc<dyn DriveFile>,
    written_us: u64,
    cursor: u64,
    unsynced: u64,
    directory: Vec<DirectoryEntry>,
    headers: blake3::Hasher,
}

impl<'a> Output<'a> {
    /// Reserves the file.
    pub(super) fn create(core: &'a DriveCore, count: usize, bytes: u64, written_us: u64) -> Result<Self, DriveError> {
        let id = SegmentId::from_bytes(core.env.random_bytes());
        let reserved_bytes = output_bytes(count as u64, bytes);
        let file = core.io.create(&unfinished_name(id), reserved_bytes, Fill::Allocate);
        let file = file.map_err(|error| write_error(core, "creation of a segment", error))?;
        let header = SegmentHeader {
            cluster: core.cluster,
            drive: core.id,
            segment: id,
            class: SegmentClass::Data,
            reserved_bytes,
            created_us: core.env.clock.now_us(),
        };
        let (directory, headers) = (Vec::with_capacity(count), blake3::Hasher::new());
        let output = Self { core, id, file, written_us, cursor: BLOCK_BYTES, unsynced: 0, directory, headers };
        match output.file.write_at(0, &[IoSlice::new(&header.encode())]) {
            Ok(()) => Ok(output),
            Err(error) => Err(output.fail("write of a segment header", error)),
        }
    }

    /// Adds a verified record, and tells where it is now.
    pub(super) fn append(
        &mut self,
        key: &ShardKey,
        from: &ShardLocation,
        record: &mut [u8],
    ) -> Result<ShardLocation, DriveError> {
        let core = self.core;
        let place = RecordPlace { cluster: core.cluster, drive: core.id, segment: self.id, offset: self.cursor };
        rehome_record_head(record, &place)?;
        let written = self.file.write_at(self.cursor, &[IoSlice::new(record)]);
        written.map_err(|error| write_error(core, "write of a record", error))?;
        let location = ShardLocation { segment: self.id, record_offset: self.cursor, ..from.clone() };
        self.headers.update(&record[..RECORD_HEADER_BYTES + 8 * location.crcs.len()]);
        self.directory.push(DirectoryEntry { key: *key, location: location.clone() });
        self.cursor += record.len() as u64;
        self.unsynced += record.len() as u64;
        DataMetrics::add(&core.metrics.bytes_written, record.len() as u64);
        failpoint(Step::CompactionCopied);
        if self.unsynced >= UNSYNCED_BYTES_MAX {
            self.sync()?;
        }
        Ok(location)
    }

    /// Closes the segment, makes it durable under its name; answers its row, nothing dead, and its length.
    pub(super) fn finish(mut self) -> Result<(SegmentId, SegmentRow, u64), DriveError> {
        let headers_hash = *self.headers.finalize().as_bytes();
        let footer = encode_footer(self.id, self.cursor, &self.directory, headers_hash);
        let file_bytes = self.cursor + footer.len() as u64;
        let closed = self
            .file
            .write_at(self.cursor, &[IoSlice::new(&footer)])
            .and_then(|()| self.file.set_len(file_bytes))
            .and_then(|()| self.file.sync_data());
        if let Err(error) = closed {
            return Err(self.fail("close of a compacted segment", error));
        }
        // Syncs of a removed directory succeed: nobody may believe them.
        self.core.check_alive()?;
        DataMetrics::add(&self.core.metrics.syncs, 1);
        failpoint(Step::CompactionSynced);
        if let Err(error) = self.core.io.rename(&unfinished_name(self.id), &segment_name(self.id)) {
            return Err(self.fail("naming of a compacted segment", error));
        }
        failpoint(Step::CompactionNamed);
        DataMetrics::add(&self.core.metrics.bytes_written, footer.len() as u64 + BLOCK_BYTES);
        DataMetrics::add(&self.core.metrics.segments_created, 1);
        DataMetrics::add(&self.core.metrics.segments_sealed, 1);
        let stored_bytes = self.cursor - BLOCK_BYTES;
        self.directory.clear();
        let row = SegmentRow { sealed: true, stored_bytes, written_us: self.written_us, ..SegmentRow::default() };
        Ok((self.id, row, file_bytes))
    }

    /// Gives the file up.
    pub(super) fn discard(self) {
        // Left behind, it is removed at the next start.
        let _ = self.core.io.remove(&unfinished_name(self.id));
    }

    fn sync(&mut self) -> Result<(), DriveError> {
        self.unsynced = 0;
        DataMetrics::add(&self.core.metrics.syncs, 1);
        self.file.sync_data().map_err(|error| write_error(self.core, "sync of a compacted segment", error))
    }

    fn fail(self, op: &'static str, error: std::io::Error) -> DriveError {
        let error = write_error(self.core, op, error);
        self.discard();
        error
    }
}
