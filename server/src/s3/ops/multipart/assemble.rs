//! The work of a Complete: from stored parts to a version row, once or again.

use std::sync::Arc;

use chartrier_crypto::{METADATA_LABEL, MetadataKey, Mode};
use chartrier_storage::ids::VersionId;
use chartrier_storage::namespace::command::{Op, Outcome, Refusal};
use chartrier_storage::namespace::rows::{PartRow, VersionRow};

use super::finished::completed_by;
use super::rules::{RequestedPart, invalid_part, multipart_etag, select_parts, total_bytes};
use super::{AgreedChecksum, Upload, agreed, keys, stored_parts};
use crate::app::App;
use crate::s3::checksum::{Checksum, ChecksumValue};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::metadata::ObjectMetadata;
use crate::s3::open::OpenedObject;
use crate::s3::ops::complete_multipart_upload::Job;
use crate::s3::refusal::refused;
use crate::s3::seal::VersionDraft;
use crate::s3::settings::quota::{self, Added};
use crate::s3::sse::Encryption;

/// What a Complete answers.
pub struct Completed {
    /// Without quotes.
    pub etag: String,
    /// Absent when the upload was completed before, in mode C: only the client's key opens it then.
    pub checksum: Option<Checksum>,
    /// Who holds the root key; `None` for a row that is not ours.
    pub mode: Option<Mode>,
    /// The version that was made.
    pub version_id: VersionId,
}

/// Times that a Complete reads the parts anew because one was replaced under it.
const ATTEMPTS: usize = 5;

/// Parts whose checksums are opened before other tasks get their turn.
const PARTS_A_TURN: usize = 64;

/// Completes an upload, or finds that it was completed with these very parts. `None` if it is gone.
///
/// # Errors
/// See [`handle`](crate::s3::ops::complete_multipart_upload::handle).
pub async fn complete(app: &Arc<App>, job: &Job) -> Result<Option<Completed>, S3Error> {
    for _ in 0..ATTEMPTS {
        let Some(row) = app.engine.upload(job.bucket.id, job.key.as_str(), job.upload)? else {
            return earlier(app, job);
        };
        let upload = Upload { bucket: job.bucket.clone(), key: job.key.clone(), row };
        let (row, checksum) = match assemble(app, job, &upload).await {
            Ok(assembled) => assembled,
            // An Abort between the two reads took the parts: what is wrong is not the client's list.
            Err(_) if app.engine.upload(job.bucket.id, job.key.as_str(), job.upload)?.is_none() => {
                return earlier(app, job);
            }
            Err(error) => return Err(error),
        };
        let (etag, mode) = (row.etag.clone(), Mode::try_from(row.mode).ok());
        let op = Op::CompleteUpload {
            bucket: job.bucket.id,
            key: job.key.as_str().to_owned(),
            upload: job.upload,
            row: Box::new(row),
            condition: job.condition.clone(),
        };
        let applied = app.propose(&job.caller, job.request_id, op).await?;
        match applied.outcome {
            Outcome::Done | Outcome::Deleted { .. } => {
                let version_id = applied.version_id.unwrap_or(VersionId::NULL);
                return Ok(Some(Completed { etag, checksum, mode, version_id }));
            }
            Outcome::Refused(Refusal::PartsChanged) => {}
            Outcome::Refused(Refusal::NoSuchUpload) => return earlier(app, job),
            Outcome::Refused(refusal) => return Err(refused(refusal)),
        }
    }
    Err(S3Error::of(S3ErrorCode::OperationAborted))
}

/// Makes the version row of the parts that the job names.
async fn assemble(app: &Arc<App>, job: &Job, upload: &Upload) -> Result<(VersionRow, Option<Checksum>), S3Error> {
    let stored = stored_parts(app, upload).await?;
    let upload_id = upload.row.id.to_string();
    let parts = select_parts(&job.parts, &stored, &upload_id)?;
    check_object_size(job, total_bytes(&parts))?;
    quota::check(app, &job.bucket, Added { bytes: total_bytes(&parts), objects: 1 })?;

    let (manifest_key, metadata_key) = keys::open_pending(upload, &app.operator_key)?;
    let agreed = AgreedChecksum::of_upload(&upload.row);
    agreed.check_complete_kind(&job.headers)?;
    let checksums = part_checksums(&metadata_key, &parts).await?;
    for (asked, (_, values)) in job.parts.iter().zip(&checksums) {
        check_part_checksums(asked, values, &agreed, &upload_id)?;
    }
    let checksum = agreed.combine(&checksums);
    agreed.verify_complete(&job.headers, checksum.as_ref(), &checksums)?;

    let plain = metadata_key.open(METADATA_LABEL, &upload.row.sealed_metadata).map_err(S3Error::internal)?;
    let mut metadata = ObjectMetadata::decode(&plain).map_err(S3Error::internal)?;
    metadata.checksum = checksum.clone();
    let etag = multipart_etag(&parts).ok_or_else(|| S3Error::internal("a part's ETag is not hexadecimal"))?;
    let draft = VersionDraft {
        wrap_version: upload.row.wrap_version,
        object_uuid: upload.row.object_uuid,
        mode: keys::mode(upload)?,
        key_name: job.key.as_str(),
        owner: upload.row.owner.clone(),
        modified_us: app.now_us(),
        etag,
        metadata: &metadata,
        multipart_parts: u16::try_from(parts.len()).ok(),
        parts: parts.into_iter().cloned().collect(),
        wrap: upload.row.wrap.clone(),
    };
    let mut row = draft.seal(&manifest_key, &metadata_key, &*app.random);
    // Sealed tags and grants stay as they are: both rows are bound to the same `wrap_version`.
    row.sealed_tags.clone_from(&upload.row.sealed_tags);
    row.acl.clone_from(&upload.row.acl);
    row.retention = upload.row.retention;
    row.legal_hold = upload.row.legal_hold;
    row.storage_class = upload.row.storage_class;
    Ok((row, checksum))
}

