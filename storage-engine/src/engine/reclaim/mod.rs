//! Giving space back: dead runs are freed, orphans found, segments compacted.
//!
//! ```text
//! delete ─▶ dead run ─ grace, readers ─▶ freed on the drives ─▶ dead bytes ─▶ compaction ─▶ file system
//! crash  ─▶ orphan ─ age, nobody owns it ────────▲
//!          ─▶ torn record ─ nobody owns it ──────▲
//! ```
//!
//! Each stage keeps its own durable record (rows of `dead`, the drives' indexes), so that a stop or a
//! crash between two of them loses nothing and frees nothing twice.

mod dead;
mod orphans;
mod strays;
mod torn;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

pub use orphans::OrphanReport;

pub(super) use self::dead::{DeadRuns, Grace};
use super::Engine;
use crate::drive::{CompactionPolicy, CompactionReport};
use crate::error::{StorageError, chain};
use crate::ids::StripeId;
use crate::namespace::command::Op;

/// The first walk for orphans begins this long after the start.
const FIRST_WALK: Duration = Duration::from_secs(60);
/// A walk that failed is tried again after this.
const WALK_AGAIN: Duration = Duration::from_secs(600);
/// Drives that compact at once.
const DRIVES_AT_ONCE: usize = 2;
/// Between a write that found no room and the look at the segments.
const SPACE_REST: Duration = Duration::from_secs(1);
/// Orphans are never younger than this: a blob that was written has as long to be named.
pub const ORPHAN_AGE_MIN: Duration = Duration::from_secs(60 * 60);

/// When space is given back.
#[derive(Debug, Clone)]
pub struct ReclaimConfig {
    /// How long the bytes of a version stay after it was replaced or deleted, for readers that are about
    /// to begin. One that has begun keeps them for up to an hour.
    pub grace: Duration,
    /// Age from which shards that nobody owns are freed; at least [`ORPHAN_AGE_MIN`].
    pub orphan_age: Duration,
    /// From one walk for orphans to the next.
    pub orphan_interval: Duration,
    /// From one look at the segments to the next.
    pub compaction_interval: Duration,
    /// Which segments, and how fast.
    pub compaction: CompactionPolicy,
}

impl Default for ReclaimConfig {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(60),
            orphan_age: Duration::from_secs(48 * 60 * 60),
            orphan_interval: Duration::from_secs(24 * 60 * 60),
            compaction_interval: Duration::from_secs(30),
            compaction: CompactionPolicy::default(),
        }
    }
}

/// What a full pass gave back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReclaimReport {
    /// Dead runs that were freed.
    pub runs_freed: u64,
    /// What the walk for orphans found.
    pub orphans: OrphanReport,
    /// What compaction did, on all drives together.
    pub compaction: CompactionReport,
    /// Drives that were passed over, or whose pass failed.
    pub drives_failed: u64,
}

/// Where the giving back stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReclaimStatus {
    /// Dead runs in memory that wait for their grace or a reader.
    pub waiting_runs: u64,
    /// Dead runs freed since the start.
    pub runs_freed: u64,
    /// End of the last look at the segments, Unix time in microseconds; 0 before the first.
    pub compacted_us: u64,
    /// End of the last walk for orphans, Unix time in microseconds; 0 before the first.
    pub walked_us: u64,
}

/// What the engine keeps of it.
pub(super) struct Reclaim {
    pub(super) config: ReclaimConfig,
    pub(super) dead: Arc<DeadRuns>,
    /// What died before has no readers.
    pub(super) opened_us: u64,
    /// Held by the walk that is under way.
    walking: Arc<tokio::sync::Mutex<()>>,
    compacted_us: AtomicU64,
    walked_us: AtomicU64,
}

impl Reclaim {
    pub(super) fn new(config: ReclaimConfig, opened_us: u64) -> Self {
        let dead = Arc::new(DeadRuns::default());
        dead.read_rows();
        Self {
            config: ReclaimConfig { orphan_age: config.orphan_age.max(ORPHAN_AGE_MIN), ..config },
            dead,
            opened_us,
            walking: Arc::default(),
            compacted_us: AtomicU64::new(0),
            walked_us: AtomicU64::new(0),
        }
    }

    pub(super) fn status(&self) -> ReclaimStatus {
        let (waiting_runs, runs_freed) = self.dead.counts();
        ReclaimStatus {
            waiting_runs,
            runs_freed,
            compacted_us: self.compacted_us.load(Relaxed),
            walked_us: self.walked_us.load(Relaxed),
        }
    }
}

