//! The thread that writes records: in order, at once, one index batch for all that waited.
//!
//! Whole copies of small blobs go to segments of their own: they die together, when they are packed, and their
//! file then goes without one record being moved. So up to two segments are open, one a class.
//!
//! Invariant: before the appender leaves a segment it queues a sync or a seal of it. The syncer
//! serves its queue in order, so a sync that answers well covers every segment left before it.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::compact::Move;
use super::error::DriveError;
use super::health::Health;
use super::index::{IndexBatch, SegmentRow};
use super::metrics::DataMetrics;
use super::new_files::NewFiles;
use super::segments::{Segment, segment_name};
use super::syncer::{SealJob, SyncJob, SyncReply};
use super::{DriveCore, Durability};
use crate::failpoint::{Step, failpoint};
use crate::ids::SegmentId;
use crate::io::is_full;
use crate::segment::BLOCK_BYTES;
use crate::segment::footer::DirectoryEntry;
use crate::segment::header::{SegmentClass, SegmentHeader};
use crate::segment::location::ShardKey;
use crate::segment::record::{RECORD_HEADER_BYTES, RecordPlace, encode_record_head, record_extent};
use crate::segment::stripe::EncodedStripe;
use crate::state::kv::KvError;

/// Jobs taken from the queue at once.
const BATCH_JOBS_MAX: usize = 256;
/// After this many bytes the writers are answered, though more wait.
const BATCH_BYTES_MAX: u64 = 4 << 20;
/// Bytes that may wait in the page cache for a sync: the disk starts early on a long blob.
const UNSYNCED_BYTES_MAX: u64 = 16 << 20;
/// Keys of one index batch when a long run is freed.
const FREE_BATCH_MAX: usize = 1024;
static ZEROS: [u8; BLOCK_BYTES as usize] = [0; BLOCK_BYTES as usize];

type AppendReply = oneshot::Sender<Result<Arc<Segment>, DriveError>>;

pub(super) enum Job {
    Append(AppendJob),
    /// Since when it waits, in microseconds.
    Sync(u64, oneshot::Sender<Result<(), DriveError>>),
    /// Takes shards out of the index; their records are dead.
    Free(Vec<ShardKey>, oneshot::Sender<Result<(), DriveError>>),
    /// Points entries elsewhere, those that still point where they did; answers the bytes of their records.
    Move(Vec<Move>, oneshot::Sender<Result<u64, DriveError>>),
    /// Seals the open segment, so that it can be compacted.
    Roll(oneshot::Sender<Result<(), DriveError>>),
    Close(oneshot::Sender<Result<(), DriveError>>),
}

pub(super) struct AppendJob {
    pub(super) stripe: Arc<EncodedStripe>,
    pub(super) shard: u8,
    pub(super) durability: Durability,
    pub(super) replaces: Replaces,
    /// In microseconds.
    pub(super) queued_us: u64,
    pub(super) reply: AppendReply,
}

/// Whether an append takes the place of a record that the drive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaces {
    /// A new stripe: there is none.
    Nothing,
    /// A repair: the bytes of the old record, if there is one, are dead from now on.
    OldRecord,
}

impl Job {
    /// Answers a job that will not be done. Whoever waits may be gone: that is no error.
    pub(super) fn refuse(self, health: &Health) {
        match self {
            Self::Append(job) => drop(job.reply.send(Err(health.offline()))),
            Self::Sync(_, reply) | Self::Close(reply) | Self::Free(_, reply) | Self::Roll(reply) => {
                drop(reply.send(Err(health.offline())));
            }
            Self::Move(_, reply) => drop(reply.send(Err(health.offline()))),
        }
    }
}

/// Serves the queue until it is closed.
pub(super) fn run(core: &Arc<DriveCore>) {
    let files = NewFiles::new(core.clone());
    let mut appender = Appender { core: core.clone(), open: [None, None], pending: Pending::default(), files };
    appender.files.prepare(SegmentClass::Data);
    loop {
        let jobs = core.jobs.pop_batch(BATCH_JOBS_MAX);
        if jobs.is_empty() {
            break;
        }
        DataMetrics::add(&core.metrics.batches, 1);
        jobs.into_iter().for_each(|job| appender.job(job));
        appender.flush();
    }
    appender.files.discard();
    core.syncs.close();
}

