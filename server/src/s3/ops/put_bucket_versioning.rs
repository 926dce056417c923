//! `PUT /bucket?versioning`: PutBucketVersioning.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html>.

use std::sync::Arc;

use chartrier_storage::namespace::command::{Op, Outcome, Refusal};
use http::StatusCode;

use super::body::read_checked;
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::refusal::refused;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::versioning::{VERSIONING_BYTES_MAX, parse};

/// Enables or suspends versioning. Durable and in force when it answers.
///
/// # Errors
/// `MalformedXML`; `InvalidBucketState` to suspend where object lock needs versions; `NotImplemented`
/// for MFA delete.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    if request.headers.contains_key("x-amz-mfa") {
        return Err(S3Error::not_implemented("MFA delete"));
    }
    let versioning = parse(&read_checked(&mut request, VERSIONING_BYTES_MAX).await?)?;
    let op = Op::SetVersioning { bucket: bucket.id, versioning };
    match app.propose(&request.caller, request.request_id, op).await?.outcome {
        Outcome::Done | Outcome::Deleted { .. } => Ok(empty(StatusCode::OK)),
        Outcome::Refused(Refusal::InvalidBucketState) => Err(S3Error::new(
            S3ErrorCode::InvalidBucketState,
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
        )),
        Outcome::Refused(refusal) => Err(refused(refusal)),
    }
}
