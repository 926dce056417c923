//! One request on the S3 port, from its head to the head of its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chartrier_storage::namespace::command::{Attempt, Op};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body::Body as _;
use hyper::Request;
use hyper::body::Incoming;

use super::connection::Carrier;
use super::cors::{self, Crossing};
use super::heads::refuse_doubled;
use super::wiped::ReadPace;
use crate::access_log::{Entry, RequestFacts};
use crate::app::App;
use crate::auth::{RequestHead, authenticate};
use crate::lifecycle;
use crate::logging::chain;
use crate::query_api::{self, Origin};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::names::{BucketName, RequestId};
use crate::s3::request::{BodyLimits, Caller, Decoding, RequestBody, S3Request, SseHeaders};
use crate::s3::response::{S3Response, empty, error_document, xml};
use crate::s3::router::Target;
use crate::s3::sse::refuse_key_in_query;
use crate::s3::table::{Operation, Scope, dispatch, route};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const ID_2: HeaderName = HeaderName::from_static("x-amz-id-2");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const SERVER: HeaderValue = HeaderValue::from_static("Chartrier");

/// Answers one request. Never fails: what goes wrong is an answer too.
pub(super) async fn answer(
    app: Arc<App>,
    carrier: Carrier,
    pace: Arc<ReadPace>,
    request: Request<Incoming>,
) -> S3Response {
    let start = Instant::now();
    let request_id = RequestId::from_random(app.random_bytes());
    app.metrics.requests_in_flight.inc();
    let _in_flight = InFlight(&app);
    let head_only = request.method() == Method::HEAD;
    let mut seen = Seen::default();
    let has_key = SseHeaders::are_in(request.headers());
    if !has_key {
        pace.body_without_key(request.body().size_hint().exact());
    }
    let crossing = Crossing::of(request.method(), request.headers());
    let unread = Arc::new(AtomicBool::new(!request.body().is_end_stream()));
    let answered = if let Err(error) = refuse_doubled(request.headers()) {
        Err(error)
    } else if request.method() == Method::OPTIONS {
        preflight(&app, carrier, &request, request_id, &mut seen)
    } else if query_api::is_call(&request, &app.config.domains) {
        call(&app, carrier, request, request_id, &unread).await
    } else {
        match admit(&app, carrier, request, request_id, &unread, &mut seen) {
            Ok(request) => run(&app, request, &mut seen).await,
            Err(error) => Err(error),
        }
    };
    let error_code = answered.as_ref().err().map_or("", |error| error.code.as_str());
    let mut response = answered.unwrap_or_else(|error| refuse(error, request_id, &seen, head_only));
    crossing.mark(&app, seen.bucket.as_ref(), response.headers_mut());
    let id = HeaderValue::from_str(request_id.as_str()).expect("a request id is hexadecimal");
    let headers = response.headers_mut();
    headers.insert(ID_2, id.clone());
    headers.insert(REQUEST_ID, id);
    headers.insert(header::SERVER, SERVER);
    // A connection with an unread body ends after this answer; a client that is not told so would
    // send its next request into it.
    if (has_key && pace.key_came()) || unread.load(Ordering::Acquire) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(entry) = seen.log.take() {
        response = entry.answered(&app, seen.operation, error_code, head_only, response);
    }
    pace.answered();
    let bytes_out = if head_only { 0 } else { response.body().size_hint().exact().unwrap_or(0) };
    app.metrics.answered(seen.operation, response.status().as_u16(), start.elapsed(), bytes_out);
    tracing::debug!(target: "chartrier::access", %request_id, operation = seen.name(), status = response.status().as_u16(), "answered");
    response
}

struct InFlight<'a>(&'a App);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.metrics.requests_in_flight.dec();
    }
}

/// What is known of a request for its log line, its metrics and its error body. Nothing secret.
#[derive(Default)]
struct Seen {
    operation: Option<Operation>,
    /// The decoded path.
    resource: Option<String>,
    /// The bucket named, whether it exists or not.
    bucket: Option<BucketName>,
    /// What its access log will say, if the bucket has one.
    log: Option<Box<Entry>>,
}

