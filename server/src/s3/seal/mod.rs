//! The way in: plaintext to sealed stripes, one copy, digests beside it.
//!
//! ```text
//!  body fragment ──▶ slow digests (shared buffer, blocking pool)
//!        │
//!        └──▶ fast digests, copy into BlobWriter::spare(), AES-256-GCM where it lies
//! ```
//!
//! Used by PutObject, UploadPart and the copies. Nothing is visible until the caller has verified
//! the digests, called `finish` and proposed the row; dropped before, the stripes
//! written so far are freed in the background.

mod commit;
mod lane;
mod version;

use bytes::Bytes;
use chartrier_crypto::{PartHeader, PartSealer, StreamSealer, sealed_len};
use chartrier_storage::blob::{BlobStore, BlobWriter};
use chartrier_storage::env::Random;
use chartrier_storage::namespace::command::MissingShard;
use chartrier_storage::namespace::rows::{BlobRef, PartRow};
use http::header;

use super::checksum::{ChecksumAlgorithm, ChecksumValue, ExpectedChecksums};
use super::error::{S3Error, S3ErrorCode};
use super::request::{RequestBody, S3Request};
pub use commit::{Committed, SingleWrite, object_refusal, write_checksum, write_etag};
use lane::DigestLanes;
pub use version::{Lineage, VersionDraft, manifest_parts, part_etag, random_bytes, seal_part_checksums, single_etag};

/// Most bytes of one PutObject, UploadPart or copy.
pub const UPLOAD_BYTES_MAX: u64 = 5 << 30;

/// One part being sealed into a blob.
pub struct SealedUpload {
    writer: BlobWriter,
    sealer: StreamSealer,
    lanes: DigestLanes,
}

/// Plaintext that has been taken whole, its digests known; not yet durable.
pub struct Received {
    /// One an algorithm that was asked for.
    pub digests: Vec<ChecksumValue>,
    writer: BlobWriter,
    sealer: StreamSealer,
}

/// A sealed part, durable on the write quorum, not yet visible.
pub struct SealedPart {
    /// Plaintext bytes.
    pub plain_bytes: u64,
    /// What the blob begins with.
    pub header: PartHeader,
    /// Where the sealed bytes are.
    pub blob: BlobRef,
    /// Shards left to heal.
    pub missing: Vec<MissingShard>,
    /// One an algorithm that was asked for.
    pub digests: Vec<ChecksumValue>,
}

impl SealedUpload {
    /// Begins part `part_number` of a lineage (0 for a single PUT), under a fresh salt.
    ///
    /// `plain_bytes` is what the client announced, a hint only; `algorithms` are the digests wanted.
    pub async fn begin(
        blobs: &BlobStore,
        random: &dyn Random,
        lineage: &Lineage,
        part_number: u16,
        plain_bytes: Option<u64>,
        algorithms: impl IntoIterator<Item = ChecksumAlgorithm>,
    ) -> Self {
        let salt = random_bytes(random);
        let sealer = PartSealer::new(&lineage.key, lineage.mode, *lineage.uuid.as_bytes(), part_number.into(), salt);
        Self {
            writer: blobs.writer(plain_bytes.map(sealed_len)).await,
            sealer: StreamSealer::new(sealer),
            lanes: DigestLanes::new(algorithms),
        }
    }

    /// Takes the next plaintext.
    ///
    /// # Errors
    /// `EntityTooLarge` past [`UPLOAD_BYTES_MAX`]; what the storage engine answers.
    pub async fn push(&mut self, fragment: Bytes) -> Result<(), S3Error> {
        if self.sealer.plain_len() + fragment.len() as u64 > UPLOAD_BYTES_MAX {
            return Err(too_large(self.sealer.plain_len() + fragment.len() as u64));
        }
        self.lanes.push_slow(&fragment).await?;
        let mut rest = &fragment[..];
        while !rest.is_empty() {
            let window = self.writer.spare().await?;
            // A few chunks at a time, so that the digests and the copy find the bytes in the cache.
            let piece = &rest[..rest.len().min(PIECE_BYTES)];
            let step = self.sealer.push(piece, window).map_err(S3Error::internal)?;
            self.lanes.push_fast(&piece[..step.consumed]);
            self.writer.advance(step.written);
            rest = &rest[step.consumed..];
        }
        Ok(())
    }

