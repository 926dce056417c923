//! Fuzz target: the headers of reads, writes and copies.

use chartrier_storage::namespace::lock::ObjectLock;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Head;
use crate::access::acl::{Acl, AclOn};
use crate::auth::fuzzing::{NOW_S, rules};
use crate::s3::checksum::ExpectedChecksums;
use crate::s3::conditions::{
    Conditions, ReadOutcome, Validators, delete_condition, http_date, range_applies, unquote, write_condition,
};
use crate::s3::lock::LockRequest;
use crate::s3::metadata::{
    ObjectMetadata, decode_part_checksums, encode_part_checksums, refuse_unbuilt, storage_class,
};
use crate::s3::open::copy_source::CopySource;
use crate::s3::ops::fuzzing::{bucket, check_acl};
use crate::s3::ops::multipart::AgreedChecksum;
use crate::s3::range::{ByteRange, content_range, parse_copy_source_range};
use crate::s3::request::SseHeaders;
use crate::s3::sse;
use crate::s3::tags::{TagSet, Tagged};
use crate::s3::versioning::version_text;

/// A request's head, whose headers are read by everything that reads some; and sealed metadata, opened.
pub fn headers(bytes: &[u8]) {
    if let Ok(metadata) = ObjectMetadata::decode(bytes) {
        assert_eq!(ObjectMetadata::decode(&metadata.encode()).expect("encoded"), metadata);
    }
    if let Ok(checksums) = decode_part_checksums(bytes) {
        assert_eq!(decode_part_checksums(&encode_part_checksums(&checksums)).expect("encoded"), checksums);
    }
    let Some(Head { mut headers, .. }) = Head::read(bytes) else { return };
    conditions(&headers);
    for value in headers.values().filter_map(|value| value.to_str().ok()) {
        range(value);
    }
    checksums(&headers);
    metadata(&headers);
    access(&headers);
    copy_source(&headers);
    keys(&mut headers);
}

fn conditions(headers: &HeaderMap) {
    let _ = (write_condition(headers), delete_condition(headers));
    let etag = headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).map_or("etag", unquote);
    for modified_us in [0, 1_795_322_747_000_000, u64::MAX] {
        let validators = Validators { etag, modified_us };
        let _ = range_applies(headers, validators);
        for conditions in [Conditions::of_read(headers), Conditions::of_copy_source(headers)] {
            if conditions == Conditions::default() {
                assert_eq!(conditions.evaluate(validators), ReadOutcome::Proceed);
            }
            let _ = conditions.evaluate(validators);
        }
        assert!(httpdate::parse_http_date(&http_date(modified_us)).is_ok());
    }
    // A version meets the tag that its own answer showed.
    let mut own = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        own.insert(header::IF_MATCH, value);
        let holds = Conditions::of_read(&own).evaluate(Validators { etag, modified_us: 0 }) == ReadOutcome::Proceed;
        assert!(holds || etag.contains([',', ' ', '\t']) || etag.starts_with("W/"), "{etag:?} does not meet itself");
    }
}

fn range(value: &str) {
    let _ = parse_copy_source_range(value);
    let Some(range) = ByteRange::parse(value) else { return };
    for len_bytes in [0, 1, 1000, u64::MAX] {
        if let Ok(resolved) = range.resolve(len_bytes) {
            assert!(resolved.start < resolved.end && resolved.end <= len_bytes);
            assert!(content_range(&resolved, len_bytes).starts_with("bytes "));
        }
    }
}

fn checksums(headers: &HeaderMap) {
    let _ = AgreedChecksum::from_create(headers);
    let Ok(expected) = ExpectedChecksums::from_headers(headers) else { return };
    // What was promised and not computed is never taken for kept.
    assert_eq!(expected.verify(&[], headers).is_ok(), !expected.any());
    assert!(expected.needed().count() <= 2);
}

fn metadata(headers: &HeaderMap) {
    let _ = (refuse_unbuilt(headers), storage_class(headers));
    if let Ok(metadata) = ObjectMetadata::from_headers(headers, [7; 32]) {
        assert_eq!(ObjectMetadata::decode(&metadata.encode()).expect("encoded"), metadata);
        let mut answer = HeaderMap::new();
        metadata.write_to(&mut answer);
        let again = ObjectMetadata::from_headers(&answer, [7; 32]).expect("what was answered can be stored");
        let sorted = |metadata: &ObjectMetadata| {
            let mut headers: Vec<_> = metadata.headers.clone();
            headers.retain(|(name, _)| *name != header::CONTENT_TYPE);
            headers.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
            headers
        };
        assert_eq!(sorted(&again), sorted(&metadata), "what is answered is what was stored");
    }
    if let Ok(tags) = TagSet::from_headers(headers) {
        assert_eq!(TagSet::parse(&tags.document(), Tagged::Object).expect("written"), tags);
    }
    for object_lock in [None, Some(ObjectLock { default_retention: None })] {
        let now_us = u64::try_from(NOW_S).unwrap_or_default() * 1_000_000;
        if let Ok(lock) = LockRequest::from_headers(headers, &bucket(object_lock), now_us) {
            assert!(lock == LockRequest::default() || object_lock.is_some());
            assert!(lock.retention.is_none_or(|retention| retention.until_us > now_us));
        }
    }
}

fn access(headers: &HeaderMap) {
    let (owner, known) = (&"0".repeat(64), rules(NOW_S).identities);
    for on in [AclOn::Bucket { owner }, AclOn::Object { owner, bucket_owner: "b" }] {
        if let Ok(Some(acl)) = Acl::from_headers(headers, on, known) {
            // The owner of a foreign bucket is in no table of one account.
            if on == (AclOn::Bucket { owner }) {
                check_acl(&acl);
            }
        }
    }
}

/// A source that is written anew names the same.
fn copy_source(headers: &HeaderMap) {
    let Ok(source) = CopySource::from_headers(headers) else { return };
    let key = utf8_percent_encode(source.key.as_str(), NON_ALPHANUMERIC);
    let version = source.version_id.map(|id| format!("?versionId={}", version_text(id))).unwrap_or_default();
    let written = format!("/{}/{key}{version}", source.bucket);
    let mut again = HeaderMap::new();
    again.insert("x-amz-copy-source", HeaderValue::from_str(&written).expect("encoded"));
    assert_eq!(CopySource::from_headers(&again).expect("written"), source);
}

/// Keys of clients leave the map, whatever is in their place, and are judged.
fn keys(headers: &mut HeaderMap) {
    let sent = SseHeaders::are_in(headers);
    let taken = SseHeaders::take_from(headers);
    assert!(sent || !taken.any());
    for prefix in ["x-amz-server-side-encryption-customer-", "x-amz-copy-source-server-side-encryption-customer-"] {
        for suffix in ["algorithm", "key", "key-md5"] {
            let name = HeaderName::from_bytes(format!("{prefix}{suffix}").as_bytes()).expect("a name");
            assert!(!headers.contains_key(name), "a key stayed behind");
        }
    }
    let transport = crate::s3::request::Transport::Tls;
    let _ = (sse::for_write(taken.target, transport, headers), sse::for_read(taken.copy_source, transport, b'C'));
    let _ = sse::refuse_choice_on_read(headers);
}
