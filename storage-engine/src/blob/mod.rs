//! Blobs over drives: sealed bytes in, a [`BlobRef`] out, and back, with any m drives lost.
//!
//! ```text
//! writer.spare() -> fill -> advance()      reader.next()
//!      | a row of k cells is full               ^ cells verified, rebuilt from any k
//!      v                                        |
//!   parity, CRC, BLAKE3 while hot            column reads, cached or by the drives' readers
//!      | a stripe is full                       ^
//!      v                                        |
//!   k+m appends, one per drive  ==========>  segments
//!      | finish(): one sync per drive
//!      v
//!   durable on the write quorum -> BlobRef
//! ```
//!
//! A blob exists only once a row of the namespace names it: until then its stripes are orphans
//! that nobody reads.

mod damage;
mod fetch;
mod layout;
mod leaning;
pub(crate) mod leases;
mod patience;
mod reader;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};

pub use damage::{DamageReports, DamagedShard};
pub use layout::{Layouts, Placement, rotated_layout};
pub use leases::ReadLease;
pub(crate) use reader::stripe_shape;
pub use reader::{BlobReader, ReadBuf};
pub use writer::{BlobWriter, WrittenBlob};

use leaning::Leaning;
use leases::Leases;
use patience::Patience;
use tokio::sync::{Notify, oneshot};

use crate::budget::Budget;
use crate::codec::{Geometry, UnknownGeometry};
use crate::drive::{CompactionPolicy, CompactionReport, DataMetrics, Drive, DriveError, DriveSet, DriveStatus};
use crate::env::Env;
use crate::error::{StateError, StorageError};
use crate::ids::{DriveId, StripeId};
use crate::namespace::command::Layout;
use crate::namespace::packs::PackPlace;
use crate::namespace::rows::{BlobRef, StripeRun};
use crate::segment::location::ShardKey;
use crate::segment::shape::{CELL_BYTES, ROWS_MAX, StripeShape};
use crate::segment::stripe::parity_bytes;

/// Sealed bytes that stay in the row itself.
pub const INLINE_BYTES: usize = 8 << 10;
/// Sealed bytes that are kept as whole copies until they are packed, unless it is configured otherwise.
pub const PACK_BYTES: usize = 256 << 10;
/// Data bytes that a stripe of a narrow geometry aims at; wide ones have at least four rows.
const STRIPE_BYTES_AIM: usize = 1 << 20;
const STRIPE_ROWS_MIN: usize = 4;
/// Shards that a drive is asked to forget at once: its writers wait meanwhile.
const FREE_JOB_MAX: usize = 1024;

/// How blobs are laid out.
#[derive(Debug, Clone, Copy)]
pub struct BlobConfig {
    /// Blobs up to this many sealed bytes are kept inline.
    pub inline_bytes: usize,
    /// Larger ones up to this many sealed bytes are kept as whole copies, m+1 of them, until they are packed; at most
    /// what one record, and one stripe, can hold. 0 keeps none so.
    pub pack_bytes: usize,
    /// Rows of a full stripe, 1 to 16; `None` takes what suits the geometry.
    pub stripe_rows: Option<usize>,
}

impl Default for BlobConfig {
    fn default() -> Self {
        Self { inline_bytes: INLINE_BYTES, pack_bytes: PACK_BYTES, stripe_rows: None }
    }
}

/// Knows which small runs were packed, and where.
pub trait PackedRuns: Send + Sync {
    /// Where the bytes of a small run are, if it was packed.
    ///
    /// # Errors
    /// What cannot be read is never "not packed".
    fn pack_place(&self, run: StripeId) -> Result<Option<PackPlace>, StateError>;
}

/// All blobs of one engine. Clones share everything.
#[derive(Clone)]
pub struct BlobStore {
    core: Arc<StoreCore>,
}

struct StoreCore {
    drives: DriveSet,
    layouts: RwLock<(Arc<Layouts>, Geometry)>,
    /// What the layouts were before: alive as long as a write or read goes on that began then.
    older_layouts: Mutex<Vec<Weak<Layouts>>>,
    config: BlobConfig,
    budget: Budget,
    env: Env,
    metrics: Arc<DataMetrics>,
    leases: Leases,
    patience: Patience,
    /// Set once, before the first read.
    packed: OnceLock<Arc<dyn PackedRuns>>,
    damage: Arc<DamageReports>,
    /// Rung when a write found no room.
    space_wanted: Arc<Notify>,
    /// Spreads the first stripes of blobs over the groups.
    leaning: Leaning,
}

