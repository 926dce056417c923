//! Event notification: changes of buckets told to webhooks, at least once, in order.
//!
//! ```text
//!  apply ──▶ queue of the target (rows of the state) ──▶ worker of the target ──POST──▶ webhook
//!                    ▲                                        │
//!                    └──────── RemoveEvents, once told ◀──────┘
//! ```
//!
//! | file | part |
//! |---|---|
//! | `target` | what the configuration says of a target: URL, token, CA |
//! | `webhook` | one connection to it; no redirects, bounded in time and answer |
//! | `message` | the event as S3 writes it |
//! | `worker` | takes events from the queue in order, tells them, takes them out |
//! | `origin` | what a command says of who asked, where somebody will be told |
//! | `status` | what `/metrics` and the admin API show |
//!
//! Events are rows that apply writes with the change itself; this module keeps nothing that a crash
//! could lose. A target that is dead stalls itself alone: it has a queue and a worker of its own.

mod message;
mod origin;
mod status;
mod target;
mod webhook;
mod worker;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::App;
use crate::config::NotificationTarget;
use status::Tally;
pub use status::{TargetStatus, statuses};
use target::Target;
pub use target::TargetError;

/// The targets that the configuration names.
pub struct Notifier {
    targets: Vec<(Arc<Target>, Arc<Tally>)>,
}

impl Notifier {
    /// Reads what the targets need: tokens and certificates.
    ///
    /// # Errors
    /// [`TargetError`], naming the target.
    pub fn open(targets: &[NotificationTarget]) -> Result<Self, TargetError> {
        let open = |target| Ok((Arc::new(Target::open(target)?), Arc::new(Tally::default())));
        Ok(Self { targets: targets.iter().map(open).collect::<Result<_, TargetError>>()? })
    }

    /// Whether there is a target of that name.
    pub fn knows(&self, name: &str) -> bool {
        self.targets.iter().any(|(target, _)| target.name == name)
    }
}

/// Delivers until `stop` turns true; then what was told is taken out, and the rest waits for the next start.
pub async fn run(app: Arc<App>, stop: watch::Receiver<bool>) {
    let mut workers = JoinSet::new();
    for (target, tally) in &app.notifier.targets {
        workers.spawn(worker::run(Arc::clone(&app), Arc::clone(target), Arc::clone(tally), stop.clone()));
    }
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a worker of notifications ended: its target is told nothing until a restart");
        }
    }
}
