//! What a drive does when it is opened: every segment that is not known to be sealed is read
//! back, indexed and sealed.
//!
//! After `kill -9` the records are in the page cache, maybe not on the disk: sealing syncs them.
//! After a power cut some may be torn: their cells fail their checksums, and nothing torn was ever
//! acknowledged. They are indexed like the others, because here a torn record looks like an acknowledged
//! one that the disk has damaged since; only the namespace can tell, when compaction meets it.

use std::collections::{HashMap, HashSet};
use std::io::{self, IoSlice};
use std::sync::Arc;

use super::DriveCore;
use super::error::DriveOpenError;
use super::index::{IndexBatch, SegmentRow};
use super::metrics::DataMetrics;
use super::segments::{SEGMENTS_DIR, is_unfinished, parse_segment_name, segment_name};
use crate::error::chain;
use crate::failpoint::{Step, failpoint};
use crate::ids::SegmentId;
use crate::io::DriveFile;
use crate::segment::checksum::cell_crc64;
use crate::segment::footer::{DirectoryEntry, encode_footer};
use crate::segment::header::SegmentClass;
use crate::segment::location::{ShardKey, ShardLocation};
use crate::segment::record::RecordPlace;
use crate::segment::scan::{ScanError, ScannedSegment, read_header, scan_segment};
use crate::segment::{BLOCK_BYTES, FormatError};

/// Entries of one index batch.
const INDEX_BATCH_MAX: usize = 1024;

/// Brings index and segments together.
pub(super) fn recover(core: &DriveCore) -> Result<(), DriveOpenError> {
    let listed = core.io.list(SEGMENTS_DIR).map_err(|source| DriveOpenError::Io { op: "list segments", source })?;
    // What compaction did not finish: all of it is still where it came from.
    for file in listed.iter().filter(|file| is_unfinished(&file.name)) {
        let removed = core.io.remove(&format!("{SEGMENTS_DIR}/{}", file.name));
        removed.map_err(|source| DriveOpenError::Io { op: "remove an unfinished segment", source })?;
        failpoint(Step::UnfinishedRemoved);
    }
    let present: Vec<SegmentId> = listed.iter().filter_map(|file| parse_segment_name(&file.name)).collect();
    let mut rows: HashMap<SegmentId, SegmentRow> = core.index.segments()?.into_iter().collect();
    let mut unsealed = Vec::new();
    for id in &present {
        match rows.remove(id) {
            Some(row) if row.sealed => core.segments.set_row(*id, row),
            _ => unsealed.push((origin(core, *id), *id)),
        }
    }
    // After the rows of the sealed ones: a record that is in two segments counts as dead in one of them.
    let present: HashSet<SegmentId> = present.into_iter().collect();
    unsealed.sort_by_key(|(origin, id)| (origin.created_us, *id));
    unsealed.into_iter().try_for_each(|(origin, id)| recover_segment(core, (id, origin), &present))?;
    core.segments.note_recovered();
    // Rows whose file is gone: their shards are rebuilt from other drives when they are read.
    let mut gone = IndexBatch::default();
    rows.keys().for_each(|id| gone.delete_segment(*id));
    // A removed segment leaves its row behind when the process ends in between: nothing lived in it.
    let missing = rows.values().filter(|row| !row.sealed || row.live_bytes() > 0).count();
    if missing > 0 {
        tracing::warn!(drive = %core.id, segments = missing, "segments are missing from the drive");
    }
    Ok(core.index.write_at_start(gone)?)
}

fn recover_segment(
    core: &DriveCore,
    (id, origin): (SegmentId, Origin),
    present: &HashSet<SegmentId>,
) -> Result<(), DriveOpenError> {
    match read_segment(core, id) {
        Ok(Some((file, scanned))) => adopt(core, (id, origin), &(file, scanned), present),
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
            tracing::error!(drive = %core.id, segment = %id, error = chain(&error), "cannot read a segment back");
            Ok(())
        }
    }
}

/// What a segment's header says of its making.
#[derive(Debug, Clone, Copy, Default)]
struct Origin {
    /// 0 if it does not say, or is gone.
    created_us: u64,
    class: SegmentClass,
}

