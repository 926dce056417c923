//! The upload that a request names.

use std::sync::Arc;

use chartrier_storage::env::Random;
use chartrier_storage::ids::UploadId;
use chartrier_storage::namespace::rows::{BucketRow, PartRow, UploadRow};

use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::names::ObjectKey;
use crate::s3::request::S3Request;
use crate::s3::seal::random_bytes;

/// An upload in progress, and where it will lead.
pub struct Upload {
    /// The bucket, which the caller may use.
    pub bucket: BucketRow,
    /// The object that Complete will write.
    pub key: ObjectKey,
    /// The stored row.
    pub row: UploadRow,
}

/// Draws an upload id: 6 bytes of milliseconds, then 10 random bytes.
///
/// The time in front makes uploads of one key list in the order in which they began. The id is also
/// the lineage of the object that Complete makes, and so says for as long as the object lives which
/// upload made it: that is how a repeated Complete is known.
pub fn new_upload_id(now_us: u64, random: &dyn Random) -> UploadId {
    let mut bytes: [u8; 16] = random_bytes(random);
    bytes[..6].copy_from_slice(&(now_us / 1000).to_be_bytes()[2..]);
    UploadId::from_bytes(bytes)
}

/// The query parameter `uploadId`.
///
/// # Errors
/// `NoSuchUpload` for what cannot be an id of ours.
pub fn upload_id(request: &S3Request) -> Result<UploadId, S3Error> {
    let text = request.query.get("uploadId").unwrap_or_default();
    text.parse().map_err(|_| no_such_upload(text))
}

/// Finds the upload that the request names, in a bucket that the caller may use.
///
/// # Errors
/// `NoSuchUpload` if it is gone or belongs to another key; what authorising answers.
pub fn find(app: &Arc<App>, request: &S3Request) -> Result<Upload, S3Error> {
    let bucket = app.authorise_bucket(request)?;
    let key = request.object_key()?.clone();
    let id = upload_id(request)?;
    let row = app.engine.upload(bucket.id, key.as_str(), id)?;
    let row = row.ok_or_else(|| no_such_upload(&id.to_string()))?;
    Ok(Upload { bucket, key, row })
}

/// The error of an upload that is not there.
pub fn no_such_upload(id: &str) -> S3Error {
    S3Error::new(
        S3ErrorCode::NoSuchUpload,
        "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been \
         aborted or completed.",
    )
    .with_detail("UploadId", id)
}

/// Every stored part of an upload, in order of number.
///
/// # Errors
/// The engine's.
pub async fn stored_parts(app: &Arc<App>, upload: &Upload) -> Result<Vec<PartRow>, S3Error> {
    let mut all: Vec<PartRow> = Vec::new();
    loop {
        let after = all.last().map_or(0, |part| part.number);
        let (parts, more) =
            app.engine.parts(upload.bucket.id, upload.key.as_str(), upload.row.id, after, PARTS_A_READ).await?;
        let got_some = !parts.is_empty();
        all.extend(parts);
        if !more || !got_some {
            return Ok(all);
        }
    }
}

/// Parts read from the engine at a time.
const PARTS_A_READ: usize = 1000;

#[cfg(test)]
mod tests {
    use chartrier_storage::env::SimEnv;

    use super::*;

    #[test]
    fn ids_sort_by_time_and_differ() {
        let random = SimEnv::env(1).random;
        let early = new_upload_id(1_700_000_000_000_000, &*random);
        let same = new_upload_id(1_700_000_000_000_000, &*random);
        let late = new_upload_id(1_700_000_000_001_000, &*random);
        assert_ne!(early, same);
        assert!(early < late && same < late);
    }
}
