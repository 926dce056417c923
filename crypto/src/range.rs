//! Arithmetic between plain and sealed positions: closed forms, no tables.

use std::ops::Range;

use crate::header::HEADER_LEN;
use crate::primitives::TAG_LEN;

/// Plaintext bytes of every chunk but the last, which is always shorter.
pub const CHUNK_PLAIN: usize = 16_384;

/// Sealed bytes of every chunk but the last.
pub const CHUNK_SEALED: usize = CHUNK_PLAIN + TAG_LEN;

/// Chunks in a part, the last one included: 4 PiB.
pub const CHUNKS_MAX: u64 = 1 << 38;

/// Longest part in plaintext bytes.
pub(crate) const PLAIN_MAX: u64 = CHUNKS_MAX * CHUNK_PLAIN as u64 - 1;

/// Bytes of the blob of a part of `plain` bytes, header included.
///
/// # Panics
/// If `plain` is 4 PiB or more: callers cap parts at 5 GiB.
pub fn sealed_len(plain: u64) -> u64 {
    assert!(plain <= PLAIN_MAX, "a part has at most 4 PiB");
    HEADER_LEN as u64 + plain + TAG_LEN as u64 * (plain / CHUNK_PLAIN as u64 + 1)
}

/// Plaintext bytes of a blob of `sealed` bytes, or `None` when no blob has that length.
pub fn plain_len(sealed: u64) -> Option<u64> {
    let chunks = sealed.checked_sub(HEADER_LEN as u64)?;
    let whole = chunks / CHUNK_SEALED as u64;
    let last = (chunks % CHUNK_SEALED as u64).checked_sub(TAG_LEN as u64)?;
    (whole < CHUNKS_MAX).then_some(whole * CHUNK_PLAIN as u64 + last)
}

/// Which sealed bytes to read for a range of plaintext, and how to trim what they open to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRange {
    /// Bytes of the blob: whole chunks, without the header.
    pub sealed: Range<u64>,
    /// Index of the first chunk.
    pub first_chunk: u64,
    /// Number of chunks.
    pub chunks: u64,
    /// Plaintext bytes to leave out at the start of the first chunk.
    pub skip: usize,
    /// Plaintext bytes to give.
    pub take: u64,
}

/// Where the bytes `plain` of a part of `plain_len` bytes lie in its blob.
///
/// A range up to the end includes the last chunk, even an empty one, since that chunk is what
/// proves the length. A range past the end is cut; an empty one before the end has no chunks.
///
/// # Panics
/// If `plain_len` is 4 PiB or more.
pub fn sealed_range(plain_len: u64, plain: Range<u64>) -> SealedRange {
    assert!(plain_len <= PLAIN_MAX, "a part has at most 4 PiB");
    let end = plain.end.min(plain_len);
    let start = plain.start.min(end);
    let first_chunk = start / CHUNK_PLAIN as u64;
    let end_chunk = if end == plain_len {
        plain_len / CHUNK_PLAIN as u64 + 1
    } else if start == end {
        first_chunk
    } else {
        (end - 1) / CHUNK_PLAIN as u64 + 1
    };
    let chunk_start = |chunk: u64| HEADER_LEN as u64 + chunk * CHUNK_SEALED as u64;
    SealedRange {
        sealed: chunk_start(first_chunk)..chunk_start(end_chunk).min(sealed_len(plain_len)),
        first_chunk,
        chunks: end_chunk - first_chunk,
        skip: (start % CHUNK_PLAIN as u64) as usize,
        take: end - start,
    }
}