impl Seen {
    fn name(&self) -> &'static str {
        self.operation.map_or("-", Operation::name)
    }
}

/// A call of IAM or STS, which SDKs send to the host that they know.
async fn call(
    app: &Arc<App>,
    carrier: Carrier,
    request: Request<Incoming>,
    request_id: RequestId,
    unread: &AtomicBool,
) -> Result<S3Response, S3Error> {
    refuse_plain(carrier)?;
    app.rate.admit_source(carrier.peer, app.now_us())?;
    let origin = Origin { peer: carrier.peer, transport: carrier.transport };
    Ok(query_api::handle(app, origin, request, request_id, || unread.store(false, Ordering::Release)).await)
}

/// Authenticates and routes: all that happens before the body may be polled.
fn admit(
    app: &Arc<App>,
    carrier: Carrier,
    request: Request<Incoming>,
    request_id: RequestId,
    unread: &Arc<AtomicBool>,
    seen: &mut Seen,
) -> Result<S3Request, S3Error> {
    refuse_plain(carrier)?;
    app.rate.admit_source(carrier.peer, app.now_us())?;
    let (parts, incoming) = request.into_parts();
    let mut headers = parts.headers;
    let target = parts.uri.path_and_query().ok_or_else(|| S3Error::of(S3ErrorCode::InvalidUri))?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let mut named = Target::parse(target, host, &app.config.domains)?;
    seen.bucket.clone_from(&named.bucket);
    seen.log = begin_log(app, carrier, (&parts.method, target.as_str(), &headers), &named, request_id);
    refuse_key_in_query(&named.query)?;
    let head = RequestHead {
        method: &parts.method,
        path: target.path(),
        query: &named.query,
        headers: &headers,
        body_digest: None,
    };
    // A form's claim is in its body: nothing is known of who sent it until its fields are read.
    let authenticated = if is_form(&head, named.scope()) { None } else { Some(authenticate(head, app.auth_rules())?) };
    if let Some(authenticated) = authenticated.as_ref().filter(|found| !found.caller.is_anonymous()) {
        app.rate.admit_key(&authenticated.caller.rate_key(), app.now_us())?;
    }
    // From here on the header map holds no key and no credential.
    let sse_c = SseHeaders::take_from(&mut headers);
    headers.remove(header::AUTHORIZATION);
    headers.remove(SECURITY_TOKEN);
    named.query.remove("X-Amz-Security-Token");
    seen.resource = Some(resource(&named));
    let operation = route(&parts.method, named.scope(), &named.query, &|name| headers.contains_key(name))
        .ok_or_else(|| S3Error::of(S3ErrorCode::MethodNotAllowed))?;
    seen.operation = Some(operation);
    // Nothing announced is not nothing sent: what stores a body wants to know its length.
    let content_length = headers.get(header::CONTENT_LENGTH).and(incoming.size_hint().exact());
    let (mut caller, (decoding, decoded_length)) = match authenticated {
        None => (Caller::of_unread_form(), (Decoding::Identity, content_length)),
        Some(authenticated) => {
            let decoding = authenticated.decoding(&headers, content_length)?;
            (authenticated.caller, decoding)
        }
    };
    caller.peer = Some(carrier.peer);
    if let Some(entry) = &mut seen.log {
        entry.authenticated(&caller, decoded_length);
    }
    strip_aws_chunked(&mut headers)?;
    let limits = BodyLimits {
        stall_timeout: Duration::from_secs(app.config.limits.stall_timeout_s),
        bytes_per_second_min: app.config.limits.upload_bytes_per_second_min,
    };
    Ok(S3Request {
        operation,
        caller,
        bucket: named.bucket,
        key: named.key,
        query: named.query,
        headers,
        sse_c,
        transport: carrier.transport,
        tls_version: carrier.tls_version,
        cipher_suite: carrier.cipher_suite,
        peer: carrier.peer,
        request_id,
        body: RequestBody::new(incoming, decoding, decoded_length, limits).clearing_at_end(Arc::clone(unread)),
    })
}

