//! Reading what one mirror holds, without believing any of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::entry::{BATCH_ALIGN, CheckedEntry, ENTRY_HEADER_BYTES, EntryHeader};
use super::segment::{LOG_DIR, LogFileKind, SEGMENT_HEADER_BYTES, SegmentHeader, file_kind, segment_name};
use crate::ids::ClusterId;
use crate::io::{DriveFile, DriveIo};

/// Bytes read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// What one mirror holds.
#[derive(Debug, Default)]
pub(crate) struct MirrorScan {
    pub(crate) segments: BTreeMap<u64, SegmentScan>,
    /// Numbers of the spare files, with their lengths.
    pub(crate) spares: Vec<(u64, u64)>,
    /// The drive could not be read in some place: it may give entries but is no longer a mirror.
    pub(crate) unreadable: Option<String>,
}

/// What one segment file holds.
#[derive(Debug, Default)]
pub(crate) struct SegmentScan {
    pub(crate) file_bytes: u64,
    pub(crate) header: Option<SegmentHeader>,
    /// Every entry whose own checks hold, by offset, also behind a damaged one.
    pub(crate) entries: BTreeMap<u64, CheckedEntry>,
}

impl MirrorScan {
    /// Reads every segment. Never fails: what cannot be read is not there.
    pub(crate) fn of(io: &dyn DriveIo, cluster: ClusterId) -> Self {
        let mut scan = Self::default();
        let files = match io.list(LOG_DIR) {
            Ok(files) => files,
            Err(error) => {
                scan.unreadable = Some(format!("list {LOG_DIR}: {error}"));
                return scan;
            }
        };
        for file in files {
            match file_kind(&file.name) {
                LogFileKind::Segment(sequence) => {
                    let segment = scan.read_segment(io, cluster, sequence);
                    scan.segments.insert(sequence, segment);
                }
                LogFileKind::Spare(number) => scan.spares.push((number, file.len)),
                LogFileKind::Other => {}
            }
        }
        scan
    }

    fn read_segment(&mut self, io: &dyn DriveIo, cluster: ClusterId, sequence: u64) -> SegmentScan {
        let mut segment = SegmentScan::default();
        let result = io.open(&segment_name(sequence)).and_then(|file| segment.read(file, cluster, sequence));
        if let Err(error) = result {
            self.unreadable = Some(format!("read {}: {error}", segment_name(sequence)));
        }
        segment
    }
}

impl SegmentScan {
    /// Reads one segment file.
    pub(crate) fn of(file: Arc<dyn DriveFile>, cluster: ClusterId, sequence: u64) -> io::Result<Self> {
        let mut segment = Self::default();
        segment.read(file, cluster, sequence)?;
        Ok(segment)
    }

    fn read(&mut self, file: Arc<dyn DriveFile>, cluster: ClusterId, sequence: u64) -> io::Result<()> {
        self.file_bytes = file.len()?;
        let mut window = Window::new(file, self.file_bytes);
        if let Some(block) = window.at(0, SEGMENT_HEADER_BYTES as usize)? {
            self.header = SegmentHeader::decode(block, cluster, sequence);
        }
        let mut offset = SEGMENT_HEADER_BYTES;
        while let Some(found) = entry_at(&mut window, cluster, sequence, offset)? {
            offset = match found {
                Found::Entry(entry) => {
                    self.entries.insert(offset, entry);
                    entry.header.next_offset()
                }
                // Batches start on multiples of BATCH_ALIGN: what follows a hole is found there. The length
                // in the header of a torn entry is no guide: later entries may lie inside it.
                Found::Nothing => (offset + 1).next_multiple_of(BATCH_ALIGN),
            };
        }
        Ok(())
    }
}

/// What lies at an offset of a segment.
enum Found {
    Entry(CheckedEntry),
    Nothing,
}

/// `None` at the end of the file.
fn entry_at(window: &mut Window, cluster: ClusterId, sequence: u64, offset: u64) -> io::Result<Option<Found>> {
    let Some(bytes) = window.at(offset, ENTRY_HEADER_BYTES)? else { return Ok(None) };
    let head = header_bytes(bytes);
    let Some(header) = EntryHeader::decode(&head, cluster, sequence, offset) else { return Ok(Some(Found::Nothing)) };
    let Some(payload) = window.at(offset + ENTRY_HEADER_BYTES as u64, header.payload_len as usize)? else {
        return Ok(Some(Found::Nothing));
    };
    Ok(Some(header.check(&head, payload).map_or(Found::Nothing, Found::Entry)))
}

/// Reads one entry, header included, and checks that it is still what the scan found.
pub(crate) fn read_entry(file: &dyn DriveFile, cluster: ClusterId, expected: &CheckedEntry) -> io::Result<Vec<u8>> {
    let header = &expected.header;
    let mut bytes = vec![0; ENTRY_HEADER_BYTES + header.payload_len as usize];
    file.read_at(header.offset, &mut bytes)?;
    let head = header_bytes(&bytes);
    let entry = EntryHeader::decode(&head, cluster, header.segment, header.offset)
        .and_then(|found| found.check(&head, &bytes[ENTRY_HEADER_BYTES..]));
    if entry.as_ref() != Some(expected) {
        let what = format!("log entry {} changed since it was checked", header.index);
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(bytes)
}

fn header_bytes(bytes: &[u8]) -> [u8; ENTRY_HEADER_BYTES] {
    let mut head = [0; ENTRY_HEADER_BYTES];
    head.copy_from_slice(&bytes[..ENTRY_HEADER_BYTES]);
    head
}

/// A file read front to back through one buffer.
struct Window {
    file: Arc<dyn DriveFile>,
    file_bytes: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn new(file: Arc<dyn DriveFile>, file_bytes: u64) -> Self {
        Self { file, file_bytes, start: 0, bytes: Vec::new() }
    }

    /// `len` bytes at `offset`; `None` if the file ends before.
    fn at(&mut self, offset: u64, len: usize) -> io::Result<Option<&[u8]>> {
        let Some(end) = offset.checked_add(len as u64).filter(|&end| end <= self.file_bytes) else { return Ok(None) };
        let held = self.start + self.bytes.len() as u64;
        if offset < self.start || end > held {
            let want = (len.max(WINDOW_BYTES) as u64).min(self.file_bytes - offset);
            self.bytes.resize(want as usize, 0);
            self.start = offset;
            let read = self.file.read_at(offset, &mut self.bytes);
            if read.is_err() {
                self.bytes.clear();
            }
            read?;
        }
        let at = (offset - self.start) as usize;
        Ok(Some(&self.bytes[at..at + len]))
    }
}
