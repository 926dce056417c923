//! The checksum of a multipart object from those of its parts.

use crc_fast::CrcAlgorithm;

use super::hasher::Hasher;
use super::{Checksum, ChecksumAlgorithm, ChecksumKind, ChecksumValue};

/// One part's value and the plaintext bytes it covers.
#[derive(Debug, Clone)]
pub struct PartChecksum {
    /// The digest of the part's bytes.
    pub value: ChecksumValue,
    /// Plaintext bytes of the part.
    pub len_bytes: u64,
}

/// Combines the parts, in order, into the object's checksum.
///
/// `None` if there is no part, the parts differ in algorithm, or the algorithm does not have this
/// kind for multipart objects.
pub fn combine(algorithm: ChecksumAlgorithm, kind: ChecksumKind, parts: &[PartChecksum]) -> Option<Checksum> {
    let same = parts.iter().all(|part| part.value.algorithm() == algorithm);
    if parts.is_empty() || !same || !algorithm.allows_multipart(kind) {
        return None;
    }
    match kind {
        ChecksumKind::Composite => {
            let mut hasher = Hasher::new(algorithm);
            parts.iter().for_each(|part| hasher.update(part.value.digest()));
            let count = u16::try_from(parts.len()).ok()?;
            Some(Checksum::composite(hasher.finish(), count))
        }
        ChecksumKind::FullObject => full_object(algorithm, parts).map(Checksum::full_object),
    }
}

fn full_object(algorithm: ChecksumAlgorithm, parts: &[PartChecksum]) -> Option<ChecksumValue> {
    let crc = match algorithm {
        ChecksumAlgorithm::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        ChecksumAlgorithm::Crc32c => CrcAlgorithm::Crc32Iscsi,
        ChecksumAlgorithm::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
        _ => return None,
    };
    let (first, rest) = parts.split_first()?;
    // An empty part changes nothing; the combination is skipped rather than trusted with a length of 0.
    let whole = rest.iter().filter(|part| part.len_bytes > 0).fold(to_integer(&first.value), |whole, part| {
        crc_fast::checksum_combine(crc, whole, to_integer(&part.value), part.len_bytes)
    });
    let bytes = whole.to_be_bytes();
    ChecksumValue::new(algorithm, bytes[8 - algorithm.digest_len()..].to_vec())
}

fn to_integer(value: &ChecksumValue) -> u64 {
    value.digest().iter().fold(0, |integer, byte| integer << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::super::hasher::digest;
    use super::*;

    fn parts(algorithm: ChecksumAlgorithm, pieces: &[&[u8]]) -> Vec<PartChecksum> {
        pieces
            .iter()
            .map(|piece| PartChecksum { value: digest(algorithm, piece), len_bytes: piece.len() as u64 })
            .collect()
    }

    #[test]
    fn crcs_of_parts_combine_into_the_crc_of_the_whole() {
        let bytes: Vec<u8> = (0..70_001u32).map(|n| (n * 31 % 253) as u8).collect();
        for algorithm in ChecksumAlgorithm::all().filter(|algorithm| algorithm.combines()) {
            for cuts in [vec![0, 70_001], vec![0, 1, 70_001], vec![0, 5, 5, 40_000, 70_001], vec![0, 0, 9, 70_001]] {
                let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
                let whole = combine(algorithm, ChecksumKind::FullObject, &parts(algorithm, &pieces)).unwrap();
                assert_eq!(whole, Checksum::full_object(digest(algorithm, &bytes)), "{algorithm:?} {cuts:?}");
            }
        }
    }

    #[test]
    fn a_composite_is_the_digest_of_digests_with_a_count() {
        let parts = parts(ChecksumAlgorithm::Sha256, &[b"hello ", b"world"]);
        let whole = combine(ChecksumAlgorithm::Sha256, ChecksumKind::Composite, &parts).unwrap();
        let joined: Vec<u8> = parts.iter().flat_map(|part| part.value.digest().to_vec()).collect();
        let expected = digest(ChecksumAlgorithm::Sha256, &joined);
        assert_eq!(whole.to_text(), format!("{}-2", expected.to_base64()));
    }

    #[test]
    fn impossible_combinations_are_none() {
        let sha = parts(ChecksumAlgorithm::Sha1, &[b"a"]);
        assert_eq!(combine(ChecksumAlgorithm::Sha1, ChecksumKind::FullObject, &sha), None);
        let nvme = parts(ChecksumAlgorithm::Crc64Nvme, &[b"a"]);
        assert_eq!(combine(ChecksumAlgorithm::Crc64Nvme, ChecksumKind::Composite, &nvme), None);
        assert_eq!(combine(ChecksumAlgorithm::Crc32, ChecksumKind::FullObject, &nvme), None);
        assert_eq!(combine(ChecksumAlgorithm::Crc32, ChecksumKind::FullObject, &[]), None);
    }
}
