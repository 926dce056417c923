//! The export container: one object version as sealed bytes, to be opened without a server.
//!
//! Everything that says what the object is comes first, so that a reader checks the wrap and the
//! manifest before it gives out a byte; the part blobs follow, as they lie in the store.

use std::io::{self, Read};

use crate::encode::{array_at, push_lp};
use crate::error::{HeaderError, OpenError, UnwrapError};
use crate::manifest::{Manifest, ManifestPart};
use crate::mode::Mode;
use crate::primitives::sha256;
use crate::range::{PLAIN_MAX, sealed_len};
use crate::wrap::WrapContext;

/// All of an export but its blobs. Holds no key and no plaintext but the key name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Who holds the root key.
    pub mode: Mode,
    /// Id of the bucket.
    pub bucket: [u8; 16],
    /// Zero for the `null` version.
    pub version_id: [u8; 16],
    /// The lineage.
    pub object_uuid: [u8; 16],
    /// The object's key name in UTF-8.
    pub key_name: Vec<u8>,
    /// As stored, without an epoch seal.
    pub wrap_record: Vec<u8>,
    /// As stored.
    pub sealed_metadata: Vec<u8>,
    /// As stored.
    pub manifest_mac: [u8; 32],
    /// In object order.
    pub parts: Vec<ManifestPart>,
}

impl Export {
    /// The container up to the first blob.
    ///
    /// The caller appends the blobs of `parts` in order, each of [`sealed_len`] of its
    /// `plain_len` bytes, header included, and nothing else.
    ///
    /// # Errors
    /// [`ExportError::Malformed`] if a field is over its limit: no object of ours has that.
    pub fn encode(&self) -> Result<Vec<u8>, ExportError> {
        let fits = self.key_name.len() <= KEY_NAME_LEN_MAX
            && self.wrap_record.len() <= WRAP_LEN_MAX
            && self.sealed_metadata.len() <= METADATA_LEN_MAX
            && self.parts.len() <= PARTS_MAX
            && self.parts.iter().all(|part| part.plain_len <= PLAIN_MAX);
        if !fits {
            return Err(ExportError::Malformed);
        }
        let mut out = Vec::with_capacity(FIXED_LEN + 4096 + PART_LEN * self.parts.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[0, VERSION, self.mode.as_byte(), 0]);
        out.extend_from_slice(&(self.parts.len() as u32).to_be_bytes());
        out.extend_from_slice(&self.bucket);
        out.extend_from_slice(&self.version_id);
        out.extend_from_slice(&self.object_uuid);
        out.extend_from_slice(&self.manifest_mac);
        push_lp(&mut out, &self.key_name);
        push_lp(&mut out, &self.wrap_record);
        push_lp(&mut out, &self.sealed_metadata);
        for part in &self.parts {
            out.extend_from_slice(&part.encode());
        }
        Ok(out)
    }

    /// Reads the container up to the first blob.
    ///
    /// # Errors
    /// [`ExportError::Malformed`] if it is no export or a field is over its limit;
    /// [`ExportError::Read`].
    pub fn read(input: &mut impl Read) -> Result<Self, ExportError> {
        let mut fixed = [0; FIXED_LEN];
        input.read_exact(&mut fixed)?;
        if fixed[..8] != *MAGIC || fixed[8..10] != [0, VERSION] || fixed[11] != 0 {
            return Err(ExportError::Malformed);
        }
        let count = u32::from_be_bytes(array_at(&fixed, 12)) as usize;
        if count > PARTS_MAX {
            return Err(ExportError::Malformed);
        }
        let mut export = Self {
            mode: Mode::try_from(fixed[10]).map_err(|_| ExportError::Malformed)?,
            bucket: array_at(&fixed, 16),
            version_id: array_at(&fixed, 32),
            object_uuid: array_at(&fixed, 48),
            manifest_mac: array_at(&fixed, 64),
            key_name: read_lp(input, KEY_NAME_LEN_MAX)?,
            wrap_record: read_lp(input, WRAP_LEN_MAX)?,
            sealed_metadata: read_lp(input, METADATA_LEN_MAX)?,
            parts: Vec::with_capacity(count),
        };
        for _ in 0..count {
            let mut part = [0; PART_LEN];
            input.read_exact(&mut part)?;
            let part = ManifestPart::decode(&part);
            if part.plain_len > PLAIN_MAX {
                return Err(ExportError::Malformed);
            }
            export.parts.push(part);
        }
        Ok(export)
    }

    /// Bytes of the whole container, blobs included.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn container_len(&self) -> Result<u64, ExportError> {
        let blobs = |sum: u64, part: &ManifestPart| sum.checked_add(sealed_len(part.plain_len));
        let front = self.encode()?.len() as u64;
        self.parts.iter().try_fold(front, blobs).ok_or(ExportError::Malformed)
    }

    /// Plaintext bytes of the object.
    pub fn total_len(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.plain_len))
    }

    /// What the manifest MAC covers.
    pub fn manifest(&self) -> Manifest<'_> {
        Manifest { parts: &self.parts, total_len: self.total_len(), metadata_hash: sha256(&self.sealed_metadata) }
    }

    /// What the wrap record is bound to.
    pub fn wrap_context(&self) -> WrapContext<'_> {
        WrapContext {
            mode: self.mode,
            bucket: &self.bucket,
            key_name: &self.key_name,
            version_id: &self.version_id,
            object_uuid: &self.object_uuid,
        }
    }
}

/// An export could not be read or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Not an export that this version reads, or cut short.
    #[error("not an export of this version, or cut short")]
    Malformed,
    /// The input failed.
    #[error("cannot read the export")]
    Read(#[source] io::Error),
    /// The output failed.
    #[error("cannot write the plaintext")]
    Write(#[source] io::Error),
    /// The key file is not a raw key of 32 bytes.
    #[error("the key file does not hold 32 raw bytes")]
    KeyLength,
    /// The root key of modes H and G is not one that a file holds.
    #[error("the root key of this object is held by a key service or gateway")]
    RootKeyElsewhere,
    /// The object key did not come out of its wrap.
    #[error("the object key cannot be unwrapped")]
    Unwrap(#[source] UnwrapError),
    /// Parts or metadata are not those that were stored.
    #[error("the manifest does not match the parts and metadata")]
    Manifest,
    /// A part's bytes are not those that were stored.
    #[error("part {number} cannot be opened")]
    Part {
        /// The part's number.
        number: u32,
        /// What is wrong.
        source: OpenError,
    },
    /// Bytes follow the last blob.
    #[error("bytes follow the end of the export")]
    Trailing,
}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Malformed,
            _ => Self::Read(error),
        }
    }
}

impl From<HeaderError> for ExportError {
    fn from(_: HeaderError) -> Self {
        Self::Malformed
    }
}

fn read_lp(input: &mut impl Read, len_max: usize) -> Result<Vec<u8>, ExportError> {
    let mut len = [0; 4];
    input.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    if len > len_max {
        return Err(ExportError::Malformed);
    }
    let mut out = vec![0; len];
    input.read_exact(&mut out)?;
    Ok(out)
}

const MAGIC: &[u8; 8] = b"SOV1EXPT";
const VERSION: u8 = 1;
const FIXED_LEN: usize = 96;
const PART_LEN: usize = ManifestPart::ENCODED_LEN;

/// S3's limit.
const KEY_NAME_LEN_MAX: usize = 1024;
const WRAP_LEN_MAX: usize = 8 * 1024;
/// User metadata is 2 KiB, content headers less than 64 KiB.
const METADATA_LEN_MAX: usize = 1024 * 1024;
const PARTS_MAX: usize = 10_000;
