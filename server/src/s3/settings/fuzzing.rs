//! Fuzz target: rules of buckets that are evaluated long after they were stored.

use chartrier_storage::namespace::encoding::encode;
use chartrier_storage::namespace::notification::{EventName, Notifications};

use super::cors::CorsRules;
use super::lifecycle::{Clockwork, Facts, Lifecycle, NoncurrentAge};
use super::notification::{self, BucketNotifications, Destinations};
use crate::fuzzing::{pieces, text};
use crate::s3::bucket_config::BucketDocument as _;

/// Input: a document, then three texts that rules are held against, each behind a separator.
pub fn bucket_rules(bytes: &[u8]) {
    let mut pieces = pieces(bytes);
    let document = pieces.next().unwrap_or_default();
    let (first, second, third) = (text(pieces.next()), text(pieces.next()), text(pieces.next()));
    if let Ok(rules) = Lifecycle::parse(document, || "drawn".to_owned()) {
        let stored = Lifecycle::from_stored(&rules.write()).expect("what is stored reads back");
        assert_eq!(stored, rules);
        lifecycle(&rules, first, (second, third));
    }
    if let Ok(rules) = CorsRules::parse(document) {
        let stored = CorsRules::from_stored(&rules.write()).expect("what is stored reads back");
        assert_eq!(stored, rules);
        cors(&rules, first, second, third);
    }
    let destinations = Destinations { regions: &["fr", "us-east-1"], knows: &|name| !name.starts_with("not") };
    if let Ok(rules) = notification::parse(document, &destinations, || "drawn".to_owned()) {
        notifications(&rules, &destinations, first);
    }
}

fn lifecycle(rules: &Lifecycle, key: &str, tag: (&str, &str)) {
    let tags = [(tag.0.to_owned(), tag.1.to_owned())];
    let object = Facts { key, size_bytes: tag.1.len() as u64, tags: &tags };
    let covered = rules.prefixes().iter().any(|prefix| key.starts_with(prefix));
    for (day_s, at_us) in [(86_400, 0), (86_400, u64::MAX), (1, 1_795_322_747_000_000), (u64::MAX, u64::MAX)] {
        let clockwork = Clockwork { day_s };
        let expiry = rules.expiry(&object, at_us, clockwork);
        if let Some(expiry) = &expiry {
            assert!(covered && expiry.rule.enabled, "a rule is about what lies under none of its prefixes");
            assert!(expiry.header().bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{}", expiry.header());
        }
        if rules.wants_tags_of(key, object.size_bytes) {
            assert!(covered);
        } else {
            let untagged = Facts { tags: &[], ..object };
            assert_eq!(rules.expiry(&untagged, at_us, clockwork).map(|expiry| expiry.at_s), expiry.map(|e| e.at_s));
        }
        let age = NoncurrentAge { since_us: at_us, newer: u32::from(key.len() as u8) };
        assert!(covered || !rules.noncurrent_is_due(&object, age, clockwork, u64::MAX));
        assert!(covered || !rules.lone_marker_is_due(key, at_us, clockwork, u64::MAX));
        let aborted = rules.abort_at(key, at_us, clockwork);
        assert!(aborted.is_none() || (covered && rules.wants_uploads()));
    }
}

fn cors(rules: &CorsRules, origin: &str, method: &str, headers: &str) {
    let asked: Vec<&str> = headers.split(',').collect();
    if let Some(allowed) = rules.find(origin, method, &asked) {
        // Fewer headers are allowed as well, by this rule or one before it.
        assert!(rules.find(origin, method, &[]).is_some());
        assert!(allowed.methods().split(", ").any(|named| named == method));
        for said in [Some(allowed.methods()), allowed.expose()].into_iter().flatten() {
            assert!(http::HeaderValue::from_str(&said).is_ok(), "{said:?} is no header");
        }
        let _ = allowed.max_age_seconds();
    }
}

fn notifications(rules: &Notifications, destinations: &Destinations<'_>, key: &str) {
    let written = notification::write(rules);
    let again = notification::parse(&written, destinations, String::new).expect("what is written reads back");
    assert_eq!(again, *rules);
    let stored = encode(rules);
    assert_eq!(BucketNotifications::from_stored(&stored).expect("what is stored reads back").0, *rules);
    for event in EventName::ALL {
        let told = rules.rules.iter().filter(|rule| rule.is_about(event, key)).count();
        assert!(told <= 1, "one event is told twice");
    }
}
