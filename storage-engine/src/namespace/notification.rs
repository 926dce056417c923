//! Event notification: which changes of a bucket are told to whom, and the rows that wait to be told.
//!
//! Apply writes an [`EventRow`] in the entry of the change itself, so that no crash parts the two. A
//! target is a name that the server knows how to deliver to; each has a queue of its own, in the
//! order of the log. Whoever delivers takes rows away by [`Op::RemoveEvents`](super::command::Op): a
//! crash in between delivers again, never not at all.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::VersionId;

/// Most rules of one bucket, as on AWS.
pub const RULES_MAX: usize = 100;
/// Longest name of a target in bytes.
pub const TARGET_BYTES_MAX: usize = 64;
/// Longest text of an origin in bytes.
pub const ORIGIN_TEXT_BYTES_MAX: usize = 256;
/// Most events that wait for one target; the oldest are dropped, and counted, when there are more.
pub const QUEUE_ROWS_MAX: u64 = if cfg!(test) { 6 } else { 100_000 };
/// Most bytes of rows that wait for one target; the oldest are dropped, and counted, when there are more.
pub const QUEUE_BYTES_MAX: u64 = 64 << 20;
/// Most events that one command takes out of a queue.
pub const REMOVED_ROWS_MAX: usize = if cfg!(test) { 3 } else { 1000 };

/// What happened, as S3 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventName {
    /// Sent when the configuration is set.
    Test,
    /// PutObject.
    CreatedPut,
    /// A browser's form.
    CreatedPost,
    /// CopyObject.
    CreatedCopy,
    /// CompleteMultipartUpload.
    CreatedMultipart,
    /// A version is gone for good.
    RemovedDelete,
    /// A delete marker hides the object.
    RemovedMarker,
    /// Tags were set.
    TaggingPut,
    /// Tags were taken away.
    TaggingDelete,
    /// Grants were set.
    AclPut,
    /// As `RemovedDelete`, by a lifecycle rule.
    ExpirationDelete,
    /// As `RemovedMarker`, by a lifecycle rule.
    ExpirationMarker,
}

impl EventName {
    /// Every event.
    pub const ALL: [Self; 12] = [
        Self::Test,
        Self::CreatedPut,
        Self::CreatedPost,
        Self::CreatedCopy,
        Self::CreatedMultipart,
        Self::RemovedDelete,
        Self::RemovedMarker,
        Self::TaggingPut,
        Self::TaggingDelete,
        Self::AclPut,
        Self::ExpirationDelete,
        Self::ExpirationMarker,
    ];

    /// As configurations name it, but for the `s3:` before it; messages carry this form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "TestEvent",
            Self::CreatedPut => "ObjectCreated:Put",
            Self::CreatedPost => "ObjectCreated:Post",
            Self::CreatedCopy => "ObjectCreated:Copy",
            Self::CreatedMultipart => "ObjectCreated:CompleteMultipartUpload",
            Self::RemovedDelete => "ObjectRemoved:Delete",
            Self::RemovedMarker => "ObjectRemoved:DeleteMarkerCreated",
            Self::TaggingPut => "ObjectTagging:Put",
            Self::TaggingDelete => "ObjectTagging:Delete",
            Self::AclPut => "ObjectAcl:Put",
            Self::ExpirationDelete => "LifecycleExpiration:Delete",
            Self::ExpirationMarker => "LifecycleExpiration:DeleteMarkerCreated",
        }
    }
}

/// Whether an event's pattern, `s3:ObjectCreated:*` say, is about an event named without its `s3:`.
pub fn pattern_matches(pattern: &str, event: &str) -> bool {
    let Some(pattern) = pattern.strip_prefix("s3:") else { return false };
    match pattern.strip_suffix('*') {
        Some(group) if group.ends_with(':') => event.starts_with(group),
        _ => pattern == event,
    }
}

/// How a command came about, beyond what its leaf says: for its events, and kept until they are told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// What the command does not say itself.
    pub cause: Cause,
    /// Who asked, as S3's `principalId`.
    pub principal: String,
    /// The address that the request came from; empty if there was none.
    pub source_ip: String,
}