fn origin(core: &DriveCore, id: SegmentId) -> Origin {
    let file = core.io.open(&segment_name(id)).ok();
    let header = file.and_then(|file| super::verify::read_header(core, &*file, id));
    header.map_or_else(Origin::default, |header| Origin { created_us: header.created_us, class: header.class })
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
    (id, Origin { created_us, class }): (SegmentId, Origin),
    (file, scanned): &Found,
    present: &HashSet<SegmentId>,
) -> Result<(), DriveOpenError> {
    let (mut stored_bytes, mut dead_bytes) = (0, 0);
    for chunk in scanned.directory.chunks(INDEX_BATCH_MAX) {
        let mut batch = IndexBatch::default();
        for entry in chunk {
            let record_bytes = u64::from(entry.location.record_bytes);
            stored_bytes += record_bytes;
            match elsewhere(core, entry, present) {
                Some(other) if other_holds(core, entry, created_us, &other) => dead_bytes += record_bytes,
                Some(other) => {
                    core.segments.add_dead(other.segment, u64::from(other.record_bytes));
                    batch.put_shard(&entry.key, &entry.location);
                }
                None => batch.put_shard(&entry.key, &entry.location),
            }
        }
        core.index.write_at_start(batch)?;
    }
    failpoint(Step::SegmentIndexed);
    let closed = if scanned.sealed { file.sync_data() } else { close(core, id, &**file, scanned) };
    let sealed = match closed {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(drive = %core.id, segment = %id, %error, "recovered segment stays open");
            false
        }
    };
    failpoint(Step::SegmentClosed);
    let written_us = if created_us > 0 { created_us } else { core.env.clock.now_us() };
    let row = SegmentRow { sealed, stored_bytes, dead_bytes, searched: !scanned.sealed, written_us, class };
    core.segments.set_row(id, row);
    let mut batch = IndexBatch::default();
    batch.put_segment(id, &row);
    Ok(core.index.write_at_start(batch)?)
}

/// Where the index has the shard of a record, if that is in another segment that is there. So it is
/// after a crash in the middle of a compaction, and after a write that failed and was done again.
fn elsewhere(core: &DriveCore, entry: &DirectoryEntry, present: &HashSet<SegmentId>) -> Option<ShardLocation> {
    let other = core.index.shard(&entry.key).ok().flatten()?;
    (other.segment != entry.location.segment && present.contains(&other.segment)).then_some(other)
}

/// Of two records of a shard the newer holds, which was written in the place of the other; but never one
/// whose cells are not as they were written, if those of the other are.
fn other_holds(core: &DriveCore, entry: &DirectoryEntry, created_us: u64, other: &ShardLocation) -> bool {
    let is_newer = origin(core, other.segment).created_us > created_us;
    let (other_is_good, this_is_good) =
        (|| is_good(core, &entry.key, other), || is_good(core, &entry.key, &entry.location));
    if is_newer { other_is_good() || !this_is_good() } else { !this_is_good() && other_is_good() }
}

/// Whether every cell of a record is as it was written.
fn is_good(core: &DriveCore, key: &ShardKey, location: &ShardLocation) -> bool {
    let Ok(file) = core.io.open(&segment_name(location.segment)) else { return false };
    (0..location.crcs.len()).all(|row| {
        let mut cell = vec![0; location.cell_len(row)];
        file.read_at(location.cell_offset(row), &mut cell).is_ok()
            && cell_crc64(key.stripe, key.shard, row as u8, &cell) == location.crcs[row]
    })
}

fn close(core: &DriveCore, id: SegmentId, file: &dyn DriveFile, scanned: &ScannedSegment) -> io::Result<()> {
    let footer = encode_footer(id, scanned.records_end, &scanned.directory, scanned.headers_hash);
    file.write_at(scanned.records_end, &[IoSlice::new(&footer)])?;
    file.set_len(scanned.records_end + footer.len() as u64)?;
    DataMetrics::add(&core.metrics.segments_sealed, 1);
    DataMetrics::add(&core.metrics.syncs, 1);
    file.sync_data()
}
