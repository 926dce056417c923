//! Where one shard lies on its drive: the value of the drive index and of a footer's directory.

use super::bytes::{put, take, take_u32, take_u64};
use super::shape::{CELL_BYTES, ROWS_MAX, StripeShape};
use super::{BLOCK_BYTES, FormatError};
use crate::ids::{SegmentId, StripeId};

/// Encoded length without the checksums.
const FIXED_BYTES: usize = 48;
const LOCATION_VERSION: u8 = 1;
/// A longer encoding is not one of ours.
pub const LOCATION_BYTES_MAX: usize = FIXED_BYTES + 8 * ROWS_MAX;
/// Nor is a longer record: a block before the cells, all rows, padding.
const RECORD_BYTES_MAX: u32 = (ROWS_MAX * CELL_BYTES) as u32 + 2 * BLOCK_BYTES as u32;

/// One shard of one stripe: the key of the drive index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardKey {
    /// The stripe.
    pub stripe: StripeId,
    /// Which of its columns.
    pub shard: u8,
}

impl ShardKey {
    /// The 17 bytes of the index key.
    pub fn encode(&self) -> [u8; 17] {
        let mut key = [0; 17];
        key[..16].copy_from_slice(self.stripe.as_bytes());
        key[16] = self.shard;
        key
    }

    /// Reads an index key.
    pub fn decode(key: &[u8]) -> Result<Self, FormatError> {
        if key.len() != 17 {
            return Err(FormatError::Short);
        }
        Ok(Self { stripe: StripeId::from_bytes(take(key, 0)?), shard: key[16] })
    }
}

/// Where a shard's record is, and the checksums of its cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardLocation {
    /// The file.
    pub segment: SegmentId,
    /// Where the record starts in it.
    pub record_offset: u64,
    /// Length of the record with its padding.
    pub record_bytes: u32,
    /// Where the first cell starts in the record.
    pub data_offset: u32,
    /// Bytes of a cell in a full row.
    pub cell_bytes: u32,
    /// Bytes of the cell in the last row.
    pub last_cell_bytes: u32,
    /// One checksum per row.
    pub crcs: Vec<u64>,
}

impl ShardLocation {
    /// Whether the record has the cells that `shape` asks for.
    pub fn fits(&self, shape: &StripeShape) -> bool {
        let rows = shape.rows();
        self.crcs.len() == rows
            && self.last_cell_bytes as usize == shape.cell_bytes(rows - 1)
            && (rows == 1 || self.cell_bytes as usize == shape.cell_bytes(0))
    }

    /// Where the cell of `row` starts in the segment.
    pub fn cell_offset(&self, row: usize) -> u64 {
        self.record_offset + u64::from(self.data_offset) + row as u64 * u64::from(self.cell_bytes)
    }

    /// Bytes of the cell of `row`.
    pub fn cell_len(&self, row: usize) -> usize {
        let last = row + 1 == self.crcs.len();
        if last { self.last_cell_bytes as usize } else { self.cell_bytes as usize }
    }

    /// The value of the index.
    pub fn encode(&self) -> Vec<u8> {
        let mut value = vec![0; FIXED_BYTES + 8 * self.crcs.len()];
        put(&mut value, 0, &[LOCATION_VERSION, self.crcs.len() as u8]);
        put(&mut value, 8, self.segment.as_bytes());
        put(&mut value, 24, &self.record_offset.to_le_bytes());
        put(&mut value, 32, &self.record_bytes.to_le_bytes());
        put(&mut value, 36, &self.data_offset.to_le_bytes());
        put(&mut value, 40, &self.cell_bytes.to_le_bytes());
        put(&mut value, 44, &self.last_cell_bytes.to_le_bytes());
        for (row, crc) in self.crcs.iter().enumerate() {
            put(&mut value, FIXED_BYTES + 8 * row, &crc.to_le_bytes());
        }
        value
    }

    /// Reads a value of the index, whole.
    pub fn decode(value: &[u8]) -> Result<Self, FormatError> {
        let (location, used) = Self::decode_prefix(value)?;
        if used == value.len() { Ok(location) } else { Err(FormatError::Range) }
    }

    /// Reads a location from the start of `value`, and tells how many bytes it took.
    pub fn decode_prefix(value: &[u8]) -> Result<(Self, usize), FormatError> {
        let [version, rows] = take(value, 0)?;
        let rows = usize::from(rows);
        if version > LOCATION_VERSION {
            return Err(FormatError::NewerVersion { found: version.into(), known: LOCATION_VERSION.into() });
        }
        let location = Self {
            segment: SegmentId::from_bytes(take(value, 8)?),
            record_offset: take_u64(value, 24)?,
            record_bytes: take_u32(value, 32)?,
            data_offset: take_u32(value, 36)?,
            cell_bytes: take_u32(value, 40)?,
            last_cell_bytes: take_u32(value, 44)?,
            crcs: (0..rows).map(|row| take_u64(value, FIXED_BYTES + 8 * row)).collect::<Result<_, _>>()?,
        };
        let data_bytes = location.data_bytes();
        let in_range = version == LOCATION_VERSION
            && (1..=ROWS_MAX).contains(&rows)
            && location.cell_bytes.max(location.last_cell_bytes) as usize <= CELL_BYTES
            && location.record_bytes <= RECORD_BYTES_MAX
            && location.record_offset.is_multiple_of(BLOCK_BYTES)
            && location.record_offset.checked_add(location.record_bytes.into()).is_some()
            && u64::from(location.data_offset) + data_bytes <= location.record_bytes.into();
        if in_range { Ok((location, FIXED_BYTES + 8 * rows)) } else { Err(FormatError::Range) }
    }

    /// Bytes of all its cells.
    pub fn data_bytes(&self) -> u64 {
        (self.crcs.len() as u64).saturating_sub(1) * u64::from(self.cell_bytes) + u64::from(self.last_cell_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_truncate() {
        let location = ShardLocation {
            segment: SegmentId::from_bytes([9; 16]),
            record_offset: 8192,
            record_bytes: 4096 + 131_072 + 4096,
            data_offset: 4096,
            cell_bytes: 65_536,
            last_cell_bytes: 640,
            crcs: vec![1, u64::MAX, 3],
        };
        let value = location.encode();
        assert_eq!(ShardLocation::decode(&value), Ok(location.clone()));
        assert_eq!(location.cell_offset(2), 8192 + 4096 + 131_072);
        for len in 0..value.len() {
            assert!(ShardLocation::decode(&value[..len]).is_err());
        }
        let outside = ShardLocation { record_bytes: 4096, ..location };
        assert_eq!(ShardLocation::decode(&outside.encode()), Err(FormatError::Range));
    }

    #[test]
    fn keys_sort_by_stripe_then_shard() {
        let stripe = StripeId::first(5, [1; 6]);
        let keys = [(stripe, 0), (stripe, 1), (stripe.nth(1), 0)].map(|(stripe, shard)| ShardKey { stripe, shard });
        assert!(keys.map(|key| key.encode()).is_sorted());
        assert_eq!(ShardKey::decode(&keys[1].encode()), Ok(keys[1]));
        assert!(ShardKey::decode(&[0; 16]).is_err());
    }
}
