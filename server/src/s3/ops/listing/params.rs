//! The query parameters that listings share, parsed as AWS parses them.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::s3::error::S3Error;
use crate::s3::names::OBJECT_KEY_LEN_BYTES_MAX;
use crate::s3::request::Query;

/// The most entries of one page, whatever the client asks for.
pub const PAGE_ENTRIES_MAX: usize = 1000;

/// Prefix, delimiter, page size and encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingParams {
    /// Empty when absent.
    pub prefix: String,
    /// `None` when absent or empty, which mean the same.
    pub delimiter: Option<String>,
    /// What the answer says and the page holds: at most [`PAGE_ENTRIES_MAX`], and 0 is allowed.
    pub page_size: usize,
    /// How names are written in the answer.
    pub encoding: NameEncoding,
}

impl ListingParams {
    /// Parses the parameters. `limit_name` is `max-keys`, `max-uploads` or `max-parts`.
    ///
    /// # Errors
    /// `InvalidArgument` naming the parameter: the client's fault.
    pub fn parse(query: &Query, limit_name: &'static str) -> Result<Self, S3Error> {
        Ok(Self {
            prefix: bounded(query, "prefix")?.unwrap_or_default().to_owned(),
            delimiter: bounded(query, "delimiter")?.filter(|text| !text.is_empty()).map(str::to_owned),
            page_size: parse_limit(query, limit_name)?,
            encoding: NameEncoding::parse(query)?,
        })
    }
}

/// The value of a parameter that stands for a key or a part of one.
///
/// # Errors
/// `InvalidArgument` when no key could match it because it is too long.
pub fn bounded<'q>(query: &'q Query, name: &'static str) -> Result<Option<&'q str>, S3Error> {
    match query.get(name) {
        // A marker may be a key followed by more: twice the longest key leaves room for any of them.
        Some(text) if text.len() > 2 * OBJECT_KEY_LEN_BYTES_MAX => Err(S3Error::invalid_argument(
            format!("The {name} is too long."),
            name,
            &text[..text.floor_char_boundary(64)],
        )),
        value => Ok(value),
    }
}

/// Parses `max-keys` and its kin: absent or empty is 1000, more than 1000 is 1000.
///
/// # Errors
/// `InvalidArgument` for what is not an integer between 0 and 2147483647.
pub fn parse_limit(query: &Query, name: &'static str) -> Result<usize, S3Error> {
    let Some(text) = query.get(name).filter(|text| !text.is_empty()) else { return Ok(PAGE_ENTRIES_MAX) };
    let refused = |message: String| Err(S3Error::invalid_argument(message, name, text));
    match text.parse::<i64>() {
        Ok(number) if number < 0 => refused(format!("Argument {name} must be an integer between 0 and {}", i32::MAX)),
        Ok(number) if number <= i64::from(i32::MAX) => {
            Ok(usize::try_from(number).unwrap_or(PAGE_ENTRIES_MAX).min(PAGE_ENTRIES_MAX))
        }
        _ => refused(format!("Provided {name} not an integer or within integer range")),
    }
}

/// How names are written in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameEncoding {
    /// As XML text.
    Plain,
    /// `encoding-type=url`: percent-encoded, so that names which XML cannot carry survive.
    Url,
}

impl NameEncoding {
    /// Parses `encoding-type`.
    ///
    /// # Errors
    /// `InvalidArgument` for anything but `url`.
    pub fn parse(query: &Query) -> Result<Self, S3Error> {
        match query.get("encoding-type") {
            None | Some("") => Ok(Self::Plain),
            Some(text) if text.eq_ignore_ascii_case("url") => Ok(Self::Url),
            Some(text) => {
                Err(S3Error::invalid_argument("Invalid Encoding Method specified in Request", "encoding-type", text))
            }
        }
    }

    /// Writes a name.
    pub fn encode<'n>(self, name: &'n str) -> Cow<'n, str> {
        match self {
            Self::Plain => Cow::Borrowed(name),
            Self::Url => utf8_percent_encode(name, &RESERVED).into(),
        }
    }

    /// Writes the prefix that an answer of version 1 repeats: only what decoding would change, or what
    /// XML cannot carry, is encoded. Botocore decodes every name of such an answer but this one; for
    /// clients that do decode it the result is the same.
    pub fn encode_sparsely<'n>(self, name: &'n str) -> Cow<'n, str> {
        match self {
            Self::Plain => Cow::Borrowed(name),
            Self::Url => utf8_percent_encode(name, &CHANGED_BY_DECODING).into(),
        }
    }

    /// The `EncodingType` element's text, if there is one.
    pub fn element(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Url => Some("url"),
        }
    }
}

/// All but RFC 3986's unreserved characters and `/`. A space is `%20`, never `+`: some clients
/// decode only percent signs, and all of them decode those.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// What form decoding changes, and the control characters that XML has no place for.
const CHANGED_BY_DECODING: AsciiSet = CONTROLS.remove(b'\n').remove(b'\t').add(b'%').add(b'+');

#[cfg(test)]
mod tests {
    use crate::s3::error::S3ErrorCode;

    use super::*;

    fn params(query: &str) -> Result<ListingParams, S3Error> {
        ListingParams::parse(&Query::parse(query).unwrap(), "max-keys")
    }

    #[test]
    fn absent_parameters_have_defaults() {
        let params = params("").unwrap();
        assert_eq!(params.prefix, "");
        assert_eq!(params.delimiter, None);
        assert_eq!(params.page_size, 1000);
        assert_eq!(params.encoding, NameEncoding::Plain);
    }

    #[test]
    fn page_sizes_are_capped_not_refused() {
        for (text, expected) in [("0", 0), ("1", 1), ("1000", 1000), ("1001", 1000), ("2147483647", 1000), ("", 1000)] {
            assert_eq!(params(&format!("max-keys={text}")).unwrap().page_size, expected, "{text}");
        }
        for bad in ["-1", "2147483648", "99999999999999999999", "x", "1.5", " 1"] {
            let error = params(&format!("max-keys={}", bad.replace(' ', "%20"))).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn an_empty_delimiter_is_none_and_a_long_one_is_kept() {
        assert_eq!(params("delimiter=").unwrap().delimiter, None);
        assert_eq!(params("delimiter=%2F").unwrap().delimiter.as_deref(), Some("/"));
        assert_eq!(params("delimiter=--x--").unwrap().delimiter.as_deref(), Some("--x--"));
        assert!(params(&format!("prefix={}", "p".repeat(2049))).is_err());
    }

    #[test]
    fn url_encoding_keeps_slashes_and_hides_the_rest() {
        assert_eq!(params("encoding-type=URL").unwrap().encoding, NameEncoding::Url);
        assert_eq!(params("encoding-type=base64").unwrap_err().code, S3ErrorCode::InvalidArgument);
        assert_eq!(NameEncoding::Url.encode("a b/c+d&é\u{1}~"), "a%20b/c%2Bd%26%C3%A9%01~");
        assert_eq!(NameEncoding::Plain.encode("a b"), "a b");
        assert_eq!(NameEncoding::Url.encode_sparsely("a b/\n+%\u{1}\r"), "a b/\n%2B%25%01%0D");
        assert_eq!(NameEncoding::Plain.encode_sparsely("a+b"), "a+b");
    }
}
