//! What the engine counts, for the server's `/metrics`.

use crate::drive::{DataMetricsSnapshot, DriveStatus};
use crate::engine::{PackStatus, ReclaimStatus};
use crate::log::LogStatus;

/// All counters and gauges of an engine at one moment. Counters are since the start.
#[derive(Debug, Clone)]
pub struct EngineMetricsSnapshot {
    /// Data plane: syncs, copies, bytes, CRC failures, degraded reads.
    pub data: DataMetricsSnapshot,
    /// Commit log: batches and their sizes, syncs, bytes, mirrors.
    pub log: LogStatus,
    /// Each drive in use: state, space, errors.
    pub drives: Vec<DriveStatus>,
    /// Drives that the engine started without.
    pub lost_drives: u64,
    /// Bytes of transfer buffers in use.
    pub transfer_bytes: u64,
    /// Bytes of caches and write buffers of the index.
    pub index_memory_bytes: u64,
    /// Leaves in the journal.
    pub journal_leaves: u64,
    /// Shards that degraded writes left to be healed.
    pub shards_to_heal: u64,
    /// What is packed, and what waits to be.
    pub packing: PackStatus,
    /// Where the giving back of space stands.
    pub reclaim: ReclaimStatus,
}

impl EngineMetricsSnapshot {
    /// fdatasync calls on data segments and log mirrors together.
    pub fn syncs(&self) -> u64 {
        self.data.syncs + self.log.syncs
    }

    /// Bytes written to data segments and log mirrors together.
    pub fn bytes_written(&self) -> u64 {
        self.data.bytes_written + self.log.bytes_written
    }
}