/// The checksums of parts, with their lengths. Gives way to other tasks: there may be 10,000.
async fn part_checksums(key: &MetadataKey, parts: &[&PartRow]) -> Result<Vec<(u64, Vec<ChecksumValue>)>, S3Error> {
    let mut all = Vec::with_capacity(parts.len());
    for turn in parts.chunks(PARTS_A_TURN) {
        for part in turn {
            all.push((part.plain_bytes, keys::open_part_checksums(key, part)?));
        }
        tokio::task::yield_now().await;
    }
    Ok(all)
}

/// Holds the checksums that a Complete repeats of one part against those stored with it.
fn check_part_checksums(
    asked: &RequestedPart,
    stored: &[ChecksumValue],
    agreed: &AgreedChecksum,
    upload_id: &str,
) -> Result<(), S3Error> {
    if asked.checksums.iter().any(|value| !stored.contains(value)) {
        return Err(invalid_part(upload_id, asked.number, &asked.etag));
    }
    let composite = agreed.asked && agreed.kind == crate::s3::checksum::ChecksumKind::Composite;
    if composite && !asked.checksums.iter().any(|value| value.algorithm() == agreed.algorithm) {
        return Err(S3Error::new(
            S3ErrorCode::InvalidRequest,
            format!(
                "The upload was created using a {} checksum. The complete request must include the checksum for each \
                 part. It was missing for part {} in the request.",
                agreed::lower(agreed.algorithm),
                asked.number
            ),
        ));
    }
    Ok(())
}

fn check_object_size(job: &Job, computed: u64) -> Result<(), S3Error> {
    let Some(value) = job.headers.get("x-amz-mp-object-size") else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    let refused = |message: String| Err(S3Error::new(S3ErrorCode::InvalidRequest, message));
    match text.parse::<u64>() {
        Ok(size) if size == computed => Ok(()),
        Ok(size) => refused(format!(
            "The provided 'x-amz-mp-object-size' header value {size} does not match what was computed: {computed}"
        )),
        Err(_) => refused("Value for x-amz-mp-object-size header is invalid.".to_owned()),
    }
}

/// The answer to a Complete whose upload is gone because it succeeded before.
fn earlier(app: &Arc<App>, job: &Job) -> Result<Option<Completed>, S3Error> {
    let row = completed_by(app, job.bucket.id, job.key.as_str(), job.upload, &job.parts)?;
    let Some(row) = row else { return Ok(None) };
    let mode = Mode::try_from(row.mode).ok();
    let (etag, version_id) = (row.etag.clone(), row.version_id);
    let checksum = match mode {
        Some(Mode::O) => {
            let opened =
                OpenedObject::open(&app.operator_key, job.bucket.id, job.key.as_str(), row, &Encryption::Operator)?;
            opened.metadata.checksum.clone()
        }
        _ => None,
    };
    Ok(Some(Completed { etag, checksum, mode, version_id }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::checksum::{ChecksumAlgorithm, ChecksumKind, digest};

    #[test]
    fn a_composite_needs_each_parts_checksum_and_every_one_sent_must_match() {
        let stored = [digest(ChecksumAlgorithm::Sha256, b"a")];
        let asked =
            |checksums: &[ChecksumValue]| RequestedPart { number: 1, etag: "e".into(), checksums: checksums.to_vec() };
        let composite =
            AgreedChecksum { algorithm: ChecksumAlgorithm::Sha256, kind: ChecksumKind::Composite, asked: true };
        let full = AgreedChecksum { algorithm: ChecksumAlgorithm::Crc32, kind: ChecksumKind::FullObject, asked: true };
        let code = |asked: RequestedPart, stored: &[ChecksumValue], agreed: &AgreedChecksum| {
            check_part_checksums(&asked, stored, agreed, "u").err().map(|error| error.code)
        };
        assert_eq!(code(asked(&stored), &stored, &composite), None);
        assert_eq!(code(asked(&[]), &stored, &composite), Some(S3ErrorCode::InvalidRequest));
        let wrong = [digest(ChecksumAlgorithm::Sha256, b"b")];
        assert_eq!(code(asked(&wrong), &stored, &composite), Some(S3ErrorCode::InvalidPart));
        let other = [digest(ChecksumAlgorithm::Sha1, b"a")];
        assert_eq!(code(asked(&other), &stored, &composite), Some(S3ErrorCode::InvalidPart));
        assert_eq!(code(asked(&[]), &[digest(ChecksumAlgorithm::Crc32, b"a")], &full), None);
    }
}
