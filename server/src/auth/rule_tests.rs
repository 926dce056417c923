//! The edge rules of signatures and framing, each by its number, and the ways to break them.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use chartrier_crypto::Sha256;
use http::{HeaderMap, HeaderValue, Method};

use super::canonical::{CanonicalRequest, canonical_query};
use super::chunked::ChunkedDecoder;
use super::signing_keys::SigningKey;
use super::trailers::DeclaredTrailers;
use super::{AuthRules, RequestHead, SigningKeys, authenticate};
use crate::identity::Identities;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::{Decoding, Query, RequestBody};

const NOW: i64 = 1_795_322_747;
const DATE: &str = "20261122T044547Z";
const SECRET: &str = "secret";

/// A request to be signed by hand, so that each test can sign what a good client would not.
struct Draft {
    path: &'static str,
    canonical_path: &'static str,
    query: String,
    headers: HeaderMap,
    signed_headers: &'static str,
    region: &'static str,
    service: &'static str,
    date: &'static str,
    now: i64,
}

impl Draft {
    fn new() -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("127.0.0.1"));
        headers.insert("x-amz-content-sha256", HeaderValue::from_static("UNSIGNED-PAYLOAD"));
        Self {
            path: "/bucket/key",
            canonical_path: "/bucket/key",
            query: String::new(),
            headers,
            signed_headers: "host;x-amz-content-sha256;x-amz-date",
            region: "fr",
            service: "s3",
            date: DATE,
            now: NOW,
        }
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", &DATE[..8], self.region, self.service)
    }

    fn signature(&self, headers: &HeaderMap, query: &Query, signed_headers: &str, payload: &str) -> String {
        let day = UNIX_EPOCH + Duration::from_secs(NOW.cast_unsigned());
        let key = SigningKey::derive(SECRET, day, self.region, self.service);
        let request = CanonicalRequest {
            method: &Method::PUT,
            path: self.canonical_path,
            query: &canonical_query(query),
            headers,
            signed_headers,
            payload_hash: payload,
        };
        let digest = hex::encode(request.digest());
        key.sign(format!("AWS4-HMAC-SHA256\n{}\n{}\n{digest}", self.date, self.scope()).as_bytes())
    }

    fn send(&self, headers: &HeaderMap, query: &Query) -> Result<(), S3Error> {
        let identities = Identities::of_one("AK", SECRET);
        let aliases = ["us-east-1".to_owned()];
        let rules = AuthRules {
            identities: &identities,
            signing_keys: &SigningKeys::default(),
            region: "fr",
            services: &["s3"],
            operator_key: &crate::identity::test_operator_key(),
            region_aliases: &aliases,
            now_seconds: self.now,
        };
        let head = RequestHead { method: &Method::PUT, path: self.path, query, headers, body_digest: None };
        let caller = authenticate(head, rules)?.caller;
        if caller.is_anonymous() {
            return Err(S3Error::of(S3ErrorCode::AccessDenied));
        }
        assert_eq!(&*caller.access_key_id, "AK");
        Ok(())
    }

    fn by_header(&self) -> Result<(), S3Error> {
        let mut headers = self.headers.clone();
        headers.insert("x-amz-date", HeaderValue::from_static(self.date));
        let query = Query::parse(&self.query).unwrap();
        let payload = headers.get("x-amz-content-sha256").map_or("UNSIGNED-PAYLOAD", |v| v.to_str().unwrap());
        let signature = self.signature(&headers, &query, self.signed_headers, payload);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AK/{}, SignedHeaders={}, Signature={signature}",
            self.scope(),
            self.signed_headers
        );
        headers.insert("authorization", HeaderValue::from_str(&authorization).unwrap());
        self.send(&headers, &query)
    }

    fn presigned(&self, expires: &str) -> Result<(), S3Error> {
        let unsigned = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK/{}&X-Amz-Date={}&X-Amz-Expires={expires}\
             &X-Amz-SignedHeaders=host",
            self.scope(),
            self.date
        );
        let mut headers = self.headers.clone();
        headers.remove("x-amz-content-sha256");
        let query = Query::parse(&unsigned).unwrap();
        let signature = self.signature(&headers, &query, "host", "UNSIGNED-PAYLOAD");
        let query = Query::parse(&format!("{unsigned}&X-Amz-Signature={signature}")).unwrap();
        self.send(&headers, &query)
    }
}

