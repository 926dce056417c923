//! `DELETE /bucket/key?uploadId`: AbortMultipartUpload.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>.

use std::sync::Arc;

use chartrier_storage::namespace::command::{Op, Outcome, Refusal};
use http::StatusCode;

use super::multipart::{no_such_upload, upload_id};
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::refusal::refused;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};

/// Drops an upload and its parts. Durable when it answers.
///
/// Racing a Complete, exactly one of the two holds, decided at apply.
///
/// # Errors
/// `NoSuchUpload` if it was completed or aborted already.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    if request.headers.contains_key("x-amz-if-match-initiated-time") {
        return Err(S3Error::not_implemented("The header x-amz-if-match-initiated-time"));
    }
    let id = upload_id(&request)?;
    let key = request.object_key()?.as_str().to_owned();
    let op = Op::AbortUpload { bucket: bucket.id, key, upload: id };
    match app.propose(&request.caller, request.request_id, op).await?.outcome {
        Outcome::Done | Outcome::Deleted { .. } => Ok(empty(StatusCode::NO_CONTENT)),
        Outcome::Refused(Refusal::NoSuchUpload) => Err(no_such_upload(&id.to_string())),
        Outcome::Refused(refusal) => Err(refused(refusal)),
    }
}
