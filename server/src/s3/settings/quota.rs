//! What a bucket may hold, and an account in all its buckets: set by the administrator, held against
//! every write.
//!
//! A write is judged by what the bucket holds when it begins, so that writes that run at the same
//! time may together go over by what they bring. What replaces an object counts as added until the
//! old one is gone. An account's quota is judged here too, so that no body is taken in vain, and once
//! more when the write is applied: what runs at the same time never goes over it together.

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use chartrier_storage::namespace::query::AccountUsage;
use chartrier_storage::namespace::rows::BucketRow;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::s3::bucket_config::BucketDocument;
use crate::s3::error::{S3Error, S3ErrorCode};

/// The limits of one bucket; `None` is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Plaintext bytes of all versions.
    pub max_bytes: Option<u64>,
    /// Versions.
    pub max_objects: Option<u64>,
}

impl BucketDocument for Quota {
    const KIND: BucketConfigKind = BucketConfigKind::Quota;

    fn from_stored(document: &[u8]) -> Result<Self, S3Error> {
        serde_json::from_slice(document).map_err(S3Error::internal)
    }
}

/// What a write adds to its bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// Plaintext bytes, as far as they are known.
    pub bytes: u64,
    /// Versions.
    pub objects: u64,
}

/// Holds a write against the quotas of its bucket and of the bucket's owner, if they have any.
///
/// # Errors
/// `QuotaExceeded`; what the engine answers.
pub fn check(app: &App, bucket: &BucketRow, added: Added) -> Result<(), S3Error> {
    let over =
        |held: u64, added: u64, limit: Option<u64>| limit.is_some_and(|limit| held.saturating_add(added) > limit);
    let AccountUsage { versions, bytes, quota, .. } = app.engine.account_usage(&bucket.owner)?;
    if over(bytes, added.bytes, quota.max_bytes) || over(versions, added.objects, quota.max_versions) {
        return Err(S3Error::of(S3ErrorCode::QuotaExceeded).with_detail("BucketName", &bucket.name));
    }
    let Some(quota) = app.bucket_config::<Quota>(bucket.id)? else { return Ok(()) };
    let Some(usage) = app.engine.bucket_usage(&bucket.name)? else { return Ok(()) };
    if over(usage.bytes, added.bytes, quota.max_bytes) || over(usage.versions, added.objects, quota.max_objects) {
        return Err(S3Error::of(S3ErrorCode::QuotaExceeded).with_detail("BucketName", &bucket.name));
    }
    Ok(())
}