fn code(result: Result<(), S3Error>) -> Result<(), S3ErrorCode> {
    result.map_err(|error| error.code)
}

#[test]
fn a_good_request_passes_by_header_and_presigned() {
    assert_eq!(code(Draft::new().by_header()), Ok(()));
    assert_eq!(code(Draft::new().presigned("600")), Ok(()));
}

#[test]
fn a4_1_an_unsigned_x_amz_header_is_refused() {
    let mut draft = Draft::new();
    draft.headers.insert("x-amz-copy-source", HeaderValue::from_static("/other/secret"));
    for result in [draft.by_header(), draft.presigned("600")] {
        let error = result.unwrap_err();
        assert_eq!(error.code, S3ErrorCode::AccessDenied);
        assert!(error.details.contains(&("HeadersNotSigned", "x-amz-copy-source".to_owned())));
    }
    // The SSE-C headers are x-amz headers like the others.
    let mut draft = Draft::new();
    draft.headers.insert("x-amz-server-side-encryption-customer-key", HeaderValue::from_static("a2V5"));
    assert_eq!(code(draft.presigned("600")), Err(S3ErrorCode::AccessDenied));
    // Framing headers are exempt: a framing that lies fails on its own.
    let mut draft = Draft::new();
    draft.headers.insert("x-amz-decoded-content-length", HeaderValue::from_static("1"));
    assert_eq!(code(draft.by_header()), Ok(()));
}

#[test]
fn a4_1_the_host_must_be_signed() {
    let draft = Draft { signed_headers: "x-amz-content-sha256;x-amz-date", ..Draft::new() };
    assert_eq!(code(draft.by_header()), Err(S3ErrorCode::AccessDenied));
}

#[test]
fn a4_2_region_service_and_date_of_the_scope_are_checked() {
    let malformed = Err(S3ErrorCode::AuthorizationHeaderMalformed);
    assert_eq!(code(Draft { region: "us-east-1", ..Draft::new() }.by_header()), Ok(()));
    let error = Draft { region: "eu-west-3", ..Draft::new() }.by_header().unwrap_err();
    assert_eq!(error.code, S3ErrorCode::AuthorizationHeaderMalformed);
    assert!(error.details.contains(&("Region", "fr".to_owned())));
    assert_eq!(code(Draft { service: "ec2", ..Draft::new() }.by_header()), malformed);
    let tomorrow = Draft { date: "20261123T000001Z", now: NOW + 69_254, ..Draft::new() };
    assert_eq!(code(tomorrow.by_header()), malformed);
}

#[test]
fn a4_2_the_clock_may_be_off_by_fifteen_minutes() {
    let at = |now| code(Draft { now, ..Draft::new() }.by_header());
    assert_eq!(at(NOW + 900), Ok(()));
    assert_eq!(at(NOW - 900), Ok(()));
    assert_eq!(at(NOW + 901), Err(S3ErrorCode::RequestTimeTooSkewed));
    assert_eq!(at(NOW - 901), Err(S3ErrorCode::RequestTimeTooSkewed));
}

#[test]
fn a4_2_presigned_requests_live_seven_days_at_most() {
    let at = |expires, now| code(Draft { now, ..Draft::new() }.presigned(expires));
    assert_eq!(at("604800", NOW + 604_800), Ok(()));
    assert_eq!(at("604800", NOW + 604_801), Err(S3ErrorCode::AccessDenied));
    assert_eq!(at("0", NOW), Err(S3ErrorCode::AccessDenied));
    assert_eq!(at("604801", NOW), Err(S3ErrorCode::AccessDenied));
    assert_eq!(at("99999999999", NOW), Err(S3ErrorCode::AccessDenied));
    assert_eq!(at("-1", NOW), Err(S3ErrorCode::AccessDenied));
    assert_eq!(at("-", NOW), Err(S3ErrorCode::AuthorizationQueryParametersError));
    assert_eq!(at("60", NOW + 61), Err(S3ErrorCode::AccessDenied));
    assert_eq!(at("60", NOW - 901), Err(S3ErrorCode::AccessDenied));
}