/// Begins the line of the access log, if the bucket has one.
fn begin_log(
    app: &App,
    carrier: Carrier,
    (method, target, headers): (&Method, &str, &HeaderMap),
    named: &Target,
    request_id: RequestId,
) -> Option<Box<Entry>> {
    let facts = RequestFacts {
        method,
        target,
        headers,
        bucket: named.bucket.as_ref()?.as_str(),
        key: named.key.as_ref().map(|key| key.as_str()),
        version_id: named.query.get("versionId"),
        peer: carrier.peer,
        tls_version: carrier.tls_version,
        cipher_suite: carrier.cipher_suite,
        request_id,
    };
    Entry::begin(app, &facts)
}

/// A POST to a bucket with a form and without any other claim: a browser's upload.
pub(super) fn is_form(head: &RequestHead<'_>, scope: Scope) -> bool {
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = content_type.split(';').next().unwrap_or("").trim();
    head.method == Method::POST
        && scope == Scope::Bucket
        && kind.eq_ignore_ascii_case("multipart/form-data")
        && !head.headers.contains_key(header::AUTHORIZATION)
        && head.query.iter().next().is_none()
}

fn refuse_plain(carrier: Carrier) -> Result<(), S3Error> {
    if carrier.allowed {
        return Ok(());
    }
    Err(S3Error::new(S3ErrorCode::AccessDenied, "This address is served over TLS only: use https."))
}

/// What a browser asks before a script's request: without a signature, and without a body.
fn preflight(
    app: &App,
    carrier: Carrier,
    request: &Request<Incoming>,
    request_id: RequestId,
    seen: &mut Seen,
) -> Result<S3Response, S3Error> {
    refuse_plain(carrier)?;
    app.rate.admit_source(carrier.peer, app.now_us())?;
    let target = request.uri().path_and_query().ok_or_else(|| S3Error::of(S3ErrorCode::InvalidUri))?;
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let named = Target::parse(target, host, &app.config.domains)?;
    seen.operation = route(request.method(), named.scope(), &named.query, &|_| false);
    seen.resource = Some(resource(&named));
    seen.bucket.clone_from(&named.bucket);
    let head = (request.method(), target.as_str(), request.headers());
    seen.log = begin_log(app, carrier, head, &named, request_id);
    cors::preflight(app, &named, request.headers())
}

pub(super) fn resource(named: &Target) -> String {
    let bucket = named.bucket.as_ref().map_or("", |bucket| bucket.as_str());
    match &named.key {
        Some(key) => format!("/{bucket}/{key}"),
        None => format!("/{bucket}"),
    }
}

/// Takes `aws-chunked` out of `Content-Encoding`: it describes the request, not the object.
pub(super) fn strip_aws_chunked(headers: &mut HeaderMap) -> Result<(), S3Error> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(()) };
    let text = value.to_str().map_err(|_| S3Error::invalid_argument("Not visible ASCII.", "Content-Encoding", ""))?;
    if !text.contains("aws-chunked") {
        return Ok(());
    }
    let kept: Vec<&str> = text.split(',').filter(|coding| !matches!(coding.trim(), "" | "aws-chunked")).collect();
    if kept.is_empty() {
        headers.remove(header::CONTENT_ENCODING);
    } else {
        let kept = HeaderValue::from_str(kept.join(",").trim()).map_err(S3Error::internal)?;
        headers.insert(header::CONTENT_ENCODING, kept);
    }
    Ok(())
}

async fn run(app: &Arc<App>, request: S3Request, seen: &mut Seen) -> Result<S3Response, S3Error> {
    let refusal = Refusable::of(&request);
    if let Some(len) = request.body.decoded_length().filter(|&len| len > 0) {
        app.metrics.received(request.operation, len);
    }
    seen.operation = Some(request.operation);
    let announced = Announced::of(&request);
    // Nothing reaches a handler that has not passed here, built or not.
    let mut answered = match app.authorise(&request) {
        Ok(()) => {
            let conceals = app.conceals_absence(&request)?;
            dispatch(app, request).await.map_err(|error| if conceals { concealed(error) } else { error })
        }
        Err(error) => Err(error),
    };
    if let (Ok(response), Some(announced)) = (&mut answered, announced)
        && (response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED)
    {
        lifecycle::announce(app, &announced.bucket, &announced.key, response.headers_mut())?;
    }
    let denied = answered.as_ref().is_err_and(|error| error.code == S3ErrorCode::AccessDenied && !error.journalled);
    if let Some(refusal) = refusal.filter(|_| denied) {
        refusal.record(app).await;
    }
    answered
}