struct Appender {
    core: Arc<DriveCore>,
    /// By class.
    open: [Option<OpenSegment>; SegmentClass::ALL.len()],
    pending: Pending,
    files: NewFiles,
}

struct OpenSegment {
    segment: Arc<Segment>,
    reserved_bytes: u64,
    cursor: u64,
    directory: Vec<DirectoryEntry>,
    headers: blake3::Hasher,
}

/// Who waits for a record, and since when.
struct PendingReply {
    durability: Durability,
    segment: Arc<Segment>,
    queued_us: u64,
    reply: AppendReply,
}

/// Records that are written but not yet in the index nor answered.
#[derive(Default)]
struct Pending {
    index: IndexBatch,
    replies: Vec<PendingReply>,
    bytes: u64,
}

impl Appender {
    fn job(&mut self, job: Job) {
        match job {
            Job::Append(job) => self.append(job),
            Job::Sync(queued_us, reply) => {
                self.flush();
                self.queue_unsynced(SegmentClass::Copies);
                self.queue_sync(SegmentClass::Data, SyncReply::Sync(queued_us, reply));
            }
            Job::Free(shards, reply) => {
                self.flush();
                drop(reply.send(self.free(shards)));
            }
            Job::Move(moves, reply) => {
                self.flush();
                drop(reply.send(self.move_entries(&moves)));
            }
            Job::Roll(reply) => {
                self.flush();
                SegmentClass::ALL.into_iter().for_each(|class| self.leave_segment(class));
                self.push_sync(SyncJob::Barrier(SyncReply::Plain(reply)));
            }
            Job::Close(reply) => {
                self.flush();
                SegmentClass::ALL.into_iter().for_each(|class| self.leave_segment(class));
                self.files.discard();
                if let Err(job) = self.core.syncs.push(SyncJob::Close(reply)) {
                    job.refuse(&self.core.health);
                }
            }
        }
    }

    fn append(&mut self, job: AppendJob) {
        match self.write_record(&job.stripe, job.shard, job.replaces) {
            Ok(segment) => {
                let AppendJob { durability, queued_us, reply, .. } = job;
                self.pending.replies.push(PendingReply { durability, segment, queued_us, reply });
            }
            Err(error) => drop(job.reply.send(Err(error))),
        }
        if self.pending.bytes >= BATCH_BYTES_MAX {
            self.flush();
        }
    }

    /// Writes one record; after a failed write once more, in another segment.
    fn write_record(
        &mut self,
        stripe: &EncodedStripe,
        shard: u8,
        replaces: Replaces,
    ) -> Result<Arc<Segment>, DriveError> {
        let mut last = DriveError::Busy;
        for _ in 0..2 {
            if !self.core.health.state().takes_appends() {
                return Err(self.core.health.offline());
            }
            let (_, record_bytes) = record_extent(stripe.shape.rows(), stripe.shape.column_bytes());
            self.require_room(stripe.class, record_bytes as u64)?;
            match self.write_to_open(stripe, shard, replaces) {
                Ok(segment) => return Ok(segment),
                Err(error) => {
                    self.freeze(stripe.class);
                    if is_full(&error) {
                        return Err(DriveError::Full);
                    }
                    self.core.note_write_error("write of a record", &error);
                    last = DriveError::from_io("write of a record", error);
                }
            }
        }
        Err(last)
    }

