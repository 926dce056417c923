//! Documents that belong to a bucket: CORS rules, lifecycle rules, policies and their like.
//!
//! The engine keeps them and bounds them. What they mean is the server's business: it stores what it
//! has validated, in the form in which it answers it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a document of a bucket is about. A bucket has at most one of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BucketConfigKind {
    /// Which browsers' origins may read answers.
    Cors,
    /// What expires, and when.
    Lifecycle,
    /// The bucket policy.
    Policy,
    /// Whether public access is blocked whatever policies and ACLs say.
    PublicAccessBlock,
    /// Who owns what others upload.
    OwnershipControls,
    /// The bucket's ACL.
    Acl,
    /// Default encryption, and the kinds of encryption that are blocked.
    Encryption,
    /// Where access logs are delivered.
    Logging,
    /// Which events are sent where.
    Notification,
    /// Tags of the bucket.
    Tagging,
    /// Who pays for requests.
    RequestPayment,
    /// Transfer acceleration.
    Accelerate,
    /// Static website.
    Website,
    /// Replication rules.
    Replication,
    /// What the bucket may hold; set by the administrator.
    Quota,
}

impl BucketConfigKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Cors,
        Self::Lifecycle,
        Self::Policy,
        Self::PublicAccessBlock,
        Self::OwnershipControls,
        Self::Acl,
        Self::Encryption,
        Self::Logging,
        Self::Notification,
        Self::Tagging,
        Self::RequestPayment,
        Self::Accelerate,
        Self::Website,
        Self::Replication,
        Self::Quota,
    ];

    /// Its byte in the key of its row. Never reused for another kind.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// Its name in journal leaves.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cors => "cors",
            Self::Lifecycle => "lifecycle",
            Self::Policy => "policy",
            Self::PublicAccessBlock => "public-access-block",
            Self::OwnershipControls => "ownership-controls",
            Self::Acl => "acl",
            Self::Encryption => "encryption",
            Self::Logging => "logging",
            Self::Notification => "notification",
            Self::Tagging => "tagging",
            Self::RequestPayment => "request-payment",
            Self::Accelerate => "accelerate",
            Self::Website => "website",
            Self::Replication => "replication",
            Self::Quota => "quota",
        }
    }

    /// The longest document of this kind, in bytes. Servers refuse earlier, in S3's words.
    pub const fn document_bytes_max(self) -> usize {
        match self {
            // A thousand rules, each with a prefix and tags of full length.
            Self::Lifecycle => 1 << 20,
            Self::Cors | Self::Policy | Self::Acl | Self::Notification | Self::Replication => 256 << 10,
            Self::Tagging | Self::Website | Self::Encryption | Self::Logging => 64 << 10,
            Self::PublicAccessBlock
            | Self::OwnershipControls
            | Self::RequestPayment
            | Self::Accelerate
            | Self::Quota => 4 << 10,
        }
    }
}

impl fmt::Display for BucketConfigKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One document of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketConfigRow {
    /// As the server gave it.
    #[serde(with = "serde_bytes")]
    pub document: Vec<u8>,
    /// Unix time in microseconds, of the command that set it.
    pub changed_us: u64,
    /// The log entry that set it.
    pub commit_index: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_a_byte_and_a_name_of_their_own() {
        for (at, kind) in BucketConfigKind::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind.byte()), at);
            assert!(BucketConfigKind::ALL.iter().all(|other| *other == kind || other.name() != kind.name()));
        }
    }
}
