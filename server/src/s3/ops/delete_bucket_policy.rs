//! `DELETE /bucket?policy`: DeleteBucketPolicy.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketPolicy.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};

/// Removes the policy, if there is one.
///
/// # Errors
/// The engine's.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    app.set_bucket_config(&request, bucket.id, BucketConfigKind::Policy, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
