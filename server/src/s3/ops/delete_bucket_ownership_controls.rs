//! `DELETE /bucket?ownershipControls`: DeleteBucketOwnershipControls.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketOwnershipControls.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use crate::access::documents::REMOVED;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};

/// Takes the rule away: whoever writes an object owns it from now on, and ACLs count.
///
/// # Errors
/// The engine's.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    app.set_bucket_config(&request, bucket.id, BucketConfigKind::OwnershipControls, Some(REMOVED.to_vec())).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
