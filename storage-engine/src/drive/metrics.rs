//! What the data plane counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of the data plane, all since the start.
        #[derive(Debug, Default)]
        pub struct DataMetrics {
            $($(#[$doc])* pub(crate) $name: AtomicU64,)*
        }

        /// The counters at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct DataMetricsSnapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl DataMetrics {
            /// Reads all counters.
            pub fn snapshot(&self) -> DataMetricsSnapshot {
                DataMetricsSnapshot { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// `fdatasync` calls on data segments.
    syncs,
    /// Waiters that those syncs answered.
    sync_waiters,
    /// Records written.
    records,
    /// Batches of records that appenders took from their queues.
    batches,
    /// Bytes written to segments: headers, cells, padding, footers.
    bytes_written,
    /// Bytes of blobs taken from writers.
    bytes_stored,
    /// Blobs written as whole copies.
    blobs_in_copies,
    /// Bytes of blobs given to readers.
    bytes_read,
    /// Bytes of blobs that the engine copied in memory.
    bytes_copied,
    /// Cells read from the page cache without a thread in between.
    cells_cached,
    /// Cells read by a reader thread.
    cells_queued,
    /// Cells that did not match their checksum.
    crc_failures,
    /// Cells that could not be read: lost drive, missing record, failed read.
    cells_missing,
    /// Cells rebuilt from others.
    cells_rebuilt,
    /// Reads that did not wait for a late drive.
    reads_hedged,
    /// Cells of theirs that others were read for.
    cells_hedged,
    /// Cells that were rebuilt from others at once, because their drive reads slowly beyond its peers.
    cells_spared,
    /// Writes and syncs that did not wait for a late drive.
    writes_hedged,
    /// Shards that a write did without.
    shards_missed,
    /// Segments begun.
    segments_created,
    /// Segments closed with a footer.
    segments_sealed,
    /// Shards whose records were freed.
    shards_freed,
    /// Segments whose files were removed.
    segments_removed,
    /// Bytes of records that compaction copied.
    bytes_compacted,
    /// Bytes of files that removed segments gave back, less those of the segments that took their records.
    bytes_reclaimed,
    /// Records that compaction met damaged, and left where they are.
    records_damaged,
    /// Shards that nobody owned, freed by the collector of orphans.
    orphans_freed,
    /// Bytes of their records.
    orphan_bytes_freed,
}

impl DataMetrics {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Relaxed);
    }
}

/// Error counts of one drive.
#[derive(Debug, Default)]
pub struct DriveCounts {
    write_errors: AtomicU64,
    read_errors: AtomicU64,
    crc_failures: AtomicU64,
}

impl DriveCounts {
    /// Failed writes and syncs.
    pub fn write_errors(&self) -> u64 {
        self.write_errors.load(Relaxed)
    }

    /// Failed reads.
    pub fn read_errors(&self) -> u64 {
        self.read_errors.load(Relaxed)
    }

    /// Cells that did not match their checksum.
    pub fn crc_failures(&self) -> u64 {
        self.crc_failures.load(Relaxed)
    }

    pub(crate) fn add_write_error(&self) {
        self.write_errors.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_read_error(&self) {
        self.read_errors.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_crc_failure(&self) {
        self.crc_failures.fetch_add(1, Relaxed);
    }
}
