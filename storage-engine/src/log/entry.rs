//! One entry of the log: a 128-byte header and a payload.
//!
//! Byte layout: `docs/formats/log.md`. All integers are little-endian.

use super::segment::{LOG_NUMBER_END, SEGMENT_HEADER_BYTES};
use crate::ids::ClusterId;

/// Bytes of an entry before its payload.
pub(crate) const ENTRY_HEADER_BYTES: usize = 128;
/// Entries of one batch start on multiples of this.
pub(crate) const ENTRY_ALIGN: u64 = 64;
/// A batch starts on a multiple of this, so that a later write never touches a sector that holds
/// a durable entry.
pub(crate) const BATCH_ALIGN: u64 = 4096;
/// The largest payload: an encoded command is at most 9 MiB.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 12 << 20;

const MAGIC: [u8; 4] = *b"CHLE";
const VERSION: u8 = 1;
const FLAG_LAST_OF_BATCH: u8 = 1;
const HASHED_BYTES: usize = 64;
const CRC_AT: usize = ENTRY_HEADER_BYTES - 8;

/// A hash over the whole log up to and including one entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain(pub(crate) [u8; 32]);

impl Chain {
    /// The chain before the first entry of a cluster's log.
    pub(crate) fn genesis(cluster: ClusterId) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"chartrier log v1");
        hasher.update(cluster.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The chain after an entry with this digest.
    pub(crate) fn then(&self, digest: &EntryDigest) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(&digest.0);
        Self(*hasher.finalize().as_bytes())
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chain({:02x}{:02x}{:02x}{:02x}..)", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// A hash over one entry alone: its header up to the chain, and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryDigest([u8; 32]);

/// Whether an entry is followed by another of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InBatch {
    /// The next entry follows at the next multiple of [`ENTRY_ALIGN`].
    Middle,
    /// The next entry starts a batch, at the next multiple of [`BATCH_ALIGN`].
    Last,
}

/// What the header of an entry says, its chain apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    pub(crate) in_batch: InBatch,
    pub(crate) payload_len: u32,
    pub(crate) term: u64,
    pub(crate) index: u64,
    /// Every entry up to this index was durable on every live mirror when this one was written.
    pub(crate) durable: u64,
    /// The segment that it was written to.
    pub(crate) segment: u64,
    /// Its own place in the segment.
    pub(crate) offset: u64,
    pub(crate) payload_crc: u64,
}

/// An entry whose own checks all hold. Whether it follows the entry before it is the chain's to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckedEntry {
    pub(crate) header: EntryHeader,
    pub(crate) digest: EntryDigest,
    pub(crate) chain: Chain,
}

impl EntryHeader {
    /// Appends the entry to `out` and returns the chain after it.
    pub(crate) fn append_entry(&self, cluster: ClusterId, before: &Chain, payload: &[u8], out: &mut Vec<u8>) -> Chain {
        assert_eq!(payload.len(), self.payload_len as usize, "the header is of this payload");
        let mut bytes = [0; ENTRY_HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[5] = if self.in_batch == InBatch::Last { FLAG_LAST_OF_BATCH } else { 0 };
        bytes[6..8].copy_from_slice(&(ENTRY_HEADER_BYTES as u16).to_le_bytes());
        bytes[8..12].copy_from_slice(&self.payload_len.to_le_bytes());
        put_u64(&mut bytes, 16, self.term);
        put_u64(&mut bytes, 24, self.index);
        put_u64(&mut bytes, 32, self.durable);
        put_u64(&mut bytes, 40, self.segment);
        put_u64(&mut bytes, 48, self.offset);
        put_u64(&mut bytes, 56, self.payload_crc);
        let chain = before.then(&digest(&bytes, payload));
        bytes[64..96].copy_from_slice(&chain.0);
        bytes[96..112].copy_from_slice(cluster.as_bytes());
        let crc = crc64(&bytes[..CRC_AT]);
        put_u64(&mut bytes, CRC_AT, crc);
        out.extend_from_slice(&bytes);
        out.extend_from_slice(payload);
        chain
    }

    /// Reads a header found at `offset` of segment `segment`; `None` unless it was written there.
    pub(crate) fn decode(
        bytes: &[u8; ENTRY_HEADER_BYTES],
        cluster: ClusterId,
        segment: u64,
        offset: u64,
    ) -> Option<Self> {
        let known = bytes[..4] == MAGIC && bytes[4] == VERSION && bytes[5] & !FLAG_LAST_OF_BATCH == 0;
        if !known || get_u64(bytes, CRC_AT) != crc64(&bytes[..CRC_AT]) || bytes[96..112] != cluster.as_bytes()[..] {
            return None;
        }
        let header = Self {
            in_batch: if bytes[5] & FLAG_LAST_OF_BATCH != 0 { InBatch::Last } else { InBatch::Middle },
            payload_len: u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
            term: get_u64(bytes, 16),
            index: get_u64(bytes, 24),
            durable: get_u64(bytes, 32),
            segment: get_u64(bytes, 40),
            offset: get_u64(bytes, 48),
            payload_crc: get_u64(bytes, 56),
        };
        let here = header.segment == segment && header.offset == offset;
        let in_range = header.payload_len as usize <= PAYLOAD_BYTES_MAX
            && (1..LOG_NUMBER_END).contains(&header.index)
            && header.durable < LOG_NUMBER_END
            && header.term < LOG_NUMBER_END;
        (here && in_range).then_some(header)
    }

    /// Checks the payload; `bytes` are those that [`EntryHeader::decode`] read.
    pub(crate) fn check(self, bytes: &[u8; ENTRY_HEADER_BYTES], payload: &[u8]) -> Option<CheckedEntry> {
        if payload.len() != self.payload_len as usize || crc64(payload) != self.payload_crc {
            return None;
        }
        let mut chain = [0; 32];
        chain.copy_from_slice(&bytes[64..96]);
        Some(CheckedEntry { header: self, digest: digest(bytes, payload), chain: Chain(chain) })
    }

    /// Bytes of header and payload.
    pub(crate) fn len_bytes(&self) -> u64 {
        entry_bytes(self.payload_len as usize)
    }

    /// Where the entry after this one starts, if the segment holds one.
    pub(crate) fn next_offset(&self) -> u64 {
        let end = self.offset + self.len_bytes();
        match self.in_batch {
            InBatch::Middle => end.next_multiple_of(ENTRY_ALIGN),
            InBatch::Last => end.next_multiple_of(BATCH_ALIGN),
        }
    }
}

/// Bytes of an entry with a payload of `payload_len`, without the padding after it.
pub(crate) fn entry_bytes(payload_len: usize) -> u64 {
    (ENTRY_HEADER_BYTES + payload_len) as u64
}

/// The shortest segment that can hold every payload.
pub(crate) fn segment_bytes_min(payload_len: usize) -> u64 {
    SEGMENT_HEADER_BYTES + entry_bytes(payload_len).next_multiple_of(BATCH_ALIGN)
}

/// CRC-64/NVME.
pub(crate) fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes)
}

