//! Making a mirror hold the chosen log, whatever it held before.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::choose::{ChosenLog, ChosenSegment};
use super::entry::CheckedEntry;
use super::files::MirrorFiles;
use super::scan::{MirrorScan, read_entry};
use super::segment::{SegmentHeader, segment_name};
use crate::drive::Drive;
use crate::ids::ClusterId;
use crate::io::{DriveFile, DriveIo, Fill};

/// The mirrors that recovery scanned, by the places that the chosen log names.
pub(crate) struct Sources<'a> {
    pub(crate) cluster: ClusterId,
    pub(crate) drives: &'a [Arc<Drive>],
}

impl Sources<'_> {
    /// The whole entry, header included, from any mirror that still gives it.
    pub(crate) fn read(&self, entry: &CheckedEntry, holders: &[usize]) -> io::Result<Vec<u8>> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for &holder in holders {
            let file = self.drives[holder].io().open(&segment_name(entry.header.segment));
            match file.and_then(|file| read_entry(&*file, self.cluster, entry)) {
                Ok(bytes) => return Ok(bytes),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Writes to mirror `place` what it lacks of the chosen log; durable on return. Answers how many entries it lacked.
pub(crate) fn repair_mirror(
    sources: &Sources<'_>,
    scan: &MirrorScan,
    place: usize,
    log: &ChosenLog,
) -> io::Result<usize> {
    let io = sources.drives[place].io();
    let mut lacked = 0;
    for segment in &log.segments {
        lacked += repair_segment(sources, &**io, scan, place, segment)?;
    }
    Ok(lacked)
}

fn repair_segment(
    sources: &Sources<'_>,
    io: &dyn DriveIo,
    scan: &MirrorScan,
    place: usize,
    segment: &ChosenSegment,
) -> io::Result<usize> {
    let found = scan.segments.get(&segment.header.sequence);
    let whole_file = found.is_some_and(|found| found.file_bytes == segment.header.len_bytes);
    let file = if whole_file {
        io.open(&segment_name(segment.header.sequence))?
    } else {
        new_file(io, &segment.header, found.is_some())?
    };
    let has_header = whole_file && found.and_then(|found| found.header) == Some(segment.header);
    if !has_header {
        file.write_at(0, &[IoSlice::new(&segment.header.encode(sources.cluster))])?;
    }
    let lacks = |holders: &[usize]| !whole_file || !holders.contains(&place);
    let mut lacked = 0;
    for (entry, holders) in segment.entries.iter().filter(|(_, holders)| lacks(holders)) {
        let others: Vec<usize> = holders.iter().copied().filter(|&holder| holder != place).collect();
        file.write_at(entry.header.offset, &[IoSlice::new(&sources.read(entry, &others)?)])?;
        lacked += 1;
    }
    // Also when nothing lacked: after a killed process an entry may be whole in memory only.
    file.sync_data()?;
    Ok(lacked)
}

fn new_file(io: &dyn DriveIo, header: &SegmentHeader, exists: bool) -> io::Result<Arc<dyn DriveFile>> {
    let name = segment_name(header.sequence);
    if exists {
        io.remove(&name)?;
    }
    io.create(&name, header.len_bytes, Fill::Zero)
}

/// Puts away what lies behind the end of the log: segments that were prepared, or begun and never acknowledged.
pub(crate) fn put_away_after(files: &MirrorFiles, scan: &MirrorScan, last: u64) -> io::Result<()> {
    scan.segments.keys().filter(|&&sequence| sequence > last).try_for_each(|&sequence| files.recycle(sequence))
}
