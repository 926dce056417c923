//! `GET /bucket?acl`: GetBucketAcl.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketAcl.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::access::acl::Acl;
use crate::access::documents::Ownership;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};

/// Answers the grants; full control of the owner where ACLs are off.
///
/// # Errors
/// The engine's.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let acl = match app.ownership(&bucket)? {
        Ownership::BucketOwnerEnforced => Acl::private(&bucket.owner),
        _ => app.bucket_acl(&bucket)?,
    };
    Ok(xml(StatusCode::OK, acl.to_xml(&bucket.owner, &app.identities)))
}