/// What made a version or took it away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The operation that the command is named after.
    #[default]
    Request,
    /// A browser's form.
    Form,
    /// A copy.
    Copy,
    /// A lifecycle rule.
    Lifecycle,
}

/// Everything that a bucket tells, and whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifications {
    /// In the order of the document.
    pub rules: Vec<NotificationRule>,
}

/// Which events go to one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationRule {
    /// Its id; messages carry it.
    pub id: String,
    /// Which element of the document it came from.
    pub destination: Destination,
    /// The target as the document names it.
    pub arn: String,
    /// The target as the server names it: 1 to 64 letters, digits, `-`, `_` and `.`.
    pub target: String,
    /// Patterns, as [`pattern_matches`] reads them.
    pub events: Vec<String>,
    /// What the key must begin with.
    pub prefix: Option<String>,
    /// What the key must end with.
    pub suffix: Option<String>,
}

/// The kinds of target that S3 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Destination {
    /// `TopicConfiguration`.
    Topic,
    /// `QueueConfiguration`.
    Queue,
    /// `CloudFunctionConfiguration`.
    Function,
}

impl NotificationRule {
    /// Whether an event on a key is to be told by this rule.
    pub fn is_about(&self, event: EventName, key: &str) -> bool {
        self.events.iter().any(|pattern| pattern_matches(pattern, event.as_str()))
            && self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_str()))
            && self.suffix.as_ref().is_none_or(|suffix| key.ends_with(suffix.as_str()))
    }
}

/// One event that waits to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// What happened.
    pub event: EventName,
    /// Unix time in microseconds, of the command.
    pub time_us: u64,
    /// The S3 request id.
    pub request_id: String,
    /// How it came about.
    pub origin: Origin,
    /// Id of the rule that it is told by.
    pub rule_id: String,
    /// The bucket's name.
    pub bucket: String,
    /// Its owner's canonical id.
    pub bucket_owner: String,
    /// The object; empty in a test event.
    pub key: String,
    /// Plaintext bytes, where there is an object now.
    pub size_bytes: Option<u64>,
    /// Without quotes, where there is an object now.
    pub etag: Option<String>,
    /// Which version, where the bucket has or had versioning.
    pub version_id: Option<VersionId>,
}

/// Where an event stands in the queue of its target: later events have higher places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventPlace {
    /// The log entry of the change.
    pub index: u64,
    /// The rule's number in its bucket.
    pub number: u16,
}

impl fmt::Display for EventPlace {
    /// As S3's `sequencer`: hexadecimal, of one length, ordered as the places are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}{:02X}", self.index, self.number)
    }
}

/// What waits for one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQueue {
    /// Its name.
    pub target: String,
    /// Events that wait.
    pub rows: u64,
    /// Bytes of their rows.
    pub bytes: u64,
    /// Events that were dropped because the queue was full, or discarded, since it is there.
    pub dropped: u64,
}

/// Whether a target's name is one.
pub fn is_target_name(name: &str) -> bool {
    (1..=TARGET_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_one_event_or_a_group() {
        let about = |pattern: &str| -> Vec<&str> {
            EventName::ALL.iter().map(|event| event.as_str()).filter(|event| pattern_matches(pattern, event)).collect()
        };
        assert_eq!(about("s3:ObjectCreated:*").len(), 4);
        assert_eq!(about("s3:ObjectRemoved:Delete"), ["ObjectRemoved:Delete"]);
        assert_eq!(about("s3:LifecycleExpiration:*").len(), 2);
        for none in ["ObjectCreated:*", "s3:*", "s3:Object*", "s3:", "", "s3:ObjectCreated"] {
            assert!(about(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn sequencers_are_ordered_as_the_places_are() {
        let place = |index, number| EventPlace { index, number };
        let places = [place(1, 0), place(1, 99), place(2, 0), place(0x1_0000, 3), place(u64::MAX, 99)];
        assert!(places.windows(2).all(|pair| pair[0] < pair[1] && pair[0].to_string() < pair[1].to_string()));
        assert!(places.iter().all(|place| place.to_string().len() == 18));
    }
}
