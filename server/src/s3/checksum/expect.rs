//! What a request says of its body's digests, and the comparison once the body has ended.
//!
//! Nothing becomes visible before [`ExpectedChecksums::verify`] has said yes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;

use super::{ChecksumAlgorithm, ChecksumValue};
use crate::s3::error::{S3Error, S3ErrorCode};

/// The one checksum that a request may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedChecksum {
    /// Its value was in a header.
    Header(ChecksumValue),
    /// Its value comes in the trailer.
    Trailer(ChecksumAlgorithm),
}

/// Everything a request promises about its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExpectedChecksums {
    /// `Content-MD5`: verified, never stored.
    pub content_md5: Option<ChecksumValue>,
    /// `x-amz-checksum-*`: verified and stored.
    pub checksum: Option<ExpectedChecksum>,
}

const TRAILER: &str = "x-amz-trailer";
const SDK_ALGORITHM: &str = "x-amz-sdk-checksum-algorithm";

impl ExpectedChecksums {
    /// Reads `Content-MD5`, `x-amz-checksum-*`, `x-amz-trailer` and `x-amz-sdk-checksum-algorithm`.
    ///
    /// # Errors
    /// `InvalidDigest` and `InvalidRequest` in AWS's words: malformed, several, unknown or contradictory.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, S3Error> {
        let expected = Self { content_md5: content_md5(headers)?, checksum: named_checksum(headers)? };
        if let Some(declared) = text(headers, SDK_ALGORITHM) {
            let declared = parse_algorithm(declared)?;
            match expected.algorithm() {
                Some(algorithm) if algorithm == declared => {}
                Some(_) => return Err(invalid("Value for x-amz-sdk-checksum-algorithm header is invalid.")),
                None if expected.content_md5.is_some() && declared == ChecksumAlgorithm::Md5 => {}
                None => {
                    return Err(invalid(
                        "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
                         x-amz-trailer headers were found.",
                    ));
                }
            }
        }
        Ok(expected)
    }

    /// The algorithm of the named checksum.
    pub fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        match self.checksum.as_ref()? {
            ExpectedChecksum::Header(value) => Some(value.algorithm()),
            ExpectedChecksum::Trailer(algorithm) => Some(*algorithm),
        }
    }

    /// The algorithms whose digests [`verify`](Self::verify) will ask for.
    pub fn needed(&self) -> impl Iterator<Item = ChecksumAlgorithm> {
        let md5 = self.content_md5.as_ref().map(ChecksumValue::algorithm);
        md5.into_iter().chain(self.algorithm())
    }

    /// True if the request promises anything, as DeleteObjects demands.
    pub fn any(&self) -> bool {
        self.content_md5.is_some() || self.checksum.is_some()
    }

    /// Compares the promises with what was computed; `trailers` are those received after the body.
    ///
    /// # Errors
    /// `BadDigest` on a difference, `MalformedTrailerError` if a promised trailer did not come.
    pub fn verify(&self, computed: &[ChecksumValue], trailers: &HeaderMap) -> Result<(), S3Error> {
        if let Some(expected) = &self.content_md5 {
            compare(expected, computed, "The Content-MD5 you specified did not match what we received.".to_owned())?;
        }
        let expected = match &self.checksum {
            None => return Ok(()),
            Some(ExpectedChecksum::Header(value)) => value.clone(),
            Some(ExpectedChecksum::Trailer(algorithm)) => {
                let value = text(trailers, algorithm.header())
                    .ok_or_else(|| S3Error::of(S3ErrorCode::MalformedTrailerError))?;
                ChecksumValue::from_base64(*algorithm, value)
                    .ok_or_else(|| invalid(format!("Value for {} trailing header is invalid.", algorithm.header())))?
            }
        };
        let name = expected.algorithm().name();
        compare(&expected, computed, format!("The {name} you specified did not match the calculated checksum."))
    }
}

fn compare(expected: &ChecksumValue, computed: &[ChecksumValue], message: String) -> Result<(), S3Error> {
    // A digest that was not computed cannot match: a caller that forgot it is refused, not trusted.
    if computed.contains(expected) { Ok(()) } else { Err(S3Error::new(S3ErrorCode::BadDigest, message)) }
}

fn content_md5(headers: &HeaderMap) -> Result<Option<ChecksumValue>, S3Error> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let digest = BASE64.decode(value.as_bytes()).ok();
    let value = digest.and_then(|digest| ChecksumValue::new(ChecksumAlgorithm::Md5, digest));
    match value {
        Some(value) => Ok(Some(value)),
        None => Err(S3Error::new(S3ErrorCode::InvalidDigest, "The Content-MD5 you specified was invalid.")),
    }
}

