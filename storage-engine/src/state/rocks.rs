//! RocksDB behind [`Kv`]: the one module that names it.
//!
//! The namespace and each drive's index are stores of this kind. The write-ahead log is off: the
//! commit log (or the drive's segments) rebuilds what a crash takes from memory. All families
//! flush atomically, so that a store found on disk is always the state after some whole batch.
//! Memory is bounded by one block cache and one write-buffer manager for all stores that share a
//! [`RocksMemory`].

mod options;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamily, DB, ErrorKind, FlushOptions, Options, ReadOptions, Snapshot, WriteBatch, WriteOptions};

pub use options::{RocksConfig, RocksMemory};

use self::options::{database_options, families};
use super::kv::{Family, FamilySpec, Kv, KvBatch, KvError, KvOp, KvPair, KvView, ScanStep, ScanVisitor};

/// A store on disk.
pub struct RocksKv {
    db: DB,
    path: PathBuf,
    schema: &'static [FamilySpec],
    memory: RocksMemory,
}

impl RocksKv {
    /// Opens the store in `path`, or makes an empty one, its directory included.
    ///
    /// A family that the schema has and the disk has not is made empty.
    ///
    /// # Errors
    /// [`KvError::Corruption`] when the files do not make a store: rebuild it.
    /// [`KvError::Locked`] when it is open already.
    pub fn open(path: &Path, schema: &'static [FamilySpec], config: &RocksConfig) -> Result<Arc<Self>, KvError> {
        let mut options = database_options(config);
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        Self::open_with(path, schema, config, &options)
    }

    /// Opens a store that must exist, as after the copy of a checkpoint.
    ///
    /// # Errors
    /// As [`RocksKv::open`]; a store that is not there is [`KvError::Failed`].
    pub fn open_existing(
        path: &Path,
        schema: &'static [FamilySpec],
        config: &RocksConfig,
    ) -> Result<Arc<Self>, KvError> {
        Self::open_with(path, schema, config, &database_options(config))
    }

    fn open_with(
        path: &Path,
        schema: &'static [FamilySpec],
        config: &RocksConfig,
        options: &Options,
    ) -> Result<Arc<Self>, KvError> {
        let db = DB::open_cf_descriptors(options, path, families(config, schema))
            .map_err(|error| typed(path, "open", &error))?;
        Ok(Arc::new(Self { db, path: path.to_path_buf(), schema, memory: config.memory.clone() }))
    }

    /// Opens a copy of a store for reading only, and closes it again.
    ///
    /// # Errors
    /// As [`RocksKv::open`].
    pub fn check_copy(path: &Path, schema: &'static [FamilySpec]) -> Result<(), KvError> {
        let config = RocksConfig::drive_index(RocksMemory::new(VERIFY_CACHE_BYTES, VERIFY_CACHE_BYTES));
        let families = families(&config, schema);
        let opened = DB::open_cf_descriptors_read_only(&database_options(&config), path, families, false);
        opened.map(drop).map_err(|error| typed(path, CHECK, &error))
    }

    /// A second, read-only look at the files: it has no cache of this store, and reads manifest, tables and
    /// blobs as a start would.
    fn verify_once(&self, pace: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<u64, KvError> {
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            // What the system has in memory is not what the disk has.
            if let Ok(file) = std::fs::File::open(entry.path()) {
                let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
            }
        }
        let config = RocksConfig::drive_index(RocksMemory::new(VERIFY_CACHE_BYTES, VERIFY_CACHE_BYTES));
        let mut options = database_options(&config);
        // All tables are opened at once: those that a compaction removes meanwhile stay readable.
        options.set_max_open_files(-1);
        let copy = DB::open_cf_descriptors_read_only(&options, &self.path, families(&config, self.schema), false)
            .map_err(|error| self.error(CHECK, &error))?;
        let mut rows = 0;
        let mut unpaced = 0;
        for spec in self.schema {
            let family = copy.cf_handle(spec.name).expect("every family of the schema was opened");
            let mut options = ReadOptions::default();
            options.set_verify_checksums(true);
            options.fill_cache(false);
            options.set_readahead_size(VERIFY_PACE_BYTES as usize);
            let mut cursor = copy.raw_iterator_cf_opt(family, options);
            cursor.seek_to_first();
            while let Some((key, value)) = cursor.item() {
                rows += 1;
                unpaced += (key.len() + value.len()) as u64;
                if unpaced >= VERIFY_PACE_BYTES {
                    if pace(unpaced).is_break() {
                        return Ok(rows);
                    }
                    unpaced = 0;
                }
                cursor.next();
            }
            cursor.status().map_err(|error| self.error(CHECK, &error))?;
        }
        let _ = pace(unpaced);
        Ok(rows)
    }

