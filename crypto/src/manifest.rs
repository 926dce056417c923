//! The manifest MAC: the parts of an object, their order and lengths, and its metadata.

use crate::encode::array_at;
use crate::error::OpenError;
use crate::keys::ManifestKey;
use crate::primitives::{ct_eq, hmac_sha512_256};

/// What the MAC says of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestPart {
    /// As in the part's header.
    pub number: u32,
    /// As in the part's header.
    pub salt: [u8; 24],
    /// As in the part's header.
    pub commitment: [u8; 32],
    /// Plaintext bytes.
    pub plain_len: u64,
}

/// All that the MAC covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest<'a> {
    /// In object order.
    pub parts: &'a [ManifestPart],
    /// Plaintext bytes of the object.
    pub total_len: u64,
    /// SHA-256 of the sealed metadata's bytes.
    pub metadata_hash: [u8; 32],
}

impl ManifestKey {
    /// HMAC-SHA-512 over the manifest, cut to 32 bytes.
    pub fn mac(&self, manifest: &Manifest<'_>) -> [u8; 32] {
        hmac_sha512_256(self.0.bytes(), |update| {
            update(MAGIC);
            update(&[VERSION, 0, 0, 0]);
            update(&(manifest.parts.len() as u64).to_be_bytes());
            update(&manifest.total_len.to_be_bytes());
            update(&manifest.metadata_hash);
            for part in manifest.parts {
                update(&part.encode());
            }
        })
    }

    /// Checks a stored MAC, in constant time, and that the parts add up to the total.
    ///
    /// # Errors
    /// [`OpenError::AuthenticationFailed`]: a part or the metadata was dropped, added, moved,
    /// shortened or exchanged.
    pub fn verify(&self, manifest: &Manifest<'_>, mac: &[u8; 32]) -> Result<(), OpenError> {
        let sum = manifest.parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.plain_len));
        if ct_eq(&self.mac(manifest), mac) && sum == Some(manifest.total_len) {
            Ok(())
        } else {
            Err(OpenError::AuthenticationFailed)
        }
    }
}

impl ManifestPart {
    pub(crate) const ENCODED_LEN: usize = 68;

    pub(crate) fn encode(&self) -> [u8; Self::ENCODED_LEN] {
        let mut out = [0; Self::ENCODED_LEN];
        out[..4].copy_from_slice(&self.number.to_be_bytes());
        out[4..28].copy_from_slice(&self.salt);
        out[28..60].copy_from_slice(&self.commitment);
        out[60..].copy_from_slice(&self.plain_len.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8; Self::ENCODED_LEN]) -> Self {
        Self {
            number: u32::from_be_bytes(array_at(bytes, 0)),
            salt: array_at(bytes, 4),
            commitment: array_at(bytes, 28),
            plain_len: u64::from_be_bytes(array_at(bytes, 60)),
        }
    }
}

const MAGIC: &[u8; 4] = b"SOVm";
const VERSION: u8 = 1;
