//! One MD5 in progress.

use super::block::{BLOCK_BYTES, INITIAL, compress};

/// The MD5 of what was pushed so far.
pub struct Md5Stream {
    pub(super) state: [u32; 4],
    len_bytes: u64,
    /// The begun block: its first `len_bytes % 64` bytes.
    block: [u8; BLOCK_BYTES],
}

impl Default for Md5Stream {
    fn default() -> Self {
        Self { state: INITIAL, len_bytes: 0, block: [0; BLOCK_BYTES] }
    }
}

impl Md5Stream {
    /// Takes the next bytes, here and now.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let blocks = self.whole_blocks(rest);
            if blocks > 0 {
                self.compress(&rest[..blocks * BLOCK_BYTES], blocks);
                self.skip(blocks);
                rest = &rest[blocks * BLOCK_BYTES..];
            } else if self.fill_block(&mut rest) {
                let block = self.block;
                self.compress(&block, 1);
            }
        }
    }

    /// The digest.
    pub fn finish(mut self) -> [u8; 16] {
        let bits = self.len_bytes.wrapping_mul(8);
        let begun = self.begun_bytes();
        // A one bit, zeros, and the length at the end of a block.
        let mut end = [0; 2 * BLOCK_BYTES];
        end[0] = 0x80;
        let blocks = (begun + 1 + 8).div_ceil(BLOCK_BYTES);
        let len = blocks * BLOCK_BYTES - begun;
        end[len - 8..len].copy_from_slice(&bits.to_le_bytes());
        self.update(&end[..len]);
        let mut digest = [0; 16];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        digest
    }

    /// Whole blocks at the front of `bytes` that can be compressed where they lie.
    pub(super) fn whole_blocks(&self, bytes: &[u8]) -> usize {
        if self.begun_bytes() == 0 { bytes.len() / BLOCK_BYTES } else { 0 }
    }

    /// Counts blocks that were compressed where they lay.
    pub(super) fn skip(&mut self, blocks: usize) {
        self.len_bytes += (blocks * BLOCK_BYTES) as u64;
    }

    /// Moves bytes from the front of `rest` into the begun block. True if that completed it:
    /// [`begun_block`](Self::begun_block) must then be compressed.
    pub(super) fn fill_block(&mut self, rest: &mut &[u8]) -> bool {
        let begun = self.begun_bytes();
        let (taken, left) = rest.split_at(rest.len().min(BLOCK_BYTES - begun));
        self.block[begun..begun + taken.len()].copy_from_slice(taken);
        self.len_bytes += taken.len() as u64;
        *rest = left;
        begun + taken.len() == BLOCK_BYTES
    }

    pub(super) fn begun_block(&self) -> &[u8; BLOCK_BYTES] {
        &self.block
    }

    fn begun_bytes(&self) -> usize {
        (self.len_bytes % BLOCK_BYTES as u64) as usize
    }

    fn compress(&mut self, bytes: &[u8], blocks: usize) {
        let mut states = self.state.map(|word| [word]);
        compress(&mut states, [bytes], blocks);
        self.state = states.map(|[word]| word);
    }
}

#[cfg(test)]
mod tests {
    use md5::{Digest as _, Md5};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_the_oracle_whatever_the_pieces(
            bytes in proptest::collection::vec(any::<u8>(), 0..1000),
            cuts in proptest::collection::vec(0usize..1000, 0..8),
        ) {
            let mut stream = Md5Stream::default();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (piece, left) = rest.split_at(cut.min(rest.len()));
                stream.update(piece);
                rest = left;
            }
            stream.update(rest);
            let expected: [u8; 16] = Md5::digest(&bytes).into();
            prop_assert_eq!(stream.finish(), expected);
        }
    }
}