    fn handle(&self, family: Family) -> &ColumnFamily {
        let spec = self.schema.get(usize::from(family.0)).expect("families come from the schema");
        self.db.cf_handle(spec.name).expect("every family of the schema was opened")
    }

    fn error(&self, operation: &'static str, error: &rocksdb::Error) -> KvError {
        typed(&self.path, operation, error)
    }

    fn scan_with(
        &self,
        mut options: ReadOptions,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
        visit: &mut ScanVisitor<'_>,
    ) -> Result<(), KvError> {
        if let Some(until) = until {
            if from >= until {
                return Ok(());
            }
            options.set_iterate_upper_bound(until);
        }
        let mut cursor = self.db.raw_iterator_cf_opt(self.handle(family), options);
        cursor.seek(from);
        while let Some((key, value)) = cursor.item() {
            match visit(key, value) {
                ScanStep::Next => cursor.next(),
                ScanStep::Seek(target) => cursor.seek(target),
                ScanStep::Stop => return Ok(()),
            }
        }
        cursor.status().map_err(|error| self.error("scan", &error))
    }
}

/// A snapshot, held for as long as somebody reads from it.
struct RocksView<'a> {
    kv: &'a RocksKv,
    snapshot: Snapshot<'a>,
}

impl RocksView<'_> {
    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        options
    }
}

impl KvView for RocksView<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let found = self.kv.db.get_cf_opt(self.kv.handle(family), key, &self.options());
        found.map_err(|error| self.kv.error("get", &error))
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
        visit: &mut ScanVisitor<'_>,
    ) -> Result<(), KvError> {
        self.kv.scan_with(self.options(), family, from, until, visit)
    }
}

