//! Conditional reads, copies and writes.
//!
//! Sources: RFC 9110 section 13 for reads; the CopyObject and "conditional writes" pages of
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html> for the rest.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chartrier_storage::namespace::command::WriteCondition;
use http::{HeaderMap, HeaderName, header};

use super::error::{S3Error, S3ErrorCode};

/// The validators of the version that a request reads.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// Without quotes.
    pub etag: &'a str,
    /// Unix time in microseconds; conditions see whole seconds, as the header shows them.
    pub modified_us: u64,
}

/// How a conditional read goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// Answer it.
    Proceed,
    /// 304, with the validators and no body.
    NotModified,
    /// 412.
    Failed,
}

/// The four conditions of a request, under the names of a read or of a copy source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
    if_modified_since: Option<u64>,
    if_unmodified_since: Option<u64>,
}

impl Conditions {
    /// The conditions of GET and HEAD. Dates that do not parse are ignored, as RFC 9110 has it.
    pub fn of_read(headers: &HeaderMap) -> Self {
        Self {
            if_match: joined(headers, &header::IF_MATCH),
            if_none_match: joined(headers, &header::IF_NONE_MATCH),
            if_modified_since: date(headers, &header::IF_MODIFIED_SINCE),
            if_unmodified_since: date(headers, &header::IF_UNMODIFIED_SINCE),
        }
    }

    /// The conditions on the source of a copy.
    pub fn of_copy_source(headers: &HeaderMap) -> Self {
        let name = HeaderName::from_static;
        Self {
            if_match: joined(headers, &name("x-amz-copy-source-if-match")),
            if_none_match: joined(headers, &name("x-amz-copy-source-if-none-match")),
            if_modified_since: date(headers, &name("x-amz-copy-source-if-modified-since")),
            if_unmodified_since: date(headers, &name("x-amz-copy-source-if-unmodified-since")),
        }
    }

    /// Holds them against a version, in the order of RFC 9110 section 13.2.2: an ETag condition
    /// silences the date condition of its pair.
    pub fn evaluate(&self, validators: Validators<'_>) -> ReadOutcome {
        let modified_s = validators.modified_us / 1_000_000;
        let precondition = match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) => lists(tags, validators.etag, Comparison::Strong),
            (None, Some(date)) => modified_s <= date,
            (None, None) => true,
        };
        if !precondition {
            return ReadOutcome::Failed;
        }
        let changed = match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => !lists(tags, validators.etag, Comparison::Weak),
            (None, Some(date)) => modified_s > date,
            (None, None) => true,
        };
        if changed { ReadOutcome::Proceed } else { ReadOutcome::NotModified }
    }
}

/// Whether `If-Range` lets the `Range` header count: absent, or the version is the one it names.
pub fn range_applies(headers: &HeaderMap, validators: Validators<'_>) -> bool {
    let Some(value) = headers.get(header::IF_RANGE) else { return true };
    let Ok(text) = value.to_str() else { return false };
    match httpdate::parse_http_date(text) {
        Ok(date) => seconds(date) == validators.modified_us / 1_000_000,
        Err(_) => lists(text, validators.etag, Comparison::Strong),
    }
}

/// The condition of a write: `If-Match` or `If-None-Match` with one ETag or `*`.
///
/// # Errors
/// `NotImplemented` for every other condition: to ignore one would be to lie.
pub fn write_condition(headers: &HeaderMap) -> Result<WriteCondition, S3Error> {
    for name in [header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE] {
        if headers.contains_key(&name) {
            return Err(unsupported(name.as_str()));
        }
    }
    match (joined(headers, &header::IF_MATCH), joined(headers, &header::IF_NONE_MATCH)) {
        (None, None) => Ok(WriteCondition::None),
        (None, Some(tag)) if tag.trim() == "*" => Ok(WriteCondition::IfAbsent),
        (None, Some(tag)) if tag.contains(',') => Err(unsupported("If-None-Match")),
        (None, Some(tag)) => Ok(WriteCondition::IfNotMatch(unquote(tag.trim()).to_owned())),
        (Some(tag), None) => match tag.trim() {
            "*" => Ok(WriteCondition::IfPresent),
            tag if tag.contains(',') => Err(unsupported("If-Match")),
            tag => Ok(WriteCondition::IfMatch(unquote(tag).to_owned())),
        },
        (Some(_), Some(_)) => Err(unsupported("If-Match with If-None-Match")),
    }
}

