//! `DELETE /bucket/key?tagging`: DeleteObjectTagging.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjectTagging.html>.

use std::sync::Arc;

use chartrier_storage::namespace::command::VersionChange;
use http::StatusCode;

use super::version_change::change;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::S3Response;

/// Removes the tags of a version. Durable when it answers.
///
/// # Errors
/// Those of finding the version.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    change(app, &request, &bucket, StatusCode::NO_CONTENT, |_| VersionChange::Tags(Vec::new())).await
}
