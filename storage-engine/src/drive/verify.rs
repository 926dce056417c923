//! Checking what a drive holds, from the disk and past every cache: segments, superblocks, the index.
//!
//! Only records that the index names are judged: bytes that nobody needs may be anything. No key is
//! needed: headers and cells carry checksums bound to their place. All of it blocks; the caller's
//! `pace` is told of bytes read, waits as it likes, and says whether to go on.

use std::io::{self, IoSlice};
use std::ops::ControlFlow;

use super::error::DriveError;
use super::index::IndexBatch;
use super::segments::segment_name;
use super::{Drive, DriveCore, superblock};
use crate::ids::{SegmentId, StripeId};
use crate::io::DriveFile;
use crate::segment::checksum::cell_crc64;
use crate::segment::footer::{DirectoryEntry, Trailer, encode_footer};
use crate::segment::header::SegmentHeader;
use crate::segment::location::{ShardKey, ShardLocation};
use crate::segment::record::{RECORD_HEADER_BYTES, RecordPlace, decode_record_head};
use crate::segment::{BLOCK_BYTES, round_up_to_block};
use crate::state::kv::KvError;

/// Told of bytes that were read; waits as long as it likes; says whether to go on.
pub type Pace<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// What one segment was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentCheck {
    /// Which.
    pub segment: SegmentId,
    /// Its file is gone: every record in it is missing.
    pub missing: bool,
    /// Its first block is not that of this segment.
    pub header_damaged: bool,
    /// It is sealed, and its directory or trailer is not whole.
    pub footer_damaged: bool,
    /// Shards of the records that the index names.
    pub shards: Vec<ShardKey>,
    /// Those whose header or cells are not what was written, with the length of their records.
    pub damaged: Vec<(ShardKey, u32)>,
    /// Bytes read.
    pub bytes: u64,
    /// Records that the index names, in order: what a new directory lists.
    live: Vec<DirectoryEntry>,
}

impl SegmentCheck {
    /// Whether something is wrong with the segment.
    pub fn is_whole(&self) -> bool {
        !self.missing && !self.header_damaged && !self.footer_damaged && self.damaged.is_empty()
    }

    /// Name of the file on the drive.
    pub fn file_name(&self) -> String {
        segment_name(self.segment)
    }
}

impl Drive {
    /// The segments that hold or held records, in order of id.
    pub fn segments(&self) -> Vec<SegmentId> {
        let mut ids = self.core.segments.ids();
        ids.sort();
        ids
    }

    /// Checks one segment. `None` if it went away meanwhile, or if the pace said to stop.
    ///
    /// # Errors
    /// The drive is out of service, or its index cannot be read.
    pub fn check_segment(&self, id: SegmentId, pace: &mut Pace<'_>) -> Result<Option<SegmentCheck>, DriveError> {
        if !self.state().reads() {
            return Err(self.core.health.offline());
        }
        check_segment(&self.core, id, pace)
    }

    /// Writes header and footer of a sealed segment again, where they were found damaged. Durable on return;
    /// answers the bytes written.
    ///
    /// A header says when its segment was made: that of a rewritten one is the time of its newest stripe.
    ///
    /// # Errors
    /// The write or the sync failed; the segment is as readable as before.
    pub fn rewrite_segment_ends(&self, check: &SegmentCheck) -> io::Result<u64> {
        if !check.header_damaged && !check.footer_damaged {
            return Ok(0);
        }
        let file = self.core.io.open(&segment_name(check.segment))?;
        let mut written = 0;
        if check.header_damaged {
            let newest_ms = check.live.iter().map(|entry| entry.key.stripe.time_ms()).max().unwrap_or(0);
            let header = SegmentHeader {
                cluster: self.core.cluster,
                drive: self.core.id,
                segment: check.segment,
                class: self.core.segments.class(check.segment),
                reserved_bytes: self.core.segments.reserved_bytes,
                created_us: newest_ms * 1000,
            };
            file.write_at(0, &[IoSlice::new(&header.encode())])?;
            written += BLOCK_BYTES;
        }
        if check.footer_damaged {
            // The new directory lacks the damaged records, which the index knows: compaction must ask it.
            self.mark_searched(check.segment).map_err(io::Error::other)?;
            let (footer, records_end) = new_footer(&*file, check)?;
            file.write_at(records_end, &[IoSlice::new(&footer)])?;
            file.set_len(records_end + footer.len() as u64)?;
            written += footer.len() as u64;
        }
        file.sync_data()?;
        Ok(written)
    }

