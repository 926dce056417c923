//! Reading a lifecycle document and refusing it as AWS does.

use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime};

use super::{Expiration, Filter, Lifecycle, NoncurrentExpiration, RULES_MAX, Rule};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::xml::Element;

/// Longest id of a rule.
const ID_LEN_MAX: usize = 255;
/// Most noncurrent versions that a rule may keep.
const KEEP_NEWEST_MAX: u32 = 100;
const DAY_S: i64 = 86_400;
/// When the years begin and end that four digits name.
const YEAR_0_S: i64 = -62_167_219_200;
const YEAR_10000_S: i64 = 253_402_300_800;

impl Lifecycle {
    /// Reads and validates what a client sent; `draw_id` names the rules that have no id.
    ///
    /// # Errors
    /// `MalformedXML`, `InvalidRequest`, `InvalidArgument` in AWS's words; `NotImplemented` for transitions.
    pub fn parse(document: &[u8], draw_id: impl Fn() -> String) -> Result<Self, S3Error> {
        let root = Element::parse(document, "LifecycleConfiguration")?;
        if root.children.is_empty() || root.children.iter().any(|child| child.name != "Rule") {
            return Err(malformed());
        }
        if root.children.len() > RULES_MAX {
            return Err(invalid("The number of lifecycle rules must not exceed the allowed limit of 1000 rules"));
        }
        let mut rules: Vec<Rule> = Vec::with_capacity(root.children.len());
        let mut ids = std::collections::HashSet::new();
        for element in &root.children {
            let rule = rule(element, &draw_id)?;
            if !ids.insert(rule.id.clone()) {
                return Err(argument("Rule ID must be unique. Found same ID for more than one rule"));
            }
            rules.push(rule);
        }
        Ok(Self { rules })
    }
}

fn rule(element: &Element, draw_id: &impl Fn() -> String) -> Result<Rule, S3Error> {
    const ACTIONS: [&str; 5] = [
        "Expiration",
        "NoncurrentVersionExpiration",
        "AbortIncompleteMultipartUpload",
        "Transition",
        "NoncurrentVersionTransition",
    ];
    for child in &element.children {
        let name = child.name.as_str();
        let known = ["ID", "Status", "Filter", "Prefix"].contains(&name) || ACTIONS.contains(&name);
        if !known || (!name.ends_with("Transition") && element.children(name).count() > 1) {
            return Err(malformed());
        }
    }
    let id = match element.child("ID").map(|id| id.text.as_str()) {
        Some(id) if id.chars().count() > ID_LEN_MAX => {
            return Err(argument("ID length should not exceed allowed limit of 255"));
        }
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => draw_id(),
    };
    let enabled = match element.child_text("Status") {
        Some("Enabled") => true,
        Some("Disabled") => false,
        _ => return Err(malformed()),
    };
    let filter = Filter::parse(element)?;
    if !element.children.iter().any(|child| ACTIONS.contains(&child.name.as_str())) {
        return Err(invalid("At least one action needs to be specified in a rule"));
    }
    let rule = Rule {
        id,
        enabled,
        filter,
        expiration: element.child("Expiration").map(expiration).transpose()?,
        noncurrent: element.child("NoncurrentVersionExpiration").map(noncurrent).transpose()?,
        abort_uploads_after: element.child("AbortIncompleteMultipartUpload").map(abort).transpose()?,
    };
    check_filter(&rule)?;
    // What is wrong with a transition is said before what it would need.
    if let Some(transition) = element.children.iter().find(|child| child.name.ends_with("Transition")) {
        check_transition(transition)?;
        return Err(S3Error::not_implemented("A lifecycle transition to another storage class"));
    }
    Ok(rule)
}

