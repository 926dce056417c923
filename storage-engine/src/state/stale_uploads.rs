//! Uploads that nobody has completed for long: whose they are and what they hold.

use super::keys;
use super::kv::{ScanStep, prefix_end};
use super::machine::StateMachine;
use super::rows::BucketStats;
use crate::error::StateError;
use crate::ids::{BucketId, UploadId};
use crate::namespace::rows::{PartRow, UploadRow, UserId};

/// An upload in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaleUpload {
    /// The bucket.
    pub bucket: BucketId,
    /// Its name.
    pub bucket_name: String,
    /// The object that the upload would make.
    pub key: String,
    /// The upload.
    pub upload: UploadId,
    /// When it was begun, Unix time in microseconds.
    pub initiated_us: u64,
    /// The user who began it.
    pub owner: UserId,
    /// Parts stored.
    pub parts: u64,
    /// Their sealed bytes, before parity.
    pub bytes: u64,
}

impl StateMachine {
    /// Up to `limit` uploads of all buckets that were begun at or before `until_us`, in order of bucket
    /// id and key; true if there are more.
    pub fn uploads_begun_until(&self, until_us: u64, limit: usize) -> Result<(Vec<StaleUpload>, bool), StateError> {
        let mut found: Vec<(BucketId, String, UploadRow)> = Vec::new();
        let mut more = false;
        self.scan_rows(keys::UPL, &[], None, |row_key, row: UploadRow| {
            if row.initiated_us > until_us {
                return Ok(ScanStep::Next);
            }
            if found.len() == limit {
                more = true;
                return Ok(ScanStep::Stop);
            }
            let bucket = row_key.first_chunk().copied().map(BucketId::from_bytes);
            let (Some(bucket), Some(key)) = (bucket, keys::key_of_object_row(row_key)) else {
                return Err(StateError::Inconsistent { what: "a key of `upl` is malformed" });
            };
            found.push((bucket, key, row));
            Ok(ScanStep::Next)
        })?;
        let uploads = found.into_iter().map(|(bucket, key, row)| self.stale_upload(bucket, key, row));
        Ok((uploads.collect::<Result<_, _>>()?, more))
    }

    fn stale_upload(&self, bucket: BucketId, key: String, row: UploadRow) -> Result<StaleUpload, StateError> {
        let whole = keys::upload(bucket, &key, row.id);
        let (mut parts, mut bytes) = (0, 0);
        self.scan_rows(keys::PRT, &whole, prefix_end(&whole).as_deref(), |_, part: PartRow| {
            parts += 1;
            bytes += part.blob.len_bytes();
            Ok(ScanStep::Next)
        })?;
        let stats: Option<BucketStats> = self.row(keys::BKT, &keys::bucket_id(bucket))?;
        let bucket_name = stats.map(|stats| stats.name).unwrap_or_default();
        let (upload, initiated_us, owner) = (row.id, row.initiated_us, row.owner);
        Ok(StaleUpload { bucket, bucket_name, key, upload, initiated_us, owner, parts, bytes })
    }
}
