//! Counting shards that somebody waits for, from the finding to the repair.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::ids::DriveId;

/// Shards that were handed to the mender, and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    expected: AtomicU64,
    good: AtomicU64,
    failed: AtomicU64,
    repaired: AtomicU64,
    bytes: AtomicU64,
}

/// A tally at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tallied {
    /// Handed over.
    pub(crate) expected: u64,
    /// Where they belong now, rebuilt or not.
    pub(crate) good: u64,
    /// Neither there nor rebuilt.
    pub(crate) failed: u64,
    /// Rebuilt.
    pub(crate) repaired: u64,
    /// Bytes of cells rebuilt.
    pub(crate) bytes: u64,
}

impl Tally {
    pub(crate) fn now(&self) -> Tallied {
        let (good, failed) = (self.good.load(Relaxed), self.failed.load(Relaxed));
        Tallied {
            expected: self.expected.load(Relaxed),
            good,
            failed,
            repaired: self.repaired.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        let now = self.now();
        now.good + now.failed >= now.expected
    }
}

/// What a job owes to whoever queued it: settled once, as failed when the job is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    tally: Arc<Tally>,
    /// Only shards on this drive count, if it is given.
    drive: Option<DriveId>,
    shards: u64,
}

impl Ticket {
    pub(crate) fn new(tally: &Arc<Tally>, drive: Option<DriveId>, shards: u64) -> Self {
        tally.expected.fetch_add(shards, Relaxed);
        Self { tally: tally.clone(), drive, shards }
    }

    pub(crate) fn is_for(&self, drive: DriveId) -> bool {
        self.drive.is_none_or(|ours| ours == drive)
    }

    /// All are good but `failed` of them; `repaired` of them were rebuilt, `bytes` in all.
    pub(crate) fn settle(mut self, failed: u64, repaired: u64, bytes: u64) {
        let failed = failed.min(self.shards);
        self.tally.repaired.fetch_add(repaired, Relaxed);
        self.tally.bytes.fetch_add(bytes, Relaxed);
        self.tally.failed.fetch_add(failed, Relaxed);
        self.tally.good.fetch_add(self.shards - failed, Relaxed);
        self.shards = 0;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.tally.failed.fetch_add(self.shards, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_has_failed() {
        let tally = Arc::new(Tally::default());
        let (one, two) = (Ticket::new(&tally, None, 1), Ticket::new(&tally, None, 2));
        assert!(!tally.is_settled());
        one.settle(0, 1, 100);
        drop(two);
        assert!(tally.is_settled());
        assert_eq!(tally.now(), Tallied { expected: 3, good: 1, failed: 2, repaired: 1, bytes: 100 });
    }
}
