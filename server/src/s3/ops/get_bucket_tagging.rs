//! `GET /bucket?tagging`: GetBucketTagging.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketTagging.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;

use super::settings;
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::S3Response;

/// The tags of a bucket.
///
/// # Errors
/// `NoSuchTagSet` if it has none.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    settings::answer(app, &request, BucketConfigKind::Tagging, S3ErrorCode::NoSuchTagSet)
}