#[test]
fn a4_2_signature_version_2_is_refused() {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("AWS AKID:c2lnbmF0dXJl"));
    assert_eq!(code(Draft::new().send(&headers, &Query::default())), Err(S3ErrorCode::InvalidRequest));
    let query = Query::parse("AWSAccessKeyId=AK&Expires=1895322747&Signature=c2ln").unwrap();
    assert_eq!(code(Draft::new().send(&HeaderMap::new(), &query)), Err(S3ErrorCode::InvalidRequest));
}

#[test]
fn a4_3_a_bare_reserved_character_may_be_signed_as_sent_or_encoded() {
    let sent = "/bucket/a b+c".replace(' ', "%20").leak() as &'static str;
    assert_eq!(code(Draft { path: sent, canonical_path: sent, ..Draft::new() }.by_header()), Ok(()));
    assert_eq!(code(Draft { path: sent, canonical_path: "/bucket/a%20b%2Bc", ..Draft::new() }.by_header()), Ok(()));
    // Nothing else about the path is negotiable.
    for (path, canonical_path) in
        [("/bucket/a//b", "/bucket/a/b"), ("/bucket/a/../b", "/bucket/b"), ("/bucket/%2f", "/bucket/%2F")]
    {
        let draft = Draft { path, canonical_path, ..Draft::new() };
        assert_eq!(code(draft.by_header()), Err(S3ErrorCode::SignatureDoesNotMatch), "{path}");
    }
}

#[test]
fn unknown_keys_tokens_and_missing_hashes_have_their_codes() {
    let mut draft = Draft::new();
    draft.headers.remove("x-amz-content-sha256");
    draft.signed_headers = "host;x-amz-date";
    assert_eq!(code(draft.by_header()), Err(S3ErrorCode::InvalidRequest));
    let mut draft = Draft::new();
    draft.headers.insert("x-amz-security-token", HeaderValue::from_static("t"));
    assert_eq!(code(draft.by_header()), Err(S3ErrorCode::InvalidToken));
    assert_eq!(code(Draft::new().send(&HeaderMap::new(), &Query::default())), Err(S3ErrorCode::AccessDenied));
}

/// Decodes an unsigned body with a declared CRC32 trailer.
fn unsigned(frames: &[&[u8]], declared_len: u64) -> Result<(Vec<u8>, HeaderMap), S3ErrorCode> {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-trailer", HeaderValue::from_static("x-amz-checksum-crc32"));
    let trailers = DeclaredTrailers::parse(&headers).unwrap();
    let decoder = ChunkedDecoder::new(None, Some(trailers), declared_len);
    let frames: Vec<Bytes> = frames.iter().map(|frame| Bytes::copy_from_slice(frame)).collect();
    let mut body = RequestBody::from_frames(frames, Decoding::Chunked(Box::new(decoder)), Some(declared_len));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut plain = Vec::new();
        while let Some(fragment) = body.next().await.map_err(|error| error.code)? {
            plain.extend_from_slice(&fragment);
        }
        Ok((plain, body.trailers().clone()))
    })
}

#[test]
fn a4_4_an_unsigned_chunk_is_given_out_as_it_comes() {
    let mut decoder = ChunkedDecoder::new(None, Some(DeclaredTrailers::default()), 1 << 40);
    let mut input = Bytes::from_static(b"10000000000\r\nfirst");
    // The chunk is a tebibyte long, and its first five bytes come out at once, as they lie.
    let address = input[13..].as_ptr();
    let fragment = decoder.decode(&mut input).unwrap().unwrap();
    assert_eq!(fragment, "first");
    assert_eq!(fragment.as_ptr(), address);
}

