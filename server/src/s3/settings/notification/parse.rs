//! Reading a notification document and refusing it as AWS does.

use std::collections::HashSet;

use chartrier_storage::namespace::notification::{Destination, NotificationRule, Notifications, RULES_MAX};

use super::destination::Destinations;
use super::elements;
use super::overlap::overlap;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::xml::Element;

/// Longest document that is read.
pub const DOCUMENT_BYTES_MAX: usize = 256 << 10;
/// Longest id of a rule, in characters.
const ID_LEN_MAX: usize = 255;
/// Longest prefix or suffix in bytes.
const FILTER_BYTES_MAX: usize = 1024;

/// Every event that AWS takes in a configuration. Those of features that are not here never happen.
const EVENTS: [&str; 27] = [
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ReducedRedundancyLostObject",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationReplicatedAfterThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:IntelligentTiering",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
    "s3:ObjectAcl:Put",
];

/// Reads and validates what a client sent; `draw_id` names the rules that have no id.
///
/// # Errors
/// `MalformedXML`; `InvalidArgument` in AWS's words; `NotImplemented` for EventBridge.
pub fn parse(
    document: &[u8],
    destinations: &Destinations<'_>,
    draw_id: impl Fn() -> String,
) -> Result<Notifications, S3Error> {
    let root = Element::parse(document, "NotificationConfiguration")?;
    let mut rules: Vec<NotificationRule> = Vec::with_capacity(root.children.len().min(RULES_MAX));
    let mut ids = HashSet::new();
    for element in &root.children {
        let destination = match element.name.as_str() {
            "TopicConfiguration" => Destination::Topic,
            "QueueConfiguration" => Destination::Queue,
            "CloudFunctionConfiguration" => Destination::Function,
            "EventBridgeConfiguration" => return Err(S3Error::not_implemented("Notification by EventBridge")),
            _ => return Err(malformed()),
        };
        if rules.len() == RULES_MAX {
            return Err(argument("The number of notification configurations must not exceed the allowed limit of 100"));
        }
        let rule = rule(element, destination, destinations, &draw_id)?;
        if !ids.insert(rule.id.clone()) {
            return Err(argument("Same ID used for multiple configurations. IDs must be unique"));
        }
        rules.push(rule);
    }
    check_overlaps(&rules)?;
    Ok(Notifications { rules })
}

fn rule(
    element: &Element,
    destination: Destination,
    destinations: &Destinations<'_>,
    draw_id: &impl Fn() -> String,
) -> Result<NotificationRule, S3Error> {
    let (_, target) = elements(destination);
    for child in &element.children {
        let name = child.name.as_str();
        let once = ["Id", "Filter", target].contains(&name);
        if !(once || name == "Event") || (once && element.children(name).count() > 1) {
            return Err(malformed());
        }
    }
    let arn = element.child_text(target).ok_or_else(malformed)?.to_owned();
    let id = match element.child_text("Id") {
        Some(id) if id.chars().count() > ID_LEN_MAX => {
            return Err(argument("ID length should not exceed allowed limit of 255"));
        }
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => draw_id(),
    };
    let events: Vec<String> = element.children("Event").map(|event| event.text.trim().to_owned()).collect();
    if events.is_empty() {
        return Err(malformed());
    }
    if let Some(unknown) = events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
        return Err(S3Error::invalid_argument("The event is not supported for notifications", "Event", unknown));
    }
    let distinct: HashSet<&String> = events.iter().collect();
    if distinct.len() < events.len() {
        return Err(argument(
            "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
        ));
    }
    let (prefix, suffix) = element.child("Filter").map_or(Ok((None, None)), filter)?;
    let target = destinations.target(destination, &arn)?;
    Ok(NotificationRule { id, destination, arn, target, events, prefix, suffix })
}

/// Prefix and suffix of a filter.
fn filter(element: &Element) -> Result<(Option<String>, Option<String>), S3Error> {
    let keys = match &element.children[..] {
        [] => return Ok((None, None)),
        [keys] if keys.name == "S3Key" => keys,
        _ => return Err(malformed()),
    };
    let (mut prefix, mut suffix) = (None, None);
    for rule in &keys.children {
        if rule.name != "FilterRule" {
            return Err(malformed());
        }
        let name = rule.child_text("Name").ok_or_else(malformed)?;
        // Taken to the byte: white space is part of it.
        let value = rule.child("Value").map(|value| value.text.clone()).ok_or_else(malformed)?;
        if value.len() > FILTER_BYTES_MAX {
            return Err(argument("Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation"));
        }
        let (place, twice) = match name.to_ascii_lowercase().as_str() {
            "prefix" => (&mut prefix, "Cannot specify more than one prefix rule in a filter."),
            "suffix" => (&mut suffix, "Cannot specify more than one suffix rule in a filter."),
            _ => return Err(argument("filter rule name must be either prefix or suffix")),
        };
        if place.replace(value).is_some() {
            return Err(argument(twice));
        }
    }
    Ok((prefix, suffix))
}

fn check_overlaps(rules: &[NotificationRule]) -> Result<(), S3Error> {
    for (at, one) in rules.iter().enumerate() {
        if let Some(other) = rules[..at].iter().find(|other| overlap(one, other)) {
            let filtered = [one, other].iter().any(|rule| rule.prefix.is_some() || rule.suffix.is_some());
            return Err(argument(if filtered {
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes \
                 are overlapping for the same event type."
            } else {
                "Configurations overlap. Configurations on the same bucket cannot share a common event type."
            }));
        }
    }
    Ok(())
}