/// The condition of a removal: `If-Match`, and what directory buckets of AWS take beside it.
///
/// # Errors
/// `InvalidArgument` for what does not parse, `NotImplemented` for every other condition.
pub fn delete_condition(headers: &HeaderMap) -> Result<WriteCondition, S3Error> {
    for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE] {
        if headers.contains_key(&name) {
            return Err(unsupported(name.as_str()));
        }
    }
    let text = |name: &str| joined(headers, &HeaderName::from_bytes(name.as_bytes()).expect("a name of ours"));
    deletion_condition(
        text("if-match").as_deref(),
        text("x-amz-if-match-last-modified-time").as_deref(),
        text("x-amz-if-match-size").as_deref(),
    )
}

/// As [`delete_condition`], from what a client wrote for one object.
///
/// # Errors
/// `InvalidArgument` for a time or a size that does not parse.
pub fn deletion_condition(
    etag: Option<&str>,
    modified: Option<&str>,
    size: Option<&str>,
) -> Result<WriteCondition, S3Error> {
    let invalid =
        |name: &'static str, value: &str| S3Error::invalid_argument("Invalid value of a condition.", name, value);
    let modified_s = match modified {
        None => None,
        Some(text) => Some(any_date(text).ok_or_else(|| invalid("x-amz-if-match-last-modified-time", text))?),
    };
    let size_bytes = match size.map(str::trim) {
        None => None,
        Some(text) => Some(text.parse::<u64>().map_err(|_| invalid("x-amz-if-match-size", text))?),
    };
    let etag = etag.map(str::trim);
    Ok(match (etag, modified_s, size_bytes) {
        (None, None, None) => WriteCondition::None,
        (Some("*"), None, None) => WriteCondition::IfPresent,
        (Some(etag), None, None) => WriteCondition::IfMatch(unquote(etag).to_owned()),
        (etag, modified_s, size_bytes) => {
            let etag = etag.filter(|etag| *etag != "*").map(|etag| unquote(etag).to_owned());
            WriteCondition::IfIs { etag, modified_s, size_bytes }
        }
    })
}

/// A time as HTTP or as ISO 8601 writes it, in whole seconds.
fn any_date(text: &str) -> Option<u64> {
    let text = text.trim();
    match httpdate::parse_http_date(text) {
        Ok(time) => Some(seconds(time)),
        Err(_) => {
            let time =
                time::OffsetDateTime::parse(text, &time::format_description::well_known::Iso8601::DEFAULT).ok()?;
            u64::try_from(time.unix_timestamp()).ok()
        }
    }
}

