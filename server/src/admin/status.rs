//! The drives, and one page of health.

use chartrier_storage::drive::DriveStatus;
use chartrier_storage::engine::{LostDrive, Status};

use super::answer::{AdminError, AdminResponse, json as answer};
use super::{scrub, wire};
use crate::app::App;

/// `GET /drives`.
pub fn drives(app: &App) -> AdminResponse {
    answer(&wire::Drives { drives: drive_list(&app.engine.status()) })
}

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
        drives: drive_list(&engine),
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

fn drive_list(engine: &Status) -> Vec<wire::Drive> {
    let mut drives: Vec<_> = engine.drives.iter().map(in_use).chain(engine.lost_drives.iter().map(lost)).collect();
    drives.sort_by(|a, b| a.path.cmp(&b.path));
    drives
}

fn in_use(drive: &DriveStatus) -> wire::Drive {
    wire::Drive {
        id: drive.id.to_string(),
        path: drive.path.clone(),
        state: drive.state.word().to_owned(),
        reason: drive.reason.clone(),
        free_bytes: drive.free_bytes,
        stored_bytes: drive.stored_bytes,
        dead_bytes: drive.dead_bytes,
        write_errors: drive.write_errors,
        read_errors: drive.read_errors,
        crc_failures: drive.crc_failures,
    }
}

fn lost(drive: &LostDrive) -> wire::Drive {
    wire::Drive {
        id: String::new(),
        path: drive.path.display().to_string(),
        state: "missing".to_owned(),
        reason: Some(drive.reason.clone()),
        free_bytes: None,
        stored_bytes: 0,
        dead_bytes: 0,
        write_errors: 0,
        read_errors: 0,
        crc_failures: 0,
    }
}
