//! The rules of SigV4, in the order in which they are checked.

use std::sync::Arc;

use chartrier_crypto::OperatorKey;
use http::{HeaderMap, Method};
use subtle::ConstantTimeEq as _;

use super::canonical::{CanonicalRequest, canonical_query, re_encoded_path};
use super::chunked::{ChunkSigner, ChunkedDecoder};
use super::claim::Claim;
use super::payload::Payload;
use super::signing_keys::{SigningKey, SigningKeys};
use super::timestamp::{Timestamp, rfc3339};
use super::trailers::DeclaredTrailers;
use crate::identity::{Identities, Identity};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::{AuthKind, Caller, Decoding, Query};

/// How far a client's clock may be from ours.
pub const SKEW_SECONDS_MAX: i64 = 15 * 60;
/// How long a presigned request may live: seven days.
pub const PRESIGNED_SECONDS_MAX: u32 = 604_800;

/// The head of a request, as it came, SSE-C headers included.
#[derive(Clone, Copy)]
pub struct RequestHead<'r> {
    /// The method.
    pub method: &'r Method,
    /// The path as sent, not decoded.
    pub path: &'r str,
    /// The decoded query.
    pub query: &'r Query,
    /// All headers.
    pub headers: &'r HeaderMap,
    /// SHA-256 of the body in hexadecimal, where it was read before and its header is optional.
    pub body_digest: Option<&'r str>,
}

/// What signatures are checked against.
#[derive(Clone, Copy)]
pub struct AuthRules<'r> {
    /// Who exists.
    pub identities: &'r Identities,
    /// Opens the tokens of sessions.
    pub operator_key: &'r OperatorKey,
    /// The cache of derived keys.
    pub signing_keys: &'r SigningKeys,
    /// Our region; error answers name it.
    pub region: &'r str,
    /// Other regions that a scope may name.
    pub region_aliases: &'r [String],
    /// Services that a scope may name.
    pub services: &'r [&'r str],
    /// Unix time.
    pub now_seconds: i64,
}

/// The proof that a request's head was signed by `caller`, or by nobody; only [`authenticate`] makes one.
pub struct Authenticated {
    /// Who signed.
    pub caller: Caller,
    /// What was signed of the body.
    pub payload: Payload,
    /// What the chunks of a body are chained to; `None` if nobody signed.
    signing: Option<Signing>,
}

struct Signing {
    key: Arc<SigningKey>,
    timestamp: Timestamp,
    scope: String,
    signature: String,
}

/// Checks who sent a request. One that is not signed at all is anonymous: what it may do is for
/// policies to say.
///
/// # Errors
/// What S3 answers to each failing.
pub fn authenticate(head: RequestHead<'_>, rules: AuthRules<'_>) -> Result<Authenticated, S3Error> {
    let Some(claim) = Claim::parse(head.headers, head.query)? else { return anonymous(head) };
    check_time(&claim, rules.now_seconds)?;
    check_scope(&claim, rules)?;
    let identity = rules.identity(claim.access_key_id, security_token(&claim, head)?)?;
    if claim.scope_date != claim.timestamp.date() {
        return Err(S3Error::new(malformed(&claim), "The date of the credential scope is not that of X-Amz-Date."));
    }
    check_signed_headers(&claim, head.headers)?;
    let payload_hash = payload_hash(&claim, head)?;
    let payload = Payload::parse(payload_hash)?;
    let scope = claim.scope();
    let key = rules.signing_keys.key(
        claim.access_key_id,
        identity.secret(),
        &scope,
        claim.timestamp.system_time(),
        claim.region,
        claim.service,
    );
    check_signature(&claim, head, payload_hash, &scope, &key)?;
    Ok(Authenticated {
        caller: Caller { for_us_east_1: claim.region == "us-east-1", ..caller(&identity, claim.kind) },
        payload,
        signing: Some(Signing { key, timestamp: claim.timestamp, scope, signature: claim.signature.to_owned() }),
    })
}

impl AuthRules<'_> {
    /// Who has an access key: one that lasts, or one of a session, which comes with its token.
    ///
    /// # Errors
    /// `InvalidAccessKeyId`, `InvalidToken`, `ExpiredToken`.
    pub(super) fn identity(&self, access_key_id: &str, token: Option<&str>) -> Result<Arc<Identity>, S3Error> {
        let Some(token) = token else {
            let found = self.identities.find(access_key_id, self.now_seconds);
            return found.ok_or_else(|| {
                S3Error::of(S3ErrorCode::InvalidAccessKeyId).with_detail("AWSAccessKeyId", access_key_id)
            });
        };
        self.identities.of_session(self.operator_key, access_key_id, token, self.now_seconds)
    }
}

