//! Events as S3 writes them: JSON, version 2.1 of the structure and 2.3 for the newer events.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>

use bytes::Bytes;
use chartrier_journal::TIME_US_MAX;
use chartrier_storage::namespace::notification::{Cause, EventName, EventPlace, EventRow};
use serde::Serialize;

use crate::s3::versioning::version_text;

/// Who removes by lifecycle rules, and from where, in AWS's words.
const SERVICE: &str = "s3.amazonaws.com";

/// A message of test: the only one that is not of records.
pub(super) fn test(row: &EventRow) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct TestEvent<'r> {
        service: &'static str,
        event: &'static str,
        time: String,
        bucket: &'r str,
        request_id: &'r str,
        host_id: &'r str,
    }
    json(&TestEvent {
        service: "Amazon S3",
        event: "s3:TestEvent",
        time: event_time(row.time_us),
        bucket: &row.bucket,
        request_id: &row.request_id,
        host_id: &row.request_id,
    })
}

/// A message of events, in order.
pub(super) fn records<'r>(region: &str, events: impl IntoIterator<Item = &'r (EventPlace, EventRow)>) -> Bytes {
    #[derive(Serialize)]
    struct Message<'r> {
        #[serde(rename = "Records")]
        records: Vec<Record<'r>>,
    }
    json(&Message { records: events.into_iter().map(|(place, row)| Record::of(region, *place, row)).collect() })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'r> {
    event_version: &'static str,
    event_source: &'static str,
    aws_region: String,
    event_time: String,
    event_name: &'static str,
    user_identity: Identity,
    request_parameters: RequestParameters,
    response_elements: ResponseElements<'r>,
    s3: S3<'r>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    principal_id: String,
}

#[derive(Serialize)]
struct RequestParameters {
    #[serde(rename = "sourceIPAddress")]
    source_ip: String,
}

#[derive(Serialize)]
struct ResponseElements<'r> {
    #[serde(rename = "x-amz-request-id")]
    request_id: &'r str,
    #[serde(rename = "x-amz-id-2")]
    id_2: &'r str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct S3<'r> {
    s3_schema_version: &'static str,
    configuration_id: &'r str,
    bucket: Bucket<'r>,
    object: Object<'r>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bucket<'r> {
    name: &'r str,
    owner_identity: Identity,
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'r> {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e_tag: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    sequencer: String,
}

impl<'r> Record<'r> {
    fn of(region: &str, place: EventPlace, row: &'r EventRow) -> Self {
        let by_lifecycle = row.origin.cause == Cause::Lifecycle;
        let known = |text: &str| match text {
            _ if by_lifecycle => SERVICE.to_owned(),
            "" => "-".to_owned(),
            text => text.to_owned(),
        };
        Self {
            event_version: version(row.event),
            event_source: "aws:s3",
            aws_region: region.to_owned(),
            event_time: event_time(row.time_us),
            event_name: row.event.as_str(),
            user_identity: Identity { principal_id: known(&row.origin.principal) },
            request_parameters: RequestParameters { source_ip: known(&row.origin.source_ip) },
            response_elements: ResponseElements { request_id: &row.request_id, id_2: &row.request_id },
            s3: S3 {
                s3_schema_version: "1.0",
                configuration_id: &row.rule_id,
                bucket: Bucket {
                    name: &row.bucket,
                    owner_identity: Identity { principal_id: row.bucket_owner.clone() },
                    arn: format!("arn:aws:s3:::{}", row.bucket),
                },
                object: Object {
                    key: encoded(&row.key),
                    size: row.size_bytes,
                    e_tag: row.etag.as_deref(),
                    version_id: row.version_id.map(version_text),
                    sequencer: place.to_string(),
                },
            },
        }
    }
}

/// RFC 3339 in milliseconds.
fn event_time(time_us: u64) -> String {
    let text = chartrier_journal::format_time(time_us.min(TIME_US_MAX)).unwrap_or_default();
    format!("{}Z", text.get(..MILLISECONDS_END).unwrap_or_default())
}

/// Where the milliseconds end in the journal's form of a time.
const MILLISECONDS_END: usize = "2026-01-01T00:00:00.000".len();

fn version(event: EventName) -> &'static str {
    match event {
        EventName::TaggingPut
        | EventName::TaggingDelete
        | EventName::AclPut
        | EventName::ExpirationDelete
        | EventName::ExpirationMarker => "2.3",
        _ => "2.1",
    }
}

