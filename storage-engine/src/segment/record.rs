//! One shard of one stripe as it stands in a segment: header, checksum table, cells, padding.

use super::bytes::{check_crc64, put, seal_crc64, take, take_u16, take_u32, take_u64};
use super::location::{ShardKey, ShardLocation};
use super::shape::{CELL_BYTES, ROWS_MAX};
use super::stripe::EncodedStripe;
use super::{BLOCK_BYTES, FormatError, round_up_to_block};
use crate::ids::{ClusterId, DriveId, SegmentId, StripeId};

/// First bytes of a record.
pub const RECORD_MAGIC: &[u8; 8] = b"CHRTREC1";
const RECORD_VERSION: u16 = 1;
/// Fixed part of the header; the checksum table follows it.
pub const RECORD_HEADER_BYTES: usize = 256;
/// Header and table at most.
pub const RECORD_HEAD_BYTES_MAX: usize = RECORD_HEADER_BYTES + 8 * ROWS_MAX;
const CRC_AT: usize = 16;
/// From this many bytes of cells on, the cells start at a block of their own.
const ALIGNED_FROM_BYTES: usize = 60 << 10;
/// Cells of a small record start at a multiple of this, right after the table.
const SMALL_ALIGN_BYTES: usize = 64;

/// The place that a record is written to, which it names so that it cannot be taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// The installation.
    pub cluster: ClusterId,
    /// The drive.
    pub drive: DriveId,
    /// The segment.
    pub segment: SegmentId,
    /// Where the record starts in the segment.
    pub offset: u64,
}

/// Where a record's cells start, and how long it is with padding.
pub fn record_extent(rows: usize, column_bytes: usize) -> (usize, usize) {
    let head_bytes = RECORD_HEADER_BYTES + 8 * rows;
    let data_offset = if column_bytes >= ALIGNED_FROM_BYTES {
        BLOCK_BYTES as usize
    } else {
        head_bytes.next_multiple_of(SMALL_ALIGN_BYTES)
    };
    (data_offset, round_up_to_block((data_offset + column_bytes) as u64) as usize)
}

/// The bytes of a record before its cells, and the location that the index keeps of it.
pub fn encode_record_head(stripe: &EncodedStripe, shard: u8, place: &RecordPlace) -> (Vec<u8>, ShardLocation) {
    let shape = &stripe.shape;
    let (geometry, rows) = (shape.geometry(), shape.rows());
    let (data_offset, record_bytes) = record_extent(rows, shape.column_bytes());
    let location = ShardLocation {
        segment: place.segment,
        record_offset: place.offset,
        record_bytes: record_bytes as u32,
        data_offset: data_offset as u32,
        cell_bytes: CELL_BYTES as u32,
        last_cell_bytes: shape.cell_bytes(rows - 1) as u32,
        crcs: stripe.column_crcs(usize::from(shard)).collect(),
    };
    let head_bytes = RECORD_HEADER_BYTES + 8 * rows;
    let mut head = vec![0; data_offset];
    put(&mut head, 0, RECORD_MAGIC);
    put(&mut head, 8, &RECORD_VERSION.to_le_bytes());
    put(&mut head, 10, &(head_bytes as u16).to_le_bytes());
    put(&mut head, 24, place.cluster.as_bytes());
    put(&mut head, 40, place.drive.as_bytes());
    put(&mut head, 56, place.segment.as_bytes());
    put(&mut head, 72, &place.offset.to_le_bytes());
    put(&mut head, 80, stripe.id.as_bytes());
    put(&mut head, 96, &[shard, geometry.k() as u8, geometry.m() as u8, rows as u8]);
    put(&mut head, 100, &location.cell_bytes.to_le_bytes());
    put(&mut head, 104, &location.last_cell_bytes.to_le_bytes());
    put(&mut head, 108, &location.data_offset.to_le_bytes());
    put(&mut head, 112, &location.record_bytes.to_le_bytes());
    put(&mut head, 116, &(shape.len_bytes() as u32).to_le_bytes());
    put(&mut head, 120, &stripe.layout_version.to_le_bytes());
    put(&mut head, 124, &stripe.group.to_le_bytes());
    for (row, crc) in location.crcs.iter().enumerate() {
        put(&mut head, RECORD_HEADER_BYTES + 8 * row, &crc.to_le_bytes());
    }
    seal_crc64(&mut head[..head_bytes], CRC_AT);
    (head, location)
}

/// Makes the head of a record that was read from elsewhere on its drive say that it is at `place`.
///
/// `head` starts with a whole, verified head; nothing after its table is touched.
pub fn rehome_record_head(head: &mut [u8], place: &RecordPlace) -> Result<(), FormatError> {
    let head_bytes = usize::from(take_u16(head, 10)?);
    let head = head.get_mut(..head_bytes).ok_or(FormatError::Short)?;
    put(head, 24, place.cluster.as_bytes());
    put(head, 40, place.drive.as_bytes());
    put(head, 56, place.segment.as_bytes());
    put(head, 72, &place.offset.to_le_bytes());
    seal_crc64(head, CRC_AT);
    Ok(())
}

