//! What is known of the targets: for `/metrics` and the admin API.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use chartrier_storage::error::StorageError;
use chartrier_storage::namespace::notification::EventQueue;

use crate::app::App;

/// What a worker counts since the start.
#[derive(Debug, Default)]
pub(super) struct Tally {
    delivered: AtomicU64,
    failures: AtomicU64,
    /// Why the last attempt failed; `None` once one has succeeded.
    trouble: Mutex<Option<String>>,
}

impl Tally {
    pub(super) fn delivered(&self, events: usize) {
        self.delivered.fetch_add(events as u64, Ordering::Relaxed);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn failed(&self, why: String) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

/// One target, or the queue of one that is configured no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// What waits for it.
    pub queue: EventQueue,
    /// Whether the configuration names it: without, its events wait until it does again, or are discarded.
    pub configured: bool,
    /// Events told since the start.
    pub delivered: u64,
    /// Attempts that failed since the start.
    pub failures: u64,
    /// Why the last attempt failed, if it did.
    pub trouble: Option<String>,
}

/// Every target that is configured or that something waits for, by name.
///
/// # Errors
/// What the engine answers.
pub fn statuses(app: &App) -> Result<Vec<TargetStatus>, StorageError> {
    let mut statuses: Vec<TargetStatus> = app
        .engine
        .event_queues()?
        .into_iter()
        .map(|queue| TargetStatus { queue, configured: false, delivered: 0, failures: 0, trouble: None })
        .collect();
    for (target, tally) in &app.notifier.targets {
        let at = statuses.iter().position(|status| status.queue.target == target.name).unwrap_or_else(|| {
            let queue = EventQueue { target: target.name.clone(), ..EventQueue::default() };
            statuses.push(TargetStatus { queue, configured: false, delivered: 0, failures: 0, trouble: None });
            statuses.len() - 1
        });
        let status = &mut statuses[at];
        status.configured = true;
        status.delivered = tally.delivered.load(Ordering::Relaxed);
        status.failures = tally.failures.load(Ordering::Relaxed);
        status.trouble.clone_from(&tally.trouble.lock().unwrap_or_else(PoisonError::into_inner));
    }
    statuses.sort_by(|one, other| one.queue.target.cmp(&other.queue.target));
    Ok(statuses)
}