    fn write_to_open(
        &mut self,
        stripe: &EncodedStripe,
        shard: u8,
        replaces: Replaces,
    ) -> std::io::Result<Arc<Segment>> {
        let open = self.open[stripe.class.index()].as_mut().expect("require_room opened one");
        let core = &self.core;
        let place =
            RecordPlace { cluster: core.cluster, drive: core.id, segment: open.segment.id, offset: open.cursor };
        let (head, location) = encode_record_head(stripe, shard, &place);
        let used = head.len() as u64 + location.data_bytes();
        let padding = u64::from(location.record_bytes) - used;
        let mut slices = Vec::with_capacity(2 + location.crcs.len());
        slices.push(IoSlice::new(&head));
        slices.extend(stripe.column(usize::from(shard)).map(IoSlice::new));
        slices.push(IoSlice::new(&ZEROS[..padding as usize]));
        open.segment.file.write_at(open.cursor, &slices)?;
        failpoint(Step::RecordWritten);

        let key = ShardKey { stripe: stripe.id, shard };
        if replaces == Replaces::OldRecord
            // One that cannot be looked up is not counted, and what is counted here is not stored: the walk
            // for orphans counts again.
            && let Ok(Some(old)) = core.index.shard(&key)
        {
            core.segments.add_dead(old.segment, old.record_bytes.into());
        }
        let record_bytes = u64::from(location.record_bytes);
        open.cursor += record_bytes;
        open.headers.update(&head[..RECORD_HEADER_BYTES + 8 * location.crcs.len()]);
        self.pending.index.put_shard(&key, &location);
        self.pending.bytes += record_bytes;
        open.directory.push(DirectoryEntry { key, location });
        core.segments.add_stored(open.segment.id, record_bytes);
        DataMetrics::add(&core.metrics.records, 1);
        DataMetrics::add(&core.metrics.bytes_written, record_bytes);
        open.segment.add_unsynced(record_bytes);
        Ok(open.segment.clone())
    }

