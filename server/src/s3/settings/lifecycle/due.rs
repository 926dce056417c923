//! When a version is due, and by which rule.

use super::{Expiration, Facts, Lifecycle, Rule};

const MICROS: u64 = 1_000_000;
const DAY_S: u64 = 86_400;

/// How long a day is. A test makes it shorter; days then end wherever they end, not at midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clockwork {
    /// Seconds in a day.
    pub day_s: u64,
}

/// When and by which rule an object expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry<'r> {
    /// Unix seconds.
    pub at_s: u64,
    /// The rule.
    pub rule: &'r Rule,
}

/// How a noncurrent version stands among its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoncurrentAge {
    /// When it ceased to be current, Unix microseconds: when the version after it was made.
    pub since_us: u64,
    /// Noncurrent versions that are newer.
    pub newer: u32,
}

impl Clockwork {
    /// Days that are days.
    pub const fn of_whole_days() -> Self {
        Self { day_s: DAY_S }
    }

    /// So many days after a time: rounded up to the next midnight, as AWS does.
    fn after(self, from_us: u64, days: u32) -> u64 {
        let at_s = (from_us / MICROS).saturating_add(u64::from(days).saturating_mul(self.day_s));
        if self.day_s == DAY_S { at_s.div_ceil(DAY_S).saturating_mul(DAY_S) } else { at_s }
    }
}

impl Lifecycle {
    fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.enabled)
    }

    /// When the current version of an object expires: the earliest of all rules that are about it.
    pub fn expiry(&self, object: &Facts<'_>, modified_us: u64, clockwork: Clockwork) -> Option<Expiry<'_>> {
        let due = self.enabled().filter_map(|rule| {
            let at_s = match rule.expiration? {
                Expiration::Days(days) => clockwork.after(modified_us, days),
                Expiration::Date(at) => u64::try_from(at).unwrap_or(0),
                Expiration::DeleteMarkers => return None,
            };
            rule.filter.holds(object).then_some(Expiry { at_s, rule })
        });
        due.min_by_key(|expiry| expiry.at_s)
    }

    /// Whether a noncurrent version is due at `now_us`.
    pub fn noncurrent_is_due(&self, object: &Facts<'_>, age: NoncurrentAge, clockwork: Clockwork, now_us: u64) -> bool {
        self.enabled().any(|rule| {
            rule.noncurrent.is_some_and(|noncurrent| {
                age.newer >= noncurrent.keep_newest
                    && clockwork.after(age.since_us, noncurrent.days) <= now_us / MICROS
                    && rule.filter.holds(object)
            })
        })
    }

    /// Whether a delete marker that hides nothing any more is due at `now_us`: a rule for markers says
    /// so, or one that expires objects by age or date, which a marker outlives for nothing.
    pub fn lone_marker_is_due(&self, key: &str, modified_us: u64, clockwork: Clockwork, now_us: u64) -> bool {
        let now_s = now_us / MICROS;
        self.enabled().any(|rule| {
            let filter = &rule.filter;
            let about_it = !filter.wants_tags() && !filter.wants_size() && filter.holds_without_tags(key, 0);
            about_it
                && match rule.expiration {
                    Some(Expiration::DeleteMarkers) => true,
                    Some(Expiration::Days(days)) => clockwork.after(modified_us, days) <= now_s,
                    Some(Expiration::Date(at)) => u64::try_from(at).is_ok_and(|at| at <= now_s),
                    None => false,
                }
        })
    }

    /// When an upload in progress is aborted, if a rule says so.
    pub fn abort_at(&self, key: &str, initiated_us: u64, clockwork: Clockwork) -> Option<Expiry<'_>> {
        let due = self.enabled().filter_map(|rule| {
            let at_s = clockwork.after(initiated_us, rule.abort_uploads_after?);
            rule.filter.holds_without_tags(key, 0).then_some(Expiry { at_s, rule })
        });
        due.min_by_key(|expiry| expiry.at_s)
    }

    /// Whether the tags of an object matter: else nobody needs to read them.
    pub fn wants_tags_of(&self, key: &str, size_bytes: u64) -> bool {
        self.enabled().any(|rule| rule.filter.wants_tags() && rule.filter.holds_without_tags(key, size_bytes))
    }

    /// Whether any enabled rule is about uploads in progress.
    pub fn wants_uploads(&self) -> bool {
        self.enabled().any(|rule| rule.abort_uploads_after.is_some())
    }
}

