//! Checking the log on its mirrors while it is being written, and mending one from another.
//!
//! What is durable is never written again by the log itself: a check reads up to there, and a repair
//! writes the same bytes to the same place. Neither is in the way of the next batch.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::copy::checked_up_to;
use super::entry::CheckedEntry;
use super::scan::{SegmentScan, read_entry};
use super::segment::{SegmentHeader, segment_name};
use super::shared::{LogView, SegmentSpan};
use crate::drive::Drive;
use crate::ids::{ClusterId, DriveId};

/// The name of a segment on its drive.
pub(crate) fn place_of(sequence: u64) -> String {
    segment_name(sequence)
}

/// Segments that hold durable entries which the log still needs.
pub(crate) fn needed_segments(view: &LogView) -> Vec<SegmentSpan> {
    view.segments.iter().filter(|span| span.end_index > span.first_index).copied().collect()
}

/// Whether a mirror holds every durable entry of a segment; reads it from the disk.
pub(crate) fn is_whole(drive: &Drive, cluster: ClusterId, span: &SegmentSpan) -> bool {
    whole(drive, cluster, span).is_some()
}

/// Writes to a mirror what it lacks of a segment, from another that is whole. Durable on return; answers the
/// bytes written, 0 if the log does not need the segment any more.
pub(crate) fn mend_segment(view: &LogView, cluster: ClusterId, drive: DriveId, sequence: u64) -> io::Result<u64> {
    let Some(span) = needed_segments(view).into_iter().find(|span| span.sequence == sequence) else { return Ok(0) };
    let is_target = |mirror: &&Arc<Drive>| mirror.id() == drive;
    let mirrors = || view.mirrors.iter().map(|(drive, _)| drive);
    let Some(target) = mirrors().find(is_target) else { return Ok(0) };
    let source = mirrors().filter(|mirror| !is_target(mirror)).find_map(|mirror| {
        let (header, entries) = whole(mirror, cluster, &span)?;
        Some((mirror, header, entries))
    });
    let (source, header, entries) = source.ok_or_else(|| io::Error::other("no other mirror holds it whole"))?;
    let from = source.io().open(&segment_name(sequence))?;
    let to = target.io().open(&segment_name(sequence))?;
    let mut written = 0;
    let found = SegmentScan::of(to.clone(), cluster, sequence)?.header;
    if found != Some(header) {
        let block = header.encode(cluster);
        to.write_at(0, &[IoSlice::new(&block)])?;
        written += block.len() as u64;
    }
    for entry in &entries {
        if read_entry(&*to, cluster, entry).is_err() {
            let bytes = read_entry(&*from, cluster, entry)?;
            to.write_at(entry.header.offset, &[IoSlice::new(&bytes)])?;
            written += bytes.len() as u64;
        }
    }
    to.sync_data()?;
    if !to.is_linked()? {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the log segment was removed"));
    }
    Ok(written)
}

fn whole(drive: &Drive, cluster: ClusterId, span: &SegmentSpan) -> Option<(SegmentHeader, Vec<CheckedEntry>)> {
    let file = drive.io().open(&segment_name(span.sequence)).ok()?;
    file.forget_cached();
    checked_up_to(&SegmentScan::of(file, cluster, span.sequence).ok()?, span.end_index)
}
