//! Compaction: what is live in sealed segments moves to another one, and their files go.
//!
//! ```text
//!  choose ─▶ read directory ─▶ what does the index point at?
//!              nothing: remove the file
//!              something: copy it, each cell verified ─▶ ID.new ─▶ sync ─▶ rename to ID.seg
//!                         ─▶ move the entries that still point at the old place ─▶ flush the index
//!                         ─▶ remove the files
//! ```
//!
//! The index alone says what is live: a segment's counters only say where to look. Only the appender
//! changes entries of shards, so a shard that is freed or written anew meanwhile is never moved back.
//!
//! Readers hold no pins. One that has a file goes on reading it, removed or not; one that has a
//! location whose file is gone asks the index again ([`super::reader`]).
//!
//! | crash | what is left |
//! |---|---|
//! | while copying | `ID.new`, removed at the next start |
//! | after the rename, before the entries moved, or some of them | two good records of a shard; the start keeps one, the other counts as dead |
//! | after the entries moved, before the file went | a segment that nothing points at, removed by the next pass |
//! | the file gone, its row not | the start drops the row |
//!
//! A record that is not as it was written is not copied: its segment stays, and whoever repairs is told. It may
//! have been acknowledged, or torn by a crash before that: a drive cannot know.

mod choose;
mod output;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::oneshot;

use self::choose::{Victim, choose};
use self::output::Output;
use super::appender::Job;
use super::damage::DamagedRecord;
use super::error::DriveError;
use super::index::{IndexBatch, SegmentRow};
use super::metrics::DataMetrics;
use super::segments::segment_name;
use super::{Drive, DriveCore};
use crate::error::chain;
use crate::failpoint::{Step, failpoint};
use crate::ids::SegmentId;
use crate::io::{DriveFile, is_full};
use crate::segment::checksum::cell_crc64;
use crate::segment::location::{ShardKey, ShardLocation};
use crate::segment::record::{RecordPlace, decode_record_head};
use crate::segment::scan::scan_segment;
use crate::sync::{block_on, thread};

/// Entries that move in one batch, between two jobs of writers.
const MOVE_BATCH_MAX: usize = 1024;
/// How long one record waits for clients at most, and in which steps.
const YIELD_STEP: Duration = Duration::from_millis(1);
const YIELD_STEPS_MAX: u32 = 20;
/// A segment with a damaged record is looked at again after this.
const BLOCKED_US: u64 = 10 * 60 * 1_000_000;
/// Passes that may wait on one drive.
pub(super) const COMPACT_QUEUE_MAX: usize = 4;

impl Drive {
    /// Has the next pass look at a segment again that was left alone for a damaged record: that was freed.
    pub fn let_compact(&self, segment: SegmentId) {
        self.core.lock_blocked().remove(&segment);
    }
}

/// When segments are compacted, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionPolicy {
    /// A segment with more dead than this share of its bytes is compacted.
    pub dead_percent: u8,
    /// With less free than this share of the drive, every segment is that gives back something.
    pub low_space_percent: u8,
    /// Bytes copied each second; 0 is no bound. Not while space is low.
    pub bytes_per_second: u64,
    /// Compacts whatever gives back something, without the bound.
    pub eager: bool,
}

impl Default for CompactionPolicy {
    fn default() -> Self {
        Self { dead_percent: 35, low_space_percent: 10, bytes_per_second: 32 << 20, eager: false }
    }
}

/// What passes of compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CompactionReport {
    /// Segments removed.
    pub segments_removed: u64,
    /// Bytes of records copied.
    pub copied_bytes: u64,
    /// Bytes of files that went, less those of the files that took their records.
    pub reclaimed_bytes: u64,
    /// Damaged records met.
    pub damaged: u64,
}

impl CompactionReport {
    /// Adds what another pass did.
    pub fn add(&mut self, other: &Self) {
        self.segments_removed += other.segments_removed;
        self.copied_bytes += other.copied_bytes;
        self.reclaimed_bytes += other.reclaimed_bytes;
        self.damaged += other.damaged;
    }
}

pub(super) struct CompactJob {
    pub(super) policy: CompactionPolicy,
    pub(super) reply: oneshot::Sender<Result<CompactionReport, DriveError>>,
}

/// An entry of the index that is to point elsewhere, if it still points at `from`.
pub(super) struct Move {
    pub(super) key: ShardKey,
    pub(super) from: (SegmentId, u64),
    pub(super) to: ShardLocation,
}

