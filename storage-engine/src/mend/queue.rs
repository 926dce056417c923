//! Stripes that wait for the mender: the least redundant first, then the oldest.

use std::collections::{BTreeSet, HashMap};

use super::stripe::{ShardSet, StripeTask};
use super::tally::Ticket;
use crate::ids::StripeId;
use crate::namespace::integrity::FoundBy;

/// Stripes that wait at most. Scrub, and the rows of degraded writes, bring back what finds no room.
pub(crate) const QUEUE_MAX: usize = 65_536;

/// One stripe to look after.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) task: StripeTask,
    /// Shards that can still be lost before the stripe is.
    pub(crate) redundancy: u8,
    /// Shards that have a heal row.
    pub(crate) heal: ShardSet,
    /// Who found it, if the journal is to hear of the damage when it is confirmed.
    pub(crate) found_by: Option<FoundBy>,
    /// Those who wait for it.
    pub(crate) tickets: Vec<Ticket>,
}

type Rank = (u8, u64, StripeId);

/// The queue: bounded, one job a stripe.
#[derive(Default)]
pub(crate) struct MendQueue {
    jobs: HashMap<StripeId, Job>,
    order: BTreeSet<Rank>,
}

impl MendQueue {
    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.jobs.len() < QUEUE_MAX / 2
    }

    /// Adds a job, or joins it with the one that waits for the same stripe. When the queue is full the
    /// least urgent one goes; answers false if that is this one.
    pub(crate) fn push(&mut self, job: Job) -> bool {
        let id = job.task.id();
        let job = match self.jobs.remove(&id) {
            Some(old) => {
                self.order.remove(&rank(&old));
                join(old, job)
            }
            None => job,
        };
        let ours = rank(&job);
        if self.jobs.len() >= QUEUE_MAX {
            match self.order.last().copied() {
                Some(last) if last > ours => {
                    self.order.remove(&last);
                    self.jobs.remove(&last.2);
                }
                _ => return false,
            }
        }
        self.order.insert(ours);
        self.jobs.insert(id, job);
        true
    }

    /// Takes the most urgent job.
    pub(crate) fn pop(&mut self) -> Option<Job> {
        let (.., id) = self.order.pop_first()?;
        self.jobs.remove(&id)
    }

    /// Stripes that wait, by the redundancy that they had when they were found: 0, 1, … and the last for more.
    pub(crate) fn by_redundancy(&self) -> [u64; 5] {
        let mut counts = [0; 5];
        for (redundancy, ..) in &self.order {
            counts[usize::from(*redundancy).min(4)] += 1;
        }
        counts
    }
}

fn rank(job: &Job) -> Rank {
    (job.redundancy, job.task.id().time_ms(), job.task.id())
}

/// Two jobs for one stripe as one.
pub(super) fn join(old: Job, new: Job) -> Job {
    let task = StripeTask {
        check: old.task.check.with(new.task.check),
        rewrite: old.task.rewrite.with(new.task.rewrite),
        ..new.task
    };
    Job {
        task,
        redundancy: old.redundancy.min(new.redundancy),
        heal: old.heal.with(new.heal),
        found_by: old.found_by.or(new.found_by),
        tickets: old.tickets.into_iter().chain(new.tickets).collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::namespace::rows::StripeRun;

    pub(in crate::mend) fn job(time_ms: u64, index: u32, redundancy: u8) -> Job {
        let run = StripeRun {
            first: StripeId::first(time_ms, [0; 6]),
            count: u32::MAX,
            stripe_bytes: 1 << 20,
            len_bytes: 1,
            k: 4,
            m: 2,
            layout_version: 1,
            first_group: 0,
            blake3: [0; 32],
            places: 0,
        };
        let task = StripeTask { run, index, check: ShardSet::one(1), rewrite: ShardSet::NONE };
        Job { task, redundancy, heal: ShardSet::NONE, found_by: None, tickets: Vec::new() }
    }

    #[test]
    fn the_least_redundant_comes_first_then_the_oldest() {
        let mut queue = MendQueue::default();
        for (time, redundancy) in [(5, 2), (9, 0), (4, 2), (7, 1), (8, 0)] {
            assert!(queue.push(job(time, 0, redundancy)));
        }
        assert_eq!(queue.by_redundancy(), [2, 1, 2, 0, 0]);
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop()).map(|job| job.task.id().time_ms()).collect();
        assert_eq!(order, [8, 9, 7, 4, 5]);
    }

    #[test]
    fn one_stripe_is_one_job_and_the_more_urgent_stays() {
        let mut queue = MendQueue::default();
        queue.push(job(5, 0, 2));
        let more = Job { heal: ShardSet::one(3), found_by: Some(FoundBy::Read), ..job(5, 0, 1) };
        queue.push(more);
        assert_eq!(queue.len(), 1);
        let joined = queue.pop().unwrap();
        assert_eq!((joined.redundancy, joined.found_by), (1, Some(FoundBy::Read)));
        assert!(joined.heal.has(3) && joined.task.check.has(1));

        for index in 0..QUEUE_MAX as u32 {
            assert!(queue.push(job(5, index, 1)));
        }
        assert!(!queue.push(job(5, u32::MAX, 2)));
        assert!(queue.push(job(9, 0, 0)));
        assert_eq!(queue.len(), QUEUE_MAX);
    }
}
