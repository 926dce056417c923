//! Packing: small blobs, kept as whole copies at first, are laid one behind the other into stripes.
//!
//! ```text
//! waits, and is old enough ─┐
//! live in a sparse pack ────┴─▶ read, verified ─▶ one stripe, synced ─▶ PackRuns: still where it was? ─▶ copies die
//! ```
//!
//! Runs are taken in the order in which they were begun, whatever their groups: what was written together lies
//! together, and is often read or removed together. Redundancy never falls meanwhile: a stripe that a drive missed is
//! given up, and while no group has all its drives the copies stay. A pack without a drive would save space for as long as
//! that is away, and pay with it: m+1 copies on drives that are there can lose any m of them, k+m-1 shards one less.
//!
//! What packing holds in memory is bounded: the stripes that it fills, which come out of the writers' pool and are at
//! most a share of it, and the readers' windows; a blob is read to its place in the stripe. What names the blobs of a round is
//! at most [`PACKS_AT_ONCE`] times [`PACK_MEMBERS_MAX`] rows.
//!
//! A crash leaves at most a stripe that no row names: an orphan.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Engine;
use crate::blob::PACK_BYTES;
use crate::drive::DataMetrics;
use crate::error::{StateError, StorageError};
use crate::failpoint::{Step, failpoint};
use crate::ids::StripeId;
use crate::namespace::command::{Op, Outcome};
use crate::namespace::packs::{MemberSource, PACK_MEMBERS_MAX, PackCounts, PackRuns, PackedRun};
use crate::namespace::rows::{BlobRef, StripeRun};

/// How often there is a look for runs that are old enough.
const TICK: Duration = Duration::from_secs(1);
/// Packs that are made at once, at most: their syncs are shared.
const PACKS_AT_ONCE: usize = 4;
/// Their stripes take at most this share of the memory for writes, but one is always made: clients' come first.
const MEMORY_SHARE: usize = 4;
/// Rows read at once.
const PAGE_RUNS: usize = 512;
/// Sparse packs looked at in one round.
const PAGE_PACKS: usize = 64;
/// A run that could not be read is left alone for so long; those that are remembered at most.
const FAILED_FOR: Duration = Duration::from_secs(10 * 60);
const FAILED_MAX: usize = 16_384;
/// Rounds that go wrong, for want of drives or room, are so far apart.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Which blobs are kept as copies at first, and when they are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackConfig {
    /// Blobs over the inline limit, up to this many sealed bytes; 0 is none. What was kept so before is packed all
    /// the same.
    pub limit_bytes: usize,
    /// Age from which a run is packed, when there are enough for a whole stripe: what is soon removed again is not
    /// written twice.
    pub age: Duration,
    /// Age from which it is packed though they do not fill a stripe.
    pub leftover_age: Duration,
}

impl Default for PackConfig {
    fn default() -> Self {
        Self { limit_bytes: PACK_BYTES, age: Duration::from_secs(60), leftover_age: Duration::from_secs(60 * 60) }
    }
}

/// What packing did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackReport {
    /// Stripes written.
    pub packs: u64,
    /// Runs put into them.
    pub runs: u64,
    /// Bytes of those runs.
    pub bytes: u64,
}

/// Where packing stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackStatus {
    /// What is packed, and what waits to be.
    pub counts: PackCounts,
    /// What was done since the start.
    pub done: PackReport,
    /// Packs that were given up since the start: a drive missed them, or nothing in them was needed any more.
    pub given_up: u64,
}

/// What the engine keeps of it.
pub(super) struct Packing {
    pub(super) config: PackConfig,
    /// Held by the round that is under way.
    working: Arc<tokio::sync::Mutex<()>>,
    /// Runs that could not be read, and until when they are left alone.
    failed: Mutex<HashMap<StripeId, Instant>>,
    packs: AtomicU64,
    runs: AtomicU64,
    bytes: AtomicU64,
    given_up: AtomicU64,
}

/// What is packed in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// What is old enough.
    Due,
    /// Everything that was begun by then, in milliseconds.
    Until(u64),
}

/// A run that goes into a pack, and where its bytes are now.
struct Candidate {
    first: StripeId,
    len_bytes: u32,
    from: MemberSource,
    /// What is read, and from which byte on.
    read: (StripeRun, u32),
}