fn check_transition(element: &Element) -> Result<(), S3Error> {
    element.child_text("StorageClass").filter(|class| !class.is_empty()).ok_or_else(malformed)?;
    for child in &element.children {
        let text = child.text.trim();
        match child.name.as_str() {
            "Date" => {
                date(text)?;
            }
            "Days" | "NoncurrentDays" | "NewerNoncurrentVersions" => match text.parse::<i64>() {
                Ok(0..=2_147_483_647) => {}
                Ok(_) => return Err(argument("'Days' in Transition action must be nonnegative")),
                Err(_) => return Err(malformed()),
            },
            "StorageClass" => {}
            _ => return Err(malformed()),
        }
    }
    Ok(())
}

/// Markers and uploads have neither tags nor size.
fn check_filter(rule: &Rule) -> Result<(), S3Error> {
    let markers = rule.expiration == Some(Expiration::DeleteMarkers);
    let uploads = rule.abort_uploads_after.is_some();
    match (rule.filter.wants_tags(), rule.filter.wants_size()) {
        (true, _) if markers => Err(invalid("ExpiredObjectDeleteMarker cannot be specified with Tags.")),
        (true, _) if uploads => Err(invalid("AbortIncompleteMultipartUpload cannot be specified with Tags.")),
        (_, true) if markers => Err(invalid("ExpiredObjectDeleteMarker cannot be specified with Object Size.")),
        (_, true) if uploads => Err(invalid("AbortIncompleteMultipartUpload cannot be specified with Object Size.")),
        _ => Ok(()),
    }
}

fn expiration(element: &Element) -> Result<Expiration, S3Error> {
    let [child] = &element.children[..] else { return Err(malformed()) };
    let text = child.text.trim();
    match child.name.as_str() {
        "Days" => Ok(Expiration::Days(positive(text, "'Days' for Expiration action must be a positive integer")?)),
        "Date" => Ok(Expiration::Date(date(text)?)),
        "ExpiredObjectDeleteMarker" if text == "true" => Ok(Expiration::DeleteMarkers),
        // AWS takes `false`, which asks for nothing; a rule that does nothing helps nobody.
        "ExpiredObjectDeleteMarker" if text == "false" => {
            Err(invalid("At least one action needs to be specified in a rule"))
        }
        _ => Err(malformed()),
    }
}

fn noncurrent(element: &Element) -> Result<NoncurrentExpiration, S3Error> {
    let mut parsed = NoncurrentExpiration { days: 0, keep_newest: 0 };
    for child in &element.children {
        let text = child.text.trim();
        match child.name.as_str() {
            "NoncurrentDays" => {
                let message = "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer";
                parsed.days = positive(text, message)?;
            }
            "NewerNoncurrentVersions" => {
                let message =
                    "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be a positive integer";
                parsed.keep_newest = positive(text, message)?;
                if parsed.keep_newest > KEEP_NEWEST_MAX {
                    return Err(argument("'NewerNoncurrentVersions' must be at most 100"));
                }
            }
            _ => return Err(malformed()),
        }
    }
    // AWS demands the days even where only so many versions are to be kept.
    if parsed.days == 0 { Err(malformed()) } else { Ok(parsed) }
}

fn abort(element: &Element) -> Result<u32, S3Error> {
    match &element.children[..] {
        [days] if days.name == "DaysAfterInitiation" => positive(
            days.text.trim(),
            "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer",
        ),
        _ => Err(malformed()),
    }
}

fn positive(text: &str, message: &'static str) -> Result<u32, S3Error> {
    match text.parse::<i64>() {
        Ok(number) => {
            u32::try_from(number).ok().filter(|&n| n > 0 && n <= i32::MAX as u32).ok_or_else(|| argument(message))
        }
        Err(_) => Err(malformed()),
    }
}