fn unsupported(header: &str) -> S3Error {
    S3Error::new(
        S3ErrorCode::NotImplemented,
        format!("A header you provided implies functionality that is not implemented: {header}."),
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags holds `etag`. Quotes are optional, as on AWS.
fn lists(tags: &str, etag: &str, comparison: Comparison) -> bool {
    tags.split(',').map(str::trim).any(|tag| match tag.strip_prefix("W/") {
        Some(weak) => comparison == Comparison::Weak && unquote(weak) == etag,
        None => tag == "*" || unquote(tag) == etag,
    })
}

/// Takes the quotes off an entity tag, if it has both.
pub fn unquote(tag: &str) -> &str {
    tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag)
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let first = values.next()?.into_owned();
    Some(values.fold(first, |all, value| all + "," + &value))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let text = headers.get(name)?.to_str().ok()?;
    httpdate::parse_http_date(text).ok().map(seconds)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// `Last-Modified` of a time in microseconds.
pub fn http_date(time_us: u64) -> String {
    // Past year 9999 the format has no form; no clock of ours says that, but a row read back might.
    const LAST_S: u64 = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs((time_us / 1_000_000).min(LAST_S)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: u64 = 784_111_777_500_000; // Sun, 06 Nov 1994 08:49:37.5 GMT
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn read(pairs: &[(&'static str, &str)]) -> ReadOutcome {
        Conditions::of_read(&headers(pairs)).evaluate(Validators { etag: "abc", modified_us: NOW_US })
    }

    #[test]
    fn read_conditions_in_the_order_of_rfc_9110() {
        use ReadOutcome::{Failed, NotModified, Proceed};
        for (pairs, expected) in [
            (&[][..], Proceed),
            (&[("if-match", "\"abc\"")], Proceed),
            (&[("if-match", "abc")], Proceed),
            (&[("if-match", "*")], Proceed),
            (&[("if-match", "\"x\", \"abc\"")], Proceed),
            (&[("if-match", "\"x\""), ("if-match", "\"abc\"")], Proceed),
            (&[("if-match", "W/\"abc\"")], Failed),
            (&[("if-match", "\"x\"")], Failed),
            (&[("if-none-match", "\"abc\"")], NotModified),
            (&[("if-none-match", "W/\"abc\"")], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"x\"")], Proceed),
            (&[("if-modified-since", BEFORE)], Proceed),
            (&[("if-modified-since", SAME)], NotModified),
            (&[("if-modified-since", AFTER)], NotModified),
            (&[("if-unmodified-since", BEFORE)], Failed),
            (&[("if-unmodified-since", SAME)], Proceed),
            (&[("if-unmodified-since", AFTER)], Proceed),
            (&[("if-modified-since", "yesterday")], Proceed),
            (&[("if-unmodified-since", "yesterday")], Proceed),
            // An ETag condition silences the date condition of its pair.
            (&[("if-match", "\"abc\""), ("if-unmodified-since", BEFORE)], Proceed),
            (&[("if-none-match", "\"x\""), ("if-modified-since", AFTER)], Proceed),
            (&[("if-none-match", "\"abc\""), ("if-modified-since", BEFORE)], NotModified),
            // The first pair is judged before the second.
            (&[("if-match", "\"x\""), ("if-none-match", "\"abc\"")], Failed),
            (&[("if-match", "\"abc\""), ("if-none-match", "\"abc\"")], NotModified),
        ] {
            assert_eq!(read(pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn copy_conditions_have_their_own_names() {
        let map = headers(&[("x-amz-copy-source-if-none-match", "abc"), ("if-match", "x")]);
        let outcome = Conditions::of_copy_source(&map).evaluate(Validators { etag: "abc", modified_us: NOW_US });
        assert_eq!(outcome, ReadOutcome::NotModified);
    }

    #[test]
    fn if_range_needs_the_same_version() {
        let validators = Validators { etag: "abc", modified_us: NOW_US };
        for (value, expected) in
            [("\"abc\"", true), ("\"x\"", false), ("W/\"abc\"", false), (SAME, true), (AFTER, false)]
        {
            assert_eq!(range_applies(&headers(&[("if-range", value)]), validators), expected, "{value}");
        }
        assert!(range_applies(&HeaderMap::new(), validators));
    }

    #[test]
    fn write_conditions() {
        let condition = |pairs: &[(&'static str, &str)]| write_condition(&headers(pairs)).ok();
        assert_eq!(condition(&[]), Some(WriteCondition::None));
        assert_eq!(condition(&[("if-none-match", "*")]), Some(WriteCondition::IfAbsent));
        assert_eq!(condition(&[("if-match", "\"abc\"")]), Some(WriteCondition::IfMatch("abc".into())));
        assert_eq!(condition(&[("if-match", "abc")]), Some(WriteCondition::IfMatch("abc".into())));
        assert_eq!(condition(&[("if-match", "*")]), Some(WriteCondition::IfPresent));
        assert_eq!(condition(&[("if-none-match", "\"abc\"")]), Some(WriteCondition::IfNotMatch("abc".into())));
        assert_eq!(condition(&[("if-none-match", "a, b")]), None);
        assert_eq!(condition(&[("if-match", "a"), ("if-none-match", "*")]), None);
        assert_eq!(condition(&[("if-match", "a, b")]), None);
        assert_eq!(condition(&[("if-unmodified-since", SAME)]), None);
    }

    #[test]
    fn conditions_of_removals_may_name_time_and_size() {
        let condition = |pairs: &[(&'static str, &str)]| delete_condition(&headers(pairs)).ok();
        let is = |etag: Option<&str>, modified_s, size_bytes| {
            Some(WriteCondition::IfIs { etag: etag.map(str::to_owned), modified_s, size_bytes })
        };
        let (time, size) = ("x-amz-if-match-last-modified-time", "x-amz-if-match-size");
        assert_eq!(condition(&[]), Some(WriteCondition::None));
        assert_eq!(condition(&[("if-match", "*")]), Some(WriteCondition::IfPresent));
        assert_eq!(condition(&[("if-match", "\"abc\"")]), Some(WriteCondition::IfMatch("abc".into())));
        assert_eq!(condition(&[(size, "7")]), is(None, None, Some(7)));
        assert_eq!(condition(&[("if-match", "*"), (size, "0")]), is(None, None, Some(0)));
        assert_eq!(condition(&[("if-match", "abc"), (time, SAME)]), is(Some("abc"), Some(NOW_US / 1_000_000), None));
        assert_eq!(condition(&[(time, "1994-11-06T08:49:37Z")]), is(None, Some(NOW_US / 1_000_000), None));
        for bad in [(size, "-1"), (size, "x"), (time, "yesterday"), ("if-none-match", "*")] {
            assert_eq!(condition(&[bad]), None, "{bad:?}");
        }
    }

    #[test]
    fn dates_are_imf_fixdate() {
        assert_eq!(http_date(NOW_US), SAME);
        assert!(http_date(u64::MAX).ends_with("9999 23:59:59 GMT"));
    }
}
