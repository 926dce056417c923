//! `PUT /bucket?lifecycle`: PutBucketLifecycleConfiguration.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use super::settings;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::settings::lifecycle::{DOCUMENT_BYTES_MAX, Lifecycle};

/// Replaces the lifecycle rules of a bucket. Durable when it answers; the worker's next pass keeps to them.
///
/// # Errors
/// What [`Lifecycle::parse`] says; `InvalidRequest` without a digest of the body.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let body = settings::read(&mut request, DOCUMENT_BYTES_MAX).await?;
    let rules = Lifecycle::parse(&body, || hex::encode(app.random_bytes::<16>()))?;
    app.set_bucket_config(&request, bucket.id, BucketConfigKind::Lifecycle, Some(rules.write().into())).await?;
    Ok(empty(StatusCode::OK))
}
