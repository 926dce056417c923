//! One drive: a directory with a superblock, segments and an index of what they hold.
//!
//! A drive owns a few threads: an appender writes records in the order they come, a syncer makes
//! them durable (one `fdatasync` for all that wait), readers fetch cells that are not in the page
//! cache. None of them knows an async runtime; answers go through oneshot channels. The
//! namespace knows stripes only; where a shard lies is the business of its drive alone.

mod appender;
mod compact;
mod contents;
mod damage;
mod error;
mod health;
mod index;
mod latency;
mod metrics;
mod new_files;
pub(crate) mod queue;
mod reader;
mod recovery;
mod reindex;
mod segments;
mod set;
mod site;
mod superblock;
mod syncer;
mod verify;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::time::Duration;

pub use compact::{CompactionPolicy, CompactionReport};
pub use damage::{DamageSink, DamagedRecord};
pub use error::{DriveError, DriveOpenError};
pub use health::{DriveState, DriveStatus};
pub use index::{DRIVE_INDEX_SCHEMA, IndexFactory, memory_index, rocks_index};
pub(crate) use latency::patience_us;
pub use metrics::{DataMetrics, DataMetricsSnapshot, DriveCounts};
pub use reader::{CellRead, ColumnRead};
pub use segments::Segment;
pub use set::DriveSet;
pub use site::{Site, UnknownSite};
pub use superblock::{LogMembership, Superblock};
pub use verify::{Pace, SegmentCheck, stripes_of};

use crate::env::Env;
use crate::ids::{ClusterId, DriveId, SegmentId, StripeId};
use crate::io::DriveIo;
use crate::segment::location::{ShardKey, ShardLocation};
use crate::segment::stripe::EncodedStripe;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Mutex, MutexGuard, is_finished};
use appender::{AppendJob, Job, Replaces};
use compact::CompactJob;
use health::Health;
use index::DriveIndex;
use latency::Latency;
use queue::Queue;
use reader::ReadJob;
use segments::Segments;
use syncer::SyncJob;
use tokio::sync::oneshot;

/// Threads that read from one drive.
const READERS: usize = 4;
/// Appends, syncs and frees that may wait on one drive; more are refused, as if it were offline.
const APPEND_QUEUE_MAX: usize = 16_384;
/// Reads that may wait on one drive.
const READ_QUEUE_MAX: usize = 16_384;
/// Stack of each thread: they recurse nowhere and keep buffers on the heap.
const STACK_BYTES: usize = 256 << 10;
/// How often, and how many times, the threads of a failed drive are looked at when it is dropped.
const FAILED_DRIVE_POLL: Duration = Duration::from_millis(5);
const FAILED_DRIVE_POLLS: u32 = 200;
/// Segments smaller than this cannot hold the largest record.
pub const SEGMENT_BYTES_MIN: u64 = 2 << 20;

/// How drives are opened.
#[derive(Clone)]
pub struct DriveConfig {
    /// The installation that the drive must belong to.
    pub cluster: ClusterId,
    /// Where it stands; a drive that says otherwise is refused.
    pub site: Site,
    /// Length that is reserved for each segment.
    pub segment_bytes: u64,
    /// Makes the store of the index.
    pub index: IndexFactory,
}

/// One open drive. Dropping it stops its threads; [`Drive::close`] also leaves a clean state.
pub struct Drive {
    core: Arc<DriveCore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    leaving: AtomicBool,
}

/// What the threads of a drive share.
struct DriveCore {
    id: DriveId,
    cluster: ClusterId,
    io: Arc<dyn DriveIo>,
    env: Env,
    superblock: Mutex<Superblock>,
    health: Health,
    index: DriveIndex,
    segments: Segments,
    counts: DriveCounts,
    metrics: Arc<DataMetrics>,
    /// Reads from the disk, from the queue to the answer.
    read_latency: Latency,
    /// Durable writes and syncs, from the queue to the answer.
    write_latency: Latency,
    jobs: Queue<Job>,
    syncs: Queue<SyncJob>,
    reads: Queue<ReadJob>,
    compactions: Queue<CompactJob>,
    /// Compaction gives up what it has not finished.
    stopping: AtomicBool,
    /// Segments that cannot be compacted, each until a time in microseconds.
    blocked: Mutex<HashMap<SegmentId, u64>>,
    damage: OnceLock<Arc<dyn DamageSink>>,
    /// Its directory was seen to be gone: files that are open are not those that may be there again.
    gone: AtomicBool,
    /// Goes last: while it is there, files of the drive are open.
    in_use: Arc<()>,
}

impl Drive {
    /// Reads the superblock of a directory; `None` if it was never a drive.
    ///
    /// # Errors
    /// [`DriveOpenError::Damaged`] when there is data but no good superblock: never format that.
    pub fn probe(io: &dyn DriveIo) -> Result<Option<Superblock>, DriveOpenError> {
        superblock::read(io)
    }

