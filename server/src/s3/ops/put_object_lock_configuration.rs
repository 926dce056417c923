//! `PUT /bucket?object-lock`: PutObjectLockConfiguration.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html>.

use std::sync::Arc;

use chartrier_storage::namespace::command::{Op, Outcome, Refusal};
use http::StatusCode;

use super::settings;
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::lock::{LOCK_DOCUMENT_BYTES_MAX, parse_configuration};
use crate::s3::refusal::refused;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};

/// Enables object lock on a versioned bucket, or replaces its default retention. There is no way back.
///
/// # Errors
/// `MalformedXML`, `InvalidRetentionPeriod`; `InvalidBucketState` unless versioning is enabled.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let default_retention = parse_configuration(&settings::read(&mut request, LOCK_DOCUMENT_BYTES_MAX).await?)?;
    let op = Op::SetObjectLock { bucket: bucket.id, default_retention };
    match app.propose(&request.caller, request.request_id, op).await?.outcome {
        Outcome::Done | Outcome::Deleted { .. } => Ok(empty(StatusCode::OK)),
        Outcome::Refused(Refusal::InvalidBucketState) => Err(S3Error::new(
            S3ErrorCode::InvalidBucketState,
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        )),
        Outcome::Refused(refusal) => Err(refused(refusal)),
    }
}
