//! Bytes that no honest client sends. Each must get a clear answer or a closed connection, soon, and the
//! server must go on serving.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::auth::send_target;
use super::context::{Context, Failure, check, error, pattern, status};
use crate::client::Request;
use crate::http::Answer;

super::cases!("hostile":
    too_many_headers,
    header_too_long,
    request_line_too_long,
    head_cut_in_the_middle,
    body_cut_in_the_middle,
    body_cut_leaves_the_old_object,
    content_length_that_is_no_number,
    two_content_lengths,
    xml_with_a_doctype,
    xml_nested_deeply,
    xml_of_ten_megabytes,
    xml_cut_in_the_middle,
    xml_that_is_no_xml,
    unknown_method,
    unknown_operation_is_not_implemented,
    not_http_at_all,
    put_without_length,
    put_in_chunks_of_http,
    object_longer_than_5_gib,
    expect_continue_waits_for_authorisation,
    one_header_with_two_values,
    a_length_and_chunks,
    heads_that_proxies_read_otherwise,
    a_chunk_line_without_end,
    paths_that_decode_to_something_else,
    a_presigned_url_with_more_than_it_had,
);

/// Sends raw bytes and reads an answer, or `None` if the server closes the connection.
async fn raw(context: &Context, bytes: &[u8]) -> Result<Option<Answer>, Failure> {
    let mut connection = context.client.endpoint.connect().await?;
    let _ = connection.send(bytes).await;
    match timeout(Duration::from_secs(60), connection.answer("GET", 1 << 20)).await {
        Ok(answer) => Ok(answer.ok()),
        Err(_) => Err("no answer and no end of the connection within a minute".into()),
    }
}

/// A refusal is a 4xx or a closed connection; afterwards the server still serves.
async fn refused(context: &Context, answer: Option<Answer>) -> Result<(), Failure> {
    if let Some(answer) = &answer {
        let got = answer.head.status;
        check((400..500).contains(&got) || got == 501, format!("expected a refusal, got {got}"))?;
    }
    status(&context.send(Request::new("GET", "", "")).await?, 200)
}

async fn too_many_headers(context: Context) -> Result<(), Failure> {
    let mut head = format!("GET / HTTP/1.1\r\nhost: {}\r\n", context.client.endpoint.authority);
    for index in 0..20_000 {
        head.push_str(&format!("x-bomb-{index}: x\r\n"));
    }
    head.push_str("\r\n");
    refused(&context, raw(&context, head.as_bytes()).await?).await
}

async fn header_too_long(context: Context) -> Result<(), Failure> {
    let value = "x".repeat(4 << 20);
    let head = format!("GET / HTTP/1.1\r\nhost: {}\r\nx-bomb: {value}\r\n\r\n", context.client.endpoint.authority);
    refused(&context, raw(&context, head.as_bytes()).await?).await
}

async fn request_line_too_long(context: Context) -> Result<(), Failure> {
    let path = "x".repeat(4 << 20);
    let head = format!("GET /{path} HTTP/1.1\r\nhost: {}\r\n\r\n", context.client.endpoint.authority);
    refused(&context, raw(&context, head.as_bytes()).await?).await
}

async fn head_cut_in_the_middle(context: Context) -> Result<(), Failure> {
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(b"GET / HTTP/1.1\r\nhost: exam").await?;
    drop(connection);
    refused(&context, None).await
}

async fn cut_body(context: &Context) -> Result<(), Failure> {
    let request = context.request("PUT", "key").unsigned();
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(&context.client.head_bytes(&request, 4 << 20)).await?;
    connection.send(&pattern(3 << 20)).await?;
    drop(connection);
    sleep(Duration::from_millis(300)).await;
    Ok(())
}

async fn body_cut_in_the_middle(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    cut_body(&context).await?;
    context.expect_no_object("key").await?;
    refused(&context, None).await
}

async fn body_cut_leaves_the_old_object(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"the old one").await?;
    cut_body(&context).await?;
    context.expect_object("key", b"the old one").await.map(drop)
}

