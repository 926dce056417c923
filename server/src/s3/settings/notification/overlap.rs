//! Two rules that are about one event on one key: AWS refuses them, whoever their targets are.

use chartrier_storage::namespace::notification::{NotificationRule, pattern_matches};

/// Whether some event on some key is told by both rules.
pub(super) fn overlap(one: &NotificationRule, other: &NotificationRule) -> bool {
    share_an_event(&one.events, &other.events)
        && overlaps(one.prefix.as_deref(), other.prefix.as_deref(), |long, short| long.starts_with(short))
        && overlaps(one.suffix.as_deref(), other.suffix.as_deref(), |long, short| long.ends_with(short))
}

fn share_an_event(one: &[String], other: &[String]) -> bool {
    let covers = |pattern: &str, event: &str| {
        pattern == event || event.strip_prefix("s3:").is_some_and(|event| pattern_matches(pattern, event))
    };
    one.iter().any(|a| other.iter().any(|b| covers(a, b) || covers(b, a)))
}

fn overlaps(one: Option<&str>, other: Option<&str>, contains: impl Fn(&str, &str) -> bool) -> bool {
    let (one, other) = (one.unwrap_or_default(), other.unwrap_or_default());
    contains(one, other) || contains(other, one)
}

#[cfg(test)]
mod tests {
    use chartrier_storage::namespace::notification::Destination;

    use super::*;

    fn rule(events: &[&str], prefix: &str, suffix: &str) -> NotificationRule {
        NotificationRule {
            id: String::new(),
            destination: Destination::Queue,
            arn: String::new(),
            target: String::new(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
            suffix: (!suffix.is_empty()).then(|| suffix.to_owned()),
        }
    }

    #[test]
    fn rules_overlap_in_events_prefixes_and_suffixes_together() {
        let created = "s3:ObjectCreated:*";
        let all = rule(&[created], "", "");
        assert!(overlap(&all, &all));
        assert!(overlap(&all, &rule(&["s3:ObjectRemoved:*", "s3:ObjectCreated:Put"], "a", "b")));
        assert!(!overlap(&all, &rule(&["s3:ObjectRemoved:*"], "", "")));
        assert!(overlap(&rule(&[created], "images", ""), &rule(&[created], "images/a", "")));
        assert!(!overlap(&rule(&[created], "images/", ""), &rule(&[created], "logs/", "")));
        assert!(overlap(&rule(&[created], "images", "jpg"), &rule(&[created], "", ".jpg")));
        assert!(!overlap(&rule(&[created], "images", "jpg"), &rule(&[created], "images", "png")));
        // Nothing common but the star.
        assert!(!overlap(&rule(&["s3:ObjectTagging:*"], "", ""), &rule(&["s3:ObjectAcl:Put"], "", "")));
    }
}
