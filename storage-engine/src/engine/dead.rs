//! Runs that lost their owner, from their death to the day when nobody needs to remember them.
//!
//! A dead run has a row in `dead`, in the same batch as the command that killed it. It is handed to
//! the blob store, which frees it after a grace for readers. Only when every drive of the layout
//! has durably forgotten it does the row go: until then each start hands it over again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::blob::BlobStore;
use crate::ids::StripeId;
use crate::namespace::rows::StripeRun;
use crate::state::StateMachine;

/// After this the blob store has freed a run: longer than its grace for readers.
const FREED_AFTER_US: u64 = 11 * 60 * 1_000_000;
/// Rows forgotten at once, at most every so often: each time the drives' indexes are flushed.
const FORGET_EVERY_US: u64 = 60 * 1_000_000;
/// Runs remembered in memory; what is beyond waits for the next start.
const WAITING_MAX: usize = 200_000;

/// Dead runs that the blob store has, by the time of their death.
#[derive(Default)]
pub(super) struct DeadRuns {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    runs: VecDeque<(u64, StripeId)>,
    forgotten_us: u64,
}

impl DeadRuns {
    /// Hands runs to the blob store.
    pub(super) fn take(&self, runs: &[StripeRun], blobs: &BlobStore, now_us: u64) {
        for run in runs {
            blobs.free(run);
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let room = WAITING_MAX.saturating_sub(waiting.runs.len());
        waiting.runs.extend(runs.iter().take(room).map(|run| (now_us, run.first)));
    }

    /// Forgets the runs that were freed long enough ago.
    pub(super) async fn forget_freed(&self, now_us: u64, machine: &StateMachine, blobs: &BlobStore, all_online: bool) {
        let due = self.due(now_us);
        if !due.is_empty() {
            forget(&due, machine, blobs, all_online).await;
        }
    }

    /// At the end, when the blob store has freed everything.
    pub(super) async fn forget_all(&self, machine: &StateMachine, blobs: &BlobStore, all_online: bool) {
        let runs: Vec<StripeId> = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.runs.drain(..).map(|(_, run)| run).collect()
        };
        if !runs.is_empty() {
            forget(&runs, machine, blobs, all_online).await;
        }
    }

    fn due(&self, now_us: u64) -> Vec<StripeId> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if now_us < waiting.forgotten_us.saturating_add(FORGET_EVERY_US) {
            return Vec::new();
        }
        waiting.forgotten_us = now_us;
        let due = waiting.runs.iter().take_while(|(at, _)| at.saturating_add(FREED_AFTER_US) <= now_us).count();
        waiting.runs.drain(..due).map(|(_, run)| run).collect()
    }
}

/// Removes the rows of freed runs once every drive's index says durably that they are gone. On any
/// failure the rows stay, and the next start frees the runs again.
async fn forget(runs: &[StripeId], machine: &StateMachine, blobs: &BlobStore, all_online: bool) {
    // A drive that is away keeps its shards: the rows stay until it has been told.
    if !all_online {
        return;
    }
    for drive in blobs.drives() {
        if let Err(error) = drive.flush_index().await {
            tracing::warn!(drive = %drive.id(), %error, "dead stripes are remembered: a drive index was not flushed");
            return;
        }
    }
    if let Err(error) = machine.forget_dead(runs) {
        tracing::warn!(%error, "dead stripes are remembered");
    }
}
