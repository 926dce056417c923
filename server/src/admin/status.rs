//! One page of health.

use chartrier_storage::engine::Status;

use super::answer::{AdminError, AdminResponse, json as answer};
use super::{drives, scrub, wire};
use crate::app::App;

/// `GET /status`.
///
/// # Errors
/// The engine's.
pub fn status(app: &App) -> Result<AdminResponse, AdminError> {
    let engine = app.engine.status();
    let signed = match app.engine.journal().latest_checkpoint()? {
        Some(note) => chartrier_journal::Checkpoint::open(&note, &app.journal_signer.verifier())?.size(),
        None => 0,
    };
    Ok(answer(&wire::Status {
        state: word(&engine).to_owned(),
        reason: engine.poisoned.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: engine.cluster.to_string(),
        tenant: app.config.tenant.clone(),
        node: app.config.node.clone(),
        region: app.config.region.clone(),
        erasure: format!("{}+{}", engine.k, engine.m),
        buckets: app.engine.buckets()?.len(),
        users: app.engine.users()?.len(),
        journal: wire::JournalStatus {
            origin: app.journal_signer.name().to_owned(),
            leaves: engine.journal_leaves,
            signed_leaves: signed,
        },
        log: wire::LogStatus {
            epoch: engine.log.epoch,
            term: engine.log.term,
            durable_index: engine.log.durable_index,
            mirrors: engine.log.mirrors.len(),
            mirrors_wanted: engine.log.mirrors_wanted,
            live_bytes: engine.log.live_bytes,
        },
        shards_to_heal: engine.shards_to_heal,
        repair: scrub::repair(&app.engine.mender().status()),
        scrub: scrub::summary(&app.engine.mender().scrub_status()?),
        settled: engine.is_settled,
        moves: engine.moves.map(drives::moves),
        drives: drives::drive_list(app)?,
        reclaim: super::reclaim::status(&engine, &app.engine.metrics()),
        packing: super::reclaim::packing(&engine),
    }))
}

/// `ready`; `degraded` while something that was there is missing; `read-only` after a failed sync.
fn word(engine: &Status) -> &'static str {
    if engine.poisoned.is_some() {
        "read-only"
    } else if engine.is_whole() {
        "ready"
    } else {
        "degraded"
    }
}
