//! A Complete that comes again.
//!
//! A client that lost the answer of its Complete sends it once more, and the upload is gone. AWS
//! then answers as the first time. Here the object's lineage is the upload's id, so that the object
//! itself says which upload made it, for as long as it is the current version.

use std::sync::Arc;

use chartrier_storage::ids::{BucketId, UploadId};
use chartrier_storage::namespace::rows::VersionRow;

use super::rules::RequestedPart;
use crate::app::App;
use crate::s3::error::S3Error;

/// The current version of `key`, if this upload made it of exactly these parts.
///
/// # Errors
/// The engine's.
pub fn completed_by(
    app: &Arc<App>,
    bucket: BucketId,
    key: &str,
    upload: UploadId,
    parts: &[RequestedPart],
) -> Result<Option<VersionRow>, S3Error> {
    let current = app.engine.current(bucket, key)?;
    Ok(current.filter(|row| is_completion(row, upload, parts)))
}

fn is_completion(row: &VersionRow, upload: UploadId, parts: &[RequestedPart]) -> bool {
    row.object_uuid.as_bytes() == upload.as_bytes()
        && row.multipart_parts.is_some()
        && row.parts.len() == parts.len()
        && row.parts.iter().zip(parts).all(|(stored, asked)| stored.number == asked.number && stored.etag == asked.etag)
}
