//! Every action of S3 that a policy may name, with what kind of resource it is about.
//!
//! Actions of operations that this server has not built are here too: policies are written once and
//! carried from server to server.
//!
//! Source: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>

/// What an action is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The account: resource `*`.
    Account,
    /// `arn:aws:s3:::bucket`.
    Bucket,
    /// `arn:aws:s3:::bucket/key`.
    Object,
}

/// The kind of resource of an action, by its name in any case; `None` for an action that S3 does not have.
pub fn resource_kind(action: &str) -> Option<On> {
    let name = action.get(..3).filter(|service| service.eq_ignore_ascii_case("s3:")).map(|_| &action[3..])?;
    all().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, on)| on)
}

/// All actions without their service prefix.
pub fn all() -> impl Iterator<Item = (&'static str, On)> {
    let of = |names: &'static [&'static str], on: On| names.iter().map(move |name| (*name, on));
    of(ACCOUNT, On::Account).chain(of(BUCKET, On::Bucket)).chain(of(OBJECT, On::Object))
}

const ACCOUNT: &[&str] = &[
    "CreateJob",
    "DescribeJob",
    "GetAccountPublicAccessBlock",
    "ListAccessPoints",
    "ListAllMyBuckets",
    "ListJobs",
    "PutAccountPublicAccessBlock",
];

const BUCKET: &[&str] = &[
    "CreateBucket",
    "CreateBucketMetadataTableConfiguration",
    "DeleteBucket",
    "DeleteBucketMetadataTableConfiguration",
    "DeleteBucketPolicy",
    "DeleteBucketWebsite",
    "GetAccelerateConfiguration",
    "GetAnalyticsConfiguration",
    "GetBucketAbac",
    "GetBucketAcl",
    "GetBucketCORS",
    "GetBucketLocation",
    "GetBucketLogging",
    "GetBucketMetadataTableConfiguration",
    "GetBucketNotification",
    "GetBucketObjectLockConfiguration",
    "GetBucketOwnershipControls",
    "GetBucketPolicy",
    "GetBucketPolicyStatus",
    "GetBucketPublicAccessBlock",
    "GetBucketRequestPayment",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetBucketWebsite",
    "GetEncryptionConfiguration",
    "GetIntelligentTieringConfiguration",
    "GetInventoryConfiguration",
    "GetLifecycleConfiguration",
    "GetMetricsConfiguration",
    "GetReplicationConfiguration",
    "ListBucket",
    "ListBucketMultipartUploads",
    "ListBucketVersions",
    "Preflight",
    "PutAccelerateConfiguration",
    "PutAnalyticsConfiguration",
    "PutBucketAbac",
    "PutBucketAcl",
    "PutBucketCORS",
    "PutBucketLogging",
    "PutBucketNotification",
    "PutBucketObjectLockConfiguration",
    "PutBucketOwnershipControls",
    "PutBucketPolicy",
    "PutBucketPublicAccessBlock",
    "PutBucketRequestPayment",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutBucketWebsite",
    "PutEncryptionConfiguration",
    "PutIntelligentTieringConfiguration",
    "PutInventoryConfiguration",
    "PutLifecycleConfiguration",
    "PutMetricsConfiguration",
    "PutReplicationConfiguration",
    "TagResource",
    "UntagResource",
    "UpdateBucketMetadataInventoryTableConfiguration",
    "UpdateBucketMetadataJournalTableConfiguration",
];

const OBJECT: &[&str] = &[
    "AbortMultipartUpload",
    "BypassGovernanceRetention",
    "DeleteObject",
    "DeleteObjectTagging",
    "DeleteObjectVersion",
    "DeleteObjectVersionTagging",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectRetention",
    "GetObjectTagging",
    "GetObjectTorrent",
    "GetObjectVersion",
    "GetObjectVersionAcl",
    "GetObjectVersionAttributes",
    "GetObjectVersionForReplication",
    "GetObjectVersionTagging",
    "GetObjectVersionTorrent",
    "InitiateReplication",
    "ListMultipartUploadParts",
    "ObjectOwnerOverrideToBucketOwner",
    "PutObject",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectRetention",
    "PutObjectTagging",
    "PutObjectVersionAcl",
    "PutObjectVersionTagging",
    "RenameObject",
    "ReplicateDelete",
    "ReplicateObject",
    "ReplicateTags",
    "RestoreObject",
    "UpdateObjectEncryption",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::table::{Scope, TABLE};

    #[test]
    fn the_operation_table_names_only_actions_that_exist() {
        // Other services, and an operation that AWS does not have, have actions that no policy names here.
        for row in TABLE.iter().filter(|row| row.action.starts_with("s3:") && row.action != "s3:ListenNotification") {
            let on = resource_kind(row.action).unwrap_or_else(|| panic!("{} of {}", row.action, row.name));
            // An action on objects may be judged on a bucket's path (DeleteObjects), never the reverse.
            assert!(row.scope != Scope::Object || on == On::Object || row.action == "s3:Preflight", "{}", row.name);
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(resource_kind("S3:getobject"), Some(On::Object));
        assert_eq!(resource_kind("s3:ListBucket"), Some(On::Bucket));
        assert_eq!(resource_kind("s3:GetObjectX"), None);
        assert_eq!(resource_kind("iam:GetUser"), None);
        assert_eq!(resource_kind("é3:GetObject"), None);
    }
}
