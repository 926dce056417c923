//! `GET /bucket?lifecycle`: GetBucketLifecycleConfiguration.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;

use super::settings;
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::S3Response;

/// Answers the document as it was stored.
///
/// # Errors
/// `NoSuchLifecycleConfiguration` if the bucket has none.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    settings::answer(app, &request, BucketConfigKind::Lifecycle, S3ErrorCode::NoSuchLifecycleConfiguration)
}
