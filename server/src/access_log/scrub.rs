//! A request target as the log may show it: whoever reads the log must not be able to use it.

/// Parameters whose values sign, name a key or open a session, in lower case.
const SECRET: [&str; 7] = [
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "signature",
    "awsaccesskeyid",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key",
];

/// The target with the values of secret parameters left out, whatever the case or encoding of their names.
pub(super) fn target(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let mut text = format!("{path}?");
    for (at, pair) in query.split('&').enumerate() {
        if at > 0 {
            text.push('&');
        }
        match pair.split_once('=') {
            Some((name, _)) if is_secret(name) => {
                text.push_str(name);
                text.push_str("=REDACTED");
            }
            _ => text.push_str(pair),
        }
    }
    text
}

fn is_secret(name: &str) -> bool {
    let plain = percent_encoding::percent_decode_str(name).decode_utf8_lossy().to_ascii_lowercase();
    SECRET.contains(&plain.as_str()) || plain.contains("customer-key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_is_left_out_and_the_rest_stays() {
        assert_eq!(target("/b/k"), "/b/k");
        assert_eq!(target("/b?list-type=2&prefix=a%20b"), "/b?list-type=2&prefix=a%20b");
        let presigned = "/b/k?X-Amz-Date=20260101T000000Z&X-Amz-Signature=abc&X-Amz-Credential=AK%2Ffr&x=y";
        let shown = "/b/k?X-Amz-Date=20260101T000000Z&X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&x=y";
        assert_eq!(target(presigned), shown);
        for secret in ["X%2DAmz-Signature=abc", "X-AMZ-SECURITY-TOKEN=abc", "Signature=abc"] {
            assert!(!target(&format!("/b/k?a=b&{secret}")).contains("abc"), "{secret}");
        }
    }
}