impl Kv for RocksKv {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.db.get_cf(self.handle(family), key).map_err(|error| self.error("get", &error))
    }

    fn last_at_or_before(&self, family: Family, key: &[u8]) -> Result<Option<KvPair>, KvError> {
        let mut cursor = self.db.raw_iterator_cf(self.handle(family));
        cursor.seek_for_prev(key);
        let last = cursor.item().map(|(key, value)| (key.to_vec(), value.to_vec()));
        // An iterator that ends may have failed: that is not "none".
        cursor.status().map_err(|error| self.error("seek", &error))?;
        Ok(last)
    }

    fn write_batch(&self, batch: KvBatch) -> Result<(), KvError> {
        let mut write = WriteBatch::default();
        for op in batch.into_ops() {
            match op {
                KvOp::Put(family, key, value) => write.put_cf(self.handle(family), key, value),
                KvOp::Delete(family, key) => write.delete_cf(self.handle(family), key),
            }
        }
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        // While flushes are behind, or find the disk full, it fails and the caller decides: inside RocksDB
        // it would wait, and nothing could make it stop.
        options.set_no_slowdown(true);
        self.db.write_opt(write, &options).map_err(|error| self.error("write", &error))
    }

    fn scan(
        &self,
        family: Family,
        from: &[u8],
        until: Option<&[u8]>,
        visit: &mut ScanVisitor<'_>,
    ) -> Result<(), KvError> {
        self.scan_with(ReadOptions::default(), family, from, until, visit)
    }

    fn view(&self, read: &mut dyn FnMut(&dyn KvView)) {
        read(&RocksView { kv: self, snapshot: self.db.snapshot() });
    }

    fn flush(&self) -> Result<(), KvError> {
        let families: Vec<&ColumnFamily> =
            (0..self.schema.len()).map(|index| self.handle(Family(index as u8))).collect();
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db.flush_cfs_opt(&families, &options).map_err(|error| self.error("flush", &error))
    }

    fn checkpoint_to(&self, dir: &Path) -> Result<(), KvError> {
        // Creating a checkpoint flushes all families first, atomically, so that the copy holds every
        // batch written before this call.
        let checkpoint = Checkpoint::new(&self.db).map_err(|error| self.error("checkpoint", &error))?;
        checkpoint.create_checkpoint(dir).map_err(|error| self.error("checkpoint", &error))
    }

    fn verify(&self, pace: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<u64, KvError> {
        let mut last = None;
        for _ in 0..VERIFY_ATTEMPTS {
            match self.verify_once(pace) {
                // A compaction may have removed a file between the manifest and its opening.
                Err(error) => last = Some(error),
                verified => return verified,
            }
        }
        Err(last.expect("there was an attempt"))
    }

    fn memory_bytes(&self) -> u64 {
        self.memory.usage_bytes()
    }
}

/// What errors call the second look that a check takes.
const CHECK: &str = "check";
/// Memory of the second look that a check takes.
const VERIFY_CACHE_BYTES: usize = 1 << 20;
/// Bytes of rows between two words with the pace of a check.
const VERIFY_PACE_BYTES: u64 = 256 << 10;
/// How often a check is tried before its error is believed.
const VERIFY_ATTEMPTS: usize = 3;

/// What RocksDB says of a store that another process, or this one, has open. A path may have "lock" in it too.
const LOCKED: [&str; 2] = ["While lock file", "lock hold by current process"];

