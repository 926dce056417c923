//! The data plane as a whole, on simulated drives and on real files.

mod combinations;
mod compaction;
mod copies;
mod crashes;
mod damage;
mod faults;
mod files;
mod fullness;
mod layouts;
mod round_trip;

use std::sync::Arc;

use super::*;
use crate::drive::{DriveConfig, DriveOpenError, memory_index};
use crate::env::{SimEnv, SplitMix};
use crate::ids::ClusterId;
use crate::io::{DriveIo, SimIo, SimWorld};
use crate::state::kv::MemoryKv;

/// A small installation on simulated drives.
pub(crate) struct Sim {
    pub(crate) world: Arc<SimWorld>,
    pub(crate) ios: Vec<SimIo>,
    k: u8,
    m: u8,
    env: Env,
    /// Indexes that outlive a restart; without them each start rebuilds its index.
    kvs: Option<Vec<Arc<MemoryKv>>>,
    /// Blobs up to this many bytes are kept as copies.
    pack_bytes: usize,
}

const SEGMENT_BYTES: u64 = 4 << 20;

impl Sim {
    pub(crate) fn new(k: u8, m: u8) -> Self {
        Self::with_drives(k, m, usize::from(k + m))
    }

    fn with_drives(k: u8, m: u8, drives: usize) -> Self {
        let world = SimWorld::new();
        let ios = (0..drives).map(|number| SimIo::new(&world, &format!("d{number}"))).collect();
        Self { world, ios, k, m, env: SimEnv::env(7), kvs: None, pack_bytes: 0 }
    }

    fn config(&self) -> DriveConfig {
        DriveConfig {
            cluster: ClusterId::from_bytes([0xc1; 16]),
            site: "FR-75".parse().unwrap(),
            segment_bytes: SEGMENT_BYTES,
            index: memory_index(),
        }
    }

    fn open_drive(&self, io: &SimIo, metrics: &Arc<DataMetrics>) -> Result<Arc<Drive>, DriveOpenError> {
        let io: Arc<dyn DriveIo> = Arc::new(io.clone());
        let mut config = self.config();
        if let Some(kvs) = &self.kvs {
            let number = self.ios.iter().position(|other| other.label() == io.label()).unwrap();
            let kv = kvs[number].clone();
            config.index = Arc::new(move |_| Ok(kv.clone()));
        }
        Drive::open_or_format(io, &config, &self.env, metrics.clone())
    }

    /// Opens every drive that opens, and a store whose layout keeps the drives' first order.
    pub(crate) fn open(&self, order: &mut Vec<DriveId>) -> BlobStore {
        let metrics = Arc::new(DataMetrics::default());
        let drives: Vec<Arc<Drive>> = self.ios.iter().filter_map(|io| self.open_drive(io, &metrics).ok()).collect();
        if order.is_empty() {
            *order = drives.iter().map(|drive| drive.id()).collect();
        }
        let config = BlobConfig { inline_bytes: 1024, pack_bytes: self.pack_bytes, stripe_rows: Some(2) };
        store_with(config, drives, rotated_layout(1, self.k, self.m, order), &self.env, metrics)
    }
}

fn store(drives: Vec<Arc<Drive>>, layout: Layout, env: &Env, metrics: Arc<DataMetrics>) -> BlobStore {
    store_with(BlobConfig { inline_bytes: 1024, pack_bytes: 0, stripe_rows: Some(2) }, drives, layout, env, metrics)
}

fn store_with(
    config: BlobConfig,
    drives: Vec<Arc<Drive>>,
    layout: Layout,
    env: &Env,
    metrics: Arc<DataMetrics>,
) -> BlobStore {
    BlobStore::new(drives, layout, config, Budget::new(16 << 20), env.clone(), metrics).unwrap()
}

/// Bytes that depend on seed and place.
pub(crate) fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut random = SplitMix::new(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

pub(crate) async fn write(store: &BlobStore, bytes: &[u8], hint: Option<u64>) -> Result<WrittenBlob, StorageError> {
    let mut writer = store.writer(hint).await;
    // Odd steps, so that windows, rows and stripes end anywhere.
    for step in bytes.chunks(37_123) {
        writer.write_all(step).await?;
    }
    writer.finish().await
}

async fn read(store: &BlobStore, blob: &BlobRef, range: std::ops::Range<u64>) -> Result<Vec<u8>, StorageError> {
    let mut reader = store.reader(blob, range);
    let mut bytes = Vec::new();
    while let Some(mut piece) = reader.next().await? {
        bytes.extend_from_slice(piece.as_mut_slice());
    }
    Ok(bytes)
}

pub(crate) async fn read_all(store: &BlobStore, blob: &BlobRef) -> Result<Vec<u8>, StorageError> {
    read(store, blob, 0..u64::MAX).await
}

/// Every cell that was asked for was there and good. One may have been rebuilt all the same: on a busy machine a
/// thread that reads is late, and its cell is read around.
fn assert_nothing_lost(store: &BlobStore) {
    let counts = store.metrics().snapshot();
    assert_eq!((counts.cells_missing, counts.crc_failures), (0, 0), "a shard was lost");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}
