//! The `Range` header of a read.
//!
//! Source: RFC 9110 section 14. As on AWS, one range is served; several, another unit or bad
//! syntax are as if there were no header.

use std::ops::Range;

/// A syntactically good `bytes` range, not yet held against a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// `first-last`, both included.
    Between {
        /// First byte.
        first: u64,
        /// Last byte, not before `first`.
        last: u64,
    },
    /// `first-`.
    From(u64),
    /// `-length`: the last bytes.
    Suffix(u64),
}

/// The range starts at or after the end of the object, or asks for no byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsatisfiable;

impl ByteRange {
    /// Parses a header value; `None` means that the header is to be ignored.
    pub fn parse(header: &str) -> Option<Self> {
        let (unit, set) = header.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
            return None;
        }
        match set.trim().split_once('-')? {
            ("", length) => Some(Self::Suffix(number(length)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between { first, last })
            }
        }
    }

    /// The bytes it names in an object of `len_bytes`.
    ///
    /// # Errors
    /// [`Unsatisfiable`] if it names none: S3 answers 416.
    pub fn resolve(self, len_bytes: u64) -> Result<Range<u64>, Unsatisfiable> {
        let range = match self {
            Self::Between { first, last } => first..last.saturating_add(1).min(len_bytes),
            Self::From(first) => first..len_bytes,
            Self::Suffix(length) => len_bytes.saturating_sub(length)..len_bytes,
        };
        if range.start < range.end { Ok(range) } else { Err(Unsatisfiable) }
    }
}

/// Digits only; a number past 64 bits is as good as the largest.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// The `Content-Range` of a part of an object, `range` not empty.
pub fn content_range(range: &Range<u64>, len_bytes: u64) -> String {
    format!("bytes {}-{}/{len_bytes}", range.start, range.end - 1)
}

/// The `bytes=a-b` of `x-amz-copy-source-range`: both ends needed and inside the source.
///
/// `None` if it is not of that form.
pub fn parse_copy_source_range(header: &str) -> Option<Range<u64>> {
    match ByteRange::parse(header)? {
        ByteRange::Between { first, last } => Some(first..last.checked_add(1)?),
        ByteRange::From(_) | ByteRange::Suffix(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ranges_resolve() {
        for (header, len, expected) in [
            ("bytes=0-0", 10, Ok(0..1)),
            ("bytes=2-5", 10, Ok(2..6)),
            ("Bytes=2-500", 10, Ok(2..10)),
            ("bytes=3-", 10, Ok(3..10)),
            ("bytes=-4", 10, Ok(6..10)),
            ("bytes=-400", 10, Ok(0..10)),
            ("bytes=0-99999999999999999999999", 10, Ok(0..10)),
            ("bytes=10-", 10, Err(Unsatisfiable)),
            ("bytes=10-12", 10, Err(Unsatisfiable)),
            ("bytes=-0", 10, Err(Unsatisfiable)),
            ("bytes=0-", 0, Err(Unsatisfiable)),
            ("bytes=-5", 0, Err(Unsatisfiable)),
            ("bytes=18446744073709551615-", 10, Err(Unsatisfiable)),
        ] {
            assert_eq!(ByteRange::parse(header).unwrap().resolve(len), expected, "{header} of {len}");
        }
    }

    #[test]
    fn other_headers_are_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-3",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=+1-2",
            "bytes=1--2",
        ] {
            assert_eq!(ByteRange::parse(header), None, "{header}");
        }
    }

    #[test]
    fn copy_source_ranges_name_both_ends() {
        assert_eq!(parse_copy_source_range("bytes=0-9"), Some(0..10));
        for header in ["bytes=5-", "bytes=-5", "0-9", "bytes=9-0", "bytes=0-18446744073709551615"] {
            assert_eq!(parse_copy_source_range(header), None, "{header}");
        }
    }

    #[test]
    fn content_range_shows_the_last_byte_included() {
        assert_eq!(content_range(&(2..6), 10), "bytes 2-5/10");
    }
}