impl Engine {
    /// Gives back now what can be given back: the grace of dead runs is over, segments are compacted
    /// whatever little is dead in them. Orphans keep their age.
    ///
    /// # Errors
    /// The index cannot be read. What was freed before stays freed.
    pub async fn reclaim_now(self: &Arc<Self>) -> Result<ReclaimReport, StorageError> {
        let runs_freed = self.bury(Grace::Ended).await?;
        let orphans = walk_once(&Arc::downgrade(self)).await?;
        let policy = CompactionPolicy { eager: true, ..self.reclaim.config.compaction };
        let mut report = ReclaimReport { runs_freed, orphans, ..ReclaimReport::default() };
        for drive in self.blobs.drives() {
            match self.blobs.compact(&drive, policy).await {
                Ok(Ok(done)) => report.compaction.add(&done),
                Ok(Err(error)) => {
                    tracing::warn!(drive = %drive.id(), error = chain(&error), "compaction ended early");
                    report.drives_failed += 1;
                }
                Err(_closed) => report.drives_failed += 1,
            }
        }
        self.reclaim.compacted_us.store(self.env.clock.now_us(), Relaxed);
        Ok(report)
    }
}

/// First stripes of the runs that a command names: once it is applied they have an owner or are dead.
pub(super) fn runs_named(op: &Op) -> Vec<StripeId> {
    let parts = match op {
        Op::PutVersion { row, .. } => &row.parts[..],
        Op::PutPart { part, .. } => std::slice::from_ref(&**part),
        Op::PackRuns(command) => return vec![command.pack.first],
        _ => return Vec::new(),
    };
    parts.iter().filter_map(|part| part.blob.stripes()).map(|run| run.first).collect()
}

/// Looks after the segments until the engine is gone: each interval, and soon when space is wanted.
pub(super) async fn keep_compacting(engine: Weak<Engine>) {
    loop {
        let strong = engine.upgrade();
        let Some((interval, wanted)) =
            strong.map(|engine| (engine.reclaim.config.compaction_interval, engine.blobs.space_wanted().clone()))
        else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = wanted.notified() => tokio::time::sleep(SPACE_REST.min(interval)).await,
        }
        compact_drives(&engine).await;
    }
}

/// One look at the segments of each drive, a few drives at a time: reads go around them.
async fn compact_drives(engine: &Weak<Engine>) {
    let Some(count) = engine.upgrade().map(|engine| engine.blobs.drives().len()) else { return };
    for first in (0..count).step_by(DRIVES_AT_ONCE) {
        // The engine is not held while drives work: it may be dropped.
        let Some(passes) = engine.upgrade().map(|engine| {
            let drives = engine.blobs.drives().into_iter().skip(first).take(DRIVES_AT_ONCE);
            let online = drives.filter(|drive| drive.state().writes());
            online.map(|drive| engine.blobs.compact(&drive, engine.reclaim.config.compaction)).collect::<Vec<_>>()
        }) else {
            return;
        };
        for pass in passes {
            match pass.await {
                Ok(Ok(report)) if report.segments_removed > 0 => {
                    tracing::info!(
                        segments = report.segments_removed,
                        copied_bytes = report.copied_bytes,
                        reclaimed_bytes = report.reclaimed_bytes,
                        "segments compacted"
                    );
                }
                Ok(Err(error)) => tracing::warn!(error = chain(&error), "compaction ended early"),
                Ok(Ok(_)) | Err(_) => {}
            }
        }
    }
    if let Some(engine) = engine.upgrade() {
        engine.reclaim.compacted_us.store(engine.env.clock.now_us(), Relaxed);
    }
}

/// Walks for orphans until the engine is gone: after the start, then each interval.
pub(super) async fn keep_walking(engine: Weak<Engine>) {
    let mut wait = FIRST_WALK;
    loop {
        tokio::time::sleep(wait).await;
        let Some(interval) = engine.upgrade().map(|engine| engine.reclaim.config.orphan_interval) else { return };
        wait = match walk_once(&engine).await {
            Ok(report) => {
                if report.orphans > 0 {
                    tracing::info!(orphans = report.orphans, bytes = report.orphan_bytes, "orphans freed");
                }
                interval
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "the walk for orphans ended early");
                WALK_AGAIN.min(interval)
            }
        };
    }
}

/// One walk, unless another is under way: that one is as good.
async fn walk_once(engine: &Weak<Engine>) -> Result<OrphanReport, StorageError> {
    let Some(walking) = engine.upgrade().map(|engine| engine.reclaim.walking.clone()) else {
        return Ok(OrphanReport::default());
    };
    let Ok(_alone) = walking.try_lock() else { return Ok(OrphanReport::default()) };
    let report = orphans::walk(engine).await?;
    if let Some(engine) = engine.upgrade() {
        engine.reclaim.walked_us.store(engine.env.clock.now_us(), Relaxed);
    }
    Ok(report)
}
