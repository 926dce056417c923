//! Names that clients choose, checked once at the border.

use std::fmt;

use crate::s3::error::{S3Error, S3ErrorCode};

/// Longest object key, in bytes of UTF-8.
pub const OBJECT_KEY_LEN_BYTES_MAX: usize = 1024;

/// Highest part number of a multipart upload.
pub const PART_NUMBER_MAX: u16 = 10_000;

/// A bucket name that follows S3's rules for general purpose buckets.
///
/// Invariant: 3 to 63 characters of `a-z`, `0-9`, `.` and `-`, beginning and ending with a letter or
/// digit, no `..`, `.-` or `-.`, not an IPv4 address, none of the reserved prefixes and suffixes.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName(String);

impl BucketName {
    /// Checks a name.
    ///
    /// # Errors
    /// `InvalidBucketName` if it breaks a rule.
    pub fn parse(name: &str) -> Result<Self, S3Error> {
        if is_valid_bucket_name(name) {
            Ok(Self(name.to_owned()))
        } else {
            Err(S3Error::new(S3ErrorCode::InvalidBucketName, "The specified bucket is not valid."))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for BucketName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

fn is_valid_bucket_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
        && edge(bytes.first())
        && edge(bytes.last())
        && !["..", ".-", "-."].iter().any(|pair| name.contains(pair))
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && !RESERVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 6] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3", "-an"];

/// An object key: 1 to 1024 bytes of UTF-8 without NUL, exactly as the client named it.
///
/// `//`, `..`, `+` and a decoded `%2F` are part of the key: nothing is ever normalised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Checks a decoded key.
    ///
    /// # Errors
    /// `KeyTooLongError` over 1024 bytes; `InvalidArgument` if it is empty or holds a NUL, which
    /// neither XML nor most clients can carry.
    pub fn parse(key: impl Into<String>) -> Result<Self, S3Error> {
        let key = key.into();
        if key.len() > OBJECT_KEY_LEN_BYTES_MAX {
            return Err(S3Error::new(S3ErrorCode::KeyTooLongError, "Your key is too long.")
                .with_detail("Size", key.len().to_string())
                .with_detail("MaxSizeAllowed", OBJECT_KEY_LEN_BYTES_MAX.to_string()));
        }
        if key.is_empty() || key.contains('\0') {
            return Err(S3Error::new(
                S3ErrorCode::InvalidArgument,
                "An object key is 1 to 1024 bytes of UTF-8 without NUL.",
            ));
        }
        Ok(Self(key))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the text back.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ObjectKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The number of a part: 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartNumber(u16);

impl PartNumber {
    /// Checks a number.
    pub fn new(number: u16) -> Option<Self> {
        (1..=PART_NUMBER_MAX).contains(&number).then_some(Self(number))
    }

    /// Reads the decimal text of a query parameter or an XML element.
    ///
    /// # Errors
    /// `InvalidArgument` unless it is 1 to 10,000.
    pub fn parse(text: &str) -> Result<Self, S3Error> {
        text.parse().ok().and_then(Self::new).ok_or_else(|| {
            S3Error::new(S3ErrorCode::InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive")
                .with_detail("ArgumentName", "partNumber")
                .with_detail("ArgumentValue", text)
        })
    }

    /// 1..=10_000.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// Names one request in its answer, in the log and in the journal: 16 upper-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// Makes an id of 8 random bytes.
    pub fn from_random(random: [u8; 8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let mut text = [0; 16];
        for (pair, byte) in text.chunks_exact_mut(2).zip(random) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_general_purpose_buckets() {
        for good in ["abc", "my-bucket", "a.b.c", "1bucket", &"a".repeat(63), "10.0.0.256"] {
            assert!(BucketName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            &"a".repeat(64),
            "Upper",
            "under_score",
            "-abc",
            "abc-",
            ".abc",
            "abc.",
            "a..b",
            "192.168.0.1",
            "xn--abc",
            "sthree-abc",
            "amzn-s3-demo-x",
            "abc-s3alias",
            "abc--ol-s3",
            "abc.mrap",
            "abc--x-s3",
            "a/b/c",
            "caf\u{e9}",
            "a b c",
        ] {
            assert_eq!(BucketName::parse(bad).unwrap_err().code, S3ErrorCode::InvalidBucketName, "{bad}");
        }
    }

    #[test]
    fn keys_are_1_to_1024_bytes_and_never_normalised() {
        assert_eq!(ObjectKey::parse("a//b/../c+d").unwrap().as_str(), "a//b/../c+d");
        assert!(ObjectKey::parse("k".repeat(1024)).is_ok());
        assert_eq!(ObjectKey::parse("k".repeat(1025)).unwrap_err().code, S3ErrorCode::KeyTooLongError);
        assert_eq!(ObjectKey::parse("").unwrap_err().code, S3ErrorCode::InvalidArgument);
        assert_eq!(ObjectKey::parse("a\0b").unwrap_err().code, S3ErrorCode::InvalidArgument);
    }

    #[test]
    fn part_numbers_run_from_1_to_10000() {
        assert_eq!(PartNumber::parse("1").unwrap().get(), 1);
        assert_eq!(PartNumber::parse("10000").unwrap().get(), 10_000);
        for bad in ["0", "10001", "-1", "", "x", "65537"] {
            assert_eq!(PartNumber::parse(bad).unwrap_err().code, S3ErrorCode::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn request_ids_are_upper_case_hexadecimal() {
        assert_eq!(RequestId::from_random([0, 1, 2, 0xab, 0xcd, 0xef, 0xff, 0x10]).as_str(), "000102ABCDEFFF10");
    }
}
