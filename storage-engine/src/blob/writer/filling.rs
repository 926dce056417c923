//! The stripe that is being filled: each row is hashed and coded while it is hot.

use crate::budget::PooledBytes;
use crate::ids::StripeId;
use crate::segment::shape::StripeShape;
use crate::segment::stripe::encode_row;

/// The stripe that is being filled.
pub(super) struct Filling {
    pub(super) buffer: PooledBytes,
    /// Data bytes that the buffer takes.
    pub(super) capacity: usize,
    pub(super) parity_at: usize,
    pub(super) filled: usize,
    /// Rows encoded, and bytes hashed: both trail `filled`.
    pub(super) rows_done: usize,
    pub(super) hashed: usize,
    pub(super) crcs: Vec<u64>,
}

impl Filling {
    /// Hashes and codes the next row.
    pub(super) fn finish_row(&mut self, id: StripeId, shape: &StripeShape, hasher: &mut blake3::Hasher) {
        let row_end = shape.cell_start(self.rows_done, 0) + shape.geometry().k() * shape.cell_bytes(self.rows_done);
        let hash_end = row_end.min(self.filled);
        if self.hashed < hash_end {
            hasher.update(&self.buffer[self.hashed..hash_end]);
            self.hashed = hash_end;
        }
        encode_row(id, shape, self.rows_done, &mut self.buffer, self.parity_at, &mut self.crcs);
        self.rows_done += 1;
    }
}
