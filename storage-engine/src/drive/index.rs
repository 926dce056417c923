//! The drive's index: where each shard lies, and how full each segment is.
//!
//! It can be rebuilt from the segments, so it needs no log of its own. A segment's row is written
//! as sealed after the entries of all its records, and the store keeps batches in order: a row
//! found sealed means that every entry of the segment is there. All other segments are read
//! again at the next start.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::error::{DriveError, DriveOpenError};
use super::verify::Pace;
use crate::failpoint::{Step, failpoint};
use crate::ids::SegmentId;
use crate::io::DriveIo;
use crate::segment::FormatError;
use crate::segment::bytes::{take, take_u64};
use crate::segment::footer::DirectoryEntry;
use crate::segment::header::SegmentClass;
use crate::segment::location::{ShardKey, ShardLocation};
use crate::state::kv::{Family, FamilySpec, Kv, KvBatch, KvError, KvOp, MemoryKv, ScanStep, ValueSize};
use crate::state::rocks::{RocksConfig, RocksKv};
use crate::sync::{Mutex, MutexGuard, RwLock};

/// Column families of a drive's index.
pub const DRIVE_INDEX_SCHEMA: &[FamilySpec] =
    &[FamilySpec { name: "shard", values: ValueSize::Small }, FamilySpec { name: "segment", values: ValueSize::Small }];
const SHARDS: Family = Family(0);
const SEGMENTS: Family = Family(1);
/// Where a real drive keeps its index: the first, until an index made while it served takes over.
const INDEX_DIRS: [&str; 2] = ["index", "index.b"];
/// Names the one of [`INDEX_DIRS`] that holds; not there, it is the first.
const CURRENT_NAME: &str = "index.current";
const CURRENT_BYTES_MAX: u64 = 64;
const ROW_VERSION: u8 = 1;
/// How long a batch waits for flushes that are behind: far shorter than a writer waits for a drive.
const STALL_MAX: Duration = Duration::from_secs(2);
const START_STALL_MAX: Duration = Duration::from_secs(120);
const STALL_STEP: Duration = Duration::from_millis(2);
/// Entries of a scan read at once: a cursor of the store is not held for longer.
const SCAN_PAGE: usize = 4096;

/// Opens the store of an index: in the directory given, or in memory on a simulated drive.
pub type IndexFactory = Arc<dyn Fn(Option<&Path>) -> Result<Arc<dyn Kv>, KvError> + Send + Sync>;

/// Indexes in RocksDB; on a simulated drive, in memory.
pub fn rocks_index(config: RocksConfig) -> IndexFactory {
    Arc::new(move |path| match path {
        Some(path) => {
            // Not its parents: the directory of a drive that went away is not made again below its mount point.
            match std::fs::create_dir(path) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(KvError::Failed {
                    path: path.to_owned(),
                    operation: "create the directory",
                    detail: error.to_string(),
                })?,
                _ => {}
            }
            Ok(RocksKv::open(path, DRIVE_INDEX_SCHEMA, &config)?)
        }
        None => Ok(Arc::new(MemoryKv::new())),
    })
}

/// Indexes in memory, made anew at each start.
pub fn memory_index() -> IndexFactory {
    Arc::new(|_| Ok(Arc::new(MemoryKv::new())))
}

/// How full a segment is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SegmentRow {
    /// Closed with a footer, and every record of it is in the index.
    pub(super) sealed: bool,
    /// Bytes of its records.
    pub(super) stored_bytes: u64,
    /// Bytes of those that the index does not point at any more. Never too many after a start.
    pub(super) dead_bytes: u64,
    /// Its footer lists what a search found: the index may know records that the search did not.
    pub(super) searched: bool,
    /// When its youngest record may have been written, Unix time in microseconds.
    pub(super) written_us: u64,
    /// What it was written with.
    pub(super) class: SegmentClass,
}

const SEALED: u8 = 1;
const SEARCHED: u8 = 2;
const COPIES: u8 = 4;

