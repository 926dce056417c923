//! What the operations on documents of buckets share.

use std::sync::Arc;

use bytes::Bytes;
use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use super::body::read_checked;
use crate::app::App;
use crate::s3::checksum::ExpectedChecksums;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty, xml};

/// Reads a document that AWS takes only with a digest of the body.
///
/// # Errors
/// `InvalidRequest` without `Content-MD5` or a checksum; `BadDigest`; what reading answers.
pub(super) async fn read(request: &mut S3Request, limit: usize) -> Result<Bytes, S3Error> {
    if !ExpectedChecksums::from_headers(&request.headers)?.any() {
        return Err(S3Error::new(
            S3ErrorCode::InvalidRequest,
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        ));
    }
    read_checked(request, limit).await
}

/// Answers a stored document as it is.
///
/// # Errors
/// `missing` if the bucket has none.
pub(super) fn answer(
    app: &Arc<App>,
    request: &S3Request,
    kind: BucketConfigKind,
    missing: S3ErrorCode,
) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(request)?;
    match app.engine.bucket_config(bucket.id, kind)? {
        Some(row) => Ok(xml(StatusCode::OK, row.document)),
        None => Err(S3Error::of(missing).with_detail("BucketName", bucket.name)),
    }
}

/// Removes a document.
///
/// # Errors
/// What authorising and the engine answer.
pub(super) async fn remove(app: &Arc<App>, request: &S3Request, kind: BucketConfigKind) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(request)?;
    app.set_bucket_config(request, bucket.id, kind, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
