//! The commit log: small PUTs through the engine, made durable on every mirror and applied.
//!
//! Time is per command, with 1, 8 or 64 of them in flight; below each figure stands what group commit
//! makes of it: fdatasync calls per command and commands per batch. The drives are folders under the
//! temporary folder: point `TMPDIR` at the disk that is to be measured, and not at memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chartrier_storage::engine::{Engine, EngineConfig};
use chartrier_storage::env::SimEnv;
use chartrier_storage::ids::{BucketId, ObjectUuid, VersionId};
use chartrier_storage::namespace::command::{Command, CommandContext, Op, Outcome, WriteCondition};
use chartrier_storage::namespace::rows::{BlobRef, BucketRow, PartRow, VersionRow};
use chartrier_storage::namespace::storage_class::StorageClass;
use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::noise;

const IN_FLIGHT: [u64; 3] = [1, 8, 64];
/// A 4 KiB object, sealed, inline in its row.
const BODY_BYTES: usize = 4096 + 88 + 16;
/// Objects are overwritten after so many.
const KEYS: u64 = 10_000;
const DRIVES: usize = 6;

pub(crate) fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let store = Arc::new(runtime.block_on(Store::open(folder.path())));
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(1));
    for in_flight in IN_FLIGHT {
        let before = store.engine.metrics().log;
        group.bench_function(BenchmarkId::new("put 4k inline", in_flight), |bench| {
            bench.iter_custom(|commands| runtime.block_on(store.put_many(commands, in_flight)));
        });
        let after = store.engine.metrics().log;
        let entries = after.entries - before.entries;
        if entries > 0 {
            let per_entry = |count: u64| count as f64 / entries as f64;
            eprintln!(
                "    {:.3} fdatasync per command and mirror ({} mirrors), {:.1} commands a batch, {:.2} bytes \
                 written per byte of body and mirror",
                per_entry(after.syncs - before.syncs) / after.mirrors.len() as f64,
                after.mirrors.len(),
                entries as f64 / (after.batches - before.batches) as f64,
                per_entry(after.bytes_written - before.bytes_written) / (after.mirrors.len() * BODY_BYTES) as f64,
            );
        }
    }
    group.finish();
    runtime.block_on(store.engine.close()).unwrap();
}

struct Store {
    engine: Arc<Engine>,
    bucket: BucketId,
    body: Vec<u8>,
    next: AtomicU64,
}

impl Store {
    async fn open(folder: &Path) -> Self {
        let drives = (1..=DRIVES).map(|drive| folder.join(format!("d{drive}"))).collect();
        let config = EngineConfig { data_dir: folder.join("data"), drives, ..EngineConfig::default() };
        let engine = Engine::open(config, SimEnv::env(1)).await.unwrap();
        let bucket = BucketId::from_bytes([2; 16]);
        let row = BucketRow {
            id: bucket,
            name: "archives".into(),
            owner: "0".repeat(64),
            created_us: 0,
            region: "fr".into(),
            versioning: Default::default(),
            object_lock: None,
        };
        let store = Self { engine, bucket, body: noise(BODY_BYTES), next: AtomicU64::new(0) };
        store.propose(Op::CreateBucket(row)).await;
        store
    }

    /// `commands` PUTs, `in_flight` of them at any time.
    async fn put_many(self: &Arc<Self>, commands: u64, in_flight: u64) -> Duration {
        let started = Instant::now();
        let mut clients = JoinSet::new();
        for client in 0..in_flight {
            let share = commands / in_flight + u64::from(client < commands % in_flight);
            let store = Arc::clone(self);
            clients.spawn(async move {
                for _ in 0..share {
                    store.put().await;
                }
            });
        }
        clients.join_all().await;
        started.elapsed()
    }

    async fn put(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % KEYS;
        let part = PartRow {
            number: 0,
            plain_bytes: 4096,
            salt: [5; 24],
            commitment: [6; 32],
            etag: "0123456789abcdef0123456789abcdef-1".into(),
            modified_us: 0,
            blob: BlobRef::Inline(self.body.clone()),
            sealed_checksums: Vec::new(),
        };
        let row = VersionRow {
            version_id: VersionId::NULL,
            commit_index: 0,
            leaf_index: 0,
            object_uuid: ObjectUuid::from_bytes([3; 16]),
            mode: chartrier_crypto::Mode::C.as_byte(),
            size_bytes: 4096,
            etag: part.etag.clone(),
            modified_us: 0,
            owner: "0".repeat(64),
            checksum: None,
            multipart_parts: None,
            parts: vec![part],
            wrap: vec![7; chartrier_crypto::WRAP_RECORD_LEN],
            sealed_metadata: vec![8; 200],
            manifest_mac: [9; 32],
            key_commitment: [10; 32],
            wrap_version: VersionId::NULL,
            delete_marker: false,
            sealed_tags: Vec::new(),
            retention: None,
            legal_hold: None,
            acl: Vec::new(),
            storage_class: StorageClass::default(),
        };
        self.propose(Op::PutVersion {
            bucket: self.bucket,
            key: format!("actes/2026/{number:06}.pdf"),
            row: Box::new(row),
            condition: WriteCondition::None,
            missing: Vec::new(),
        })
        .await;
    }

    async fn propose(&self, op: Op) {
        let context = CommandContext {
            time_us: 1_767_225_600_000_000,
            request_id: "bench".into(),
            actor_pid: "bench".into(),
            actor_role: "user".into(),
            actor_auth: "sigv4".into(),
            origin: None,
        };
        let applied = self.engine.propose(Command { context, op }).await.unwrap();
        assert_eq!(applied.outcome, Outcome::Done);
    }
}
