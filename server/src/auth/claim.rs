//! What a request claims: parsed, not yet believed.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::timestamp::Timestamp;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::{AuthKind, Query};

/// A parsed claim of SigV4.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim<'r> {
    pub(super) kind: AuthKind,
    pub(super) access_key_id: &'r str,
    /// `YYYYMMDD` of the credential scope.
    pub(super) scope_date: &'r str,
    pub(super) region: &'r str,
    pub(super) service: &'r str,
    /// The list as sent, lower case, separated by `;`.
    pub(super) signed_headers: &'r str,
    /// As sent; 64 hexadecimal digits once it is verified.
    pub(super) signature: &'r str,
    pub(super) timestamp: Timestamp,
    /// Of a presigned request.
    pub(super) expires_seconds: Option<u32>,
}

impl<'r> Claim<'r> {
    /// Reads the claim of a request; `None` if it makes none.
    ///
    /// # Errors
    /// For a claim that is malformed, doubled or of another signature version.
    pub(super) fn parse(headers: &'r HeaderMap, query: &'r Query) -> Result<Option<Self>, S3Error> {
        let presigned = query.contains("X-Amz-Algorithm") || query.contains("X-Amz-Signature");
        let presigned_v2 = query.contains("AWSAccessKeyId") || query.contains("Signature");
        // An empty header claims nothing, as on AWS.
        let mut in_header = headers.get_all(AUTHORIZATION).iter().filter(|value| !value.is_empty());
        match (in_header.next(), presigned, presigned_v2) {
            (None, false, false) => Ok(None),
            (None, true, false) => Self::from_query(query).map(Some),
            (None, _, true) => Err(unsupported_mechanism()),
            (Some(value), false, false) if in_header.next().is_none() => {
                let text = value.to_str().map_err(|_| header_malformed("The authorization header is not ASCII."))?;
                Self::from_header(text, headers).map(Some)
            }
            (Some(_), _, _) => Err(S3Error::new(
                S3ErrorCode::InvalidArgument,
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
                 parameter or the Authorization header should be specified",
            )),
        }
    }

    fn from_header(text: &'r str, headers: &'r HeaderMap) -> Result<Self, S3Error> {
        let (algorithm, rest) = text.split_once(' ').unwrap_or((text, ""));
        check_header_algorithm(algorithm, rest)?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in rest.split(',') {
            let (name, value) = field.trim().split_once('=').unwrap_or((field, ""));
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(header_malformed("The authorization header has an unknown component.")),
            };
            if slot.replace(value).is_some() {
                return Err(header_malformed("The authorization header has a component twice."));
            }
        }
        let missing = || header_malformed("The authorization header requires Credential, SignedHeaders and Signature.");
        let scope = Scope::parse(credential.ok_or_else(missing)?)
            .ok_or_else(|| header_malformed("The authorization header is malformed; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."))?;
        // Text that cannot be a signature is one that does not match.
        let signature = signature.filter(|text| !text.is_empty()).ok_or_else(missing)?;
        Ok(Self {
            kind: AuthKind::SigV4,
            access_key_id: scope.access_key_id,
            scope_date: scope.date,
            region: scope.region,
            service: scope.service,
            signed_headers: signed_headers.filter(|list| !list.is_empty()).ok_or_else(missing)?,
            signature,
            timestamp: header_timestamp(headers)?,
            expires_seconds: None,
        })
    }

    fn from_query(query: &'r Query) -> Result<Self, S3Error> {
        const NAMES: [&str; 6] = [
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-SignedHeaders",
            "X-Amz-Signature",
        ];
        for name in NAMES {
            if query.iter().filter(|(n, _)| *n == name).count() != 1 {
                return Err(query_malformed(format!(
                    "Query-string authentication version 4 requires the {name} parameter once."
                )));
            }
        }
        let value = |name| query.get(name).unwrap_or("");
        check_algorithm(value("X-Amz-Algorithm"))?;
        let scope = Scope::parse(value("X-Amz-Credential"))
            .ok_or_else(|| query_malformed("Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\"."))?;
        let timestamp = Timestamp::parse(value("X-Amz-Date"))
            .ok_or_else(|| query_malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""))?;
        let expires = value("X-Amz-Expires");
        if expires.strip_prefix('-').is_some_and(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())) {
            return Err(S3Error::new(S3ErrorCode::AccessDenied, "X-Amz-Expires must be non-negative"));
        }
        let expires_seconds = Some(expires)
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse::<u64>().ok())
            .ok_or_else(|| query_malformed("X-Amz-Expires should be a number"))?;
        Ok(Self {
            kind: AuthKind::SigV4Presigned,
            access_key_id: scope.access_key_id,
            scope_date: scope.date,
            region: scope.region,
            service: scope.service,
            signed_headers: value("X-Amz-SignedHeaders"),
            signature: Some(value("X-Amz-Signature"))
                .filter(|s| is_hex_256(s))
                .ok_or_else(|| query_malformed("X-Amz-Signature is not a signature."))?,
            timestamp,
            // Anything that does not fit is over the cap anyway.
            expires_seconds: Some(u32::try_from(expires_seconds).unwrap_or(u32::MAX)),
        })
    }

    /// Whether a header, by its lower-case name, is covered by the signature.
    pub(super) fn signs(&self, name: &str) -> bool {
        self.signed_headers.split(';').any(|signed| signed == name)
    }

    /// The scope as the string to sign names it.
    pub(super) fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.scope_date, self.region, self.service)
    }
}