impl Expiry<'_> {
    /// The value of `x-amz-expiration`: `expiry-date="…", rule-id="…"`.
    pub fn header(&self) -> String {
        format!("expiry-date=\"{}\", rule-id=\"{}\"", self.date(), self.rule_id())
    }

    /// When, as HTTP writes dates.
    pub fn date(&self) -> String {
        let since = std::time::Duration::from_secs(self.at_s.min(LAST_HTTP_DATE_S));
        std::time::UNIX_EPOCH.checked_add(since).map(httpdate::fmt_http_date).unwrap_or_default()
    }

    /// The rule's id, percent-encoded: ids hold any text, headers do not.
    pub fn rule_id(&self) -> String {
        percent_encoding::utf8_percent_encode(&self.rule.id, &RULE_ID).to_string()
    }
}

/// All but RFC 3986's unreserved characters.
const RULE_ID: percent_encoding::AsciiSet =
    percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The end of year 9999: no later date can be written.
const LAST_HTTP_DATE_S: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: Clockwork = Clockwork { day_s: DAY_S };
    const QUICK: Clockwork = Clockwork { day_s: 10 };
    const DAY_US: u64 = DAY_S * MICROS;

    fn rules(rules: &str) -> Lifecycle {
        let text = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
        Lifecycle::parse(text.as_bytes(), || "x".into()).unwrap()
    }

    fn rule(id: &str, inside: &str) -> String {
        format!("<Rule><ID>{id}</ID><Status>Enabled</Status>{inside}</Rule>")
    }

    fn facts<'o>(key: &'o str, size_bytes: u64, tags: &'o [(String, String)]) -> Facts<'o> {
        Facts { key, size_bytes, tags }
    }

    #[test]
    fn days_end_at_midnight_and_the_earliest_rule_wins() {
        let lifecycle = rules(
            &(rule("a b", "<Prefix>logs/</Prefix><Expiration><Days>3</Days></Expiration>")
                + &rule("all", "<Filter/><Expiration><Days>10</Days></Expiration>")),
        );
        let expiry = lifecycle.expiry(&facts("logs/x", 1, &[]), DAY_US + 1_000_000, REAL).unwrap();
        assert_eq!((expiry.at_s, expiry.rule.id.as_str()), (5 * DAY_S, "a b"));
        assert_eq!(expiry.header(), "expiry-date=\"Tue, 06 Jan 1970 00:00:00 GMT\", rule-id=\"a%20b\"");
        let other = lifecycle.expiry(&facts("x", 1, &[]), DAY_US, REAL).unwrap();
        assert_eq!((other.at_s, other.rule.id.as_str()), (11 * DAY_S, "all"));
        assert_eq!(lifecycle.expiry(&facts("logs/x", 1, &[]), 5_000_000, QUICK).unwrap().at_s, 35);
    }

    #[test]
    fn filters_by_tag_and_size() {
        let lifecycle = rules(&rule(
            "r",
            "<Filter><And><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan>\
             <ObjectSizeLessThan>20</ObjectSizeLessThan></And></Filter><Expiration><Date>1970-01-02T00:00:00Z</Date></Expiration>",
        ));
        let (right, wrong) = ([("k".to_owned(), "v".to_owned())], [("k".to_owned(), "w".to_owned())]);
        let expires = |size, tags| lifecycle.expiry(&facts("x", size, tags), 0, REAL).map(|expiry| expiry.at_s);
        assert_eq!(expires(15, &right[..]), Some(DAY_S));
        for (size, tags) in [(10, &right[..]), (20, &right[..]), (15, &wrong[..]), (15, &[][..])] {
            assert_eq!(expires(size, tags), None, "{size} {tags:?}");
        }
    }

    #[test]
    fn noncurrent_versions_markers_and_uploads() {
        let lifecycle = rules(&rule(
            "r",
            "<Filter><Prefix>a</Prefix></Filter><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>\
             <NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions>\
             </NoncurrentVersionExpiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation>\
             </AbortIncompleteMultipartUpload>",
        ));
        let object = facts("a", 0, &[]);
        let due = |newer, now_s: u64| {
            lifecycle.noncurrent_is_due(&object, NoncurrentAge { since_us: 0, newer }, QUICK, now_s * MICROS)
        };
        assert!(due(2, 10) && !due(1, 10) && !due(2, 9));
        assert!(lifecycle.lone_marker_is_due("a", 0, QUICK, 0) && !lifecycle.lone_marker_is_due("b", 0, QUICK, 0));
        assert_eq!(lifecycle.abort_at("a", 0, QUICK).map(|expiry| expiry.at_s), Some(20));
        assert_eq!(lifecycle.abort_at("b", 0, QUICK), None);
        assert!(lifecycle.expiry(&object, 0, QUICK).is_none());
    }
}
