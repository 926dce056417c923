//! The drive's index: where each shard lies, and how full each segment is.
//!
//! It can be rebuilt from the segments, so it needs no log of its own. A segment's row is written
//! as sealed after the entries of all its records, and the store keeps batches in order: a row
//! found sealed means that every entry of the segment is there. All other segments are read
//! again at the next start.

use std::path::Path;
use std::sync::Arc;

use super::error::{DriveError, DriveOpenError};
use crate::ids::SegmentId;
use crate::io::DriveIo;
use crate::segment::FormatError;
use crate::segment::bytes::{take, take_u64};
use crate::segment::location::{ShardKey, ShardLocation};
use crate::state::kv::{Family, FamilySpec, Kv, KvBatch, KvError, MemoryKv, ScanStep, ValueSize};
use crate::state::rocks::{RocksConfig, RocksKv};

/// Column families of a drive's index.
pub const DRIVE_INDEX_SCHEMA: &[FamilySpec] =
    &[FamilySpec { name: "shard", values: ValueSize::Small }, FamilySpec { name: "segment", values: ValueSize::Small }];
const SHARDS: Family = Family(0);
const SEGMENTS: Family = Family(1);
/// Where a real drive keeps its index.
const INDEX_DIR: &str = "index";
const ROW_VERSION: u8 = 1;

/// Opens the store of an index: in the directory given, or in memory on a simulated drive.
pub type IndexFactory = Arc<dyn Fn(Option<&Path>) -> Result<Arc<dyn Kv>, KvError> + Send + Sync>;

/// Indexes in RocksDB; on a simulated drive, in memory.
pub fn rocks_index(config: RocksConfig) -> IndexFactory {
    Arc::new(move |path| match path {
        Some(path) => {
            std::fs::create_dir_all(path).map_err(|error| KvError::Failed {
                path: path.to_owned(),
                operation: "create the directory",
                detail: error.to_string(),
            })?;
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
    /// Bytes of those whose stripe was freed.
    pub(super) dead_bytes: u64,
}

impl SegmentRow {
    fn encode(&self) -> Vec<u8> {
        let mut value = vec![ROW_VERSION, u8::from(self.sealed)];
        value.extend_from_slice(&self.stored_bytes.to_le_bytes());
        value.extend_from_slice(&self.dead_bytes.to_le_bytes());
        value
    }

    fn decode(value: &[u8]) -> Result<Self, FormatError> {
        let [version, sealed] = take(value, 0)?;
        if version != ROW_VERSION {
            return Err(FormatError::NewerVersion { found: version.into(), known: ROW_VERSION.into() });
        }
        Ok(Self { sealed: sealed == 1, stored_bytes: take_u64(value, 2)?, dead_bytes: take_u64(value, 10)? })
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
    kv: Arc<dyn Kv>,
}

impl DriveIndex {
    /// Opens the index; a damaged one is thrown away and rebuilt by the recovery that follows.
    pub(super) fn open(io: &dyn DriveIo, factory: &IndexFactory) -> Result<Self, DriveOpenError> {
        let path = io.os_path().map(|path| path.join(INDEX_DIR));
        let kv = match factory(path.as_deref()) {
            Err(KvError::Corruption { path: damaged, detail }) => {
                tracing::warn!(path = %damaged.display(), detail, "drive index damaged: rebuilding it");
                io.remove_tree(INDEX_DIR).map_err(|source| DriveOpenError::Io { op: "remove the index", source })?;
                factory(path.as_deref())?
            }
            other => other?,
        };
        Ok(Self { kv })
    }

    pub(super) fn shard(&self, key: &ShardKey) -> Result<Option<ShardLocation>, DriveError> {
        let value = self.kv.get(SHARDS, &key.encode())?;
        Ok(value.map(|value| ShardLocation::decode(&value)).transpose()?)
    }

    pub(super) fn segments(&self) -> Result<Vec<(SegmentId, SegmentRow)>, KvError> {
        let mut rows = Vec::new();
        self.kv.scan(SEGMENTS, &[], None, &mut |key, value| {
            // A row that does not decode counts as not sealed: its segment is read again.
            if let (Ok(id), Ok(row)) = (take(key, 0), SegmentRow::decode(value)) {
                rows.push((SegmentId::from_bytes(id), row));
            }
            ScanStep::Next
        })?;
        Ok(rows)
    }

    pub(super) fn write(&self, batch: IndexBatch) -> Result<(), KvError> {
        if batch.is_empty() { Ok(()) } else { self.kv.write_batch(batch.0) }
    }

    pub(super) fn flush(&self) -> Result<(), KvError> {
        self.kv.flush()
    }
}
