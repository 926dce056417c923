//! `PUT /bucket?cors`: PutBucketCors.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use super::settings;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::settings::cors::{CorsRules, DOCUMENT_BYTES_MAX};

/// Replaces the CORS rules of a bucket. Durable and in force when it answers.
///
/// # Errors
/// What [`CorsRules::parse`] says; `InvalidRequest` without a digest of the body.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let body = settings::read(&mut request, DOCUMENT_BYTES_MAX).await?;
    let rules = CorsRules::parse(&body)?;
    app.set_bucket_config(&request, bucket.id, BucketConfigKind::Cors, Some(rules.write().into())).await?;
    Ok(empty(StatusCode::OK))
}
