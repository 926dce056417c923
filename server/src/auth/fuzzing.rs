//! Fuzz targets: who a request claims to be, and the framing of what it sends.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use chartrier_crypto::OperatorKey;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::canonical::{CanonicalRequest, canonical_query, re_encoded_path};
use super::chunked::{ChunkSigner, ChunkedDecoder};
use super::claim::{Claim, Scope, claimed_service};
use super::signing_keys::{SigningKey, SigningKeys};
use super::timestamp::Timestamp;
use super::trailers::DeclaredTrailers;
use super::verify::payload_hash;
use super::{AuthRules, RequestHead, authenticate};
use crate::fuzzing::{Head, cut};
use crate::identity::{Identities, test_operator_key};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::{AuthKind, Query};

/// The one access key that there is, and its secret.
pub(crate) const ACCESS_KEY_ID: &str = "AK";
pub(crate) const SECRET: &str = "secret";
/// Our time, unless a target sets another.
pub(crate) const NOW_S: i64 = 1_795_322_747;

struct Fixture {
    identities: Identities,
    operator_key: OperatorKey,
    signing_keys: SigningKeys,
    region_aliases: [String; 1],
}

/// Rules under which [`ACCESS_KEY_ID`] signs for region `fr`.
pub(crate) fn rules(now_seconds: i64) -> AuthRules<'static> {
    static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| Fixture {
        identities: Identities::of_one(ACCESS_KEY_ID, SECRET),
        operator_key: test_operator_key(),
        signing_keys: SigningKeys::default(),
        region_aliases: ["us-east-1".to_owned()],
    });
    AuthRules {
        identities: &FIXTURE.identities,
        operator_key: &FIXTURE.operator_key,
        signing_keys: &FIXTURE.signing_keys,
        region: "fr",
        region_aliases: &FIXTURE.region_aliases,
        services: &["s3"],
        now_seconds,
    }
}

/// A request's head. One whose claim parses is signed anew, so that all rules behind the signature are met.
pub fn authorization(bytes: &[u8]) {
    let Some(head) = Head::read(bytes) else { return };
    let Ok(query) = Query::parse(head.target.query().unwrap_or_default()) else { return };
    let _ = claimed_service(&head.headers, &query);
    let encoded = canonical_query(&query);
    let again = Query::parse(&encoded).expect("what is encoded decodes");
    assert_eq!(canonical_query(&again), encoded, "canonical twice is canonical");
    for text in query.iter().map(|(_, value)| value) {
        check_time(text);
        if let Some(Scope { access_key_id, date, region, service }) = Scope::parse(text) {
            assert_eq!(format!("{access_key_id}/{date}/{region}/{service}/aws4_request"), text);
        }
    }
    let sent = send(&head, &query, &head.headers, NOW_S);
    let Ok(Some(claim)) = Claim::parse(&head.headers, &query) else {
        assert!(!sent.is_ok_and(|named| named), "nobody is known without a claim");
        return;
    };
    check_time(claim.timestamp.as_str());
    let now_s = claim.timestamp.unix_seconds();
    let right = signature(&head, &query, &claim);
    if right.as_ref().is_none_or(|right| !right.contains(&claim.signature.to_owned())) {
        let as_sent = send(&head, &query, &head.headers, now_s);
        assert!(sent.is_err() && as_sent.is_err(), "a wrong signature authenticated");
    }
    for signature in right.iter().flatten() {
        let (query, headers) = signed_by(&query, &head.headers, &claim, signature);
        let signed = Claim::parse(&headers, &query).expect("a claim written anew parses").expect("and is there");
        assert_eq!(signed, Claim { signature, ..claim });
        if let Err(error) = send(&head, &query, &headers, now_s) {
            assert_ne!(error.code, S3ErrorCode::SignatureDoesNotMatch, "the right signature was called wrong");
        }
    }
}

