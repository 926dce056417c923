//! `PUT /bucket?logging`: PutBucketLogging.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLogging.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use super::body::read_checked;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::settings::logging::{DOCUMENT_BYTES_MAX, Logging};

/// Says where the access log of a bucket is delivered; an empty document ends it. Durable when it
/// answers, and in force for requests that come from then on.
///
/// # Errors
/// What [`Logging::parse`] says; `InvalidTargetBucketForLogging` unless the target lets logs in.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let body = read_checked(&mut request, DOCUMENT_BYTES_MAX).await?;
    let logging = Logging::parse(&body)?;
    if let Some(logging) = &logging {
        app.log_target(&bucket, logging)?;
    }
    let document = logging.map(|logging| logging.write().into());
    app.set_bucket_config(&request, bucket.id, BucketConfigKind::Logging, document).await?;
    Ok(empty(StatusCode::OK))
}
