//! The 88 bytes at the start of a part blob.

use crate::encode::array_at;
use crate::error::HeaderError;
use crate::mode::Mode;

/// Bytes of a part header.
pub const HEADER_LEN: usize = 88;

/// Bytes that the stream key is bound to: all before the salt.
pub(crate) const CONTEXT_LEN: usize = 32;

/// Salt of a part stream: fresh random bytes at every upload of a part.
pub(crate) const SALT_LEN: usize = 24;

/// What a part blob begins with, and what the part's row keeps.
///
/// ```text
///  0  4 magic "SOV1"   4 1 suite   5 1 mode   6 2 flags (0)
///  8 16 object uuid   24 4 part number, 0 = single PUT   28 4 zero
/// 32 24 salt          56 32 commitment
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartHeader {
    /// Who holds the root key.
    pub mode: Mode,
    /// The lineage.
    pub object_uuid: [u8; 16],
    /// 1 to 10 000, or 0 for a single PUT.
    pub part_number: u32,
    /// Public, never used twice under one object key.
    pub salt: [u8; SALT_LEN],
    /// Commits to key, salt and the fields above.
    pub commitment: [u8; 32],
}

impl PartHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let context = context(self.mode, &self.object_uuid, self.part_number);
        out[..CONTEXT_LEN].copy_from_slice(&context);
        out[CONTEXT_LEN..56].copy_from_slice(&self.salt);
        out[56..].copy_from_slice(&self.commitment);
        out
    }

    /// Reads the bytes at the start of a blob.
    ///
    /// # Errors
    /// [`HeaderError`] for another length, magic, suite or mode, or a reserved byte that is set.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() != HEADER_LEN || bytes[..4] != *MAGIC || bytes[4] != SUITE_COBBLESTONE_256 {
            return Err(HeaderError);
        }
        if bytes[6..8] != [0; 2] || bytes[28..32] != [0; 4] {
            return Err(HeaderError);
        }
        Ok(Self {
            mode: Mode::try_from(bytes[5]).map_err(|_| HeaderError)?,
            object_uuid: array_at(bytes, 8),
            part_number: u32::from_be_bytes(array_at(bytes, 24)),
            salt: array_at(bytes, CONTEXT_LEN),
            commitment: array_at(bytes, 56),
        })
    }
}

/// The first 32 bytes of a header.
pub(crate) fn context(mode: Mode, object_uuid: &[u8; 16], part_number: u32) -> [u8; CONTEXT_LEN] {
    let mut out = [0; CONTEXT_LEN];
    out[..4].copy_from_slice(MAGIC);
    out[4] = SUITE_COBBLESTONE_256;
    out[5] = mode.as_byte();
    out[8..24].copy_from_slice(object_uuid);
    out[24..28].copy_from_slice(&part_number.to_be_bytes());
    out
}

const MAGIC: &[u8; 4] = b"SOV1";

/// C2SP chunked-encryption with HKDF-Expand-SHA-512 and AES-256-GCM. 2 is reserved for FLOE.
const SUITE_COBBLESTONE_256: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> PartHeader {
        PartHeader {
            mode: Mode::C,
            object_uuid: [0xaa; 16],
            part_number: 0x0102_0304,
            salt: [0xbb; 24],
            commitment: [0xcc; 32],
        }
    }

    #[test]
    fn round_trip() {
        let bytes = header().encode();
        assert_eq!(bytes[24..28], [1, 2, 3, 4]);
        assert_eq!(PartHeader::decode(&bytes), Ok(header()));
    }

    #[test]
    fn every_fixed_byte_is_checked() {
        let bytes = header().encode();
        for at in [0, 1, 2, 3, 4, 5, 6, 7, 28, 29, 30, 31] {
            let mut bad = bytes;
            bad[at] ^= 0x80;
            assert_eq!(PartHeader::decode(&bad), Err(HeaderError), "byte {at}");
        }
        assert_eq!(PartHeader::decode(&bytes[1..]), Err(HeaderError));
    }
}
