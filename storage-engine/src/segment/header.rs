//! The first block of a segment: whose it is.

use super::bytes::{check_crc64, put, seal_crc64, take, take_u32, take_u64};
use super::{BLOCK_BYTES, FormatError};
use crate::ids::{ClusterId, DriveId, SegmentId};

const MAGIC: &[u8; 8] = b"CHRTSEG1";
/// The newest format of segments that this code writes and reads.
pub const SEGMENT_VERSION: u32 = 1;
const CRC_AT: usize = 4088;
const CLASS_DATA: u8 = 1;
const CLASS_COPIES: u8 = 2;

/// What a segment is written with. What compaction copies goes to segments of data, whatever it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SegmentClass {
    /// Shards of stripes.
    #[default]
    Data,
    /// Whole copies of small blobs, which are to be packed.
    Copies,
}

impl SegmentClass {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Data, Self::Copies];

    /// Its place in [`SegmentClass::ALL`].
    pub fn index(self) -> usize {
        usize::from(self.code() - CLASS_DATA)
    }

    /// As it stands in a header.
    fn code(self) -> u8 {
        match self {
            Self::Data => CLASS_DATA,
            Self::Copies => CLASS_COPIES,
        }
    }
}

/// The header block of a segment of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The installation.
    pub cluster: ClusterId,
    /// The drive that holds the file.
    pub drive: DriveId,
    /// The segment's own id, which is its file name too.
    pub segment: SegmentId,
    /// What it is written with.
    pub class: SegmentClass,
    /// Length that was reserved for it.
    pub reserved_bytes: u64,
    /// Unix time in microseconds.
    pub created_us: u64,
}

impl SegmentHeader {
    /// The block as it stands on disk.
    pub fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_BYTES as usize];
        put(&mut block, 0, MAGIC);
        put(&mut block, 8, &SEGMENT_VERSION.to_le_bytes());
        put(&mut block, 12, &[self.class.code()]);
        put(&mut block, 16, self.cluster.as_bytes());
        put(&mut block, 32, self.drive.as_bytes());
        put(&mut block, 48, self.segment.as_bytes());
        put(&mut block, 64, &self.reserved_bytes.to_le_bytes());
        put(&mut block, 72, &self.created_us.to_le_bytes());
        seal_crc64(&mut block, CRC_AT);
        block
    }

    /// Reads a header block.
    pub fn decode(block: &[u8]) -> Result<Self, FormatError> {
        let block = block.get(..BLOCK_BYTES as usize).ok_or(FormatError::Short)?;
        if take::<8>(block, 0)? != *MAGIC {
            return Err(FormatError::Magic);
        }
        check_crc64(block, CRC_AT)?;
        let version = take_u32(block, 8)?;
        if version > SEGMENT_VERSION {
            return Err(FormatError::NewerVersion { found: version, known: SEGMENT_VERSION });
        }
        let class = SegmentClass::ALL.into_iter().find(|class| class.code() == block[12]).ok_or(FormatError::Range)?;
        Ok(Self {
            cluster: ClusterId::from_bytes(take(block, 16)?),
            drive: DriveId::from_bytes(take(block, 32)?),
            segment: SegmentId::from_bytes(take(block, 48)?),
            class,
            reserved_bytes: take_u64(block, 64)?,
            created_us: take_u64(block, 72)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_flip_and_truncate() {
        let header = |class| SegmentHeader {
            cluster: ClusterId::from_bytes([1; 16]),
            drive: DriveId::from_bytes([2; 16]),
            segment: SegmentId::from_bytes([3; 16]),
            class,
            reserved_bytes: 64 << 20,
            created_us: 1_767_225_600_000_000,
        };
        for class in SegmentClass::ALL {
            assert_eq!(SegmentHeader::decode(&header(class).encode()), Ok(header(class)));
        }
        let block = header(SegmentClass::Copies).encode();
        for at in 0..block.len() {
            let mut flipped = block.clone();
            flipped[at] ^= 0x10;
            assert!(SegmentHeader::decode(&flipped).is_err(), "byte {at}");
        }
        assert_eq!(SegmentHeader::decode(&block[..4095]), Err(FormatError::Short));
    }
}