impl BlobStore {
    /// A store on `drives`, writing by `layout`.
    ///
    /// # Errors
    /// The layout's geometry is not one of Chartrier's.
    ///
    /// # Panics
    /// If the layout's groups are not of k+m drives each: a bug in the caller.
    pub fn new(
        drives: impl Into<DriveSet>,
        layout: Layout,
        config: BlobConfig,
        budget: Budget,
        env: Env,
        metrics: Arc<DataMetrics>,
    ) -> Result<Self, UnknownGeometry> {
        let geometry = Geometry::new(layout.k, layout.m)?;
        let layouts = Arc::new(Layouts::new(layout).expect("the caller's layout is whole"));
        let damage = Arc::new(DamageReports::default());
        let core = StoreCore {
            drives: drives.into(),
            layouts: RwLock::new((layouts, geometry)),
            older_layouts: Mutex::default(),
            config,
            budget,
            env,
            metrics,
            leases: Leases::default(),
            patience: Patience::default(),
            packed: OnceLock::new(),
            damage,
            space_wanted: Arc::default(),
            leaning: Leaning::default(),
        };
        Ok(Self { core: Arc::new(core) })
    }

    /// Makes another layout known, and writes by it if it is newer than the present one.
    ///
    /// One of another shape, which the state refuses to take, is left out.
    pub fn add_layout(&self, layout: Layout) {
        let mut layouts = self.core.layouts.write().unwrap_or_else(PoisonError::into_inner);
        let version = layout.version;
        match layouts.0.with(layout) {
            Some(more) => {
                let before = std::mem::replace(&mut layouts.0, Arc::new(more));
                let mut older = self.core.older_layouts.lock().unwrap_or_else(PoisonError::into_inner);
                older.retain(|layouts| layouts.strong_count() > 0);
                older.push(Arc::downgrade(&before));
            }
            None => tracing::error!(version, "a layout of another shape is left out"),
        }
    }

    /// Whether some write or read goes on that began before the newest layout was known.
    pub fn older_layouts_in_use(&self) -> bool {
        let older = self.core.older_layouts.lock().unwrap_or_else(PoisonError::into_inner);
        older.iter().any(|layouts| layouts.strong_count() > 0)
    }

    /// Where the stripes of a blob belong and may lie; `None` if the layout that placed it is not known.
    pub fn placement(&self, run: &StripeRun) -> Option<Placement> {
        self.core.placement(run)
    }

    /// One drive.
    pub fn drive(&self, id: DriveId) -> Option<Arc<Drive>> {
        self.core.drive(id)
    }

    /// Begins a blob. `len_hint` is how many sealed bytes are to come, if that is known.
    ///
    /// Does not wait; [`BlobWriter::spare`] does.
    #[expect(clippy::unused_async, reason = "callers may count on being able to wait here")]
    pub async fn writer(&self, len_hint: Option<u64>) -> BlobWriter {
        BlobWriter::new(self.core.clone(), len_hint)
    }

    /// Begins a blob that becomes one stripe of all data columns however small it is, on a group whose drives all take
    /// writes; `None` if there is none. `len` is at most [`BlobStore::pack_bytes_max`].
    pub(crate) fn pack_writer(&self, len: u64) -> Option<BlobWriter> {
        BlobWriter::for_pack(self.core.clone(), len)
    }

    /// Bytes of a pack at most; 0 if small blobs are not kept as copies.
    pub(crate) fn pack_bytes_max(&self) -> usize {
        let (_, geometry) = self.core.layouts();
        if geometry.is_replication() || geometry.m() == 0 { 0 } else { self.core.stripe_bytes(geometry) }
    }

    /// Bytes of memory that a pack takes while it is made: its stripe with the parity.
    pub(crate) fn pack_memory_bytes(&self) -> usize {
        let (_, geometry) = self.core.layouts();
        let shape = StripeShape::new(geometry, self.pack_bytes_max());
        shape.map_or(0, |shape| shape.padded_bytes() + parity_bytes(&shape))
    }