/// To callers who may not list a bucket, what is not in it is refused as what is.
fn concealed(error: S3Error) -> S3Error {
    match error.code {
        S3ErrorCode::NoSuchKey | S3ErrorCode::NoSuchVersion => S3Error::of(S3ErrorCode::AccessDenied),
        _ => error,
    }
}

/// The object of a request whose answer says when it expires.
struct Announced {
    bucket: String,
    key: String,
}

impl Announced {
    fn of(request: &S3Request) -> Option<Self> {
        match request.operation {
            Operation::GetObject | Operation::HeadObject if request.query.contains("versionId") => None,
            Operation::GetObject
            | Operation::HeadObject
            | Operation::PutObject
            | Operation::CopyObject
            | Operation::CompleteMultipartUpload => {
                let (bucket, key) = (request.bucket.as_ref()?, request.key.as_ref()?);
                Some(Self { bucket: bucket.as_str().to_owned(), key: key.as_str().to_owned() })
            }
            _ => None,
        }
    }
}

/// A change of one object, whose refusal leaves a trace in the journal if the object exists.
struct Refusable {
    attempted: Attempt,
    caller: Caller,
    request_id: RequestId,
    bucket: String,
    key: String,
}

impl Refusable {
    fn of(request: &S3Request) -> Option<Self> {
        let attempted = match request.operation {
            Operation::DeleteObject => Attempt::Delete,
            Operation::PutObject
            | Operation::CopyObject
            | Operation::CreateMultipartUpload
            | Operation::CompleteMultipartUpload => Attempt::Modify,
            _ => return None,
        };
        // Strangers could fill the journal; what they are refused is in the log.
        if request.caller.is_anonymous() {
            return None;
        }
        Some(Self {
            attempted,
            caller: request.caller.clone(),
            request_id: request.request_id,
            bucket: request.bucket.as_ref()?.to_string(),
            key: request.key.as_ref()?.to_string(),
        })
    }

    async fn record(self, app: &App) {
        let Ok(Some(bucket)) = app.engine.bucket(&self.bucket) else { return };
        let op = Op::RecordRefusal {
            bucket: bucket.id,
            key: self.key,
            attempted: self.attempted,
            reason: S3ErrorCode::AccessDenied.as_str().to_owned(),
        };
        if let Err(error) = app.propose(&self.caller, self.request_id, op).await {
            tracing::error!(request_id = %self.request_id, error = chain(&error), "a refusal was not journalled");
        }
    }
}

/// The answer to an error; its cause goes to the log and nowhere else.
fn refuse(mut error: S3Error, request_id: RequestId, seen: &Seen, head_only: bool) -> S3Response {
    let status = error.status();
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(%request_id, operation = seen.name(), error = chain(&error), "internal error");
    } else if status.is_server_error() && error.source.is_some() {
        tracing::warn!(%request_id, operation = seen.name(), error = chain(&error), "refused");
    } else {
        tracing::debug!(%request_id, operation = seen.name(), code = error.code.as_str(), "refused");
    }
    if error.resource.is_none() {
        error.resource.clone_from(&seen.resource);
    }
    let headers = std::mem::take(&mut error.headers);
    let mut response = if head_only || status == StatusCode::NOT_MODIFIED {
        empty(status)
    } else {
        xml(status, error_document(&error, request_id.as_str()))
    };
    if matches!(error.code, S3ErrorCode::SlowDown | S3ErrorCode::ServiceUnavailable) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response.headers_mut().extend(headers);
    response
}
