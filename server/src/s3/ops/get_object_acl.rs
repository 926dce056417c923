//! `GET /bucket/key?acl`: GetObjectAcl.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAcl.html>.

use std::sync::Arc;

use chartrier_storage::namespace::lock::Versioning;
use http::StatusCode;

use crate::access::acl::Acl;
use crate::access::object_acl;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::open::read::{find, requested_version};
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::versioning::{VERSION_ID, version_value};

/// Answers the grants of a version; full control of the bucket's owner where ACLs are off.
///
/// # Errors
/// `NoSuchKey`, `NoSuchVersion`, `MethodNotAllowed` for a delete marker.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let row = find(app, &bucket, request.object_key()?.as_str(), requested_version(&request.query)?)?;
    let (owner, acl) = match app.sole_owner(&bucket)? {
        Some(owner) => (owner, Acl::private(owner)),
        None => (row.owner.as_str(), object_acl(&row)?),
    };
    let mut response = xml(StatusCode::OK, acl.to_xml(owner, &app.identities));
    if bucket.versioning != Versioning::Unversioned {
        response.headers_mut().insert(VERSION_ID, version_value(row.version_id));
    }
    Ok(response)
}
