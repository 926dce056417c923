//! The ten checksum algorithms of S3 and the words each is known by.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>.

use serde::{Deserialize, Serialize};

/// A checksum algorithm that S3 names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum ChecksumAlgorithm {
    /// CRC-32/ISO-HDLC.
    Crc32 = 1,
    /// CRC-32/ISCSI.
    Crc32c = 2,
    /// CRC-64/NVME; the default when a client asks for none.
    Crc64Nvme = 3,
    /// SHA-1.
    Sha1 = 4,
    /// SHA-256.
    Sha256 = 5,
    /// SHA-512.
    Sha512 = 6,
    /// MD5.
    Md5 = 7,
    /// XXH64, seed 0.
    XxHash64 = 8,
    /// XXH3 with 64 bits, seed 0.
    XxHash3 = 9,
    /// XXH3 with 128 bits, seed 0.
    XxHash128 = 10,
}

/// Whether a multipart object's checksum covers its bytes or the digests of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumKind {
    /// Over the object's bytes.
    FullObject,
    /// Over the parts' digests in order, shown with `-N`.
    Composite,
}

struct Words {
    algorithm: ChecksumAlgorithm,
    name: &'static str,
    header: &'static str,
    element: &'static str,
    digest_len: usize,
}

const fn words(
    algorithm: ChecksumAlgorithm,
    name: &'static str,
    header: &'static str,
    element: &'static str,
    digest_len: usize,
) -> Words {
    Words { algorithm, name, header, element, digest_len }
}

/// One row an algorithm, in the order of the enum.
const TABLE: [Words; 10] = [
    words(ChecksumAlgorithm::Crc32, "CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", 4),
    words(ChecksumAlgorithm::Crc32c, "CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4),
    words(ChecksumAlgorithm::Crc64Nvme, "CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8),
    words(ChecksumAlgorithm::Sha1, "SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", 20),
    words(ChecksumAlgorithm::Sha256, "SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", 32),
    words(ChecksumAlgorithm::Sha512, "SHA512", "x-amz-checksum-sha512", "ChecksumSHA512", 64),
    words(ChecksumAlgorithm::Md5, "MD5", "x-amz-checksum-md5", "ChecksumMD5", 16),
    words(ChecksumAlgorithm::XxHash64, "XXHASH64", "x-amz-checksum-xxhash64", "ChecksumXXHASH64", 8),
    words(ChecksumAlgorithm::XxHash3, "XXHASH3", "x-amz-checksum-xxhash3", "ChecksumXXHASH3", 8),
    words(ChecksumAlgorithm::XxHash128, "XXHASH128", "x-amz-checksum-xxhash128", "ChecksumXXHASH128", 16),
];

impl ChecksumAlgorithm {
    /// Every algorithm.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|words| words.algorithm)
    }

    fn words(self) -> &'static Words {
        &TABLE[self as usize - 1]
    }

    /// S3's name, as in `x-amz-checksum-algorithm`: `CRC32`, `CRC64NVME`, …
    pub fn name(self) -> &'static str {
        self.words().name
    }

    /// The header that carries a value, in lower case.
    pub fn header(self) -> &'static str {
        self.words().header
    }

    /// The XML element that carries a value.
    pub fn element(self) -> &'static str {
        self.words().element
    }

    /// Bytes in a digest.
    pub fn digest_len(self) -> usize {
        self.words().digest_len
    }

    /// Finds an algorithm by S3's name; case does not matter, as on AWS.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|words| words.name.eq_ignore_ascii_case(name)).map(|words| words.algorithm)
    }

    /// Finds an algorithm by its header name, in lower case.
    pub fn from_header(header: &str) -> Option<Self> {
        TABLE.iter().find(|words| words.header == header).map(|words| words.algorithm)
    }

    /// Finds an algorithm by its XML element.
    pub fn from_element(element: &str) -> Option<Self> {
        TABLE.iter().find(|words| words.element == element).map(|words| words.algorithm)
    }

    /// True for those whose parts' values combine into the whole object's: the CRCs.
    pub fn combines(self) -> bool {
        matches!(self, Self::Crc32 | Self::Crc32c | Self::Crc64Nvme)
    }

    /// True for those that cost more than a copy, and so may run beside the sealing.
    pub fn is_slow(self) -> bool {
        matches!(self, Self::Sha1 | Self::Sha256 | Self::Sha512 | Self::Md5)
    }

    /// What a multipart upload gets when it names an algorithm and no type.
    pub fn default_multipart_kind(self) -> ChecksumKind {
        match self {
            Self::Crc64Nvme => ChecksumKind::FullObject,
            _ => ChecksumKind::Composite,
        }
    }

    /// Whether a multipart upload may have this type of checksum.
    pub fn allows_multipart(self, kind: ChecksumKind) -> bool {
        match kind {
            ChecksumKind::FullObject => self.combines(),
            ChecksumKind::Composite => self != Self::Crc64Nvme,
        }
    }
}

impl ChecksumKind {
    /// S3's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// Parses S3's word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite].into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for algorithm in ChecksumAlgorithm::all() {
            assert_eq!(algorithm.words().algorithm, algorithm);
            assert_eq!(ChecksumAlgorithm::from_name(&algorithm.name().to_lowercase()), Some(algorithm));
            assert_eq!(ChecksumAlgorithm::from_header(algorithm.header()), Some(algorithm));
            assert_eq!(ChecksumAlgorithm::from_element(algorithm.element()), Some(algorithm));
            assert!(algorithm.allows_multipart(algorithm.default_multipart_kind()));
        }
        assert_eq!(ChecksumAlgorithm::from_name("CRC16"), None);
    }
}
