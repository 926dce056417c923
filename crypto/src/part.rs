//! Part streams: C2SP chunked-encryption with AES-256-GCM and HKDF-Expand-SHA-512.
//!
//! Each chunk is sealed under the stream's key and the nonce `base nonce XOR chunk number`. The
//! last chunk is shorter than the others, which is what marks the end.
//!
//! Source: <https://c2sp.org/chunked-encryption>, text of 2026-07-22.

use zeroize::Zeroizing;

use crate::error::{OpenError, SealError};
use crate::header::{PartHeader, SALT_LEN, context};
use crate::keys::ObjectKey;
use crate::mode::Mode;
use crate::primitives::{AeadKey, KEY_LEN, NONCE_LEN, TAG_LEN, ct_eq, hkdf_expand};
use crate::range::{CHUNK_PLAIN, CHUNK_SEALED, CHUNKS_MAX};

/// Number of a chunk in its part, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkIndex(pub u64);

/// Whether a chunk is the last of its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastChunk {
    /// The last: 0 to 16 383 bytes of plaintext.
    Yes,
    /// Another: exactly 16 384 bytes of plaintext.
    No,
}

/// Seals one part, chunk by chunk, where the chunks lie.
pub struct PartSealer {
    stream: StreamKey,
    header: PartHeader,
    next: u64,
}

impl PartSealer {
    /// Begins a part. `salt` is 24 fresh random bytes at every upload of a part.
    pub fn new(
        object_key: &ObjectKey,
        mode: Mode,
        object_uuid: [u8; 16],
        part_number: u32,
        salt: [u8; SALT_LEN],
    ) -> Self {
        let context = context(mode, &object_uuid, part_number);
        let (stream, commitment) = StreamKey::derive(object_key, &context, &salt);
        Self { stream, header: PartHeader { mode, object_uuid, part_number, salt, commitment }, next: 0 }
    }

    /// What the blob begins with.
    pub fn header(&self) -> &PartHeader {
        &self.header
    }

    /// Seals the next whole chunk.
    ///
    /// `chunk` is [`CHUNK_SEALED`] bytes: 16 384 of plaintext, then room for the tag.
    ///
    /// # Errors
    /// [`SealError::Length`] for another length, [`SealError::TooManyChunks`] past 4 PiB.
    pub fn seal_chunk_in_place(&mut self, chunk: &mut [u8]) -> Result<(), SealError> {
        if chunk.len() != CHUNK_SEALED {
            return Err(SealError::Length);
        }
        // The last index is kept for the last chunk, without which no part is complete.
        if self.next >= CHUNKS_MAX - 1 {
            return Err(SealError::TooManyChunks);
        }
        self.seal_next(chunk, CHUNK_PLAIN);
        Ok(())
    }

    /// Seals the last chunk and ends the part.
    ///
    /// `buf` holds `plain_len` bytes of plaintext (0 to 16 383), then room for the tag. Returns
    /// the sealed length, `plain_len + 16`.
    ///
    /// # Errors
    /// [`SealError::Length`] if the plaintext fills a whole chunk or `buf` is too short.
    pub fn seal_last(mut self, buf: &mut [u8], plain_len: usize) -> Result<usize, SealError> {
        if plain_len >= CHUNK_PLAIN || buf.len() < plain_len + TAG_LEN {
            return Err(SealError::Length);
        }
        self.seal_next(buf, plain_len);
        Ok(plain_len + TAG_LEN)
    }

    fn seal_next(&mut self, buf: &mut [u8], plain_len: usize) {
        let nonce = self.stream.nonce(self.next);
        self.next += 1;
        let (plain, rest) = buf.split_at_mut(plain_len);
        let tag = self.stream.key.seal_in_place_assume_unique_nonce(nonce, &[], plain);
        rest[..TAG_LEN].copy_from_slice(&tag);
    }
}

/// Opens chunks of one part, in any order, where they lie.
pub struct PartOpener {
    stream: StreamKey,
}

impl PartOpener {
    /// Prepares a part for reading. The commitment is checked first, in constant time.
    ///
    /// Take mode, uuid and number from the rows that name the part, not from its blob: then a
    /// blob from another place does not open.
    ///
    /// # Errors
    /// [`OpenError::AuthenticationFailed`] if the header was not made by this key.
    pub fn new(object_key: &ObjectKey, header: &PartHeader) -> Result<Self, OpenError> {
        let context = context(header.mode, &header.object_uuid, header.part_number);
        let (stream, commitment) = StreamKey::derive(object_key, &context, &header.salt);
        if !ct_eq(&commitment, &header.commitment) {
            return Err(OpenError::AuthenticationFailed);
        }
        Ok(Self { stream })
    }

    /// Opens one chunk: the plaintext is at the start of `buf`, and its length is returned.
    ///
    /// # Errors
    /// [`OpenError::Length`] if no such chunk has that length,
    /// [`OpenError::AuthenticationFailed`] if the bytes are not that chunk; `buf` then holds no
    /// plaintext.
    pub fn open_chunk_in_place(&self, index: ChunkIndex, last: LastChunk, buf: &mut [u8]) -> Result<usize, OpenError> {
        self.open_chunk_within(index, last, buf, 0)
    }

    /// Opens the chunk at `buf[from..]`; the plaintext is put at the start of `buf`.
    ///
    /// A run of chunks is so laid out without gaps by the decryption itself, without a copy.
    ///
    /// # Errors
    /// As [`open_chunk_in_place`](Self::open_chunk_in_place).
    pub fn open_chunk_within(
        &self,
        index: ChunkIndex,
        last: LastChunk,
        buf: &mut [u8],
        from: usize,
    ) -> Result<usize, OpenError> {
        let len = buf.len().checked_sub(from).ok_or(OpenError::Length)?;
        let fits = match last {
            LastChunk::Yes => (TAG_LEN..CHUNK_SEALED).contains(&len),
            LastChunk::No => len == CHUNK_SEALED,
        };
        if !fits || index.0 >= CHUNKS_MAX {
            return Err(OpenError::Length);
        }
        self.stream.key.open_within(self.stream.nonce(index.0), &[], buf, from).ok_or(OpenError::AuthenticationFailed)
    }
}

struct StreamKey {
    key: AeadKey,
    base_nonce: [u8; NONCE_LEN],
}

impl StreamKey {
    /// Key and base nonce of a stream, and its commitment.
    fn derive(object_key: &ObjectKey, context: &[u8], salt: &[u8; SALT_LEN]) -> (Self, [u8; 32]) {
        let mut out = Zeroizing::new([0; KEY_LEN + NONCE_LEN + 32]);
        let info: [&[u8]; 3] = [STREAM_LABEL, salt, context];
        hkdf_expand(object_key.0.bytes(), &info, &mut out[..]);
        let (key, rest) = out.split_first_chunk().expect("76 bytes");
        let (base_nonce, commitment) = rest.split_first_chunk().expect("44 bytes");
        let stream = Self { key: AeadKey::new(key), base_nonce: *base_nonce };
        (stream, commitment.try_into().expect("32 bytes"))
    }

    /// The chunk number enters the last 8 bytes; it is below 2^38.
    fn nonce(&self, index: u64) -> [u8; NONCE_LEN] {
        let mut nonce = self.base_nonce;
        for (byte, count) in nonce[4..].iter_mut().zip(index.to_be_bytes()) {
            *byte ^= count;
        }
        nonce
    }
}

const STREAM_LABEL: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
