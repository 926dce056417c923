//! The state machine: entries of the log in, rows on an ordered store out.
//!
//! [`StateMachine::apply_batch`] turns a run of entries into one atomic batch that also records the
//! last entry applied. The store has no log of its own: after a crash it holds the state after some
//! earlier batch, and the entries after it are applied again, with the same result.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chartrier_journal::{Frontier, Hash, HashReader, JournalError};
use tokio::sync::watch;

use super::apply::{Memory, Transition};
use super::cache::RowCache;
use super::journal::StoredHashes;
use super::keys;
use super::kv::{Family, Kv, KvBatch, KvError, ScanStep, prefix_end, try_scan};
use super::overlay::{Overlay, decode_row};
use super::rocks::{RocksConfig, RocksKv, RocksMemory};
use super::rows::StateHead;
use crate::error::StateError;
use crate::ids::DriveId;
use crate::namespace::command::{Applied, Command, JournalIdentity, Layout};
use crate::namespace::drive_health::DriveHealthRow;
use crate::namespace::drives::DriveTable;
use crate::namespace::encoding::Stored;
use crate::namespace::integrity::ScrubMark;
use crate::namespace::packs::PackCounts;
use crate::namespace::rows::{AccessKeyRow, BucketRow, UserRow};

/// Format of the store; a store of a newer one is refused, and so is one of an older one: there is no conversion yet.
///
/// Raised by every change after which what a store lacks would be read as nothing. 2: buckets are found by their owner
/// (`bkt`/`o`), and accounts count them.
pub const STATE_FORMAT: u32 = 2;

/// Flushes that are behind are waited for, in such steps.
const FLUSH_RETRY: Duration = Duration::from_millis(2);
/// After this it is not load but a full disk.
const SPACE_SUSPECTED: Duration = Duration::from_secs(2);
/// How long a full disk is left alone before the next attempt. RocksDB looks for room by itself meanwhile.
const SPACE_RETRY: Duration = Duration::from_millis(200);
/// How long flushes may be behind when nobody wants to wait for a full disk, as at the start.
const FLUSH_PATIENCE: Duration = Duration::from_secs(60);

/// How the store of the namespace is sized.
#[derive(Clone)]
pub struct StateConfig {
    /// Block cache and write buffers, shared with nothing else or with the drives' indexes.
    pub memory: RocksMemory,
}

impl StateConfig {
    /// `cache_bytes` for blocks, `buffer_bytes` for writes that are not flushed yet.
    pub fn new(cache_bytes: usize, buffer_bytes: usize) -> Self {
        Self { memory: RocksMemory::new(cache_bytes, buffer_bytes) }
    }
}

/// The namespace and the journal.
///
/// Any number of threads read at once; `apply_batch` takes `core`, so that batches follow one
/// another. Readers never take `core`.
pub struct StateMachine {
    kv: Arc<dyn Kv>,
    core: Mutex<Core>,
    /// Copies for readers, set after the batch is in the store.
    applied: AtomicU64,
    leaves: AtomicU64,
    pub(super) buckets: RowCache<BucketRow>,
    pub(super) access_keys: RowCache<(UserRow, AccessKeyRow)>,
    /// Counts batches that changed a document of a bucket.
    pub(super) config_changes: AtomicU64,
    /// Counts batches that queued events or took some out.
    event_changes: watch::Sender<u64>,
    waits_for_space: AtomicBool,
    is_waiting: AtomicBool,
}

struct Core {
    applied: u64,
    memory: Memory,
}

impl StateMachine {
    /// Opens the store in `path`, or makes an empty one.
    ///
    /// # Errors
    /// [`StateError::is_corruption`] tells when it must be rebuilt from checkpoint and log.
    pub fn open(path: &Path, config: &StateConfig) -> Result<Self, StateError> {
        let kv = RocksKv::open(path, keys::SCHEMA, &RocksConfig::namespace(config.memory.clone()))?;
        Self::over(kv)
    }

    /// Opens a store that must exist, as after the copy of a checkpoint.
    ///
    /// # Errors
    /// As [`StateMachine::open`].
    pub fn open_existing(path: &Path, config: &StateConfig) -> Result<Self, StateError> {
        let kv = RocksKv::open_existing(path, keys::SCHEMA, &RocksConfig::namespace(config.memory.clone()))?;
        Self::over(kv)
    }

