//! Object lock as requests and answers say it: headers of writes, documents, headers of reads.
//!
//! What may be destroyed or changed is decided at apply; here is only the form.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html>.

use bytes::Bytes;
use chartrier_storage::namespace::lock::{
    DefaultRetention, ObjectLock, Retention, RetentionMode, RetentionPeriod, UNTIL_US_MAX,
};
use chartrier_storage::namespace::rows::{BucketRow, UploadRow, VersionRow};
use http::{HeaderMap, HeaderName, HeaderValue};
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use super::checksum::ExpectedChecksums;
use super::error::{S3Error, S3ErrorCode};
use super::request::S3Request;
use super::xml::{Element, XmlWriter};

/// Longest document of object lock.
pub const LOCK_DOCUMENT_BYTES_MAX: usize = 16 << 10;
/// Longest default retention, as on AWS.
const DAYS_MAX: i64 = 36_500;
/// As [`DAYS_MAX`].
const YEARS_MAX: i64 = 100;

const MODE: HeaderName = HeaderName::from_static("x-amz-object-lock-mode");
const UNTIL: HeaderName = HeaderName::from_static("x-amz-object-lock-retain-until-date");
const LEGAL_HOLD: HeaderName = HeaderName::from_static("x-amz-object-lock-legal-hold");

/// What a write asks to be locked by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LockRequest {
    /// Its own retention; the bucket's default otherwise.
    pub retention: Option<Retention>,
    /// Its legal hold.
    pub legal_hold: Option<bool>,
}

impl LockRequest {
    /// Reads the headers of PutObject, CopyObject and CreateMultipartUpload.
    ///
    /// # Errors
    /// `InvalidArgument` for what they cannot mean, `InvalidRequest` on a bucket without object lock.
    pub fn from_headers(headers: &HeaderMap, bucket: &BucketRow, now_us: u64) -> Result<Self, S3Error> {
        let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let retention = match (text(&MODE), text(&UNTIL)) {
            (None, None) => None,
            (Some(mode), Some(until)) => Some(retention(mode, until, now_us)?),
            _ => {
                let missing = if headers.contains_key(&MODE) { UNTIL } else { MODE };
                let message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied";
                return Err(S3Error::invalid_argument(message, missing.as_str(), "null"));
            }
        };
        let legal_hold = match text(&LEGAL_HOLD) {
            None => None,
            Some("ON") => Some(true),
            Some("OFF") => Some(false),
            Some(other) => {
                let message = "Legal Hold must be either of 'ON' or 'OFF'";
                return Err(S3Error::invalid_argument(message, LEGAL_HOLD.as_str(), other));
            }
        };
        if retention.is_some() || legal_hold.is_some() {
            needs_lock(bucket)?;
        }
        Ok(Self { retention, legal_hold })
    }

    /// Refuses an upload of a locked object without a digest of its bytes: what nobody can replace must
    /// be what was sent.
    ///
    /// # Errors
    /// `InvalidRequest`.
    pub fn needs_digest(&self, bucket: &BucketRow, expected: &ExpectedChecksums) -> Result<(), S3Error> {
        let by_default = bucket.object_lock.is_some_and(|lock| lock.default_retention.is_some());
        if expected.any() || !(by_default || self.retention.is_some() || self.legal_hold.is_some()) {
            return Ok(());
        }
        Err(S3Error::new(
            S3ErrorCode::InvalidRequest,
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters",
        ))
    }

    /// What an upload was begun with, for each of its parts.
    pub fn of_upload(upload: &UploadRow) -> Self {
        Self { retention: upload.retention, legal_hold: upload.legal_hold }
    }
}

fn retention(mode: &str, until: &str, now_us: u64) -> Result<Retention, S3Error> {
    let mode = parse_mode(mode)
        .ok_or_else(|| S3Error::invalid_argument("Unknown wormMode directive.", MODE.as_str(), mode))?;
    let until_us = parse_time(until).ok_or_else(|| {
        let message = "The retain until date must be provided in ISO 8601 format";
        S3Error::invalid_argument(message, UNTIL.as_str(), until)
    })?;
    in_the_future(until_us, until, now_us)?;
    Ok(Retention { mode, until_us })
}

fn in_the_future(until_us: u64, text: &str, now_us: u64) -> Result<(), S3Error> {
    if until_us > now_us {
        return Ok(());
    }
    Err(S3Error::invalid_argument("The retain until date must be in the future!", UNTIL.as_str(), text))
}

fn parse_mode(text: &str) -> Option<RetentionMode> {
    [RetentionMode::Governance, RetentionMode::Compliance].into_iter().find(|mode| mode.name() == text)
}

/// A time in ISO 8601, as Unix time in microseconds.
fn parse_time(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text.trim(), &Iso8601::DEFAULT).ok()?;
    u64::try_from(time.unix_timestamp_nanos() / 1000).ok().filter(|time_us| *time_us <= UNTIL_US_MAX)
}