impl SegmentRow {
    /// Bytes of records that the index points at.
    pub(super) fn live_bytes(&self) -> u64 {
        self.stored_bytes.saturating_sub(self.dead_bytes)
    }

    fn encode(&self) -> Vec<u8> {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let of_copies = self.class == SegmentClass::Copies;
        let flags = flag(self.sealed, SEALED) | flag(self.searched, SEARCHED) | flag(of_copies, COPIES);
        let mut value = vec![ROW_VERSION, flags];
        value.extend_from_slice(&self.stored_bytes.to_le_bytes());
        value.extend_from_slice(&self.dead_bytes.to_le_bytes());
        value.extend_from_slice(&self.written_us.to_le_bytes());
        value
    }

    fn decode(value: &[u8]) -> Result<Self, FormatError> {
        let [version, flags] = take(value, 0)?;
        if version != ROW_VERSION {
            return Err(FormatError::NewerVersion { found: version.into(), known: ROW_VERSION.into() });
        }
        Ok(Self {
            sealed: flags & SEALED != 0,
            searched: flags & SEARCHED != 0,
            stored_bytes: take_u64(value, 2)?,
            dead_bytes: take_u64(value, 10)?,
            written_us: take_u64(value, 18)?,
            class: if flags & COPIES != 0 { SegmentClass::Copies } else { SegmentClass::Data },
        })
    }
}

/// Changes of the index that become visible together.
#[derive(Default)]
pub(super) struct IndexBatch(KvBatch);

impl IndexBatch {
    pub(super) fn put_shard(&mut self, key: &ShardKey, location: &ShardLocation) {
        self.0.put(SHARDS, key.encode(), location.encode());
    }

    pub(super) fn delete_shard(&mut self, key: &ShardKey) {
        self.0.delete(SHARDS, key.encode());
    }

    pub(super) fn put_segment(&mut self, segment: SegmentId, row: &SegmentRow) {
        self.0.put(SEGMENTS, *segment.as_bytes(), row.encode());
    }

