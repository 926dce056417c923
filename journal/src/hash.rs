//! The hashes of RFC 6962, section 2.1, and the commitments that leaves carry.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::JournalError;
use crate::primitives::sha256;

/// Length of a hash in bytes.
pub const HASH_LEN: usize = 32;

/// A SHA-256 hash: of a leaf, of a node, or the root of a tree. Its text is base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; HASH_LEN]);

impl Hash {
    /// Takes 32 bytes as they are.
    pub const fn from_bytes(bytes: [u8; HASH_LEN]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; HASH_LEN] {
        &self.0
    }

    /// The 32 bytes.
    pub const fn to_bytes(self) -> [u8; HASH_LEN] {
        self.0
    }

    /// 64 lower-case hexadecimal digits, as leaves write commitments.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl From<[u8; HASH_LEN]> for Hash {
    fn from(bytes: [u8; HASH_LEN]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = JournalError;

    /// Only the one base64 text of 32 bytes: 44 characters, padded, no stray bits.
    fn from_str(text: &str) -> Result<Self, JournalError> {
        let bytes = STANDARD.decode(text).map_err(|_| JournalError::malformed("hash", "not base64"))?;
        let bytes = bytes.try_into().map_err(|_| JournalError::malformed("hash", "not 32 bytes"))?;
        Ok(Self(bytes))
    }
}

/// Hash of a leaf: SHA-256(0x00 ‖ data).
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash(sha256(&[&[0x00], data]))
}

/// Hash of a node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(sha256(&[&[0x01], &left.0, &right.0]))
}

/// Root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Hash(sha256(&[]))
}

/// Commitment to a name or digest: SHA-256(salt ‖ value).
///
/// `salt` is 32 random bytes kept in the object's sealed metadata: who holds them can open the
/// commitment; once they are destroyed it reveals nothing. The fixed length of the salt keeps
/// (salt, value) pairs apart.
pub fn commitment(salt: &[u8; 32], value: &[u8]) -> Hash {
    Hash(sha256(&[salt, value]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_reference_hold() {
        assert_eq!(empty_root().to_string(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        let empty_leaf = leaf_hash(b"").to_hex();
        assert!(empty_leaf.starts_with("6e340b9c") && empty_leaf.ends_with("fa01d"), "{empty_leaf}");
        let ab = node_hash(&leaf_hash(b"a"), &leaf_hash(b"b"));
        let abc = node_hash(&ab, &leaf_hash(b"c"));
        assert_eq!(abc.to_string(), "NmQuc8JUCrEh46a/lUWwokmCzYMOsT080Z3jzmwCHsE=");
    }

    #[test]
    fn a_hash_has_one_text() {
        let text = leaf_hash(b"a").to_string();
        assert_eq!(text.parse::<Hash>().unwrap(), leaf_hash(b"a"));
        for bad in ["", "AAAA", &text[..43], &format!("{text}="), &text.replace('=', ""), &format!(" {text}")] {
            assert!(bad.parse::<Hash>().is_err(), "{bad}");
        }
        // The last character before the padding carries two unused bits: they must be zero.
        let stray = format!("{}B=", "A".repeat(42));
        assert!(stray.parse::<Hash>().is_err());
    }
}
