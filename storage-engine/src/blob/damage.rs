//! Shards that a read or a compaction found bad, for the mender.
//!
//! Bounded: what is dropped is found again by the next read, or by scrub.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::drive::{DamageSink, DamagedRecord};
use crate::ids::{DriveId, StripeId};
use crate::namespace::integrity::FoundBy;
use crate::segment::location::ShardKey;

/// Reports that wait at most.
const REPORTS_MAX: usize = 4096;

/// A shard that somebody found missing or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DamagedShard {
    /// The stripe.
    pub stripe: StripeId,
    /// Which of its columns.
    pub shard: u8,
    /// Who met it.
    pub found_by: FoundBy,
    /// The drive that holds the record, if it was met there.
    pub drive: Option<DriveId>,
}

/// The reports that nobody has looked into yet.
#[derive(Default)]
pub struct DamageReports {
    waiting: Mutex<Waiting>,
    arrived: Arc<Notify>,
}

#[derive(Default)]
struct Waiting {
    reports: VecDeque<DamagedShard>,
    known: HashSet<(StripeId, u8)>,
}

impl DamageSink for DamageReports {
    fn damaged(&self, record: DamagedRecord) {
        let ShardKey { stripe, shard } = record.key;
        self.add(DamagedShard { stripe, shard, found_by: FoundBy::Compaction, drive: Some(record.drive) });
    }
}

impl DamageReports {
    /// Adds a report, unless the shard is reported already or too many wait. Never waits.
    pub fn add(&self, report: DamagedShard) {
        let mut waiting = self.lock();
        if waiting.reports.len() < REPORTS_MAX && waiting.known.insert((report.stripe, report.shard)) {
            waiting.reports.push_back(report);
            drop(waiting);
            self.arrived.notify_one();
        }
    }

    /// Takes all reports.
    pub(crate) fn take(&self) -> Vec<DamagedShard> {
        let mut waiting = self.lock();
        waiting.known.clear();
        waiting.reports.drain(..).collect()
    }

    /// Notified when there is a report.
    pub(crate) fn arrived(&self) -> Arc<Notify> {
        self.arrived.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_reported_once_and_reports_are_bounded() {
        let reports = DamageReports::default();
        let first = StripeId::first(1, [0; 6]);
        let report = |index| DamagedShard { stripe: first.nth(index), shard: 2, found_by: FoundBy::Read, drive: None };
        reports.add(report(0));
        reports.add(report(0));
        assert_eq!(reports.take(), [report(0)]);
        reports.add(report(0));
        for index in 0..2 * REPORTS_MAX as u32 {
            reports.add(report(index));
        }
        assert_eq!(reports.take().len(), REPORTS_MAX);
    }
}
