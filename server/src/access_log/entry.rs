//! What is known of a request that is logged, from its head to the last byte of its answer.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use chartrier_storage::namespace::rows::BucketRow;
use http::{HeaderMap, Method, header};
use http_body::{Body, Frame, SizeHint};

use super::identity::{Proved, cipher_name, tls_name};
use super::line::Fields;
use super::{operation, scrub};
use crate::app::App;
use crate::s3::names::RequestId;
use crate::s3::request::Caller;
use crate::s3::response::{CutConnection, ResponseBody, S3Response};
use crate::s3::settings::logging::Logging;
use crate::s3::table::Operation;

/// What the edge sees of a request before it knows who sent it.
pub(crate) struct RequestFacts<'r> {
    pub(crate) method: &'r Method,
    /// Path and query as they were sent.
    pub(crate) target: &'r str,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) bucket: &'r str,
    pub(crate) key: Option<&'r str>,
    pub(crate) version_id: Option<&'r str>,
    pub(crate) peer: IpAddr,
    pub(crate) tls_version: Option<&'static str>,
    pub(crate) cipher_suite: Option<&'static str>,
    pub(crate) request_id: RequestId,
}

/// Who posted a form, and under which key: known only once its body has been read. An extension of the answer.
#[derive(Clone)]
pub(crate) struct Posted {
    pub(crate) caller: Caller,
    pub(crate) key: String,
}

