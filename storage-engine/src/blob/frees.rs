//! Stripes that no row names any more, kept for readers that began before.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::namespace::rows::StripeRun;

/// How long a reader may go on with a version that was replaced or deleted.
const GRACE_US: u64 = 10 * 60 * 1_000_000;
/// Runs that wait at most; more push the oldest out before their time.
const WAITING_MAX: usize = 16_384;

/// Runs in the order in which they died, with the time at which they are forgotten.
#[derive(Default)]
pub(super) struct WaitingFrees(Mutex<VecDeque<(u64, StripeRun)>>);

impl WaitingFrees {
    /// Adds a run; gives back those that must go now.
    pub(super) fn add(&self, run: StripeRun, now_us: u64) -> Vec<StripeRun> {
        let mut waiting = self.lock();
        waiting.push_back((now_us.saturating_add(GRACE_US), run));
        let excess = waiting.len().saturating_sub(WAITING_MAX);
        let mut due: Vec<StripeRun> = waiting.drain(..excess).map(|(_, run)| run).collect();
        due.extend(take_due(&mut waiting, now_us));
        due
    }

    /// Takes the runs whose time has come.
    pub(super) fn due(&self, now_us: u64) -> Vec<StripeRun> {
        take_due(&mut self.lock(), now_us)
    }

    /// Takes all.
    pub(super) fn all(&self) -> Vec<StripeRun> {
        self.lock().drain(..).map(|(_, run)| run).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, StripeRun)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_due(waiting: &mut VecDeque<(u64, StripeRun)>, now_us: u64) -> Vec<StripeRun> {
    let due = waiting.iter().take_while(|(at, _)| *at <= now_us).count();
    waiting.drain(..due).map(|(_, run)| run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StripeId;

    #[test]
    fn runs_wait_their_time_and_are_bounded() {
        let run = |index| StripeRun {
            first: StripeId::first(1, [0; 6]).nth(index),
            count: 1,
            stripe_bytes: 1 << 20,
            len_bytes: 5,
            k: 4,
            m: 2,
            layout_version: 1,
            first_group: 0,
            blake3: [0; 32],
        };
        let frees = WaitingFrees::default();
        assert!(frees.add(run(0), 100).is_empty());
        assert!(frees.add(run(1), 200).is_empty());
        assert_eq!(frees.due(100 + GRACE_US), [run(0)]);
        for index in 2..WAITING_MAX as u32 + 1 {
            assert!(frees.add(run(index), 300).is_empty());
        }
        assert_eq!(frees.add(run(99_999), 300), [run(1)]);
        assert_eq!(frees.all().len(), WAITING_MAX);
    }
}
