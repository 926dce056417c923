//! Signatures: right ones are accepted in each form, wrong ones refused with the right code.

use time::{Duration, OffsetDateTime};

use super::context::{Context, Failure, error, same_bytes, status};
use crate::client::{Client, Request};
use crate::http::Answer;
use crate::sign::Credentials;

super::cases!("auth":
    anonymous_request_is_refused,
    wrong_secret_is_refused,
    unknown_access_key_is_refused,
    request_of_an_hour_ago_is_refused,
    request_of_the_future_is_refused,
    wrong_region_is_refused,
    wrong_service_in_scope_is_refused,
    changed_query_is_refused,
    changed_path_is_refused,
    changed_header_is_refused,
    changed_body_is_refused,
    unsigned_amz_header_is_refused,
    malformed_authorization_is_refused,
    signature_version_2_is_refused,
    presigned_get_works,
    presigned_put_works,
    presigned_url_expires,
    presigned_for_more_than_a_week_is_refused,
    presigned_with_unsigned_amz_header_is_refused,
    presigned_with_changed_signature_is_refused,
    presigned_of_the_future_is_refused,
    other_user_is_refused,
);

/// Sends a head with its lines changed by `change`, and no body.
async fn send_changed(
    context: &Context,
    request: &Request,
    when: OffsetDateTime,
    change: impl Fn(String) -> String,
) -> Result<Answer, Failure> {
    let client = &context.client;
    let mut head = format!("{} {}", request.method, request.path);
    if !request.query.is_empty() {
        head.push_str(&format!("?{}", crate::sign::canonical_query(&request.query)));
    }
    head.push_str(" HTTP/1.1\r\n");
    for (name, value) in client.signed_head(request, when) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", request.body.len()));
    let mut connection = client.endpoint.connect().await?;
    connection.send(change(head).as_bytes()).await?;
    let _ = connection.send(&request.body).await;
    Ok(connection.answer(&request.method, 1 << 20).await?)
}

/// Sends a presigned target as it is.
pub(super) async fn send_target(
    context: &Context,
    method: &str,
    target: &str,
    headers: &str,
    body: &[u8],
) -> Result<Answer, Failure> {
    let endpoint = &context.client.endpoint;
    let mut connection = endpoint.connect().await?;
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {}\r\n{headers}content-length: {}\r\n\r\n",
        endpoint.authority,
        body.len()
    );
    connection.send(head.as_bytes()).await?;
    let _ = connection.send(body).await;
    Ok(connection.answer(method, 8 << 20).await?)
}

fn with_credentials(context: &Context, access_key_id: &str, secret: &str, region: &str) -> Client {
    Client { credentials: Credentials::new(access_key_id, secret, region).into(), ..context.client.clone() }
}

async fn anonymous_request_is_refused(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let target = format!("/{}/key", context.bucket);
    error(&send_target(&context, "GET", &target, "", b"").await?, 403, "AccessDenied")
}

async fn wrong_secret_is_refused(context: Context) -> Result<(), Failure> {
    let credentials = &context.client.credentials;
    let client = with_credentials(&context, &credentials.access_key_id, "wrong", &credentials.region);
    error(&client.send(&Request::new("GET", "", "")).await?, 403, "SignatureDoesNotMatch")
}

async fn unknown_access_key_is_refused(context: Context) -> Result<(), Failure> {
    let credentials = &context.client.credentials;
    let client =
        with_credentials(&context, "AKIAIOSFODNN7EXAMPLE", &credentials.secret_access_key, &credentials.region);
    error(&client.send(&Request::new("GET", "", "")).await?, 403, "InvalidAccessKeyId")
}

async fn request_of_an_hour_ago_is_refused(context: Context) -> Result<(), Failure> {
    let when = OffsetDateTime::now_utc() - Duration::hours(1);
    let answer = send_changed(&context, &Request::new("GET", "", ""), when, |head| head).await?;
    error(&answer, 403, "RequestTimeTooSkewed")
}

async fn request_of_the_future_is_refused(context: Context) -> Result<(), Failure> {
    let when = OffsetDateTime::now_utc() + Duration::hours(1);
    let answer = send_changed(&context, &Request::new("GET", "", ""), when, |head| head).await?;
    error(&answer, 403, "RequestTimeTooSkewed")
}

async fn wrong_region_is_refused(context: Context) -> Result<(), Failure> {
    let credentials = &context.client.credentials;
    let client = with_credentials(&context, &credentials.access_key_id, &credentials.secret_access_key, "mars-north-1");
    error(&client.send(&Request::new("GET", "", "")).await?, 400, "AuthorizationHeaderMalformed")
}

async fn wrong_service_in_scope_is_refused(context: Context) -> Result<(), Failure> {
    let now = OffsetDateTime::now_utc();
    let answer =
        send_changed(&context, &Request::new("GET", "", ""), now, |head| head.replace("/s3/aws4", "/ec2/aws4")).await?;
    error(&answer, 400, "AuthorizationHeaderMalformed")
}

async fn changed_query_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("GET", "").query("list-type", "2").query("prefix", "a");
    let answer =
        send_changed(&context, &request, OffsetDateTime::now_utc(), |head| head.replace("prefix=a", "prefix=b"))
            .await?;
    error(&answer, 403, "SignatureDoesNotMatch")
}

async fn changed_path_is_refused(context: Context) -> Result<(), Failure> {
    context.create_object("one", b"1").await?;
    context.put("two", b"2").await?;
    let request = context.request("GET", "one");
    let answer =
        send_changed(&context, &request, OffsetDateTime::now_utc(), |head| head.replacen("/one", "/two", 1)).await?;
    error(&answer, 403, "SignatureDoesNotMatch")
}

