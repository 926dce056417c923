//! Repairs that could not be made now: each is tried again after a while, or at once when a drive is there that was not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::queue::{Job, join};
use crate::ids::{DriveId, StripeId};

/// Before a repair that failed, or waits for a drive, is tried again though nothing is known to have changed.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Repairs that are remembered for another try; scrub finds the others again.
const LATER_MAX: usize = 4096;

/// The drives that can be read, and whether each takes writes.
pub(super) type Drives = BTreeSet<(DriveId, bool)>;

/// Repairs that wait, one a stripe.
#[derive(Default)]
pub(super) struct Later {
    jobs: BTreeMap<StripeId, (Instant, Job)>,
    /// What the drives were when the jobs last failed.
    drives: Drives,
}

impl Later {
    /// Stripes whose repair waits.
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Keeps a job that failed `now` for another try. Those who waited for it are told that it failed.
    pub(super) fn push(&mut self, job: Job, now: Instant) {
        let job = Job { tickets: Vec::new(), ..job };
        let id = job.task.id();
        let job = match self.jobs.remove(&id) {
            Some((_, old)) => join(old, job),
            None => job,
        };
        if self.jobs.len() < LATER_MAX {
            self.jobs.insert(id, (now + RETRY_AFTER, job));
        }
    }

    /// A stripe has nothing left to be repaired, or nobody owns it.
    pub(super) fn settle(&mut self, stripe: StripeId) {
        self.jobs.remove(&stripe);
    }

    /// Takes out what is to be tried now: all of it when a drive can be read or written that could not be before.
    pub(super) fn take_due(&mut self, now: Instant, drives: Drives) -> Vec<Job> {
        let more = !drives.is_subset(&self.drives);
        self.drives = drives;
        let due: Vec<StripeId> =
            self.jobs.iter().filter(|(_, (at, _))| more || *at <= now).map(|(stripe, _)| *stripe).collect();
        due.iter().filter_map(|stripe| self.jobs.remove(stripe)).map(|(_, job)| job).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::tests::job;
    use super::*;

    fn drives(of: &[(u8, bool)]) -> Drives {
        of.iter().map(|(id, writes)| (DriveId::from_bytes([*id; 16]), *writes)).collect()
    }

    #[test]
    fn a_drive_that_is_back_has_everything_tried_at_once() {
        let (mut later, now) = (Later::default(), Instant::now());
        let (two, three) = (drives(&[(1, true), (2, true)]), drives(&[(1, true), (2, true), (3, true)]));
        assert!(later.take_due(now, two.clone()).is_empty());
        (0..3).for_each(|index| later.push(job(5, index, 1), now));
        later.push(job(5, 0, 0), now);
        assert_eq!(later.len(), 3, "one a stripe");
        assert!(later.take_due(now, two.clone()).is_empty());
        assert!(later.take_due(now, drives(&[(1, true)])).is_empty(), "one less mends nothing");
        assert_eq!(later.take_due(now, two).len(), 3);
        later.push(job(5, 0, 0), now);
        assert!(later.take_due(now, drives(&[(1, true), (2, false)])).len() == 1, "it can be read now");
        later.push(job(5, 0, 0), now);
        assert!(later.take_due(now, three.clone()).len() == 1);
        // Nothing changes: after a while it is tried all the same.
        later.push(job(5, 0, 0), now);
        assert!(later.take_due(now + RETRY_AFTER / 2, three.clone()).is_empty());
        assert_eq!(later.take_due(now + RETRY_AFTER, three).len(), 1);
        assert_eq!(later.len(), 0);
    }

    #[test]
    fn what_is_settled_waits_no_longer_and_room_is_bounded() {
        let (mut later, now) = (Later::default(), Instant::now());
        (0..LATER_MAX as u32 + 10).for_each(|index| later.push(job(5, index, 1), now));
        assert_eq!(later.len(), LATER_MAX);
        let one = job(5, 7, 1);
        later.settle(one.task.id());
        later.settle(one.task.id());
        assert_eq!(later.len(), LATER_MAX - 1);
    }
}