pub(crate) fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn get_u64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn digest(header: &[u8; ENTRY_HEADER_BYTES], payload: &[u8]) -> EntryDigest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header[..HASHED_BYTES]);
    hasher.update(payload);
    EntryDigest(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLUSTER: ClusterId = ClusterId::from_bytes([3; 16]);

    fn header(payload: &[u8], index: u64) -> EntryHeader {
        EntryHeader {
            in_batch: InBatch::Last,
            payload_len: payload.len() as u32,
            term: 2,
            index,
            durable: index.saturating_sub(1),
            segment: 7,
            offset: 8192,
            payload_crc: crc64(payload),
        }
    }

    fn encode(payload: &[u8]) -> (Vec<u8>, Chain) {
        let mut bytes = Vec::new();
        let chain = header(payload, 5).append_entry(CLUSTER, &Chain::genesis(CLUSTER), payload, &mut bytes);
        (bytes, chain)
    }

    fn decode(bytes: &[u8]) -> Option<CheckedEntry> {
        let head: [u8; ENTRY_HEADER_BYTES] = bytes.get(..ENTRY_HEADER_BYTES)?.try_into().ok()?;
        let header = EntryHeader::decode(&head, CLUSTER, 7, 8192)?;
        let end = ENTRY_HEADER_BYTES + header.payload_len as usize;
        header.check(&head, bytes.get(ENTRY_HEADER_BYTES..end)?)
    }

    proptest! {
        #[test]
        fn round_trips(payload in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let (bytes, chain) = encode(&payload);
            let entry = decode(&bytes).unwrap();
            prop_assert_eq!(entry.header, header(&payload, 5));
            prop_assert_eq!(entry.chain, chain);
            prop_assert_eq!(Chain::genesis(CLUSTER).then(&entry.digest), chain);
        }

        #[test]
        fn any_flip_is_refused(payload in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let (mut bytes, _) = encode(&payload);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_none());
        }

        #[test]
        fn any_truncation_is_refused(payload in proptest::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>()) {
            let (bytes, _) = encode(&payload);
            prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_none());
        }
    }

    #[test]
    fn an_entry_elsewhere_is_refused() {
        let (bytes, _) = encode(b"x");
        let head: [u8; ENTRY_HEADER_BYTES] = bytes[..ENTRY_HEADER_BYTES].try_into().unwrap();
        assert!(EntryHeader::decode(&head, CLUSTER, 7, 8192).is_some());
        assert!(EntryHeader::decode(&head, CLUSTER, 8, 8192).is_none(), "another segment");
        assert!(EntryHeader::decode(&head, CLUSTER, 7, 4096).is_none(), "another offset");
        assert!(EntryHeader::decode(&head, ClusterId::from_bytes([4; 16]), 7, 8192).is_none(), "another cluster");
    }
}
