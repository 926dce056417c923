//! `GET /bucket?versioning`: GetBucketVersioning.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::versioning::document;

/// Whether the bucket keeps old versions.
///
/// # Errors
/// What authorising answers.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    Ok(xml(StatusCode::OK, document(bucket.versioning)))
}
