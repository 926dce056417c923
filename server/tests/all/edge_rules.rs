//! What the edge answers before any operation runs, on the wire.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use chartrier::admin::buckets::set_quota;
use chartrier::admin::wire::Quota;

use crate::support::client::{read_answer, read_head, with_length};
use crate::support::{Answer, Client, Sign, TestServer};

/// The MD5 of `part`, as an ETag.
const PART_MD5: &str = "\"f4c9385f1902f7334b00b9b4ecd164de\"";

#[tokio::test(flavor = "multi_thread")]
async fn wrong_missing_expired_and_future_signatures_have_their_codes() {
    let server = TestServer::start().await;
    let client = server.client();
    assert_eq!(client.get("/").await.status, StatusCode::OK);

    let hour = Duration::from_secs(3600);
    let (key_id, _) = server.root_credentials();
    for (client, status, code) in [
        (client.clone().acting_as(&key_id, "not-the-secret"), 403, "SignatureDoesNotMatch"),
        (client.clone().acting_as("CHTRNOBODYNOBODYNOBO", "x"), 403, "InvalidAccessKeyId"),
        (client.clone().at_time(SystemTime::now() - hour), 403, "RequestTimeTooSkewed"),
        (client.clone().at_time(SystemTime::now() + hour), 403, "RequestTimeTooSkewed"),
        (client.clone().in_region("eu-west-3"), 400, "AuthorizationHeaderMalformed"),
    ] {
        let answer = client.get("/").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code));
    }
    assert_eq!(client.clone().in_region("us-east-1").get("/").await.status, StatusCode::OK);

    let presigned = |expires| Sign::Presigned(Duration::from_secs(expires));
    assert_eq!(client.send_signed("GET", "/", &[], b"", &presigned(60)).await.status, StatusCode::OK);
    let old = client.clone().at_time(SystemTime::now() - 2 * hour);
    let answer = old.send_signed("GET", "/", &[], b"", &presigned(60)).await;
    assert_eq!((answer.status.as_u16(), answer.element("Message").as_deref()), (403, Some("Request has expired")));

    // Nothing at all.
    let mut connection = client.connect().await;
    connection.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let answer = read_answer(&mut connection, "GET").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "AccessDenied"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_built_says_so_by_name() {
    let server = TestServer::start().await;
    let client = server.client();
    for (method, target, name) in [
        ("PUT", "/bucket?replication", "PutBucketReplication"),
        ("POST", "/bucket/key?select&select-type=2", "SelectObjectContent"),
        ("GET", "/bucket/key?torrent", "GetObjectTorrent"),
    ] {
        let answer = client.send(method, target, &[], b"").await;
        assert_eq!(answer.status, StatusCode::NOT_IMPLEMENTED, "{target}");
        assert_eq!(answer.code(), "NotImplemented");
        assert!(answer.text().contains(name), "{}", answer.text());
    }
    let answer = client.send("PUT", "/", &[], b"").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_6_100_continue_comes_after_authorisation_only() {
    let server = TestServer::start().await;
    let client = server.client();
    assert_eq!(client.put("/expect-bucket", b"").await.status, StatusCode::OK);
    let expect = [("expect", "100-continue")];

    // A refused request is answered at once, without the body being asked for.
    for (client, target, status) in [
        (client.clone().acting_as(&server.root_credentials().0, "wrong"), "/expect-bucket/k", 403),
        (client.clone(), "/no-such-bucket/k", 404),
    ] {
        let head = with_length(client.head("PUT", target, &expect, b"body", &Sign::Body), 4);
        let mut connection = client.connect().await;
        connection.write_all(&head).await.unwrap();
        let (first, _) = read_head(&mut connection).await.unwrap();
        assert_eq!(first.as_u16(), status, "{target}");
    }

    // An admitted one is asked for its body.
    let head = with_length(client.head("PUT", "/expect-bucket/k", &expect, b"body", &Sign::Body), 4);
    let mut connection = client.connect().await;
    connection.write_all(&head).await.unwrap();
    assert_eq!(read_head(&mut connection).await.unwrap().0, StatusCode::CONTINUE);
    connection.write_all(b"body").await.unwrap();
    assert_eq!(read_answer(&mut connection, "PUT").await.unwrap().status, StatusCode::OK);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_7_no_body_on_head_even_for_an_error() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut connection = client.connect().await;
    for _ in 0..3 {
        // On one connection: a stray body would be read as the next answer.
        let answer = client.send_on(&mut connection, "HEAD", "/no-such-bucket", &[], b"", &Sign::Body).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert!(answer.headers.contains_key("x-amz-request-id"));
        assert!(answer.body.is_empty());
    }
    let answer = client.send_on(&mut connection, "GET", "/", &[], b"", &Sign::Body).await;
    assert_eq!(answer.status, StatusCode::OK);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_4_aws_chunked_is_taken_off_the_body_and_the_encoding() {
    let server = TestServer::start().await;
    let client = server.client();
    assert_eq!(client.put("/chunked", b"").await.status, StatusCode::OK);
    let headers = [
        ("x-amz-decoded-content-length", "11"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("content-encoding", "aws-chunked,gzip"),
    ];
    // CRC-32 of "hello world".
    let body = b"b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
    let how = Sign::As("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let answer = client.send_signed("PUT", "/chunked/k", &headers, body, &how).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let answer = client.get("/chunked/k").await;
    assert_eq!(answer.body, b"hello world");
    assert_eq!(answer.headers["content-encoding"], "gzip");

    // A trailer that does not match is refused, and what is stored stays.
    let body = b"b\r\nHELLO WORLD\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
    let answer = client.send_signed("PUT", "/chunked/k", &headers, body, &how).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    assert_eq!(client.get("/chunked/k").await.body, b"hello world");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_body_is_refused_and_leaves_nothing() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/changed", b"").await;
    let mut bytes = with_length(client.head("PUT", "/changed/k", &[], b"signed", &Sign::Body), 6);
    bytes.extend_from_slice(b"Signed");
    let mut connection = client.connect().await;
    connection.write_all(&bytes).await.unwrap();
    let answer = read_answer(&mut connection, "PUT").await.unwrap();
    assert_eq!(answer.code(), "XAmzContentSHA256Mismatch");
    assert_eq!(client.get("/changed/k").await.code(), "NoSuchKey");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_url_is_refused() {
    let server = TestServer::start().await;
    let target = "/bucket/k?x-amz-server-side-encryption-customer-key=c2VjcmV0";
    let answer = server.client().get(target).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "InvalidArgument"));
    assert!(!answer.text().contains("c2VjcmV0"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_names_and_targets_are_errors_of_the_client() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/names", b"").await;
    for (target, status, code) in [
        ("/UPPER/k".to_owned(), 400, "InvalidBucketName"),
        ("/names/%FF".to_owned(), 400, "InvalidURI"),
        ("/names/a%00b".to_owned(), 400, "InvalidArgument"),
        (format!("/names/{}", "k".repeat(1025)), 400, "KeyTooLongError"),
    ] {
        let answer = client.put(&target, b"").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{target}");
    }
    for key in ["a//b", "../x", "a%2Fb%20c", "%E2%82%AC", &"k".repeat(1024)] {
        let target = format!("/names/{key}");
        assert_eq!(client.put(&target, key.as_bytes()).await.status, StatusCode::OK, "{key}");
        assert_eq!(client.get(&target).await.body, key.as_bytes());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_wire_ends_the_connection_and_nothing_else() {
    let server = TestServer::start().await;
    let client = server.client();
    for garbage in [
        b"\x16\x03\x01\x00\x05hello".as_slice(),
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
    ] {
        let mut connection = client.connect().await;
        connection.write_all(garbage).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let read = connection.read_to_end(&mut rest);
        let _ = tokio::time::timeout(Duration::from_secs(10), read).await.expect("the server ends it");
    }
    assert_eq!(client.get("/").await.status, StatusCode::OK);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_leaves_a_body_unread_says_that_the_connection_ends() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/bodies", b"").await;
    let close = Some("close".to_owned());
    let said = |answer: &Answer| answer.headers.get("connection").map(|value| value.to_str().unwrap().to_owned());
    let refused = client.clone().anonymous().put("/bodies/k", b"never read").await;
    assert_eq!((refused.status.as_u16(), said(&refused)), (403, close));
    let stored = client.put("/bodies/k", b"read").await;
    assert_eq!((stored.status.as_u16(), said(&stored)), (200, None));
    let nothing_to_read = client.clone().anonymous().get("/bodies/k").await;
    assert_eq!((nothing_to_read.status.as_u16(), said(&nothing_to_read)), (403, None));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_announces_its_length() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/lengths", b"").await;
    let head = client.head("PUT", "/lengths/k", &[], b"", &Sign::Body);
    let mut connection = client.connect().await;
    connection.write_all(&with_length(head, 0)).await.unwrap();
    assert_eq!(read_answer(&mut connection, "PUT").await.unwrap().status, StatusCode::OK);
    let head = client.head("PUT", "/lengths/k", &[], b"", &Sign::Body);
    let mut connection = client.connect().await;
    connection.write_all(&head).await.unwrap();
    let answer = read_answer(&mut connection, "PUT").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (411, "MissingContentLength"));
    server.stop().await;
}

/// Sends `chunks` as a body in chunks of HTTP; without the last one if it is cut.
async fn put_in_chunks(client: &Client, target: &str, body: &[u8], chunk_bytes: usize, cut: bool) -> Option<Answer> {
    let mut message = client.head("PUT", target, &[("transfer-encoding", "chunked")], body, &Sign::Body);
    for chunk in body.chunks(chunk_bytes) {
        message.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        message.extend_from_slice(chunk);
        message.extend_from_slice(b"\r\n");
    }
    let mut connection = client.connect().await;
    if cut {
        connection.write_all(&message).await.unwrap();
        drop(connection);
        return None;
    }
    message.extend_from_slice(b"0\r\n\r\n");
    connection.write_all(&message).await.unwrap();
    read_answer(&mut connection, "PUT").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_chunks_of_http_needs_no_announced_length() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/chunks", b"").await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    for (len, chunk_bytes) in [(0, 1), (1, 1), (70_000, 4096), (body.len(), 100_000)] {
        let answer = put_in_chunks(&client, "/chunks/k", &body[..len], chunk_bytes, false).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{len}: {}", answer.text());
        assert_eq!(client.get("/chunks/k").await.body, body[..len]);
    }
    // The digest that was signed is that of the bytes between the chunks' lines.
    let begun = client.send("POST", "/chunks/parts?uploads", &[], b"").await;
    let part = format!("/chunks/parts?partNumber=1&uploadId={}", begun.element("UploadId").unwrap());
    let answer = put_in_chunks(&client, &part, b"part", 3, false).await.unwrap();
    assert_eq!((answer.status, answer.headers["etag"].to_str().unwrap()), (StatusCode::OK, PART_MD5));
    // A body that breaks off is none.
    put_in_chunks(&client, "/chunks/cut", &body, 100_000, true).await;
    assert_eq!(client.get("/chunks/cut").await.status, StatusCode::NOT_FOUND);
    // What it brings counts when it is there.
    let quota = Quota { max_bytes: Some(body.len() as u64 + 10), max_objects: None };
    set_quota(&server.app, "chunks", quota).await.unwrap_or_else(|error| panic!("{error:?}"));
    for target in ["/chunks/more", &part] {
        let answer = put_in_chunks(&client, target, b"eleven more", 4, false).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "QuotaExceeded"), "{target}");
    }
    server.stop().await;
}
