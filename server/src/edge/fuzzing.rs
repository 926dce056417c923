//! Fuzz target: where a request leads, and what is said of it in the log.

use http::{HeaderMap, Method, Request, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::cors::Crossing;
use super::heads::refuse_doubled;
use super::service::{is_form, resource, strip_aws_chunked};
use crate::access_log::fuzzing::line;
use crate::auth::RequestHead;
use crate::fuzzing::Head;
use crate::query_api::is_call;
use crate::s3::ops::fuzzing::parameters;
use crate::s3::request::Query;
use crate::s3::router::{Target, names_a_bucket};
use crate::s3::table::{Scope, route};

/// A request's head.
pub fn routing(bytes: &[u8]) {
    let Some(head) = Head::read(bytes) else { return };
    let Head { method, target, headers } = &head;
    let _ = refuse_doubled(headers);
    let _ = Crossing::of(method, headers);
    line(method, target.as_str(), headers);
    let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
    for domains in [vec![], vec!["localhost".to_owned(), "s3.example.org".to_owned(), "example.org".to_owned()]] {
        let mut request = Request::new(());
        *request.method_mut() = method.clone();
        *request.uri_mut() = Uri::from(target.clone());
        request.headers_mut().clone_from(headers);
        let call = is_call(&request, &domains);
        let Ok(named) = Target::parse(target, host, &domains) else { continue };
        assert!(!call || (named.bucket.is_none() && named.key.is_none()), "a call names a bucket");
        if host.is_some_and(|host| names_a_bucket(host, &domains)) {
            assert!(named.bucket.is_some());
        }
        again(&named, target.query().unwrap_or_default());
        judged(&named, method, headers);
    }
    if let Ok(query) = Query::parse(target.query().unwrap_or_default()) {
        parameters(&query);
    }
    let mut stripped = headers.clone();
    if strip_aws_chunked(&mut stripped).is_ok() {
        let once = stripped.clone();
        assert!(strip_aws_chunked(&mut stripped).is_ok() && stripped == once, "what is stripped is gone");
    }
}

/// A target that is written as a path is the same target.
fn again(named: &Target, query: &str) {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let bucket = named.bucket.as_ref().map(|bucket| bucket.as_str()).unwrap_or_default();
    let key = named.key.as_ref().map(|key| key.as_str()).unwrap_or_default();
    let path = format!("/{bucket}/{}?{query}", encode(key));
    let path = if bucket.is_empty() { format!("/?{query}") } else { path };
    let again = Target::parse(&path.parse().expect("an encoded path"), None, &[]).expect("a target written anew");
    assert!(again.bucket == named.bucket && again.key == named.key && again.query == named.query, "{path}");
    assert_eq!(resource(named), format!("/{bucket}{}{key}", if named.key.is_some() { "/" } else { "" }));
}

fn judged(named: &Target, method: &Method, headers: &HeaderMap) {
    let head = RequestHead { method, path: "/", query: &named.query, headers, body_digest: None };
    let form = is_form(&head, named.scope());
    assert!(!form || named.scope() == Scope::Bucket);
    if let Some(operation) = route(method, named.scope(), &named.query, &|name| headers.contains_key(name)) {
        assert!(!operation.name().is_empty() && operation.spec().scope == named.scope());
    }
}
