//! The log at work: batches written to every mirror, mirrors dropped and attached.
//!
//! Order of one batch: encode; hand to every mirror; wait until each has synced or failed; if any
//! failed, write the new mirror set to the drives' superblocks; only then is the batch durable. A
//! crash anywhere before leaves entries that were not acknowledged: recovery keeps those that
//! are whole on some mirror of the newest set and truncates the rest.
//!
//! Every batch waits for its slowest mirror. One that is slow beyond the others again and again is dropped, as long as
//! enough are left; where they are not it stays until the keeper has found it a successor.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::choose::Position;
use super::config::LogConfig;
use super::entry::{BATCH_ALIGN, ENTRY_ALIGN, EntryHeader, InBatch, crc64, entry_bytes};
use super::error::LogError;
use super::files::MirrorFiles;
use super::membership::Herald;
use super::mirror::{Mirror, WriteDone, WriteJob};
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::shared::{Dropped, LogShared, Preparer, SegmentSpan};
use super::status::LogStatus;
use crate::drive::{Drive, DriveSet, DriveState, LogMembership};
use crate::failpoint::{Step, failpoint};
use crate::ids::DriveId;
use crate::io::{DriveFile, is_full};
use crate::sync::mpsc::{self, RecvTimeoutError};

/// A mirror is late that takes longer than this, and so many times as long as the quickest one with the same bytes.
const LATE_AFTER: Duration = Duration::from_millis(500);
const LATE_TIMES: u32 = 4;
/// Mirrors that must be left when one is dropped for being slow only: of fewer each is dear.
const LEFT_BY_SLOW_MIN: usize = 2;

/// The log of one machine, mirrored on m+1 drives. One thread drives it.
pub struct MirroredLog {
    config: LogConfig,
    /// Every drive of the machine: superblocks, and candidates for new mirrors.
    drives: DriveSet,
    mirrors: Vec<Mirror>,
    membership: LogMembership,
    position: Position,
    /// Every entry up to here is durable on every live mirror.
    durable: u64,
    batch: u64,
    /// Written to the mirrors that are left, but on too few to acknowledge.
    in_doubt: Option<RangeInclusive<u64>>,
    outstanding: Option<Outstanding>,
    buffer: Vec<u8>,
    done_sender: mpsc::Sender<WriteDone>,
    done: mpsc::Receiver<WriteDone>,
    mirror_number_next: usize,
    herald: Herald,
    preparer: Preparer,
    shared: Arc<LogShared>,
}

/// A batch that the mirrors are writing.
struct Outstanding {
    indexes: RangeInclusive<u64>,
    waiting: Vec<usize>,
    failed: Vec<(usize, io::Error)>,
    /// How long each took that has answered well.
    took: Vec<(usize, Duration)>,
    bytes: Arc<Vec<u8>>,
}

/// A mirror ready to be started: its drive, its files and the open segment.
pub(crate) struct ReadyMirror {
    pub(crate) drive: Arc<Drive>,
    pub(crate) files: Arc<MirrorFiles>,
    pub(crate) file: Arc<dyn DriveFile>,
}

/// What recovery hands over.
pub(crate) struct LogStart {
    pub(crate) config: LogConfig,
    pub(crate) drives: DriveSet,
    pub(crate) mirrors: Vec<ReadyMirror>,
    pub(crate) membership: LogMembership,
    pub(crate) herald: Herald,
    pub(crate) position: Position,
    pub(crate) segments: Vec<SegmentSpan>,
}

impl MirroredLog {
    /// Starts the mirrors' threads on a recovered log. The membership is already published.
    pub(crate) fn start(start: LogStart) -> Result<Self, LogError> {
        let LogStart { config, drives, mirrors, membership, herald, mut position, segments } = start;
        position.term = membership.term;
        let (done_sender, done) = mpsc::channel();
        let durable = position.next_index - 1;
        let shared = Arc::new(LogShared::new(segments, durable, &membership));
        let preparer = Preparer::start(shared.clone());
        let mut log = Self {
            config,
            drives,
            mirrors: Vec::new(),
            membership,
            position,
            durable,
            batch: 0,
            in_doubt: None,
            outstanding: None,
            buffer: Vec::new(),
            done_sender,
            done,
            mirror_number_next: 0,
            herald,
            preparer,
            shared,
        };
        for ready in mirrors {
            log.start_mirror(ready)?;
        }
        log.prepare_next();
        Ok(log)
    }

