//! `DELETE /bucket`: DeleteBucket.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html>.

use std::sync::Arc;

use chartrier_storage::namespace::command::{Op, Outcome};
use http::StatusCode;

use super::refusal::refused;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};

/// Removes an empty bucket. Durable when it answers.
///
/// # Errors
/// `BucketNotEmpty` while it holds an object or an upload in progress, decided at apply so that a
/// racing PUT either comes first and keeps the bucket or finds it gone.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let op = Op::DeleteBucket { name: bucket.name.clone() };
    match app.propose(&request.caller, request.request_id, op).await?.outcome {
        Outcome::Refused(refusal) => Err(refused(refusal).with_detail("BucketName", bucket.name)),
        Outcome::Done | Outcome::Deleted { .. } => Ok(empty(StatusCode::NO_CONTENT)),
    }
}
