//! `DELETE /bucket?tagging`: DeleteBucketTagging.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketTagging.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;

use super::settings;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::S3Response;

/// Removes the tags of a bucket. Durable when it answers.
///
/// # Errors
/// What authorising answers.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    settings::remove(app, &request, BucketConfigKind::Tagging).await
}
