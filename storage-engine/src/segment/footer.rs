//! What closes a sealed segment: the directory of its records, then one trailer block.
//!
//! The directory starts at the first block after the records. The trailer is the last block of
//! the file, so that a reader finds it from the length alone.

use super::bytes::{check_crc64, put, seal_crc64, take, take_u32, take_u64};
use super::location::{ShardKey, ShardLocation};
use super::{BLOCK_BYTES, FormatError, round_up_to_block};
use crate::ids::SegmentId;

const MAGIC: &[u8; 8] = b"CHRTFTR1";
const FOOTER_VERSION: u32 = 1;
const CRC_AT: usize = 4088;
/// A directory is never longer: 2^20 records of one row.
pub const DIRECTORY_BYTES_MAX: u64 = 80 << 20;

/// One record of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Which shard it holds.
    pub key: ShardKey,
    /// Where it is.
    pub location: ShardLocation,
}

/// The trailer block: where the directory is and what it must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// The segment that it closes.
    pub segment: SegmentId,
    /// Where the directory starts.
    pub directory_offset: u64,
    /// Its length without padding.
    pub directory_bytes: u64,
    /// Records in it.
    pub records: u32,
    /// BLAKE3 of the directory.
    pub directory_hash: [u8; 32],
    /// BLAKE3 of all record headers with their tables, in order.
    pub headers_hash: [u8; 32],
}

/// Encodes directory, padding and trailer, to be written at `records_end`.
pub fn encode_footer(
    segment: SegmentId,
    records_end: u64,
    directory: &[DirectoryEntry],
    headers_hash: [u8; 32],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in directory {
        bytes.extend_from_slice(&entry.key.encode());
        bytes.extend_from_slice(&entry.location.encode());
    }
    let trailer = Trailer {
        segment,
        directory_offset: records_end,
        directory_bytes: bytes.len() as u64,
        records: directory.len() as u32,
        directory_hash: *blake3::hash(&bytes).as_bytes(),
        headers_hash,
    };
    bytes.resize(round_up_to_block(bytes.len() as u64) as usize, 0);
    bytes.extend_from_slice(&trailer.encode());
    bytes
}

impl Trailer {
    fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_BYTES as usize];
        put(&mut block, 0, MAGIC);
        put(&mut block, 8, &FOOTER_VERSION.to_le_bytes());
        put(&mut block, 12, &self.records.to_le_bytes());
        put(&mut block, 16, self.segment.as_bytes());
        put(&mut block, 32, &self.directory_offset.to_le_bytes());
        put(&mut block, 40, &self.directory_bytes.to_le_bytes());
        put(&mut block, 48, &self.directory_hash);
        put(&mut block, 80, &self.headers_hash);
        seal_crc64(&mut block, CRC_AT);
        block
    }

    /// Reads the last block of a file of `file_bytes` bytes.
    pub fn decode(block: &[u8], segment: SegmentId, file_bytes: u64) -> Result<Self, FormatError> {
        let block = block.get(..BLOCK_BYTES as usize).ok_or(FormatError::Short)?;
        if take::<8>(block, 0)? != *MAGIC {
            return Err(FormatError::Magic);
        }
        check_crc64(block, CRC_AT)?;
        let version = take_u32(block, 8)?;
        if version > FOOTER_VERSION {
            return Err(FormatError::NewerVersion { found: version, known: FOOTER_VERSION });
        }
        let trailer = Self {
            segment: SegmentId::from_bytes(take(block, 16)?),
            directory_offset: take_u64(block, 32)?,
            directory_bytes: take_u64(block, 40)?,
            records: take_u32(block, 12)?,
            directory_hash: take(block, 48)?,
            headers_hash: take(block, 80)?,
        };
        if trailer.segment != segment {
            return Err(FormatError::Misplaced);
        }
        if trailer.directory_bytes > DIRECTORY_BYTES_MAX {
            return Err(FormatError::Range);
        }
        let padded = round_up_to_block(trailer.directory_bytes);
        let end = trailer.directory_offset.checked_add(padded + BLOCK_BYTES);
        if end == Some(file_bytes) { Ok(trailer) } else { Err(FormatError::Range) }
    }

    /// Reads the directory that the trailer speaks of.
    pub fn decode_directory(&self, bytes: &[u8]) -> Result<Vec<DirectoryEntry>, FormatError> {
        if bytes.len() as u64 != self.directory_bytes {
            return Err(FormatError::Short);
        }
        if *blake3::hash(bytes).as_bytes() != self.directory_hash {
            return Err(FormatError::Checksum);
        }
        let mut entries = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let key = ShardKey::decode(rest.get(..17).ok_or(FormatError::Short)?)?;
            let (location, used) = ShardLocation::decode_prefix(&rest[17..])?;
            if location.segment != self.segment {
                return Err(FormatError::Misplaced);
            }
            entries.push(DirectoryEntry { key, location });
            rest = &rest[17 + used..];
        }
        if entries.len() == self.records as usize { Ok(entries) } else { Err(FormatError::Range) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StripeId;

    #[test]
    fn round_trip_flip_and_truncate() {
        let segment = SegmentId::from_bytes([6; 16]);
        let entries: Vec<DirectoryEntry> = (0..70)
            .map(|index| DirectoryEntry {
                key: ShardKey { stripe: StripeId::first(1, [2; 6]).nth(index), shard: (index % 6) as u8 },
                location: ShardLocation {
                    segment,
                    record_offset: 4096 + 8192 * u64::from(index),
                    record_bytes: 8192,
                    data_offset: 320,
                    cell_bytes: 65_536,
                    last_cell_bytes: 4160,
                    crcs: vec![index.into()],
                },
            })
            .collect();
        let records_end = 4096 + 8192 * 70;
        let footer = encode_footer(segment, records_end, &entries, [8; 32]);
        let file_bytes = records_end + footer.len() as u64;
        let (directory, block) = footer.split_at(footer.len() - 4096);
        let trailer = Trailer::decode(block, segment, file_bytes).unwrap();
        let directory = &directory[..trailer.directory_bytes as usize];
        assert_eq!(trailer.decode_directory(directory).unwrap(), entries);
        assert_eq!(trailer.headers_hash, [8; 32]);

        for at in 0..4096 {
            let mut flipped = block.to_vec();
            flipped[at] ^= 1;
            assert!(Trailer::decode(&flipped, segment, file_bytes).is_err(), "trailer byte {at}");
        }
        for at in 0..directory.len() {
            let mut flipped = directory.to_vec();
            flipped[at] ^= 1;
            assert!(trailer.decode_directory(&flipped).is_err(), "directory byte {at}");
        }
        assert!(trailer.decode_directory(&directory[1..]).is_err());
        assert!(Trailer::decode(block, segment, file_bytes - 4096).is_err());
        assert!(Trailer::decode(block, SegmentId::from_bytes([7; 16]), file_bytes).is_err());
    }
}