#[test]
fn a4_4_every_spelling_of_the_end_is_read() {
    let expected = HeaderValue::from_static("AAAAAA==");
    for end in [
        "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
        "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n",
        "0\r\nX-Amz-Checksum-Crc32: AAAAAA==\n\r\n",
    ] {
        let body = format!("3\r\nabc\r\n{end}");
        let (plain, trailers) = unsigned(&[body.as_bytes()], 3).unwrap();
        assert_eq!((plain.as_slice(), &trailers["x-amz-checksum-crc32"]), (b"abc".as_slice(), &expected));
        let bytewise: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        assert_eq!(unsigned(&bytewise, 3).unwrap().0, b"abc");
    }
}

#[test]
fn a4_4_only_the_last_chunk_may_be_short() {
    let chunk = |len: usize| format!("{len:x}\r\n{}\r\n", "x".repeat(len));
    let end = "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
    let good = format!("{}{}{end}", chunk(8192), chunk(5));
    assert_eq!(unsigned(&[good.as_bytes()], 8197).unwrap().0.len(), 8197);
    let bad = format!("{}{}{end}", chunk(8191), chunk(5));
    assert_eq!(unsigned(&[bad.as_bytes()], 8196), Err(S3ErrorCode::InvalidChunkSizeError));
}

#[test]
fn a4_4_the_decoded_length_must_match_exactly() {
    let body = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
    assert_eq!(unsigned(&[body], 2), Err(S3ErrorCode::IncompleteBody));
    assert_eq!(unsigned(&[body], 4), Err(S3ErrorCode::IncompleteBody));
    assert!(unsigned(&[body], 3).is_ok());
}

#[test]
fn a4_4_trailers_must_be_declared_present_once_and_small() {
    let with = |trailers: &str| unsigned(&[format!("3\r\nabc\r\n0\r\n{trailers}\r\n").as_bytes()], 3).map(|_| ());
    let malformed = Err(S3ErrorCode::MalformedTrailerError);
    assert_eq!(with("x-amz-checksum-crc32:AAAAAA==\r\n"), Ok(()));
    assert_eq!(with(""), malformed);
    assert_eq!(with("x-amz-checksum-sha1:AAAAAA==\r\n"), malformed);
    assert_eq!(with("x-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-crc32:BBBBBB==\r\n"), malformed);
    assert_eq!(with("no colon\r\n"), malformed);
    assert_eq!(with(&format!("x-amz-checksum-crc32:{}\r\n", "A".repeat(17 << 10))), malformed);
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-trailer", HeaderValue::from_static("x-amz-meta-late"));
    assert_eq!(DeclaredTrailers::parse(&headers).unwrap_err().code, S3ErrorCode::InvalidRequest);
}

#[test]
fn framing_that_never_ends_is_refused() {
    let not_chunked = Err(S3ErrorCode::InvalidRequest);
    assert_eq!(unsigned(&["1".repeat(4096).as_bytes()], 3), not_chunked);
    assert_eq!(unsigned(&[b"3;x=", "y".repeat(300).as_bytes(), b"\r\nabc\r\n"], 3), not_chunked);
    assert_eq!(unsigned(&[b"3\r\nabcXX\r\n"], 3), not_chunked);
    assert_eq!(unsigned(&[b"-3\r\nabc\r\n"], 3), not_chunked);
    assert_eq!(unsigned(&[b"\r\n"], 3), not_chunked);
    assert_eq!(unsigned(&[b"ffffffffffffffff\r\nabc"], 3), Err(S3ErrorCode::IncompleteBody));
    assert_eq!(unsigned(&[b"3\r\nab"], 3), Err(S3ErrorCode::IncompleteBody));
}

#[test]
fn sha_256_of_nothing_is_the_constant_of_chunk_signatures() {
    assert_eq!(hex::encode(Sha256::new().finish()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
