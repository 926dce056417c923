//! How a stripe's bytes are cut into cells.
//!
//! A stripe is a grid of k columns by up to 16 rows of cells, filled row by row: byte `o` of the
//! stripe is in row `o / (k * 64 KiB)`. Every row but the last has cells of 64 KiB. A short last
//! row has cells of `ceil(rest / k)` bytes rounded up to 64, and the end of it is zero.

use crate::codec::Geometry;

/// Bytes of a cell in a full row.
pub const CELL_BYTES: usize = 64 << 10;
/// Rows of a stripe at most.
pub const ROWS_MAX: usize = 16;
/// Cells of a short row are a multiple of this.
const CELL_UNIT_BYTES: usize = 64;

/// The cells of one stripe; follows from its length and geometry alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StripeShape {
    geometry: Geometry,
    len_bytes: usize,
    full_rows: usize,
    /// 0 if every row is full.
    short_cell_bytes: usize,
}

impl StripeShape {
    /// The shape of a stripe of `len_bytes` bytes: 1 up to 16 full rows, else `None`.
    pub fn new(geometry: Geometry, len_bytes: usize) -> Option<Self> {
        let row_bytes = geometry.k() * CELL_BYTES;
        if len_bytes == 0 || len_bytes > ROWS_MAX * row_bytes {
            return None;
        }
        let (full_rows, rest) = (len_bytes / row_bytes, len_bytes % row_bytes);
        let short_cell_bytes = rest.div_ceil(geometry.k()).next_multiple_of(CELL_UNIT_BYTES);
        Some(Self { geometry, len_bytes, full_rows, short_cell_bytes })
    }

    /// Columns.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Bytes of the blob in this stripe.
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Rows, the short one included.
    pub fn rows(&self) -> usize {
        self.full_rows + usize::from(self.short_cell_bytes > 0)
    }

    /// Bytes of each cell in `row`.
    pub fn cell_bytes(&self, row: usize) -> usize {
        if row < self.full_rows { CELL_BYTES } else { self.short_cell_bytes }
    }

    /// Bytes of the cells of one column.
    pub fn column_bytes(&self) -> usize {
        self.full_rows * CELL_BYTES + self.short_cell_bytes
    }

    /// Bytes of all data cells, the zeros at the end included.
    pub fn padded_bytes(&self) -> usize {
        self.column_bytes() * self.geometry.k()
    }

    /// Where the data cell (row, column) starts in the stripe's bytes.
    pub fn cell_start(&self, row: usize, column: usize) -> usize {
        row * self.geometry.k() * CELL_BYTES + column * self.cell_bytes(row)
    }

    /// The data cell that holds byte `offset` of the stripe: (row, column).
    pub fn cell_of(&self, offset: usize) -> (usize, usize) {
        let row_bytes = self.geometry.k() * CELL_BYTES;
        let row = offset / row_bytes;
        (row, (offset % row_bytes) / self.cell_bytes(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(len: usize) -> StripeShape {
        StripeShape::new(Geometry::new(4, 2).unwrap(), len).unwrap()
    }

    #[test]
    fn cells_follow_one_another_and_hold_every_byte() {
        for len in [1, 63, 64, 255, 256, 257, 16504, 262_143, 262_144, 262_145, 1 << 20, 700_001, 16 << 18] {
            let shape = shape(len);
            let mut end = 0;
            for row in 0..shape.rows() {
                for column in 0..4 {
                    assert_eq!(shape.cell_start(row, column), end);
                    assert_eq!(shape.cell_of(end), (row, column));
                    end += shape.cell_bytes(row);
                    assert_eq!(shape.cell_of(end - 1), (row, column));
                }
            }
            assert_eq!(end, shape.padded_bytes());
            assert!(end >= len && end - len < 4 * 128, "{len} padded to {end}");
            assert!(shape.column_bytes().is_multiple_of(64));
        }
    }

    #[test]
    fn empty_and_oversized_stripes_have_no_shape() {
        let geometry = Geometry::new(4, 2).unwrap();
        assert!(StripeShape::new(geometry, 0).is_none());
        assert!(StripeShape::new(geometry, (16 << 18) + 1).is_none());
    }
}
