//! `GET /bucket?replication`: GetBucketReplication.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketReplication.html>.

use std::sync::Arc;

use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::S3Response;

/// Says that nothing is replicated by rules: a bucket cannot have any here.
///
/// # Errors
/// Always: `ReplicationConfigurationNotFound`, as on a bucket that has none.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    Err(S3Error::of(S3ErrorCode::ReplicationConfigurationNotFound).with_detail("BucketName", bucket.name))
}
