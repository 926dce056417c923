//! What the operations on ACLs share.

use super::body::read_checked;
use crate::access::acl::{Acl, AclOn};
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;

/// The longest document: a hundred grants.
const BODY_LEN_MAX: usize = 256 << 10;

/// The ACL of a request, from its headers or its body.
///
/// # Errors
/// `MissingSecurityHeader` if it is in neither, `UnexpectedContent` if it is in both; what reading the
/// one or the other answers.
pub(super) async fn read_acl(app: &App, request: &mut S3Request, on: AclOn<'_>) -> Result<Acl, S3Error> {
    let in_headers = Acl::from_headers(&request.headers, on, &app.identities)?;
    let body = read_checked(request, BODY_LEN_MAX).await?;
    match (in_headers, body.is_empty()) {
        (Some(acl), true) => Ok(acl),
        (Some(_), false) => Err(S3Error::of(S3ErrorCode::UnexpectedContent)),
        (None, true) => Err(S3Error::new(
            S3ErrorCode::MissingSecurityHeader,
            "Your request was missing a required header: x-amz-acl, x-amz-grant-* or an AccessControlPolicy.",
        )),
        (None, false) => Acl::from_xml(&body, on.owner(), &app.identities),
    }
}