    /// Removes the index of a drive that holds nothing yet: a drive that had the directory before it may have
    /// left files there while it was closed.
    pub fn forget_index(io: &dyn DriveIo) -> io::Result<()> {
        index::forget(io)
    }

    /// Opens a drive, or makes a fresh directory one. Reads back what a crash left open.
    pub fn open_or_format(
        io: Arc<dyn DriveIo>,
        config: &DriveConfig,
        env: &Env,
        metrics: Arc<DataMetrics>,
    ) -> Result<Arc<Self>, DriveOpenError> {
        let superblock = match superblock::read(&*io)? {
            Some(found) => found,
            None => superblock::format(&*io, config, env)?,
        };
        if superblock.cluster != config.cluster {
            return Err(DriveOpenError::OtherCluster { found: superblock.cluster, expected: config.cluster });
        }
        if superblock.site != config.site {
            return Err(DriveOpenError::OtherSite { found: superblock.site, expected: config.site });
        }
        if config.segment_bytes < SEGMENT_BYTES_MIN {
            return Err(DriveOpenError::SegmentTooSmall { bytes: config.segment_bytes, min: SEGMENT_BYTES_MIN });
        }
        let index = DriveIndex::open(&*io, &config.index)?;
        let core = Arc::new(DriveCore {
            id: superblock.drive,
            cluster: config.cluster,
            segments: Segments::new(config.segment_bytes),
            io,
            env: env.clone(),
            superblock: Mutex::new(superblock),
            health: Health::default(),
            index,
            counts: DriveCounts::default(),
            metrics,
            read_latency: Latency::default(),
            write_latency: Latency::default(),
            jobs: Queue::new(APPEND_QUEUE_MAX),
            syncs: Queue::new(APPEND_QUEUE_MAX),
            reads: Queue::new(READ_QUEUE_MAX),
            compactions: Queue::new(compact::COMPACT_QUEUE_MAX),
            stopping: AtomicBool::new(false),
            blocked: Mutex::default(),
            damage: OnceLock::new(),
            gone: AtomicBool::new(false),
            in_use: Arc::new(()),
        });
        recovery::recover(&core)?;
        let threads = start_threads(&core).map_err(|source| DriveOpenError::Io { op: "start threads", source })?;
        Ok(Arc::new(Self { core, threads: Mutex::new(threads), leaving: AtomicBool::new(false) }))
    }

    /// Its id, never reused.
    pub fn id(&self) -> DriveId {
        self.core.id
    }

    /// Its directory.
    pub fn io(&self) -> &Arc<dyn DriveIo> {
        &self.core.io
    }

    /// Can be upgraded as long as a file of the drive, or its index, is open.
    pub fn in_use(&self) -> Weak<()> {
        Arc::downgrade(&self.core.in_use)
    }

    /// Queues one shard of a stripe. The answer comes when it is written or, with
    /// [`Durability::Synced`], when it and all of its class that was queued here before is durable.
    ///
    /// Never waits. The answer names the segment: until a later sync has answered, ask it
    /// [`Segment::is_poisoned`].
    pub fn append(
        &self,
        stripe: Arc<EncodedStripe>,
        shard: u8,
        durability: Durability,
    ) -> oneshot::Receiver<Result<Arc<Segment>, DriveError>> {
        self.queue_append(stripe, shard, durability, Replaces::Nothing)
    }

    /// Queues a rebuilt shard, and answers when it is durable. The index names it from then on; the record that
    /// it names now, if any, counts as dead.
    pub fn replace(
        &self,
        stripe: Arc<EncodedStripe>,
        shard: u8,
    ) -> oneshot::Receiver<Result<Arc<Segment>, DriveError>> {
        self.queue_append(stripe, shard, Durability::Synced, Replaces::OldRecord)
    }

    fn queue_append(
        &self,
        stripe: Arc<EncodedStripe>,
        shard: u8,
        durability: Durability,
        replaces: Replaces,
    ) -> oneshot::Receiver<Result<Arc<Segment>, DriveError>> {
        let (reply, answer) = oneshot::channel();
        let queued_us = self.core.env.clock.now_us();
        self.queue(Job::Append(AppendJob { stripe, shard, durability, replaces, queued_us, reply }));
        answer
    }

    /// Whether clients' work waits on this drive now.
    pub fn is_busy(&self) -> bool {
        !self.core.jobs.is_empty() || !self.core.reads.is_empty()
    }

    /// Makes durable all that was queued before. Never waits.
    pub fn sync(&self) -> oneshot::Receiver<Result<(), DriveError>> {
        let (reply, answer) = oneshot::channel();
        self.queue(Job::Sync(self.core.env.clock.now_us(), reply));
        answer
    }