    /// Takes a whole body to its authenticated end and verifies what the client promised of it.
    ///
    /// # Errors
    /// Those of the body, of [`push`](Self::push) and of [`ExpectedChecksums::verify`].
    pub async fn receive(mut self, body: &mut RequestBody, expected: &ExpectedChecksums) -> Result<Received, S3Error> {
        while let Some(fragment) = body.next().await? {
            self.push(fragment).await?;
        }
        let received = self.end().await?;
        expected.verify(&received.digests, body.trailers())?;
        Ok(received)
    }

    /// Ends the plaintext.
    ///
    /// # Errors
    /// A hashing thread that failed.
    pub async fn end(self) -> Result<Received, S3Error> {
        Ok(Received { digests: self.lanes.finish().await?, writer: self.writer, sealer: self.sealer })
    }
}

impl Received {
    /// Plaintext bytes.
    pub fn plain_bytes(&self) -> u64 {
        self.sealer.plain_len()
    }

    /// Seals the last chunk and makes the blob durable on the write quorum.
    ///
    /// # Errors
    /// What the storage engine answers; nothing is visible then.
    pub async fn finish(mut self) -> Result<SealedPart, S3Error> {
        loop {
            let window = self.writer.spare().await?;
            let step = self.sealer.finish(window).map_err(S3Error::internal)?;
            self.writer.advance(step.written);
            if step.done {
                break;
            }
        }
        let written = self.writer.finish().await?;
        Ok(SealedPart {
            plain_bytes: self.sealer.plain_len(),
            header: *self.sealer.header(),
            blob: written.blob,
            missing: written.missing,
            digests: self.digests,
        })
    }
}

impl SealedPart {
    /// The digest of one algorithm, if it was asked for.
    pub fn digest(&self, algorithm: ChecksumAlgorithm) -> Option<&ChecksumValue> {
        self.digests.iter().find(|value| value.algorithm() == algorithm)
    }

    /// The part's row, and the shards left to heal.
    pub fn into_row(self, etag: String, modified_us: u64, sealed_checksums: Vec<u8>) -> (PartRow, Vec<MissingShard>) {
        let row = PartRow {
            number: u16::try_from(self.header.part_number).expect("the header was made from a u16"),
            plain_bytes: self.plain_bytes,
            salt: self.header.salt,
            commitment: self.header.commitment,
            etag,
            modified_us,
            blob: self.blob,
            sealed_checksums,
        };
        (row, self.missing)
    }
}

/// Checks the announced length of an upload before its body is polled; `None` for a body in chunks of
/// HTTP, which says itself where it ends.
///
/// # Errors
/// `MissingContentLength` if nothing tells where the body ends, `EntityTooLarge` past [`UPLOAD_BYTES_MAX`].
pub fn announced_length(request: &S3Request) -> Result<Option<u64>, S3Error> {
    match request.body.decoded_length() {
        None if request.headers.contains_key(header::TRANSFER_ENCODING) => Ok(None),
        None => Err(S3Error::of(S3ErrorCode::MissingContentLength)),
        Some(len) if len > UPLOAD_BYTES_MAX => Err(too_large(len)),
        Some(len) => Ok(Some(len)),
    }
}

fn too_large(len_bytes: u64) -> S3Error {
    S3Error::of(S3ErrorCode::EntityTooLarge)
        .with_detail("ProposedSize", len_bytes.to_string())
        .with_detail("MaxSizeAllowed", UPLOAD_BYTES_MAX.to_string())
}

/// Plaintext bytes hashed and sealed in one go: four chunks, well inside a second-level cache.
const PIECE_BYTES: usize = 64 * 1024;
