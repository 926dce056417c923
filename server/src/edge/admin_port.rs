//! The admin port: health and metrics for anyone who reaches it, the admin API for the token's holder,
//! IAM and STS for who signs.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode};
use hyper::Request;
use hyper::body::Incoming;

use crate::app::App;
use crate::query_api::{self, Origin};
use crate::s3::names::RequestId;
use crate::s3::request::Transport;
use crate::s3::response::ResponseBody;

/// Answers one request on the admin port.
pub(super) async fn answer(app: Arc<App>, peer: IpAddr, request: Request<Incoming>) -> Response<ResponseBody> {
    if is_signed_call(&request) {
        let request_id = RequestId::from_random(app.random_bytes());
        return query_api::handle(&app, Origin { peer, transport: Transport::Plain }, request, request_id, || {}).await;
    }
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        "/health/live" if reading => text(StatusCode::OK, "live\n"),
        "/health/ready" if reading => ready(&app),
        "/metrics" if reading => metrics(&app),
        path if path.starts_with("/chartrier/") => {
            let authorization = request.headers().get(header::AUTHORIZATION);
            if authorization.is_some_and(|value| app.admin_token.matches_authorization(value.as_bytes())) {
                crate::admin::handle(&app, request).await
            } else {
                let mut response = json(
                    StatusCode::UNAUTHORIZED,
                    r#"{"error":{"code":"Unauthorized","message":"the admin token is missing or wrong"}}"#,
                );
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
        }
        _ => text(StatusCode::NOT_FOUND, "no such page\n"),
    }
}

/// A call of IAM or STS: signed, and not with the admin token.
fn is_signed_call(request: &Request<Incoming>) -> bool {
    let signed = request.headers().get(header::AUTHORIZATION);
    request.uri().path() == "/" && signed.is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256"))
}

fn ready(app: &App) -> Response<ResponseBody> {
    match app.engine.status().poisoned {
        None => text(StatusCode::OK, "ready\n"),
        Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("no write is taken until a restart: {why}\n")),
    }
}

fn metrics(app: &App) -> Response<ResponseBody> {
    let mut page = app.metrics.render();
    page.push_str(&crate::metrics::render_engine(&app.engine));
    page.push_str(&crate::metrics::render_events(app));
    let mut response = text(StatusCode::OK, page);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

fn text(status: StatusCode, page: impl Into<bytes::Bytes>) -> Response<ResponseBody> {
    with_type(status, page, HeaderValue::from_static("text/plain; charset=utf-8"))
}

fn json(status: StatusCode, page: &'static str) -> Response<ResponseBody> {
    with_type(status, page, HeaderValue::from_static("application/json"))
}

fn with_type(status: StatusCode, page: impl Into<bytes::Bytes>, content_type: HeaderValue) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(page));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
