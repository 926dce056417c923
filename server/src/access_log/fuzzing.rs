//! What `routing` holds of the access log: a line stays one line of as many fields, and shows nothing that signs.

use http::{HeaderMap, Method, header};

use super::line::Fields;
use super::scrub;
use crate::s3::request::Query;

/// The fields of a line; AWS has 26 since 2023.
const FIELDS: usize = 26;

/// Writes the line of a request.
pub(crate) fn line(method: &Method, target: &str, headers: &HeaderMap) {
    let text = |name: header::HeaderName| {
        let value = headers.get(name).map(http::HeaderValue::as_bytes).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    let scrubbed = scrub::target(target);
    shows_no_secret(&scrubbed);
    let uri = format!("{method} {scrubbed} HTTP/1.1");
    let (referer, user_agent, host) = (text(header::REFERER), text(header::USER_AGENT), text(header::HOST));
    let line = Fields {
        bucket_owner: "owner",
        bucket: "bucket",
        time_us: target.len() as u64 * 1_000_000_007,
        requester: &user_agent,
        key: Some(&referer),
        request_uri: &uri,
        status: 200,
        referer: &referer,
        user_agent: &user_agent,
        version_id: &host,
        host: &host,
        ..Fields::default()
    }
    .line();
    let (inside, end) = line.split_at(line.len() - 1);
    assert!(end == "\n" && inside.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{line:?}");
    assert_eq!(fields(inside), FIELDS, "{line:?}");
}

/// Counts fields: between spaces, but for what is in quotes or brackets.
fn fields(line: &str) -> usize {
    let (mut count, mut closing) = (1, None);
    for c in line.chars() {
        match (closing, c) {
            (Some(end), c) if c == end => closing = None,
            (None, '"') => closing = Some('"'),
            // The time; in any other field a bracket is one of its characters.
            (None, '[') if count == 3 => closing = Some(']'),
            (None, ' ') => count += 1,
            _ => {}
        }
    }
    assert!(closing.is_none(), "a quote is left open: {line:?}");
    count
}

fn shows_no_secret(scrubbed: &str) {
    let Some((_, query)) = scrubbed.split_once('?') else { return };
    let Ok(query) = Query::parse(query) else { return };
    for (name, value) in query.iter() {
        if name.eq_ignore_ascii_case("X-Amz-Signature") || name.eq_ignore_ascii_case("X-Amz-Security-Token") {
            assert!(value.is_empty() || value == "REDACTED", "{scrubbed}");
        }
    }
}