/// Serves the queue until it is closed.
pub(super) fn run(core: &Arc<DriveCore>) {
    while let Some(CompactJob { policy, reply }) = core.compactions.pop() {
        let mut pass = Pass { core, policy, report: CompactionReport::default(), seen: HashSet::new() };
        let result = pass.run();
        drop(reply.send(result.map(|()| pass.report)));
    }
}

struct Pass<'a> {
    core: &'a DriveCore,
    policy: CompactionPolicy,
    report: CompactionReport,
    /// Segments that this pass has dealt with, or could not.
    seen: HashSet<SegmentId>,
}

impl Pass<'_> {
    fn run(&mut self) -> Result<(), DriveError> {
        if self.policy.eager {
            self.roll()?;
        }
        loop {
            self.require_running()?;
            let free_bytes = self.core.io.free_bytes().map_err(|error| DriveError::from_io("free space", error))?;
            let group = choose(self.core, &self.policy, free_bytes, &self.seen);
            if group.victims.is_empty() {
                return Ok(());
            }
            self.seen.extend(group.victims.iter().map(|victim| victim.id));
            self.compact(group.victims, group.urgent)?;
        }
    }

    /// Has the open segment sealed if something in it is dead.
    fn roll(&self) -> Result<(), DriveError> {
        if !self.core.segments.rows().iter().any(|(_, row)| !row.sealed && row.dead_bytes > 0) {
            return Ok(());
        }
        self.ask(Job::Roll)
    }

    /// Has the appender do something, and waits for it.
    fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T, DriveError>>) -> Job) -> Result<T, DriveError> {
        let (reply, answer) = oneshot::channel();
        if let Err(job) = self.core.jobs.push(job(reply)) {
            job.refuse(&self.core.health);
        }
        block_on(answer).map_err(|_| self.core.health.offline())?
    }

    fn compact(&mut self, victims: Vec<Victim>, urgent: bool) -> Result<(), DriveError> {
        let mut sources = Vec::new();
        for victim in victims {
            match self.source(&victim) {
                Ok(source) => sources.push(source),
                Err(error) => {
                    self.block(victim.id);
                    tracing::warn!(drive = %self.core.id, segment = %victim.id, error = chain(&error), "a segment cannot be compacted");
                }
            }
        }
        self.add_unlisted(&mut sources)?;
        let (empty, live): (Vec<_>, Vec<_>) = sources.into_iter().partition(|source| source.live.is_empty());
        if !empty.is_empty() {
            // On a full disk the flush may fail: nothing moved, so nothing depends on it, and what the
            // removed files give back is what lets it succeed.
            if let Err(error) = self.core.index.flush() {
                tracing::warn!(drive = %self.core.id, %error, "empty segments are removed before the index says so durably");
            }
            empty.iter().try_for_each(|source| self.remove(source.victim.id))?;
        }
        if live.is_empty() { Ok(()) } else { self.move_live(live, urgent) }
    }

    /// Opens a segment and finds out which of its records the index points at.
    fn source(&self, victim: &Victim) -> Result<Source, DriveError> {
        let file = self.core.io.open(&segment_name(victim.id));
        let file = file.map_err(|error| DriveError::from_io("open of a segment", error))?;
        let place = self.place(victim.id, 0);
        let scanned = scan_segment(&*file, &place).map_err(|error| match error {
            crate::segment::scan::ScanError::Io(error) => DriveError::from_io("read of a segment", error),
            crate::segment::scan::ScanError::Header(error) => DriveError::IndexEntry(error),
        })?;
        let mut live = Vec::new();
        for entry in scanned.directory {
            if self.core.index.shard(&entry.key)?.is_some_and(|at| is_at(&at, &entry.location)) {
                live.push((entry.key, entry.location));
            }
        }
        // Without a whole footer of ours there may be records that the index knows and the list does not.
        let unlisted = victim.row.searched || !scanned.sealed;
        Ok(Source { victim: *victim, file, live, unlisted, whole: true })
    }

    /// Adds what the index knows of segments whose directory may lack something.
    fn add_unlisted(&self, sources: &mut [Source]) -> Result<(), DriveError> {
        let segments: HashSet<SegmentId> = sources.iter().filter(|s| s.unlisted).map(|s| s.victim.id).collect();
        if segments.is_empty() {
            return Ok(());
        }
        for (key, location) in self.core.index.shards_in(&segments)? {
            let source = sources.iter_mut().find(|source| source.victim.id == location.segment);
            if let Some(source) = source
                && !source.live.iter().any(|(_, listed)| is_at(listed, &location))
            {
                source.live.push((key, location));
            }
        }
        Ok(())
    }

    fn move_live(&mut self, mut sources: Vec<Source>, urgent: bool) -> Result<(), DriveError> {
        let records = sources.iter().flat_map(|source| &source.live);
        let (count, bytes) =
            records.fold((0, 0), |(count, bytes), (_, location)| (count + 1, bytes + u64::from(location.record_bytes)));
        let written_us = sources.iter().map(|source| source.victim.row.written_us).max().unwrap_or_default();
        let mut output = Output::create(self.core, count, bytes, written_us)?;
        let mut moves = Vec::with_capacity(count);
        for source in &mut sources {
            match self.copy_live(source, &mut output, &mut moves, urgent) {
                Ok(()) => {}
                Err(error) => {
                    output.discard();
                    return Err(error);
                }
            }
        }
        if moves.is_empty() {
            output.discard();
            return Ok(());
        }
        let (id, row, output_bytes) = output.finish()?;
        self.switch(moves, id, row)?;
        self.note_left(sources.iter().filter(|source| source.whole))?;
        self.report.copied_bytes += row.stored_bytes;
        DataMetrics::add(&self.core.metrics.bytes_compacted, row.stored_bytes);
        self.core.index.flush()?;
        failpoint(Step::CompactionFlushed);
        let before = self.report.reclaimed_bytes;
        for source in sources.iter().filter(|source| source.whole) {
            self.remove(source.victim.id)?;
        }
        let given = (self.report.reclaimed_bytes - before).min(output_bytes);
        self.report.reclaimed_bytes -= given;
        self.core.metrics.bytes_reclaimed.fetch_sub(given, Relaxed);
        Ok(())
    }

    /// Copies the live records of one segment, but for those that are damaged; up to the first that cannot be read.
    fn copy_live(
        &mut self,
        source: &mut Source,
        output: &mut Output<'_>,
        moves: &mut Vec<Move>,
        urgent: bool,
    ) -> Result<(), DriveError> {
        for (key, location) in &source.live {
            self.require_running()?;
            match self.read_record(&*source.file, key, location) {
                Ok(mut record) => {
                    let to = output.append(key, location, &mut record)?;
                    moves.push(Move { key: *key, from: (source.victim.id, location.record_offset), to });
                    self.pace(record.len(), urgent);
                }
                Err(Unfit { why, is_read }) => {
                    source.whole = false;
                    // First, as whoever hears of the damage may free the record at once, and lets the segment go.
                    self.block(source.victim.id);
                    self.note_damage(key, location, why);
                    if !is_read {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads a record and verifies all of it: its head, its place, each cell.
    fn read_record(&self, file: &dyn DriveFile, key: &ShardKey, location: &ShardLocation) -> Result<Vec<u8>, Unfit> {
        let mut record = vec![0; location.record_bytes as usize];
        file.read_at(location.record_offset, &mut record)
            .map_err(|_| Unfit { why: "its record cannot be read", is_read: false })?;
        let unfit = |why| Unfit { why, is_read: true };
        let place = self.place(location.segment, location.record_offset);
        match decode_record_head(&record, &place) {
            Ok((found, at)) if found == *key && at == *location => {}
            Ok(_) => return Err(unfit("its record's header is another's")),
            Err(_) => return Err(unfit("its record's header is damaged")),
        }
        for row in 0..location.crcs.len() {
            let start = (location.cell_offset(row) - location.record_offset) as usize;
            let cell = record.get(start..start + location.cell_len(row));
            let cell = cell.ok_or_else(|| unfit("a cell lies outside of its record"))?;
            if cell_crc64(key.stripe, key.shard, row as u8, cell) != location.crcs[row] {
                return Err(unfit("a cell does not match its checksum"));
            }
        }
        Ok(record)
    }

    /// Moves the entries that still point at the old places, then makes the new segment known as sealed.
    fn switch(&self, moves: Vec<Move>, id: SegmentId, row: SegmentRow) -> Result<(), DriveError> {
        // Known from the first entry on, so that what is freed meanwhile is counted; chosen by nobody yet.
        self.core.segments.set_row(id, SegmentRow { sealed: false, ..row });
        let mut moved_bytes = 0;
        let mut result = Ok(());
        let mut moves = moves.into_iter().peekable();
        while moves.peek().is_some() && result.is_ok() {
            let chunk = moves.by_ref().take(MOVE_BATCH_MAX).collect();
            result = self.ask(|reply| Job::Move(chunk, reply)).map(|bytes| moved_bytes += bytes);
        }
        let _rows = self.core.index.lock_rows();
        self.core.segments.add_dead(id, row.stored_bytes - moved_bytes);
        let row = self.core.segments.seal(id, row.written_us);
        let mut batch = IndexBatch::default();
        batch.put_segment(id, &row);
        let written = self.core.index.write(batch);
        result.and_then(|()| Ok(written?))
    }

    /// Says that nothing lives in segments any more: a start that finds the row and no file then misses nothing.
    fn note_left<'a>(&self, sources: impl Iterator<Item = &'a Source>) -> Result<(), DriveError> {
        let _rows = self.core.index.lock_rows();
        let mut batch = IndexBatch::default();
        for Source { victim, .. } in sources {
            let row = self.core.segments.raise_dead(victim.id, u64::MAX);
            row.iter().for_each(|row| batch.put_segment(victim.id, row));
        }
        Ok(self.core.index.write(batch)?)
    }

    /// Removes the file of a segment that nothing points at.
    fn remove(&mut self, id: SegmentId) -> Result<(), DriveError> {
        let name = segment_name(id);
        let file_bytes = self.core.io.open(&name).and_then(|file| file.len()).unwrap_or_default();
        // Forgotten first: who checks segments must not miss the file of one that it knows.
        let row = self.core.segments.rows().into_iter().find(|(other, _)| *other == id);
        self.core.segments.forget(id);
        match self.core.io.remove(&name) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                row.into_iter().for_each(|(id, row)| self.core.segments.set_row(id, row));
                return Err(DriveError::from_io("removal of a segment", error));
            }
        }
        failpoint(Step::CompactionRemoved);
        let mut batch = IndexBatch::default();
        batch.delete_segment(id);
        if let Err(error) = self.core.index.write(batch) {
            tracing::debug!(drive = %self.core.id, %error, "the row of a removed segment stays until the next start");
        }
        self.report.segments_removed += 1;
        self.report.reclaimed_bytes += file_bytes;
        DataMetrics::add(&self.core.metrics.segments_removed, 1);
        DataMetrics::add(&self.core.metrics.bytes_reclaimed, file_bytes);
        Ok(())
    }

    fn note_damage(&mut self, key: &ShardKey, location: &ShardLocation, why: &str) {
        self.report.damaged += 1;
        DataMetrics::add(&self.core.metrics.records_damaged, 1);
        let segment = location.segment;
        tracing::debug!(drive = %self.core.id, %segment, shard = ?key, why, "a record keeps its segment");
        if let Some(sink) = self.core.damage.get() {
            sink.damaged(DamagedRecord {
                drive: self.core.id,
                segment,
                key: *key,
                record_bytes: location.record_bytes,
                why: why.to_owned(),
            });
        }
    }

    /// Leaves a segment alone for a while.
    fn block(&self, id: SegmentId) {
        let until_us = self.core.env.clock.now_us() + BLOCKED_US;
        self.core.lock_blocked().insert(id, until_us);
    }

    /// Keeps to the bound on speed, and lets clients go first.
    fn pace(&self, bytes: usize, urgent: bool) {
        let rate = self.policy.bytes_per_second;
        if rate > 0 && !urgent && !self.policy.eager {
            thread::sleep(Duration::from_secs_f64(bytes as f64 / rate as f64));
        }
        let busy = || !self.core.reads.is_empty() || !self.core.jobs.is_empty();
        let mut steps = 0;
        while busy() && steps < YIELD_STEPS_MAX {
            thread::sleep(YIELD_STEP);
            steps += 1;
        }
    }

    fn require_running(&self) -> Result<(), DriveError> {
        if self.core.stopping.load(Relaxed) || !self.core.health.state().reads() {
            return Err(self.core.health.offline());
        }
        Ok(())
    }

    fn place(&self, segment: SegmentId, offset: u64) -> RecordPlace {
        RecordPlace { cluster: self.core.cluster, drive: self.core.id, segment, offset }
    }
}

/// A segment that is being emptied.
struct Source {
    victim: Victim,
    file: Arc<dyn DriveFile>,
    live: Vec<(ShardKey, ShardLocation)>,
    /// Its directory may lack records that the index knows.
    unlisted: bool,
    /// Everything live in it was copied.
    whole: bool,
}

/// Why a record is not copied.
struct Unfit {
    why: &'static str,
    /// It was read, and is not what was written; else the disk did not give it.
    is_read: bool,
}

/// Whether two locations are the same record.
fn is_at(a: &ShardLocation, b: &ShardLocation) -> bool {
    (a.segment, a.record_offset) == (b.segment, b.record_offset)
}

/// An I/O error of the output: counted against the drive unless it is only full.
fn write_error(core: &DriveCore, op: &'static str, error: std::io::Error) -> DriveError {
    if !is_full(&error) && core.check_alive().is_ok() {
        core.note_write_error(op, &error);
    }
    DriveError::from_io(op, error)
}
