//! From a request on the admin port to the function that answers it.

use std::sync::Arc;

use bytes::Bytes;
use chartrier_storage::namespace::command::{Applied, Command, CommandContext, Op};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::answer::{AdminError, AdminResponse};
use super::wire::API_PREFIX;
use super::{buckets, drives, events, journal, object_export, reclaim, scrub, status, users};
use crate::app::App;
use crate::s3::names::RequestId;
use crate::s3::request::Query;

/// The longest request body: a name, a display name and an e-mail address.
const BODY_LEN_MAX: usize = 64 << 10;

/// Answers one request of the admin API; every path that is not ours answers 404.
///
/// The token is checked before anything else is looked at.
pub async fn handle<B>(app: &Arc<App>, request: Request<B>) -> AdminResponse
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match answer(app, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn answer<B>(app: &Arc<App>, request: Request<B>) -> Result<AdminResponse, AdminError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    authorise(app, request.headers())?;
    let (head, body) = request.into_parts();
    let path = head.uri.path().strip_prefix(API_PREFIX).ok_or_else(no_such_path)?;
    let query = Query::parse(head.uri.query().unwrap_or_default())?;
    let segments = path.split('/').skip(1).map(decode).collect::<Result<Vec<_>, _>>()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (&head.method, segments.as_slice()) {
        (&Method::GET, ["users"]) => users::list(app),
        (&Method::POST, ["users"]) => users::add(app, read_json(body).await?).await,
        (&Method::DELETE, ["users", name]) => users::remove(app, name).await,
        (&Method::GET, ["users", name]) => users::show(app, name),
        (&Method::POST, ["users", name, "quota"]) => users::set_quota(app, name, read_json(body).await?).await,
        (&Method::POST, ["users", name, "keys"]) => users::add_key(app, name, read_optional(body).await?).await,
        (&Method::POST, ["users", name, "keys", id]) => users::set_key(app, name, id, read_json(body).await?).await,
        (&Method::DELETE, ["users", name, "keys", id]) => users::remove_key(app, name, id).await,
        (&Method::GET, ["buckets", name]) => buckets::show(app, name),
        (&Method::POST, ["buckets", name, "quota"]) => buckets::set_quota(app, name, read_json(body).await?).await,
        (&Method::GET, ["journal", "cycle", "checkpoint"]) => journal::checkpoint(app).await,
        (&Method::GET, ["journal", "cycle", "vkey"]) => Ok(journal::vkey(app)),
        (&Method::GET, ["journal", "cycle", "proof"]) => journal::proof(app, &query).await,
        (&Method::GET, ["journal", "cycle", tile @ ..]) if tile.first() == Some(&"tile") => {
            journal::tile(app, &tile.join("/"))
        }
        (&Method::GET, ["objects", "export"]) => object_export::export(app, &query),
        (&Method::POST, ["scrub"]) => scrub::begin(app, &read_json(body).await?),
        (&Method::GET, ["scrub"]) => scrub::state(app),
        (&Method::GET, ["drives"]) => drives::list(app),
        (&Method::POST, ["drives"]) => drives::add(app, read_json(body).await?).await,
        (&Method::POST, ["drives", which, "replace"]) => drives::replace(app, which, read_json(body).await?).await,
        (&Method::POST, ["drives", which, "drain"]) => drives::drain(app, which).await,
        (&Method::DELETE, ["drives", which]) => drives::remove(app, which).await,
        (&Method::GET, ["events"]) => events::list(app),
        (&Method::DELETE, ["events", target]) => events::discard(app, target).await,
        (&Method::POST, ["reclaim"]) => reclaim::reclaim(app).await,
        (&Method::GET, ["uploads"]) => reclaim::uploads(app, &query).await,
        (&Method::DELETE, ["uploads"]) => reclaim::abort(app, &query).await,
        (&Method::GET, ["status"]) => status::status(app),
        _ => Err(no_such_path()),
    }
}

fn authorise(app: &App, headers: &http::HeaderMap) -> Result<(), AdminError> {
    let presented = headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
    if app.admin_token.matches_authorization(presented) {
        return Ok(());
    }
    Err(AdminError::new(
        StatusCode::UNAUTHORIZED,
        "Unauthorized",
        "The admin API needs the bearer token of DATA/run/admin.json.",
    ))
}

fn no_such_path() -> AdminError {
    AdminError::not_found("NoSuchPath", "The admin API has no such method and path.")
}

fn decode(segment: &str) -> Result<String, AdminError> {
    let text = percent_decode_str(segment).decode_utf8();
    text.map(|text| text.into_owned()).map_err(|_| AdminError::invalid("The path is not UTF-8."))
}

/// A body that may be left out, or be null.
async fn read_optional<B, T>(body: B) -> Result<T, AdminError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T: DeserializeOwned + Default,
{
    let body = read(body).await?;
    if body.is_empty() { Ok(T::default()) } else { Ok(parse::<Option<T>>(&body)?.unwrap_or_default()) }
}

async fn read_json<B, T>(body: B) -> Result<T, AdminError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T: DeserializeOwned,
{
    parse(&read(body).await?)
}

async fn read<B>(body: B) -> Result<Bytes, AdminError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let read = Limited::new(body, BODY_LEN_MAX).collect().await;
    read.map(http_body_util::Collected::to_bytes)
        .map_err(|error| AdminError::invalid(format!("The body cannot be read: {error}.")))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AdminError> {
    serde_json::from_slice(body).map_err(|error| AdminError::invalid(format!("The body is not as expected: {error}.")))
}

/// Makes a change durable on behalf of whoever holds the admin token.
pub(super) async fn propose(app: &App, op: Op) -> Result<Applied, AdminError> {
    let time_us = app.now_us();
    let context = CommandContext {
        time_us,
        request_id: RequestId::from_random(app.random_bytes()).to_string(),
        actor_pid: app.pseudonyms.of(ADMIN_ACTOR, time_us),
        actor_role: "root".to_owned(),
        actor_auth: "admin-token".to_owned(),
        origin: None,
    };
    Ok(app.engine.propose(Command { context, op }).await?)
}

/// Stands for the holder of the token in the journal: the token belongs to no user.
const ADMIN_ACTOR: &str = "admin-token";