/// Sends a request; whether somebody is behind it.
fn send(head: &Head, query: &Query, headers: &HeaderMap, now_s: i64) -> Result<bool, S3Error> {
    let request = RequestHead { method: &head.method, path: head.target.path(), query, headers, body_digest: None };
    let authenticated = authenticate(request, rules(now_s))?;
    let _ = authenticated.decoding(headers, Some(5));
    Ok(!authenticated.caller.is_anonymous())
}

/// The signatures that hold: over the path as sent, and over the path that a client may have meant.
fn signature(head: &Head, query: &Query, claim: &Claim<'_>) -> Option<Vec<String>> {
    let path = head.target.path();
    let request = RequestHead { method: &head.method, path, query, headers: &head.headers, body_digest: None };
    let payload_hash = payload_hash(claim, request).ok()?;
    let query = canonical_query(query);
    let key = SigningKey::derive(SECRET, claim.timestamp.system_time(), claim.region, claim.service);
    let sign = |path: &str| {
        let request = CanonicalRequest {
            method: &head.method,
            path,
            query: &query,
            headers: &head.headers,
            signed_headers: claim.signed_headers,
            payload_hash,
        };
        let digest = hex::encode(request.digest());
        key.sign(format!("AWS4-HMAC-SHA256\n{}\n{}\n{digest}", claim.timestamp.as_str(), claim.scope()).as_bytes())
    };
    Some(std::iter::once(sign(path)).chain(re_encoded_path(path).map(|path| sign(&path))).collect())
}

/// The request with the same claim, written anew, and another signature.
fn signed_by(query: &Query, headers: &HeaderMap, claim: &Claim<'_>, signature: &str) -> (Query, HeaderMap) {
    let mut headers = headers.clone();
    if claim.kind == AuthKind::SigV4Presigned {
        let text = format!("{}&X-Amz-Signature={signature}", canonical_query(query));
        return (Query::parse(&text).expect("as many parameters as before"), headers);
    }
    let text = format!(
        "AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={},Signature={signature}",
        claim.access_key_id,
        claim.scope(),
        claim.signed_headers
    );
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&text).expect("parts of a header are one"));
    (query.clone(), headers)
}

fn check_time(text: &str) {
    if let Some(time) = Timestamp::parse(text) {
        assert_eq!((time.as_str(), time.date()), (text, &text[..8]));
        assert_eq!(super::unix_seconds(text), Some(time.unix_seconds()));
    }
    let _ = Timestamp::parse_http_date(text);
}

/// A framed body: as it is under an unsigned framing, and as the content of a signed one.
///
/// Input: trailers declared or not and how it is cut, one byte each; two bytes that say how long the signed content
/// is; then the body.
pub fn aws_chunked(bytes: &[u8]) {
    let [mode, step, tampered @ .., len_high, len_low] = bytes.first_chunk::<8>().copied().unwrap_or_default();
    let wire = bytes.get(8..).unwrap_or_default();
    let step = usize::from(step) + 1;
    for trailers in [None, Some(&["x-amz-checksum-crc32"][..]), Some(&[][..])] {
        let declared = decode(wire, [wire], || (None, trailers), u64::MAX).0.len() as u64;
        let whole = decode(wire, [wire], || (None, trailers), declared);
        let in_pieces = decode(wire, cut(wire, step), || (None, trailers), declared);
        assert_eq!(whole.1, in_pieces.1, "the framing says another thing cut otherwise");
        if whole.1.is_ok() {
            assert_eq!(whole.0, in_pieces.0);
        }
    }
    if !wire.is_empty() {
        let len = usize::from(u16::from_be_bytes([len_high, len_low])) % (3 * 8192);
        let content: Vec<u8> = wire.iter().copied().cycle().take(len).collect();
        signed(&content, mode & 1 == 1, step, tampered);
    }
}

/// What came out, and how it ended: with which trailers, or refused with which code.
type Decoded = (Vec<u8>, Result<Vec<(String, Vec<u8>)>, S3ErrorCode>);

