//! A stripe in memory, coded and ready to be written: what the drives' appenders share.

use super::checksum::cell_crc64;
use super::header::SegmentClass;
use super::shape::{CELL_BYTES, StripeShape};
use crate::budget::PooledBytes;
use crate::codec::SHARDS_MAX;
use crate::ids::StripeId;

/// One stripe with its parity and checksums. Immutable; shards are slices of one buffer.
pub struct EncodedStripe {
    /// Its id.
    pub id: StripeId,
    /// How it is cut.
    pub shape: StripeShape,
    /// The layout that placed it.
    pub layout_version: u32,
    /// Its placement group.
    pub group: u32,
    /// The segments that its records go to.
    pub class: SegmentClass,
    buffer: PooledBytes,
    /// Where the parity cells start in the buffer.
    parity_at: usize,
    /// One per row and shard, rows first.
    crcs: Vec<u64>,
}

impl EncodedStripe {
    /// Joins a buffer, whose rows were all encoded with [`encode_row`], and their checksums.
    ///
    /// # Panics
    /// If the number of checksums is not that of the cells: a bug in the caller.
    pub fn new(
        id: StripeId,
        shape: StripeShape,
        (layout_version, group): (u32, u32),
        (buffer, parity_at): (PooledBytes, usize),
        crcs: Vec<u64>,
    ) -> Self {
        assert_eq!(crcs.len(), shape.rows() * shape.geometry().shards());
        Self { id, shape, layout_version, group, class: SegmentClass::Data, buffer, parity_at, crcs }
    }

    /// The same for segments of a class.
    #[must_use]
    pub fn of_class(self, class: SegmentClass) -> Self {
        Self { class, ..self }
    }

    /// The cells of one column, in order of row.
    pub fn column(&self, shard: usize) -> impl Iterator<Item = &[u8]> {
        let k = self.shape.geometry().k();
        (0..self.shape.rows()).map(move |row| {
            let start = if self.shape.geometry().is_replication() {
                self.shape.cell_start(row, 0)
            } else if shard < k {
                self.shape.cell_start(row, shard)
            } else {
                parity_start(self.parity_at, &self.shape, row, shard - k)
            };
            &self.buffer[start..start + self.shape.cell_bytes(row)]
        })
    }

    /// The checksums of one column, in order of row.
    pub fn column_crcs(&self, shard: usize) -> impl Iterator<Item = u64> {
        let shards = self.shape.geometry().shards();
        (0..self.shape.rows()).map(move |row| self.crcs[row * shards + shard])
    }
}

/// Computes the parity of one row in place and appends the checksums of its cells to `crcs`.
///
/// `buffer` holds the data cells from 0 and the parity cells from `parity_at`. The row is best
/// encoded as soon as it is full, while it is in the processor's cache. Copies of a single data cell are
/// not made in memory: only their checksums, which name their place, are.
pub fn encode_row(
    id: StripeId,
    shape: &StripeShape,
    row: usize,
    buffer: &mut [u8],
    parity_at: usize,
    crcs: &mut Vec<u64>,
) {
    let geometry = shape.geometry();
    let (k, cell_bytes) = (geometry.k(), shape.cell_bytes(row));
    let (data, parity) = buffer.split_at_mut(parity_at);
    let row_start = shape.cell_start(row, 0);
    if geometry.is_replication() {
        let cell = &data[row_start..row_start + cell_bytes];
        crcs.extend((0..geometry.shards()).map(|shard| cell_crc64(id, shard as u8, row as u8, cell)));
        return;
    }
    let data: Vec<&[u8]> = data[row_start..row_start + k * cell_bytes].chunks_exact(cell_bytes).collect();
    let row_parity = &mut parity[row * geometry.m() * CELL_BYTES..];
    let mut parity: Vec<&mut [u8]> = row_parity.chunks_mut(cell_bytes).take(geometry.m()).collect();
    geometry.codec().encode(&data, &mut parity);
    let cells = data.iter().copied().chain(parity.iter().map(|cell| &**cell));
    crcs.extend(cells.enumerate().map(|(shard, cell)| cell_crc64(id, shard as u8, row as u8, cell)));
    const { assert!(SHARDS_MAX < 256 && super::shape::ROWS_MAX < 256) };
}

/// Bytes that the parity cells of a stripe take in its buffer.
pub fn parity_bytes(shape: &StripeShape) -> usize {
    if shape.geometry().is_replication() { 0 } else { shape.geometry().m() * shape.column_bytes() }
}

/// Parity cells follow one another like data cells: rows before the last are all full.
fn parity_start(parity_at: usize, shape: &StripeShape, row: usize, column: usize) -> usize {
    parity_at + row * shape.geometry().m() * CELL_BYTES + column * shape.cell_bytes(row)
}
