//! CORS at the edge: preflights, which carry no signature, and the headers of every other answer.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::app::App;
use crate::logging::chain;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::names::BucketName;
use crate::s3::response::{S3Response, empty};
use crate::s3::router::Target;
use crate::s3::settings::cors::{Allowed, CorsRules};
use crate::s3::table::Scope;

/// What browsers and caches must not mix up.
const VARY: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// The headers of a request that CORS is about, kept from before the request is consumed.
#[derive(Debug, Default)]
pub(super) struct Crossing {
    origin: Option<String>,
    /// What `Access-Control-Request-Method` names, else the request's own.
    method: String,
}

impl Crossing {
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        // A preflight says itself what it allows, or that it allows nothing.
        let origin = text(headers, &header::ORIGIN).filter(|_| *method != Method::OPTIONS);
        let asked = text(headers, &header::ACCESS_CONTROL_REQUEST_METHOD).unwrap_or(method.as_str());
        Self { origin: origin.map(str::to_owned), method: asked.to_owned() }
    }

    /// Adds what the bucket's rules say of an answer, errors included. Nothing without rules.
    pub(super) fn mark(&self, app: &App, bucket: Option<&BucketName>, headers: &mut HeaderMap) {
        let rules = match bucket.map(|bucket| rules(app, bucket)) {
            None | Some(Ok(None)) => return,
            Some(Ok(Some(rules))) => rules,
            Some(Err(error)) => {
                // The answer itself is right; a browser will not show it to a script.
                tracing::warn!(error = chain(&error), "the CORS rules of a bucket cannot be read");
                return;
            }
        };
        headers.append(header::VARY, HeaderValue::from_static(VARY));
        let Some(origin) = &self.origin else { return };
        if let Some(allowed) = rules.find(origin, &self.method, &[]) {
            write(&allowed, origin, headers);
        }
    }
}

/// Answers `OPTIONS`: what a browser asks before it sends a script's request.
///
/// # Errors
/// `BadRequest` without an origin or a method, `AccessForbidden` unless a rule allows all that is asked.
pub(super) fn preflight(app: &App, target: &Target, headers: &HeaderMap) -> Result<S3Response, S3Error> {
    let origin = text(headers, &header::ORIGIN).ok_or_else(|| {
        S3Error::new(S3ErrorCode::BadRequest, "Insufficient information. Origin request header needed.")
    })?;
    let method = text(headers, &header::ACCESS_CONTROL_REQUEST_METHOD);
    let method =
        method.filter(|method| ["GET", "PUT", "HEAD", "POST", "DELETE"].contains(method)).ok_or_else(|| {
            let named = method.unwrap_or("null");
            S3Error::new(S3ErrorCode::BadRequest, format!("Invalid Access-Control-Request-Method: {named}"))
        })?;
    let asked = text(headers, &header::ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or("");
    let asked: Vec<&str> = asked.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let forbidden = |message: &'static str| {
        let kind = if target.scope() == Scope::Object { "OBJECT" } else { "BUCKET" };
        S3Error::new(S3ErrorCode::AccessForbidden, message)
            .with_detail("Method", method)
            .with_detail("ResourceType", kind)
    };
    let Some(bucket) = &target.bucket else {
        return Err(forbidden("CORSResponse: CORS is not enabled for this bucket."));
    };
    if app.engine.bucket(bucket.as_str())?.is_none() {
        return Err(forbidden("CORSResponse: Bucket not found"));
    }
    let rules = rules(app, bucket)?.ok_or_else(|| forbidden("CORSResponse: CORS is not enabled for this bucket."))?;
    let allowed = rules.find(origin, method, &asked).ok_or_else(|| {
        forbidden(
            "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, \
             request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted \
             by the resource's CORS spec.",
        )
    })?;
    let mut response = empty(StatusCode::OK);
    write(&allowed, origin, response.headers_mut());
    if !asked.is_empty() {
        insert(response.headers_mut(), header::ACCESS_CONTROL_ALLOW_HEADERS, &asked.join(", ").to_ascii_lowercase());
    }
    Ok(response)
}

fn rules(app: &App, bucket: &BucketName) -> Result<Option<Arc<CorsRules>>, S3Error> {
    match app.engine.bucket(bucket.as_str())? {
        None => Ok(None),
        Some(row) => app.bucket_config::<CorsRules>(row.id),
    }
}

fn write(allowed: &Allowed<'_>, origin: &str, headers: &mut HeaderMap) {
    if allowed.any_origin {
        insert(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    } else {
        insert(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        insert(headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    insert(headers, header::ACCESS_CONTROL_ALLOW_METHODS, &allowed.methods());
    if let Some(exposed) = allowed.expose() {
        insert(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &exposed);
    }
    if let Some(seconds) = allowed.max_age_seconds() {
        insert(headers, header::ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
    }
}

/// A text that no header can carry was never matched by a rule; it is left out all the same.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty())
}