async fn content_length_that_is_no_number(context: Context) -> Result<(), Failure> {
    let head =
        format!("PUT /b/k HTTP/1.1\r\nhost: {}\r\ncontent-length: ten\r\n\r\n", context.client.endpoint.authority);
    refused(&context, raw(&context, head.as_bytes()).await?).await
}

/// Two lengths are how one request is smuggled inside another.
async fn two_content_lengths(context: Context) -> Result<(), Failure> {
    let head = format!(
        "PUT /b/k HTTP/1.1\r\nhost: {}\r\ncontent-length: 5\r\ncontent-length: 50\r\n\r\nhello",
        context.client.endpoint.authority
    );
    refused(&context, raw(&context, head.as_bytes()).await?).await
}

async fn delete_objects(context: &Context, xml: Vec<u8>) -> Result<Answer, Failure> {
    use base64::Engine as _;
    use md5::Digest as _;
    let digest = base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(&xml));
    let request = context.request("POST", "").query("delete", "").header("content-md5", &digest).body(xml);
    context.send(request).await
}

async fn xml_with_a_doctype(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let xml = br#"<?xml version="1.0"?><!DOCTYPE a [<!ENTITY k "key"><!ENTITY f SYSTEM "file:///etc/passwd">]>
        <Delete><Object><Key>&k;</Key></Object></Delete>"#;
    error(&delete_objects(&context, xml.to_vec()).await?, 400, "MalformedXML")?;
    context.expect_object("key", b"body").await.map(drop)
}

async fn xml_nested_deeply(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let xml = format!("{}{}", "<Delete>".repeat(100_000), "</Delete>".repeat(100_000));
    error(&delete_objects(&context, xml.into_bytes()).await?, 400, "MalformedXML")
}

async fn xml_of_ten_megabytes(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let xml = format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(400_000));
    let answer = delete_objects(&context, xml.into_bytes()).await?;
    check((400..500).contains(&answer.head.status), format!("got {}", answer.head.status))
}

async fn xml_cut_in_the_middle(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let xml = b"<Delete><Object><Key>key</Key></Object>".to_vec();
    error(&delete_objects(&context, xml).await?, 400, "MalformedXML")?;
    context.expect_object("key", b"body").await.map(drop)
}

async fn xml_that_is_no_xml(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&delete_objects(&context, b"{\"Delete\": 1}".to_vec()).await?, 400, "MalformedXML")
}

async fn unknown_method(context: Context) -> Result<(), Failure> {
    let answer = context.send(Request::new("BREW", "", "")).await?;
    check(matches!(answer.head.status, 400 | 405 | 501), format!("got {}", answer.head.status))
}

async fn unknown_operation_is_not_implemented(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = context.send(context.request("GET", "").query("replication", "")).await?;
    check(matches!(answer.head.status, 404 | 501), format!("got {}", answer.head.status))
}

