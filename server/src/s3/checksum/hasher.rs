//! Streaming digests: one algorithm, and several fed with the same bytes.

use chartrier_crypto::{Sha256, Sha512};
use crc_fast::CrcAlgorithm;
use sha1::{Digest as _, Sha1};
use xxhash_rust::{xxh3::Xxh3Default, xxh64::Xxh64};

use super::md5::Md5Stream;
use super::{ChecksumAlgorithm, ChecksumValue};

/// The state of one algorithm.
pub struct Hasher {
    algorithm: ChecksumAlgorithm,
    state: State,
}

enum State {
    Crc(crc_fast::Digest),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
    Md5(Box<Md5Stream>),
    XxHash64(Box<Xxh64>),
    XxHash3(Box<Xxh3Default>),
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        let state = match algorithm {
            ChecksumAlgorithm::Crc32 => State::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc)),
            ChecksumAlgorithm::Crc32c => State::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi)),
            ChecksumAlgorithm::Crc64Nvme => State::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme)),
            ChecksumAlgorithm::Sha1 => State::Sha1(Sha1::new()),
            ChecksumAlgorithm::Sha256 => State::Sha256(Sha256::new()),
            ChecksumAlgorithm::Sha512 => State::Sha512(Sha512::new()),
            ChecksumAlgorithm::Md5 => State::Md5(Box::default()),
            ChecksumAlgorithm::XxHash64 => State::XxHash64(Box::new(Xxh64::new(0))),
            ChecksumAlgorithm::XxHash3 | ChecksumAlgorithm::XxHash128 => State::XxHash3(Box::new(Xxh3Default::new())),
        };
        Self { algorithm, state }
    }

    /// Which algorithm it computes.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(digest) => digest.update(bytes),
            State::Sha1(digest) => digest.update(bytes),
            State::Sha256(digest) => digest.update(bytes),
            State::Sha512(digest) => digest.update(bytes),
            State::Md5(digest) => digest.update(bytes),
            State::XxHash64(digest) => digest.update(bytes),
            State::XxHash3(digest) => digest.update(bytes),
        }
    }

    /// A hasher of what an MD5 has seen.
    pub fn of_md5(stream: Md5Stream) -> Self {
        Self { algorithm: ChecksumAlgorithm::Md5, state: State::Md5(Box::new(stream)) }
    }

    /// The digest, big-endian where the algorithm makes an integer.
    pub fn finish(self) -> ChecksumValue {
        let digest = match self.state {
            State::Crc(digest) => {
                let bytes = digest.finalize().to_be_bytes();
                bytes[8 - self.algorithm.digest_len()..].to_vec()
            }
            State::Sha1(digest) => digest.finalize().to_vec(),
            State::Sha256(digest) => digest.finish().to_vec(),
            State::Sha512(digest) => digest.finish().to_vec(),
            State::Md5(digest) => digest.finish().to_vec(),
            State::XxHash64(digest) => digest.digest().to_be_bytes().to_vec(),
            State::XxHash3(digest) if self.algorithm == ChecksumAlgorithm::XxHash128 => {
                digest.digest128().to_be_bytes().to_vec()
            }
            State::XxHash3(digest) => digest.digest().to_be_bytes().to_vec(),
        };
        ChecksumValue::new(self.algorithm, digest).expect("each arm yields the algorithm's digest length")
    }
}

/// Digests `bytes` at once.
pub fn digest(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> ChecksumValue {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published check values of each algorithm over `123456789`, and XXH's over nothing.
    #[test]
    fn known_answers() {
        let nine = b"123456789";
        for (algorithm, expected) in [
            (ChecksumAlgorithm::Crc32, "cbf43926"),
            (ChecksumAlgorithm::Crc32c, "e3069283"),
            (ChecksumAlgorithm::Crc64Nvme, "ae8b14860a799888"),
            (ChecksumAlgorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (ChecksumAlgorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
            (ChecksumAlgorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
            (ChecksumAlgorithm::XxHash64, "8cb841db40e6ae83"),
        ] {
            assert_eq!(hex::encode(digest(algorithm, nine).digest()), expected, "{algorithm:?}");
        }
        for (algorithm, expected) in [
            (ChecksumAlgorithm::XxHash64, "ef46db3751d8e999"),
            (ChecksumAlgorithm::XxHash3, "2d06800538d394c2"),
            (ChecksumAlgorithm::XxHash128, "99aa06d3014798d86001c324468d497f"),
        ] {
            assert_eq!(hex::encode(digest(algorithm, b"").digest()), expected, "{algorithm:?}");
        }
        assert!(hex::encode(digest(ChecksumAlgorithm::Sha512, b"abc").digest()).starts_with("ddaf35a193617aba"));
    }

    #[test]
    fn pieces_equal_the_whole() {
        let bytes: Vec<u8> = (0..100_000u32).map(|n| (n * 7 % 251) as u8).collect();
        for algorithm in ChecksumAlgorithm::all() {
            let mut hasher = Hasher::new(algorithm);
            bytes.chunks(977).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.finish(), digest(algorithm, &bytes), "{algorithm:?}");
        }
    }
}
