//! The drives: listed, added, replaced, drained, removed.

use std::path::PathBuf;

use chartrier_storage::drive::DriveStatus;
use chartrier_storage::engine::{Care, DriveChangeError, DriveReport, MoveProgress};
use chartrier_storage::namespace::drives::{DriveRole, DriveRow};
use http::StatusCode;

use super::answer::{AdminError, AdminResponse, json};
use super::wire;
use crate::app::App;

/// `GET /drives`.
///
/// # Errors
/// The engine's.
pub fn list(app: &App) -> Result<AdminResponse, AdminError> {
    Ok(json(&wire::Drives {
        drives: drive_list(app)?,
        settled: app.engine.is_settled(),
        shards_to_heal: app.engine.status().shards_to_heal,
        moves: app.engine.move_progress().map(moves),
    }))
}

/// `POST /drives`: a new drive, in use when it answers.
///
/// # Errors
/// [`DriveChangeError`]'s; the drives are as they were.
pub async fn add(app: &App, asked: wire::NewDrive) -> Result<AdminResponse, AdminError> {
    let row = app.engine.add_drive(asked.path.map(PathBuf::from)).await.map_err(refused)?;
    changed(app, &row)
}

/// `POST /drives/{which}/replace`.
///
/// # Errors
/// [`DriveChangeError`]'s; the drives are as they were.
pub async fn replace(app: &App, which: &str, asked: wire::NewDrive) -> Result<AdminResponse, AdminError> {
    let row = app.engine.replace_drive(which, asked.path.map(PathBuf::from)).await.map_err(refused)?;
    changed(app, &row)
}

/// `POST /drives/{which}/drain`.
///
/// # Errors
/// [`DriveChangeError`]'s; the drives are as they were.
pub async fn drain(app: &App, which: &str) -> Result<AdminResponse, AdminError> {
    let row = app.engine.drain_drive(which).await.map_err(refused)?;
    changed(app, &row)
}

/// `DELETE /drives/{which}`.
///
/// # Errors
/// [`DriveChangeError`]'s; the drives are as they were.
pub async fn remove(app: &App, which: &str) -> Result<AdminResponse, AdminError> {
    let row = app.engine.remove_drive(which).await.map_err(refused)?;
    changed(app, &row)
}

/// The drives that are in use in some way, by directory.
pub(super) fn drive_list(app: &App) -> Result<Vec<wire::Drive>, AdminError> {
    let reports = app.engine.drive_reports()?;
    let cares = app.engine.drive_cares();
    let in_use = reports.iter().filter(|report| report.row.role != DriveRole::Retired);
    let mut drives: Vec<_> = in_use.map(|report| to_wire(report, &cares)).collect();
    drives.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(drives)
}

/// How far shards have followed a change of drives.
pub(super) fn moves(progress: MoveProgress) -> wire::Moves {
    wire::Moves {
        layout: progress.layout,
        began: chartrier_journal::format_time(progress.began_us).unwrap_or_default(),
        took_ms: progress.took_ms,
        missing: progress.missing,
        moved: progress.moved,
        failed: progress.failed,
        bytes: progress.bytes,
        done: progress.done,
    }
}

fn changed(app: &App, row: &DriveRow) -> Result<AdminResponse, AdminError> {
    let reports = app.engine.drive_reports()?;
    let report = reports.iter().find(|report| report.row.id == row.id);
    let report = report.ok_or_else(|| AdminError::internal("a drive that was just changed is not in the table"))?;
    Ok(json(&to_wire(report, &app.engine.drive_cares())))
}

fn to_wire(report: &DriveReport, cares: &[Care]) -> wire::Drive {
    let counts = |of: fn(&DriveStatus) -> u64| report.status.as_ref().map_or(0, of);
    let state = report.status.as_ref().map_or("missing", |status| status.state.word());
    wire::Drive {
        id: report.row.id.to_string(),
        path: report.row.path.clone(),
        state: state.to_owned(),
        reason: report.absent.clone().or_else(|| report.status.as_ref().and_then(|status| status.reason.clone())),
        role: report.row.role.word().to_owned(),
        places: report.places,
        log_mirror: report.mirrors_log,
        free_bytes: report.status.as_ref().and_then(|status| status.free_bytes),
        stored_bytes: counts(|status| status.stored_bytes),
        dead_bytes: counts(|status| status.dead_bytes),
        write_errors: counts(|status| status.write_errors),
        read_errors: counts(|status| status.read_errors),
        crc_failures: counts(|status| status.crc_failures),
        spared: report.status.as_ref().is_some_and(|status| status.spared),
        read_p95_us: report.status.as_ref().and_then(|status| status.read_p95_us),
        write_p99_us: report.status.as_ref().and_then(|status| status.write_p99_us),
        care: cares.iter().find(|care| care.drive == report.row.id).map(Care::text),
    }
}

fn refused(error: DriveChangeError) -> AdminError {
    let message = sentence(&error.to_string());
    match error {
        DriveChangeError::NoSuchDrive(_) => AdminError::not_found("NoSuchDrive", message),
        DriveChangeError::Ambiguous(_) => AdminError::invalid(message),
        DriveChangeError::Directory { .. } => AdminError::conflict("DirectoryUnusable", message),
        DriveChangeError::TooFew { .. } => AdminError::conflict("TooFewDrives", message),
        DriveChangeError::TooMany(_) => AdminError::conflict("TooManyDrives", message),
        DriveChangeError::Already { .. } => AdminError::conflict("DriveRole", message),
        DriveChangeError::Storage(error) => error.into(),
        _ => AdminError::new(StatusCode::CONFLICT, "DriveChangeRefused", message),
    }
}

/// An error's text as a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
