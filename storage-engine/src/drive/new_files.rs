//! Files for new segments: the next one is made while the last one fills, and none when the drive is too full.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use super::error::DriveError;
use super::segments::segment_name;
use super::{DriveCore, SEGMENT_BYTES_MIN};
use crate::ids::SegmentId;
use crate::io::{DriveFile, Fill, is_full};
use crate::segment::header::SegmentClass;

/// From this many segments on, a drive keeps half of one free for compaction.
const SEGMENTS_FOR_RESERVE: u64 = 16;
/// Segments of copies are so much shorter: the sooner all in one is dead.
const COPIES_SEGMENT_SHARE: u64 = 4;

/// A file that was reserved for a segment.
type NewFile = (SegmentId, Arc<dyn DriveFile>);

/// The files that the appender of a drive goes on with.
pub(super) struct NewFiles {
    core: Arc<DriveCore>,
    /// The next segment's file of each class, being made by a thread of its own.
    spares: [Option<Receiver<Option<NewFile>>>; SegmentClass::ALL.len()],
}

impl NewFiles {
    pub(super) fn new(core: Arc<DriveCore>) -> Self {
        Self { core, spares: [None, None] }
    }

    /// The spare file if there is one, else a new one, smaller when the drive is nearly full; with the bytes that are
    /// reserved for it.
    pub(super) fn take(&mut self, class: SegmentClass) -> Result<(SegmentId, Arc<dyn DriveFile>, u64), DriveError> {
        let mut bytes = reserved_bytes(&self.core, class);
        if let Some((id, file)) = self.spares[class.index()].take().and_then(|spare| spare.recv().ok().flatten()) {
            return Ok((id, file, bytes));
        }
        loop {
            match create_file(&self.core, bytes) {
                Ok((id, file)) => return Ok((id, file, bytes)),
                Err(DriveError::Full) if bytes / 4 >= SEGMENT_BYTES_MIN => bytes /= 4,
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins to make the next segment's file, so that a full segment does not stall writers.
    pub(super) fn prepare(&mut self, class: SegmentClass) {
        // Not on a simulated drive: a thread of its own would make its runs differ.
        if self.spares[class.index()].is_some() || self.core.io.os_path().is_none() {
            return;
        }
        let (sender, receiver) = sync_channel(1);
        let core = self.core.clone();
        let make = move || {
            let file = create_file(&core, reserved_bytes(&core, class));
            drop(sender.send(file.ok()));
        };
        if std::thread::Builder::new().name("drive-spare".to_owned()).spawn(make).is_ok() {
            self.spares[class.index()] = Some(receiver);
        }
    }

    /// Removes the files that were made and not needed.
    pub(super) fn discard(&mut self) {
        for spare in &mut self.spares {
            if let Some((id, _)) = spare.take().and_then(|spare| spare.recv().ok().flatten()) {
                // Left behind, it is removed at the next start.
                let _ = self.core.io.remove(&segment_name(id));
            }
        }
    }
}

/// What is reserved for a segment.
fn reserved_bytes(core: &DriveCore, class: SegmentClass) -> u64 {
    let whole = core.segments.reserved_bytes;
    match class {
        SegmentClass::Data => whole,
        SegmentClass::Copies => (whole / COPIES_SEGMENT_SHARE).max(SEGMENT_BYTES_MIN),
    }
}

fn create_file(core: &DriveCore, bytes: u64) -> Result<NewFile, DriveError> {
    let failed = |error: std::io::Error| {
        if !is_full(&error) && core.check_alive().is_ok() {
            core.note_write_error("creation of a segment", &error);
        }
        DriveError::from_io("creation of a segment", error)
    };
    let free_bytes = core.io.free_bytes().map_err(failed)?;
    if free_bytes < bytes + margin_bytes(core, free_bytes) {
        return Err(DriveError::Full);
    }
    let id = SegmentId::from_bytes(core.env.random_bytes());
    let file = core.io.create(&segment_name(id), bytes, Fill::Allocate).map_err(failed)?;
    Ok((id, file))
}

/// What writers leave free: for the log, the checkpoints and the index, and on a drive of many segments
/// for what compaction copies before it gives space back.
fn margin_bytes(core: &DriveCore, free_bytes: u64) -> u64 {
    let segment = core.segments.reserved_bytes;
    let many = free_bytes + core.segments.usage().stored_bytes >= SEGMENTS_FOR_RESERVE * segment;
    segment / 8 + if many { segment / 2 } else { 0 }
}
