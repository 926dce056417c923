//! What a drive does when it is opened: every segment that is not known to be sealed is read
//! back, indexed and sealed.
//!
//! After `kill -9` the records are in the page cache, maybe not on the disk: sealing syncs them.
//! After a power cut some may be torn: their cells fail their checksums and are rebuilt from the
//! other drives, and nothing torn was ever acknowledged.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::sync::Arc;

use super::DriveCore;
use super::error::DriveOpenError;
use super::index::{IndexBatch, SegmentRow};
use super::metrics::DataMetrics;
use super::segments::{SEGMENTS_DIR, parse_segment_name, segment_name};
use crate::ids::SegmentId;
use crate::io::DriveFile;
use crate::segment::footer::{DirectoryEntry, encode_footer};
use crate::segment::location::ShardLocation;
use crate::segment::record::RecordPlace;
use crate::segment::scan::{ScanError, ScannedSegment, read_header, scan_segment};
use crate::segment::{BLOCK_BYTES, FormatError};

/// Entries of one index batch.
const INDEX_BATCH_MAX: usize = 1024;

/// Brings index and segments together.
pub(super) fn recover(core: &DriveCore) -> Result<(), DriveOpenError> {
    let listed = core.io.list(SEGMENTS_DIR).map_err(|source| DriveOpenError::Io { op: "list segments", source })?;
    let mut rows: HashMap<SegmentId, SegmentRow> = core.index.segments()?.into_iter().collect();
    let mut unsealed = Vec::new();
    for id in listed.iter().filter_map(|file| parse_segment_name(&file.name)) {
        match rows.remove(&id) {
            Some(row) if row.sealed => core.segments.set_row(id, row),
            _ => unsealed.push((created_us(core, id), id)),
        }
    }
    // Of two records of one shard the one in the newer segment holds: it was written in the place of the other.
    unsealed.sort();
    for (created_us, id) in unsealed {
        recover_segment(core, id, created_us)?;
    }
    // Rows whose file is gone: their shards are rebuilt from other drives when they are read.
    let mut gone = IndexBatch::default();
    rows.keys().for_each(|id| gone.delete_segment(*id));
    if !gone.is_empty() {
        tracing::warn!(drive = %core.id, segments = gone.len(), "segments are missing from the drive");
    }
    Ok(core.index.write(gone)?)
}

fn recover_segment(core: &DriveCore, id: SegmentId, created_us: u64) -> Result<(), DriveOpenError> {
    match read_segment(core, id) {
        Ok(Some((file, scanned))) => adopt(core, (id, created_us), &*file, scanned),
        Ok(None) => {
            // Reserved and never written to.
            let removed = core.io.remove(&segment_name(id));
            removed.map_err(|source| DriveOpenError::Io { op: "remove an empty segment", source })
        }
        Err(ScanError::Header(FormatError::NewerVersion { found, known })) => {
            Err(DriveOpenError::NewerFormat { found, known })
        }
        Err(error) => {
            // One unreadable segment is a loss of shards, not of the drive.
            core.counts.add_read_error();
            tracing::error!(drive = %core.id, segment = %id, %error, "cannot read a segment back");
            Ok(())
        }
    }
}

/// When a segment was begun; 0 if it does not say, or is gone.
fn created_us(core: &DriveCore, id: SegmentId) -> u64 {
    let file = core.io.open(&segment_name(id)).ok();
    file.and_then(|file| super::verify::read_header(core, &*file, id)).map_or(0, |header| header.created_us)
}

/// The file of a segment, and what is in it.
type Found = (Arc<dyn DriveFile>, ScannedSegment);

/// Reads a segment back; `None` if it holds nothing.
fn read_segment(core: &DriveCore, id: SegmentId) -> Result<Option<Found>, ScanError> {
    let file = core.io.open(&segment_name(id))?;
    match read_header(&*file) {
        // The records say whose they are too: a damaged header loses nothing.
        Ok(_) | Err(ScanError::Header(FormatError::Magic | FormatError::Checksum | FormatError::Short)) => {}
        Err(error) => return Err(error),
    }
    if is_blank(&*file)? {
        return Ok(None);
    }
    let place = RecordPlace { cluster: core.cluster, drive: core.id, segment: id, offset: 0 };
    let scanned = scan_segment(&*file, &place)?;
    Ok((!scanned.directory.is_empty()).then_some((file, scanned)))
}

/// Whether neither the header nor the first record was ever written: a spare, not worth a search.
fn is_blank(file: &dyn DriveFile) -> io::Result<bool> {
    let mut start = vec![0; 2 * BLOCK_BYTES as usize];
    match file.read_at(0, &mut start) {
        Ok(()) => Ok(start.iter().all(|byte| *byte == 0)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Indexes the records of a segment, closes it, and marks it sealed: in this order.
fn adopt(
    core: &DriveCore,
    (id, created_us): (SegmentId, u64),
    file: &dyn DriveFile,
    scanned: ScannedSegment,
) -> Result<(), DriveOpenError> {
    let mut stored_bytes = 0;
    for chunk in scanned.directory.chunks(INDEX_BATCH_MAX) {
        let mut batch = IndexBatch::default();
        for DirectoryEntry { key, location } in chunk {
            let newer =
                |known: &ShardLocation| known.segment != id && self::created_us(core, known.segment) > created_us;
            if !matches!(core.index.shard(key), Ok(Some(known)) if newer(&known)) {
                batch.put_shard(key, location);
            }
            stored_bytes += u64::from(location.record_bytes);
        }
        core.index.write(batch)?;
    }
    let closed = if scanned.sealed { file.sync_data() } else { close(core, id, file, &scanned) };
    let sealed = match closed {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(drive = %core.id, segment = %id, %error, "recovered segment stays open");
            false
        }
    };
    let row = SegmentRow { sealed, stored_bytes, dead_bytes: 0 };
    core.segments.set_row(id, row);
    let mut batch = IndexBatch::default();
    batch.put_segment(id, &row);
    Ok(core.index.write(batch)?)
}

fn close(core: &DriveCore, id: SegmentId, file: &dyn DriveFile, scanned: &ScannedSegment) -> io::Result<()> {
    let footer = encode_footer(id, scanned.records_end, &scanned.directory, scanned.headers_hash);
    file.write_at(scanned.records_end, &[IoSlice::new(&footer)])?;
    file.set_len(scanned.records_end + footer.len() as u64)?;
    DataMetrics::add(&core.metrics.segments_sealed, 1);
    DataMetrics::add(&core.metrics.syncs, 1);
    file.sync_data()
}
