//! The key types: one per use, each alone in a slot of locked memory.

use md5::{Digest, Md5};
use zeroize::{Zeroize, Zeroizing};

use crate::base64;
use crate::error::{Base64KeyError, KeyLength};
use crate::locked::LockedBox;
use crate::primitives::{KEY_LEN, ct_eq, hkdf_expand, scrubbed};

/// 32 secret bytes in locked memory.
pub(crate) struct Secret(LockedBox<[u8; KEY_LEN]>);

impl Secret {
    /// Writes the key where it will stay.
    pub(crate) fn fill_with(fill: impl FnOnce(&mut [u8; KEY_LEN])) -> Self {
        let mut slot = LockedBox::new([0; KEY_LEN]);
        fill(&mut slot);
        Self(slot)
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Result<Self, KeyLength> {
        let bytes: &[u8; KEY_LEN] = bytes.try_into().map_err(|_| KeyLength)?;
        Ok(Self::fill_with(|slot| slot.copy_from_slice(bytes)))
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

/// The key that a client sends with each request (SSE-C): the root key of mode C.
pub struct ClientKey(pub(crate) Secret);

impl ClientKey {
    /// Copies a raw key. The slice is the caller's to wipe.
    ///
    /// # Errors
    /// [`KeyLength`] if it is not 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyLength> {
        Secret::from_slice(bytes).map(Self)
    }

    /// Decodes the base64 text of a header straight into locked memory.
    ///
    /// # Errors
    /// [`Base64KeyError::NotBase64`], or [`Base64KeyError::Length`] with the MD5 of what it was.
    pub fn from_base64(text: &[u8]) -> Result<Self, Base64KeyError> {
        let len = base64::decoded_len(text).map_err(|_| Base64KeyError::NotBase64)?;
        if len != KEY_LEN {
            let mut bytes = Zeroizing::new(vec![0; len]);
            base64::decode(text, &mut bytes).map_err(|_| Base64KeyError::NotBase64)?;
            return Err(Base64KeyError::Length { md5: md5(&bytes) });
        }
        let mut decoded = Ok(());
        let key = Secret::fill_with(|slot| {
            decoded = scrubbed(|| base64::decode(text, slot));
        });
        decoded.map_err(|_| Base64KeyError::NotBase64)?;
        Ok(Self(key))
    }

    /// MD5 of the raw key, for the header check and the echo only: never stored, never logged.
    pub fn md5(&self) -> [u8; 16] {
        md5(self.0.bytes())
    }

    /// Whether two keys are the same, in constant time.
    pub fn ct_eq(&self, other: &Self) -> bool {
        ct_eq(self.0.bytes(), other.0.bytes())
    }
}

/// The operator's key: the root key of mode O, and the one that seals the server's own secrets.
pub struct OperatorKey(pub(crate) Secret);

impl OperatorKey {
    /// Copies a raw key. The slice is the caller's to wipe.
    ///
    /// # Errors
    /// [`KeyLength`] if it is not 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyLength> {
        Secret::from_slice(bytes).map(Self)
    }
}

/// The random key of one object lineage: every part, metadata and manifest key comes from it.
pub struct ObjectKey(pub(crate) Secret);

impl ObjectKey {
    /// Takes 32 random bytes and wipes this copy of them.
    pub fn generate(mut random: [u8; KEY_LEN]) -> Self {
        let key = Self::generate_with(|slot| slot.copy_from_slice(&random));
        random.zeroize();
        key
    }

    /// Lets `fill` draw 32 random bytes straight into locked memory.
    pub fn generate_with(fill: impl FnOnce(&mut [u8; KEY_LEN])) -> Self {
        Self(Secret::fill_with(fill))
    }

    /// The key that authenticates the list of parts.
    pub fn manifest_key(&self) -> ManifestKey {
        ManifestKey(self.derive(b"sov1/manifest"))
    }

    /// The key that seals user metadata, content headers and checksums.
    pub fn metadata_key(&self) -> MetadataKey {
        MetadataKey(self.derive(b"sov1/meta"))
    }

    fn derive(&self, label: &[u8]) -> Secret {
        Secret::fill_with(|slot| hkdf_expand(self.0.bytes(), &[label], slot))
    }
}

/// Authenticates the parts of one object: see [`Manifest`](crate::Manifest).
pub struct ManifestKey(pub(crate) Secret);

/// Seals the metadata of one object and of its parts.
pub struct MetadataKey(pub(crate) Secret);

fn md5(bytes: &[u8]) -> [u8; 16] {
    scrubbed(|| Md5::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_keys_from_headers() {
        let raw: Vec<u8> = (0..32).collect();
        let key = ClientKey::from_slice(&raw).unwrap();
        let text = b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let decoded = ClientKey::from_base64(text).unwrap_or_else(|e| panic!("{e}"));
        assert!(key.ct_eq(&decoded));
        assert!(!key.ct_eq(&ClientKey::from_slice(&[0; 32]).unwrap_or_else(|e| panic!("{e}"))));
        assert_eq!(hex::encode(key.md5()), "b4ffcb23737cec315a4a4d1aa2a620ce");

        assert_eq!(ClientKey::from_slice(&raw[1..]).err(), Some(KeyLength));
        let short = ClientKey::from_base64(b"AAEC").err();
        let md5 = hex::decode("b95f67f61ebb03619622d798f45fc2d3").unwrap();
        assert_eq!(short, Some(Base64KeyError::Length { md5: md5.try_into().unwrap() }));
        for bad in [&b"AAE"[..], b"AA*C", b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9="] {
            assert_eq!(ClientKey::from_base64(bad).err(), Some(Base64KeyError::NotBase64));
        }
    }

    #[test]
    fn derived_keys_differ() {
        let key = ObjectKey::generate([9; 32]);
        let manifest = key.manifest_key();
        assert_ne!(manifest.0.bytes(), key.metadata_key().0.bytes());
        assert_ne!(manifest.0.bytes(), key.0.bytes());
        assert_eq!(manifest.0.bytes(), ObjectKey::generate([9; 32]).manifest_key().0.bytes());
    }
}
