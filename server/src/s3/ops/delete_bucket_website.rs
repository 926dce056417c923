//! `DELETE /bucket?website`: DeleteBucketWebsite.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketWebsite.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};

/// 204, as on AWS for a bucket that is no website: none is one here.
///
/// # Errors
/// What authorising answers.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    app.authorise_bucket(&request)?;
    Ok(empty(StatusCode::NO_CONTENT))
}