/// Why a pack was not made.
#[derive(Debug, thiserror::Error)]
enum PackError {
    #[error("no group has all its drives: small blobs stay whole copies")]
    NoGroup,
    #[error("a drive missed the stripe")]
    Degraded,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Packing {
    pub(super) fn new(config: PackConfig) -> Self {
        Self {
            config,
            working: Arc::default(),
            failed: Mutex::default(),
            packs: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        }
    }

    fn done(&self) -> PackReport {
        PackReport { packs: self.packs.load(Relaxed), runs: self.runs.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }

    fn has_failed(&self, run: StripeId) -> bool {
        let mut failed = self.lock_failed();
        match failed.get(&run) {
            Some(until) if *until > Instant::now() => true,
            Some(_) => failed.remove(&run).is_none(),
            None => false,
        }
    }

    fn note_failed(&self, run: StripeId) {
        let mut failed = self.lock_failed();
        if failed.len() >= FAILED_MAX {
            failed.clear();
        }
        failed.insert(run, Instant::now() + FAILED_FOR);
    }

    fn lock_failed(&self) -> MutexGuard<'_, HashMap<StripeId, Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Packs what is due until the engine is gone.
pub(super) async fn keep_packing(engine: Weak<Engine>) {
    let mut wait = TICK;
    loop {
        sleep(wait).await;
        let Some(working) = engine.upgrade().map(|engine| engine.packing.working.clone()) else { return };
        let _alone = working.lock().await;
        wait = loop {
            // Not held between rounds: it may be dropped.
            let Some(engine) = engine.upgrade() else { return };
            match engine.pack_round(Which::Due).await {
                Ok(0) => break TICK,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "packing waits");
                    break AGAIN_AFTER;
                }
            }
        };
    }
}

impl Engine {
    /// Packs every small blob that is kept as copies, and what is live in packs with much that is dead.
    ///
    /// # Errors
    /// No group has all its drives, or the index cannot be read. What was packed before stays so.
    pub async fn pack_now(self: &Arc<Self>) -> Result<PackReport, StorageError> {
        let working = self.packing.working.clone();
        let _alone = working.lock().await;
        let before = self.packing.done();
        let which = Which::Until(self.env.now_ms());
        loop {
            match self.pack_round(which).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(PackError::Storage(error)) => return Err(error),
                Err(error) => return Err(StorageError::Unavailable { why: error.to_string() }),
            }
        }
        let after = self.packing.done();
        Ok(PackReport {
            packs: after.packs - before.packs,
            runs: after.runs - before.runs,
            bytes: after.bytes - before.bytes,
        })
    }

    /// Where packing stands.
    pub fn pack_status(&self) -> PackStatus {
        PackStatus {
            counts: self.machine.pack_counts(),
            done: self.packing.done(),
            given_up: self.packing.given_up.load(Relaxed),
        }
    }

    /// Makes a few packs at once; answers how many were to be made.
    async fn pack_round(self: &Arc<Self>, which: Which) -> Result<usize, PackError> {
        let nothing_waits = {
            let counts = self.machine.pack_counts();
            counts.waiting_runs == 0 && counts.live_bytes == counts.packed_bytes
        };
        if nothing_waits || !self.takes_commands() {
            return Ok(0);
        }
        let engine = self.clone();
        let gathered = tokio::task::spawn_blocking(move || engine.gather(which)).await;
        let batches = gathered.map_err(|_| StorageError::Closed)?.map_err(StorageError::from)?;
        let count = batches.len();
        if count == 0 {
            return Ok(0);
        }
        self.blobs.make_room_for_clients().await;
        let mut making = JoinSet::new();
        for batch in batches {
            let engine = self.clone();
            making.spawn(async move { engine.pack_batch(batch).await });
        }
        let mut failed = None;
        while let Some(made) = making.join_next().await {
            if let Err(error) = made.unwrap_or(Err(PackError::Storage(StorageError::Closed))) {
                self.packing.given_up.fetch_add(1, Relaxed);
                failed = Some(error);
            }
        }
        failed.map_or(Ok(count), Err)
    }

    /// The next runs to pack, by the stripe that they make.
    fn gather(&self, which: Which) -> Result<Vec<Vec<Candidate>>, StateError> {
        let config = &self.packing.config;
        let now_ms = self.env.now_ms();
        let ago = |age: Duration| now_ms.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let memory_bytes = self.blobs.budget().writers().limit_bytes() / MEMORY_SHARE;
        let packs_max = (memory_bytes / self.blobs.pack_memory_bytes().max(1)).clamp(1, PACKS_AT_ONCE);
        let mut filling = Filling::new(self.blobs.pack_bytes_max(), packs_max);
        let (until_ms, leftover_ms) = match which {
            Which::Due => (ago(config.age), ago(config.leftover_age)),
            Which::Until(until_ms) => (until_ms, u64::MAX),
        };
        self.gather_waiting(&mut filling, until_ms)?;
        self.gather_sparse(&mut filling)?;
        Ok(filling.batches(leftover_ms))
    }

