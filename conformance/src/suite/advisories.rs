//! What went wrong in other S3 servers in 2025 and 2026 and was published: each must be refused here.
//!
//! | case | what it was |
//! |---|---|
//! | `headers_that_are_not_signed_change_nothing` | CVE-2026-71191, GHSA-g8w9-qw9q-fghr: an upload link with an added `x-amz-copy-source` copied whatever its signer could read |
//! | `a_part_is_copied_only_by_who_may_read_it` | UploadPartCopy did not ask who may read its source |
//! | `a_form_is_held_to_its_policy` | the conditions of a POST policy were signed and not enforced |
//! | `no_header_changes_where_a_request_comes_from` | CVE-2026-21862: `aws:SourceIp` was what `X-Forwarded-For` said |
//! | `chunks_that_end_too_soon_end_the_request` | CVE-2026-49017: a body in aws-chunked that was cut short was waited for without end |
//! | `no_bit_of_a_session_token_can_be_changed` | CVE-2026-39944: a session token with a flipped bit was another session |
//! | `no_value_ends_a_header` | CVE-2026-54330: what was signed as one header was sent on as two |
//! | `what_is_said_to_be_sealed_is_sealed` | GHSA-xrrf-67jm-3c2r: metadata said encrypted, the bytes were stored as they came |
//! | `a_lock_that_is_not_understood_is_not_absent` | GHSA-j548-9grx-fh4f: metadata of a lock that could not be read counted as no lock |
//! | `nobody_has_a_key_that_everybody_knows` | default credentials, and a constant token between nodes |
//! | `nobody_chooses_where_the_server_connects_to` | CVE-2026-50221: a request made the server call an address |

use time::OffsetDateTime;

use super::auth::send_target;
use super::chunked::signed_put;
use super::context::{Context, Failure, check, error, has_header, no_header, pattern, status, text};
use super::forms::post_fields;
use super::lock::with_digest;
use super::policies::{apply, guest, statement};
use super::sts::own_session;
use crate::client::Request;
use crate::http::Answer;

super::cases!("advisories":
    headers_that_are_not_signed_change_nothing,
    a_part_is_copied_only_by_who_may_read_it,
    a_form_is_held_to_its_policy,
    no_header_changes_where_a_request_comes_from,
    chunks_that_end_too_soon_end_the_request,
    no_bit_of_a_session_token_can_be_changed,
    no_value_ends_a_header,
    what_is_said_to_be_sealed_is_sealed,
    a_lock_that_is_not_understood_is_not_absent,
    nobody_has_a_key_that_everybody_knows,
    nobody_chooses_where_the_server_connects_to,
);

/// Sends a request whose signature is in its head, with lines added after signing.
async fn with_lines_added(context: &Context, request: &Request, lines: &str) -> Result<Answer, Failure> {
    let mut head = context.client.head_bytes(request, request.body.len() as u64);
    let end = head.len() - 2;
    head.splice(end..end, lines.bytes());
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(&head).await?;
    let _ = connection.send(&request.body).await;
    Ok(connection.answer(&request.method, 1 << 20).await?)
}

async fn headers_that_are_not_signed_change_nothing(context: Context) -> Result<(), Failure> {
    context.create_object("secret", b"not yours").await?;
    let source = format!("x-amz-copy-source: /{}/secret\r\n", context.bucket);
    for added in [source.as_str(), "x-amz-acl: public-read\r\n", "x-amz-tagging: a=b\r\n", "x-amz-meta-a: b\r\n"] {
        let link = context.client.presign(&context.request("PUT", "key"), OffsetDateTime::now_utc(), 60);
        error(&send_target(&context, "PUT", &link, added, b"").await?, 403, "AccessDenied")?;
        let signed = with_lines_added(&context, &context.request("PUT", "key").body("body"), added).await?;
        error(&signed, 403, "AccessDenied")?;
        context.expect_no_object("key").await?;
    }
    Ok(())
}

