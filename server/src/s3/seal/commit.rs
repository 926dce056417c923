//! From a sealed part to a visible version: the last step of PutObject and of a streamed copy.

use std::sync::Arc;

use chartrier_crypto::{Mode, WrapContext, wrap};
use chartrier_storage::ids::VersionId;
use chartrier_storage::namespace::command::{Op, Outcome, Refusal, WriteCondition};
use chartrier_storage::namespace::notification::Cause;
use chartrier_storage::namespace::rows::BucketRow;
use chartrier_storage::namespace::storage_class::StorageClass;
use http::{HeaderMap, HeaderValue, header};

use super::version::{Lineage, VersionDraft, random_bytes, single_etag};
use super::{SealedPart, SealedUpload};
use crate::access::NewObjectAccess;
use crate::app::App;
use crate::s3::checksum::{Checksum, ChecksumAlgorithm};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::lock::LockRequest;
use crate::s3::metadata::ObjectMetadata;
use crate::s3::names::{ObjectKey, RequestId};
use crate::s3::refusal::refused;
use crate::s3::request::Caller;
use crate::s3::sse::Encryption;
use crate::s3::tags::{TagPlace, TagSet};

/// A whole object about to be written in one part.
pub struct SingleWrite {
    /// Where to.
    pub bucket: BucketRow,
    /// Under which key.
    pub key: ObjectKey,
    /// Who writes.
    pub caller: Caller,
    /// Who owns what is written.
    pub access: NewObjectAccess,
    /// For which request.
    pub request_id: RequestId,
    /// Under which root key.
    pub encryption: Encryption,
    /// Headers and user metadata; the checksum is filled in.
    pub metadata: ObjectMetadata,
    /// The checksum to store.
    pub algorithm: ChecksumAlgorithm,
    /// Evaluated when the write becomes visible.
    pub condition: WriteCondition,
    /// For the new version.
    pub tags: TagSet,
    /// For the new version.
    pub lock: LockRequest,
    /// For the new version.
    pub storage_class: StorageClass,
    /// The new lineage.
    pub lineage: Lineage,
    /// How it came about, for those who are told.
    pub cause: Cause,
}

/// A version that is durable and visible.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Without quotes.
    pub etag: String,
    /// As stored.
    pub checksum: Checksum,
    /// Unix time in microseconds.
    pub modified_us: u64,
    /// The version that was made.
    pub version_id: VersionId,
}

impl SingleWrite {
    /// Begins to seal the object's bytes; `further` are digests beside those that are stored.
    pub async fn begin(
        &self,
        app: &App,
        plain_bytes: Option<u64>,
        further: impl IntoIterator<Item = ChecksumAlgorithm>,
    ) -> SealedUpload {
        let etag = (self.lineage.mode == Mode::O).then_some(ChecksumAlgorithm::Md5);
        let algorithms = further.into_iter().chain(etag).chain([self.algorithm]);
        SealedUpload::begin(app.engine.blobs(), &*app.random, &self.lineage, 0, plain_bytes, algorithms).await
    }

    /// Makes the sealed bytes the key's current version. Durable when it returns.
    ///
    /// # Errors
    /// `PreconditionFailed`, `NoSuchKey` and `NoSuchBucket` as decided at apply; what the storage
    /// engine answers. Nothing is visible then.
    pub async fn commit(mut self, app: &Arc<App>, part: SealedPart) -> Result<Committed, S3Error> {
        let random = &*app.random;
        let mode = self.lineage.mode;
        let value = part.digest(self.algorithm).cloned();
        let value = value.ok_or_else(|| S3Error::internal("the digest to store was not computed"))?;
        let checksum = Checksum::full_object(value);
        self.metadata.checksum = Some(checksum.clone());
        let etag = single_etag(mode, part.digest(ChecksumAlgorithm::Md5), random);
        let modified_us = app.now_us();
        let (part, missing) = part.into_row(etag.clone(), modified_us, Vec::new());

        let wrap_version = VersionId::from_bytes(random_bytes(random));
        let context = WrapContext {
            mode,
            bucket: self.bucket.id.as_bytes(),
            key_name: self.key.as_str().as_bytes(),
            version_id: wrap_version.as_bytes(),
            object_uuid: self.lineage.uuid.as_bytes(),
        };
        let root = self.encryption.root(&app.operator_key);
        let draft = VersionDraft {
            wrap_version,
            object_uuid: self.lineage.uuid,
            mode,
            key_name: self.key.as_str(),
            owner: self.access.owner.clone(),
            modified_us,
            etag: etag.clone(),
            metadata: &self.metadata,
            parts: vec![part],
            multipart_parts: None,
            wrap: wrap(root, &self.lineage.key, &context, random_bytes(random)),
        };
        let mut row = draft.seal(&self.lineage.key.manifest_key(), &self.lineage.key.metadata_key(), random);
        let place = TagPlace { bucket: self.bucket.id, key: self.key.as_str(), wrap_version };
        row.sealed_tags = self.tags.seal(&app.operator_key, random, place);
        row.retention = self.lock.retention;
        row.legal_hold = self.lock.legal_hold;
        row.acl = self.access.acl;
        row.storage_class = self.storage_class;
        let op = Op::PutVersion {
            bucket: self.bucket.id,
            key: self.key.as_str().to_owned(),
            row: Box::new(row),
            condition: self.condition,
            missing,
        };
        let applied = app.propose_caused(&self.caller, self.request_id, op, self.cause).await?;
        match applied.outcome {
            Outcome::Refused(refusal) => Err(object_refusal(refusal, self.key.as_str())),
            Outcome::Done | Outcome::Deleted { .. } => {
                let version_id = applied.version_id.unwrap_or(VersionId::NULL);
                Ok(Committed { etag, checksum, modified_us, version_id })
            }
        }
    }
}

/// The S3 error of a refused object operation; what is not its own is said as for a bucket.
pub fn object_refusal(refusal: Refusal, key: &str) -> S3Error {
    match refusal {
        Refusal::NoSuchKey => S3Error::of(S3ErrorCode::NoSuchKey).with_detail("Key", key),
        Refusal::Superseded => S3Error::of(S3ErrorCode::ConditionalRequestConflict).with_detail("Key", key),
        other => refused(other),
    }
}

/// Adds a quoted ETag.
pub fn write_etag(headers: &mut HeaderMap, etag: &str) {
    let value = HeaderValue::from_str(&format!("\"{etag}\"")).expect("ETags of ours are hexadecimal digits and a dash");
    headers.insert(header::ETAG, value);
}

/// Adds a checksum under its own header, with its type.
pub fn write_checksum(headers: &mut HeaderMap, checksum: &Checksum) {
    let value = HeaderValue::from_str(&checksum.to_text()).expect("base64 and a count are visible ASCII");
    headers.insert(checksum.algorithm().header(), value);
    headers.insert("x-amz-checksum-type", HeaderValue::from_static(checksum.kind().name()));
}