fn typed(path: &Path, operation: &'static str, error: &rocksdb::Error) -> KvError {
    let path = path.to_path_buf();
    let detail: &str = error.as_ref();
    match error.kind() {
        ErrorKind::Corruption => KvError::Corruption { path, detail: detail.to_owned() },
        ErrorKind::Incomplete if operation == "write" => KvError::Stalled { path },
        ErrorKind::IOError if detail.contains("No space left") => KvError::Full { path },
        ErrorKind::IOError if LOCKED.iter().any(|text| detail.contains(text)) => KvError::Locked { path },
        // A start would not open it either.
        ErrorKind::InvalidArgument | ErrorKind::NotSupported | ErrorKind::NotFound if operation == CHECK => {
            KvError::Corruption { path, detail: detail.to_owned() }
        }
        // A table or blob file that the manifest names and the directory lacks is a damaged store.
        ErrorKind::IOError if detail.contains("No such file") => {
            KvError::Corruption { path, detail: detail.to_owned() }
        }
        _ => KvError::Failed { path, operation, detail: detail.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::super::kv::ValueSize;
    use super::*;

    const SCHEMA: &[FamilySpec] = &[
        FamilySpec { name: "small", values: ValueSize::Small },
        FamilySpec { name: "large", values: ValueSize::Large },
    ];
    const SMALL: Family = Family(0);
    const LARGE: Family = Family(1);

    fn config() -> RocksConfig {
        RocksConfig::drive_index(RocksMemory::new(1 << 20, 1 << 20))
    }

    fn put(kv: &RocksKv, family: Family, key: &str, value: &[u8]) {
        let mut batch = KvBatch::new();
        batch.put(family, key, value);
        while let Err(error) = kv.write_batch(batch.clone()) {
            assert!(matches!(error, KvError::Stalled { .. }), "{error}");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    #[test]
    fn flushed_batches_come_back_and_unflushed_ones_go_together() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let kv = RocksKv::open(&path, SCHEMA, &config()).unwrap();
        put(&kv, SMALL, "a", b"1");
        put(&kv, LARGE, "a", &[7; 9000]);
        kv.flush().unwrap();
        put(&kv, SMALL, "b", b"2");
        assert!(matches!(RocksKv::open(&path, SCHEMA, &config()), Err(KvError::Locked { .. })));
        let copy = dir.path().join("copy");
        kv.checkpoint_to(&copy).unwrap();
        put(&kv, SMALL, "c", b"3");
        drop(kv);
        let copy = RocksKv::open_existing(&copy, SCHEMA, &config()).unwrap();
        assert_eq!(copy.get(LARGE, b"a").unwrap().unwrap(), vec![7; 9000]);
        assert_eq!(copy.get(SMALL, b"b").unwrap().unwrap(), b"2");
        assert_eq!(copy.get(SMALL, b"c").unwrap(), None);
    }

    #[test]
    fn scans_seek_and_stop_at_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let kv = RocksKv::open(dir.path(), SCHEMA, &config()).unwrap();
        for key in ["a/1", "a/2", "b", "c"] {
            put(&kv, SMALL, key, b"");
        }
        let mut seen = Vec::new();
        kv.scan(SMALL, b"a", Some(b"c"), &mut |key, _| {
            seen.push(String::from_utf8(key.to_vec()).unwrap());
            if key.starts_with(b"a/") { ScanStep::Seek(b"a0".to_vec()) } else { ScanStep::Next }
        })
        .unwrap();
        assert_eq!(seen, ["a/1", "b"]);
        let last = |key: &str| kv.last_at_or_before(SMALL, key.as_bytes()).unwrap().map(|(key, _)| key);
        assert_eq!(last("a"), None);
        assert_eq!([last("a/1"), last("a/9"), last("z")], [b"a/1", b"a/2", &b"c"[..]].map(|key| Some(key.to_vec())));
        assert_eq!(kv.last_at_or_before(LARGE, b"z").unwrap(), None);
    }

    #[test]
    fn a_check_finds_a_damaged_byte_behind_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        let kv = RocksKv::open(dir.path(), SCHEMA, &config()).unwrap();
        for n in 0..500 {
            put(&kv, SMALL, &format!("key{n}"), &[7; 100]);
            put(&kv, LARGE, &format!("key{n}"), &[n as u8; 5000]);
        }
        kv.flush().unwrap();
        let mut pace = |_| ControlFlow::Continue(());
        assert_eq!(kv.verify(&mut pace).unwrap(), 1000);
        assert_eq!(kv.get(SMALL, b"key7").unwrap().unwrap(), [7; 100]);
        for (extension, offset) in [("sst", 10), ("blob", 2000)] {
            let is = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
            let file = std::fs::read_dir(dir.path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(is)
                .max_by_key(|path| path.metadata().unwrap().len())
                .unwrap();
            let good = std::fs::read(&file).unwrap();
            let mut bad = good.clone();
            bad[offset] ^= 1;
            std::fs::write(&file, &bad).unwrap();
            assert!(matches!(kv.verify(&mut pace), Err(KvError::Corruption { .. })), "{extension}");
            std::fs::write(&file, &good).unwrap();
            assert_eq!(kv.verify(&mut pace).unwrap(), 1000);
        }
    }

    #[test]
    fn damaged_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        drop(RocksKv::open(&path, SCHEMA, &config()).unwrap());
        std::fs::write(path.join("CURRENT"), b"nonsense\n").unwrap();
        assert!(matches!(RocksKv::open(&path, SCHEMA, &config()), Err(KvError::Corruption { .. })));
        assert!(matches!(
            RocksKv::open_existing(&dir.path().join("none"), SCHEMA, &config()),
            Err(KvError::Failed { .. } | KvError::Corruption { .. })
        ));
    }
}
