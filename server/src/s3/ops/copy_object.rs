//! `PUT /bucket/key` with `x-amz-copy-source`: CopyObject.
//!
//! Onto itself in the same mode it rewraps: new metadata, new root key, the same stripes. To any
//! other key, mode or checksum it reads, verifies and seals again under a new object key: one
//! lineage, one key, which is what the proof of a deletion rests on.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartrier_crypto::{WrapContext, wrap};
use chartrier_storage::ids::VersionId;
use chartrier_storage::namespace::command::{Op, Outcome, WriteCondition};
use chartrier_storage::namespace::lock::Versioning;
use chartrier_storage::namespace::notification::Cause;
use chartrier_storage::namespace::rows::BucketRow;
use chartrier_storage::namespace::storage_class::StorageClass;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::task::JoinHandle;

use super::listing::iso_time;
use crate::access::NewObjectAccess;
use crate::app::App;
use crate::s3::checksum::{Checksum, ChecksumAlgorithm, expect::parse_algorithm};
use crate::s3::conditions::{unquote, write_condition};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::lock::LockRequest;
use crate::s3::metadata::{ObjectMetadata, refuse_unbuilt, storage_class};
use crate::s3::names::{ObjectKey, RequestId};
use crate::s3::open::OpenedObject;
use crate::s3::open::copy_source::CopySource;
use crate::s3::request::{Caller, S3Request};
use crate::s3::response::{ResponseBody, S3Response, error_document, xml};
use crate::s3::seal::{Committed, Lineage, SingleWrite, UPLOAD_BYTES_MAX, VersionDraft, object_refusal, random_bytes};
use crate::s3::settings::encryption::refuse_blocked;
use crate::s3::settings::quota::{self, Added};
use crate::s3::sse::{self, Encryption};
use crate::s3::tags::{TagPlace, TagSet};
use crate::s3::versioning::{COPY_SOURCE_VERSION_ID, version_value, write_new_version};
use crate::s3::xml::XmlWriter;

/// How long a client waits for a status of its own; then 200 is sent and spaces keep it waiting.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Copies an object. Durable when the document is there.
///
/// # Errors
/// What the headers break; those of opening the source; `InvalidRequest` for a copy onto itself that
/// changes nothing, or of more than 5 GiB. Of a long copy, errors come inside the 200.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let copy = Copy::plan(app, &mut request)?;
    let mut headers = HeaderMap::new();
    copy.encryption.write_to(&mut headers);
    headers.extend(copy.source_version());
    let mut response = if copy.rewraps(app)? {
        done(&copy.rewrap(app).await?)
    } else {
        answer(tokio::spawn(copy.reseal(app.clone())), request.request_id).await?
    };
    response.headers_mut().extend(headers);
    Ok(response)
}

/// The answer of a copy that may take long: a client must not take silence for a dead server.
async fn answer(mut work: JoinHandle<Result<Committed, S3Error>>, id: RequestId) -> Result<S3Response, S3Error> {
    if let Ok(result) = tokio::time::timeout(ANSWER_WITHIN, &mut work).await {
        return Ok(done(&result.map_err(S3Error::internal)??));
    }
    let mut response = S3Response::new(ResponseBody::keep_alive_then(async move {
        match work.await.map_err(S3Error::internal).and_then(|result| result) {
            Ok(committed) => document(&committed),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "a copy failed after its 200 was sent");
                error_document(&error, id.as_str())
            }
        }
    }));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Ok(response)
}

fn done(committed: &Committed) -> S3Response {
    let mut response = xml(StatusCode::OK, document(committed));
    write_new_version(response.headers_mut(), committed.version_id);
    response
}

/// A copy whose request and source have been judged.
struct Copy {
    source: OpenedObject,
    bucket: BucketRow,
    key: ObjectKey,
    onto_itself: bool,
    encryption: Encryption,
    metadata: ObjectMetadata,
    /// Those of the source, or the request's.
    tags: TagSet,
    replaces_tags: bool,
    lock: LockRequest,
    storage_class: StorageClass,
    algorithm: Option<ChecksumAlgorithm>,
    condition: WriteCondition,
    source_bucket: BucketRow,
    caller: Caller,
    access: NewObjectAccess,
    request_id: RequestId,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Copy,
    Replace,
}