fn malformed() -> S3Error {
    S3Error::of(S3ErrorCode::MalformedXml)
}

fn argument(message: &'static str) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::super::write;
    use super::*;

    fn read(rules: &str) -> Result<Notifications, (S3ErrorCode, String)> {
        let destinations = Destinations { regions: &["fr"], knows: &|name| name == "hook" };
        let document = format!("<NotificationConfiguration>{rules}</NotificationConfiguration>");
        parse(document.as_bytes(), &destinations, || "drawn".into())
            .map_err(|error| (error.code, error.message.into_owned()))
    }

    fn queue(inside: &str) -> String {
        format!("<QueueConfiguration><Queue>arn:aws:sqs:fr::hook</Queue>{inside}</QueueConfiguration>")
    }

    const PUT: &str = "<Event>s3:ObjectCreated:Put</Event>";

    #[test]
    fn what_is_read_is_written_again() {
        let filter = "<Filter><S3Key><FilterRule><Name>Prefix</Name><Value> a&amp;/</Value></FilterRule>\
                      <FilterRule><Name>suffix</Name><Value>.jpg</Value></FilterRule></S3Key></Filter>";
        let text = format!(
            "<TopicConfiguration><Id>t</Id><Topic>arn:aws:sns:fr:123456789012:hook</Topic>\
             <Event>s3:ObjectRemoved:*</Event><Event>s3:ObjectAcl:Put</Event></TopicConfiguration>{}\
             <CloudFunctionConfiguration><Id>f</Id><CloudFunction>arn:aws:lambda:fr::function:hook</CloudFunction>\
             <Event>s3:ObjectTagging:*</Event></CloudFunctionConfiguration>",
            queue(&format!("{PUT}{filter}")),
        );
        let notifications = read(&text).unwrap();
        assert_eq!(notifications.rules.len(), 3);
        assert_eq!(notifications.rules[1].prefix.as_deref(), Some(" a&/"));
        assert_eq!(notifications.rules[1].id, "drawn");
        let again = write(&notifications);
        let again = std::str::from_utf8(&again).unwrap();
        let inside = again.split_once("doc/2006-03-01/\">").unwrap().1.split_once("</Notification").unwrap().0;
        assert_eq!(read(inside).unwrap(), notifications);
        assert_eq!(read("").unwrap(), Notifications::default());
    }

    #[test]
    fn documents_are_refused_as_on_aws() {
        let code = |rules: &str| read(rules).unwrap_err().0;
        for malformed in [
            "<Rule/>".to_owned(),
            queue(""),
            queue(&format!("{PUT}<Unknown/>")),
            queue(&format!("<Id>a</Id><Id>b</Id>{PUT}")),
            format!("<QueueConfiguration>{PUT}</QueueConfiguration>"),
            queue(&format!("{PUT}<Filter><Key/></Filter>")),
            queue(&format!("{PUT}<Filter><S3Key><FilterRule><Name>prefix</Name></FilterRule></S3Key></Filter>")),
        ] {
            assert_eq!(code(&malformed), S3ErrorCode::MalformedXml, "{malformed}");
        }
        let rule =
            |name: &str, value: &str| format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>");
        let filtered = |rules: &str| queue(&format!("{PUT}<Filter><S3Key>{rules}</S3Key></Filter>"));
        for (refused, words) in [
            (queue("<Event>s3:ObjectAccessed:*</Event>"), "not supported"),
            (queue("<Event>ObjectCreated:Put</Event>"), "not supported"),
            (queue(&format!("{PUT}{PUT}")), "overlap"),
            (queue(&format!("<Id>{}</Id>{PUT}", "i".repeat(256))), "ID length"),
            (filtered(&rule("infix", "a")), "either prefix or suffix"),
            (filtered(&format!("{}{}", rule("prefix", "a"), rule("Prefix", "b"))), "more than one prefix"),
            (filtered(&rule("suffix", &"s".repeat(1025))), "1024 bytes"),
            (
                format!(
                    "{}{}",
                    queue(&format!("<Id>a</Id>{PUT}")),
                    queue("<Id>b</Id><Event>s3:ObjectCreated:*</Event>")
                ),
                "overlap",
            ),
            (
                format!("{}{}", queue(&format!("<Id>a</Id>{PUT}")), queue("<Id>a</Id><Event>s3:ObjectAcl:Put</Event>")),
                "unique",
            ),
            (
                format!("<QueueConfiguration><Queue>arn:aws:sqs:fr::none</Queue>{PUT}</QueueConfiguration>"),
                "Unable to validate",
            ),
        ] {
            let (code, message) = read(&refused).unwrap_err();
            assert_eq!(code, S3ErrorCode::InvalidArgument, "{refused}");
            assert!(message.contains(words), "{message}");
        }
        assert_eq!(code("<EventBridgeConfiguration/>"), S3ErrorCode::NotImplemented);
        let many: String = (0..101)
            .map(|n| filtered(&rule("prefix", &format!("p{n:03}"))).replace("<Event>", &format!("<Id>{n}</Id><Event>")))
            .collect();
        assert_eq!(code(&many), S3ErrorCode::InvalidArgument);
    }
}