fn named_checksum(headers: &HeaderMap) -> Result<Option<ExpectedChecksum>, S3Error> {
    let mut named = Vec::new();
    for algorithm in ChecksumAlgorithm::all() {
        for value in headers.get_all(algorithm.header()) {
            let value = value.to_str().ok().and_then(|text| ChecksumValue::from_base64(algorithm, text));
            let value = value.ok_or_else(|| invalid(format!("Value for {} header is invalid.", algorithm.header())))?;
            named.push(ExpectedChecksum::Header(value));
        }
    }
    for declared in headers.get_all(TRAILER) {
        for name in declared.to_str().unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let algorithm = ChecksumAlgorithm::from_header(&name.to_ascii_lowercase());
            let algorithm =
                algorithm.ok_or_else(|| invalid("The value specified in the x-amz-trailer header is not supported"))?;
            named.push(ExpectedChecksum::Trailer(algorithm));
        }
    }
    if named.len() > 1 {
        return Err(invalid("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."));
    }
    Ok(named.pop())
}

/// Parses an algorithm's name as a header gives it.
///
/// # Errors
/// `InvalidRequest`, listing the names.
pub fn parse_algorithm(name: &str) -> Result<ChecksumAlgorithm, S3Error> {
    ChecksumAlgorithm::from_name(name).ok_or_else(|| {
        let names: Vec<_> = ChecksumAlgorithm::all().map(ChecksumAlgorithm::name).collect();
        invalid(format!(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [{}]",
            names.join(", ")
        ))
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::super::digest;
    use super::*;

    const HELLO_MD5: &str = "XUFAKrxLKna5cZ2REBfFkg==";
    const HELLO_CRC32: &str = "NhCmhg==";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn code(pairs: &[(&'static str, &str)]) -> Option<S3ErrorCode> {
        ExpectedChecksums::from_headers(&headers(pairs)).err().map(|error| error.code)
    }

    #[test]
    fn header_values_are_verified() {
        let expected = ExpectedChecksums::from_headers(&headers(&[
            ("content-md5", HELLO_MD5),
            ("x-amz-checksum-crc32", HELLO_CRC32),
            ("x-amz-sdk-checksum-algorithm", "crc32"),
        ]))
        .unwrap();
        assert_eq!(expected.needed().collect::<Vec<_>>(), [ChecksumAlgorithm::Md5, ChecksumAlgorithm::Crc32]);
        let computed = |body: &[u8]| expected.needed().map(|name| digest(name, body)).collect::<Vec<_>>();
        assert!(expected.verify(&computed(b"hello"), &HeaderMap::new()).is_ok());
        let wrong = expected.verify(&computed(b"hellp"), &HeaderMap::new()).unwrap_err();
        assert_eq!(wrong.code, S3ErrorCode::BadDigest);
        assert!(expected.verify(&[], &HeaderMap::new()).is_err());
    }

    #[test]
    fn trailer_values_are_verified() {
        let expected = ExpectedChecksums::from_headers(&headers(&[("x-amz-trailer", "x-amz-checksum-crc32")])).unwrap();
        let computed = [digest(ChecksumAlgorithm::Crc32, b"hello")];
        let check = |trailers: &[(&'static str, &str)]| {
            expected.verify(&computed, &headers(trailers)).err().map(|error| error.code)
        };
        assert_eq!(check(&[("x-amz-checksum-crc32", HELLO_CRC32)]), None);
        assert_eq!(check(&[("x-amz-checksum-crc32", "AAAAAA==")]), Some(S3ErrorCode::BadDigest));
        assert_eq!(check(&[("x-amz-checksum-crc32", "AAA=")]), Some(S3ErrorCode::InvalidRequest));
        assert_eq!(check(&[]), Some(S3ErrorCode::MalformedTrailerError));
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(code(&[]), None);
        assert_eq!(code(&[("content-md5", "short")]), Some(S3ErrorCode::InvalidDigest));
        assert_eq!(code(&[("content-md5", "")]), Some(S3ErrorCode::InvalidDigest));
        for pairs in [
            &[("x-amz-checksum-crc32", "abc")][..],
            &[("x-amz-checksum-crc32", HELLO_CRC32), ("x-amz-checksum-md5", HELLO_MD5)],
            &[("x-amz-checksum-crc32", HELLO_CRC32), ("x-amz-trailer", "x-amz-checksum-crc32")],
            &[("x-amz-trailer", "x-amz-checksum-crc16")],
            &[("x-amz-sdk-checksum-algorithm", "CRC32")],
            &[("x-amz-sdk-checksum-algorithm", "SHA1"), ("x-amz-checksum-crc32", HELLO_CRC32)],
            &[("x-amz-sdk-checksum-algorithm", "CRC16"), ("x-amz-checksum-crc32", HELLO_CRC32)],
        ] {
            assert_eq!(code(pairs), Some(S3ErrorCode::InvalidRequest), "{pairs:?}");
        }
    }
}