async fn a_part_is_copied_only_by_who_may_read_it(context: Context) -> Result<(), Failure> {
    let other = context.needs_other_user()?.clone();
    context.create_object("secret", b"not yours").await?;
    let target = format!("{}-o", context.bucket);
    status(&other.send(&Request::new("PUT", &target, "")).await?, 200)?;
    let begun = other.send(&Request::new("POST", &target, "key").query("uploads", "")).await?;
    let id = super::context::element(&text(&begun), "UploadId").ok_or("no UploadId")?;
    for source in ["secret", "none"] {
        let copy = Request::new("PUT", &target, "key")
            .query("partNumber", "1")
            .query("uploadId", &id)
            .header("x-amz-copy-source", &format!("/{}/{source}", context.bucket));
        error(&other.send(&copy).await?, 403, "AccessDenied")?;
    }
    let parts = other.send(&Request::new("GET", &target, "key").query("uploadId", &id)).await?;
    check(!text(&parts).contains("<Part>"), text(&parts))
}

async fn a_form_is_held_to_its_policy(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let conditions = "[\"starts-with\",\"$key\",\"mine/\"],[\"eq\",\"$Content-Type\",\"text/plain\"],\
                      [\"content-length-range\",1,10]";
    let plain = ("Content-Type", "text/plain");
    for (key, content_type, file, more) in [
        ("theirs/k", plain, &b"12345"[..], None),
        ("mine/../k", ("Content-Type", "text/html"), b"12345", None),
        ("mine/k", plain, b"12345678901", None),
        ("mine/k", plain, b"", None),
        ("mine/k", plain, b"12345", Some(("acl", "public-read"))),
        ("mine/k", plain, b"12345", Some(("x-amz-meta-a", "b"))),
    ] {
        let fields: Vec<(&str, &str)> = [("key", key), content_type].into_iter().chain(more).collect();
        let answer = post_fields(&context, conditions, &fields, file).await?;
        check(matches!(answer.head.status, 400 | 403), format!("{key} {more:?}: {}", answer.head.status))?;
        context.expect_no_object(key).await?;
    }
    let fields = [("key", "mine/k"), plain];
    status(&post_fields(&context, conditions, &fields, b"12345").await?, 204)
}

