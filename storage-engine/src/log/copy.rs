//! Copying a live log to a drive that is to become a mirror.
//!
//! The keeper copies while the log goes on; the committer copies the last bit between two batches
//! and then attaches the drive. What is copied is checked entry by entry first, so that a
//! damaged mirror never spreads.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::choose::Position;
use super::config::LogConfig;
use super::entry::CheckedEntry;
use super::files::MirrorFiles;
use super::mirrored::ReadyMirror;
use super::recover::clear;
use super::scan::{SegmentScan, read_entry};
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, segment_name};
use super::shared::{LogView, SegmentSpan};
use crate::drive::Drive;
use crate::failpoint::{Step, failpoint};
use crate::io::{DriveFile, Fill};

/// A drive on its way to becoming a mirror.
pub(crate) struct Candidate {
    pub(crate) drive: Arc<Drive>,
    config: LogConfig,
    /// The segment being copied, and how far.
    at: Option<CopiedTo>,
}

struct CopiedTo {
    sequence: u64,
    offset: u64,
    file: Arc<dyn DriveFile>,
}

impl Candidate {
    /// Empties the drive's log folder.
    pub(crate) fn new(drive: Arc<Drive>, config: LogConfig) -> io::Result<Self> {
        clear(&drive)?;
        failpoint(Step::MirrorCleared);
        Ok(Self { drive, config, at: None })
    }

    /// Bytes of the log that are not copied yet.
    pub(crate) fn behind(&self, view: &LogView, end: &Position) -> u64 {
        let (sequence, offset) = self.at.as_ref().map_or((0, 0), |at| (at.sequence, at.offset));
        let left = |sequence_end: u64, of: u64| if of == sequence { sequence_end - offset } else { sequence_end };
        let whole = view.segments.iter().filter(|span| span.sequence >= sequence && span.sequence < end.segment);
        whole.map(|span| left(span.end, span.sequence)).sum::<u64>() + left(end.offset, end.segment)
    }

    /// Copies up to where the view says the log is durable.
    pub(crate) fn copy_durable(&mut self, view: &LogView) -> io::Result<()> {
        // A segment without a durable entry may not have its header yet.
        let mut begun = view.segments.iter().filter(|span| span.end_index > span.first_index);
        begun.try_for_each(|span| self.copy_segment(view, span))
    }

    /// Copies up to `end`, where nothing is being written now.
    pub(crate) fn copy_to(&mut self, view: &LogView, end: &Position) -> io::Result<()> {
        for span in &view.segments {
            let mut span = *span;
            if span.sequence == end.segment {
                (span.end, span.end_index) = (end.offset, end.next_index);
            }
            self.copy_segment(view, &span)?;
        }
        self.drive.io().check_alive()
    }

    /// The mirror, once [`copy_to`](Self::copy_to) reached the end of the log.
    pub(crate) fn ready(self) -> io::Result<ReadyMirror> {
        let at = self.at.ok_or_else(|| io::Error::other("nothing was copied"))?;
        let files = MirrorFiles::new(self.drive.io().clone(), self.config.segment_bytes, at.sequence, &[]);
        Ok(ReadyMirror { drive: self.drive, files: Arc::new(files), file: at.file })
    }

    fn copy_segment(&mut self, view: &LogView, span: &SegmentSpan) -> io::Result<()> {
        let reached =
            |at: &CopiedTo| at.sequence > span.sequence || (at.sequence == span.sequence && at.offset >= span.end);
        let done = self.at.as_ref().is_some_and(reached);
        if done {
            return Ok(());
        }
        let mut last = io::Error::other("the log has no live mirror");
        for (drive, _) in &view.mirrors {
            match self.copy_segment_from(drive, span) {
                Ok(()) => return Ok(()),
                Err(CopyError::Source(error)) => last = error,
                Err(CopyError::Target(error)) => return Err(error),
            }
        }
        Err(last)
    }

    fn copy_segment_from(&mut self, source: &Drive, span: &SegmentSpan) -> Result<(), CopyError> {
        let sequence = span.sequence;
        let from = source.io().open(&segment_name(sequence)).map_err(CopyError::Source)?;
        let scan = SegmentScan::of(from.clone(), self.config.cluster, sequence).map_err(CopyError::Source)?;
        let (header, entries) = checked_up_to(&scan, span.end_index).ok_or_else(|| {
            CopyError::Source(io::Error::new(io::ErrorKind::InvalidData, format!("log segment {sequence} is damaged")))
        })?;
        let cluster = self.config.cluster;
        let at = self.target(&header).map_err(CopyError::Target)?;
        for entry in entries.iter().filter(|entry| entry.header.offset >= at.offset) {
            let bytes = read_entry(&*from, cluster, entry).map_err(CopyError::Source)?;
            at.file.write_at(entry.header.offset, &[IoSlice::new(&bytes)]).map_err(CopyError::Target)?;
        }
        at.file.sync_data().map_err(CopyError::Target)?;
        failpoint(Step::MirrorCopied);
        at.offset = span.end;
        Ok(())
    }

    /// The target file of a segment, made when it is reached.
    fn target(&mut self, header: &SegmentHeader) -> io::Result<&mut CopiedTo> {
        if self.at.as_ref().is_none_or(|at| at.sequence != header.sequence) {
            let name = segment_name(header.sequence);
            let file = self.drive.io().create(&name, header.len_bytes, Fill::Zero)?;
            file.write_at(0, &[IoSlice::new(&header.encode(self.config.cluster))])?;
            self.at = Some(CopiedTo { sequence: header.sequence, offset: SEGMENT_HEADER_BYTES, file });
        }
        Ok(self.at.as_mut().expect("set above"))
    }
}

enum CopyError {
    /// Another mirror may do.
    Source(io::Error),
    /// The candidate is no good.
    Target(io::Error),
}

/// The entries before index `end`, if they follow one another without a hole.
pub(super) fn checked_up_to(scan: &SegmentScan, end: u64) -> Option<(SegmentHeader, Vec<CheckedEntry>)> {
    let header = scan.header?;
    let (mut offset, mut chain) = (SEGMENT_HEADER_BYTES, header.before);
    let mut entries = Vec::new();
    for index in header.first_index..end {
        let entry = scan.following(offset, index, &chain)?;
        (offset, chain) = (entry.header.next_offset(), entry.chain);
        entries.push(entry);
    }
    Some((header, entries))
}
