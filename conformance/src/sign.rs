//! AWS Signature Version 4, the client's side, written to be easy to break on purpose.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.

use std::sync::Mutex;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::{digest, hmac};
use time::OffsetDateTime;
use time::macros::format_description;

/// What SigV4 leaves as it is: letters, digits, `-`, `.`, `_` and `~`.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The payload hash that says that the body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// An access key, and the region to sign for.
pub struct Credentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// For example `fr`.
    pub region: String,
    /// `s3`, or another that scopes name.
    pub service: String,
    /// The signing key of the last day used.
    cache: Mutex<Option<(String, hmac::Key)>>,
}

/// Where and when a signature holds.
pub struct Scope {
    /// `20260102T030405Z`.
    pub timestamp: String,
    /// `20260102/fr/s3/aws4_request`.
    pub scope: String,
}

impl Credentials {
    /// Takes the two halves of an access key, and a region.
    pub fn new(access_key_id: &str, secret_access_key: &str, region: &str) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            region: region.to_owned(),
            service: "s3".to_owned(),
            cache: Mutex::new(None),
        }
    }

    /// The same, to sign for another service.
    #[must_use]
    pub fn for_service(&self, service: &str) -> Self {
        let same = Self::new(&self.access_key_id, &self.secret_access_key, &self.region);
        Self { service: service.to_owned(), ..same }
    }

    /// The scope of a signature made at `when`.
    pub fn scope(&self, when: OffsetDateTime) -> Scope {
        let timestamp = when
            .format(format_description!("[year][month][day]T[hour][minute][second]Z"))
            .expect("the format names only parts that every time has");
        let scope = format!("{}/{}/{}/aws4_request", &timestamp[..8], self.region, self.service);
        Scope { timestamp, scope }
    }

    /// The hexadecimal signature of a canonical request.
    pub fn signature(&self, scope: &Scope, canonical_request: &str) -> String {
        let string_to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            scope.timestamp,
            scope.scope,
            sha256_hex(canonical_request.as_bytes())
        );
        self.sign_text(scope, &string_to_sign)
    }

    /// Signs a string to sign: of a chunk, of a trailer, of a policy.
    pub fn sign_text(&self, scope: &Scope, text: &str) -> String {
        let date = &scope.timestamp[..8];
        let mut cache = self.cache.lock().expect("nothing panics while it holds this lock");
        if cache.as_ref().is_none_or(|(day, _)| day != date) {
            *cache = Some((date.to_owned(), self.signing_key(date)));
        }
        let (_, key) = cache.as_ref().expect("it was set just above");
        hex::encode(hmac::sign(key, text.as_bytes()))
    }

    fn signing_key(&self, date: &str) -> hmac::Key {
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", self.secret_access_key).as_bytes());
        for step in [date, &self.region, &self.service, "aws4_request"] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, step.as_bytes()).as_ref());
        }
        key
    }
}

/// The canonical request: `headers` sorted by name, names in lower case.
pub fn canonical_request(
    method: &str,
    path: &str,
    canonical_query: &str,
    headers: &[(String, String)],
    payload_hash: &str,
) -> String {
    let mut text = format!("{method}\n{path}\n{canonical_query}\n");
    for (name, value) in headers {
        text.push_str(name);
        text.push(':');
        text.push_str(value.trim());
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&signed_headers(headers));
    text.push('\n');
    text.push_str(payload_hash);
    text
}

/// The list of header names as it is signed and sent.
pub fn signed_headers(headers: &[(String, String)]) -> String {
    headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";")
}

/// Encodes a query as SigV4 sorts it.
pub fn canonical_query(pairs: &[(String, String)]) -> String {
    let mut encoded: Vec<_> = pairs.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    encoded.sort();
    encoded.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Encodes one name or value.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// Encodes a path: each segment, the slashes kept.
pub fn encode_path(path: &str) -> String {
    path.split('/').map(encode).collect::<Vec<_>>().join("/")
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    /// The GET Object example of the documentation named above.
    #[test]
    fn published_example_of_a_get() {
        let credentials =
            Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1");
        let scope = credentials.scope(datetime!(2013-05-24 00:00:00 UTC));
        let empty = sha256_hex(b"");
        let headers = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", empty.as_str()),
            ("x-amz-date", "20130524T000000Z"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = canonical_request("GET", "/test.txt", "", &headers, &empty);
        assert_eq!(
            credentials.signature(&scope, &request),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }
}
