//! Times as requests carry them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// Unix time of `YYYYMMDDTHHMMSSZ`; `None` for anything else.
pub fn unix_seconds(text: &str) -> Option<i64> {
    Timestamp::parse(text).map(|timestamp| timestamp.unix_seconds)
}

/// A time of the form `20260101T000000Z`, kept as text too: strings to sign carry the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timestamp {
    text: [u8; 16],
    unix_seconds: i64,
}

impl Timestamp {
    /// Reads `YYYYMMDDTHHMMSSZ`, and nothing else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 16] = text.as_bytes().try_into().ok()?;
        if bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let number = |range: std::ops::Range<usize>| -> Option<u16> {
            let digits = bytes.get(range)?;
            digits.iter().all(u8::is_ascii_digit).then_some(())?;
            std::str::from_utf8(digits).ok()?.parse().ok()
        };
        let small = |range| u8::try_from(number(range)?).ok();
        let month = Month::try_from(small(4..6)?).ok()?;
        let date = Date::from_calendar_date(i32::from(number(0..4)?), month, small(6..8)?).ok()?;
        let time = Time::from_hms(small(9..11)?, small(11..13)?, small(13..15)?).ok()?;
        let unix_seconds = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp();
        Some(Self { text: bytes, unix_seconds })
    }

    /// Reads the `Date` header of HTTP, for clients that send no `x-amz-date`.
    pub(super) fn parse_http_date(text: &str) -> Option<Self> {
        // RFC 5322 writes the same zone in digits; boto does so when a caller sets a `Date`.
        let zone = |zone| text.strip_suffix(zone).map(|time| format!("{time}GMT"));
        let text = zone("-0000").or_else(|| zone("+0000")).unwrap_or_else(|| text.to_owned());
        let time = httpdate::parse_http_date(&text).ok()?;
        let seconds = i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
        Self::from_unix(seconds)
    }

    fn from_unix(unix_seconds: i64) -> Option<Self> {
        let t = OffsetDateTime::from_unix_timestamp(unix_seconds).ok()?.to_offset(UtcOffset::UTC);
        let text = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        );
        Self::parse(&text)
    }

    /// `20260101T000000Z`.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("digits, T and Z")
    }

    /// `20260101`, the date of a credential scope.
    pub(super) fn date(&self) -> &str {
        &self.as_str()[..8]
    }

    pub(super) fn unix_seconds(&self) -> i64 {
        self.unix_seconds
    }

    pub(super) fn system_time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(u64::try_from(self.unix_seconds).unwrap_or(0))
    }
}

/// RFC 3339 in UTC to the second, as error bodies show times.
pub(super) fn rfc3339(unix_seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix_seconds)
        .ok()
        .and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_basic_form_is_read() {
        let t = Timestamp::parse("20261122T044547Z").unwrap();
        assert_eq!((t.date(), t.unix_seconds()), ("20261122", 1_795_322_747));
        for bad in [
            "",
            "20261122",
            "20261122T044547",
            "2026-11-22T04:45:47Z",
            "20261322T044547Z",
            "20261122T046047Z",
            "+0261122T044547Z",
        ] {
            assert!(Timestamp::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_date_header_serves_too() {
        for zone in ["GMT", "-0000", "+0000"] {
            let text = format!("Sun, 22 Nov 2026 04:45:47 {zone}");
            assert_eq!(Timestamp::parse_http_date(&text), Timestamp::parse("20261122T044547Z"), "{zone}");
        }
        assert_eq!(Timestamp::parse_http_date("Sun, 22 Nov 2026 04:45:47 +0100"), None);
    }
}
