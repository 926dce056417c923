//! What UploadPart and UploadPartCopy share: the upload opened for a part, and the way from sealed bytes to a
//! stored part.

use std::sync::Arc;

use chartrier_storage::namespace::command::{Op, Outcome, Refusal};
use chartrier_storage::namespace::rows::PartRow;

use super::{AgreedChecksum, Upload, find, keys, no_such_upload};
use crate::app::App;
use crate::s3::checksum::{ChecksumAlgorithm, ChecksumValue, ExpectedChecksums};
use crate::s3::error::S3Error;
use crate::s3::names::{PartNumber, RequestId};
use crate::s3::refusal::refused;
use crate::s3::request::{Caller, S3Request};
use crate::s3::seal::{Lineage, SealedPart, part_etag, seal_part_checksums};
use crate::s3::settings::encryption::refuse_blocked;
use crate::s3::sse::Encryption;

/// An upload, opened for one of its parts with the key that the request carries.
pub struct OpenedUpload {
    /// Which part.
    pub number: PartNumber,
    /// The upload.
    pub upload: Upload,
    /// The object's key, and what parts are bound to.
    pub lineage: Lineage,
    /// As the answer says it.
    pub encryption: Encryption,
}

impl OpenedUpload {
    /// Opens the upload that the request names, taking its key.
    ///
    /// # Errors
    /// `InvalidArgument` for the number, `NoSuchUpload`, `InvalidRequest` for another encryption than
    /// Create's, `AccessDenied` where the bucket blocks it.
    pub fn open(app: &Arc<App>, request: &mut S3Request) -> Result<Self, S3Error> {
        let number = PartNumber::parse(request.query.get("partNumber").unwrap_or_default())?;
        let upload = find(app, request)?;
        let trio = std::mem::take(&mut request.sse_c.target);
        let (lineage, encryption) = keys::open_for_part(&upload, trio, request.transport, &app.operator_key)?;
        refuse_blocked(app, &upload.bucket, &encryption)?;
        Ok(Self { number, upload, lineage, encryption })
    }
}

/// The digests that a part needs: the object's algorithm, those that the client promised, and MD5
/// for the ETag of mode O.
pub fn algorithms(agreed: &AgreedChecksum, lineage: &Lineage, expected: &ExpectedChecksums) -> Vec<ChecksumAlgorithm> {
    let etag = (lineage.mode == chartrier_crypto::Mode::O).then_some(ChecksumAlgorithm::Md5);
    expected.needed().chain([agreed.algorithm]).chain(etag).collect()
}

/// The digests that are kept with a part: the object's algorithm, and the one that the client named.
pub fn kept(
    agreed: &AgreedChecksum,
    named: Option<ChecksumAlgorithm>,
    digests: &[ChecksumValue],
) -> Vec<ChecksumValue> {
    let wanted = |value: &&ChecksumValue| value.algorithm() == agreed.algorithm || Some(value.algorithm()) == named;
    digests.iter().filter(wanted).cloned().collect()
}

/// Stores a sealed part; a part of the same number is replaced in the same log entry.
///
/// # Errors
/// `NoSuchUpload` if the upload ended meanwhile; the engine's. The sealed bytes are freed then.
pub async fn store(
    app: &Arc<App>,
    (caller, request_id): (&Caller, RequestId),
    upload: &Upload,
    lineage: &Lineage,
    number: PartNumber,
    part: SealedPart,
    kept: &[ChecksumValue],
) -> Result<PartRow, S3Error> {
    let random = &*app.random;
    let md5 = part.digests.iter().find(|value| value.algorithm() == ChecksumAlgorithm::Md5);
    let etag = part_etag(lineage.mode, md5, random);
    let sealed_checksums = seal_part_checksums(&lineage.key.metadata_key(), number.get(), kept, random);
    let (row, missing) = part.into_row(etag, app.clock.now_us(), sealed_checksums);
    let op = Op::PutPart {
        bucket: upload.bucket.id,
        key: upload.key.as_str().to_owned(),
        upload: upload.row.id,
        part: Box::new(row.clone()),
        missing,
    };
    match app.propose(caller, request_id, op).await?.outcome {
        Outcome::Done | Outcome::Deleted { .. } => Ok(row),
        Outcome::Refused(Refusal::NoSuchUpload) => Err(no_such_upload(&upload.row.id.to_string())),
        Outcome::Refused(refusal) => Err(refused(refusal)),
    }
}
