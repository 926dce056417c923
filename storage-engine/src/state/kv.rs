//! An ordered key-value store with column families and atomic batches: what the engine asks of RocksDB.
//!
//! Two implementations: [`MemoryKv`] here, for tests and simulation, and `RocksKv` in `state/rocks.rs`.
//! A batch is visible at once and as a whole. It is durable only after [`Kv::flush`]: there is no
//! write-ahead log here, because the commit log is one already.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

/// One column family: its name on disk and what kind of values it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilySpec {
    /// Name on disk. Never reused for another meaning.
    pub name: &'static str,
    /// How its values are laid out.
    pub values: ValueSize,
}

/// What a family's values look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueSize {
    /// Below 4 KiB, in the sorted files themselves.
    Small,
    /// Some over 4 KiB: these go to blob files, so that compaction does not rewrite them.
    Large,
}

/// A column family, as an index into the schema that the store was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family(pub u8);

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvOp {
    /// Sets a key.
    Put(Family, Vec<u8>, Vec<u8>),
    /// Removes a key; nothing if it is not there.
    Delete(Family, Vec<u8>),
}

/// Changes that become visible together, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct KvBatch {
    ops: Vec<KvOp>,
}

impl KvBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key.
    pub fn put(&mut self, family: Family, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.ops.push(KvOp::Put(family, key.into(), value.into()));
    }

    /// Removes a key.
    pub fn delete(&mut self, family: Family, key: impl Into<Vec<u8>>) {
        self.ops.push(KvOp::Delete(family, key.into()));
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The changes in order.
    pub fn into_ops(self) -> Vec<KvOp> {
        self.ops
    }
}

/// What a scan does after a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanStep {
    /// Goes on to the next key.
    Next,
    /// Goes on at the first key at or after this one, which must be past the pair just seen.
    Seek(Vec<u8>),
    /// Ends.
    Stop,
}

/// A key and its value.
pub type KvPair = (Vec<u8>, Vec<u8>);

/// Called for each pair of a scan, key then value.
pub type ScanVisitor<'a> = dyn FnMut(&[u8], &[u8]) -> ScanStep + 'a;

/// Why the store could not answer. Its index can be rebuilt; what holds the truth is the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// What is on disk is not what was written: the store must be rebuilt.
    #[error("index at {path} is corrupt: {detail}")]
    Corruption {
        /// Its directory.
        path: PathBuf,
        /// RocksDB's words.
        detail: String,
    },
    /// The file system is full.
    #[error("no space left for the index at {path}")]
    Full {
        /// Its directory.
        path: PathBuf,
    },
    /// Another process has it open.
    #[error("index at {path} is open in another process")]
    Locked {
        /// Its directory.
        path: PathBuf,
    },
    /// Flushes are behind, or find no room. Nothing was written; write again a little later.
    #[error("index at {path} takes no writes until a flush is done")]
    Stalled {
        /// Its directory.
        path: PathBuf,
    },
    /// Any other failure.
    #[error("index at {path}: {operation} failed: {detail}")]
    Failed {
        /// Its directory.
        path: PathBuf,
        /// What was attempted.
        operation: &'static str,
        /// RocksDB's words.
        detail: String,
    },
}

/// An ordered store. Keys order bytewise; readers see whole batches only.
pub trait Kv: Send + Sync + 'static {
    /// Reads one value.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;

    /// The last pair whose key is `key` or before it.
    fn last_at_or_before(&self, family: Family, key: &[u8]) -> Result<Option<KvPair>, KvError>;

    /// Makes all changes of a batch visible at once; durable after [`Kv::flush`].
    fn write_batch(&self, batch: KvBatch) -> Result<(), KvError>;

    /// Visits pairs in key order from `from` (included) up to `until` (excluded; `None` is the end),
    /// on one snapshot. The visitor must not write to the store.
    fn scan(
        &self,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
        visit: &mut ScanVisitor<'_>,
    ) -> Result<(), KvError>;

    /// Calls `read` with the store as it is now: all that it reads is of one moment, whatever is
    /// written meanwhile.
    fn view(&self, read: &mut dyn FnMut(&dyn KvView));

    /// Makes all that was written durable, all families at the same point.
    fn flush(&self) -> Result<(), KvError>;

    /// Writes a durable, openable copy of the present state into `dir`, which must not exist.
    fn checkpoint_to(&self, dir: &Path) -> Result<(), KvError>;

    /// Reads everything that is on the disk, past all caches, and checks what has a checksum; answers the rows.
    ///
    /// `pace` is told of bytes read, and says whether to go on; stopped, it answers what it has seen so far.
    ///
    /// # Errors
    /// [`KvError::Corruption`]: some row cannot be read, or a file is missing or cut short.
    fn verify(&self, pace: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<u64, KvError> {
        let _ = pace(0);
        Ok(0)
    }

    /// Bytes of memory held by caches and buffers that this store owns or shares; 0 if unknown.
    fn memory_bytes(&self) -> u64 {
        0
    }
}

/// A store at one moment.
pub trait KvView {
    /// As [`Kv::get`].
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;

    /// As [`Kv::scan`]. The visitor may read from the view.
    fn scan(
        &self,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
        visit: &mut ScanVisitor<'_>,
    ) -> Result<(), KvError>;
}

