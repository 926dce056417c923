//! The checksums that S3 clients ask for: algorithms, values, multipart combination, and what a
//! request expects of its body.

pub mod algorithm;
pub mod combine;
pub mod expect;
pub mod hasher;
pub mod md5;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

pub use algorithm::{ChecksumAlgorithm, ChecksumKind};
pub use combine::{PartChecksum, combine};
pub use expect::{ExpectedChecksum, ExpectedChecksums};
pub use hasher::{Hasher, digest};

/// A digest of some bytes, of the length that its algorithm makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksumValue {
    algorithm: ChecksumAlgorithm,
    digest: Vec<u8>,
}

impl ChecksumValue {
    /// Takes a digest; `None` if it is not of the algorithm's length.
    pub fn new(algorithm: ChecksumAlgorithm, digest: Vec<u8>) -> Option<Self> {
        (digest.len() == algorithm.digest_len()).then_some(Self { algorithm, digest })
    }

    /// Parses the base64 form of a header or element; `None` if malformed or of another length.
    pub fn from_base64(algorithm: ChecksumAlgorithm, text: &str) -> Option<Self> {
        Self::new(algorithm, BASE64.decode(text).ok()?)
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// Its bytes, as in the base64 form.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// The base64 form of headers and elements.
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.digest)
    }
}

/// The checksum of an object, as S3 shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    value: ChecksumValue,
    composite_parts: Option<u16>,
}

impl Checksum {
    /// A checksum over the object's bytes.
    pub fn full_object(value: ChecksumValue) -> Self {
        Self { value, composite_parts: None }
    }

    /// A checksum over the digests of `parts` parts.
    pub fn composite(value: ChecksumValue, parts: u16) -> Self {
        Self { value, composite_parts: Some(parts) }
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.value.algorithm
    }

    /// Which kind it is.
    pub fn kind(&self) -> ChecksumKind {
        match self.composite_parts {
            Some(_) => ChecksumKind::Composite,
            None => ChecksumKind::FullObject,
        }
    }

    /// Parts under a composite; `None` for a full-object value.
    pub fn composite_parts(&self) -> Option<u16> {
        self.composite_parts
    }

    /// Its digest.
    pub fn value(&self) -> &ChecksumValue {
        &self.value
    }

    /// The form of headers and elements: base64, and `-N` for a composite of N parts.
    pub fn to_text(&self) -> String {
        match self.composite_parts {
            Some(parts) => format!("{}-{parts}", self.value.to_base64()),
            None => self.value.to_base64(),
        }
    }

    /// What rows show of it: the names, never the value.
    pub fn tag(&self) -> chartrier_storage::namespace::rows::ChecksumTag {
        chartrier_storage::namespace::rows::ChecksumTag {
            algorithm: self.algorithm().name().to_owned(),
            kind: self.kind().name().to_owned(),
        }
    }
}