    /// Runs over any store, as in simulation.
    ///
    /// # Errors
    /// As [`StateMachine::open`].
    pub fn over(kv: Arc<dyn Kv>) -> Result<Self, StateError> {
        check_format(kv.as_ref())?;
        let applied = read_u64(kv.as_ref(), keys::SYS_APPLIED)?.unwrap_or(0);
        let memory = {
            let rows = Overlay::new(kv.as_ref());
            let head: StateHead = rows.row(keys::SYS, keys::SYS_HEAD)?.unwrap_or_default();
            let journal = rows.row(keys::SYS, keys::SYS_JOURNAL)?;
            let frontier = Frontier::load(head.leaves, &StoredHashes(kv.as_ref()))?;
            Memory { head, journal, frontier }
        };
        Ok(Self {
            applied: AtomicU64::new(applied),
            leaves: AtomicU64::new(memory.head.leaves),
            core: Mutex::new(Core { applied, memory }),
            kv,
            buckets: RowCache::new(),
            access_keys: RowCache::new(),
            config_changes: AtomicU64::new(0),
            event_changes: watch::Sender::new(0),
            waits_for_space: AtomicBool::new(false),
            is_waiting: AtomicBool::new(false),
        })
    }

    /// The last entry applied; 0 before the first.
    pub fn applied_index(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Applies entries in order, each seeing the ones before, and makes all visible in one batch.
    ///
    /// Indexes must grow and be past [`StateMachine::applied_index`]. When the disk is full it waits for
    /// room if it was told so by [`StateMachine::wait_for_space`]: the entries are in the log already.
    ///
    /// # Errors
    /// Nothing of the batch is visible then. The caller stops: the log holds entries that the state
    /// has not followed, and only a new start brings them together.
    pub fn apply_batch(&self, entries: &[(u64, Command)]) -> Result<Vec<Applied>, StateError> {
        let mut waited = Duration::ZERO;
        loop {
            let applied = self.try_apply_batch(entries);
            let patience = match &applied {
                Err(StateError::Kv(KvError::Full { .. })) => Duration::ZERO,
                Err(StateError::Kv(KvError::Stalled { .. })) => FLUSH_PATIENCE,
                _ => {
                    if self.is_waiting.swap(false, Ordering::Relaxed) {
                        tracing::info!(?waited, "the index takes writes again");
                    }
                    return applied;
                }
            };
            if waited >= patience && !self.waits_for_space.load(Ordering::Relaxed) {
                return applied;
            }
            if waited >= SPACE_SUSPECTED && !self.is_waiting.swap(true, Ordering::Relaxed) {
                tracing::error!("the index cannot flush, is the disk full? writes wait until it can");
            }
            let pause = if waited < SPACE_SUSPECTED { FLUSH_RETRY } else { SPACE_RETRY };
            std::thread::sleep(pause);
            waited += pause;
        }
    }

    /// Whether `apply_batch` waits for room on a full disk, or fails.
    pub fn wait_for_space(&self, wait: bool) {
        self.waits_for_space.store(wait, Ordering::Relaxed);
    }

    /// Whether a batch waits for room on a full disk now.
    pub fn is_waiting_for_space(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }

    fn try_apply_batch(&self, entries: &[(u64, Command)]) -> Result<Vec<Applied>, StateError> {
        let mut core = self.core();
        let mut transition = Transition::new(Overlay::new(self.kv.as_ref()), core.memory.clone());
        let mut applied = core.applied;
        let mut results = Vec::with_capacity(entries.len());
        for (index, command) in entries {
            if *index <= applied {
                return Err(StateError::OutOfOrder { index: *index, applied });
            }
            results.push(transition.apply(*index, command)?);
            applied = *index;
        }
        if entries.is_empty() {
            return Ok(results);
        }
        let Transition { mut rows, memory, touched_buckets, touched_users, touched_configs, touched_events } =
            transition;
        rows.put(keys::SYS, keys::SYS_APPLIED.to_vec(), applied.to_be_bytes().to_vec());
        if memory.head != core.memory.head {
            rows.put_row(keys::SYS, keys::SYS_HEAD.to_vec(), &memory.head);
        }
        self.kv.write_batch(rows.into_batch())?;

        self.leaves.store(memory.head.leaves, Ordering::Release);
        core.memory = memory;
        core.applied = applied;
        self.applied.store(applied, Ordering::Release);
        if !touched_buckets.is_empty() {
            self.buckets.forget_all();
        }
        if touched_users {
            self.access_keys.forget_all();
        }
        if touched_configs {
            self.config_changes.fetch_add(1, Ordering::AcqRel);
        }
        if touched_events {
            self.event_changes.send_modify(|count| *count += 1);
        }
        Ok(results)
    }

    /// Makes what was applied durable in the store itself.
    pub fn flush(&self) -> Result<(), StateError> {
        Ok(self.kv.flush()?)
    }

    /// Writes an openable copy of the store into `dir`, which must not exist, without stopping writes.
    ///
    /// Answers an entry that the copy surely holds; it may hold later ones, as its own
    /// [`StateMachine::applied_index`] tells once it is opened.
    pub fn checkpoint_to(&self, dir: &Path) -> Result<u64, StateError> {
        let applied = self.applied_index();
        self.kv.checkpoint_to(dir)?;
        Ok(applied)
    }

    /// Reads the whole index from the disk and checks it; answers its rows. Blocking; see [`Kv::verify`].
    ///
    /// # Errors
    /// [`StateError::is_corruption`] tells when it is damaged.
    pub fn verify(&self, pace: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<u64, StateError> {
        Ok(self.kv.verify(pace)?)
    }

    /// Whether a copy that [`StateMachine::checkpoint_to`] made can be opened, without changing it.
    ///
    /// # Errors
    /// [`StateError::is_corruption`]: its manifest, or what it names, is damaged.
    pub fn check_copy(dir: &Path) -> Result<(), StateError> {
        Ok(RocksKv::check_copy(dir, keys::SCHEMA)?)
    }

    /// Bytes of memory that the store's caches and buffers hold.
    pub fn memory_bytes(&self) -> u64 {
        self.kv.memory_bytes()
    }

    /// When each drive was last scrubbed whole.
    pub fn scrub_marks(&self) -> Result<BTreeMap<DriveId, ScrubMark>, StateError> {
        self.rows_by_drive(keys::SYS_SCRUB)
    }

    /// What the log knows of the health of drives. One without a row was never seen to fail.
    pub fn drive_healths(&self) -> Result<BTreeMap<DriveId, DriveHealthRow>, StateError> {
        self.rows_by_drive(keys::SYS_HEALTH)
    }

    /// Rows of `sys` whose keys are a prefix and a drive's id.
    fn rows_by_drive<T: Stored>(&self, prefix: &[u8]) -> Result<BTreeMap<DriveId, T>, StateError> {
        let mut rows = BTreeMap::new();
        self.scan_rows(keys::SYS, prefix, prefix_end(prefix).as_deref(), |key, row| {
            let drive = key.get(prefix.len()..).and_then(|id| <[u8; 16]>::try_from(id).ok());
            let drive = drive.ok_or(StateError::Inconsistent { what: "a row of a drive names no drive" })?;
            rows.insert(DriveId::from_bytes(drive), row);
            Ok(ScanStep::Next)
        })?;
        Ok(rows)
    }

    /// The name of the journal, once it has one.
    pub fn journal_identity(&self) -> Option<JournalIdentity> {
        self.core().memory.journal.clone()
    }

    /// Size and root of the tree as it is now, and the size of the last signed one if there is one.
    pub fn journal_head(&self) -> (u64, Hash, Option<u64>) {
        let core = self.core();
        let frontier = &core.memory.frontier;
        (frontier.size(), frontier.root(), core.memory.head.signed.map(|(size, _)| size))
    }

    /// Stored hashes of the journal's tree.
    pub fn journal_hashes(&self) -> impl HashReader + '_ {
        MachineHashes(self)
    }

    /// Counts up whenever a document of any bucket changed, once the change can be read: what was
    /// read after this number was taken is current as long as the number stays.
    pub fn config_changes(&self) -> u64 {
        self.config_changes.load(Ordering::Acquire)
    }

    /// Changes whenever events were queued or taken out, once that can be read.
    pub fn event_changes(&self) -> watch::Receiver<u64> {
        self.event_changes.subscribe()
    }

    /// A layout by version; stripes name the one that placed them.
    pub fn layout_version(&self, version: u32) -> Result<Option<Layout>, StateError> {
        self.row(keys::SYS, &keys::layout(version))
    }

    /// Which drives there are; none before the first start has said so.
    pub fn drive_table(&self) -> Result<DriveTable, StateError> {
        Ok(self.row(keys::SYS, keys::SYS_DRIVES)?.unwrap_or_default())
    }

    /// All layouts, by version.
    pub fn layouts(&self) -> Result<BTreeMap<u32, Layout>, StateError> {
        let mut layouts = BTreeMap::new();
        let newest = self.newest_layout_version();
        for version in 1..=newest {
            if let Some(layout) = self.layout_version(version)? {
                layouts.insert(version, layout);
            }
        }
        Ok(layouts)
    }

    /// Shards that wait to be healed.
    pub fn heal_queue_len(&self) -> u64 {
        self.core().memory.head.heal_rows
    }

    /// What is packed, and what waits to be.
    pub fn pack_counts(&self) -> PackCounts {
        self.core().memory.head.packs
    }

    pub(super) fn newest_layout_version(&self) -> u32 {
        self.core().memory.head.layout_version
    }

    pub(super) fn kv(&self) -> &dyn Kv {
        self.kv.as_ref()
    }

    pub(super) fn leaf_count(&self) -> u64 {
        self.leaves.load(Ordering::Acquire)
    }

    pub(super) fn row<T: Stored>(&self, family: Family, key: &[u8]) -> Result<Option<T>, StateError> {
        self.kv.get(family, key)?.map(|bytes| decode_row(family, &bytes)).transpose()
    }

    /// Visits the rows of a family from `from` up to `until`, decoded. The first error ends it.
    pub(super) fn scan_rows<T: Stored>(
        &self,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
        mut visit: impl FnMut(&[u8], T) -> Result<ScanStep, StateError>,
    ) -> Result<(), StateError> {
        try_scan(|visit| self.kv.scan(family, from, until, visit), |key, value| visit(key, decode_row(family, value)?))
    }

    /// Up to `limit` rows of a family from `from` up to `until`, each as `read` makes it.
    pub(super) fn page_of_rows<T: Stored, R>(
        &self,
        family: Family,
        (from, until): (&[u8], Option<&[u8]>),
        limit: usize,
        mut read: impl FnMut(&[u8], T) -> Result<R, StateError>,
    ) -> Result<Vec<R>, StateError> {
        let mut page = Vec::new();
        self.scan_rows(family, from, until, |key, row| {
            if page.len() == limit {
                return Ok(ScanStep::Stop);
            }
            page.push(read(key, row)?);
            Ok(ScanStep::Next)
        })?;
        Ok(page)
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // A panic under the lock leaves `core` as it was before the batch: it is set last.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct MachineHashes<'a>(&'a StateMachine);

impl HashReader for MachineHashes<'_> {
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash>, JournalError> {
        StoredHashes(self.0.kv()).read(indexes)
    }
}

fn check_format(kv: &dyn Kv) -> Result<(), StateError> {
    match kv.get(keys::SYS, keys::SYS_FORMAT)? {
        None => {
            let mut batch = KvBatch::new();
            batch.put(keys::SYS, keys::SYS_FORMAT, STATE_FORMAT.to_be_bytes());
            Ok(kv.write_batch(batch)?)
        }
        Some(bytes) => {
            let found = bytes
                .try_into()
                .map(u32::from_be_bytes)
                .map_err(|_| StateError::Inconsistent { what: "the format of the store is not a number" })?;
            if found > STATE_FORMAT {
                return Err(StateError::NewerFormat { found, known: STATE_FORMAT });
            }
            if found < STATE_FORMAT {
                return Err(StateError::OlderFormat { found, known: STATE_FORMAT });
            }
            Ok(())
        }
    }
}

fn read_u64(kv: &dyn Kv, key: &[u8]) -> Result<Option<u64>, StateError> {
    let Some(bytes) = kv.get(keys::SYS, key)? else {
        return Ok(None);
    };
    let bytes = bytes.try_into().map_err(|_| StateError::Inconsistent { what: "a counter is not 8 bytes" })?;
    Ok(Some(u64::from_be_bytes(bytes)))
}