    fn mark_searched(&self, id: SegmentId) -> Result<(), KvError> {
        let _rows = self.core.index.lock_rows();
        let mut batch = IndexBatch::default();
        self.core.segments.mark_searched(id).iter().for_each(|row| batch.put_segment(id, row));
        self.core.index.write(batch)
    }

    /// Forgets a segment whose file is gone. The index still names its shards; they count as missing.
    pub fn forget_segment(&self, id: SegmentId) {
        self.core.segments.forget(id);
    }

    /// Names of the superblock copies that are not readable or not this drive's.
    pub fn damaged_superblocks(&self) -> Vec<&'static str> {
        let current = self.core.lock_superblock();
        superblock::damaged(&*self.core.io, &current)
    }

    /// Replaces both copies of the superblock, one after the other.
    ///
    /// # Errors
    /// A write failed; at least one copy is whole.
    pub fn rewrite_superblocks(&self) -> io::Result<()> {
        self.update_superblock(|_| {})?;
        self.update_superblock(|_| {})
    }

    /// Reads the whole index from the disk, checks it, and answers its rows.
    ///
    /// # Errors
    /// [`KvError::Corruption`]: see [`Drive::rebuild_index`].
    pub fn check_index(&self, pace: &mut Pace<'_>) -> Result<u64, KvError> {
        self.core.index.verify(pace)
    }
}

fn check_segment(core: &DriveCore, id: SegmentId, pace: &mut Pace<'_>) -> Result<Option<SegmentCheck>, DriveError> {
    let mut check = SegmentCheck {
        segment: id,
        missing: false,
        header_damaged: false,
        footer_damaged: false,
        shards: Vec::new(),
        damaged: Vec::new(),
        bytes: 0,
        live: Vec::new(),
    };
    // Opened anew: the file that readers hold may have lost its name.
    let file = match core.io.open(&segment_name(id)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            core.check_alive()?;
            check.missing = core.segments.has(id);
            check.shards = core.index.in_segment(id)?.into_iter().map(|entry| entry.key).collect();
            return Ok(check.missing.then_some(check));
        }
        Err(error) => {
            core.counts.add_read_error();
            return Err(DriveError::from_io("open of a segment", error));
        }
    };
    file.forget_cached();
    let sealed = core.segments.is_sealed(id);
    check.header_damaged = read_header(core, &*file, id).is_none();
    let directory = if sealed { read_directory(&*file, id) } else { None };
    check.footer_damaged = sealed && directory.is_none();
    check.live = match directory {
        Some(entries) => entries.into_iter().filter(|entry| is_live(core, entry)).collect(),
        None => core.index.in_segment(id)?,
    };
    check.live.sort_by_key(|entry| entry.location.record_offset);
    let mut buffer = Vec::new();
    for entry in &check.live {
        buffer.resize(entry.location.record_bytes as usize, 0);
        let place =
            RecordPlace { cluster: core.cluster, drive: core.id, segment: id, offset: entry.location.record_offset };
        let whole = match file.read_at(place.offset, &mut buffer) {
            Ok(()) => record_is_whole(&buffer, &place, entry),
            Err(error) => {
                core.counts.add_read_error();
                tracing::warn!(drive = %core.id, segment = %id, %error, "cannot read a record");
                false
            }
        };
        check.bytes += buffer.len() as u64;
        // A compaction, a repair or a delete may have been faster than this check.
        if whole || is_live(core, entry) {
            check.shards.push(entry.key);
        }
        if !whole && is_live(core, entry) {
            check.damaged.push((entry.key, entry.location.record_bytes));
        }
        if pace(buffer.len() as u64).is_break() {
            return Ok(None);
        }
    }
    file.forget_cached();
    let went_away = !file.is_linked().unwrap_or(false) || (sealed && !core.segments.has(id));
    Ok((!went_away).then_some(check))
}

