//! Reading back a segment: by its footer if it is sealed, else record by record.

use std::io;

use super::footer::{DirectoryEntry, Trailer};
use super::header::SegmentHeader;
use super::record::{RECORD_HEAD_BYTES_MAX, RECORD_MAGIC, RecordPlace, decode_record_head};
use super::{BLOCK_BYTES, FormatError};
use crate::ids::SegmentId;
use crate::io::DriveFile;

/// An open segment is searched in pieces of this size.
const WINDOW_BYTES: u64 = 1 << 20;

/// What a segment holds.
#[derive(Debug)]
pub struct ScannedSegment {
    /// Its records, in order.
    pub directory: Vec<DirectoryEntry>,
    /// Where the last record ends.
    pub records_end: u64,
    /// Whether a whole footer closes it.
    pub sealed: bool,
    /// BLAKE3 of the record headers with their tables, in order.
    pub headers_hash: [u8; 32],
}

/// Why a segment cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The disk fails.
    #[error("cannot read the segment")]
    Io(#[from] io::Error),
    /// The header block is not that of this segment: it was never begun, or it is damaged.
    #[error("the segment has no good header")]
    Header(#[source] FormatError),
}

/// Reads the header block.
pub fn read_header(file: &dyn DriveFile) -> Result<SegmentHeader, ScanError> {
    let mut block = vec![0; BLOCK_BYTES as usize];
    match file.read_at(0, &mut block) {
        Ok(()) => SegmentHeader::decode(&block).map_err(ScanError::Header),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ScanError::Header(FormatError::Short)),
        Err(error) => Err(error.into()),
    }
}

/// Lists the records of a segment: from its footer if that is whole, else by searching for them.
///
/// The search goes on after a damaged record, because what follows may have been acknowledged.
pub fn scan_segment(file: &dyn DriveFile, place: &RecordPlace) -> Result<ScannedSegment, ScanError> {
    let file_bytes = file.len()?;
    if let Some(sealed) = read_footer(file, place.segment, file_bytes)? {
        return Ok(sealed);
    }
    let mut scan = Search::new(*place, file_bytes);
    let mut window = vec![0; WINDOW_BYTES as usize];
    let mut start = BLOCK_BYTES;
    while start < file_bytes {
        // Windows overlap by the longest head, so that each head lies whole in one of them.
        let take = (file_bytes - start).min(WINDOW_BYTES);
        let bytes = &mut window[..take as usize];
        file.read_at(start, bytes)?;
        scan.window(start, bytes);
        start = scan.next.max(start + BLOCK_BYTES);
    }
    Ok(scan.finish())
}

fn read_footer(file: &dyn DriveFile, segment: SegmentId, file_bytes: u64) -> Result<Option<ScannedSegment>, ScanError> {
    let Some(trailer_at) = file_bytes.checked_sub(BLOCK_BYTES) else { return Ok(None) };
    let mut block = vec![0; BLOCK_BYTES as usize];
    file.read_at(trailer_at, &mut block)?;
    let Ok(trailer) = Trailer::decode(&block, segment, file_bytes) else { return Ok(None) };
    let mut bytes = vec![0; trailer.directory_bytes as usize];
    file.read_at(trailer.directory_offset, &mut bytes)?;
    // A damaged directory is no loss: the records themselves are searched.
    Ok(trailer.decode_directory(&bytes).ok().map(|directory| ScannedSegment {
        directory,
        records_end: trailer.directory_offset,
        sealed: true,
        headers_hash: trailer.headers_hash,
    }))
}

struct Search {
    place: RecordPlace,
    file_bytes: u64,
    /// The next block that may start a record.
    next: u64,
    directory: Vec<DirectoryEntry>,
    records_end: u64,
    hasher: blake3::Hasher,
}

impl Search {
    fn new(place: RecordPlace, file_bytes: u64) -> Self {
        let start = BLOCK_BYTES;
        let hasher = blake3::Hasher::new();
        Self { place, file_bytes, next: start, directory: Vec::new(), records_end: start, hasher }
    }

    /// Looks at each block of a window, jumping over the records it finds.
    fn window(&mut self, start: u64, bytes: &[u8]) {
        while self.next < start + bytes.len() as u64 {
            let head = &bytes[(self.next - start) as usize..];
            let at_end = start + bytes.len() as u64 == self.file_bytes;
            if head.len() < RECORD_HEAD_BYTES_MAX && !at_end {
                return;
            }
            self.block(head);
        }
    }

    fn block(&mut self, head: &[u8]) {
        let at = self.next;
        self.next += BLOCK_BYTES;
        if !head.starts_with(RECORD_MAGIC) {
            return;
        }
        let place = RecordPlace { offset: at, ..self.place };
        let Ok((key, location)) = decode_record_head(head, &place) else { return };
        let end = at + u64::from(location.record_bytes);
        if end > self.file_bytes {
            return;
        }
        self.hasher.update(&head[..super::record::RECORD_HEADER_BYTES + 8 * location.crcs.len()]);
        self.directory.push(DirectoryEntry { key, location });
        self.next = end;
        self.records_end = end;
    }

    fn finish(self) -> ScannedSegment {
        ScannedSegment {
            directory: self.directory,
            records_end: self.records_end,
            sealed: false,
            headers_hash: *self.hasher.finalize().as_bytes(),
        }
    }
}
