//! The segments of a drive: open files, and how full each one is.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use super::index::SegmentRow;
use crate::ids::SegmentId;
use crate::io::{DriveFile, DriveIo};
use crate::segment::header::SegmentClass;
use crate::sync::{Mutex, MutexGuard};

/// Where segments are.
pub(super) const SEGMENTS_DIR: &str = "segments";
/// Files that a drive keeps open for reading.
const OPEN_FILES_MAX: usize = 64;

/// The file of a segment.
pub(super) fn segment_name(id: SegmentId) -> String {
    format!("{SEGMENTS_DIR}/{id}.seg")
}

/// The file of a segment that compaction has not finished: no start takes it for a segment.
pub(super) fn unfinished_name(id: SegmentId) -> String {
    format!("{SEGMENTS_DIR}/{id}{UNFINISHED}")
}

/// Whether a file name in the directory is that of an unfinished segment.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.ends_with(UNFINISHED)
}

const UNFINISHED: &str = ".new";

/// The segment that a file name stands for.
pub(super) fn parse_segment_name(name: &str) -> Option<SegmentId> {
    name.strip_suffix(".seg")?.parse().ok()
}

/// A segment that was or is being written in this run.
pub struct Segment {
    pub(super) id: SegmentId,
    pub(super) file: Arc<dyn DriveFile>,
    poisoned: AtomicBool,
    unsynced_bytes: AtomicU64,
}

impl Segment {
    pub(super) fn new(id: SegmentId, file: Arc<dyn DriveFile>) -> Arc<Self> {
        Arc::new(Self { id, file, poisoned: AtomicBool::new(false), unsynced_bytes: AtomicU64::new(0) })
    }

    /// Whether a sync of it failed: what was written to it may not be durable, and never will be.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    pub(super) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// Adds to the bytes written since the last sync was queued, and returns them.
    pub(super) fn add_unsynced(&self, bytes: u64) -> u64 {
        self.unsynced_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    pub(super) fn clear_unsynced(&self) {
        self.unsynced_bytes.store(0, Ordering::Relaxed);
    }
}

/// Bytes of records on a drive.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) stored_bytes: u64,
    pub(super) dead_bytes: u64,
}

/// All segments of a drive.
pub(super) struct Segments {
    pub(super) reserved_bytes: u64,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    rows: HashMap<SegmentId, SegmentRow>,
    files: HashMap<SegmentId, Arc<dyn DriveFile>>,
    usage: Usage,
    /// Those whose sync failed in this run.
    poisoned: HashSet<SegmentId>,
    /// Those that were there when the drive was opened: nobody writes to them any more.
    from_before: HashSet<SegmentId>,
}

impl Segments {
    pub(super) fn new(reserved_bytes: u64) -> Self {
        Self { reserved_bytes, table: Mutex::default() }
    }

    /// Notes that a sync of a segment failed.
    pub(super) fn note_poisoned(&self, id: SegmentId) {
        self.lock().poisoned.insert(id);
    }

    /// Whether a sync of a segment failed in this run.
    pub(super) fn is_poisoned(&self, id: SegmentId) -> bool {
        self.lock().poisoned.contains(&id)
    }

    /// Says that all that are known now were there when the drive was opened.
    pub(super) fn note_recovered(&self) {
        let mut table = self.lock();
        table.from_before = table.rows.keys().copied().collect();
    }

    /// Whether a segment was there when the drive was opened.
    pub(super) fn is_from_before(&self, id: SegmentId) -> bool {
        self.lock().from_before.contains(&id)
    }

    pub(super) fn usage(&self) -> Usage {
        self.lock().usage
    }

    /// Sets a segment's row, as recovered or as it begins.
    pub(super) fn set_row(&self, id: SegmentId, row: SegmentRow) {
        let mut table = self.lock();
        let old = table.rows.insert(id, row).unwrap_or_default();
        table.usage.stored_bytes = table.usage.stored_bytes + row.stored_bytes - old.stored_bytes;
        table.usage.dead_bytes = table.usage.dead_bytes + row.dead_bytes - old.dead_bytes;
    }

    /// Notes that the directory of a segment may lack records that the index knows.
    pub(super) fn mark_searched(&self, id: SegmentId) -> Option<SegmentRow> {
        let mut table = self.lock();
        let row = table.rows.get_mut(&id)?;
        row.searched = true;
        Some(*row)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.lock().rows.len() as u64
    }

