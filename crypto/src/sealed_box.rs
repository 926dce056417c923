//! Sealed boxes: small secrets under a metadata key or the operator key.
//!
//! ```text
//!  0  1 version (1)   1 1 kind   2 2 zero   4 32 salt   36 n ciphertext   36+n 16 tag
//! ```
//!
//! The key of a box is derived from the salt and the label, for this box alone, so its nonce is
//! zero; the first 36 bytes are the AAD. The label says what the box is and is not stored.

use zeroize::Zeroizing;

use crate::encode::{array_at, push_lp};
use crate::error::OpenError;
use crate::keys::{ManifestKey, MetadataKey, OperatorKey, Secret};
use crate::locked::LockedBox;
use crate::primitives::{AeadKey, KEY_LEN, TAG_LEN, hkdf, hkdf_expand};

/// Bytes that sealing adds.
pub const BOX_OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// Label of an object version's sealed metadata.
pub const METADATA_LABEL: &[u8] = b"version";

/// Label of the sealed checksums of part `number`.
pub fn part_label(number: u32) -> [u8; 8] {
    let mut label = *b"part\0\0\0\0";
    label[4..].copy_from_slice(&number.to_be_bytes());
    label
}

impl MetadataKey {
    /// Seals `plain`. `salt` is 32 fresh random bytes. The result is [`BOX_OVERHEAD`] longer.
    pub fn seal(&self, salt: [u8; 32], label: &[u8], plain: &[u8]) -> Vec<u8> {
        let key = self.box_key(&salt, label);
        seal(Kind::Metadata, &key, salt, &[plain])
    }

    /// Opens what [`seal`](Self::seal) made under the same label.
    ///
    /// # Errors
    /// [`OpenError::Malformed`] if it is no such box, [`OpenError::AuthenticationFailed`] for
    /// another key or label, or changed bytes.
    pub fn open(&self, label: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (header, body) = parse(Kind::Metadata, sealed)?;
        let mut plain = Zeroizing::new(body.to_vec());
        let len = open(&self.box_key(&array_at(header, 4), label), header, &mut plain)?;
        plain.truncate(len);
        Ok(plain)
    }

    fn box_key(&self, salt: &[u8; 32], label: &[u8]) -> AeadKey {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let info: [&[u8]; 3] = [b"sov1/box\0", salt, &lp(label)];
        hkdf_expand(self.0.bytes(), &info, &mut key[..]);
        AeadKey::new(&key)
    }
}

impl OperatorKey {
    /// Seals a secret of the server. `salt` is 32 fresh random bytes.
    pub fn seal_secret(&self, label: &[u8], salt: [u8; 32], plain: &[u8]) -> Vec<u8> {
        let key = self.box_key(Kind::Secret, &salt, label);
        seal(Kind::Secret, &key, salt, &[plain])
    }

    /// Opens what [`seal_secret`](Self::seal_secret) made under the same label.
    ///
    /// # Errors
    /// As [`MetadataKey::open`].
    pub fn open_secret(&self, label: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (header, body) = parse(Kind::Secret, sealed)?;
        let key = self.box_key(Kind::Secret, &array_at(header, 4), label);
        let mut plain = Zeroizing::new(body.to_vec());
        let len = open(&key, header, &mut plain)?;
        plain.truncate(len);
        Ok(plain)
    }

    fn box_key(&self, kind: Kind, salt: &[u8; 32], label: &[u8]) -> AeadKey {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let name: &[u8] = match kind {
            Kind::PendingKeys => b"sov1/pending\0",
            Kind::Metadata | Kind::Secret => b"sov1/secret\0",
        };
        hkdf(salt, self.0.bytes(), &[name, &lp(label)], &mut key[..]);
        AeadKey::new(&key)
    }
}

/// Seals the keys that a Complete without the client's key needs, under the operator key.
///
/// They can authenticate the list of parts and read the metadata of this one upload; they open no
/// data. `label` names the upload (its id), `salt` is 32 fresh random bytes.
pub fn pending_keys_seal(
    operator_key: &OperatorKey,
    label: &[u8],
    salt: [u8; 32],
    manifest_key: &ManifestKey,
    metadata_key: &MetadataKey,
) -> Vec<u8> {
    let key = operator_key.box_key(Kind::PendingKeys, &salt, label);
    let plain: [&[u8]; 2] = [manifest_key.0.bytes(), metadata_key.0.bytes()];
    seal(Kind::PendingKeys, &key, salt, &plain)
}

/// Opens what [`pending_keys_seal`] made under the same label.
///
/// # Errors
/// As [`MetadataKey::open`].
pub fn pending_keys_open(
    operator_key: &OperatorKey,
    label: &[u8],
    sealed: &[u8],
) -> Result<(ManifestKey, MetadataKey), OpenError> {
    let (header, body) = parse(Kind::PendingKeys, sealed)?;
    let mut plain = LockedBox::new([0; 2 * KEY_LEN + TAG_LEN]);
    if body.len() != plain.len() {
        return Err(OpenError::Malformed);
    }
    plain.copy_from_slice(body);
    let key = operator_key.box_key(Kind::PendingKeys, &array_at(header, 4), label);
    open(&key, header, &mut plain[..])?;
    let secret = |at: usize| Secret::from_slice(&plain[at..at + KEY_LEN]).expect("a slice of 32 bytes");
    Ok((ManifestKey(secret(0)), MetadataKey(secret(KEY_LEN))))
}

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Metadata = 1,
    Secret = 2,
    PendingKeys = 3,
}

fn seal(kind: Kind, key: &AeadKey, salt: [u8; 32], plain: &[&[u8]]) -> Vec<u8> {
    let plain_len: usize = plain.iter().map(|piece| piece.len()).sum();
    // Reserved whole: growing would leave a copy of the plaintext behind.
    let mut out = Vec::with_capacity(plain_len + BOX_OVERHEAD);
    out.extend_from_slice(&[VERSION, kind as u8, 0, 0]);
    out.extend_from_slice(&salt);
    plain.iter().for_each(|piece| out.extend_from_slice(piece));
    let (header, body) = out.split_at_mut(HEADER_LEN);
    let tag = key.seal_in_place_assume_unique_nonce([0; 12], header, body);
    out.extend_from_slice(&tag);
    out
}

fn parse(kind: Kind, sealed: &[u8]) -> Result<(&[u8], &[u8]), OpenError> {
    if sealed.len() < BOX_OVERHEAD || sealed[..4] != [VERSION, kind as u8, 0, 0] {
        return Err(OpenError::Malformed);
    }
    Ok(sealed.split_at(HEADER_LEN))
}

fn open(key: &AeadKey, header: &[u8], body: &mut [u8]) -> Result<usize, OpenError> {
    key.open_within([0; 12], header, body, 0).ok_or(OpenError::AuthenticationFailed)
}

fn lp(label: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + label.len());
    push_lp(&mut out, label);
    out
}

const VERSION: u8 = 1;
const HEADER_LEN: usize = 36;