    pub(super) fn delete_segment(&mut self, segment: SegmentId) {
        self.0.delete(SEGMENTS, *segment.as_bytes());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The open index of one drive.
pub(super) struct DriveIndex {
    kv: RwLock<Arc<dyn Kv>>,
    /// Which of [`INDEX_DIRS`] the store is in.
    place: AtomicUsize,
    factory: IndexFactory,
    rebuild: Mutex<Option<Rebuild>>,
    /// Held from the reading of a segment's counters to the writing of its row, so that no older row
    /// is written over a newer one.
    rows: Mutex<()>,
}

/// A store that is to take over.
struct Rebuild {
    kv: Arc<dyn Kv>,
    place: usize,
    /// Shards that changed since it was begun: what segments say of them is old.
    touched: HashSet<Vec<u8>>,
}

/// Removes whatever lies where a drive that holds nothing will have its index.
pub(super) fn forget(io: &dyn DriveIo) -> std::io::Result<()> {
    INDEX_DIRS.iter().try_for_each(|dir| io.remove_tree(dir))?;
    match io.remove(CURRENT_NAME) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl DriveIndex {
    /// Opens the index; a damaged one is thrown away and rebuilt by the recovery that follows.
    pub(super) fn open(io: &dyn DriveIo, factory: &IndexFactory) -> Result<Self, DriveOpenError> {
        let failed = |source| DriveOpenError::Io { op: "remove the index", source };
        let place = match io.read_all(CURRENT_NAME, CURRENT_BYTES_MAX) {
            Ok(text) => usize::from(text == INDEX_DIRS[1].as_bytes()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            // Whichever it was, the other is a store of this drive too, or none: what it lacks is read back.
            Err(error) => {
                tracing::warn!(drive = io.label(), %error, "which index is current cannot be read");
                0
            }
        };
        io.remove_tree(INDEX_DIRS[1 - place]).map_err(failed)?;
        let path = index_path(io, place);
        let kv = match factory(path.as_deref()) {
            Err(KvError::Corruption { path: damaged, detail }) => {
                tracing::warn!(path = %damaged.display(), detail, "drive index damaged: rebuilding it");
                io.remove_tree(INDEX_DIRS[place]).map_err(failed)?;
                factory(path.as_deref())?
            }
            other => other?,
        };
        Ok(Self {
            kv: RwLock::new(kv),
            place: AtomicUsize::new(place),
            factory: factory.clone(),
            rebuild: Mutex::new(None),
            rows: Mutex::new(()),
        })
    }

    /// Begins a store beside the present one. From now on every change goes to both.
    pub(super) fn begin_rebuild(&self, io: &dyn DriveIo) -> Result<(), DriveError> {
        let mut rebuild = self.lock_rebuild();
        if rebuild.is_some() {
            return Err(DriveError::Busy);
        }
        let place = 1 - self.place.load(Relaxed);
        io.remove_tree(INDEX_DIRS[place]).map_err(|error| DriveError::from_io("removal of an old index", error))?;
        let kv = (self.factory)(index_path(io, place).as_deref())?;
        *rebuild = Some(Rebuild { kv, place, touched: HashSet::new() });
        Ok(())
    }

    /// Puts what a segment says into the store that is being made, but for what changed meanwhile.
    pub(super) fn fill(&self, batch: IndexBatch) -> Result<(), KvError> {
        let rebuild = self.lock_rebuild();
        let Some(Rebuild { kv, touched, .. }) = &*rebuild else { return Ok(()) };
        let mut fresh = KvBatch::new();
        for op in batch.0.into_ops() {
            if let KvOp::Put(family, key, value) = op
                && !touched.contains(&key)
            {
                fresh.put(family, key, value);
            }
        }
        write_patiently(&**kv, fresh, STALL_MAX)
    }

    /// Puts the new store in the place of the old one. Durable on return.
    pub(super) fn finish_rebuild(&self, io: &dyn DriveIo, rows: &[(SegmentId, SegmentRow)]) -> Result<(), DriveError> {
        let mut rebuild = self.lock_rebuild();
        let Some(Rebuild { kv, place, .. }) = rebuild.take() else { return Ok(()) };
        let mut batch = IndexBatch::default();
        rows.iter().for_each(|(id, row)| batch.put_segment(*id, row));
        write_patiently(&*kv, batch.0, STALL_MAX)?;
        kv.flush()?;
        failpoint(Step::ReindexFlushed);
        io.write_atomic(CURRENT_NAME, INDEX_DIRS[place].as_bytes())
            .map_err(|error| DriveError::from_io("taking over a new index", error))?;
        failpoint(Step::ReindexTaken);
        self.place.store(place, Relaxed);
        *self.kv.write().unwrap_or_else(PoisonError::into_inner) = kv;
        Ok(())
    }

    /// Drops the store that was begun.
    pub(super) fn abandon_rebuild(&self) {
        *self.lock_rebuild() = None;
    }

    pub(super) fn shard(&self, key: &ShardKey) -> Result<Option<ShardLocation>, DriveError> {
        let value = self.kv().get(SHARDS, &key.encode())?;
        Ok(value.map(|value| ShardLocation::decode(&value)).transpose()?)
    }

    /// The entries of one segment. Reads the whole index.
    pub(super) fn in_segment(&self, segment: SegmentId) -> Result<Vec<DirectoryEntry>, DriveError> {
        let entries = self.shards_in(&HashSet::from([segment]))?;
        Ok(entries.into_iter().map(|(key, location)| DirectoryEntry { key, location }).collect())
    }

    /// Up to `limit` entries in order, after `after`. An entry that does not decode is an error.
    pub(super) fn shards(
        &self,
        after: Option<&ShardKey>,
        limit: usize,
    ) -> Result<Vec<(ShardKey, ShardLocation)>, DriveError> {
        let from = after.map(|key| [&key.encode()[..], &[0]].concat()).unwrap_or_default();
        let mut entries = Vec::new();
        let mut damaged = None;
        self.kv().scan(SHARDS, &from, None, &mut |key, value| {
            if entries.len() == limit {
                return ScanStep::Stop;
            }
            match ShardKey::decode(key).and_then(|key| Ok((key, ShardLocation::decode(value)?))) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    damaged = Some(error);
                    return ScanStep::Stop;
                }
            }
            ScanStep::Next
        })?;
        damaged.map_or(Ok(entries), |error| Err(error.into()))
    }

    /// Reads all of it from the disk; answers its rows.
    pub(super) fn verify(&self, pace: &mut Pace<'_>) -> Result<u64, KvError> {
        self.kv().verify(pace)
    }

    /// Every entry that points into one of `segments`: reads the whole index.
    pub(super) fn shards_in(
        &self,
        segments: &HashSet<SegmentId>,
    ) -> Result<Vec<(ShardKey, ShardLocation)>, DriveError> {
        let mut entries = Vec::new();
        let mut after = None;
        loop {
            let page = self.shards(after.as_ref(), SCAN_PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(entries) };
            after = Some(*last);
            entries.extend(page.into_iter().filter(|(_, location)| segments.contains(&location.segment)));
        }
    }

    pub(super) fn segments(&self) -> Result<Vec<(SegmentId, SegmentRow)>, KvError> {
        let mut rows = Vec::new();
        self.kv().scan(SEGMENTS, &[], None, &mut |key, value| {
            // A row that does not decode counts as not sealed: its segment is read again.
            if let (Ok(id), Ok(row)) = (take(key, 0), SegmentRow::decode(value)) {
                rows.push((SegmentId::from_bytes(id), row));
            }
            ScanStep::Next
        })?;
        Ok(rows)
    }

    /// Held by whoever changes the row of a segment, while it does.
    pub(super) fn lock_rows(&self) -> MutexGuard<'_, ()> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a batch visible. While flushes are behind it waits a little, so that a burst passes; on a
    /// full disk that would be for ever, and the drive's writers wait meanwhile.
    ///
    /// # Errors
    /// [`KvError::Full`] and [`KvError::Stalled`]: nothing of it is visible, and a later one may be.
    pub(super) fn write(&self, batch: IndexBatch) -> Result<(), KvError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut rebuild = self.lock_rebuild();
        let Some(Rebuild { kv, touched, .. }) = &mut *rebuild else {
            // Under the lock, so that no change falls between the two stores.
            return write_patiently(&*self.kv(), batch.0, STALL_MAX);
        };
        let copy = batch.0.clone();
        for op in batch.0.into_ops() {
            match op {
                KvOp::Put(SHARDS, key, _) | KvOp::Delete(SHARDS, key) => drop(touched.insert(key)),
                KvOp::Put(..) | KvOp::Delete(..) => {}
            }
        }
        write_patiently(&**kv, copy.clone(), STALL_MAX)?;
        // The old one may refuse: it is damaged, and about to go.
        self.kv().write_batch(copy).or(Ok(()))
    }

    /// As [`DriveIndex::write`] at the start, when nobody waits for the drive yet.
    pub(super) fn write_at_start(&self, batch: IndexBatch) -> Result<(), KvError> {
        if batch.is_empty() { Ok(()) } else { write_patiently(&*self.kv(), batch.0, START_STALL_MAX) }
    }

    pub(super) fn flush(&self) -> Result<(), KvError> {
        self.kv().flush()
    }

    fn kv(&self) -> Arc<dyn Kv> {
        self.kv.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock_rebuild(&self) -> MutexGuard<'_, Option<Rebuild>> {
        self.rebuild.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a batch, waiting a little for flushes that are behind.
fn write_patiently(kv: &dyn Kv, batch: KvBatch, patience: Duration) -> Result<(), KvError> {
    let mut waited = Duration::ZERO;
    loop {
        match kv.write_batch(batch.clone()) {
            Err(KvError::Stalled { .. }) if waited < patience => {
                std::thread::sleep(STALL_STEP);
                waited += STALL_STEP;
            }
            result => return result,
        }
    }
}

fn index_path(io: &dyn DriveIo, place: usize) -> Option<PathBuf> {
    io.os_path().map(|path| path.join(INDEX_DIRS[place]))
}
