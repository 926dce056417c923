//! What a bucket may hold: set by the administrator, held against every write.
//!
//! A write is judged by what the bucket holds when it begins, so that writes that run at the same
//! time may together go over by what they bring. What replaces an object counts as added until the
//! old one is gone.

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
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

/// Holds a write against the quota of its bucket, if it has one.
///
/// # Errors
/// `QuotaExceeded`; what the engine answers.
pub fn check(app: &App, bucket: &BucketRow, added: Added) -> Result<(), S3Error> {
    let Some(quota) = app.bucket_config::<Quota>(bucket.id)? else { return Ok(()) };
    let Some(usage) = app.engine.bucket_usage(&bucket.name)? else { return Ok(()) };
    let over =
        |held: u64, added: u64, limit: Option<u64>| limit.is_some_and(|limit| held.saturating_add(added) > limit);
    if over(usage.bytes, added.bytes, quota.max_bytes) || over(usage.versions, added.objects, quota.max_objects) {
        return Err(S3Error::of(S3ErrorCode::QuotaExceeded).with_detail("BucketName", &bucket.name));
    }
    Ok(())
}
