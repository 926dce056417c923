//! Policy, public access block and ownership controls of a bucket, as they are stored.
//!
//! A bucket without a document of a kind is as new: public access is blocked and its owner owns
//! everything in it. Removing one of these two is therefore a document too ([`REMOVED`]).

use std::collections::BTreeMap;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use serde::{Deserialize, Serialize};

use super::acl::Acl;
use crate::policy::{Policy, PolicyKind};
use crate::s3::bucket_config::BucketDocument;
use crate::s3::error::S3Error;

/// The document of a public access block or of ownership controls that were removed.
pub const REMOVED: &[u8] = b"null";

/// A bucket policy.
pub struct PolicyDocument {
    /// As its author wrote it.
    pub text: String,
    /// Ready to evaluate.
    pub policy: Policy,
    /// Whether it grants something to the public.
    pub public: bool,
    /// Whom its names of users and roles meant when it was stored: unique ids by name.
    pub ids: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct StoredPolicy {
    bucket: String,
    text: String,
    #[serde(default)]
    ids: BTreeMap<String, String>,
}

impl PolicyDocument {
    /// Reads a policy for a bucket.
    ///
    /// # Errors
    /// `MalformedPolicy`, in AWS's words.
    pub fn parse(bucket: &str, text: &str) -> Result<Self, crate::policy::PolicyError> {
        let policy = Policy::parse(text, PolicyKind::Bucket(bucket))?;
        let public = policy.is_public();
        Ok(Self { text: text.to_owned(), policy, public, ids: BTreeMap::new() })
    }

    /// From now on these names mean who has these unique ids.
    #[must_use]
    pub fn bound(mut self, ids: BTreeMap<String, String>) -> Self {
        self.policy.bind(&ids);
        Self { ids, ..self }
    }

    /// What to store.
    pub fn to_stored(&self, bucket: &str) -> Vec<u8> {
        encode(&StoredPolicy { bucket: bucket.to_owned(), text: self.text.clone(), ids: self.ids.clone() })
    }
}

impl BucketDocument for PolicyDocument {
    const KIND: BucketConfigKind = BucketConfigKind::Policy;

    fn from_stored(document: &[u8]) -> Result<Self, S3Error> {
        let StoredPolicy { bucket, text, ids } = decode(document)?;
        // A policy that no longer parses must close the bucket, not open it: this is an error.
        Self::parse(&bucket, &text).map(|policy| policy.bound(ids)).map_err(S3Error::internal)
    }
}

/// The four switches of PublicAccessBlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicAccessBlock {
    /// ACLs that grant to the public are refused.
    pub block_public_acls: bool,
    /// Grants of ACLs to the public do not count.
    pub ignore_public_acls: bool,
    /// Public policies are refused.
    pub block_public_policy: bool,
    /// A public policy grants to nobody outside of the owner's account.
    pub restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// All on, as every new bucket has it.
    pub const ALL: Self = Self::each(true);
    /// All off.
    pub const NONE: Self = Self::each(false);

    const fn each(on: bool) -> Self {
        Self { block_public_acls: on, ignore_public_acls: on, block_public_policy: on, restrict_public_buckets: on }
    }

    /// What to store.
    pub fn to_stored(self) -> Vec<u8> {
        encode(&self)
    }
}

/// The stored public access block; `None` if it was removed.
pub struct StoredBlock(pub Option<PublicAccessBlock>);

impl BucketDocument for StoredBlock {
    const KIND: BucketConfigKind = BucketConfigKind::PublicAccessBlock;

    fn from_stored(document: &[u8]) -> Result<Self, S3Error> {
        decode(document).map(Self)
    }
}

/// Who owns what others write into a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ownership {
    /// The bucket's owner; ACLs are off.
    BucketOwnerEnforced,
    /// The bucket's owner, if the writer grants it full control.
    BucketOwnerPreferred,
    /// Who wrote it.
    ObjectWriter,
}

impl Ownership {
    /// Reads S3's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "BucketOwnerEnforced" => Some(Self::BucketOwnerEnforced),
            "BucketOwnerPreferred" => Some(Self::BucketOwnerPreferred),
            "ObjectWriter" => Some(Self::ObjectWriter),
            _ => None,
        }
    }

    /// S3's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BucketOwnerEnforced => "BucketOwnerEnforced",
            Self::BucketOwnerPreferred => "BucketOwnerPreferred",
            Self::ObjectWriter => "ObjectWriter",
        }
    }

    /// What to store.
    pub fn to_stored(self) -> Vec<u8> {
        encode(&self)
    }
}

/// The stored ownership controls; `None` if they were removed.
pub struct StoredOwnership(pub Option<Ownership>);

impl BucketDocument for StoredOwnership {
    const KIND: BucketConfigKind = BucketConfigKind::OwnershipControls;

    fn from_stored(document: &[u8]) -> Result<Self, S3Error> {
        decode(document).map(Self)
    }
}

impl BucketDocument for Acl {
    const KIND: BucketConfigKind = BucketConfigKind::Acl;

    fn from_stored(document: &[u8]) -> Result<Self, S3Error> {
        decode(document)
    }
}

pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs without maps encode as JSON")
}

pub(super) fn decode<T: for<'de> Deserialize<'de>>(document: &[u8]) -> Result<T, S3Error> {
    serde_json::from_slice(document).map_err(S3Error::internal)
}