    /// Queues shards to be forgotten, and answers when the index has forgotten them (durably only after
    /// [`Drive::flush_index`]). Idempotent; what is not there is left alone.
    ///
    /// # Errors
    /// Some may still be there: free them again.
    pub fn free(&self, shards: Vec<ShardKey>) -> oneshot::Receiver<Result<(), DriveError>> {
        let (reply, answer) = oneshot::channel();
        self.queue(Job::Free(shards, reply));
        answer
    }

    /// Queues a pass of compaction: sealed segments with much that is dead give their space back.
    ///
    /// Readers and writers go on meanwhile. What a pass did before an error stays done.
    pub fn compact(&self, policy: CompactionPolicy) -> oneshot::Receiver<Result<CompactionReport, DriveError>> {
        let (reply, answer) = oneshot::channel();
        if !self.state().writes() {
            drop(reply.send(Err(self.core.health.offline())));
        } else if let Err(job) = self.core.compactions.push(CompactJob { policy, reply }) {
            drop(job.reply.send(Err(DriveError::Busy)));
        }
        answer
    }

    /// Has damaged shards told to `sink`; only the first call counts.
    pub fn on_damage(&self, sink: Arc<dyn DamageSink>) {
        let _ = self.core.damage.set(sink);
    }

    /// Reads cells of one column: those in the page cache at once, the others by a reader thread.
    ///
    /// The location may be an old one: a shard that compaction moved since is read where it is now.
    pub fn read_column(&self, key: &ShardKey, location: &ShardLocation, cells: Vec<CellRead>) -> ColumnRead {
        reader::read_column(&self.core, key, location, cells)
    }

    /// Counts a cell of this drive that did not match its checksum.
    pub fn note_crc_failure(&self, stripe: StripeId, shard: u8, row: usize) {
        self.core.counts.add_crc_failure();
        DataMetrics::add(&self.core.metrics.crc_failures, 1);
        tracing::warn!(drive = %self.core.id, ?stripe, shard, row, "a cell does not match its checksum");
    }

    /// Makes durable all that the index knows, frees that were queued before this call included.
    pub async fn flush_index(&self) -> Result<(), DriveError> {
        self.sync().await.map_err(|_| self.core.health.offline())??;
        let core = self.core.clone();
        let flushed = tokio::task::spawn_blocking(move || core.index.flush()).await;
        Ok(flushed.map_err(|_| self.core.health.offline())??)
    }

    /// Seals the open segment and flushes the index, so that the next start scans nothing.
    pub async fn close(&self) -> Result<(), DriveError> {
        self.core.stopping.store(true, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        self.queue(Job::Close(reply));
        answer.await.map_err(|_| self.core.health.offline())?
    }

    /// An answer that never comes is the drive's failure: the job is dropped with its channel.
    fn queue(&self, job: Job) {
        if !self.state().takes_jobs() {
            return job.refuse(&self.core.health);
        }
        if let Err(job) = self.core.jobs.push(job) {
            job.refuse(&self.core.health);
        }
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.core.stopping.store(true, Ordering::Relaxed);
        self.core.compactions.close();
        self.core.jobs.close();
        self.core.reads.close();
        // The appender closes the syncer's queue when its own is empty. A thread of a failed drive
        // may be stuck on a dead disk: it is waited for a little, then left behind.
        let mut threads: Vec<_> = self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        let mut patience = FAILED_DRIVE_POLLS;
        while self.state() == DriveState::Failed && patience > 0 && !threads.iter().all(is_finished) {
            thread::sleep(FAILED_DRIVE_POLL);
            patience -= 1;
        }
        let failed = self.state() == DriveState::Failed;
        for ended in threads.drain(..).filter(|thread| !failed || is_finished(thread)) {
            if ended.thread().id() != thread::current().id() {
                let _ = ended.join();
            }
        }
    }
}

/// When an append answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As soon as it is written to the file.
    Written,
    /// When it, and all that was queued on the drive before it for segments of its class, survives a power cut.
    Synced,
}

impl DriveCore {
    fn lock_blocked(&self) -> MutexGuard<'_, HashMap<SegmentId, u64>> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start_threads(core: &Arc<DriveCore>) -> io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::with_capacity(READERS + 3);
    threads.push(start_thread("compact", core, compact::run)?);
    threads.push(start_thread("append", core, appender::run)?);
    threads.push(start_thread("sync", core, syncer::run)?);
    for _ in 0..READERS {
        threads.push(start_thread("read", core, reader::run)?);
    }
    Ok(threads)
}

fn start_thread(name: &str, core: &Arc<DriveCore>, run: fn(&Arc<DriveCore>)) -> io::Result<JoinHandle<()>> {
    let core = core.clone();
    thread::Builder::new().name(format!("drive-{name}")).stack_size(STACK_BYTES).spawn(move || run(&core))
}
