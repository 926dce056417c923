//! The keys of an upload in progress.
//!
//! Parts are sealed under the object key, which only the root key opens: in mode C the client sends
//! it with every part. The manifest and metadata keys, which open no data, also wait in the upload's
//! row under the operator key, so that ListParts and Complete need no header of SSE-C.

use chartrier_crypto::{
    ManifestKey, MetadataKey, Mode, ObjectKey, OperatorKey, UnwrapError, WrapContext, part_label, pending_keys_open,
};
use chartrier_storage::ids::{BucketId, ObjectUuid, UploadId, VersionId};
use chartrier_storage::namespace::rows::PartRow;

use super::Upload;
use crate::s3::checksum::ChecksumValue;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::metadata::decode_part_checksums;
use crate::s3::request::{SseTrio, Transport};
use crate::s3::seal::Lineage;
use crate::s3::sse::{Encryption, client_key};

/// What an upload's wrap record is bound to: the version that Complete will make.
pub fn wrap_context<'a>(
    mode: Mode,
    bucket: &'a BucketId,
    key: &'a str,
    version: &'a VersionId,
    uuid: &'a ObjectUuid,
) -> WrapContext<'a> {
    WrapContext {
        mode,
        bucket: bucket.as_bytes(),
        key_name: key.as_bytes(),
        version_id: version.as_bytes(),
        object_uuid: uuid.as_bytes(),
    }
}

/// The label of an upload's pending keys.
pub fn pending_label(id: &UploadId) -> &[u8] {
    id.as_bytes()
}

/// Opens the object key for a part, with the key that the request carries.
///
/// # Errors
/// 400 `InvalidRequest` in AWS's words when the part's encryption is not the one of Create.
pub fn open_for_part(
    upload: &Upload,
    trio: SseTrio,
    transport: Transport,
    operator: &OperatorKey,
) -> Result<(Lineage, Encryption), S3Error> {
    let mode = mode(upload)?;
    let encryption = match (mode, client_key(trio, transport)?) {
        (Mode::C, Some(key)) => Encryption::Client(key),
        (Mode::O, None) => Encryption::Operator,
        (Mode::C, None) => {
            return Err(invalid(
                "The multipart upload initiate requested encryption. Subsequent part requests must include the \
                 appropriate encryption parameters.",
            ));
        }
        (_, Some(_)) => {
            return Err(invalid(
                "The multipart upload initiate did not request encryption with a customer provided key. Subsequent \
                 part requests must not include such encryption parameters.",
            ));
        }
        (Mode::H | Mode::G, None) => return Err(S3Error::not_implemented("This encryption mode")),
    };
    let key = unwrap_key(upload, &encryption, operator)?;
    Ok((Lineage { uuid: upload.row.object_uuid, key, mode }, encryption))
}

/// For ListParts and Complete: a key that is sent must be the right one, and none is needed. Returns what the request
/// proved to know.
///
/// # Errors
/// As [`open_for_part`].
pub fn check_if_sent(
    upload: &Upload,
    trio: SseTrio,
    transport: Transport,
    operator: &OperatorKey,
) -> Result<Option<Encryption>, S3Error> {
    if !trio.any() {
        return Ok(None);
    }
    let (_, encryption) = open_for_part(upload, trio, transport, operator)?;
    Ok(Some(encryption))
}

/// Opens the keys that wait in the upload's row.
///
/// # Errors
/// `InternalError`: the row or the operator key is not the one it was sealed with.
pub fn open_pending(upload: &Upload, operator: &OperatorKey) -> Result<(ManifestKey, MetadataKey), S3Error> {
    pending_keys_open(operator, pending_label(&upload.row.id), &upload.row.pending_keys).map_err(S3Error::internal)
}

/// Opens the checksums of a stored part.
///
/// # Errors
/// `InternalError` if they are not those that were sealed with it.
pub fn open_part_checksums(key: &MetadataKey, part: &PartRow) -> Result<Vec<ChecksumValue>, S3Error> {
    let plain = key.open(&part_label(part.number.into()), &part.sealed_checksums).map_err(S3Error::internal)?;
    decode_part_checksums(&plain).map_err(S3Error::internal)
}

/// The mode of an upload's row.
///
/// # Errors
/// `InternalError` for a row that is not ours.
pub fn mode(upload: &Upload) -> Result<Mode, S3Error> {
    Mode::try_from(upload.row.mode).map_err(S3Error::internal)
}

fn unwrap_key(upload: &Upload, encryption: &Encryption, operator: &OperatorKey) -> Result<ObjectKey, S3Error> {
    let row = &upload.row;
    let context =
        wrap_context(encryption.mode(), &upload.bucket.id, upload.key.as_str(), &row.wrap_version, &row.object_uuid);
    chartrier_crypto::unwrap(encryption.root(operator), &row.wrap, &context).map_err(|error| match error {
        UnwrapError::WrongKey if encryption.mode() == Mode::C => {
            invalid("The provided encryption parameters did not match the ones used originally.")
        }
        error => S3Error::internal(error),
    })
}

fn invalid(message: &'static str) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidRequest, message)
}
