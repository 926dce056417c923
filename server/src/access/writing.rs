//! Who owns what a request writes, and the ACL that it gets.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html>

use chartrier_storage::namespace::rows::BucketRow;
use http::HeaderMap;

use super::acl::{Acl, AclOn};
use super::documents::{Ownership, StoredOwnership};
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::Caller;

/// Owner and ACL of a new object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObjectAccess {
    /// Canonical id.
    pub owner: String,
    /// As stored with the version; empty for its owner's full control.
    pub acl: Vec<u8>,
}

impl App {
    /// Judges the ACL headers of a write. Call it before the first poll of the body.
    ///
    /// # Errors
    /// `AccessControlListNotSupported` where ACLs are off, `AccessDenied` for public grants where those
    /// are blocked, and what the headers break.
    pub fn new_object_access(
        &self,
        bucket: &BucketRow,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<NewObjectAccess, S3Error> {
        let bucket_owner = bucket.owner.as_str();
        let canned = headers.get("x-amz-acl").map(|value| value.as_bytes());
        let gives_bucket_owner_control = canned == Some(b"bucket-owner-full-control");
        let ownership = self.ownership(bucket)?;
        let owner = match ownership {
            Ownership::BucketOwnerEnforced => bucket_owner,
            Ownership::BucketOwnerPreferred if gives_bucket_owner_control => bucket_owner,
            Ownership::BucketOwnerPreferred | Ownership::ObjectWriter => &*caller.user_id,
        };
        let acl = Acl::from_headers(headers, AclOn::Object { owner, bucket_owner }, &self.identities)?;
        let owner = owner.to_owned();
        let Some(acl) = acl else { return Ok(NewObjectAccess { owner, acl: Vec::new() }) };
        if ownership == Ownership::BucketOwnerEnforced {
            // To say what holds anyway is allowed. `private` says it too: half of the tools send it by
            // default, and nobody gets more by it. But who asked for a bucket without ACLs hears of one, as on AWS.
            let asked_for = self.bucket_config::<StoredOwnership>(bucket.id)?.is_some();
            let says_what_holds = gives_bucket_owner_control || acl.is_full_control_of(bucket_owner);
            if !says_what_holds || (asked_for && canned == Some(b"private")) {
                return Err(S3Error::of(S3ErrorCode::AccessControlListNotSupported));
            }
            return Ok(NewObjectAccess { owner, acl: Vec::new() });
        }
        if acl.is_public() && self.public_access_block(bucket)?.block_public_acls {
            return Err(S3Error::of(S3ErrorCode::AccessDenied));
        }
        let stored = if acl == Acl::private(&owner) { Vec::new() } else { acl.to_stored() };
        Ok(NewObjectAccess { owner, acl: stored })
    }
}
