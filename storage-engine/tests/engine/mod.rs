//! An engine on six small drives, and what its stories share.

mod combinations;
mod copies;
mod cost;
mod drives;
mod evacuate;
mod full;
mod growth;
mod journal;
mod listing;
mod loss;
mod mend;
mod objects;
mod opening;
mod packs;
mod reclaim;
mod small_drives;

use std::hash::BuildHasher as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chartrier_storage::blob::WrittenBlob;
use chartrier_storage::engine::{Engine, EngineConfig};
use chartrier_storage::env::{Clock, Env, Random, SimEnv};
use chartrier_storage::error::{OpenError, StorageError};
use chartrier_storage::ids::{BucketId, ObjectUuid, UploadId, VersionId};
use chartrier_storage::namespace::command::{Applied, Command, CommandContext, Op, WriteCondition};
use chartrier_storage::namespace::rows::{BlobRef, BucketRow, PartRow, UploadRow, VersionRow};
use chartrier_storage::namespace::storage_class::StorageClass;

pub(crate) const BUCKET: BucketId = BucketId::from_bytes([1; 16]);

pub(crate) struct WallClock;

impl Clock for WallClock {
    fn now_us(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
    }
}

/// The wall clock, and bytes that are others in each process and at each call; not for keys.
pub(crate) fn env() -> Env {
    Env { clock: Arc::new(WallClock), random: random() }
}

pub(crate) fn random() -> Arc<dyn Random> {
    SimEnv::env(std::hash::RandomState::new().hash_one(0)).random
}

pub(crate) struct Rig {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) config: EngineConfig,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(4, 2, 6)
    }

    pub(crate) fn with(k: u8, m: u8, drives: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = EngineConfig {
            data_dir: dir.path().join("data"),
            drives: (0..drives).map(|n| dir.path().join(format!("d{n}"))).collect(),
            k,
            m,
            segment_bytes: 8 << 20,
            log_segment_bytes: 4 << 20,
            ..EngineConfig::default()
        };
        Self { dir, config }
    }

    pub(crate) async fn open(&self) -> Arc<Engine> {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<Arc<Engine>, OpenError> {
        Engine::open(self.config.clone(), env()).await
    }

    /// Opens a fresh installation with one bucket.
    pub(crate) async fn open_with_bucket(&self) -> Arc<Engine> {
        let engine = self.open().await;
        propose(&engine, create_bucket(BUCKET, "b")).await;
        engine
    }

    pub(crate) fn drive(&self, n: usize) -> &Path {
        &self.config.drives[n]
    }

    /// Where a drive is put while it is away.
    pub(crate) fn away(&self, n: usize) -> PathBuf {
        self.dir.path().join(format!("away{n}"))
    }

    /// Takes a drive away, as an unplugged disk.
    pub(crate) fn take_away(&self, n: usize) {
        std::fs::rename(self.drive(n), self.away(n)).unwrap();
    }

    /// Puts it back where it was.
    pub(crate) fn bring_back(&self, n: usize) {
        std::fs::rename(self.away(n), self.drive(n)).unwrap();
    }
}

/// Closes an engine in good order; nothing of it is left.
pub(crate) async fn close(engine: Arc<Engine>) {
    engine.close().await.unwrap();
}

/// Every cell that was asked for was there and good. One may have been rebuilt all the same: on a busy machine a
/// thread that reads is late, and its cell is read around.
pub(crate) fn assert_nothing_lost(engine: &Engine) {
    let counts = engine.metrics().data;
    assert_eq!((counts.cells_missing, counts.crc_failures), (0, 0), "a shard was lost");
}

pub(crate) fn create_bucket(id: BucketId, name: &str) -> Op {
    Op::CreateBucket(BucketRow {
        id,
        name: name.to_owned(),
        owner: "owner".to_owned(),
        created_us: 1,
        region: "fr".to_owned(),
        versioning: Default::default(),
        object_lock: None,
    })
}

pub(crate) async fn propose(engine: &Engine, op: Op) -> Applied {
    engine.propose(command(op)).await.unwrap()
}

pub(crate) fn command(op: Op) -> Command {
    let context = CommandContext {
        time_us: WallClock.now_us(),
        request_id: "R".to_owned(),
        actor_pid: "p".to_owned(),
        actor_role: "root".to_owned(),
        actor_auth: "sigv4".to_owned(),
        origin: None,
    };
    Command { context, op }
}