/// Reads the header and table of the record that should be at `place`.
///
/// `head` starts at the record; bytes after the table are not looked at.
pub fn decode_record_head(head: &[u8], place: &RecordPlace) -> Result<(ShardKey, ShardLocation), FormatError> {
    if take::<8>(head, 0)? != *RECORD_MAGIC {
        return Err(FormatError::Magic);
    }
    let head_bytes = usize::from(take_u16(head, 10)?);
    if !(RECORD_HEADER_BYTES..=RECORD_HEAD_BYTES_MAX).contains(&head_bytes) {
        return Err(FormatError::Range);
    }
    let head = head.get(..head_bytes).ok_or(FormatError::Short)?;
    check_crc64(head, CRC_AT)?;
    let version = take_u16(head, 8)?;
    if version > RECORD_VERSION {
        return Err(FormatError::NewerVersion { found: version.into(), known: RECORD_VERSION.into() });
    }
    let found = RecordPlace {
        cluster: ClusterId::from_bytes(take(head, 24)?),
        drive: DriveId::from_bytes(take(head, 40)?),
        segment: SegmentId::from_bytes(take(head, 56)?),
        offset: take_u64(head, 72)?,
    };
    if found != *place {
        return Err(FormatError::Misplaced);
    }
    let rows = usize::from(head[99]);
    if head_bytes != RECORD_HEADER_BYTES + 8 * rows {
        return Err(FormatError::Range);
    }
    let location = ShardLocation {
        segment: found.segment,
        record_offset: found.offset,
        cell_bytes: take_u32(head, 100)?,
        last_cell_bytes: take_u32(head, 104)?,
        data_offset: take_u32(head, 108)?,
        record_bytes: take_u32(head, 112)?,
        crcs: (0..rows).map(|row| take_u64(head, RECORD_HEADER_BYTES + 8 * row)).collect::<Result<_, _>>()?,
    };
    let key = ShardKey { stripe: StripeId::from_bytes(take(head, 80)?), shard: head[96] };
    // The same range checks as for a stored location.
    let location = ShardLocation::decode(&location.encode())?;
    if !u64::from(location.record_bytes).is_multiple_of(BLOCK_BYTES) || location.record_bytes == 0 {
        return Err(FormatError::Range);
    }
    Ok((key, location))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Pool;
    use crate::codec::Geometry;
    use crate::segment::shape::StripeShape;
    use crate::segment::stripe::{encode_row, parity_bytes};

    /// A stripe of 4+2 with `len` bytes of a pattern.
    fn stripe(len: usize) -> EncodedStripe {
        let shape = StripeShape::new(Geometry::new(4, 2).unwrap(), len).unwrap();
        let parity_at = shape.padded_bytes();
        let bytes = parity_at + parity_bytes(&shape);
        let mut buffer = Pool::new(64 << 20).try_take(bytes).unwrap();
        for (place, byte) in buffer[..len].iter_mut().enumerate() {
            *byte = ((place * 31) >> 3) as u8;
        }
        let id = StripeId::first(9, [4; 6]);
        let mut crcs = Vec::new();
        (0..shape.rows()).for_each(|row| encode_row(id, &shape, row, &mut buffer, parity_at, &mut crcs));
        EncodedStripe::new(id, shape, (1, 0), (buffer, parity_at), crcs)
    }

    fn place() -> RecordPlace {
        RecordPlace {
            cluster: ClusterId::from_bytes([1; 16]),
            drive: DriveId::from_bytes([2; 16]),
            segment: SegmentId::from_bytes([3; 16]),
            offset: 12_288,
        }
    }

    #[test]
    fn round_trip_flip_misplace_and_truncate() {
        let stripe = stripe(300_000);
        let (head, location) = encode_record_head(&stripe, 5, &place());
        let key = ShardKey { stripe: stripe.id, shard: 5 };
        assert_eq!(decode_record_head(&head, &place()), Ok((key, location.clone())));
        assert!(location.fits(&stripe.shape));
        let table_end = RECORD_HEADER_BYTES + 16;
        for at in 0..table_end {
            let mut flipped = head.clone();
            flipped[at] ^= 0x40;
            assert!(decode_record_head(&flipped, &place()).is_err(), "byte {at}");
            assert!(decode_record_head(&head[..at], &place()).is_err());
        }
        let elsewhere = RecordPlace { offset: 16_384, ..place() };
        assert_eq!(decode_record_head(&head, &elsewhere), Err(FormatError::Misplaced));
        let mut moved = head.clone();
        rehome_record_head(&mut moved, &elsewhere).unwrap();
        let there = ShardLocation { record_offset: 16_384, ..location };
        assert_eq!(decode_record_head(&moved, &elsewhere), Ok((key, there)));
        assert_eq!(decode_record_head(&moved, &place()), Err(FormatError::Misplaced));
    }

    #[test]
    fn small_records_share_a_block_with_their_header() {
        assert_eq!(record_extent(1, 4160), (320, 8192));
        assert_eq!(record_extent(4, 4 * CELL_BYTES), (4096, 4096 + 4 * CELL_BYTES));
        let stripe = stripe(16_504);
        assert_eq!(stripe.column(0).count(), 1);
        assert_eq!(stripe.column(5).next().unwrap().len(), 4160);
    }
}
