//! Events that wait for the targets of notifications.

use chartrier_storage::namespace::command::{Op, Outcome};

use super::answer::{AdminError, AdminResponse, json};
use super::service::propose;
use super::wire;
use crate::app::App;
use crate::notify::statuses;

/// `GET /events`: each target, and what waits for it.
///
/// # Errors
/// The engine's.
pub fn list(app: &App) -> Result<AdminResponse, AdminError> {
    let targets = statuses(app)?.into_iter().map(|status| wire::EventTarget {
        name: status.queue.target,
        configured: status.configured,
        pending: status.queue.rows,
        pending_bytes: status.queue.bytes,
        dropped: status.queue.dropped,
        delivered: status.delivered,
        failures: status.failures,
        trouble: status.trouble,
    });
    Ok(json(&wire::EventTargets { targets: targets.collect() }))
}

/// `DELETE /events/{target}`: discards what waits for a target at the time of the call.
///
/// # Errors
/// `NoSuchTarget` if nothing ever waited for one of that name; the engine's.
pub async fn discard(app: &App, target: &str) -> Result<AdminResponse, AdminError> {
    let no_such = || AdminError::not_found("NoSuchTarget", "No event ever waited for a target of that name.");
    let queue = |app: &App| -> Result<_, AdminError> {
        app.engine.event_queues()?.into_iter().find(|queue| queue.target == target).ok_or_else(no_such)
    };
    let mut left = queue(app)?.rows;
    let before = queue(app)?.dropped;
    // As many as waited, a thousand in each command: what comes meanwhile may be among them.
    while left > 0 {
        let last = app.engine.events(target, None, usize::try_from(left.min(STEP)).unwrap_or(1))?;
        let Some((through, _)) = last.last() else { break };
        let op = Op::RemoveEvents { target: target.to_owned(), through: *through, discard: true };
        if let Outcome::Refused(_) = propose(app, op).await?.outcome {
            return Err(AdminError::internal("the command was refused"));
        }
        left -= last.len() as u64;
    }
    Ok(json(&wire::EventsDiscarded { target: target.to_owned(), discarded: queue(app)?.dropped - before }))
}

/// Events discarded by one command.
const STEP: u64 = 500;