    /// Forgets a segment and closes its file, unless a reader still has it.
    pub(super) fn forget(&self, id: SegmentId) {
        let mut table = self.lock();
        let old = table.rows.remove(&id).unwrap_or_default();
        table.usage.stored_bytes -= old.stored_bytes;
        table.usage.dead_bytes -= old.dead_bytes;
        table.files.remove(&id);
        table.from_before.remove(&id);
    }

    /// Raises the dead bytes of a sealed segment to `dead_bytes`, as counted from the index; the row if
    /// that changed it.
    pub(super) fn raise_dead(&self, id: SegmentId, dead_bytes: u64) -> Option<SegmentRow> {
        let mut table = self.lock();
        let row = table.rows.get_mut(&id).filter(|row| row.sealed && row.dead_bytes < dead_bytes)?;
        let more = dead_bytes.min(row.stored_bytes) - row.dead_bytes;
        row.dead_bytes += more;
        let row = *row;
        table.usage.dead_bytes += more;
        (more > 0).then_some(row)
    }

    /// All rows as they now are.
    pub(super) fn rows(&self) -> Vec<(SegmentId, SegmentRow)> {
        self.lock().rows.iter().map(|(id, row)| (*id, *row)).collect()
    }

    /// All that are known.
    pub(super) fn ids(&self) -> Vec<SegmentId> {
        self.lock().rows.keys().copied().collect()
    }

    /// Whether it was closed with a footer.
    pub(super) fn is_sealed(&self, id: SegmentId) -> bool {
        self.lock().rows.get(&id).is_some_and(|row| row.sealed)
    }

    /// What it was written with.
    pub(super) fn class(&self, id: SegmentId) -> SegmentClass {
        self.lock().rows.get(&id).map(|row| row.class).unwrap_or_default()
    }

    /// Whether it is known.
    pub(super) fn has(&self, id: SegmentId) -> bool {
        self.lock().rows.contains_key(&id)
    }

    /// Counts a record written to a segment.
    pub(super) fn add_stored(&self, id: SegmentId, bytes: u64) {
        let mut table = self.lock();
        table.usage.stored_bytes += bytes;
        table.rows.entry(id).or_default().stored_bytes += bytes;
    }

    /// The row of a segment with these bytes more dead; `None` if there is no such segment. Nothing is
    /// counted before [`Segments::add_dead`].
    pub(super) fn row_with_dead(&self, id: SegmentId, bytes: u64) -> Option<SegmentRow> {
        let row = self.lock().rows.get(&id).copied()?;
        Some(SegmentRow { dead_bytes: (row.dead_bytes + bytes).min(row.stored_bytes), ..row })
    }

    /// Counts records that died.
    pub(super) fn add_dead(&self, id: SegmentId, bytes: u64) {
        let mut table = self.lock();
        let Some(row) = table.rows.get_mut(&id) else { return };
        let more = bytes.min(row.stored_bytes - row.dead_bytes);
        row.dead_bytes += more;
        table.usage.dead_bytes += more;
    }

    /// Marks a segment sealed, its youngest record written by then; the row as it now is.
    pub(super) fn seal(&self, id: SegmentId, written_us: u64) -> SegmentRow {
        let mut table = self.lock();
        let row = table.rows.entry(id).or_default();
        row.sealed = true;
        row.written_us = written_us;
        *row
    }

    /// Makes a file available to readers. That of a segment that was forgotten meanwhile is not kept:
    /// the space of a removed file comes back when it is closed.
    pub(super) fn keep_open(&self, id: SegmentId, file: Arc<dyn DriveFile>) {
        let mut table = self.lock();
        if !table.rows.contains_key(&id) {
            return;
        }
        if table.files.len() >= OPEN_FILES_MAX {
            // Any will do: one that is read again is opened again.
            let victim = table.files.keys().next().copied();
            victim.map(|victim| table.files.remove(&victim));
        }
        table.files.insert(id, file);
    }

    /// The file of a segment, opened if it is not.
    pub(super) fn file(&self, io: &dyn DriveIo, id: SegmentId) -> io::Result<Arc<dyn DriveFile>> {
        if let Some(file) = self.lock().files.get(&id) {
            return Ok(file.clone());
        }
        let file = io.open(&segment_name(id))?;
        self.keep_open(id, file.clone());
        Ok(file)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