async fn not_http_at_all(context: Context) -> Result<(), Failure> {
    let answer = raw(&context, b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await?;
    refused(&context, answer).await
}

async fn put_without_length(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("PUT", "key").unsigned();
    let mut head = String::from_utf8_lossy(&context.client.head_bytes(&request, 0)).into_owned();
    head = head.replace("content-length: 0\r\n", "");
    // On a connection that stays open there is no way to tell where such a body would end.
    let answer = raw(&context, head.as_bytes()).await?;
    let answer = answer.ok_or("the connection was closed without an answer")?;
    check(matches!(answer.head.status, 200 | 411), format!("got {}", answer.head.status))
}

async fn put_in_chunks_of_http(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("PUT", "key").body("chunks");
    let head = String::from_utf8_lossy(&context.client.head_bytes(&request, 6)).into_owned();
    let chunked = head.replace("content-length: 6\r\n", "transfer-encoding: chunked\r\n");
    let answer = raw(&context, format!("{chunked}2\r\nch\r\n4\r\nunks\r\n0\r\n\r\n").as_bytes()).await?;
    let answer = answer.ok_or("the connection was closed without an answer")?;
    match answer.head.status {
        // AWS does not take them.
        501 | 411 => return Ok(()),
        other => check(other == 200, format!("got {other}"))?,
    }
    let read = context.send(context.request("GET", "key")).await?;
    check(read.body == b"chunks", "another body")
}

async fn object_longer_than_5_gib(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("PUT", "key").unsigned();
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(&context.client.head_bytes(&request, (5 << 30) + 1)).await?;
    error(&connection.answer("PUT", 1 << 20).await?, 400, "EntityTooLarge")
}

async fn expect_continue_waits_for_authorisation(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let good = context.request("PUT", "key").header("expect", "100-continue").unsigned();
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(&context.client.head_bytes(&good, 4)).await?;
    let head = connection.head().await?;
    check(head.status == 100, format!("expected 100 Continue, got {}", head.status))?;
    connection.send(b"body").await?;
    status(&connection.answer("PUT", 1 << 20).await?, 200)?;
    let mut bad = good;
    bad.path = "/no-such-bucket-at-all/key".to_owned();
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(&context.client.head_bytes(&bad, 4)).await?;
    let head = connection.head().await?;
    check(head.status == 404, format!("expected 404 before any body, got {}", head.status))
}

/// Raw lines of a head that must be refused, and nothing behind it be taken for a request.
async fn refused_head(context: &Context, lines: &str) -> Result<(), Failure> {
    let head = format!("{lines}\r\n\r\n");
    let answer = raw(context, head.as_bytes()).await?;
    refused(context, answer).await.map_err(|failure| format!("{lines:?}: {failure}").into())
}

/// What was signed is both lines joined; what would be read is the first.
async fn one_header_with_two_values(context: Context) -> Result<(), Failure> {
    let host = context.client.endpoint.authority.clone();
    refused_head(&context, &format!("GET / HTTP/1.1\r\nhost: {host}\r\nhost: elsewhere.example")).await?;
    for name in ["x-amz-copy-source", "x-amz-acl", "x-amz-tagging", "x-amz-storage-class"] {
        let head =
            format!("PUT /bucket/k HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n{name}: a\r\n{name}: b\r\n\r\n");
        let answer = raw(&context, head.as_bytes()).await?.ok_or("no answer")?;
        error(&answer, 400, "InvalidArgument").map_err(|failure| format!("{name}: {failure}"))?;
    }
    Ok(())
}

/// A length and chunks are the other way to smuggle: what follows the chunks must be no request.
async fn a_length_and_chunks(context: Context) -> Result<(), Failure> {
    let host = context.client.endpoint.authority.clone();
    for head in ["content-length: 4\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 4"] {
        let request = format!(
            "PUT /b/k HTTP/1.1\r\nhost: {host}\r\n{head}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: {host}\r\n\r\n"
        );
        let mut connection = context.client.endpoint.connect().await?;
        let _ = connection.send(request.as_bytes()).await;
        let first = timeout(Duration::from_secs(60), connection.answer("PUT", 1 << 20)).await;
        let first = first.map_err(|_| "no answer within a minute")?;
        if let Ok(first) = first {
            check((400..500).contains(&first.head.status), format!("expected a refusal, got {}", first.head.status))?;
            let second = timeout(Duration::from_secs(10), connection.answer("GET", 1 << 20)).await;
            check(second.is_ok_and(|answer| answer.is_err()), "what was behind the chunks was answered")?;
        }
    }
    refused(&context, None).await
}

async fn heads_that_proxies_read_otherwise(context: Context) -> Result<(), Failure> {
    let host = context.client.endpoint.authority.clone();
    for lines in [
        format!("GET / HTTP/1.1\r\nhost : {host}"),
        format!("GET / HTTP/1.1\r\nhost: {host}\r\nx-amz-date: 1\r\n folded"),
        format!("GET / HTTP/1.1\r\nhost: {host}\r\nx-a: b\0c"),
        format!("GET / HTTP/1.1\r\nhost: {host}\r\nx-a: b\rc: d"),
        format!("PUT /b/k HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked, identity"),
        format!("PUT /b/k HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: xchunked"),
        format!("PUT /b/k HTTP/1.1\r\nhost: {host}\r\ncontent-length: +5"),
        format!("PUT /b/k HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5, 6"),
        format!("PUT /b/k HTTP/1.1\r\nhost: {host}\r\ncontent-length: 18446744073709551616"),
        format!("GET / HTTP/3.0\r\nhost: {host}"),
        format!("GET  / HTTP/1.1\r\nhost: {host}"),
    ] {
        refused_head(&context, &lines).await?;
    }
    Ok(())
}

/// The end of a chunk's line never comes: nobody waits for it, and nobody keeps it.
async fn a_chunk_line_without_end(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let mut request = context
        .request("PUT", "key")
        .header("x-amz-decoded-content-length", "4")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-trailer", "x-amz-checksum-crc32");
    request.payload_hash = Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned());
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(&context.client.head_bytes(&request, 8 << 20)).await?;
    let mut line = b"4;extension=".to_vec();
    line.resize(8 << 20, b'x');
    let _ = connection.send(&line).await;
    let answer = timeout(Duration::from_secs(60), connection.answer("PUT", 1 << 20)).await;
    if let Ok(answer) = answer.map_err(|_| "no answer within a minute")? {
        check((400..500).contains(&answer.head.status), format!("expected a refusal, got {}", answer.head.status))?;
    }
    context.expect_no_object("key").await
}

