//! The worker of one target: oldest event first, again until it is taken, then out of the queue.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartrier_storage::namespace::command::{Command, CommandContext, Op};
use chartrier_storage::namespace::notification::{EventName, EventPlace, EventRow};
use tokio::sync::watch;
use tokio::time::Instant;

use super::message;
use super::status::Tally;
use super::target::Target;
use super::webhook::Webhook;
use crate::app::App;
use crate::logging::chain;
use crate::s3::names::RequestId;

/// Events read from the queue at once.
const PAGE: usize = 64;
/// Events that were told are taken out at the end of a page, or after so long: a crash tells them again.
const TAKE_OUT_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at a queue that was empty: others may be filling all the while.
const IDLE_PAUSE: Duration = Duration::from_millis(5);
/// From a failed attempt to the next; doubled up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Of many failures in a row one in so many is logged.
const LOG_EVERY: u32 = 20;

pub(super) async fn run(app: Arc<App>, target: Arc<Target>, tally: Arc<Tally>, mut stop: watch::Receiver<bool>) {
    let mut changes = app.engine.event_changes();
    let webhook = Webhook::new(Arc::clone(&target));
    let mut worker = Worker { app, target, tally, webhook, told: None, out: None, dropped: None };
    loop {
        changes.mark_unchanged();
        let waits = match worker.page() {
            Ok(events) if !events.is_empty() => {
                let told = worker.tell(&events, &mut stop).await;
                worker.take_out().await;
                told.is_err()
            }
            Ok(_) => tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => true,
                ended = more(&mut changes) => ended,
            },
            Err(error) => {
                tracing::warn!(
                    target = worker.target.name,
                    error = chain(&error),
                    "the queue of events is not readable"
                );
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => true,
                    () = tokio::time::sleep(RETRY_MAX) => false,
                }
            }
        };
        if waits {
            return;
        }
    }
}

/// Waits for a change of some queue, which may be another target's; true if there will be none.
async fn more(changes: &mut watch::Receiver<u64>) -> bool {
    let ended = changes.changed().await.is_err();
    tokio::time::sleep(IDLE_PAUSE).await;
    ended
}

struct Worker {
    app: Arc<App>,
    target: Arc<Target>,
    tally: Arc<Tally>,
    webhook: Webhook,
    /// The last event that was told.
    told: Option<EventPlace>,
    /// The last event that was taken out.
    out: Option<EventPlace>,
    /// Events that the queue had lost when it was last looked at.
    dropped: Option<u64>,
}

/// How a message ended.
#[derive(PartialEq, Eq)]
enum Delivery {
    Taken,
    Gone,
}

/// The server stops.
struct Stopped;

impl Worker {
    /// The next events; notices when the queue has lost some.
    fn page(&mut self) -> Result<Vec<(EventPlace, EventRow)>, chartrier_storage::error::StorageError> {
        let queues = self.app.engine.event_queues()?;
        let dropped = queues.iter().find(|queue| queue.target == self.target.name).map_or(0, |queue| queue.dropped);
        if self.dropped.is_some_and(|before| dropped > before) {
            let lost = dropped - self.dropped.unwrap_or(0);
            tracing::error!(
                target = self.target.name,
                lost,
                dropped,
                "events were dropped: the queue was full, or discarded"
            );
        }
        self.dropped = Some(dropped);
        self.app.engine.events(&self.target.name, self.told, PAGE)
    }

    async fn tell(
        &mut self,
        events: &[(EventPlace, EventRow)],
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Stopped> {
        let mut since = Instant::now();
        let mut rest = events;
        while let Some((_, first)) = rest.first() {
            // A test event is a message of its own.
            let alone = first.event == EventName::Test;
            let together = rest.iter().take(if alone { 1 } else { self.target.records_max });
            let count = together.take_while(|(_, row)| alone || row.event != EventName::Test).count();
            let (now, later) = rest.split_at(count);
            let message = if alone { message::test(first) } else { message::records(&self.app.config.region, now) };
            if self.deliver(rest[0].0, message, stop).await? == Delivery::Gone {
                return Ok(());
            }
            self.tally.delivered(count);
            self.told = now.last().map(|(place, _)| *place);
            rest = later;
            if since.elapsed() > TAKE_OUT_EVERY {
                self.take_out().await;
                since = Instant::now();
            }
        }
        Ok(())
    }

    /// Sends a message until it is taken, or its first event is in the queue no more.
    async fn deliver(
        &mut self,
        first: EventPlace,
        message: Bytes,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Delivery, Stopped> {
        let (mut pause, mut failures) = (RETRY_FIRST, 0_u32);
        loop {
            let posted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Err(Stopped),
                posted = self.webhook.post(message.clone()) => posted,
            };
            let Err(error) = posted else {
                if failures > 0 {
                    tracing::info!(
                        target = self.target.name,
                        failures,
                        "the target of notifications takes events again"
                    );
                }
                return Ok(Delivery::Taken);
            };
            if failures == 0 {
                self.take_out().await;
            }
            if failures.is_multiple_of(LOG_EVERY) {
                tracing::warn!(target = self.target.name, %error, failures, "an event was not taken; it is sent again");
            }
            failures = failures.saturating_add(1);
            self.tally.failed(error.to_string());
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Err(Stopped),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(RETRY_MAX);
            // Dropped, because too many came after it, or discarded by the administrator.
            let oldest = self.app.engine.events(&self.target.name, self.told, 1);
            if oldest.is_ok_and(|events| events.first().is_none_or(|(place, _)| *place != first)) {
                return Ok(Delivery::Gone);
            }
        }
    }

    /// Takes what was told out of the queue. If that fails it is not told again by this process, and
    /// taken out with what comes next.
    async fn take_out(&mut self) {
        let Some(through) = self.told.filter(|told| self.out != Some(*told)) else { return };
        let op = Op::RemoveEvents { target: self.target.name.clone(), through, discard: false };
        let context = CommandContext {
            time_us: self.app.now_us(),
            request_id: RequestId::from_random(self.app.random_bytes()).to_string(),
            actor_pid: "notify".to_owned(),
            actor_role: "system".to_owned(),
            actor_auth: "internal".to_owned(),
            origin: None,
        };
        match self.app.engine.propose(Command { context, op }).await {
            Ok(_) => self.out = Some(through),
            Err(error) => {
                tracing::warn!(target = self.target.name, error = chain(&error), "told events were not taken out");
            }
        }
    }
}
