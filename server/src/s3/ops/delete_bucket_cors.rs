//! `DELETE /bucket?cors`: DeleteBucketCors.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketCors.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;

use super::settings;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::S3Response;

/// Removes the document; 204 whether there was one or not, as on AWS.
///
/// # Errors
/// What authorising and the engine answer.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    settings::remove(app, &request, BucketConfigKind::Cors).await
}