impl Copy {
    fn plan(app: &App, request: &mut S3Request) -> Result<Self, S3Error> {
        let bucket = app.authorise_bucket(request)?;
        refuse_unbuilt(&request.headers)?;
        let directive = directive(&request.headers)?;
        let algorithm = request.header("x-amz-checksum-algorithm")?.map(parse_algorithm).transpose()?;
        let condition = write_condition(&request.headers)?;
        let access = app.new_object_access(&bucket, &request.caller, &request.headers)?;
        let named = CopySource::from_headers(&request.headers)?;
        let key = request.object_key()?.clone();
        let onto_itself = named.bucket.as_str() == bucket.name && named.key == key;

        let names_encryption =
            request.sse_c.target.any() || request.headers.contains_key("x-amz-server-side-encryption");
        let trio = std::mem::take(&mut request.sse_c.target);
        let encryption = sse::for_write(trio, request.transport, &request.headers)?;
        refuse_blocked(app, &bucket, &encryption)?;
        let source = named.open(app, request)?;
        let storage_class = storage_class(&request.headers)?;
        let changes = directive == Directive::Replace
            || names_encryption
            || encryption.mode() != source.mode
            || algorithm.is_some()
            || storage_class != source.row.storage_class
            || request.headers.contains_key("x-amz-website-redirect-location");
        // An older version copied onto its own key is restored, which changes something.
        if onto_itself && !changes && named.version_id.is_none() {
            return Err(S3Error::new(
                S3ErrorCode::InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the \
                 object's metadata, storage class, website redirect location or encryption attributes.",
            ));
        }
        if source.row.size_bytes > UPLOAD_BYTES_MAX {
            return Err(S3Error::new(
                S3ErrorCode::InvalidRequest,
                format!(
                    "The specified copy source is larger than the maximum allowable size for a copy source: {UPLOAD_BYTES_MAX}"
                ),
            ));
        }
        if !onto_itself {
            quota::check(app, &bucket, Added { bytes: source.row.size_bytes, objects: 1 })?;
        }
        let metadata = metadata(app, request, &source, directive)?;
        let source_bucket = app.engine.bucket(named.bucket.as_str())?;
        let source_bucket = source_bucket.ok_or_else(|| S3Error::of(S3ErrorCode::NoSuchBucket))?;
        let replaces_tags = tagging_directive(&request.headers)? == Directive::Replace;
        let tags = match replaces_tags {
            true => TagSet::from_headers(&request.headers)?,
            false => TagSet::of_row(&app.operator_key, source_bucket.id, named.key.as_str(), &source.row)?,
        };
        let lock = LockRequest::from_headers(&request.headers, &bucket, app.now_us())?;
        let (caller, request_id) = (request.caller.clone(), request.request_id);
        Ok(Self {
            source,
            bucket,
            key,
            onto_itself,
            encryption,
            metadata,
            tags,
            replaces_tags,
            lock,
            storage_class,
            algorithm,
            condition,
            source_bucket,
            caller,
            access,
            request_id,
        })
    }

    /// `x-amz-copy-source-version-id`, where the source's bucket has versions.
    fn source_version(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.source_bucket.versioning != Versioning::Unversioned {
            headers.insert(COPY_SOURCE_VERSION_ID, version_value(self.source.row.version_id));
        }
        headers
    }

    /// True if the stripes can stay: same key, no version to keep (a copy makes a new one where they are
    /// enabled), same mode (the bytes are bound to it), same checksum.
    fn rewraps(&self, app: &App) -> Result<bool, S3Error> {
        let row = &self.source.row;
        if !self.onto_itself
            || self.bucket.versioning == Versioning::Enabled
            || row.version_id != VersionId::NULL
            || self.lock != LockRequest::default()
        {
            return Ok(false);
        }
        let current = app.engine.current(self.bucket.id, self.key.as_str())?;
        let checksum = self.source.metadata.checksum.as_ref().map(Checksum::algorithm);
        Ok(current.is_some_and(|current| current.commit_index == row.commit_index)
            && self.encryption.mode() == self.source.mode
            && self.algorithm.is_none_or(|algorithm| Some(algorithm) == checksum))
    }

