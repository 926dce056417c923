//! The checksum of one cell, bound to where the cell belongs.

use crate::ids::StripeId;

/// CRC-64/NVME of one cell, seeded with its stripe, shard and row.
///
/// The seed is the CRC of `stripe id || shard || row`, continued over the cell: a cell that was
/// swapped with another, or is left from another stripe, fails like a damaged one.
pub fn cell_crc64(stripe: StripeId, shard: u8, row: u8, cell: &[u8]) -> u64 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
    let mut place = [0; 18];
    place[..16].copy_from_slice(stripe.as_bytes());
    place[16] = shard;
    place[17] = row;
    digest.update(&place);
    digest.update(cell);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_plain_crc64_nvme_of_place_and_cell() {
        let stripe = StripeId::from_bytes([0; 16]);
        let mut whole = vec![0; 18];
        whole[16] = 3;
        whole[17] = 2;
        whole.extend_from_slice(b"123456789");
        assert_eq!(cell_crc64(stripe, 3, 2, b"123456789"), crc_fast::crc64_nvme(&whole));
        assert_eq!(crc_fast::crc64_nvme(b"123456789"), 0xae8b_1486_0a79_9888, "the CRC of the NVMe standard");
    }

    #[test]
    fn another_place_gives_another_checksum() {
        let (one, two) = (StripeId::first(1, [1; 6]), StripeId::first(1, [1; 6]).nth(1));
        let sums = [
            cell_crc64(one, 0, 0, b"cell"),
            cell_crc64(one, 1, 0, b"cell"),
            cell_crc64(one, 0, 1, b"cell"),
            cell_crc64(two, 0, 0, b"cell"),
            cell_crc64(one, 0, 0, b"celk"),
        ];
        assert_eq!(sums.iter().collect::<std::collections::HashSet<_>>().len(), sums.len());
    }
}
