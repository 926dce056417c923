//! `POST /bucket/key?uploads`: CreateMultipartUpload.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html>.

use std::sync::Arc;

use chartrier_crypto::{METADATA_LABEL, pending_keys_seal, wrap};
use chartrier_storage::ids::{ObjectUuid, VersionId};
use chartrier_storage::namespace::command::{Op, Outcome};
use chartrier_storage::namespace::rows::UploadRow;
use http::{HeaderName, HeaderValue, StatusCode};

use super::listing::NameEncoding;
use super::multipart::keys::{pending_label, wrap_context};
use super::multipart::{AgreedChecksum, new_upload_id};
use crate::app::App;
use crate::lifecycle::announce_upload;
use crate::s3::error::S3Error;
use crate::s3::lock::LockRequest;
use crate::s3::metadata::{ObjectMetadata, refuse_unbuilt, storage_class};
use crate::s3::refusal::refused;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::seal::{Lineage, random_bytes};
use crate::s3::settings::encryption::refuse_blocked;
use crate::s3::settings::quota::{self, Added};
use crate::s3::sse::for_write;
use crate::s3::tags::{TagPlace, TagSet};
use crate::s3::xml::XmlWriter;

/// Begins an upload: draws its lineage and keeps what the object will carry. Durable when it answers.
///
/// # Errors
/// What PutObject refuses in headers; `InvalidRequest` for a checksum that does not exist.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let key = request.object_key()?.clone();
    let encoding = NameEncoding::parse(&request.query)?;
    refuse_unbuilt(&request.headers)?;
    let encryption = for_write(request.sse_c.target, request.transport, &request.headers)?;
    refuse_blocked(app, &bucket, &encryption)?;
    let access = app.new_object_access(&bucket, &request.caller, &request.headers)?;
    quota::check(app, &bucket, Added { bytes: 1, objects: 1 })?;
    let checksum = AgreedChecksum::from_create(&request.headers)?;
    let random = &*app.random;
    let metadata = ObjectMetadata::from_headers(&request.headers, random_bytes(random))?;

    let now_us = app.clock.now_us();
    let tags = TagSet::from_headers(&request.headers)?;
    let lock = LockRequest::from_headers(&request.headers, &bucket, now_us)?;
    let id = new_upload_id(now_us, random);
    let mut lineage = Lineage::draw(random, encryption.mode());
    lineage.uuid = ObjectUuid::from_bytes(*id.as_bytes());
    let wrap_version = VersionId::from_bytes(random_bytes(random));
    let context = wrap_context(lineage.mode, &bucket.id, key.as_str(), &wrap_version, &lineage.uuid);
    let (manifest_key, metadata_key) = (lineage.key.manifest_key(), lineage.key.metadata_key());
    let place = TagPlace { bucket: bucket.id, key: key.as_str(), wrap_version };
    let row = UploadRow {
        id,
        wrap_version,
        object_uuid: lineage.uuid,
        mode: lineage.mode.as_byte(),
        initiated_us: now_us,
        owner: access.owner,
        checksum: checksum.tag(),
        wrap: wrap(encryption.root(&app.operator_key), &lineage.key, &context, random_bytes(random)),
        sealed_metadata: metadata_key.seal(random_bytes(random), METADATA_LABEL, &metadata.encode()),
        pending_keys: pending_keys_seal(
            &app.operator_key,
            pending_label(&id),
            random_bytes(random),
            &manifest_key,
            &metadata_key,
        ),
        key_commitment: metadata.key_commitment(key.as_str()),
        sealed_tags: tags.seal(&app.operator_key, random, place),
        retention: lock.retention,
        legal_hold: lock.legal_hold,
        acl: access.acl,
        storage_class: storage_class(&request.headers)?,
    };
    let op = Op::CreateUpload { bucket: bucket.id, key: key.as_str().to_owned(), row: Box::new(row) };
    if let Outcome::Refused(refusal) = app.propose(&request.caller, request.request_id, op).await?.outcome {
        return Err(refused(refusal));
    }

    let mut doc = XmlWriter::new();
    doc.open_root("InitiateMultipartUploadResult");
    doc.element("Bucket", &bucket.name);
    doc.element("Key", &encoding.encode(key.as_str()));
    doc.value("UploadId", id);
    doc.close("InitiateMultipartUploadResult");
    let mut response = xml(StatusCode::OK, doc.finish());
    let headers = response.headers_mut();
    encryption.write_to(headers);
    announce_upload(app, &bucket, key.as_str(), now_us, headers)?;
    if checksum.asked {
        let text = HeaderValue::from_static;
        headers.insert(HeaderName::from_static("x-amz-checksum-algorithm"), text(checksum.algorithm.name()));
        headers.insert(HeaderName::from_static("x-amz-checksum-type"), text(checksum.kind.name()));
    }
    Ok(response)
}
