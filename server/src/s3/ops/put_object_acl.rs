//! `PUT /bucket/key?acl`: PutObjectAcl.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html>.

use std::sync::Arc;

use chartrier_storage::namespace::command::{Op, Outcome, VersionChange};
use chartrier_storage::namespace::lock::Versioning;
use http::StatusCode;

use super::acl::read_acl;
use crate::access::acl::AclOn;
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::open::read::{find, requested_version};
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::seal::object_refusal;
use crate::s3::versioning::{VERSION_ID, version_value};

/// Replaces the grants of a version. In force when it answers.
///
/// # Errors
/// `AccessControlListNotSupported` where ACLs are off; `AccessDenied` for public grants where those are
/// blocked; `NoSuchKey`, `NoSuchVersion`; what the ACL breaks.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    if app.sole_owner(&bucket)?.is_some() {
        return Err(S3Error::of(S3ErrorCode::AccessControlListNotSupported));
    }
    let key = request.object_key()?.as_str().to_owned();
    let row = find(app, &bucket, &key, requested_version(&request.query)?)?;
    let on = AclOn::Object { owner: &row.owner, bucket_owner: &bucket.owner };
    let acl = read_acl(app, &mut request, on).await?;
    if acl.is_public() && app.public_access_block(&bucket)?.block_public_acls {
        return Err(S3Error::of(S3ErrorCode::AccessDenied));
    }
    let op = Op::ChangeVersion {
        bucket: bucket.id,
        key: key.clone(),
        version_id: row.version_id,
        wrap_version: row.wrap_version,
        change: VersionChange::Acl(acl.to_stored()),
    };
    if let Outcome::Refused(refusal) = app.propose(&request.caller, request.request_id, op).await?.outcome {
        return Err(object_refusal(refusal, &key));
    }
    let mut response = empty(StatusCode::OK);
    if bucket.versioning != Versioning::Unversioned {
        response.headers_mut().insert(VERSION_ID, version_value(row.version_id));
    }
    Ok(response)
}