/// Runs a scan whose visitor may fail: the first error ends it, and is what it answers.
///
/// `scan` is given the visitor, and calls [`Kv::scan`] or [`KvView::scan`] with it.
pub(crate) fn try_scan<E: From<KvError>>(
    scan: impl FnOnce(&mut ScanVisitor<'_>) -> Result<(), KvError>,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<ScanStep, E>,
) -> Result<(), E> {
    let mut failed = None;
    scan(&mut |key, value| {
        visit(key, value).unwrap_or_else(|error| {
            failed = Some(error);
            ScanStep::Stop
        })
    })?;
    failed.map_or(Ok(()), Err)
}

/// The first key after all keys that start with `prefix`; `None` if there is none such.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

type Map = BTreeMap<(Family, Vec<u8>), Vec<u8>>;

/// A store in memory. [`MemoryKv::crash`] loses what was not flushed.
#[derive(Debug, Default)]
pub struct MemoryKv {
    live: RwLock<Map>,
    durable: Mutex<Map>,
}

impl MemoryKv {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes back to the last flush, as after a power cut.
    pub fn crash(&self) {
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner).clone();
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = durable;
    }

    /// All pairs, for comparing two stores.
    pub fn dump(&self) -> Vec<(Family, Vec<u8>, Vec<u8>)> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.iter().map(|((family, key), value)| (*family, key.clone(), value.clone())).collect()
    }
}

impl KvView for Map {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        Ok(BTreeMap::get(self, &(family, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
        visit: &mut ScanVisitor<'_>,
    ) -> Result<(), KvError> {
        let end = match until {
            Some(until) => Bound::Excluded((family, until.to_vec())),
            None => Bound::Excluded((Family(family.0 + 1), Vec::new())),
        };
        let mut start = (family, from.to_vec());
        loop {
            if matches!(&end, Bound::Excluded(end) if start >= *end) {
                return Ok(());
            }
            let mut seek = None;
            for ((_, key), value) in self.range((Bound::Included(start.clone()), end.clone())) {
                match visit(key, value) {
                    ScanStep::Next => {}
                    ScanStep::Stop => return Ok(()),
                    ScanStep::Seek(target) => {
                        assert!(target > *key, "a scan only seeks forward");
                        seek = Some(target);
                        break;
                    }
                }
            }
            match seek {
                Some(target) => start = (family, target),
                None => return Ok(()),
            }
        }
    }
}

impl Kv for MemoryKv {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        KvView::get(&*live, family, key)
    }

    fn view(&self, read: &mut dyn FnMut(&dyn KvView)) {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        read(&*live);
    }

    fn last_at_or_before(&self, family: Family, key: &[u8]) -> Result<Option<KvPair>, KvError> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let last = live.range((family, Vec::new())..=(family, key.to_vec())).next_back();
        Ok(last.map(|((_, key), value)| (key.clone(), value.clone())))
    }

    fn write_batch(&self, batch: KvBatch) -> Result<(), KvError> {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        for op in batch.into_ops() {
            match op {
                KvOp::Put(family, key, value) => live.insert((family, key), value),
                KvOp::Delete(family, key) => live.remove(&(family, key)),
            };
        }
        Ok(())
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
        visit: &mut ScanVisitor<'_>,
    ) -> Result<(), KvError> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        KvView::scan(&*live, family, from, until, visit)
    }

    fn flush(&self) -> Result<(), KvError> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner).clone();
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner) = live;
        Ok(())
    }

    fn checkpoint_to(&self, dir: &Path) -> Result<(), KvError> {
        Err(KvError::Failed {
            path: dir.to_path_buf(),
            operation: "checkpoint",
            detail: "a store in memory has no files".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: Family = Family(0);

    fn keys(kv: &impl Kv, from: &[u8], until: Option<&[u8]>) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        kv.scan(F, from, until, &mut |key, _| {
            seen.push(key.to_vec());
            ScanStep::Next
        })
        .unwrap();
        seen
    }

    #[test]
    fn prefix_end_is_the_least_key_past_the_prefix() {
        assert_eq!(prefix_end(b"a/"), Some(b"a0".to_vec()));
        assert_eq!(prefix_end(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }

    #[test]
    fn scans_stay_in_their_family_and_bounds() {
        let kv = MemoryKv::new();
        let mut batch = KvBatch::new();
        for key in ["a", "b", "c"] {
            batch.put(F, key, "x");
            batch.put(Family(1), key, "y");
        }
        batch.delete(F, "b");
        kv.write_batch(batch).unwrap();
        assert_eq!(keys(&kv, b"", None), [b"a".to_vec(), b"c".to_vec()]);
        assert_eq!(keys(&kv, b"b", Some(b"c")), Vec::<Vec<u8>>::new());
        assert_eq!(keys(&kv, b"z", Some(b"c")), Vec::<Vec<u8>>::new());
        assert_eq!(kv.last_at_or_before(F, b"b").unwrap(), Some((b"a".to_vec(), b"x".to_vec())));
        assert_eq!(kv.last_at_or_before(Family(1), b"Z").unwrap(), None);
    }

    #[test]
    fn the_first_error_of_a_visitor_ends_the_scan() {
        let kv = MemoryKv::new();
        let mut batch = KvBatch::new();
        ["a", "b", "c"].iter().for_each(|key| batch.put(F, *key, "x"));
        kv.write_batch(batch).unwrap();
        let mut seen = 0;
        let scanned = try_scan(
            |visit| kv.scan(F, b"", None, visit),
            |key, _| {
                seen += 1;
                if key == b"b" { Err(KvError::Full { path: PathBuf::new() }) } else { Ok(ScanStep::Next) }
            },
        );
        assert!(matches!(scanned, Err(KvError::Full { .. })));
        assert_eq!(seen, 2);
    }

    #[test]
    fn a_crash_goes_back_to_the_last_flush() {
        let kv = MemoryKv::new();
        let put = |key: &str| {
            let mut batch = KvBatch::new();
            batch.put(F, key, "x");
            kv.write_batch(batch).unwrap();
        };
        put("kept");
        kv.flush().unwrap();
        put("lost");
        kv.crash();
        assert_eq!(keys(&kv, b"", None), [b"kept".to_vec()]);
    }
}