fn decode<'w>(
    wire: &[u8],
    fragments: impl IntoIterator<Item = &'w [u8]>,
    framing: impl FnOnce() -> (Option<ChunkSigner>, Option<&'static [&'static str]>),
    declared_len: u64,
) -> Decoded {
    let (signer, trailers) = framing();
    let mut headers = HeaderMap::new();
    for name in trailers.unwrap_or_default() {
        headers.append("x-amz-trailer", HeaderValue::from_static(name));
    }
    let trailers = trailers.map(|_| DeclaredTrailers::parse(&headers).expect("names of checksums"));
    let mut decoder = ChunkedDecoder::new(signer, trailers, declared_len);
    let mut plain = Vec::new();
    for fragment in fragments {
        let mut input = Bytes::copy_from_slice(fragment);
        while !input.is_empty() {
            match decoder.decode(&mut input) {
                Ok(Some(piece)) => plain.extend_from_slice(&piece),
                Ok(None) => assert!(input.is_empty(), "what is not given out is taken"),
                Err(error) => return (plain, Err(error.code)),
            }
        }
    }
    assert!(plain.len() <= wire.len(), "more came out than went in");
    let read = |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.as_bytes().to_vec());
    let end = decoder.finish().map(|trailers| trailers.iter().map(read).collect());
    (plain, end.map_err(|error: S3Error| error.code))
}

/// Frames and signs content as a client does, by another program than the one that reads it.
fn signed(content: &[u8], trailer: bool, step: usize, tampered: [u8; 4]) {
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let key = || Arc::new(SigningKey::derive("s", std::time::UNIX_EPOCH, "fr", "s3"));
    let framing = || {
        let signer = ChunkSigner::new(key(), "t", "scope", "seed".to_owned());
        (Some(signer), trailer.then_some(&["x-amz-checksum-crc32"][..]))
    };
    let sha256 = |bytes: &[u8]| hex::encode(chartrier_crypto::sha256(bytes));
    let (mut wire, mut previous) = (Vec::new(), "seed".to_owned());
    for chunk in content.chunks(8192).chain([&[][..]]) {
        let text = format!("AWS4-HMAC-SHA256-PAYLOAD\nt\nscope\n{previous}\n{EMPTY}\n{}", sha256(chunk));
        previous = key().sign(text.as_bytes());
        wire.extend_from_slice(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(if chunk.is_empty() { b"" } else { b"\r\n" });
    }
    if trailer {
        let line = "x-amz-checksum-crc32:AAAAAA==";
        let text =
            format!("AWS4-HMAC-SHA256-TRAILER\nt\nscope\n{previous}\n{}", sha256(format!("{line}\n").as_bytes()));
        let signature = key().sign(text.as_bytes());
        wire.extend_from_slice(format!("{line}\r\nx-amz-trailer-signature:{signature}\r\n").as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
    let (plain, end) = decode(&wire, cut(&wire, step * 37), framing, content.len() as u64);
    assert!(plain == content, "what was framed is what is read");
    let trailers = end.expect("what was signed is taken");
    assert_eq!(trailers.len(), usize::from(trailer));

    let [at @ .., change, cut_off] = tampered;
    let at = usize::from(u16::from_be_bytes(at)) % wire.len();
    if let Some(byte) = wire.get_mut(at) {
        *byte ^= change;
    }
    wire.truncate(wire.len() - usize::from(cut_off) % 4);
    let (plain, end) = decode(&wire, [&wire[..]], framing, content.len() as u64);
    if let Ok(after) = end {
        assert!(plain == content && after == trailers, "a changed body passed for another");
    }
}

/// A field of a form that is signed by the one access key, for other targets.
pub(crate) fn form_signature(policy: &str, date: &str, region: &str) -> Option<String> {
    let time = Timestamp::parse(date)?;
    Some(SigningKey::derive(SECRET, time.system_time(), region, "s3").sign(policy.as_bytes()))
}
