//! What each operation asks for: actions of the operation table, and the further ones that its
//! headers bring.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>

use http::HeaderMap;

use crate::policy::actions::{On, resource_kind};
use crate::s3::request::S3Request;
use crate::s3::table::Operation;

/// One action on one kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) action: &'static str,
    pub(super) on: On,
}

impl Need {
    fn of(action: &'static str) -> Self {
        // Actions that no policy can name are nobody's but the account's.
        Self { action, on: resource_kind(action).unwrap_or(On::Account) }
    }
}

/// Every action that must be allowed before the handler runs.
///
/// DeleteObjects is judged key by key, PostObject once its form has said who asks and for which key,
/// and a preflight not at all.
pub(super) fn needs(request: &S3Request) -> Vec<Need> {
    use Operation as O;
    let (operation, headers) = (request.operation, &request.headers);
    let unread_form = operation == O::PostObject && request.key.is_none();
    let judged_elsewhere =
        matches!(operation, O::DeleteObjects | O::PreflightService | O::PreflightBucket | O::PreflightObject);
    if unread_form || judged_elsewhere {
        return Vec::new();
    }
    let action = operation.spec().action;
    let named_version = request.query.contains("versionId");
    let mut actions = vec![if named_version { of_version(action) } else { action }];
    match operation {
        O::GetObjectAttributes => actions.push(if named_version { "s3:GetObjectVersion" } else { "s3:GetObject" }),
        O::PutObject | O::PostObject | O::CopyObject | O::CreateMultipartUpload => of_a_write(headers, &mut actions),
        O::DeleteObject | O::PutObjectRetention if bypasses_governance(headers) => {
            actions.push("s3:BypassGovernanceRetention");
        }
        O::CreateBucket => of_a_bucket(headers, &mut actions),
        _ => {}
    }
    actions.into_iter().map(Need::of).collect()
}

/// The action on a version that the request names.
pub(super) fn of_version(action: &'static str) -> &'static str {
    match action {
        "s3:GetObject" => "s3:GetObjectVersion",
        "s3:GetObjectAcl" => "s3:GetObjectVersionAcl",
        "s3:GetObjectAttributes" => "s3:GetObjectVersionAttributes",
        "s3:GetObjectTagging" => "s3:GetObjectVersionTagging",
        "s3:GetObjectTorrent" => "s3:GetObjectVersionTorrent",
        "s3:PutObjectAcl" => "s3:PutObjectVersionAcl",
        "s3:PutObjectTagging" => "s3:PutObjectVersionTagging",
        "s3:DeleteObject" => "s3:DeleteObjectVersion",
        "s3:DeleteObjectTagging" => "s3:DeleteObjectVersionTagging",
        other => other,
    }
}

/// Whether the caller says that it bypasses governance retention.
pub(super) fn bypasses_governance(headers: &HeaderMap) -> bool {
    headers.get("x-amz-bypass-governance-retention").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Whether a write brings an ACL of its own.
fn sets_acl(headers: &HeaderMap) -> bool {
    headers.contains_key("x-amz-acl") || headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-"))
}

fn of_a_write(headers: &HeaderMap, actions: &mut Vec<&'static str>) {
    if sets_acl(headers) {
        actions.push("s3:PutObjectAcl");
    }
    if headers.get("x-amz-tagging").is_some_and(|tags| !tags.is_empty()) {
        actions.push("s3:PutObjectTagging");
    }
    if headers.contains_key("x-amz-object-lock-mode") || headers.contains_key("x-amz-object-lock-retain-until-date") {
        actions.push("s3:PutObjectRetention");
    }
    if headers.contains_key("x-amz-object-lock-legal-hold") {
        actions.push("s3:PutObjectLegalHold");
    }
}

fn of_a_bucket(headers: &HeaderMap, actions: &mut Vec<&'static str>) {
    if sets_acl(headers) {
        actions.push("s3:PutBucketAcl");
    }
    if headers.contains_key("x-amz-object-ownership") {
        actions.push("s3:PutBucketOwnershipControls");
    }
    let locked = headers.get("x-amz-bucket-object-lock-enabled");
    if locked.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true")) {
        actions.extend(["s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::table::TABLE;

    #[test]
    fn every_version_action_exists() {
        for row in TABLE {
            let action = of_version(row.action);
            assert!(action == row.action || resource_kind(action) == Some(On::Object), "{action}");
        }
    }

    #[test]
    fn headers_bring_further_actions() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-grant-read", "id=x".parse().unwrap());
        headers.insert("x-amz-tagging", "a=b".parse().unwrap());
        headers.insert("x-amz-object-lock-mode", "COMPLIANCE".parse().unwrap());
        headers.insert("x-amz-object-lock-legal-hold", "ON".parse().unwrap());
        let mut actions = Vec::new();
        of_a_write(&headers, &mut actions);
        assert_eq!(
            actions,
            ["s3:PutObjectAcl", "s3:PutObjectTagging", "s3:PutObjectRetention", "s3:PutObjectLegalHold"]
        );
    }
}
