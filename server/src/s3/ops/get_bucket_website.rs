//! `GET /bucket?website`: GetBucketWebsite.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketWebsite.html>.

use std::sync::Arc;

use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::S3Response;

/// Says that the bucket is no website: static websites are not served here.
///
/// # Errors
/// Always: `NoSuchWebsiteConfiguration`, as on a bucket that has none.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    Err(S3Error::of(S3ErrorCode::NoSuchWebsiteConfiguration).with_detail("BucketName", bucket.name))
}
