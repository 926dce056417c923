//! One line: AWS's fields in AWS's order, `-` for what is not known.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use time::OffsetDateTime;

/// The fields, in order. An empty text is unknown.
#[derive(Debug, Default)]
pub(super) struct Fields<'f> {
    pub(super) bucket_owner: &'f str,
    pub(super) bucket: &'f str,
    /// When the request came, Unix time in microseconds.
    pub(super) time_us: u64,
    pub(super) remote_ip: &'f str,
    pub(super) requester: &'f str,
    pub(super) request_id: &'f str,
    pub(super) operation: &'f str,
    /// As it is; encoded here.
    pub(super) key: Option<&'f str>,
    /// Method, target and version, scrubbed.
    pub(super) request_uri: &'f str,
    /// 0 for what no request asked.
    pub(super) status: u16,
    pub(super) error_code: &'f str,
    pub(super) bytes_sent: u64,
    pub(super) object_bytes: Option<u64>,
    pub(super) total_ms: Option<u64>,
    pub(super) turn_around_ms: Option<u64>,
    pub(super) referer: &'f str,
    pub(super) user_agent: &'f str,
    pub(super) version_id: &'f str,
    pub(super) signature_version: &'f str,
    pub(super) cipher_suite: &'f str,
    pub(super) authentication_type: &'f str,
    pub(super) host: &'f str,
    pub(super) tls_version: &'f str,
}

impl Fields<'_> {
    /// The line, with its line feed.
    pub(super) fn line(&self) -> String {
        let mut line = String::with_capacity(512);
        bare(&mut line, self.bucket_owner);
        bare(&mut line, self.bucket);
        time(&mut line, self.time_us);
        bare(&mut line, self.remote_ip);
        bare(&mut line, self.requester);
        bare(&mut line, self.request_id);
        bare(&mut line, self.operation);
        bare(&mut line, &self.key.map(encoded_twice).unwrap_or_default());
        if self.request_uri.is_empty() {
            line.push_str("- ");
        } else {
            quoted(&mut line, self.request_uri);
        }
        number(&mut line, Some(u64::from(self.status)).filter(|&status| status > 0));
        bare(&mut line, self.error_code);
        number(&mut line, Some(self.bytes_sent).filter(|&bytes| bytes > 0));
        number(&mut line, self.object_bytes);
        number(&mut line, self.total_ms);
        number(&mut line, self.turn_around_ms);
        quoted(&mut line, self.referer);
        quoted(&mut line, self.user_agent);
        bare(&mut line, self.version_id);
        // The host id of answers is the request id.
        bare(&mut line, self.request_id);
        bare(&mut line, self.signature_version);
        bare(&mut line, self.cipher_suite);
        bare(&mut line, self.authentication_type);
        bare(&mut line, self.host);
        bare(&mut line, self.tls_version);
        // Access points are not here; whether an ACL was needed is not recorded.
        line.push_str("- -\n");
        line
    }
}

/// Longest referer, user agent, host and request target that a line shows.
const TEXT_BYTES_MAX: usize = 2048;

/// What a key keeps when it is encoded.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'*');

/// As AWS has keys in its logs: encoded, and the encoding encoded.
fn encoded_twice(key: &str) -> String {
    let once = percent_encode(key.as_bytes(), KEY).to_string();
    percent_encode(once.as_bytes(), KEY).to_string()
}

/// A field without quotes: white space and control characters would end it, and a quote would begin one that goes on
/// over the fields behind it, so they are encoded.
fn bare(line: &mut String, text: &str) {
    if text.is_empty() {
        line.push('-');
    }
    safe(line, text, |byte| byte.is_ascii_graphic() && byte != b'"');
    line.push(' ');
}

fn quoted(line: &mut String, text: &str) {
    line.push('"');
    if text.is_empty() {
        line.push('-');
    }
    safe(line, text, |byte| (byte.is_ascii_graphic() || byte == b' ') && byte != b'"');
    line.push_str("\" ");
}

fn safe(line: &mut String, text: &str, plain: impl Fn(u8) -> bool) {
    for byte in text.bytes().take(TEXT_BYTES_MAX) {
        if plain(byte) {
            line.push(char::from(byte));
        } else {
            let _ = write!(line, "%{byte:02X}");
        }
    }
}

fn number(line: &mut String, number: Option<u64>) {
    match number {
        Some(number) => {
            let _ = write!(line, "{number} ");
        }
        None => line.push_str("- "),
    }
}

/// `[06/Feb/2019:00:00:38 +0000] `
fn time(line: &mut String, time_us: u64) {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let when = moment(time_us);
    let month = MONTHS.get(usize::from(u8::from(when.month())) - 1).copied().unwrap_or("-");
    let (hour, minute, second) = when.to_hms();
    let _ = write!(line, "[{:02}/{month}/{:04}:{hour:02}:{minute:02}:{second:02} +0000] ", when.day(), when.year());
}

/// A moment of the log; the epoch for one that no calendar has.
pub(super) fn moment(time_us: u64) -> OffsetDateTime {
    let seconds = i64::try_from(time_us / 1_000_000).unwrap_or(0);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_fields_of_aws_in_their_order() {
        let fields = Fields {
            bucket_owner: "owner",
            bucket: "b",
            time_us: 1_549_411_238_999_999,
            remote_ip: "192.0.2.3",
            requester: "who",
            request_id: "REQ",
            operation: "REST.GET.OBJECT",
            key: Some("a dir/\u{e9}.txt"),
            request_uri: "GET /b/a%20dir/%C3%A9.txt HTTP/1.1",
            status: 206,
            error_code: "",
            bytes_sent: 7,
            object_bytes: Some(100),
            total_ms: Some(9),
            turn_around_ms: Some(8),
            referer: "",
            user_agent: "agent \"quoted\"\n",
            version_id: "v",
            signature_version: "SigV4",
            cipher_suite: "TLS_AES_128_GCM_SHA256",
            authentication_type: "AuthHeader",
            host: "localhost:9000",
            tls_version: "TLSv1.3",
        };
        assert_eq!(
            fields.line(),
            "owner b [06/Feb/2019:00:00:38 +0000] 192.0.2.3 who REQ REST.GET.OBJECT a%2520dir/%25C3%25A9.txt \
             \"GET /b/a%20dir/%C3%A9.txt HTTP/1.1\" 206 - 7 100 9 8 \"-\" \"agent %22quoted%22%0A\" v REQ SigV4 \
             TLS_AES_128_GCM_SHA256 AuthHeader localhost:9000 TLSv1.3 - -\n"
        );
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_nothing_breaks_the_line() {
        let evil = "x\r\ny\" z\u{202e}";
        let line = Fields { host: evil, requester: evil, referer: evil, ..Fields::default() }.line();
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.starts_with("- - [01/Jan/1970:00:00:00 +0000] - x%0D%0Ay%22%20z%E2%80%AE - - - - - - - - - - "));
    }
}