/// The service that a request claims to be signed for: not yet believed, and good for routing only.
pub fn claimed_service<'r>(headers: &'r HeaderMap, query: &'r Query) -> Option<&'r str> {
    let credential = match headers.get(AUTHORIZATION) {
        Some(value) => value.to_str().ok()?.split_once("Credential=")?.1.split([',', ' ']).next()?,
        None => query.get("X-Amz-Credential")?,
    };
    Some(Scope::parse(credential)?.service)
}

/// `AKID/YYYYMMDD/REGION/SERVICE/aws4_request`.
pub(super) struct Scope<'r> {
    pub(super) access_key_id: &'r str,
    pub(super) date: &'r str,
    pub(super) region: &'r str,
    pub(super) service: &'r str,
}

impl<'r> Scope<'r> {
    pub(super) fn parse(credential: &'r str) -> Option<Self> {
        // From the right, because an access key id may hold a slash.
        let mut parts = credential.rsplitn(5, '/');
        let (end, service, region) = (parts.next()?, parts.next()?, parts.next()?);
        let (date, access_key_id) = (parts.next()?, parts.next()?);
        let date_is_date = date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit());
        (end == "aws4_request" && date_is_date && !access_key_id.is_empty()).then_some(Self {
            access_key_id,
            date,
            region,
            service,
        })
    }
}

fn header_timestamp(headers: &HeaderMap) -> Result<Timestamp, S3Error> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let timestamp = match text("x-amz-date") {
        Some(date) => Timestamp::parse(date),
        // Either form is good here; AWS's page shows this one in ISO 8601 too.
        None => text("date").and_then(|date| Timestamp::parse(date).or_else(|| Timestamp::parse_http_date(date))),
    };
    timestamp.ok_or_else(|| {
        S3Error::new(S3ErrorCode::AccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
    })
}

fn check_algorithm(algorithm: &str) -> Result<(), S3Error> {
    match algorithm {
        "AWS4-HMAC-SHA256" => Ok(()),
        "AWS4-ECDSA-P256-SHA256" => Err(S3Error::not_implemented("Signature Version 4A")),
        _ => Err(unsupported_mechanism()),
    }
}

/// The words of AWS for what is no SigV4 in an `Authorization` header. The value is not repeated: it
/// may be somebody's token.
fn check_header_algorithm(algorithm: &str, rest: &str) -> Result<(), S3Error> {
    let invalid = |message| Err(S3Error::new(S3ErrorCode::InvalidArgument, message));
    match algorithm {
        "AWS" if !rest.contains(':') => {
            invalid("AWS authorization header is invalid.  Expected AwsAccessKeyId:signature")
        }
        "AWS" | "AWS4-HMAC-SHA256" | "AWS4-ECDSA-P256-SHA256" => check_algorithm(algorithm),
        _ => invalid("Unsupported Authorization Type"),
    }
}

fn unsupported_mechanism() -> S3Error {
    S3Error::new(
        S3ErrorCode::InvalidRequest,
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )
}

