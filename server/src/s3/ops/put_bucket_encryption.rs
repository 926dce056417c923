//! `PUT /bucket?encryption`: PutBucketEncryption.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use super::body::read_checked;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::settings::encryption::{DOCUMENT_BYTES_MAX, EncryptionRule};

/// Sets the default encryption of a bucket and what it blocks. Durable and in force when it answers.
///
/// # Errors
/// What [`EncryptionRule::parse`] says.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let body = read_checked(&mut request, DOCUMENT_BYTES_MAX).await?;
    let document = EncryptionRule::parse(&body)?.write(app.config.sse_c);
    app.set_bucket_config(&request, bucket.id, BucketConfigKind::Encryption, Some(document.into())).await?;
    Ok(empty(StatusCode::OK))
}
