//! CORS of buckets: which rules are kept, what browsers are answered.

use super::context::{Context, Failure, check, element, error, has_header, header, no_header, status, text};
use super::settings::{get, remove, set};
use crate::http::Answer;

super::cases!("cors":
    cors_is_kept_and_removed,
    cors_needs_a_digest,
    cors_with_two_wildcards_is_refused,
    cors_with_an_unknown_method_is_refused,
    cors_without_a_rule_is_refused,
    preflight_is_answered_without_a_signature,
    preflight_of_another_origin_is_forbidden,
    preflight_of_another_method_is_forbidden,
    preflight_of_another_header_is_forbidden,
    preflight_without_an_origin_is_bad,
    preflight_without_rules_is_forbidden,
    answers_name_the_origin_that_may_read_them,
    errors_name_the_origin_that_may_read_them,
    cors_of_a_hundred_rules_and_no_more,
    cors_allows_any_origin_without_credentials,
);

pub(super) const CORS: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>https://*.example</AllowedOrigin>\
    <AllowedMethod>GET</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
    <MaxAgeSeconds>60</MaxAgeSeconds></CORSRule></CORSConfiguration>";
const ORIGIN: &str = "https://app.example";

async fn cors_is_kept_and_removed(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "cors", CORS).await?, 200)?;
    let answer = get(&context, "cors").await?;
    status(&answer, 200)?;
    let document = text(&answer);
    for (name, value) in [("AllowedOrigin", "https://*.example"), ("AllowedMethod", "GET"), ("MaxAgeSeconds", "60")] {
        check(element(&document, name).as_deref() == Some(value), format!("{name} in {document}"))?;
    }
    remove(&context, "cors").await?;
    error(&get(&context, "cors").await?, 404, "NoSuchCORSConfiguration")
}

async fn cors_needs_a_digest(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = context.send(context.request("PUT", "").query("cors", "").body(CORS)).await?;
    error(&answer, 400, "InvalidRequest")
}

async fn cors_refused(context: &Context, from: &str, to: &str, code: &str) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&set(context, "cors", &CORS.replace(from, to)).await?, 400, code)?;
    error(&get(context, "cors").await?, 404, "NoSuchCORSConfiguration")
}

async fn cors_with_two_wildcards_is_refused(context: Context) -> Result<(), Failure> {
    cors_refused(&context, "https://*.example", "https://*.*", "InvalidRequest").await
}

async fn cors_with_an_unknown_method_is_refused(context: Context) -> Result<(), Failure> {
    cors_refused(&context, "<AllowedMethod>GET", "<AllowedMethod>PATCH", "InvalidRequest").await
}

async fn cors_without_a_rule_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&set(&context, "cors", "<CORSConfiguration/>").await?, 400, "MalformedXML")
}

/// A request without a signature, as browsers send preflights.
async fn preflight(context: &Context, headers: &[(&str, &str)]) -> Result<Answer, Failure> {
    let mut head = format!(
        "OPTIONS /{}/key HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\n",
        context.bucket, context.client.endpoint.authority
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(head.as_bytes()).await?;
    Ok(connection.answer("OPTIONS", 1 << 20).await?)
}

async fn forbidden(context: &Context, headers: &[(&str, &str)]) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(context, "cors", CORS).await?, 200)?;
    let answer = preflight(context, headers).await?;
    error(&answer, 403, "AccessForbidden")?;
    no_header(&answer, "access-control-allow-origin")
}

const ASKS_GET: (&str, &str) = ("access-control-request-method", "GET");

async fn preflight_is_answered_without_a_signature(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "cors", CORS).await?, 200)?;
    let headers = [("origin", ORIGIN), ASKS_GET, ("access-control-request-headers", "x-amz-date, X-Amz-User-Agent")];
    let answer = preflight(&context, &headers).await?;
    status(&answer, 200)?;
    header(&answer, "access-control-allow-origin", ORIGIN)?;
    header(&answer, "access-control-allow-methods", "GET")?;
    header(&answer, "access-control-allow-headers", "x-amz-date, x-amz-user-agent")?;
    header(&answer, "access-control-max-age", "60")?;
    has_header(&answer, "vary").map(drop)
}

async fn preflight_of_another_origin_is_forbidden(context: Context) -> Result<(), Failure> {
    forbidden(&context, &[("origin", "https://example.evil"), ASKS_GET]).await
}

async fn preflight_of_another_method_is_forbidden(context: Context) -> Result<(), Failure> {
    forbidden(&context, &[("origin", ORIGIN), ("access-control-request-method", "PUT")]).await
}

async fn preflight_of_another_header_is_forbidden(context: Context) -> Result<(), Failure> {
    forbidden(&context, &[("origin", ORIGIN), ASKS_GET, ("access-control-request-headers", "content-type")]).await
}

async fn preflight_without_an_origin_is_bad(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "cors", CORS).await?, 200)?;
    error(&preflight(&context, &[ASKS_GET]).await?, 400, "BadRequest")
}

async fn preflight_without_rules_is_forbidden(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&preflight(&context, &[("origin", ORIGIN), ASKS_GET]).await?, 403, "AccessForbidden")
}

async fn answers_name_the_origin_that_may_read_them(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    status(&set(&context, "cors", CORS).await?, 200)?;
    let answer = context.send(context.request("GET", "key").header("origin", ORIGIN)).await?;
    status(&answer, 200)?;
    header(&answer, "access-control-allow-origin", ORIGIN)?;
    header(&answer, "access-control-expose-headers", "ETag")?;
    let other = context.send(context.request("GET", "key").header("origin", "https://example.evil")).await?;
    status(&other, 200)?;
    no_header(&other, "access-control-allow-origin")
}

async fn errors_name_the_origin_that_may_read_them(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "cors", CORS).await?, 200)?;
    let answer = context.send(context.request("GET", "none").header("origin", ORIGIN)).await?;
    error(&answer, 404, "NoSuchKey")?;
    header(&answer, "access-control-allow-origin", ORIGIN)
}

async fn cors_of_a_hundred_rules_and_no_more(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let rule =
        "<CORSRule><AllowedOrigin>https://a.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>";
    let rules = |count: usize| format!("<CORSConfiguration>{}</CORSConfiguration>", rule.repeat(count));
    status(&set(&context, "cors", &rules(100)).await?, 200)?;
    status(&set(&context, "cors", &rules(101)).await?, 400)?;
    let said = text(&get(&context, "cors").await?);
    check(said.matches("<CORSRule>").count() == 100, "another number of rules came back")
}

async fn cors_allows_any_origin_without_credentials(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    let rule = "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>\
                </CORSConfiguration>";
    status(&set(&context, "cors", rule).await?, 200)?;
    let answer = context.send(context.request("GET", "key").header("origin", ORIGIN)).await?;
    header(&answer, "access-control-allow-origin", "*")?;
    no_header(&answer, "access-control-allow-credentials")?;
    no_header(&context.send(context.request("GET", "key")).await?, "access-control-allow-origin")
}