    /// Replaces metadata and wrap; no data is read or written.
    async fn rewrap(mut self, app: &Arc<App>) -> Result<Committed, S3Error> {
        let row = &self.source.row;
        let checksum = self.source.metadata.checksum.clone();
        let checksum = checksum.ok_or_else(|| S3Error::internal("an object without a checksum"))?;
        self.metadata.checksum = Some(checksum.clone());
        let context = WrapContext {
            mode: self.source.mode,
            bucket: self.bucket.id.as_bytes(),
            key_name: self.key.as_str().as_bytes(),
            version_id: row.wrap_version.as_bytes(),
            object_uuid: row.object_uuid.as_bytes(),
        };
        let root = self.encryption.root(&app.operator_key);
        let version_id = VersionId::NULL;
        let committed = Committed { etag: row.etag.clone(), checksum, modified_us: app.now_us(), version_id };
        let draft = VersionDraft {
            wrap_version: row.wrap_version,
            object_uuid: row.object_uuid,
            mode: self.source.mode,
            key_name: self.key.as_str(),
            owner: self.access.owner.clone(),
            modified_us: committed.modified_us,
            etag: row.etag.clone(),
            metadata: &self.metadata,
            parts: row.parts.clone(),
            multipart_parts: row.multipart_parts,
            wrap: wrap(root, self.source.object_key(), &context, random_bytes(&*app.random)),
        };
        let manifest_key = self.source.object_key().manifest_key();
        let mut rewrapped = draft.seal(&manifest_key, self.source.metadata_key(), &*app.random);
        let place = TagPlace { bucket: self.bucket.id, key: self.key.as_str(), wrap_version: row.wrap_version };
        rewrapped.sealed_tags = self.tags.seal(&app.operator_key, &*app.random, place);
        rewrapped.acl = self.access.acl;
        rewrapped.storage_class = self.storage_class;
        let op = Op::Rewrap {
            bucket: self.bucket.id,
            key: self.key.as_str().to_owned(),
            expected_commit_index: row.commit_index,
            row: Box::new(rewrapped),
            condition: self.condition,
            keep_tags: !self.replaces_tags,
        };
        match app.propose(&self.caller, self.request_id, op).await?.outcome {
            Outcome::Refused(refusal) => Err(object_refusal(refusal, self.key.as_str())),
            Outcome::Done | Outcome::Deleted { .. } => Ok(committed),
        }
    }

    /// Reads, verifies and seals again under a new object key.
    async fn reseal(self, app: Arc<App>) -> Result<Committed, S3Error> {
        let size_bytes = self.source.row.size_bytes;
        let stored = self.source.metadata.checksum.as_ref().map(Checksum::algorithm);
        let write = SingleWrite {
            bucket: self.bucket,
            key: self.key,
            caller: self.caller,
            access: self.access,
            request_id: self.request_id,
            lineage: Lineage::draw(&*app.random, self.encryption.mode()),
            encryption: self.encryption,
            metadata: self.metadata,
            algorithm: self.algorithm.or(stored).unwrap_or(ChecksumAlgorithm::Crc64Nvme),
            condition: self.condition,
            tags: self.tags,
            lock: self.lock,
            cause: Cause::Copy,
            storage_class: self.storage_class,
        };
        let mut plain = self.source.into_stream(app.engine.clone(), 0..size_bytes);
        let mut upload = write.begin(&app, Some(size_bytes), []).await;
        while let Some(bytes) = plain.next().await? {
            upload.push(bytes).await?;
        }
        let part = upload.end().await?.finish().await?;
        write.commit(&app, part).await
    }
}

fn directive(headers: &HeaderMap) -> Result<Directive, S3Error> {
    match headers.get("x-amz-metadata-directive").map(HeaderValue::as_bytes) {
        None | Some(b"COPY") => Ok(Directive::Copy),
        Some(b"REPLACE") => Ok(Directive::Replace),
        Some(_) => Err(S3Error::invalid_argument("Unknown metadata directive.", "x-amz-metadata-directive", "")),
    }
}

fn tagging_directive(headers: &HeaderMap) -> Result<Directive, S3Error> {
    match headers.get("x-amz-tagging-directive").map(HeaderValue::as_bytes) {
        None | Some(b"COPY") => Ok(Directive::Copy),
        Some(b"REPLACE") => Ok(Directive::Replace),
        Some(_) => Err(S3Error::invalid_argument("Unknown tagging directive.", "x-amz-tagging-directive", "")),
    }
}

/// The metadata of the copy, under a salt of its own.
fn metadata(
    app: &App,
    request: &S3Request,
    source: &OpenedObject,
    directive: Directive,
) -> Result<ObjectMetadata, S3Error> {
    let key_salt = random_bytes(&*app.random);
    match directive {
        Directive::Replace => ObjectMetadata::from_headers(&request.headers, key_salt),
        Directive::Copy => Ok(ObjectMetadata { key_salt, headers: source.metadata.headers.clone(), checksum: None }),
    }
}

fn document(committed: &Committed) -> Bytes {
    let mut document = XmlWriter::new();
    document.open_root("CopyObjectResult");
    document.element("LastModified", &iso_time(committed.modified_us));
    document.element("ETag", &format!("\"{}\"", unquote(&committed.etag)));
    document.element("ChecksumType", committed.checksum.kind().name());
    document.element(committed.checksum.algorithm().element(), &committed.checksum.to_text());
    document.close("CopyObjectResult");
    document.finish()
}