/// Whether the index names exactly this record. What the index cannot say counts as live.
fn is_live(core: &DriveCore, entry: &DirectoryEntry) -> bool {
    match core.index.shard(&entry.key) {
        Ok(found) => found.as_ref() == Some(&entry.location),
        Err(_) => true,
    }
}

/// The header of a segment, if it is whole and this segment's.
pub(super) fn read_header(core: &DriveCore, file: &dyn DriveFile, id: SegmentId) -> Option<SegmentHeader> {
    let mut block = vec![0; BLOCK_BYTES as usize];
    let header = file.read_at(0, &mut block).ok().and_then(|()| SegmentHeader::decode(&block).ok());
    header.filter(|header| (header.cluster, header.drive, header.segment) == (core.cluster, core.id, id))
}

/// The directory of a sealed segment, if it is whole.
pub(super) fn read_directory(file: &dyn DriveFile, id: SegmentId) -> Option<Vec<DirectoryEntry>> {
    let file_bytes = file.len().ok()?;
    let mut block = vec![0; BLOCK_BYTES as usize];
    file.read_at(file_bytes.checked_sub(BLOCK_BYTES)?, &mut block).ok()?;
    let trailer = Trailer::decode(&block, id, file_bytes).ok()?;
    let mut bytes = vec![0; usize::try_from(trailer.directory_bytes).ok()?];
    file.read_at(trailer.directory_offset, &mut bytes).ok()?;
    trailer.decode_directory(&bytes).ok()
}

fn record_is_whole(record: &[u8], place: &RecordPlace, entry: &DirectoryEntry) -> bool {
    let DirectoryEntry { key, location } = entry;
    let head_is_whole = decode_record_head(record, place).is_ok_and(|found| found == (*key, location.clone()));
    head_is_whole && (0..location.crcs.len()).all(|row| cell_is_whole(record, place, key, location, row))
}

fn cell_is_whole(record: &[u8], place: &RecordPlace, key: &ShardKey, location: &ShardLocation, row: usize) -> bool {
    let last = row + 1 == location.crcs.len();
    let bytes = if last { location.last_cell_bytes } else { location.cell_bytes };
    let start = (location.cell_offset(row) - place.offset) as usize;
    let cell = record.get(start..start + bytes as usize);
    cell.is_some_and(|cell| cell_crc64(key.stripe, key.shard, row as u8, cell) == location.crcs[row])
}

/// A footer that lists the live records whose headers are whole, and where it goes.
fn new_footer(file: &dyn DriveFile, check: &SegmentCheck) -> io::Result<(Vec<u8>, u64)> {
    let damaged = |key: &ShardKey| check.damaged.iter().any(|(other, _)| other == key);
    let entries: Vec<DirectoryEntry> = check.live.iter().filter(|entry| !damaged(&entry.key)).cloned().collect();
    // Damaged records may be read around, cell by cell, until their successors are durable.
    let end = |entry: &DirectoryEntry| entry.location.record_offset + u64::from(entry.location.record_bytes);
    let records_end = round_up_to_block(check.live.iter().map(end).max().unwrap_or(BLOCK_BYTES));
    let mut hasher = blake3::Hasher::new();
    for entry in &entries {
        let mut head = vec![0; RECORD_HEADER_BYTES + 8 * entry.location.crcs.len()];
        file.read_at(entry.location.record_offset, &mut head)?;
        hasher.update(&head);
    }
    Ok((encode_footer(check.segment, records_end, &entries, *hasher.finalize().as_bytes()), records_end))
}

/// The stripes that some shards belong to, each once.
pub fn stripes_of(shards: &[ShardKey]) -> Vec<StripeId> {
    let mut stripes: Vec<StripeId> = shards.iter().map(|key| key.stripe).collect();
    stripes.sort();
    stripes.dedup();
    stripes
}
