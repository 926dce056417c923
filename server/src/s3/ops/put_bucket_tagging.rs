//! `PUT /bucket?tagging`: PutBucketTagging.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketTagging.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use super::settings;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::tags::{TAGGING_BYTES_MAX, TagSet, Tagged};

/// Replaces the tags of a bucket. Durable when it answers.
///
/// # Errors
/// `MalformedXML`, `InvalidTag`, `BadRequest` for more than fifty.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let tags = TagSet::parse(&settings::read(&mut request, TAGGING_BYTES_MAX).await?, Tagged::Bucket)?;
    let document = tags.document().into();
    app.set_bucket_config(&request, bucket.id, BucketConfigKind::Tagging, Some(document)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