/// A key as events carry it: encoded as a form's field is, but for the slashes.
fn encoded(key: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' | b'/' => text.push(char::from(byte)),
            b' ' => text.push('+'),
            _ => write!(text, "%{byte:02X}").expect("writing to a String does not fail"),
        }
    }
    text
}

fn json(message: &impl Serialize) -> Bytes {
    serde_json::to_vec(message).expect("texts and numbers are JSON").into()
}

#[cfg(test)]
mod tests {
    use chartrier_storage::ids::VersionId;
    use chartrier_storage::namespace::notification::Origin;

    use super::*;

    fn row(event: EventName) -> EventRow {
        let origin = Origin { cause: Cause::Request, principal: "AWS:AIDA".into(), source_ip: "192.0.2.7".into() };
        EventRow {
            event,
            time_us: 1_770_000_000_123_456,
            request_id: "REQ".into(),
            origin,
            rule_id: "rule".into(),
            bucket: "b".into(),
            bucket_owner: "owner".into(),
            key: "a dir/\u{e9}+.txt".into(),
            size_bytes: Some(7),
            etag: Some("e".into()),
            version_id: None,
        }
    }

    #[test]
    fn a_record_has_the_fields_of_s3_in_their_order() {
        let place = EventPlace { index: 0x55, number: 1 };
        let message = records("fr", &[(place, row(EventName::CreatedPut))]);
        let expected = concat!(
            r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"fr","#,
            r#""eventTime":"2026-02-02T02:40:00.123Z","eventName":"ObjectCreated:Put","#,
            r#""userIdentity":{"principalId":"AWS:AIDA"},"requestParameters":{"sourceIPAddress":"192.0.2.7"},"#,
            r#""responseElements":{"x-amz-request-id":"REQ","x-amz-id-2":"REQ"},"#,
            r#""s3":{"s3SchemaVersion":"1.0","configurationId":"rule","#,
            r#""bucket":{"name":"b","ownerIdentity":{"principalId":"owner"},"arn":"arn:aws:s3:::b"},"#,
            r#""object":{"key":"a+dir/%C3%A9%2B.txt","size":7,"eTag":"e","sequencer":"000000000000005501"}}}]}"#
        );
        assert_eq!(std::str::from_utf8(&message).unwrap(), expected);
    }

    #[test]
    fn what_an_event_does_not_have_is_left_out() {
        let mut row = row(EventName::ExpirationMarker);
        (row.size_bytes, row.etag, row.version_id) = (None, None, Some(VersionId::NULL));
        row.origin.cause = Cause::Lifecycle;
        let message: serde_json::Value =
            serde_json::from_slice(&records("fr", &[(EventPlace::default(), row)])).unwrap();
        let record = &message["Records"][0];
        assert_eq!(record["eventVersion"], "2.3");
        assert_eq!(record["userIdentity"]["principalId"], SERVICE);
        assert_eq!(record["s3"]["object"]["versionId"], "null");
        assert!(record["s3"]["object"].get("size").is_none() && record["s3"]["object"].get("eTag").is_none());
    }

    #[test]
    fn a_test_event_is_no_record() {
        let message: serde_json::Value = serde_json::from_slice(&test(&row(EventName::Test))).unwrap();
        assert_eq!((&message["Event"], &message["Bucket"]), (&"s3:TestEvent".into(), &"b".into()));
        assert_eq!(message.as_object().unwrap().len(), 6);
    }
}
