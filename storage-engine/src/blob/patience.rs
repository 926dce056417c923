//! How long a request waits for one drive before it goes on with others.
//!
//! Twice what a drive of this machine usually takes, by measure: the drive in the middle, so that a slow
//! one is found out by its peers, and a machine that is busy as a whole waits longer. Bounds keep it sane:
//! answers from the controller's cache do not make every seek late, and nobody waits for ever.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{BlobStore, StoreCore};
use crate::drive::{DataMetrics, Drive, patience_us};

/// Reads: from a few seeks of a busy disk to what a client still bears.
const READ_BOUNDS_US: (u64, u64) = (20_000, 1_000_000);
/// Until enough reads were measured.
const READ_UNKNOWN_US: u64 = 250_000;
/// Writes: a shard that is not waited for is work for later, so the least is beyond any healthy sync.
const WRITE_BOUNDS_US: (u64, u64) = (500_000, 2_000_000);
/// Until enough writes were measured.
const WRITE_UNKNOWN_US: u64 = 2_000_000;
/// Times the usual.
const TIMES: u64 = 2;
/// At most one cell in so many is read, and one shard in so many left out, because a drive is late: otherwise
/// load would make load.
const HEDGE_SHARE: u64 = 20;
/// So many cells, or shards, may be before the share is asked: a start has no past.
const READ_ALLOWANCE: u64 = 16;
const WRITE_ALLOWANCE: u64 = 10;
/// How long work in the background makes room for clients, and in which steps it looks.
const YIELD_MAX: Duration = Duration::from_millis(200);
const YIELD_STEP: Duration = Duration::from_millis(5);

/// How long to wait, as it was last measured.
pub(super) struct Patience {
    read_us: AtomicU64,
    write_us: AtomicU64,
    /// Some drive is asked last: only then readers look which.
    some_spared: AtomicBool,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            read_us: AtomicU64::new(READ_UNKNOWN_US),
            write_us: AtomicU64::new(WRITE_UNKNOWN_US),
            some_spared: AtomicBool::new(false),
        }
    }
}

impl Patience {
    /// Measures again. Called every second: the drives' pasts do not change faster.
    pub(super) fn measure<'a>(&self, drives: impl Iterator<Item = &'a Drive> + Clone) {
        let reads = drives.clone().map(Drive::read_p95_us).collect();
        let writes = drives.clone().map(Drive::write_p99_us).collect();
        let some_spared = drives.clone().any(Drive::is_spared);
        self.some_spared.store(some_spared, Relaxed);
        self.read_us.store(patience_us(reads, TIMES, READ_BOUNDS_US).unwrap_or(READ_UNKNOWN_US), Relaxed);
        self.write_us.store(patience_us(writes, TIMES, WRITE_BOUNDS_US).unwrap_or(WRITE_UNKNOWN_US), Relaxed);
    }

    /// A read that takes longer is read around, while there are others to read from.
    pub(super) fn read(&self) -> Duration {
        Duration::from_micros(self.read_us.load(Relaxed))
    }

    /// When the quorum has answered, a drive that takes longer is not waited for.
    pub(super) fn write(&self) -> Duration {
        Duration::from_micros(self.write_us.load(Relaxed))
    }

    /// Counts a late read against a drive.
    pub(super) fn note_late_read(&self, drive: &Drive) {
        drive.note_late_read();
        if drive.is_spared() {
            self.some_spared.store(true, Relaxed);
        }
    }

    /// Whether some drive may have to be asked last.
    pub(super) fn some_spared(&self) -> bool {
        self.some_spared.load(Relaxed)
    }
}

impl BlobStore {
    /// Lets clients' reads and writes that wait on the drives go first, for a while.
    pub(crate) async fn make_room_for_clients(&self) {
        let began = Instant::now();
        while began.elapsed() < YIELD_MAX && self.drives().iter().any(|drive| drive.is_busy()) {
            sleep(YIELD_STEP).await;
        }
    }
}

impl StoreCore {
    /// Whether `cells` more may be read because those that were asked for are late.
    pub(super) fn may_hedge_read(&self, cells: u64) -> bool {
        let (hedged, queued) = (self.metrics.cells_hedged.load(Relaxed), self.metrics.cells_queued.load(Relaxed));
        (hedged + cells) * HEDGE_SHARE <= queued + READ_ALLOWANCE * HEDGE_SHARE
    }

    /// Notes that a read of so many cells was not waited for.
    pub(super) fn note_hedged_read(&self, cells: u64) {
        DataMetrics::add(&self.metrics.reads_hedged, 1);
        DataMetrics::add(&self.metrics.cells_hedged, cells);
    }

    /// Whether a shard may be left to be healed because its drive is late.
    pub(super) fn may_hedge_write(&self) -> bool {
        let (hedged, records) = (self.metrics.writes_hedged.load(Relaxed), self.metrics.records.load(Relaxed));
        hedged * HEDGE_SHARE < records + WRITE_ALLOWANCE * HEDGE_SHARE
    }
}