    fn gather_waiting(&self, filling: &mut Filling, until_ms: u64) -> Result<(), StateError> {
        let mut after = None;
        while !filling.is_full() {
            let page = self.machine.waiting_runs(after, PAGE_RUNS)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.first);
            for run in page {
                if run.first.time_ms() > until_ms || filling.is_full() {
                    return Ok(());
                }
                if !self.packing.has_failed(run.first) {
                    filling.add(Candidate {
                        first: run.first,
                        len_bytes: u32::try_from(run.len_bytes).unwrap_or(u32::MAX),
                        from: MemberSource::Copies(run.clone()),
                        read: (run, 0),
                    });
                }
            }
        }
        Ok(())
    }

    fn gather_sparse(&self, filling: &mut Filling) -> Result<(), StateError> {
        for pack in self.machine.sparse_packs(None, PAGE_PACKS)? {
            for (first, place) in self.machine.live_members(pack)? {
                if filling.is_full() {
                    return Ok(());
                }
                if !self.packing.has_failed(first) {
                    filling.add(Candidate {
                        first,
                        len_bytes: place.len_bytes,
                        from: MemberSource::Pack(pack),
                        read: (place.pack, place.offset),
                    });
                }
            }
        }
        Ok(())
    }

    /// Makes one pack. What cannot be read is left out.
    async fn pack_batch(&self, batch: Vec<Candidate>) -> Result<(), PackError> {
        let bytes: u64 = batch.iter().map(|candidate| u64::from(candidate.len_bytes)).sum();
        let mut writer = self.blobs.pack_writer(bytes).ok_or(PackError::NoGroup)?;
        let (mut members, mut offset) = (Vec::with_capacity(batch.len()), 0);
        for candidate in batch {
            let place = writer.spare().await?.get_mut(..candidate.len_bytes as usize);
            let is_read = match place {
                Some(place) => self.read_candidate(&candidate, place).await,
                None => false,
            };
            if !is_read {
                self.packing.note_failed(candidate.first);
                continue;
            }
            let Candidate { first, len_bytes, from, .. } = candidate;
            writer.advance(len_bytes as usize);
            members.push(PackedRun { first, offset, len_bytes, from });
            offset += len_bytes;
        }
        if members.is_empty() {
            return Ok(());
        }
        let written = writer.finish().await?;
        let BlobRef::Stripes(pack) = written.blob else { unreachable!("a pack is never inline") };
        if !written.missing.is_empty() {
            self.blobs.give_up(&pack);
            return Err(PackError::Degraded);
        }
        failpoint(Step::PackWritten);
        let count = members.len() as u64;
        let applied = self.record(Op::PackRuns(Box::new(PackRuns { pack, members }))).await?;
        failpoint(Step::PackRecorded);
        if applied.outcome == Outcome::Done {
            self.packing.packs.fetch_add(1, Relaxed);
            self.packing.runs.fetch_add(count, Relaxed);
            self.packing.bytes.fetch_add(u64::from(offset), Relaxed);
        } else {
            // All were removed meanwhile: what was written is freed by the command.
            self.packing.given_up.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Reads the bytes of a run to their place, each cell verified; of copies the whole as it was written. False if that
    /// cannot be: then the place has anything.
    async fn read_candidate(&self, candidate: &Candidate, place: &mut [u8]) -> bool {
        let (run, offset) = &candidate.read;
        let from = u64::from(*offset);
        let mut reader = self.blobs.reader(&BlobRef::Stripes(run.clone()), from..from + place.len() as u64);
        let mut filled = 0;
        loop {
            match reader.next().await {
                Ok(Some(piece)) => {
                    let piece = piece.as_slice();
                    let Some(room) = place.get_mut(filled..filled + piece.len()) else { return false };
                    room.copy_from_slice(piece);
                    filled += piece.len();
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(run = ?candidate.first, %error, "a small blob cannot be packed now");
                    return false;
                }
            }
        }
        DataMetrics::add(&self.blobs.metrics().bytes_copied, filled as u64);
        let is_whole = filled == place.len()
            && match &candidate.from {
                MemberSource::Copies(run) => *blake3::hash(place).as_bytes() == run.blake3,
                MemberSource::Pack(_) => true,
            };
        if !is_whole {
            tracing::error!(run = ?candidate.first, "a small blob is not what was written: it is not packed");
        }
        is_whole
    }
}

/// Candidates as they fill stripes.
struct Filling {
    bytes_max: usize,
    packs_max: usize,
    whole: Vec<Vec<Candidate>>,
    last: Vec<Candidate>,
    last_bytes: usize,
    /// When the oldest of the last ones was begun, or its pack, in milliseconds.
    oldest_ms: u64,
}

impl Filling {
    fn new(bytes_max: usize, packs_max: usize) -> Self {
        Self { bytes_max, packs_max, whole: Vec::new(), last: Vec::new(), last_bytes: 0, oldest_ms: u64::MAX }
    }

    fn is_full(&self) -> bool {
        self.whole.len() >= self.packs_max
    }

    fn add(&mut self, candidate: Candidate) {
        let bytes = candidate.len_bytes as usize;
        if bytes > self.bytes_max {
            // Written with wider stripes: it stays as it is.
            return;
        }
        if self.last_bytes + bytes > self.bytes_max || self.last.len() >= PACK_MEMBERS_MAX {
            self.whole.push(std::mem::take(&mut self.last));
            (self.last_bytes, self.oldest_ms) = (0, u64::MAX);
        }
        self.last_bytes += bytes;
        self.oldest_ms = self.oldest_ms.min(candidate.read.0.first.time_ms());
        self.last.push(candidate);
    }

    /// Those that fill a stripe, and the others too if they were begun by `leftover_ms`.
    fn batches(mut self, leftover_ms: u64) -> Vec<Vec<Candidate>> {
        if !self.last.is_empty() && !self.is_full() && self.oldest_ms <= leftover_ms {
            self.whole.push(self.last);
        }
        self.whole
    }
}
