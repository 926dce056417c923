//! AWS's query APIs, IAM and STS: a form in, XML out, signed like everything else.
//!
//! ```text
//! POST / (Action=…&Version=…) ──▶ form, whole ──▶ SigV4, scope iam or sts ──▶ IAM │ STS
//! ```
//!
//! S3 has no POST on the service itself, so a form that is posted to `/` of a host that names no bucket
//! is a call of these; a presigned `GET /?Action=…&Version=…` too. The scope of the signature says which
//! API; what nobody signed can only be a web identity that asks STS for a role. STS and IAM are answered
//! on the S3 port, where SDKs expect them, and on the admin port.
//!
//! The form is the request, and its digest is signed: it is read before its signature is checked, whole
//! and within [`BODY_LEN_MAX`].

mod answer;
mod context;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Limited};

pub use self::answer::Api;
pub(crate) use self::answer::{ApiError, success};
pub(crate) use self::context::CallContext;
use crate::app::App;
use crate::auth::{AuthRules, RequestHead, authenticate, claimed_service};
use crate::s3::names::RequestId;
use crate::s3::request::{Caller, Query, Transport};
use crate::s3::response::S3Response;
use crate::s3::router::names_a_bucket;
use crate::{iam, sts};

/// The longest form: a policy and its name, percent-encoded.
pub const BODY_LEN_MAX: usize = 128 << 10;

/// Where a call comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// The other end of the socket.
    pub peer: IpAddr,
    /// How it travelled.
    pub transport: Transport,
}

/// One call, authenticated.
pub struct Call<'r> {
    /// The server.
    pub app: &'r Arc<App>,
    /// Who asks; nobody, for a web identity.
    pub caller: Caller,
    /// Its parameters.
    pub form: Query,
    /// Where it comes from.
    pub origin: Origin,
    /// Names it in its answer and in the journal.
    pub request_id: RequestId,
    /// As sent, for conditions on it.
    pub user_agent: Option<String>,
}

impl Call<'_> {
    /// A parameter that must be there.
    pub(crate) fn parameter(&self, name: &str) -> Result<&str, ApiError> {
        self.form.non_empty(name).ok_or_else(|| ApiError::validation(format!("The parameter {name} is missing.")))
    }
}

/// Whether a request is a call of a query API, and none of S3.
pub fn is_call<B>(request: &Request<B>, domains: &[String]) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if request.uri().path() != "/" || host.is_some_and(|host| names_a_bucket(host, domains)) {
        return false;
    }
    let query = Query::parse(request.uri().query().unwrap_or_default()).unwrap_or_default();
    let named = query.contains("Action") && query.contains("Version");
    match *request.method() {
        Method::GET => named,
        Method::POST => named || is_form(request),
        _ => false,
    }
}

fn is_form<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Answers one call. What goes wrong is an answer too. `whole` is called once the body was read to its end.
pub async fn handle<B>(
    app: &Arc<App>,
    origin: Origin,
    request: Request<B>,
    request_id: RequestId,
    whole: impl FnOnce(),
) -> S3Response
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // Before anything is known the answer is in the words of STS, which unsigned clients speak.
    let mut api = Api::Sts;
    match answer(app, origin, request, (request_id, whole), &mut api).await {
        Ok(response) => response,
        Err(error) => error.into_response(api, request_id.as_str()),
    }
}

async fn answer<B>(
    app: &Arc<App>,
    origin: Origin,
    request: Request<B>,
    (request_id, whole): (RequestId, impl FnOnce()),
    api: &mut Api,
) -> Result<S3Response, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let query = Query::parse(head.uri.query().unwrap_or_default())?;
    if claimed_service(&head.headers, &query) == Some(Api::Iam.service()) {
        *api = Api::Iam;
    }
    let patience = Duration::from_secs(app.config.limits.stall_timeout_s);
    let body = tokio::time::timeout(patience, Limited::new(body, BODY_LEN_MAX).collect()).await;
    let unreadable = || ApiError::validation("The body cannot be read, or is too long.");
    let body = body.map_err(|_| unreadable())?.map_err(|_| unreadable())?.to_bytes();
    whole();
    let digest = hex::encode(chartrier_crypto::sha256(&body));
    if head.headers.get("x-amz-content-sha256").is_some_and(|value| value.as_bytes() != digest.as_bytes()) {
        return Err(ApiError::new(403, "SignatureDoesNotMatch", "x-amz-content-sha256 is not that of the body."));
    }
    let signed = RequestHead {
        method: &head.method,
        path: head.uri.path(),
        query: &query,
        headers: &head.headers,
        body_digest: Some(&digest),
    };
    let rules = AuthRules { services: &[api.service()], ..app.auth_rules() };
    let caller = authenticate(signed, rules)?.caller;
    if !caller.is_anonymous() {
        app.rate.admit_key(&caller.rate_key(), app.now_us())?;
    }
    let text = std::str::from_utf8(&body).map_err(|_| ApiError::validation("The body is not UTF-8."))?;
    let form = Query::parse_form(text)?;
    let form = if form.contains("Action") { form } else { query };
    let user_agent = head.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let call = Call { app, caller, form, origin, request_id, user_agent };
    match *api {
        Api::Iam => iam::answer(&call).await,
        Api::Sts => sts::answer(&call).await,
    }
}
