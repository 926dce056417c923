//! The mender: redundancy that was lost comes back by itself, while the engine serves.
//!
//! ```text
//! degraded writes (heal rows) ─┐
//! bad cells met by reads ──────┤
//! compaction ──────────────────┼─▶ queue: least redundant first ─▶ read k, rebuild, write, sync
//! scrub ───────────────────────┤                                            │
//! a drive to be filled ────────┘            RecordRepair: still owned? ◀────┘
//! ```
//!
//! A repair never brings back a removed object: what was written is named by the drive's index alone,
//! and when its record is applied without an owner the run is freed like any that died. A drive
//! that is away keeps its shards: nothing is rebuilt elsewhere until a layout says so.

mod codeword;
mod columns;
mod journal;
mod later;
mod pace;
mod queue;
mod rebuild;
mod scrub;
mod stripe;
mod tally;
#[cfg(test)]
mod tests;
mod walk;
mod worker;

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::blob::BlobStore;
use crate::engine::Engine;
use crate::state::StateMachine;
use pace::Throttle;
use queue::{Job, MendQueue};
pub use rebuild::{Rebuild, RebuildProgress};
use scrub::ScrubState;
pub use scrub::{ScrubFailure, ScrubReport, ScrubScope, ScrubStatus};
use worker::Heals;

/// How the mender may spend the drives' time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MendConfig {
    /// Bytes that repairs read and write in a second; 0 is no limit. Stripes that could not lose another shard
    /// do not wait for it.
    pub repair_bytes_per_s: u64,
    /// Seconds within which scrub checks every drive whole; 0 is never.
    pub scrub_period_s: u64,
    /// Seconds after which a drive that is away is given up, and what it held is rebuilt on the others; 0 is
    /// never. One whose writes fail is given up after a minute.
    pub evacuate_after_s: u64,
}

impl Default for MendConfig {
    fn default() -> Self {
        Self { repair_bytes_per_s: 64 << 20, scrub_period_s: 14 * 24 * 3600, evacuate_after_s: 30 * 60 }
    }
}

/// What the mender did since the start, and what waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MendStatus {
    /// Stripes in the queue.
    pub queued: u64,
    /// Those by the shards that they could still lose: 0, 1, 2, 3, and more.
    pub queued_by_redundancy: [u64; 5],
    /// Stripes whose repair waits for a drive.
    pub waiting: u64,
    /// Shards rebuilt.
    pub shards: u64,
    /// Bytes of their cells.
    pub bytes: u64,
    /// Files, or parts of files, written again.
    pub files: u64,
    /// Stripes found with fewer than k good shards.
    pub lost_stripes: u64,
}

/// Restores redundancy in the background. One per engine.
pub struct Mender {
    blobs: BlobStore,
    machine: Arc<StateMachine>,
    queue: Mutex<MendQueue>,
    throttle: Throttle,
    heals: Mutex<Heals>,
    scrub: Mutex<ScrubState>,
    scrub_period_s: AtomicU64,
    /// Wakes the worker: something was queued.
    wake: Arc<Notify>,
    /// Wakes the schedule of scrub: a read met a damaged index.
    index_damaged: Arc<Notify>,
    counts: Counts,
    stopped: AtomicBool,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Counts {
    shards: AtomicU64,
    bytes: AtomicU64,
    files: AtomicU64,
    lost_stripes: AtomicU64,
    waiting: AtomicU64,
    /// Jobs taken from the queue and not settled.
    in_hand: AtomicU64,
}

impl Mender {
    pub(crate) fn new(blobs: BlobStore, machine: Arc<StateMachine>, config: MendConfig) -> Arc<Self> {
        Arc::new(Self {
            blobs,
            machine,
            queue: Mutex::default(),
            throttle: Throttle::new(config.repair_bytes_per_s),
            heals: Mutex::default(),
            scrub: Mutex::default(),
            scrub_period_s: AtomicU64::new(config.scrub_period_s),
            wake: Arc::default(),
            index_damaged: Arc::default(),
            counts: Counts::default(),
            stopped: AtomicBool::new(false),
            tasks: Mutex::default(),
        })
    }

    /// Begins to work. The engine is not kept alive by it.
    pub(crate) fn start(self: &Arc<Self>, engine: Weak<Engine>) {
        self.spawn(worker::run(Arc::downgrade(self), engine.clone()));
        self.spawn(scrub::run_schedule(Arc::downgrade(self), engine));
    }

    /// Ends the work in hand. What waits is found again after the next start.
    pub(crate) async fn stop(&self) {
        self.stop_soon();
        let tasks: Vec<_> = self.lock_tasks().drain(..).collect();
        for task in tasks {
            // Aborted, or it panicked: it is over.
            let _ = task.await;
        }
    }

    /// The same without waiting.
    pub(crate) fn stop_soon(&self) {
        self.stopped.store(true, Relaxed);
        self.lock_tasks().iter().for_each(JoinHandle::abort);
    }

    /// What it did and what waits.
    pub fn status(&self) -> MendStatus {
        let queue = self.lock_queue();
        MendStatus {
            queued: queue.len() as u64 + self.counts.in_hand.load(Relaxed),
            queued_by_redundancy: queue.by_redundancy(),
            waiting: self.counts.waiting.load(Relaxed),
            shards: self.counts.shards.load(Relaxed),
            bytes: self.counts.bytes.load(Relaxed),
            files: self.counts.files.load(Relaxed),
            lost_stripes: self.counts.lost_stripes.load(Relaxed),
        }
    }

    /// Tells it that the namespace's index was found damaged: it is checked and mended soon.
    pub(crate) fn index_is_damaged(&self) {
        self.index_damaged.notify_one();
    }

    /// Changes the budget of repairs; 0 is no limit.
    pub fn set_repair_bytes_per_s(&self, bytes: u64) {
        self.throttle.set(bytes);
    }

    /// Whether nothing waits and nothing is in hand.
    pub fn is_idle(&self) -> bool {
        self.lock_queue().len() == 0 && self.counts.in_hand.load(Relaxed) == 0
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    fn push(&self, job: Job) -> bool {
        self.lock_queue().push(job)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.lock_tasks();
        tasks.retain(|task| !task.is_finished());
        if !self.is_stopped() {
            tasks.push(tokio::spawn(task));
        }
    }

    fn lock_queue(&self) -> MutexGuard<'_, MendQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_scrub(&self) -> MutexGuard<'_, ScrubState> {
        self.scrub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_tasks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