/// `2030-01-01T00:00:00.000Z`, to the millisecond, so that what was set is what is read.
fn time_text(time_us: u64) -> String {
    let text = chartrier_journal::format_time(time_us.min(UNTIL_US_MAX)).expect("no later than year 9999");
    text[..23].to_owned() + "Z"
}

/// Refuses what only a bucket with object lock has.
///
/// # Errors
/// `InvalidRequest`.
pub fn needs_lock(bucket: &BucketRow) -> Result<(), S3Error> {
    match bucket.object_lock {
        Some(_) => Ok(()),
        None => Err(S3Error::new(S3ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration")),
    }
}

/// Whether the request bypasses governance retention. That its caller may, by
/// `s3:BypassGovernanceRetention`, was judged with the rest before the handler ran.
pub fn bypasses_governance(request: &S3Request) -> bool {
    let asked = request.headers.get("x-amz-bypass-governance-retention");
    asked.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Adds what a read says of the lock of a version.
pub fn write_lock(row: &VersionRow, headers: &mut HeaderMap) {
    if let Some(Retention { mode, until_us }) = row.retention {
        let until = HeaderValue::from_str(&time_text(until_us)).expect("a time is visible ASCII");
        headers.insert(MODE, HeaderValue::from_static(mode.name()));
        headers.insert(UNTIL, until);
    }
    if let Some(on) = row.legal_hold {
        headers.insert(LEGAL_HOLD, HeaderValue::from_static(on_off(on)));
    }
}

const fn on_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// Reads a `Retention` document; an empty one removes the retention.
///
/// # Errors
/// `MalformedXML`; `InvalidArgument` for a date that is past.
pub fn parse_retention(document: &[u8], now_us: u64) -> Result<Option<Retention>, S3Error> {
    let malformed = || S3Error::of(S3ErrorCode::MalformedXml);
    let root = Element::parse(document, "Retention")?;
    match (root.child_text("Mode"), root.child_text("RetainUntilDate")) {
        (None, None) => Ok(None),
        (Some(mode), Some(until)) => {
            let mode = parse_mode(mode).ok_or_else(malformed)?;
            let until_us = parse_time(until).ok_or_else(malformed)?;
            in_the_future(until_us, until, now_us)?;
            Ok(Some(Retention { mode, until_us }))
        }
        _ => Err(malformed()),
    }
}

/// The `Retention` document.
pub fn retention_document(retention: Retention) -> Bytes {
    let mut document = XmlWriter::new();
    document.open_root("Retention");
    document.element("Mode", retention.mode.name());
    document.element("RetainUntilDate", &time_text(retention.until_us));
    document.close("Retention");
    document.finish()
}

/// Reads a `LegalHold` document.
///
/// # Errors
/// `MalformedXML`.
pub fn parse_legal_hold(document: &[u8]) -> Result<bool, S3Error> {
    match Element::parse(document, "LegalHold")?.child_text("Status") {
        Some("ON") => Ok(true),
        Some("OFF") => Ok(false),
        _ => Err(S3Error::of(S3ErrorCode::MalformedXml)),
    }
}

/// The `LegalHold` document.
pub fn legal_hold_document(on: bool) -> Bytes {
    let mut document = XmlWriter::new();
    document.open_root("LegalHold");
    document.element("Status", on_off(on));
    document.close("LegalHold");
    document.finish()
}

/// Reads an `ObjectLockConfiguration` document: the default retention, if it has one.
///
/// # Errors
/// `MalformedXML`; `InvalidRetentionPeriod` for a period that is not positive, or over 100 years.
pub fn parse_configuration(document: &[u8]) -> Result<Option<DefaultRetention>, S3Error> {
    let malformed = || S3Error::of(S3ErrorCode::MalformedXml);
    let root = Element::parse(document, "ObjectLockConfiguration")?;
    if root.child_text("ObjectLockEnabled") != Some("Enabled") {
        return Err(malformed());
    }
    let Some(rule) = root.child("Rule") else { return Ok(None) };
    let rule = rule.child("DefaultRetention").ok_or_else(malformed)?;
    let mode = rule.child_text("Mode").and_then(parse_mode).ok_or_else(malformed)?;
    let number = |text: &str| text.parse::<i64>().map_err(|_| malformed());
    let (count, most) = match (rule.child_text("Days"), rule.child_text("Years")) {
        (Some(days), None) => (number(days)?, DAYS_MAX),
        (None, Some(years)) => (number(years)?, YEARS_MAX),
        _ => return Err(malformed()),
    };
    let count = match u32::try_from(count) {
        Ok(count) if count > 0 && i64::from(count) <= most => count,
        Ok(count) if count > 0 => {
            let message = format!("The default retention period must be at most {most}.");
            return Err(S3Error::new(S3ErrorCode::InvalidRetentionPeriod, message));
        }
        _ => return Err(S3Error::of(S3ErrorCode::InvalidRetentionPeriod)),
    };
    let period = if most == DAYS_MAX { RetentionPeriod::Days(count) } else { RetentionPeriod::Years(count) };
    Ok(Some(DefaultRetention { mode, period }))
}

/// The `ObjectLockConfiguration` document.
pub fn configuration_document(lock: ObjectLock) -> Bytes {
    let mut document = XmlWriter::new();
    document.open_root("ObjectLockConfiguration");
    document.element("ObjectLockEnabled", "Enabled");
    if let Some(default) = lock.default_retention {
        document.open("Rule");
        document.open("DefaultRetention");
        document.element("Mode", default.mode.name());
        match default.period {
            RetentionPeriod::Days(days) => document.value("Days", days),
            RetentionPeriod::Years(years) => document.value("Years", years),
        }
        document.close("DefaultRetention");
        document.close("Rule");
    }
    document.close("ObjectLockConfiguration");
    document.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_iso_8601_and_come_back_to_the_millisecond() {
        for (text, back) in [
            ("2030-01-02T03:04:05Z", "2030-01-02T03:04:05.000Z"),
            ("2030-01-02T03:04:05.678Z", "2030-01-02T03:04:05.678Z"),
            ("2030-01-02T03:04:05.678901234Z", "2030-01-02T03:04:05.678Z"),
            ("2030-01-02T03:04:05+02:00", "2030-01-02T01:04:05.000Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(time_text(parse_time(text).unwrap()), back, "{text}");
        }
        for bad in ["", "tomorrow", "2030-13-01T00:00:00Z", "1969-12-31T23:59:59Z", "Wed, 21 Oct 2037 07:28:00 GMT"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn configurations() {
        let parse = |inside: &str| {
            let document = format!("<ObjectLockConfiguration>{inside}</ObjectLockConfiguration>");
            parse_configuration(document.as_bytes()).map_err(|error| error.code)
        };
        let rule = |inside: &str| {
            let rule = format!("<Rule><DefaultRetention>{inside}</DefaultRetention></Rule>");
            parse(&format!("<ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}"))
        };
        let mode = RetentionMode::Governance;
        assert_eq!(parse("<ObjectLockEnabled>Enabled</ObjectLockEnabled>"), Ok(None));
        assert_eq!(
            rule("<Mode>GOVERNANCE</Mode><Days>1</Days>"),
            Ok(Some(DefaultRetention { mode, period: RetentionPeriod::Days(1) }))
        );
        for (inside, code) in [
            ("<Mode>GOVERNANCE</Mode><Days>0</Days>", S3ErrorCode::InvalidRetentionPeriod),
            ("<Mode>GOVERNANCE</Mode><Years>-1</Years>", S3ErrorCode::InvalidRetentionPeriod),
            ("<Mode>GOVERNANCE</Mode><Years>101</Years>", S3ErrorCode::InvalidRetentionPeriod),
            ("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>", S3ErrorCode::MalformedXml),
            ("<Mode>GOVERNANCE</Mode>", S3ErrorCode::MalformedXml),
            ("<Mode>governance</Mode><Days>1</Days>", S3ErrorCode::MalformedXml),
            ("<Days>1</Days>", S3ErrorCode::MalformedXml),
        ] {
            assert_eq!(rule(inside), Err(code), "{inside}");
        }
        assert_eq!(parse("<ObjectLockEnabled>Disabled</ObjectLockEnabled>"), Err(S3ErrorCode::MalformedXml));
        assert_eq!(parse(""), Err(S3ErrorCode::MalformedXml));
    }

    #[test]
    fn retentions_and_holds() {
        let parse = |inside: &str| {
            parse_retention(format!("<Retention>{inside}</Retention>").as_bytes(), 1_000_000)
                .map_err(|error| error.code)
        };
        assert_eq!(parse(""), Ok(None));
        let until = "<RetainUntilDate>1970-01-01T00:00:02Z</RetainUntilDate>";
        assert_eq!(parse(&format!("<Mode>COMPLIANCE</Mode>{until}")).unwrap().unwrap().until_us, 2_000_000);
        for bad in [until.to_owned(), format!("<Mode>abc</Mode>{until}"), "<Mode>COMPLIANCE</Mode>".to_owned()] {
            assert_eq!(parse(&bad), Err(S3ErrorCode::MalformedXml), "{bad}");
        }
        let past = "<Mode>COMPLIANCE</Mode><RetainUntilDate>1970-01-01T00:00:01Z</RetainUntilDate>";
        assert_eq!(parse(past), Err(S3ErrorCode::InvalidArgument));
        assert!(parse_legal_hold(b"<LegalHold><Status>ON</Status></LegalHold>").unwrap());
        assert!(parse_legal_hold(b"<LegalHold><Status>abc</Status></LegalHold>").is_err());
    }
}