fn header_malformed(message: &'static str) -> S3Error {
    S3Error::new(S3ErrorCode::AuthorizationHeaderMalformed, message)
}

fn query_malformed(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::new(S3ErrorCode::AuthorizationQueryParametersError, message)
}

fn is_hex_256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn header_claim(authorization: &str) -> Result<(), S3ErrorCode> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-date", HeaderValue::from_static("20261122T044547Z"));
        headers.insert(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        Claim::parse(&headers, &Query::default()).map(|claim| assert!(claim.is_some())).map_err(|error| error.code)
    }

    #[test]
    fn authorization_headers_are_read_strictly() {
        let signature = "0".repeat(64);
        let good = format!(
            "AWS4-HMAC-SHA256 Credential=A/K/20261122/fr/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        assert_eq!(header_claim(&good), Ok(()));
        assert_eq!(header_claim(&good.replace(", ", ",")), Ok(()));
        let malformed = Err(S3ErrorCode::AuthorizationHeaderMalformed);
        assert_eq!(header_claim(&good.replace("aws4_request", "aws4")), malformed);
        assert_eq!(header_claim(&good.replace(&format!("Signature={signature}"), "Signature=")), malformed);
        assert_eq!(header_claim(&good.replace("SignedHeaders=host;x-amz-date", "SignedHeaders=")), malformed);
        assert_eq!(header_claim(&format!("{good},Signature={signature}")), malformed);
        assert_eq!(header_claim("AWS4-HMAC-SHA256"), malformed);
        assert_eq!(header_claim("AWS AKID:c2ln"), Err(S3ErrorCode::InvalidRequest));
        assert_eq!(header_claim("AWS HAHAHA"), Err(S3ErrorCode::InvalidArgument));
        assert_eq!(header_claim("Bearer x"), Err(S3ErrorCode::InvalidArgument));
        assert_eq!(header_claim("AWS4-ECDSA-P256-SHA256 Credential=x"), Err(S3ErrorCode::NotImplemented));
    }

    #[test]
    fn the_date_header_has_two_forms() {
        let dated = |date: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("date", HeaderValue::from_str(date).unwrap());
            header_timestamp(&headers)
        };
        let iso = dated("20261122T044547Z").unwrap_or_else(|e| panic!("{e}"));
        let http = dated("Sun, 22 Nov 2026 04:45:47 GMT").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(iso.as_str(), http.as_str());
        assert!(dated("yesterday").is_err());
    }

    #[test]
    fn presigned_queries_are_read_strictly() {
        let good = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20261122%2Ffr%2Fs3%2Faws4_request\
             &X-Amz-Date=20261122T044547Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature={}",
            "a".repeat(64)
        );
        let claim = |text: &str| {
            let query = Query::parse(text).unwrap();
            Claim::parse(&HeaderMap::new(), &query)
                .map(|claim| claim.and_then(|claim| claim.expires_seconds))
                .map_err(|error| error.code)
        };
        assert_eq!(claim(&good), Ok(Some(60)));
        let malformed = Err(S3ErrorCode::AuthorizationQueryParametersError);
        assert_eq!(claim(&good.replace("&X-Amz-Expires=60", "")), malformed);
        assert_eq!(claim(&good.replace("Expires=60", "Expires=-1")), Err(S3ErrorCode::AccessDenied));
        assert_eq!(claim(&good.replace("Expires=60", "Expires=x")), malformed);
        assert_eq!(claim(&format!("{good}&X-Amz-Expires=9")), malformed);
        assert_eq!(claim(&good.replace("044547Z", "044547")), malformed);
        assert_eq!(claim("AWSAccessKeyId=a&Signature=b&Expires=1"), Err(S3ErrorCode::InvalidRequest));
        assert_eq!(claim("prefix=a"), Ok(None));
    }

    #[test]
    fn an_empty_header_claims_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static(""));
        assert_eq!(Claim::parse(&headers, &Query::default()).unwrap(), None);
    }

    #[test]
    fn two_mechanisms_at_once_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("AWS4-HMAC-SHA256 x"));
        let query = Query::parse("X-Amz-Algorithm=AWS4-HMAC-SHA256").unwrap();
        assert_eq!(Claim::parse(&headers, &query).unwrap_err().code, S3ErrorCode::InvalidArgument);
    }
}