    /// Waits less long for drives that hang.
    #[cfg(test)]
    pub(crate) fn set_silence_max(&mut self, silence_max: std::time::Duration) {
        self.herald.set_silence_max(silence_max);
    }

    /// What other threads may look at.
    pub(crate) fn shared(&self) -> Arc<LogShared> {
        self.shared.clone()
    }

    /// The configuration it was opened with.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Index of the last entry that is durable on every live mirror.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// The index that the next entry gets.
    pub fn next_index(&self) -> u64 {
        self.position.next_index
    }

    /// Live mirrors.
    pub(crate) fn mirror_count(&self) -> usize {
        self.mirrors.len()
    }

    /// Bytes by which the log has grown since it was opened.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.shared.counts.log_bytes()
    }

    /// Whether enough mirrors live to acknowledge.
    pub fn is_writable(&self) -> bool {
        self.in_doubt.is_none() && self.mirrors.len() >= self.config.mirrors_needed()
    }

    /// Numbers and places, for status.
    pub fn status(&self) -> LogStatus {
        LogStatus::of(&self.shared, &self.config)
    }

    /// Bytes that a payload takes in a batch.
    pub fn encoded_bytes(payload_len: usize) -> u64 {
        entry_bytes(payload_len).next_multiple_of(ENTRY_ALIGN)
    }

    /// Appends the payloads as one batch and waits until it is durable. Returns their indexes.
    ///
    /// # Errors
    /// As [`submit`](Self::submit) and [`wait`](Self::wait).
    pub fn append_batch<P: AsRef<[u8]>>(&mut self, payloads: &[P]) -> Result<RangeInclusive<u64>, LogError> {
        self.submit(payloads)?;
        self.wait()
    }

    /// Gives the payloads to every mirror as one batch, one entry each; [`wait`](Self::wait) tells the end.
    ///
    /// # Errors
    /// Nothing was written, and the log goes on as before.
    ///
    /// # Panics
    /// If a batch is outstanding, or the batch is empty or over [`LogConfig::batch_bytes_max`].
    pub fn submit<P: AsRef<[u8]>>(&mut self, payloads: &[P]) -> Result<(), LogError> {
        assert!(self.outstanding.is_none(), "one batch at a time");
        assert!(!payloads.is_empty(), "a batch has entries");
        self.check_writable()?;
        let total: u64 = payloads.iter().map(|payload| Self::encoded_bytes(payload.as_ref().len())).sum();
        assert!(total <= self.config.batch_bytes_max(), "the caller keeps batches within batch_bytes_max");
        let max_bytes = self.config.payload_bytes_max();
        if let Some(long) = payloads.iter().find(|payload| payload.as_ref().len() > max_bytes) {
            return Err(LogError::TooLarge { len_bytes: long.as_ref().len(), max_bytes });
        }
        let begin =
            if self.position.offset + total > self.position.segment_bytes { Some(self.begin_segment()?) } else { None };
        let first = self.position.next_index;
        let offset = self.position.offset;
        let bytes = Arc::new(self.encode(payloads));
        self.hand_out(begin, offset, &bytes, first..=self.position.next_index - 1);
        Ok(())
    }

    /// Waits for the outstanding batch. When it returns its indexes, they are durable on every live mirror,
    /// and if mirrors were lost the superblocks say so.
    ///
    /// # Errors
    /// [`LogError::TooFewMirrors`]: the batch is in doubt. It becomes durable if a mirror is attached
    /// ([`settle`](Self::settle)), and may be found by the next recovery.
    pub fn wait(&mut self) -> Result<RangeInclusive<u64>, LogError> {
        let mut batch = self.outstanding.take().expect("a batch was submitted");
        while !batch.waiting.is_empty() {
            match self.done.recv_timeout(self.herald.silence_max()) {
                Ok(done) if done.batch == self.batch && batch.waiting.contains(&done.mirror) => {
                    batch.waiting.retain(|&number| number != done.mirror);
                    match done.result {
                        Ok(()) => batch.took.push((done.mirror, done.took)),
                        Err(error) => batch.failed.push((done.mirror, error)),
                    }
                }
                Ok(_late) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => self.give_up_on(&mut batch),
            }
        }
        self.buffer = Arc::try_unwrap(batch.bytes).unwrap_or_default();
        self.drop_mirrors(batch.failed);
        self.note_late(&batch.took);
        self.in_doubt = Some(batch.indexes);
        self.settle()
    }

    /// The batch in doubt, if there are mirrors enough now to call it durable.
    ///
    /// # Errors
    /// [`LogError::TooFewMirrors`] while there are not.
    ///
    /// # Panics
    /// If no batch is in doubt.
    pub fn settle(&mut self) -> Result<RangeInclusive<u64>, LogError> {
        self.check_mirrors()?;
        let indexes = self.in_doubt.take().expect("a batch is in doubt");
        failpoint(Step::LogDurable);
        self.durable = *indexes.end();
        let mut view = self.shared.lock();
        view.durable = self.durable;
        let open = view.segments.last_mut().expect("there is an open segment");
        (open.end, open.end_index) = (self.position.offset, self.position.next_index);
        Ok(indexes)
    }

    /// Counts against their drives the mirrors that were late, and drops those that are so again and again.
    fn note_late(&mut self, took: &[(usize, Duration)]) {
        let Some(quickest) = took.iter().map(|(_, took)| *took).min() else { return };
        let late_after = LATE_AFTER.max(quickest.saturating_mul(LATE_TIMES));
        let is_late =
            |mirror: &Mirror| took.iter().any(|(number, took)| *number == mirror.number && *took > late_after);
        let mut slow = Vec::new();
        for mirror in self.mirrors.iter().filter(|mirror| is_late(mirror)) {
            mirror.drive.note_late();
            if mirror.drive.state() == DriveState::Slow {
                slow.push((
                    mirror.number,
                    io::Error::new(io::ErrorKind::TimedOut, "slow beyond the other log mirrors"),
                ));
            }
        }
        slow.truncate(self.mirrors.len().saturating_sub(self.config.mirrors_needed().max(LEFT_BY_SLOW_MIN)));
        self.drop_mirrors(slow);
    }

    /// Drops the mirrors whose drive is gone.
    pub(crate) fn drop_dead_mirrors(&mut self) {
        let check = |mirror: &Mirror| mirror.drive.io().check_alive().err().map(|error| (mirror.number, error));
        let dead: Vec<_> = self.mirrors.iter().filter_map(check).collect();
        self.drop_mirrors(dead);
    }

    /// Drops one mirror.
    pub(crate) fn drop_mirror(&mut self, drive: DriveId, error: io::Error) {
        if let Some(mirror) = self.mirrors.iter().find(|mirror| mirror.drive.id() == drive) {
            let number = mirror.number;
            self.drop_mirrors(vec![(number, error)]);
        }
    }

    /// Tells every drive at hand who holds the log: some have come since it was last told.
    pub(crate) fn drives_changed(&mut self) {
        self.publish_membership();
    }

    /// Makes a drive a mirror. Its copy of the log must end where this log ends.
    pub(crate) fn attach(&mut self, ready: ReadyMirror) -> Result<(), LogError> {
        let drive = ready.drive.clone();
        self.start_mirror(ready)?;
        self.publish_membership();
        if self.mirrors.iter().any(|mirror| mirror.drive.id() == drive.id()) {
            Ok(())
        } else {
            let source = io::Error::other("the new mirror failed at once");
            Err(LogError::Io { op: "attach a log mirror", drive: drive.id(), source })
        }
    }

    /// Where the log ends on the mirrors that are left, durable or in doubt.
    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    fn check_writable(&self) -> Result<(), LogError> {
        self.check_mirrors()?;
        if self.in_doubt.is_some() {
            return Err(LogError::TooFewMirrors { live: self.mirrors.len(), needed: self.config.mirrors_needed() });
        }
        Ok(())
    }

    fn check_mirrors(&self) -> Result<(), LogError> {
        let (live, needed) = (self.mirrors.len(), self.config.mirrors_needed());
        if live < needed { Err(LogError::TooFewMirrors { live, needed }) } else { Ok(()) }
    }

    /// Makes sure that each mirror has the next segment's file, then moves there.
    fn begin_segment(&mut self) -> Result<(u64, Arc<Vec<u8>>), LogError> {
        let sequence = self.position.segment + 1;
        let prepare = |mirror: &Mirror| mirror.files.prepare(sequence).err().map(|error| (mirror.number, error));
        let failed: Vec<_> = self.mirrors.iter().filter_map(prepare).collect();
        let left = self.mirrors.len() - failed.len();
        if left < self.config.mirrors_needed() && failed.iter().any(|(_, error)| is_full(error)) {
            return Err(LogError::Full);
        }
        self.drop_mirrors(failed);
        self.check_mirrors()?;
        let header = SegmentHeader {
            sequence,
            len_bytes: self.config.segment_bytes,
            term: self.membership.term,
            first_index: self.position.next_index,
            before: self.position.chain,
        };
        self.position = Position {
            segment: sequence,
            segment_bytes: header.len_bytes,
            offset: SEGMENT_HEADER_BYTES,
            ..self.position
        };
        let span = SegmentSpan {
            sequence,
            first_index: header.first_index,
            end: SEGMENT_HEADER_BYTES,
            end_index: header.first_index,
        };
        self.shared.lock().segments.push(span);
        self.prepare_next();
        Ok((sequence, Arc::new(header.encode(self.config.cluster))))
    }

    /// Encodes a batch at the position and moves the position behind it.
    fn encode<P: AsRef<[u8]>>(&mut self, payloads: &[P]) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.clear();
        let start = self.position.offset;
        for (place, payload) in payloads.iter().enumerate() {
            let payload = payload.as_ref();
            let in_batch = if place + 1 == payloads.len() { InBatch::Last } else { InBatch::Middle };
            let header = EntryHeader {
                in_batch,
                payload_len: payload.len() as u32,
                term: self.membership.term,
                index: self.position.next_index,
                durable: self.durable,
                segment: self.position.segment,
                offset: self.position.offset,
                payload_crc: crc64(payload),
            };
            self.position.chain = header.append_entry(self.config.cluster, &self.position.chain, payload, &mut bytes);
            self.position.offset = header.next_offset();
            self.position.next_index += 1;
            bytes.resize((self.position.offset - start) as usize, 0);
        }
        assert!((bytes.len() as u64).is_multiple_of(BATCH_ALIGN), "a batch fills whole blocks");
        bytes
    }

    /// Counts the mirrors that have not answered as failed.
    fn give_up_on(&mut self, batch: &mut Outstanding) {
        for number in batch.waiting.drain(..) {
            let silent = io::Error::new(io::ErrorKind::TimedOut, "the log mirror does not answer");
            batch.failed.push((number, silent));
            for mirror in self.mirrors.iter_mut().filter(|mirror| mirror.number == number) {
                mirror.silent = true;
                self.herald.note_silent(&mirror.drive);
            }
        }
    }

    fn hand_out(
        &mut self,
        begin: Option<(u64, Arc<Vec<u8>>)>,
        offset: u64,
        bytes: &Arc<Vec<u8>>,
        indexes: RangeInclusive<u64>,
    ) {
        self.batch += 1;
        let mut outstanding =
            Outstanding { indexes, waiting: Vec::new(), failed: Vec::new(), took: Vec::new(), bytes: bytes.clone() };
        for mirror in &self.mirrors {
            let job = WriteJob { batch: self.batch, begin: begin.clone(), offset, bytes: bytes.clone() };
            match mirror.submit(job) {
                Ok(()) => outstanding.waiting.push(mirror.number),
                Err(error) => outstanding.failed.push((mirror.number, error)),
            }
        }
        let entries = outstanding.indexes.end() - outstanding.indexes.start() + 1;
        self.shared.counts.batch(entries, bytes.len() as u64, self.mirrors.len() as u64);
        self.outstanding = Some(outstanding);
    }

    /// Drops the mirrors named, and writes the new set to the superblocks if it can acknowledge anything.
    ///
    /// If it cannot, the set on the drives stays: nothing that the dropped mirrors lack will be acknowledged,
    /// and a power cut that makes every mirror fail must not leave an empty set behind.
    fn drop_mirrors(&mut self, failed: Vec<(usize, io::Error)>) {
        if failed.is_empty() {
            return;
        }
        for (number, error) in failed {
            let Some(at) = self.mirrors.iter().position(|mirror| mirror.number == number) else { continue };
            let mirror = self.mirrors.remove(at);
            self.note_dropped(&mirror, &error);
        }
        failpoint(Step::MirrorDropped);
        self.publish_membership();
    }

    fn note_dropped(&self, mirror: &Mirror, error: &io::Error) {
        let drive = &mirror.drive;
        let (full, leaving) = (is_full(error), drive.is_leaving());
        let slow = drive.state() == DriveState::Slow;
        tracing::error!(drive = %drive.id(), %error, left = self.mirrors.len(), "log mirror dropped");
        self.shared.counts.mirror_dropped();
        let was = Arc::downgrade(drive);
        self.shared.lock().note_dropped(Dropped {
            was,
            why: error.to_string(),
            full,
            silent: mirror.silent,
            drive: drive.id(),
        });
        // What is left of it may still serve its shards, unless its directory is gone.
        if drive.check() && !full && !leaving && !slow {
            drive.note_write_error("write of the log", error);
        }
    }

    /// Writes the set of live mirrors to every drive under a new epoch; drops mirrors that cannot take it.
    fn publish_membership(&mut self) {
        while self.mirrors.len() >= self.config.mirrors_needed() {
            self.membership.epoch += 1;
            self.membership.mirrors = self.mirrors.iter().map(|mirror| mirror.drive.id()).collect();
            let refused = self.herald.publish(&self.drives.all(), &self.membership);
            let before = self.mirrors.len();
            for (drive, error) in &refused {
                if let Some(at) = self.mirrors.iter().position(|mirror| mirror.drive.id() == *drive) {
                    let mirror = self.mirrors.remove(at);
                    self.note_dropped(&mirror, error);
                }
            }
            if self.mirrors.len() == before {
                break;
            }
        }
        failpoint(Step::MembershipPublished);
        let mut view = self.shared.lock();
        view.epoch = self.membership.epoch;
        view.mirrors = self.mirrors.iter().map(|mirror| (mirror.drive.clone(), mirror.files.clone())).collect();
    }

    fn start_mirror(&mut self, ready: ReadyMirror) -> Result<(), LogError> {
        let number = self.mirror_number_next;
        self.mirror_number_next += 1;
        let ReadyMirror { drive, files, file } = ready;
        let id = drive.id();
        let mirror = Mirror::start(number, drive, files, file, self.done_sender.clone());
        let mirror = mirror.map_err(|source| LogError::Io { op: "start a log mirror", drive: id, source })?;
        self.shared.lock().mirrors.push((mirror.drive.clone(), mirror.files.clone()));
        self.mirrors.push(mirror);
        Ok(())
    }

    fn prepare_next(&self) {
        self.preparer.want(self.position.segment + 1);
    }
}