    /// Puts pending records into the index, then answers or hands over to the syncer.
    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if let Err(error) = self.core.index.write(pending.index) {
            tracing::error!(drive = %self.core.id, %error, "drive index refused a batch");
            // What was written is durable or not, but nobody would find it: not stored.
            let full = matches!(error, KvError::Full { .. } | KvError::Stalled { .. });
            let refusal = || if full { DriveError::Full } else { DriveError::IndexRefused };
            let refused = |pending: PendingReply| drop(pending.reply.send(Err(refusal())));
            pending.replies.into_iter().for_each(refused);
            return;
        }
        if !pending.replies.is_empty() {
            failpoint(Step::RecordsIndexed);
        }
        for PendingReply { durability, segment, queued_us, reply } in pending.replies {
            match durability {
                Durability::Written => drop(reply.send(Ok(segment))),
                Durability::Synced => {
                    segment.clear_unsynced();
                    self.push_sync(SyncJob::Sync(segment, SyncReply::Append(queued_us, reply)));
                }
            }
        }
        for class in SegmentClass::ALL {
            if let Some(open) = &self.open[class.index()]
                && open.segment.add_unsynced(0) >= UNSYNCED_BYTES_MAX
            {
                self.queue_sync(class, SyncReply::Nobody);
            }
            if self.open[class.index()].as_ref().is_some_and(|open| open.cursor > open.reserved_bytes / 2) {
                self.files.prepare(class);
            }
        }
    }

    /// Queues a sync of an open segment if something was written to it since the last.
    fn queue_unsynced(&mut self, class: SegmentClass) {
        if self.open[class.index()].as_ref().is_some_and(|open| open.segment.add_unsynced(0) > 0) {
            self.queue_sync(class, SyncReply::Nobody);
        }
    }

    /// Queues a sync of an open segment, or of nothing: it then answers for those left before.
    fn queue_sync(&mut self, class: SegmentClass, reply: SyncReply) {
        match &self.open[class.index()] {
            Some(open) => {
                open.segment.clear_unsynced();
                self.push_sync(SyncJob::Sync(open.segment.clone(), reply));
            }
            None => self.push_sync(SyncJob::Barrier(reply)),
        }
    }

    fn push_sync(&self, job: SyncJob) {
        if let Err(job) = self.core.syncs.push(job) {
            job.refuse(&self.core.health);
        }
    }

    /// Opens a segment with room for a record, leaving the present one if it is full or poisoned.
    fn require_room(&mut self, class: SegmentClass, record_bytes: u64) -> Result<(), DriveError> {
        if let Some(open) = &self.open[class.index()] {
            if !open.segment.is_poisoned() && open.cursor + record_bytes <= open.reserved_bytes {
                return Ok(());
            }
            self.flush();
            self.leave_segment(class);
        }
        let (id, file, reserved_bytes) = self.files.take(class)?;
        failpoint(Step::SegmentCreated);
        let header = SegmentHeader {
            cluster: self.core.cluster,
            drive: self.core.id,
            segment: id,
            class,
            reserved_bytes,
            created_us: self.core.env.clock.now_us(),
        };
        let written = file.write_at(0, &[IoSlice::new(&header.encode())]);
        if let Err(error) = written {
            let _ = self.core.io.remove(&segment_name(id));
            self.core.note_write_error("write of a segment header", &error);
            return Err(DriveError::from_io("write of a segment header", error));
        }
        DataMetrics::add(&self.core.metrics.segments_created, 1);
        DataMetrics::add(&self.core.metrics.bytes_written, BLOCK_BYTES);
        let begun = SegmentRow { written_us: header.created_us, class, ..SegmentRow::default() };
        self.core.segments.set_row(id, begun);
        self.core.segments.keep_open(id, file.clone());
        self.open[class.index()] = Some(OpenSegment {
            segment: Segment::new(id, file),
            reserved_bytes,
            cursor: BLOCK_BYTES,
            directory: Vec::new(),
            headers: blake3::Hasher::new(),
        });
        Ok(())
    }

    /// Closes the open segment with a footer; a poisoned one is left as it is for the next start.
    fn leave_segment(&mut self, class: SegmentClass) {
        let Some(open) = self.open[class.index()].take() else { return };
        if open.segment.is_poisoned() {
            return;
        }
        self.push_sync(SyncJob::Seal(SealJob {
            segment: open.segment,
            records_end: open.cursor,
            directory: open.directory,
            headers_hash: *open.headers.finalize().as_bytes(),
        }));
    }

    /// Leaves a segment after a failed write: what it holds is synced, nothing more is added.
    fn freeze(&mut self, class: SegmentClass) {
        self.flush();
        self.queue_sync(class, SyncReply::Nobody);
        self.open[class.index()] = None;
    }

    /// What cannot be looked up is an error: it is not "nothing there".
    fn free(&self, mut shards: Vec<ShardKey>) -> Result<(), DriveError> {
        shards.sort_unstable();
        shards.dedup();
        for chunk in shards.chunks(FREE_BATCH_MAX) {
            let mut batch = IndexBatch::default();
            let mut dead: BTreeMap<SegmentId, u64> = BTreeMap::new();
            for key in chunk {
                if let Some(location) = self.core.index.shard(key)? {
                    batch.delete_shard(key);
                    *dead.entry(location.segment).or_default() += u64::from(location.record_bytes);
                }
            }
            let freed = batch.len() as u64;
            let _rows = self.core.index.lock_rows();
            for (segment, bytes) in &dead {
                let row = self.core.segments.row_with_dead(*segment, *bytes);
                row.iter().for_each(|row| batch.put_segment(*segment, row));
            }
            self.core.index.write(batch)?;
            dead.iter().for_each(|(segment, bytes)| self.core.segments.add_dead(*segment, *bytes));
            DataMetrics::add(&self.core.metrics.shards_freed, freed);
            if freed > 0 {
                failpoint(Step::ShardsFreed);
            }
        }
        Ok(())
    }

    fn move_entries(&self, moves: &[Move]) -> Result<u64, DriveError> {
        let mut batch = IndexBatch::default();
        let mut moved_bytes = 0;
        for Move { key, from, to } in moves {
            let at = self.core.index.shard(key)?;
            if at.is_some_and(|at| (at.segment, at.record_offset) == *from) {
                batch.put_shard(key, to);
                moved_bytes += u64::from(to.record_bytes);
            }
        }
        self.core.index.write(batch)?;
        failpoint(Step::CompactionMoved);
        Ok(moved_bytes)
    }
}
