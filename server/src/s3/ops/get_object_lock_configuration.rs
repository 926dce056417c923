//! `GET /bucket?object-lock`: GetObjectLockConfiguration.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLockConfiguration.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::lock::configuration_document;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};

/// The bucket's object lock and its default retention.
///
/// # Errors
/// `ObjectLockConfigurationNotFoundError` if it has none.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    match bucket.object_lock {
        Some(lock) => Ok(xml(StatusCode::OK, configuration_document(lock))),
        None => Err(S3Error::of(S3ErrorCode::ObjectLockConfigurationNotFound).with_detail("BucketName", bucket.name)),
    }
}