    /// Gives up a blob that was written and that no command will name.
    pub(crate) fn give_up(&self, run: &StripeRun) {
        self.core.give_up(run);
        self.core.leases.settle(run.first);
    }

    /// Has reads ask `packed` where small blobs are; only the first call counts.
    pub(crate) fn follow_packs(&self, packed: Arc<dyn PackedRuns>) {
        let _ = self.core.packed.set(packed);
    }

    /// Reads the sealed bytes `sealed` of a blob; what lies past its end is left out.
    ///
    /// A small blob may be packed before, or while, it is read: it is then read from its pack.
    pub fn reader(&self, blob: &BlobRef, sealed: std::ops::Range<u64>) -> BlobReader {
        BlobReader::new(self.core.clone(), blob, sealed)
    }

    /// Has the drives forget the stripes of runs; answers whether every drive that is there has.
    ///
    /// Idempotent. Only for stripes that no row names any more, or never did, and that nobody reads: a
    /// reader that is in the middle of one fails.
    pub async fn free(&self, runs: &[StripeRun]) -> bool {
        let Some(shards) = self.core.shards_of(runs) else { return false };
        let mut answers = Vec::new();
        for (drive, shards) in shards {
            if let Some(drive) = self.core.drive(drive) {
                answers.extend(shards.chunks(FREE_JOB_MAX).map(|chunk| drive.free(chunk.to_vec())));
            }
        }
        let mut all = true;
        for answer in answers {
            match answer.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "shards were not freed");
                    all = false;
                }
                Err(_closed) => all = false,
            }
        }
        all
    }

    /// Queues a pass of compaction on a drive; damage that it meets is reported.
    pub fn compact(
        &self,
        drive: &Drive,
        policy: CompactionPolicy,
    ) -> oneshot::Receiver<Result<CompactionReport, DriveError>> {
        drive.on_damage(self.core.damage.clone());
        drive.compact(policy)
    }

    /// Rung when a write found no room: whoever can gives some back.
    pub fn space_wanted(&self) -> &Arc<Notify> {
        &self.core.space_wanted
    }

    /// Keeps runs from being freed while the answer lives. Take it before the row that names them can go:
    /// with it a reader of a version that is deleted meanwhile finishes.
    pub fn hold<'a>(&self, runs: impl Iterator<Item = &'a StripeRun>) -> ReadLease {
        ReadLease::new(self.core.clone(), runs.map(|run| run.first))
    }

    /// Whether somebody reads the blob of a stripe.
    pub fn is_read(&self, stripe: StripeId) -> bool {
        self.core.leases.is_read(stripe)
    }

    /// Whether the blob of a stripe is being written, or was and waits for the command that names it.
    pub fn is_written(&self, stripe: StripeId) -> bool {
        self.core.leases.is_written(stripe)
    }

    /// The command that names a written run, by its first stripe, was applied.
    pub fn settle(&self, first: StripeId) {
        self.core.leases.settle(first);
    }

    /// Looks whether each drive's directory is still there, how long the drives take and how empty they are. No disk
    /// access.
    pub fn tick(&self) {
        let drives = self.drives();
        for drive in &drives {
            drive.check();
        }
        self.core.patience.measure(drives.iter().map(|drive| &**drive));
        let (layouts, _) = self.core.layouts();
        let free = |id| self.core.ready_drive(id).and_then(|drive| drive.free_permille());
        let free: HashMap<DriveId, u64> =
            drives.iter().filter_map(|drive| Some((drive.id(), free(drive.id())?))).collect();
        self.core.leaning.measure(layouts.newest(), |id| free.get(&id).copied());
    }

    /// All drives, in order of id.
    pub fn drives(&self) -> Vec<Arc<Drive>> {
        let mut drives = self.core.drives.all();
        drives.sort_by_key(|drive| drive.id());
        drives
    }

    /// State, space and errors of each drive.
    pub fn status(&self) -> Vec<DriveStatus> {
        self.drives().iter().map(|drive| drive.status()).collect()
    }

    /// Where readers and compactions report bad shards, and the mender hears of them.
    pub fn damage(&self) -> &DamageReports {
        &self.core.damage
    }

    /// Counters of the data plane.
    pub fn metrics(&self) -> &Arc<DataMetrics> {
        &self.core.metrics
    }

    /// The memory of transfers.
    pub fn budget(&self) -> &Budget {
        &self.core.budget
    }

    /// Seals open segments and flushes the indexes. Errors are logged: nothing durable depends on it.
    pub async fn close(&self) {
        for drive in self.drives() {
            if let Err(error) = drive.close().await {
                tracing::warn!(drive = %drive.id(), %error, "drive not closed cleanly");
            }
        }
    }
}

