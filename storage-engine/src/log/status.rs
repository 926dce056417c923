//! Counters of the log, and its health for a status page.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::config::LogConfig;
use super::shared::LogShared;
use crate::ids::DriveId;

/// Upper bounds (entries) of the buckets of [`LogStatus::batch_entries`]; the last bucket has none.
pub const BATCH_ENTRY_BOUNDS: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Counters since the start.
#[derive(Debug, Default)]
pub(crate) struct LogCounts {
    batches: AtomicU64,
    entries: AtomicU64,
    syncs: AtomicU64,
    bytes_written: AtomicU64,
    log_bytes: AtomicU64,
    mirrors_dropped: AtomicU64,
    batch_entries: [AtomicU64; BATCH_ENTRY_BOUNDS.len() + 1],
}

impl LogCounts {
    pub(crate) fn batch(&self, entries: u64, bytes: u64, mirrors: u64) {
        self.batches.fetch_add(1, Relaxed);
        self.entries.fetch_add(entries, Relaxed);
        self.syncs.fetch_add(mirrors, Relaxed);
        self.bytes_written.fetch_add(bytes * mirrors, Relaxed);
        self.log_bytes.fetch_add(bytes, Relaxed);
        let bucket = BATCH_ENTRY_BOUNDS.iter().position(|&bound| entries <= bound).unwrap_or(BATCH_ENTRY_BOUNDS.len());
        self.batch_entries[bucket].fetch_add(1, Relaxed);
    }

    /// Bytes by which the log has grown, each mirror counted once.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Relaxed)
    }

    pub(crate) fn mirror_dropped(&self) {
        self.mirrors_dropped.fetch_add(1, Relaxed);
    }
}

/// The log at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStatus {
    /// Grows at each change of the mirror set.
    pub epoch: u64,
    /// Grows at each start.
    pub term: u64,
    /// Last entry durable on every live mirror.
    pub durable_index: u64,
    /// The live mirrors.
    pub mirrors: Vec<DriveId>,
    /// Mirrors that the log aims for.
    pub mirrors_wanted: usize,
    /// Mirrors without which nothing is acknowledged.
    pub mirrors_needed: usize,
    /// Mirrors dropped since the start, with why.
    pub dropped: Vec<(DriveId, String)>,
    /// Bytes of log that a restart would read from each mirror.
    pub live_bytes: u64,
    /// Batches made durable since the start.
    pub batches: u64,
    /// Entries in them.
    pub entries: u64,
    /// fdatasync calls, over all mirrors.
    pub syncs: u64,
    /// Bytes written, over all mirrors.
    pub bytes_written: u64,
    /// Batches by number of entries, by [`BATCH_ENTRY_BOUNDS`].
    pub batch_entries: [u64; BATCH_ENTRY_BOUNDS.len() + 1],
}

impl LogStatus {
    pub(crate) fn of(shared: &LogShared, config: &LogConfig) -> Self {
        let view = shared.view();
        let counts = &shared.counts;
        let mut batch_entries = [0; BATCH_ENTRY_BOUNDS.len() + 1];
        for (out, count) in batch_entries.iter_mut().zip(&counts.batch_entries) {
            *out = count.load(Relaxed);
        }
        Self {
            epoch: view.epoch,
            term: view.term,
            durable_index: view.durable,
            mirrors: view.mirrors.iter().map(|(drive, _)| drive.id()).collect(),
            mirrors_wanted: config.mirrors_wanted(),
            mirrors_needed: config.mirrors_needed(),
            live_bytes: view.segments.iter().map(|span| span.end).sum(),
            dropped: view.dropped.into_iter().map(|dropped| (dropped.drive, dropped.why)).collect(),
            batches: counts.batches.load(Relaxed),
            entries: counts.entries.load(Relaxed),
            syncs: counts.syncs.load(Relaxed),
            bytes_written: counts.bytes_written.load(Relaxed),
            batch_entries,
        }
    }
}
