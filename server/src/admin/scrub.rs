//! Scrub on demand, and where it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use chartrier_storage::mend::{MendStatus, ScrubFailure, ScrubReport, ScrubScope, ScrubStatus};
use http::StatusCode;

use super::answer::{AdminError, AdminResponse, json as answer};
use super::wire;
use crate::app::App;

/// `POST /scrub`: begins a pass.
///
/// # Errors
/// 404 for what is not there, 409 while another pass that was asked for runs.
pub fn begin(app: &Arc<App>, asked: &wire::NewScrub) -> Result<AdminResponse, AdminError> {
    let scope = scope_of(app, asked)?;
    if app.engine.mender().scrub_status()?.running.is_some() {
        return Err(AdminError::conflict("ScrubRunning", "A scrub that was asked for is running; wait for its end."));
    }
    let id = app.engine.mender().begin_scrub(&app.engine, scope)?;
    Ok(answer(&wire::ScrubBegun { id }))
}

/// `GET /scrub`.
///
/// # Errors
/// The engine's.
pub fn state(app: &App) -> Result<AdminResponse, AdminError> {
    let status = app.engine.mender().scrub_status()?;
    let running = status.running.as_ref().map(report);
    Ok(answer(&wire::ScrubState { running, last: status.last.as_ref().map(report) }))
}

/// Scrub's part of the page of health.
pub(super) fn summary(status: &ScrubStatus) -> wire::ScrubSummary {
    wire::ScrubSummary {
        found: status.found.iter().map(|(kind, count)| (kind.word().to_owned(), *count)).collect(),
        drives: status.drives.iter().map(|(drive, ended_us)| (drive.to_string(), time(*ended_us))).collect(),
        stripes_by_redundancy: status.stripes_by_redundancy,
        failing: status.failing.iter().map(failing).collect(),
    }
}

fn failing(failure: &ScrubFailure) -> wire::ScrubFailing {
    wire::ScrubFailing {
        drive: failure.drive.map(|drive| drive.to_string()),
        times: failure.times,
        since: time(failure.since_us),
        retry: time(failure.retry_us),
        reason: failure.reason.clone(),
    }
}

/// Repair's part of the page of health.
pub(super) fn repair(status: &MendStatus) -> wire::RepairStatus {
    wire::RepairStatus {
        queued_stripes: status.queued,
        queued_by_redundancy: status.queued_by_redundancy,
        waiting_stripes: status.waiting,
        repaired_shards: status.shards,
        repaired_bytes: status.bytes,
        repaired_files: status.files,
        lost_stripes: status.lost_stripes,
    }
}

fn scope_of(app: &App, asked: &wire::NewScrub) -> Result<ScrubScope, AdminError> {
    let no_drive = || AdminError::new(StatusCode::NOT_FOUND, "NoSuchDrive", "No drive in use has this id.");
    match (&asked.drive, &asked.bucket, &asked.key) {
        (None, None, None) => Ok(ScrubScope::All),
        (Some(drive), None, None) => {
            let id = drive.parse().map_err(|_| no_drive())?;
            let known = app.engine.blobs().drives().iter().any(|drive| drive.id() == id);
            if known { Ok(ScrubScope::Drive(id)) } else { Err(no_drive()) }
        }
        (None, Some(bucket), key) => {
            let row = app.engine.bucket(bucket)?;
            let row = row.ok_or_else(|| AdminError::not_found("NoSuchBucket", "The bucket does not exist."))?;
            Ok(match key {
                None => ScrubScope::Bucket(row.id),
                Some(key) => ScrubScope::Object(row.id, key.clone()),
            })
        }
        _ => Err(AdminError::invalid("Name a drive, or a bucket, or a bucket and a key.")),
    }
}

fn report(report: &ScrubReport) -> wire::ScrubReport {
    let named = |counts: &[(&str, u64)]| -> BTreeMap<String, u64> {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    };
    wire::ScrubReport {
        id: report.id,
        scope: report.scope.clone(),
        began: time(report.began_us),
        ended: (report.ended_us > 0).then(|| time(report.ended_us)),
        complete: report.complete,
        checked: named(&report.checked.named()),
        found: report.found.iter().map(|(kind, count)| (kind.word().to_owned(), *count)).collect(),
        repaired: report.repaired,
        repaired_bytes: report.repaired_bytes,
        unrepaired: report.unrepaired,
        notes: report.notes.clone(),
    }
}

fn time(us: u64) -> String {
    chartrier_journal::format_time(us).unwrap_or_default()
}