/// Bytes that differ from key to key and from place to place.
pub(crate) fn pattern(key: &str, len: usize) -> Vec<u8> {
    let mut reader = blake3::Hasher::new().update(key.as_bytes()).finalize_xof();
    let mut bytes = vec![0; len];
    reader.fill(&mut bytes);
    bytes
}

/// Writes the bytes of a key, which no row names yet.
pub(crate) async fn write(engine: &Engine, key: &str, len: usize) -> Result<WrittenBlob, StorageError> {
    let bytes = pattern(key, len);
    let mut writer = engine.blobs().writer(Some(len as u64)).await;
    writer.write_all(&bytes).await?;
    writer.finish().await
}

/// Stores `len` bytes under a key, as the server does: blob first, then the row.
pub(crate) async fn put(engine: &Engine, key: &str, len: usize) -> Applied {
    let written = write(engine, key, len).await.unwrap();
    propose(engine, put_op(key, len, written)).await
}

/// The command that names written bytes.
pub(crate) fn put_op(key: &str, len: usize, written: WrittenBlob) -> Op {
    let row = Box::new(version_row(vec![part_row(0, len, written.blob)]));
    let condition = WriteCondition::None;
    Op::PutVersion { bucket: BUCKET, key: key.to_owned(), row, condition, missing: written.missing }
}

/// A version of these parts.
pub(crate) fn version_row(parts: Vec<PartRow>) -> VersionRow {
    let size_bytes = parts.iter().map(|part| part.plain_bytes).sum();
    VersionRow {
        version_id: VersionId::NULL,
        commit_index: 0,
        leaf_index: 0,
        object_uuid: ObjectUuid::from_bytes([2; 16]),
        mode: b'O',
        size_bytes,
        etag: format!("{size_bytes}"),
        modified_us: 1,
        owner: "owner".to_owned(),
        checksum: None,
        multipart_parts: None,
        parts,
        wrap: vec![1; 60],
        sealed_metadata: vec![2; 80],
        manifest_mac: [3; 32],
        key_commitment: [4; 32],
        wrap_version: VersionId::NULL,
        delete_marker: false,
        sealed_tags: Vec::new(),
        retention: None,
        legal_hold: None,
        acl: Vec::new(),
        storage_class: StorageClass::default(),
    }
}

/// An upload of the bucket's owner.
pub(crate) fn upload_row(id: UploadId) -> UploadRow {
    UploadRow {
        id,
        wrap_version: VersionId::NULL,
        object_uuid: ObjectUuid::from_bytes([2; 16]),
        mode: b'O',
        initiated_us: 4,
        owner: "owner".to_owned(),
        checksum: None,
        wrap: vec![1; 60],
        sealed_metadata: vec![2; 80],
        pending_keys: vec![3; 80],
        key_commitment: [6; 32],
        sealed_tags: Vec::new(),
        retention: None,
        legal_hold: None,
        acl: Vec::new(),
        storage_class: StorageClass::default(),
    }
}

/// The part that names written bytes.
pub(crate) fn part_row(number: u16, len: usize, blob: BlobRef) -> PartRow {
    PartRow {
        number,
        plain_bytes: len as u64,
        salt: [0; 24],
        commitment: [0; 32],
        etag: String::new(),
        modified_us: 1,
        blob,
        sealed_checksums: Vec::new(),
    }
}

/// Bytes that the drives hold.
pub(crate) fn stored(engine: &Engine) -> u64 {
    engine.status().drives.iter().map(|drive| drive.stored_bytes).sum()
}

pub(crate) async fn delete(engine: &Engine, key: &str) -> Applied {
    let op = Op::DeleteObject { bucket: BUCKET, key: key.to_owned(), marker: None, condition: WriteCondition::None };
    propose(engine, op).await
}

pub(crate) async fn read(engine: &Engine, blob: &BlobRef) -> Vec<u8> {
    let mut reader = engine.blobs().reader(blob, 0..blob.len_bytes());
    let mut bytes = Vec::new();
    while let Some(buffer) = reader.next().await.unwrap() {
        bytes.extend_from_slice(buffer.as_slice());
    }
    bytes
}

/// Reads a key back whole and compares every byte.
pub(crate) async fn check(engine: &Engine, key: &str, len: usize) {
    let row = engine.current(BUCKET, key).unwrap().unwrap_or_else(|| panic!("{key} is gone"));
    assert_eq!(row.size_bytes, len as u64, "{key}");
    assert!(read(engine, &row.parts[0].blob).await == pattern(key, len), "{key} reads back other bytes");
}

/// Waits until something holds, up to 30 s.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{what}: not within 30 s");
}
