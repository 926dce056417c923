//! The way out: rows and sealed stripes to verified plaintext.
//!
//! ```text
//!  row ──▶ unwrap (key check) ──▶ manifest MAC ──▶ metadata
//!                                                     │
//!  BlobReader (verified cells of the range) ──▶ AES-256-GCM where it lies ──▶ body, no copy
//! ```
//!
//! A byte leaves only once the tag of its chunk has verified. A failure before the first byte is an
//! error; after it, the connection is cut.

pub mod copy_source;
pub mod read;
mod stream;

use chartrier_crypto::{
    METADATA_LABEL, Manifest, MetadataKey, Mode, ObjectKey, OperatorKey, UnwrapError, WrapContext, part_label, sha256,
    unwrap,
};
use chartrier_storage::ids::BucketId;
use chartrier_storage::namespace::rows::VersionRow;

use super::checksum::ChecksumValue;
use super::error::S3Error;
use super::metadata::{ObjectMetadata, decode_part_checksums};
use super::seal::manifest_parts;
use super::sse::{Encryption, wrong_key};
pub use stream::PlainStream;

/// A version whose key, list of parts and metadata have been verified; no data has been read.
pub struct OpenedObject {
    /// The row as stored.
    pub row: VersionRow,
    /// Who holds the root key.
    pub mode: Mode,
    /// What it carries beside its bytes.
    pub metadata: ObjectMetadata,
    object_key: ObjectKey,
    metadata_key: MetadataKey,
}

impl OpenedObject {
    /// Opens a version with the root key of a request.
    ///
    /// # Errors
    /// `AccessDenied` for another key; `InternalError`, with an alarm in the log, if what is stored
    /// does not verify.
    pub fn open(
        operator: &OperatorKey,
        bucket: BucketId,
        key_name: &str,
        row: VersionRow,
        encryption: &Encryption,
    ) -> Result<Self, S3Error> {
        let mode = Mode::try_from(row.mode).map_err(|error| alarm(&row, error))?;
        let context = WrapContext {
            mode,
            bucket: bucket.as_bytes(),
            key_name: key_name.as_bytes(),
            version_id: row.wrap_version.as_bytes(),
            object_uuid: row.object_uuid.as_bytes(),
        };
        let object_key = match unwrap(encryption.root(operator), &row.wrap, &context) {
            Ok(object_key) => object_key,
            // Only a client can send a wrong key; ours being wrong is our trouble.
            Err(UnwrapError::WrongKey) if mode == Mode::C => return Err(wrong_key()),
            Err(error) => return Err(alarm(&row, error)),
        };
        let manifest = Manifest {
            parts: &manifest_parts(&row.parts),
            total_len: row.size_bytes,
            metadata_hash: sha256(&row.sealed_metadata),
        };
        object_key.manifest_key().verify(&manifest, &row.manifest_mac).map_err(|error| alarm(&row, error))?;
        let metadata_key = object_key.metadata_key();
        let plain = metadata_key.open(METADATA_LABEL, &row.sealed_metadata).map_err(|error| alarm(&row, error))?;
        let metadata = ObjectMetadata::decode(&plain).map_err(|error| alarm(&row, error))?;
        Ok(Self { row, mode, metadata, object_key, metadata_key })
    }

    /// The object key, for a rewrap.
    pub fn object_key(&self) -> &ObjectKey {
        &self.object_key
    }

    /// The metadata key, for a rewrap.
    pub fn metadata_key(&self) -> &MetadataKey {
        &self.metadata_key
    }

    /// The sealed checksums of the part at `index`; none for a single PUT.
    ///
    /// # Errors
    /// `InternalError`, with an alarm, if they do not open.
    pub fn part_checksums(&self, index: usize) -> Result<Vec<ChecksumValue>, S3Error> {
        let Some(part) = self.row.parts.get(index).filter(|part| !part.sealed_checksums.is_empty()) else {
            return Ok(Vec::new());
        };
        let label = part_label(part.number.into());
        let plain = self.metadata_key.open(&label, &part.sealed_checksums).map_err(|error| alarm(&self.row, error))?;
        decode_part_checksums(&plain).map_err(|error| alarm(&self.row, error))
    }
}

/// What is stored does not verify: 500 for the client, an alarm for the operator.
fn alarm(row: &VersionRow, error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    tracing::error!(
        alarm = "integrity",
        object_uuid = %row.object_uuid,
        leaf_index = row.leaf_index,
        %error,
        "a stored object does not verify"
    );
    S3Error::internal(error)
}
