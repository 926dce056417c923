//! `HEAD /bucket`: HeadBucket.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};

/// Says that the bucket exists and that the caller may use it.
///
/// # Errors
/// What authorising answers; the status is all that a HEAD shows of it.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    if let Ok(region) = HeaderValue::from_str(&bucket.region) {
        headers.insert(HeaderName::from_static("x-amz-bucket-region"), region);
    }
    headers.insert(HeaderName::from_static("x-amz-access-point-alias"), HeaderValue::from_static("false"));
    Ok(response)
}