/// The session token of a request, from the place where its signature is.
///
/// A header is among the signed headers, a parameter in the signed query; one in the other place is
/// nobody's will, and two are none.
fn security_token<'r>(claim: &Claim<'_>, head: RequestHead<'r>) -> Result<Option<&'r str>, S3Error> {
    let invalid = || S3Error::of(S3ErrorCode::InvalidToken);
    let mut in_headers = head.headers.get_all("x-amz-security-token").iter();
    let mut in_query = head.query.iter().filter(|(name, _)| *name == "X-Amz-Security-Token").map(|(_, value)| value);
    let tokens = (in_headers.next(), in_query.next());
    if in_headers.next().is_some() || in_query.next().is_some() {
        return Err(invalid());
    }
    match (claim.kind, tokens) {
        (_, (None, None)) => Ok(None),
        (AuthKind::SigV4Presigned, (None, Some(token))) => Ok(Some(token)),
        // Signed as any other header: check_signed_headers sees to it.
        (_, (Some(token), None)) => token.to_str().map(Some).map_err(|_| invalid()),
        _ => Err(invalid()),
    }
}

/// A request that nobody signed. Its body may have a digest and trailers, but no signatures.
fn anonymous(head: RequestHead<'_>) -> Result<Authenticated, S3Error> {
    let chunked = head.headers.get(http::header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let payload = match head.headers.get("x-amz-content-sha256") {
        Some(value) => Payload::parse(value.to_str().unwrap_or_default())?,
        // SDKs that are told not to sign still frame what they stream.
        None if chunked.is_some_and(|list| list.split(',').any(|coding| coding.trim() == "aws-chunked")) => {
            Payload::Chunked { signed: false, trailer: true }
        }
        None => Payload::Unsigned,
    };
    if matches!(payload, Payload::Chunked { signed: true, .. }) {
        return Err(S3Error::new(
            S3ErrorCode::InvalidRequest,
            "The payload is said to be signed, but the request is not.",
        ));
    }
    Ok(Authenticated { caller: Caller::anonymous(), payload, signing: None })
}

impl Authenticated {
    /// How to read the body, and the plaintext length that the headers declare.
    ///
    /// `content_length` is what HTTP's framing says, if it says anything.
    ///
    /// # Errors
    /// `MissingContentLength` for aws-chunked without `x-amz-decoded-content-length`; `InvalidRequest`
    /// for trailers that are declared without the framing for them, or that S3 does not have.
    pub fn decoding(
        &self,
        headers: &HeaderMap,
        content_length: Option<u64>,
    ) -> Result<(Decoding, Option<u64>), S3Error> {
        let trailers = DeclaredTrailers::parse(headers)?;
        let Payload::Chunked { signed, trailer } = self.payload else {
            if !trailers.is_empty() {
                return Err(S3Error::new(S3ErrorCode::InvalidRequest, "x-amz-trailer needs an aws-chunked payload."));
            }
            let decoding = match self.payload {
                Payload::Sha256(expected) => Decoding::hashed(expected),
                _ => Decoding::Identity,
            };
            return Ok((decoding, content_length));
        };
        if !trailer && !trailers.is_empty() {
            return Err(S3Error::new(
                S3ErrorCode::InvalidRequest,
                "x-amz-trailer needs one of the payload types with a trailer.",
            ));
        }
        let declared = headers
            .get("x-amz-decoded-content-length")
            .and_then(|value| value.to_str().ok())
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| S3Error::of(S3ErrorCode::MissingContentLength))?;
        let signer = self.signing.as_ref().filter(|_| signed).map(|signing| {
            let (key, timestamp) = (Arc::clone(&signing.key), signing.timestamp.as_str());
            ChunkSigner::new(key, timestamp, &signing.scope, signing.signature.clone())
        });
        Ok((
            Decoding::Chunked(Box::new(ChunkedDecoder::new(signer, trailer.then_some(trailers), declared))),
            Some(declared),
        ))
    }
}

pub(super) fn caller(identity: &Arc<Identity>, auth_kind: AuthKind) -> Caller {
    Caller {
        user_id: Arc::clone(&identity.user_id),
        name: Arc::clone(&identity.name),
        display_name: Arc::clone(&identity.display_name),
        root: identity.root,
        access_key_id: Arc::clone(&identity.access_key_id),
        auth_kind,
        for_us_east_1: false,
        standing: Arc::clone(&identity.standing),
        peer: None,
    }
}

/// What a claim that contradicts itself or this server is called.
fn malformed(claim: &Claim<'_>) -> S3ErrorCode {
    match claim.kind {
        AuthKind::SigV4Presigned => S3ErrorCode::AuthorizationQueryParametersError,
        _ => S3ErrorCode::AuthorizationHeaderMalformed,
    }
}

