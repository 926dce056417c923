//! Heads that say two things at once: refused before anything of them is believed.
//!
//! A signature covers a header that comes twice as its values joined by commas, and so it does one line with
//! a comma in it. Whoever reads the first line of two acts on something else than what was signed; and of two
//! hosts, one was meant for somebody else on the way.

use http::HeaderMap;
use http::header::{HOST, HeaderName, RANGE};

use crate::s3::error::S3Error;

/// Refuses a header that comes twice with different values, where one value is all that it has.
///
/// # Errors
/// `InvalidArgument`, which names the header.
pub(super) fn refuse_doubled(headers: &HeaderMap) -> Result<(), S3Error> {
    for name in headers.keys().filter(|name| has_one_value(name)) {
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        if values.any(|other| Some(other) != first) {
            let message = "The header is sent twice, with different values.";
            return Err(S3Error::invalid_argument(message, name.as_str(), ""));
        }
    }
    Ok(())
}

fn has_one_value(name: &HeaderName) -> bool {
    let lists = |start: &str| name.as_str().starts_with(start);
    match name.as_str().strip_prefix("x-amz-") {
        None => [HOST, RANGE].contains(name),
        // What is read as a list, or says itself what two of it are.
        Some("object-attributes" | "optional-object-attributes" | "trailer" | "content-sha256" | "security-token") => {
            false
        }
        Some(_) => !["x-amz-meta-", "x-amz-grant-", "x-amz-checksum-"].into_iter().any(lists),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn refused(lines: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        refuse_doubled(&headers).is_err()
    }

    #[test]
    fn one_value_is_one_value() {
        for name in ["host", "range", "x-amz-copy-source", "x-amz-acl", "x-amz-date", "x-amz-tagging"] {
            assert!(refused(&[(name, "a"), (name, "b")]), "{name}");
            assert!(!refused(&[(name, "a"), (name, "a")]), "{name}");
            assert!(!refused(&[(name, "a, b")]), "{name}");
        }
        for name in ["x-amz-meta-a", "x-amz-object-attributes", "cache-control", "if-none-match", "x-amz-grant-read"] {
            assert!(!refused(&[(name, "a"), (name, "b")]), "{name}");
        }
    }
}