/// The path is decoded once, and what comes out is checked, never what was sent.
async fn paths_that_decode_to_something_else(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let bucket = &context.bucket;
    for (path, refusal) in [
        (format!("/{bucket}%2Fkey"), 400),
        (format!("/{bucket}/%C0%AE%C0%AE/key"), 400),
        (format!("/{bucket}/%ED%A0%80"), 400),
        (format!("/{bucket}/a%00key"), 400),
        ("/%2e%2e/key".to_owned(), 400),
        (format!("/..%2f{bucket}/key"), 400),
        (format!("//{bucket}/key"), 400),
        (format!("/{bucket}/../{bucket}/key"), 404),
        (format!("/{bucket}/%2e%2e/{bucket}/key"), 404),
        (format!("/{bucket}/key%20"), 404),
        (format!("/{bucket}/%6bey"), 200),
    ] {
        let mut request = Request::new("GET", "", "");
        request.path.clone_from(&path);
        let answer = context.send(request).await?;
        status(&answer, refusal).map_err(|failure| format!("{path}: {failure}"))?;
    }
    Ok(())
}

/// What a presigned URL says is all that it says.
async fn a_presigned_url_with_more_than_it_had(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let target = context.client.presign(&context.request("GET", "key"), time::OffsetDateTime::now_utc(), 60);
    status(&send_target(&context, "GET", &target, "", b"").await?, 200)?;
    for more in ["versionId=null", "response-content-type=text/html", "acl", "X-Amz-Expires=604800", "x-id=GetObject"] {
        let answer = send_target(&context, "GET", &format!("{target}&{more}"), "", b"").await?;
        check(matches!(answer.head.status, 400 | 403), format!("{more}: {}", answer.head.status))?;
    }
    for header in ["x-amz-acl: public-read\r\n", "x-amz-meta-a: b\r\n", "x-amz-copy-source: /a/b\r\n"] {
        let answer = send_target(&context, "GET", &target, header, b"").await?;
        check(matches!(answer.head.status, 400 | 403), format!("{header}: {}", answer.head.status))?;
    }
    for method in ["PUT", "DELETE", "POST"] {
        let answer = send_target(&context, method, &target, "", b"").await?;
        check(matches!(answer.head.status, 400 | 403), format!("{method}: {}", answer.head.status))?;
    }
    context.expect_object("key", b"body").await.map(drop)
}