async fn changed_header_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("PUT", "key").header("x-amz-meta-a", "one").body("body");
    let answer = send_changed(&context, &request, OffsetDateTime::now_utc(), |head| {
        head.replace("x-amz-meta-a: one", "x-amz-meta-a: two")
    })
    .await?;
    error(&answer, 403, "SignatureDoesNotMatch")?;
    context.expect_no_object("key").await
}

async fn changed_body_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let mut request = context.request("PUT", "key").body("body");
    request.payload_hash = Some(crate::sign::sha256_hex(b"another body"));
    error(&context.send(request).await?, 400, "XAmzContentSHA256Mismatch")?;
    context.expect_no_object("key").await
}

async fn unsigned_amz_header_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("PUT", "key").body("body");
    let answer = send_changed(&context, &request, OffsetDateTime::now_utc(), |head| {
        head.replacen("\r\n", "\r\nx-amz-meta-added: on the way\r\n", 1)
    })
    .await?;
    error(&answer, 403, "AccessDenied")?;
    context.expect_no_object("key").await
}

async fn malformed_authorization_is_refused(context: Context) -> Result<(), Failure> {
    for (change, code) in [
        ("Credential=", "AuthorizationHeaderMalformed"),
        ("SignedHeaders=", "AuthorizationHeaderMalformed"),
        ("Signature=", "AuthorizationHeaderMalformed"),
    ] {
        let answer = send_changed(&context, &Request::new("GET", "", ""), OffsetDateTime::now_utc(), |head| {
            head.replace(change, "Nothing=")
        })
        .await?;
        error(&answer, 400, code)?;
    }
    Ok(())
}

async fn signature_version_2_is_refused(context: Context) -> Result<(), Failure> {
    let key = &context.client.credentials.access_key_id;
    let headers =
        format!("date: Tue, 27 Mar 2007 19:36:42 +0000\r\nauthorization: AWS {key}:bWq2s1WEIj+Ydj0vQ697zp+IXMU=\r\n");
    let answer = send_target(&context, "GET", "/", &headers, b"").await?;
    if answer.head.status == 400 || answer.head.status == 403 { Ok(()) } else { status(&answer, 400) }
}

async fn presigned_get_works(context: Context) -> Result<(), Failure> {
    context.create_object("a b/ü", b"the body").await?;
    let target = context.client.presign(&context.request("GET", "a b/ü"), OffsetDateTime::now_utc(), 60);
    let answer = send_target(&context, "GET", &target, "", b"").await?;
    status(&answer, 200)?;
    same_bytes(&answer.body, b"the body")
}

async fn presigned_put_works(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let target = context.client.presign(&context.request("PUT", "key"), OffsetDateTime::now_utc(), 60);
    status(&send_target(&context, "PUT", &target, "", b"by a guest").await?, 200)?;
    context.expect_object("key", b"by a guest").await.map(drop)
}

async fn presigned_url_expires(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let when = OffsetDateTime::now_utc() - Duration::minutes(5);
    let target = context.client.presign(&context.request("GET", "key"), when, 60);
    error(&send_target(&context, "GET", &target, "", b"").await?, 403, "AccessDenied")
}

async fn presigned_for_more_than_a_week_is_refused(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let request = context.request("GET", "key");
    let target = context.client.presign(&request, OffsetDateTime::now_utc(), 604_801);
    error(&send_target(&context, "GET", &target, "", b"").await?, 403, "AccessDenied")?;
    let eight_days_ago = OffsetDateTime::now_utc() - Duration::days(8);
    let target = context.client.presign(&request, eight_days_ago, 604_800);
    error(&send_target(&context, "GET", &target, "", b"").await?, 403, "AccessDenied")
}

async fn presigned_with_unsigned_amz_header_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let target = context.client.presign(&context.request("PUT", "key"), OffsetDateTime::now_utc(), 60);
    let answer = send_target(&context, "PUT", &target, "x-amz-meta-added: yes\r\n", b"body").await?;
    error(&answer, 403, "AccessDenied")?;
    context.expect_no_object("key").await
}

async fn presigned_with_changed_signature_is_refused(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let mut target = context.client.presign(&context.request("GET", "key"), OffsetDateTime::now_utc(), 60);
    let last = if target.ends_with('0') { "1" } else { "0" };
    target.replace_range(target.len() - 1.., last);
    error(&send_target(&context, "GET", &target, "", b"").await?, 403, "SignatureDoesNotMatch")
}

async fn presigned_of_the_future_is_refused(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let when = OffsetDateTime::now_utc() + Duration::hours(1);
    let target = context.client.presign(&context.request("GET", "key"), when, 60);
    error(&send_target(&context, "GET", &target, "", b"").await?, 403, "AccessDenied")
}

async fn other_user_is_refused(context: Context) -> Result<(), Failure> {
    let other = context.needs_other_user()?;
    context.create_object("key", b"body").await?;
    for request in [
        context.request("GET", "key"),
        context.request("DELETE", "key"),
        context.request("PUT", "key").body("theirs"),
        context.request("GET", ""),
        context.request("DELETE", ""),
    ] {
        error(&other.send(&request).await?, 403, "AccessDenied")?;
    }
    let copy = Request::new("PUT", &format!("{}-o", context.bucket), "key")
        .header("x-amz-copy-source", &format!("/{}/key", context.bucket));
    status(&other.send(&Request::new("PUT", &format!("{}-o", context.bucket), "")).await?, 200)?;
    error(&other.send(&copy).await?, 403, "AccessDenied")?;
    context.expect_object("key", b"body").await.map(drop)
}
