//! `DELETE /bucket?publicAccessBlock`: DeletePublicAccessBlock.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeletePublicAccessBlock.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use crate::access::documents::REMOVED;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};

/// Takes the block away: what policies and ACLs grant to the public counts from now on.
///
/// # Errors
/// The engine's.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    app.set_bucket_config(&request, bucket.id, BucketConfigKind::PublicAccessBlock, Some(REMOVED.to_vec())).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