async fn no_header_changes_where_a_request_comes_from(context: Context) -> Result<(), Failure> {
    let (other, principal) = guest(&context).await?;
    context.create_object("key", b"body").await?;
    let condition = ",\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"192.0.2.0/24\"}}";
    apply(&context, &[statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/*", condition)]).await?;
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-for", "192.0.2.7, 127.0.0.1"),
        ("x-real-ip", "192.0.2.7"),
        ("forwarded", "for=192.0.2.7"),
        ("x-client-ip", "192.0.2.7"),
        ("cf-connecting-ip", "192.0.2.7"),
        ("true-client-ip", "192.0.2.7"),
    ] {
        let answer = other.send(&context.request("GET", "key").header(name, value)).await?;
        error(&answer, 403, "AccessDenied").map_err(|failure| format!("{name}: {failure}"))?;
    }
    Ok(())
}

async fn chunks_that_end_too_soon_end_the_request(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(150_000);
    for cut in [10, 86, 5_000, 65_622, 65_623, 65_700, 140_000] {
        let (head, body) = signed_put(&context, context.request("PUT", "key"), &bytes);
        // The head announces what does come: its end is the end of the request, whatever its chunks promise.
        let announced = format!("content-length: {}\r\n", body.len());
        let head = String::from_utf8_lossy(&head).replace(&announced, &format!("content-length: {cut}\r\n"));
        check(head.contains(&format!("content-length: {cut}\r\n")), "the head announces no length")?;
        let mut connection = context.client.endpoint.connect().await?;
        connection.send(head.as_bytes()).await?;
        connection.send(&body[..cut]).await?;
        let answer = connection.answer("PUT", 1 << 20).await?;
        check((400..500).contains(&answer.head.status), format!("cut at {cut}: {}", answer.head.status))?;
        context.expect_no_object("key").await?;
    }
    Ok(())
}

async fn no_bit_of_a_session_token_can_be_changed(context: Context) -> Result<(), Failure> {
    let session = own_session(&context).await?;
    let mut connection = context.client.endpoint.connect().await?;
    status(&session.client.send(&session.signed(Request::new("GET", "", ""))).await?, 200)?;
    for at in 0..session.token.len() {
        let mut changed = session.token.clone().into_bytes();
        // The other case, the next digit: another character of the same alphabet, a bit or two away.
        changed[at] ^= if changed[at].is_ascii_alphabetic() { 0x20 } else { 0x01 };
        let Ok(changed) = String::from_utf8(changed) else { continue };
        let request = Request::new("GET", "", "").header("x-amz-security-token", &changed);
        let answer = session.client.send_on(&mut connection, &request).await?;
        error(&answer, 400, "InvalidToken").map_err(|failure| format!("character {at}: {failure}"))?;
    }
    Ok(())
}

async fn no_value_ends_a_header(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    for value in ["text/plain\r\nx-added: yes", "text/plain\nx-added: yes", "text/plain\rx-added: yes", "a\0b"] {
        // In a parameter that becomes a header of the answer.
        let request = context.request("GET", "key").query("response-content-type", value);
        let answer = context.send(request).await?;
        no_header(&answer, "x-added")?;
        check(answer.head.status == 400, format!("{value:?}: {}", answer.head.status))?;
        // In the name of an object; none has a NUL.
        let put = context.send(context.request("PUT", value).body("x")).await?;
        check(put.head.status == if value.contains('\0') { 400 } else { 200 }, format!("{value:?}: {}", text(&put)))?;
        let answer = context.send(context.request("GET", value)).await?;
        no_header(&answer, "x-added")?;
    }
    // In a line of the head that was signed as one value: the line is folded, or is two.
    for line in ["x-amz-meta-a: b\r\n x-amz-acl: public-read\r\n", "x-amz-meta-a: b\rx-amz-acl: public-read\r\n"] {
        let answer = with_lines_added(&context, &context.request("PUT", "folded").body("x"), line).await;
        // A connection that is closed without an answer is a refusal too.
        if let Ok(answer) = answer {
            check((400..500).contains(&answer.head.status), format!("{line:?}: {}", answer.head.status))?;
        }
        context.expect_no_object("folded").await?;
    }
    Ok(())
}

async fn what_is_said_to_be_sealed_is_sealed(context: Context) -> Result<(), Failure> {
    // Nobody's metadata makes an object what it is not, and what it is is said by the server alone.
    let named = "x-amz-meta-x-amz-server-side-encryption";
    context.create_bucket().await?;
    let put = context.send(context.request("PUT", "key").header(named, "aws:kms").body("body")).await?;
    status(&put, 200)?;
    let read = context.expect_object("key", b"body").await?;
    for answer in [&put, &read] {
        check(has_header(answer, "x-amz-server-side-encryption")? == "AES256", "it is sealed otherwise")?;
    }
    check(has_header(&read, named)? == "aws:kms", "the metadata is gone")?;
    // What cannot be done is refused, and not stored in another way under the same name.
    for (name, value) in [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption", "aws:kms:dsse"),
        ("x-amz-server-side-encryption", "none"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ] {
        let answer = context.send(context.request("PUT", "sealed").header(name, value).body("body")).await?;
        check(matches!(answer.head.status, 400 | 501), format!("{name}: {value}: {}", answer.head.status))?;
        context.expect_no_object("sealed").await?;
    }
    Ok(())
}

async fn a_lock_that_is_not_understood_is_not_absent(context: Context) -> Result<(), Failure> {
    let create = context.request("PUT", "").header("x-amz-bucket-object-lock-enabled", "true");
    status(&context.send(create).await?, 200)?;
    let until = "2099-01-01T00:00:00Z";
    for (mode, date) in [
        ("governance", until),
        ("NONE", until),
        ("", until),
        ("COMPLIANCE", "soon"),
        ("COMPLIANCE", ""),
        ("COMPLIANCE", "4099-99-99"),
    ] {
        let put = context.request("PUT", "key").header("x-amz-object-lock-mode", mode);
        let put = put.header("x-amz-object-lock-retain-until-date", date).body("body");
        let md5 = with_digest(put, "body".to_owned());
        check(context.send(md5).await?.head.status == 400, format!("{mode:?} until {date:?} was taken"))?;
        context.expect_no_object("key").await?;
    }
    // A lock that is there stays when what would replace it is not understood.
    let put = context.request("PUT", "key").header("x-amz-object-lock-mode", "COMPLIANCE");
    let put = with_digest(put.header("x-amz-object-lock-retain-until-date", until), "body".to_owned());
    let stored = context.send(put).await?;
    status(&stored, 200)?;
    let id = has_header(&stored, "x-amz-version-id")?;
    for document in [
        "<Retention/>",
        "<Retention><Mode>NONE</Mode></Retention>",
        "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>never</RetainUntilDate></Retention>",
        "<LegalHold/>",
    ] {
        let set = context.request("PUT", "key").query("retention", "").query("versionId", id);
        let answer = context.send(with_digest(set, document.to_owned())).await?;
        check(matches!(answer.head.status, 400 | 403), format!("{document}: {}", answer.head.status))?;
        let remove = context.request("DELETE", "key").query("versionId", id);
        error(&context.send(remove).await?, 403, "AccessDenied")?;
    }
    Ok(())
}

async fn nobody_has_a_key_that_everybody_knows(context: Context) -> Result<(), Failure> {
    for (id, secret) in [
        ("minioadmin", "minioadmin"),
        ("rustfsadmin", "rustfsadmin"),
        ("admin", "admin"),
        ("root", "root"),
        ("test", "test"),
        ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("", ""),
    ] {
        let answer = context.client.acting_as(id, secret).send(&Request::new("GET", "", "")).await?;
        check(matches!(answer.head.status, 400 | 403), format!("{id}: {}", answer.head.status))?;
    }
    let mut connection = context.client.endpoint.connect().await?;
    for token in ["rustfs rpc", "minioadmin", "null"] {
        let head =
            format!("GET / HTTP/1.1\r\nhost: {}\r\nauthorization: {token}\r\n\r\n", context.client.endpoint.authority);
        connection.send(head.as_bytes()).await?;
        let answer = connection.answer("GET", 1 << 20).await?;
        check(matches!(answer.head.status, 400 | 403), format!("{token}: {}", answer.head.status))?;
    }
    Ok(())
}

async fn nobody_chooses_where_the_server_connects_to(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    // The source of a copy is an object here, never an address.
    for source in ["http://127.0.0.1:1/b/k", "//127.0.0.1:1/k", "https:%2F%2F127.0.0.1:1/k"] {
        let copy = context.request("PUT", "copy").header("x-amz-copy-source", source);
        let answer = context.send(copy).await?;
        check((400..500).contains(&answer.head.status), format!("{source}: {}", answer.head.status))?;
        context.expect_no_object("copy").await?;
    }
    // Nor is a target of events: it is one that the operator has named.
    for target in ["http://127.0.0.1:1/", "arn:aws:sns:fr:000000000000:http://127.0.0.1:1/", "arn:aws:sqs:fr::none"] {
        let rule = format!("<Id>a</Id><Topic>{target}</Topic><Event>s3:ObjectCreated:*</Event>");
        let document = format!(
            "<NotificationConfiguration><TopicConfiguration>{rule}</TopicConfiguration></NotificationConfiguration>"
        );
        let answer = context.set("notification", &document).await?;
        check(answer.head.status == 400, format!("{target}: {}", answer.head.status))?;
    }
    Ok(())
}