fn check_scope(claim: &Claim<'_>, rules: AuthRules<'_>) -> Result<(), S3Error> {
    let code = malformed(claim);
    if claim.region != rules.region && !rules.region_aliases.iter().any(|alias| alias == claim.region) {
        let message = format!(
            "The authorization header is malformed; the region '{}' is wrong; expecting '{}'",
            claim.region, rules.region
        );
        return Err(S3Error::new(code, message).with_detail("Region", rules.region));
    }
    if !rules.services.contains(&claim.service) {
        return Err(S3Error::new(code, "The service of the credential scope is wrong; expecting 's3'."));
    }
    Ok(())
}

fn check_time(claim: &Claim<'_>, now: i64) -> Result<(), S3Error> {
    let signed_at = claim.timestamp.unix_seconds();
    let Some(expires) = claim.expires_seconds else {
        if (now - signed_at).abs() <= SKEW_SECONDS_MAX {
            return Ok(());
        }
        return Err(S3Error::of(S3ErrorCode::RequestTimeTooSkewed)
            .with_detail("RequestTime", claim.timestamp.as_str())
            .with_detail("ServerTime", rfc3339(now))
            .with_detail("MaxAllowedSkewMilliseconds", (SKEW_SECONDS_MAX * 1000).to_string()));
    };
    if expires > PRESIGNED_SECONDS_MAX {
        return Err(S3Error::new(
            S3ErrorCode::AccessDenied,
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than \
             604800 seconds",
        ));
    }
    if signed_at - now > SKEW_SECONDS_MAX {
        return Err(S3Error::new(S3ErrorCode::AccessDenied, "Request is not yet valid"));
    }
    let end = signed_at + i64::from(expires);
    if now > end || expires == 0 {
        return Err(S3Error::new(S3ErrorCode::AccessDenied, "Request has expired")
            .with_detail("X-Amz-Expires", expires.to_string())
            .with_detail("Expires", rfc3339(end))
            .with_detail("ServerTime", rfc3339(now)));
    }
    Ok(())
}

/// Every `x-amz-*` header must be signed: what an upload link's holder adds is not the signer's will.
fn check_signed_headers(claim: &Claim<'_>, headers: &HeaderMap) -> Result<(), S3Error> {
    // The canonical request binds the first; the others only say how the body is framed, and a
    // framing that lies fails on its own.
    const EXEMPT: [&str; 3] = ["x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-trailer"];
    let must_be_signed = |name: &str| name.starts_with("x-amz-") || name.starts_with("x-chartrier-");
    let mut unsigned: Vec<&str> = headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(|name| must_be_signed(name) && !EXEMPT.contains(name) && !claim.signs(name))
        .collect();
    if !claim.signs("host") {
        unsigned.push("host");
    }
    if unsigned.is_empty() {
        return Ok(());
    }
    unsigned.sort_unstable();
    Err(S3Error::new(S3ErrorCode::AccessDenied, "There were headers present in the request which were not signed")
        .with_detail("HeadersNotSigned", unsigned.join(", ")))
}

pub(super) fn payload_hash<'r>(claim: &Claim<'_>, head: RequestHead<'r>) -> Result<&'r str, S3Error> {
    let mut values = head.headers.get_all("x-amz-content-sha256").iter();
    let header = values.next();
    if values.next().is_some() {
        return Err(S3Error::invalid_argument("The header is sent twice.", "x-amz-content-sha256", ""));
    }
    if let (None, Some(digest)) = (header, head.body_digest) {
        return Ok(digest);
    }
    match (header, claim.kind) {
        (Some(value), _) => {
            value.to_str().map_err(|_| S3Error::invalid_argument("Not a digest.", "x-amz-content-sha256", ""))
        }
        (None, AuthKind::SigV4Presigned) => Ok(head.query.get("X-Amz-Content-Sha256").unwrap_or("UNSIGNED-PAYLOAD")),
        (None, AuthKind::SigV4 | AuthKind::PostPolicy | AuthKind::Anonymous | AuthKind::Internal) => Err(S3Error::new(
            S3ErrorCode::InvalidRequest,
            "Missing required header for this request: x-amz-content-sha256",
        )),
    }
}

fn check_signature(
    claim: &Claim<'_>,
    head: RequestHead<'_>,
    payload_hash: &str,
    scope: &str,
    key: &SigningKey,
) -> Result<(), S3Error> {
    let query = canonical_query(head.query);
    let holds = |path: &str| {
        let request = CanonicalRequest {
            method: head.method,
            path,
            query: &query,
            headers: head.headers,
            signed_headers: claim.signed_headers,
            payload_hash,
        };
        let string_to_sign =
            format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", claim.timestamp.as_str(), hex::encode(request.digest()));
        bool::from(key.sign(string_to_sign.as_bytes()).as_bytes().ct_eq(claim.signature.as_bytes()))
    };
    if holds(head.path) || re_encoded_path(head.path).is_some_and(|path| holds(&path)) {
        return Ok(());
    }
    Err(S3Error::of(S3ErrorCode::SignatureDoesNotMatch)
        .with_detail("AWSAccessKeyId", claim.access_key_id)
        .with_detail("SignatureProvided", claim.signature))
}
