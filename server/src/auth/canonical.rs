//! The canonical request, fed to SHA-256 piece by piece.
//!
//! It is never assembled in memory: among the signed headers may be an SSE-C key.

use chartrier_crypto::Sha256;
use http::{HeaderMap, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::s3::request::Query;

/// What SigV4 leaves as it is in a query: `A-Z a-z 0-9 - . _ ~`.
const ENCODED_IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// In a path `/` stays too.
const ENCODED_IN_PATH: &AsciiSet = &ENCODED_IN_QUERY.remove(b'/');

/// Everything that a canonical request is made of.
pub(super) struct CanonicalRequest<'r> {
    pub(super) method: &'r Method,
    /// As sent, or as [`re_encoded_path`] makes it.
    pub(super) path: &'r str,
    /// See [`canonical_query`].
    pub(super) query: &'r str,
    pub(super) headers: &'r HeaderMap,
    /// As claimed.
    pub(super) signed_headers: &'r str,
    /// As claimed: a digest or one of the words.
    pub(super) payload_hash: &'r str,
}

/// Takes pieces of a canonical request.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Sha256 {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl CanonicalRequest<'_> {
    /// SHA-256 of the canonical request.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        self.write_to(&mut hasher);
        hasher.finish()
    }

    pub(super) fn write_to(&self, sink: &mut impl Sink) {
        sink.put(self.method.as_str().as_bytes());
        sink.put(b"\n");
        sink.put(self.path.as_bytes());
        sink.put(b"\n");
        sink.put(self.query.as_bytes());
        sink.put(b"\n");
        for name in self.signed_headers.split(';') {
            sink.put(name.as_bytes());
            sink.put(b":");
            for (index, value) in self.headers.get_all(name).iter().enumerate() {
                if index > 0 {
                    sink.put(b",");
                }
                put_trimmed(sink, value.as_bytes());
            }
            sink.put(b"\n");
        }
        sink.put(b"\n");
        sink.put(self.signed_headers.as_bytes());
        sink.put(b"\n");
        sink.put(self.payload_hash.as_bytes());
    }
}

/// Puts a header value without spaces around it and with runs of spaces as one.
fn put_trimmed(sink: &mut impl Sink, value: &[u8]) {
    let value = value.trim_ascii();
    if !value.windows(2).any(|pair| pair == b"  ") {
        return sink.put(value);
    }
    let mut words = value.split(|&b| b == b' ').filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        sink.put(first);
    }
    for word in words {
        sink.put(b" ");
        sink.put(word);
    }
}

/// The query with its parameters encoded anew and sorted, `X-Amz-Signature` left out.
pub(super) fn canonical_query(query: &Query) -> String {
    let mut pairs: Vec<(String, String)> = query
        .iter()
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| {
            let encode = |text: &str| percent_encode(text.as_bytes(), ENCODED_IN_QUERY).to_string();
            (encode(name), encode(value))
        })
        .collect();
    pairs.sort_unstable();
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(&name);
        text.push('=');
        text.push_str(&value);
    }
    text
}

/// The path as a client signs it that sends reserved characters bare but signs them encoded.
///
/// `None` unless the path has such characters: for any other, only the path as sent can hold.
pub(super) fn re_encoded_path(path: &str) -> Option<String> {
    let bare = |b: u8| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/' | b'%'));
    if !path.bytes().any(bare) {
        return None;
    }
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    Some(percent_encode(&decoded, ENCODED_IN_PATH).to_string())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    impl Sink for Vec<u8> {
        fn put(&mut self, bytes: &[u8]) {
            self.extend_from_slice(bytes);
        }
    }

    /// The GET Object example of Amazon's documentation, to the byte.
    #[test]
    fn amazons_example_is_canonicalised_as_printed() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-date", HeaderValue::from_static("20130524T000000Z"));
        headers.insert("x-amz-content-sha256", HeaderValue::from_static(empty));
        headers.insert("range", HeaderValue::from_static(" bytes=0-9 "));
        headers.insert("host", HeaderValue::from_static("examplebucket.s3.amazonaws.com"));
        let request = CanonicalRequest {
            method: &Method::GET,
            path: "/test.txt",
            query: "",
            headers: &headers,
            signed_headers: "host;range;x-amz-content-sha256;x-amz-date",
            payload_hash: empty,
        };
        let mut text = Vec::new();
        request.write_to(&mut text);
        let expected = format!(
            "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\n\
             x-amz-content-sha256:{empty}\nx-amz-date:20130524T000000Z\n\n\
             host;range;x-amz-content-sha256;x-amz-date\n{empty}"
        );
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        assert_eq!(hex::encode(request.digest()), "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972");
    }

    #[test]
    fn queries_are_encoded_and_sorted() {
        let query = Query::parse("prefix=a%2fb+c&delimiter=/&acl&X-Amz-Signature=1&A=b&a=2&a=1&%C3%A9=~").unwrap();
        assert_eq!(canonical_query(&query), "%C3%A9=~&A=b&a=1&a=2&acl=&delimiter=%2F&prefix=a%2Fb%20c");
    }

    #[test]
    fn runs_of_spaces_are_one() {
        let mut text = Vec::new();
        put_trimmed(&mut text, b"  a   b c  ");
        assert_eq!(text, b"a b c");
    }

    #[test]
    fn only_bare_reserved_characters_get_a_second_attempt() {
        assert_eq!(re_encoded_path("/b/a%2Fb~_-.9"), None);
        assert_eq!(re_encoded_path("/b/a+b(c)%20d").as_deref(), Some("/b/a%2Bb%28c%29%20d"));
    }
}