impl StoreCore {
    /// All layouts, and their geometry.
    fn layouts(&self) -> (Arc<Layouts>, Geometry) {
        self.layouts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn placement(&self, run: &StripeRun) -> Option<Placement> {
        Placement::of_run(self.layouts().0, run)
    }

    fn drive(&self, id: DriveId) -> Option<Arc<Drive>> {
        self.drives.get(id)
    }

    /// Where the bytes of a small run are, if it was packed.
    fn pack_place(&self, run: &StripeRun) -> Result<Option<PackPlace>, StorageError> {
        match self.packed.get().filter(|_| run.is_copies()) {
            Some(packed) => Ok(packed.pack_place(run.first)?),
            None => Ok(None),
        }
    }

    fn next_group(&self, layout: &Layout) -> u32 {
        self.leaning.next(layout, || u64::from_le_bytes(self.env.random_bytes()))
    }

    /// A drive that takes what is new.
    fn ready_drive(&self, id: DriveId) -> Option<Arc<Drive>> {
        self.drive(id).filter(|drive| drive.state().writes() && !drive.is_leaving())
    }

    fn stripe_bytes(&self, geometry: Geometry) -> usize {
        let row_bytes = geometry.k() * CELL_BYTES;
        let suited = (STRIPE_BYTES_AIM / row_bytes).max(STRIPE_ROWS_MIN);
        self.config.stripe_rows.unwrap_or(suited).clamp(1, ROWS_MAX) * row_bytes
    }

    /// Blobs up to this many sealed bytes are written as whole copies. Where a stripe has one data column there
    /// is nothing to be gained.
    fn copies_bytes_max(&self, geometry: Geometry) -> usize {
        if geometry.is_replication() || geometry.m() == 0 {
            return 0;
        }
        self.config.pack_bytes.min(ROWS_MAX * CELL_BYTES).min(self.stripe_bytes(geometry))
    }

    /// The shards of runs, by each drive that may hold them; `None` if the layout of one is not known.
    fn shards_of(&self, runs: &[StripeRun]) -> Option<BTreeMap<DriveId, Vec<ShardKey>>> {
        let mut keys: BTreeMap<DriveId, Vec<ShardKey>> = BTreeMap::new();
        for run in runs {
            let Some(placement) = self.placement(run) else {
                tracing::warn!(version = run.layout_version, "stripes of an unknown layout cannot be freed");
                return None;
            };
            for index in 0..run.count {
                for shard in 0..placement.targets(index).len() {
                    let key = ShardKey { stripe: run.first.nth(index), shard: shard as u8 };
                    for drive in placement.holders(index, shard) {
                        keys.entry(drive).or_default().push(key);
                    }
                }
            }
        }
        Some(keys)
    }

    /// Queues the stripes of a blob that was given up. What is not freed is left to the collector of orphans.
    fn give_up(&self, run: &StripeRun) {
        for (drive, shards) in self.shards_of(std::slice::from_ref(run)).into_iter().flatten() {
            if let Some(drive) = self.drive(drive) {
                drop(drive.free(shards));
            }
        }
    }
}

/// What a write says when fewer shards than the quorum could be stored.
fn below_quorum(stored: usize, quorum: usize, errors: &[DriveError]) -> StorageError {
    if errors.iter().any(|error| matches!(error, DriveError::Full)) {
        return StorageError::Full;
    }
    let why = errors.first().map_or_else(|| "drives do not answer".to_owned(), ToString::to_string);
    StorageError::Unavailable {
        why: format!("{stored} shards of a stripe could be stored, {quorum} are needed: {why}"),
    }
}