/// Unix seconds of a midnight.
fn date(text: &str) -> Result<i64, S3Error> {
    let whole = OffsetDateTime::parse(text, &Rfc3339).map(OffsetDateTime::unix_timestamp);
    let at = whole.or_else(|_| {
        let day = time::macros::format_description!("[year]-[month]-[day]");
        Date::parse(text, &day).map(|date| date.midnight().assume_utc().unix_timestamp())
    });
    match at {
        // No other year has a form that reads back.
        Ok(at) if !(YEAR_0_S..YEAR_10000_S).contains(&at) => Err(malformed()),
        Ok(at) if at % DAY_S == 0 => Ok(at),
        Ok(_) => Err(argument("'Date' must be at midnight GMT")),
        Err(_) => Err(malformed()),
    }
}

pub(super) fn date_text(at: i64) -> String {
    let date = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!("{:04}-{:02}-{:02}T00:00:00.000Z", date.year(), u8::from(date.month()), date.day())
}

fn malformed() -> S3Error {
    S3Error::of(S3ErrorCode::MalformedXml)
}

fn invalid(message: &'static str) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidRequest, message)
}

fn argument(message: &'static str) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::bucket_config::BucketDocument as _;

    fn document(rules: &str) -> Result<Lifecycle, (S3ErrorCode, String)> {
        Lifecycle::parse(format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>").as_bytes(), || {
            "drawn".into()
        })
        .map_err(|error| (error.code, error.message.into_owned()))
    }

    fn rule(inside: &str) -> Result<Lifecycle, (S3ErrorCode, String)> {
        document(&format!("<Rule><ID>r</ID><Status>Enabled</Status>{inside}</Rule>"))
    }

    const DAYS: &str = "<Expiration><Days>3</Days></Expiration>";
    const ALL: &str = "<Filter/>";

    #[test]
    fn what_is_written_reads_back() {
        for inside in [
            format!("{ALL}{DAYS}"),
            format!("<Prefix>logs/ </Prefix>{DAYS}"),
            "<Filter><Prefix>a</Prefix></Filter><Expiration><Date>2030-01-02T00:00:00Z</Date></Expiration>".to_owned(),
            format!("<Filter><Tag><Key>k</Key><Value></Value></Tag></Filter>{DAYS}"),
            format!(
                "<Filter><And><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><Tag><Key>l</Key><Value>v</Value></Tag>\
                 <ObjectSizeGreaterThan>0</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>{DAYS}"
            ),
            format!(
                "{ALL}<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>\
                 <NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>5</NewerNoncurrentVersions>\
                 </NoncurrentVersionExpiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>\
                 </AbortIncompleteMultipartUpload>"
            ),
        ] {
            let parsed = rule(&inside).unwrap();
            assert_eq!(Lifecycle::from_stored(&parsed.write()).unwrap(), parsed, "{inside}");
        }
        let unnamed = document(&format!("<Rule><Status>Disabled</Status>{ALL}{DAYS}</Rule>")).unwrap();
        assert_eq!((unnamed.rules[0].id.as_str(), unnamed.rules[0].enabled), ("drawn", false));
    }

    #[test]
    fn what_aws_refuses_is_refused() {
        use S3ErrorCode::{InvalidArgument, InvalidRequest, MalformedXml, NotImplemented};
        let marker = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>";
        let tagged = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>";
        let sized = "<Filter><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></Filter>";
        let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>";
        let expiring = |inside: &str| format!("{ALL}<Expiration>{inside}</Expiration>");
        let noncurrent =
            |inside: &str| format!("{ALL}<NoncurrentVersionExpiration>{inside}</NoncurrentVersionExpiration>");
        let filtered = |inside: &str| format!("<Filter>{inside}</Filter>{DAYS}");
        for (inside, code) in [
            (DAYS.to_owned(), MalformedXml),
            (format!("{ALL}<Prefix/>{DAYS}"), MalformedXml),
            (ALL.to_owned(), InvalidRequest),
            (format!("{ALL}{DAYS}{DAYS}"), MalformedXml),
            (format!("{ALL}{DAYS}<Other/>"), MalformedXml),
            (expiring("<Days>0</Days>"), InvalidArgument),
            (expiring("<Days>-1</Days>"), InvalidArgument),
            (expiring("<Days>x</Days>"), MalformedXml),
            (expiring("<Days>1</Days><Date>2030-01-01T00:00:00Z</Date>"), MalformedXml),
            (expiring(""), MalformedXml),
            (expiring("<Date>2030-01-01T00:00:01Z</Date>"), InvalidArgument),
            (expiring("<Date>20200101</Date>"), MalformedXml),
            // Was stored as year -001, which did not read back: the rules of the bucket were gone.
            (expiring("<Date>-0001-01-01</Date>"), MalformedXml),
            (expiring("<Date>+10000-01-01</Date>"), MalformedXml),
            (noncurrent(""), MalformedXml),
            (noncurrent("<NewerNoncurrentVersions>5</NewerNoncurrentVersions>"), MalformedXml),
            (noncurrent("<NoncurrentDays>0</NoncurrentDays>"), InvalidArgument),
            (
                noncurrent("<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions>"),
                InvalidArgument,
            ),
            (format!("{tagged}{marker}"), InvalidRequest),
            (format!("{tagged}{abort}"), InvalidRequest),
            (format!("{sized}{marker}"), InvalidRequest),
            (format!("{sized}{abort}"), InvalidRequest),
            (
                format!("{ALL}<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"),
                NotImplemented,
            ),
            (
                format!("{ALL}<Transition><Date>20220927</Date><StorageClass>GLACIER</StorageClass></Transition>"),
                MalformedXml,
            ),
            (format!("{ALL}<Transition><Days>-1</Days><StorageClass>X</StorageClass></Transition>"), InvalidArgument),
            (format!("{ALL}<Transition><Days>1</Days></Transition>"), MalformedXml),
            (filtered("<And><Prefix>a</Prefix></And>"), MalformedXml),
            (filtered("<And><Prefix>a</Prefix><Prefix>b</Prefix></And>"), MalformedXml),
            (filtered("<ObjectSizeGreaterThan>-1</ObjectSizeGreaterThan>"), MalformedXml),
            (
                filtered(
                    "<And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>5</ObjectSizeLessThan></And>",
                ),
                InvalidRequest,
            ),
            (
                filtered("<And><Tag><Key>k</Key><Value>1</Value></Tag><Tag><Key>k</Key><Value>2</Value></Tag></And>"),
                InvalidRequest,
            ),
            (filtered(&format!("<Prefix>{}</Prefix>", "p".repeat(1025))), InvalidRequest),
            (filtered("<Tag><Key></Key><Value>v</Value></Tag>"), S3ErrorCode::InvalidTag),
        ] {
            assert_eq!(rule(&inside).unwrap_err().0, code, "{inside}");
        }
        let whole = format!("<Rule><ID>r</ID><Status>Enabled</Status>{ALL}{DAYS}</Rule>");
        assert_eq!(document(&whole.repeat(2)).unwrap_err().0, InvalidArgument);
        assert_eq!(document("").unwrap_err().0, MalformedXml);
        assert_eq!(document(&whole.replace("Enabled", "enabled")).unwrap_err().0, MalformedXml);
        assert_eq!(
            document(&whole.replace("<ID>r", &format!("<ID>{}", "i".repeat(256)))).unwrap_err().0,
            InvalidArgument
        );
        assert_eq!(document(&"<Rule/>".repeat(1001)).unwrap_err().0, InvalidRequest);
    }

    #[test]
    fn the_prefixes_to_scan_do_not_overlap() {
        let rules: String = ["b/", "a", "a/b", "b/c", "c"]
            .iter()
            .map(|prefix| {
                format!("<Rule><ID>{prefix}</ID><Status>Enabled</Status><Prefix>{prefix}</Prefix>{DAYS}</Rule>")
            })
            .collect();
        let off = format!("<Rule><ID>off</ID><Status>Disabled</Status>{ALL}{DAYS}</Rule>");
        assert_eq!(document(&(rules + &off)).unwrap().prefixes(), ["a", "b/", "c"]);
    }
}
