//! `PUT /bucket?acl`: PutBucketAcl.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use super::acl::read_acl;
use crate::access::acl::AclOn;
use crate::access::documents::Ownership;
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};

/// Replaces the bucket's grants. In force when it answers.
///
/// # Errors
/// `AccessControlListNotSupported` where ACLs are off; `AccessDenied` for public grants where those are
/// blocked; `MalformedACLError` and what names that do not exist answer.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    if app.ownership(&bucket)? == Ownership::BucketOwnerEnforced {
        return Err(S3Error::of(S3ErrorCode::AccessControlListNotSupported));
    }
    let acl = read_acl(app, &mut request, AclOn::Bucket { owner: &bucket.owner }).await?;
    if acl.is_public() && app.public_access_block(&bucket)?.block_public_acls {
        return Err(S3Error::of(S3ErrorCode::AccessDenied));
    }
    app.set_bucket_config(&request, bucket.id, BucketConfigKind::Acl, Some(acl.to_stored())).await?;
    Ok(empty(StatusCode::OK))
}
