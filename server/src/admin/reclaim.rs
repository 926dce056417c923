//! Giving space back on demand, and the uploads that hold space and that nobody completes.

use std::sync::Arc;

use chartrier_storage::engine::{PackStatus, Status};
use chartrier_storage::ids::UploadId;
use chartrier_storage::metrics::EngineMetricsSnapshot;
use chartrier_storage::namespace::command::{Op, Outcome};

use super::answer::{AdminError, AdminResponse, json as answer};
use super::service::propose;
use super::wire;
use crate::app::App;
use crate::s3::request::Query;

/// Uploads in one answer.
const UPLOADS_MAX: usize = 10_000;

/// `POST /reclaim`: a full pass, answered when it is over.
///
/// # Errors
/// The engine's; what was freed before stays freed.
pub async fn reclaim(app: &App) -> Result<AdminResponse, AdminError> {
    // Without all its drives a group takes no pack: what can be given back is given back all the same.
    let packed = match app.engine.pack_now().await {
        Ok(report) => report.runs,
        Err(error) => {
            tracing::warn!(%error, "small objects are not packed");
            0
        }
    };
    let report = app.engine.reclaim_now().await?;
    Ok(answer(&wire::Reclaimed {
        reclaimed_bytes: report.compaction.reclaimed_bytes,
        runs_freed: report.runs_freed,
        packed,
        orphans: report.orphans.orphans,
        orphan_bytes: report.orphans.orphan_bytes,
        segments_removed: report.compaction.segments_removed,
        copied_bytes: report.compaction.copied_bytes,
        damaged: report.compaction.damaged,
        drives_failed: report.drives_failed,
    }))
}

/// `GET /uploads?older-than-s=N`: uploads in progress that were begun at least that long ago.
///
/// # Errors
/// `InvalidArgument`; the engine's.
pub async fn uploads(app: &Arc<App>, query: &Query) -> Result<AdminResponse, AdminError> {
    let older_s: u64 = match query.get("older-than-s") {
        None => 0,
        Some(text) => text.parse().map_err(|_| AdminError::invalid("older-than-s is a number of seconds."))?,
    };
    let now_us = app.now_us();
    let until_us = now_us.saturating_sub(older_s.saturating_mul(1_000_000));
    let (uploads, more) = app.engine.uploads_begun_until(until_us, UPLOADS_MAX).await?;
    let uploads = uploads.into_iter().map(|upload| wire::Upload {
        bucket: upload.bucket_name,
        key: upload.key,
        upload_id: upload.upload.to_string(),
        initiated: chartrier_journal::format_time(upload.initiated_us).unwrap_or_default(),
        age_s: now_us.saturating_sub(upload.initiated_us) / 1_000_000,
        owner: upload.owner,
        parts: upload.parts,
        bytes: upload.bytes,
    });
    Ok(answer(&wire::Uploads { uploads: uploads.collect(), more }))
}

/// `DELETE /uploads?bucket&key&upload-id`: drops an upload and its parts.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchUpload`, `InvalidArgument`; the engine's.
pub async fn abort(app: &App, query: &Query) -> Result<AdminResponse, AdminError> {
    let named = |name: &str| {
        query.non_empty(name).ok_or_else(|| AdminError::invalid("bucket, key and upload-id name the upload."))
    };
    let (name, key, id) = (named("bucket")?, named("key")?, named("upload-id")?);
    let upload: UploadId = id.parse().map_err(|_| no_such_upload())?;
    let bucket =
        app.engine.bucket(name)?.ok_or_else(|| AdminError::not_found("NoSuchBucket", "There is no such bucket."))?;
    let op = Op::AbortUpload { bucket: bucket.id, key: key.to_owned(), upload };
    match propose(app, op).await?.outcome {
        Outcome::Done => Ok(answer(&wire::Aborted { aborted: id.to_owned() })),
        _ => Err(no_such_upload()),
    }
}

/// The part of `GET /status` that tells of space.
pub(super) fn status(engine: &Status, counts: &EngineMetricsSnapshot) -> wire::ReclaimStatus {
    let sum = |of: fn(&chartrier_storage::drive::DriveStatus) -> u64| engine.drives.iter().map(of).sum::<u64>();
    let dead_bytes = sum(|drive| drive.dead_bytes);
    let time = |us: u64| (us > 0).then(|| chartrier_journal::format_time(us).unwrap_or_default());
    wire::ReclaimStatus {
        segments: sum(|drive| drive.segments),
        live_bytes: sum(|drive| drive.stored_bytes).saturating_sub(dead_bytes),
        dead_bytes,
        waiting_runs: engine.reclaim.waiting_runs,
        reclaimed_bytes: counts.data.bytes_reclaimed,
        compacted_bytes: counts.data.bytes_compacted,
        orphan_bytes: counts.data.orphan_bytes_freed,
        blocked_segments: sum(|drive| drive.blocked_segments),
        compacted: time(engine.reclaim.compacted_us),
        walked: time(engine.reclaim.walked_us),
    }
}

/// The part of `GET /status` that tells of packing.
pub(super) fn packing(engine: &Status) -> wire::PackStatus {
    let PackStatus { counts, done, .. } = engine.packing;
    wire::PackStatus {
        waiting: counts.waiting_runs,
        waiting_bytes: counts.waiting_bytes,
        packs: counts.packs,
        packed_bytes: counts.packed_bytes,
        members: counts.members,
        live_bytes: counts.live_bytes,
        packed_since_start: done.runs,
    }
}

fn no_such_upload() -> AdminError {
    AdminError::not_found("NoSuchUpload", "There is no such upload: it was completed or aborted.")
}