/// Objects that a DeleteObjects was about, and the code of what each was refused with. An extension of the answer.
#[derive(Clone)]
pub(crate) struct BatchDeleted(pub(crate) Vec<(String, Option<String>, Option<&'static str>)>);

/// A request to a bucket that is logged.
pub(crate) struct Entry {
    source: Arc<BucketRow>,
    rule: Arc<Logging>,
    began: Instant,
    time_us: u64,
    method: Method,
    request_uri: String,
    remote_ip: String,
    requester: String,
    request_id: RequestId,
    key: Option<String>,
    version_id: String,
    referer: String,
    user_agent: String,
    host: String,
    tls_version: Option<&'static str>,
    cipher_suite: Option<&'static str>,
    signature_version: &'static str,
    authentication_type: &'static str,
    /// Plaintext bytes of a body that is stored.
    stored_bytes: Option<u64>,
}

impl Entry {
    /// Begins the entry of a request, if its bucket is logged. What cannot be read is not logged: no
    /// request fails for its log.
    pub(crate) fn begin(app: &App, facts: &RequestFacts<'_>) -> Option<Box<Self>> {
        let source = app.engine.bucket(facts.bucket).ok()??;
        let rule = app.bucket_config::<Logging>(source.id).ok()??;
        let text = |name: header::HeaderName| {
            let value = facts.headers.get(name).map(http::HeaderValue::as_bytes).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        Some(Box::new(Self {
            source: Arc::new(source),
            rule,
            began: Instant::now(),
            time_us: app.now_us(),
            method: facts.method.clone(),
            request_uri: format!("{} {} HTTP/1.1", facts.method, scrub::target(facts.target)),
            remote_ip: facts.peer.to_canonical().to_string(),
            requester: String::new(),
            request_id: facts.request_id,
            key: facts.key.map(str::to_owned),
            version_id: facts.version_id.unwrap_or_default().to_owned(),
            referer: scrub::target(&text(header::REFERER)),
            user_agent: text(header::USER_AGENT),
            host: text(header::HOST),
            tls_version: facts.tls_version,
            cipher_suite: facts.cipher_suite,
            signature_version: "",
            authentication_type: "",
            stored_bytes: None,
        }))
    }

    /// Who sent it, once that is proved, and how long the body is that it brings.
    pub(crate) fn authenticated(&mut self, caller: &Caller, body_bytes: Option<u64>) {
        self.stored_bytes = body_bytes;
        let proved = Proved::of(caller);
        (self.signature_version, self.authentication_type) = (proved.signature_version, proved.authentication_type);
        self.requester = proved.requester;
    }

    /// Follows an answer to its last byte; the line is written then.
    pub(crate) fn answered(
        mut self: Box<Self>,
        app: &Arc<App>,
        operation: Option<Operation>,
        error_code: &'static str,
        head_only: bool,
        response: S3Response,
    ) -> S3Response {
        if let Some(Posted { caller, key }) = response.extensions().get::<Posted>() {
            self.authenticated(caller, None);
            self.key = Some(key.clone());
        }
        let answer = Answer::of(&self, operation, error_code, &response);
        if let Some(BatchDeleted(objects)) = response.extensions().get::<BatchDeleted>() {
            self.write_batch(app, answer.turn_around_ms, objects);
        }
        if head_only || response.body().is_whole() {
            let sent = if head_only { 0 } else { response.body().size_hint().exact().unwrap_or(0) };
            self.write(app, &answer, sent);
            return response;
        }
        let app = Arc::clone(app);
        let log = |body| ResponseBody::boxed(Logged { body, app, ended: Some((self, answer)), sent: 0 });
        response.map(log)
    }

    /// A line for each object of a DeleteObjects: a log without them would miss removals.
    fn write_batch(&self, app: &App, turn_around_ms: u64, objects: &[(String, Option<String>, Option<&'static str>)]) {
        for (key, version_id, error_code) in objects {
            let request_id = self.request_id.as_str();
            let line = Fields {
                bucket_owner: &self.source.owner,
                bucket: &self.source.name,
                time_us: self.time_us,
                remote_ip: &self.remote_ip,
                requester: &self.requester,
                request_id,
                operation: "BATCH.DELETE.OBJECT",
                key: Some(key),
                status: if error_code.is_some() { 403 } else { 204 },
                error_code: error_code.unwrap_or_default(),
                total_ms: Some(turn_around_ms),
                version_id: version_id.as_deref().unwrap_or_default(),
                signature_version: self.signature_version,
                authentication_type: self.authentication_type,
                host: &self.host,
                ..Fields::default()
            };
            app.access_log.add(&self.source, &self.rule, self.time_us, &line.line());
        }
    }

    fn write(&self, app: &App, answer: &Answer, bytes_sent: u64) {
        let ms = |elapsed: std::time::Duration| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let version_id = if answer.version_id.is_empty() { &self.version_id } else { &answer.version_id };
        let tls_version = tls_name(self.tls_version);
        let fields = Fields {
            bucket_owner: &self.source.owner,
            bucket: &self.source.name,
            time_us: self.time_us,
            remote_ip: &self.remote_ip,
            requester: &self.requester,
            request_id: self.request_id.as_str(),
            operation: &answer.operation,
            key: self.key.as_deref(),
            request_uri: &self.request_uri,
            status: answer.status,
            error_code: answer.error_code,
            bytes_sent,
            object_bytes: answer.object_bytes,
            total_ms: Some(ms(self.began.elapsed())),
            turn_around_ms: Some(answer.turn_around_ms),
            referer: &self.referer,
            user_agent: &self.user_agent,
            version_id,
            signature_version: self.signature_version,
            cipher_suite: &cipher_name(self.cipher_suite),
            authentication_type: self.authentication_type,
            host: &self.host,
            tls_version: &tls_version,
        };
        app.access_log.add(&self.source, &self.rule, self.time_us, &fields.line());
    }
}

/// What the head of an answer says.
struct Answer {
    operation: String,
    status: u16,
    error_code: &'static str,
    object_bytes: Option<u64>,
    version_id: String,
    turn_around_ms: u64,
}

impl Answer {
    fn of(entry: &Entry, operation: Option<Operation>, error_code: &'static str, response: &S3Response) -> Self {
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
        let stored = response.status().is_success();
        let object_bytes = match operation {
            _ if !stored => None,
            Some(Operation::GetObject | Operation::HeadObject) => {
                number(header("content-range").and_then(|range| range.rsplit_once('/')).map(|(_, whole)| whole))
                    .or_else(|| number(header("content-length")))
                    .or_else(|| response.body().size_hint().exact())
            }
            Some(Operation::PutObject | Operation::UploadPart) => entry.stored_bytes,
            _ => None,
        };
        Self {
            operation: operation::name(operation, &entry.method, entry.key.is_some()),
            status: response.status().as_u16(),
            error_code,
            object_bytes,
            version_id: header("x-amz-version-id").unwrap_or_default().to_owned(),
            turn_around_ms: u64::try_from(entry.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// A body whose bytes are counted; its end, whatever it is, writes the line.
struct Logged {
    body: ResponseBody,
    app: Arc<App>,
    ended: Option<(Box<Entry>, Answer)>,
    sent: u64,
}

impl Body for Logged {
    type Data = Bytes;
    type Error = CutConnection;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutConnection>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        if let Some((entry, answer)) = self.ended.take() {
            entry.write(&self.app, &answer, self.sent);
        }
    }
}
