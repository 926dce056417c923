//! A segment of the log: a header block, then batches of entries.
//!
//! A segment is the same, byte for byte, on every mirror. Its file is written with zeros once and
//! then recycled under new sequence numbers, so that a commit never changes metadata. What an
//! earlier use left behind names another sequence number and is never taken for this one's.

use super::entry::{Chain, crc64, get_u64, put_u64};
use crate::ids::ClusterId;

/// Bytes before the first batch.
pub(crate) const SEGMENT_HEADER_BYTES: u64 = 4096;
/// Where the segments of a drive lie.
pub(crate) const LOG_DIR: &str = "log";

/// Indexes of entries, and numbers of segments, are below this: no arithmetic on what a disk gives overflows.
pub(crate) const LOG_NUMBER_END: u64 = 1 << 56;
/// The longest segment.
const SEGMENT_BYTES_END: u64 = 1 << 48;

const MAGIC: [u8; 8] = *b"CHARLOG1";
const VERSION: u32 = 1;
const FIELDS_BYTES: usize = 256;
const CRC_AT: usize = FIELDS_BYTES - 8;

/// The first block of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) sequence: u64,
    pub(crate) len_bytes: u64,
    /// The term in which it was begun.
    pub(crate) term: u64,
    /// Index of its first entry.
    pub(crate) first_index: u64,
    /// The chain before its first entry.
    pub(crate) before: Chain,
}

impl SegmentHeader {
    /// The whole header block.
    pub(crate) fn encode(&self, cluster: ClusterId) -> Vec<u8> {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(FIELDS_BYTES as u32).to_le_bytes());
        bytes[16..32].copy_from_slice(cluster.as_bytes());
        put_u64(&mut bytes, 32, self.sequence);
        put_u64(&mut bytes, 40, self.len_bytes);
        put_u64(&mut bytes, 48, self.term);
        put_u64(&mut bytes, 56, self.first_index);
        bytes[64..96].copy_from_slice(&self.before.0);
        let crc = crc64(&bytes[..CRC_AT]);
        put_u64(&mut bytes, CRC_AT, crc);
        bytes
    }

    /// Reads the header of segment `sequence`; `None` if the file was never begun as that segment.
    pub(crate) fn decode(bytes: &[u8], cluster: ClusterId, sequence: u64) -> Option<Self> {
        let bytes = bytes.get(..FIELDS_BYTES)?;
        let known = bytes[..8] == MAGIC && bytes[8..12] == VERSION.to_le_bytes();
        if !known || get_u64(bytes, CRC_AT) != crc64(&bytes[..CRC_AT]) || bytes[16..32] != cluster.as_bytes()[..] {
            return None;
        }
        let mut before = [0; 32];
        before.copy_from_slice(&bytes[64..96]);
        let header = Self {
            sequence: get_u64(bytes, 32),
            len_bytes: get_u64(bytes, 40),
            term: get_u64(bytes, 48),
            first_index: get_u64(bytes, 56),
            before: Chain(before),
        };
        let in_range = header.sequence < LOG_NUMBER_END
            && (1..LOG_NUMBER_END).contains(&header.first_index)
            && header.term < LOG_NUMBER_END
            && (SEGMENT_HEADER_BYTES..SEGMENT_BYTES_END).contains(&header.len_bytes);
        (header.sequence == sequence && in_range).then_some(header)
    }
}

/// The name of a segment on its drive.
pub(crate) fn segment_name(sequence: u64) -> String {
    format!("{LOG_DIR}/{sequence:016x}.log")
}

/// What a file in the log's folder is, by its name without the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFileKind {
    /// A segment, begun or prepared.
    Segment(u64),
    /// A file ready for reuse.
    Spare(u64),
    /// Left by a crash, or not ours.
    Other,
}

/// The name of a spare on its drive.
pub(crate) fn spare_name(number: u64) -> String {
    format!("{LOG_DIR}/spare-{number:016x}")
}

/// Reads a file name of the log's folder.
pub(crate) fn file_kind(name: &str) -> LogFileKind {
    let number = |digits: &str| (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten();
    if let Some(sequence) = name.strip_suffix(".log").and_then(number) {
        LogFileKind::Segment(sequence)
    } else if let Some(spare) = name.strip_prefix("spare-").and_then(number) {
        LogFileKind::Spare(spare)
    } else {
        LogFileKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId::from_bytes([9; 16]);

    fn header() -> SegmentHeader {
        SegmentHeader { sequence: 12, len_bytes: 1 << 20, term: 3, first_index: 99, before: Chain([5; 32]) }
    }

    #[test]
    fn round_trips_and_refuses_every_flip() {
        let bytes = header().encode(CLUSTER);
        assert_eq!(bytes.len() as u64, SEGMENT_HEADER_BYTES);
        assert_eq!(SegmentHeader::decode(&bytes, CLUSTER, 12), Some(header()));
        for at in 0..FIELDS_BYTES {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert_eq!(SegmentHeader::decode(&flipped, CLUSTER, 12), None, "byte {at}");
        }
        for len in 0..FIELDS_BYTES {
            assert_eq!(SegmentHeader::decode(&bytes[..len], CLUSTER, 12), None);
        }
    }

    #[test]
    fn a_recycled_file_is_not_the_new_segment() {
        let bytes = header().encode(CLUSTER);
        assert_eq!(SegmentHeader::decode(&bytes, CLUSTER, 13), None);
        assert_eq!(SegmentHeader::decode(&bytes, ClusterId::from_bytes([8; 16]), 12), None);
    }

    #[test]
    fn names_round_trip() {
        assert_eq!(file_kind(segment_name(77).strip_prefix("log/").unwrap()), LogFileKind::Segment(77));
        assert_eq!(file_kind(spare_name(3).strip_prefix("log/").unwrap()), LogFileKind::Spare(3));
        assert_eq!(file_kind("00.log"), LogFileKind::Other);
        assert_eq!(file_kind("x"), LogFileKind::Other);
    }
}
