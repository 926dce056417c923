//! SSE-C headers, taken out of the header map before anything can log or keep them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartrier_crypto::ClientKey;
use http::header::{HeaderMap, HeaderValue};
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

/// What the names of the three headers about the object being written or read begin with.
const SSE_C_TARGET_PREFIX: &str = "x-amz-server-side-encryption-customer-";
/// What the names of the three headers about the source of a copy begin with.
const SSE_C_SOURCE_PREFIX: &str = "x-amz-copy-source-server-side-encryption-customer-";

/// The two trios of SSE-C headers, as sent; what they mean is judged by the operation.
#[derive(Default)]
pub struct SseHeaders {
    /// `x-amz-server-side-encryption-customer-*`.
    pub target: SseTrio,
    /// `x-amz-copy-source-server-side-encryption-customer-*`.
    pub copy_source: SseTrio,
}

/// One trio of headers.
#[derive(Default)]
pub struct SseTrio {
    /// `…-algorithm`; text that is not UTF-8 reads as empty.
    pub algorithm: Option<String>,
    /// `…-key`, decoded.
    pub key: Option<SuppliedKey>,
    /// `…-key-MD5`, decoded.
    pub key_md5: Option<SuppliedMd5>,
}

/// A key header, decoded. The base64 text is gone from the header map.
pub enum SuppliedKey {
    /// 32 bytes, in their locked slot.
    Key(ClientKey),
    /// Base64 of something else; its MD5 serves the check that comes before the length's.
    WrongLength {
        /// MD5 of what was decoded.
        md5: [u8; 16],
    },
    /// Not base64.
    Malformed,
}

/// A key-MD5 header, decoded.
pub enum SuppliedMd5 {
    /// 16 bytes.
    Md5([u8; 16]),
    /// Anything else.
    Malformed,
}

impl SseHeaders {
    /// Whether a request brings a key, or something in the place of one.
    pub fn are_in(headers: &HeaderMap) -> bool {
        headers
            .keys()
            .map(http::HeaderName::as_str)
            .any(|name| name.starts_with(SSE_C_TARGET_PREFIX) || name.starts_with(SSE_C_SOURCE_PREFIX))
    }

    /// Moves the trios out of `headers`: afterwards none of the six is there.
    pub fn take_from(headers: &mut HeaderMap) -> Self {
        Self {
            target: SseTrio::take_from(headers, SSE_C_TARGET_PREFIX),
            copy_source: SseTrio::take_from(headers, SSE_C_SOURCE_PREFIX),
        }
    }

    /// Whether any of the six headers was sent.
    pub fn any(&self) -> bool {
        self.target.any() || self.copy_source.any()
    }
}

impl SseTrio {
    /// Whether any of the three headers was sent.
    pub fn any(&self) -> bool {
        self.algorithm.is_some() || self.key.is_some() || self.key_md5.is_some()
    }

    fn take_from(headers: &mut HeaderMap, prefix: &str) -> Self {
        // Nearly every request has none: one scan without a hash or an allocation.
        if !headers.keys().any(|name| name.as_str().starts_with(prefix)) {
            return Self::default();
        }
        let mut take = |suffix: &str| headers.remove(format!("{prefix}{suffix}"));
        Self {
            algorithm: take("algorithm").map(|value| value.to_str().unwrap_or("").to_owned()),
            key: take("key").map(|value| decode_key(&value)),
            key_md5: take("key-md5").map(|value| decode_md5(&value)),
        }
    }
}

fn decode_key(value: &HeaderValue) -> SuppliedKey {
    let text = value.as_bytes();
    if let Ok(key) = ClientKey::from_base64(text) {
        return SuppliedKey::Key(key);
    }
    // An upper bound, allocated once: growing would leave copies behind.
    let mut decoded = Zeroizing::new(vec![0; text.len() / 4 * 3 + 3]);
    match STANDARD.decode_slice(text, &mut decoded) {
        Ok(len) => SuppliedKey::WrongLength { md5: Md5::digest(decoded.get(..len).unwrap_or_default()).into() },
        Err(_) => SuppliedKey::Malformed,
    }
}

fn decode_md5(value: &HeaderValue) -> SuppliedMd5 {
    // One byte more than fits, so that a longer value is seen to be longer.
    let mut decoded = [0; 18];
    match STANDARD.decode_slice(value.as_bytes(), &mut decoded) {
        Ok(16) => {
            let mut md5 = [0; 16];
            md5.copy_from_slice(&decoded[..16]);
            SuppliedMd5::Md5(md5)
        }
        _ => SuppliedMd5::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(key: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-server-side-encryption-customer-algorithm", HeaderValue::from_static("AES256"));
        headers.insert("x-amz-server-side-encryption-customer-key", HeaderValue::from_str(key).unwrap());
        headers.insert(
            "x-amz-server-side-encryption-customer-key-md5",
            HeaderValue::from_str(&STANDARD.encode([9; 16])).unwrap(),
        );
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        headers
    }

    #[test]
    fn the_trio_leaves_the_header_map() {
        let mut headers = headers(&STANDARD.encode([7; 32]));
        let sse = SseHeaders::take_from(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(sse.any() && !sse.copy_source.any());
        assert_eq!(sse.target.algorithm.as_deref(), Some("AES256"));
        assert!(matches!(sse.target.key, Some(SuppliedKey::Key(_))));
        assert!(matches!(sse.target.key_md5, Some(SuppliedMd5::Md5(md5)) if md5 == [9; 16]));
    }

    #[test]
    fn bad_keys_are_told_apart_for_the_misuse_table() {
        let key = |text: &str| SseHeaders::take_from(&mut headers(text)).target.key.unwrap();
        let short: [u8; 16] = Md5::digest([7; 16]).into();
        assert!(matches!(key(&STANDARD.encode([7; 16])), SuppliedKey::WrongLength { md5 } if md5 == short));
        assert!(matches!(key("not base64!"), SuppliedKey::Malformed));
        assert!(matches!(key(""), SuppliedKey::WrongLength { .. }));
    }

    #[test]
    fn nothing_sent_is_nothing_taken() {
        assert!(!SseHeaders::take_from(&mut HeaderMap::new()).any());
    }
}
