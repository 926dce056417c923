//! CORS: rules kept, preflights answered without a signature, headers on answers and errors.

use crate::buckets::said;
use crate::support::client::read_answer;
use crate::support::{Answer, Client, TestServer};
use base64::Engine as _;
use md5::Digest as _;
use tokio::io::AsyncWriteExt as _;

pub fn md5_of(body: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(body.as_bytes()))
}

/// Sends a document with the digest that AWS demands.
pub async fn put_document(client: &Client, target: &str, body: &str) -> Answer {
    client.send("PUT", target, &[("content-md5", &md5_of(body))], body.as_bytes()).await
}

/// A request without a signature, as a browser sends its preflights.
async fn bare(client: &Client, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut connection = client.connect().await;
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("content-length: 0\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    read_answer(&mut connection, method).await.unwrap()
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).map(|value| value.to_str().unwrap())
}

const RULES: &str = "<CORSConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
    <CORSRule><AllowedOrigin>https://*.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
    <AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
    <ExposeHeader>x-amz-version-id</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule>\
    <CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule></CORSConfiguration>";

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_kept_answered_and_removed() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/crossed", b"").await;
    let none = client.get("/crossed?cors").await;
    assert_eq!(said(&none), (404, "NoSuchCORSConfiguration".into()));
    assert_eq!(none.element("BucketName").unwrap(), "crossed");
    let unsealed = client.put("/crossed?cors", RULES.as_bytes()).await;
    assert_eq!(said(&unsealed), (400, "InvalidRequest".into()));
    assert_eq!(said(&put_document(&client, "/crossed?cors", "<x").await), (400, "MalformedXML".into()));
    assert_eq!(put_document(&client, "/crossed?cors", RULES).await.status, 200);
    let text = client.get("/crossed?cors").await.text();
    assert!(text.contains("<AllowedOrigin>https://*.example</AllowedOrigin>"), "{text}");
    assert!(text.contains("<MaxAgeSeconds>3000</MaxAgeSeconds>"), "{text}");
    assert_eq!(client.send("DELETE", "/crossed?cors", &[], b"").await.status, 204);
    assert_eq!(client.send("DELETE", "/crossed?cors", &[], b"").await.status, 204);
    assert_eq!(said(&client.get("/crossed?cors").await), (404, "NoSuchCORSConfiguration".into()));
    assert_eq!(said(&client.get("/absent-bucket?cors").await), (404, "NoSuchBucket".into()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/crossed", b"").await;
    let ask = async |target: &str, headers: &[(&str, &str)]| bare(&client, "OPTIONS", target, headers).await;
    let good = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "PUT")];

    let closed = ask("/crossed/key", &good).await;
    assert_eq!(said(&closed), (403, "AccessForbidden".into()));
    assert_eq!(closed.element("Message").unwrap(), "CORSResponse: CORS is not enabled for this bucket.");
    assert_eq!(closed.element("ResourceType").unwrap(), "OBJECT");
    put_document(&client, "/crossed?cors", RULES).await;

    let open =
        ask("/crossed/key", &[good[0], good[1], ("Access-Control-Request-Headers", "X-Amz-Date, x-amz-acl")]).await;
    assert_eq!(open.status, 200, "{}", open.text());
    assert_eq!(header(&open, "access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(header(&open, "access-control-allow-credentials"), Some("true"));
    assert_eq!(header(&open, "access-control-allow-methods"), Some("GET, PUT"));
    assert_eq!(header(&open, "access-control-allow-headers"), Some("x-amz-date, x-amz-acl"));
    assert_eq!(header(&open, "access-control-expose-headers"), Some("ETag, x-amz-version-id"));
    assert_eq!(header(&open, "access-control-max-age"), Some("3000"));
    assert_eq!(header(&open, "vary"), Some("Origin, Access-Control-Request-Headers, Access-Control-Request-Method"));
    let any = ask("/crossed", &[("Origin", "http://other"), ("Access-Control-Request-Method", "HEAD")]).await;
    assert_eq!(header(&any, "access-control-allow-origin"), Some("*"));
    assert_eq!(header(&any, "access-control-allow-credentials"), None);

    for (headers, status, code) in [
        (vec![("Origin", "http://other"), good[1]], 403, "AccessForbidden"),
        (vec![good[0], ("Access-Control-Request-Method", "DELETE")], 403, "AccessForbidden"),
        (vec![good[0], good[1], ("Access-Control-Request-Headers", "content-type")], 403, "AccessForbidden"),
        (vec![good[0]], 400, "BadRequest"),
        (vec![good[0], ("Access-Control-Request-Method", "PATCH")], 400, "BadRequest"),
        (vec![good[1]], 400, "BadRequest"),
    ] {
        let answer = ask("/crossed/key", &headers).await;
        assert_eq!(said(&answer), (status, code.into()), "{headers:?}");
        assert_eq!(header(&answer, "access-control-allow-origin"), None, "{headers:?}");
    }
    let absent = ask("/absent-bucket/key", &good).await;
    assert_eq!(absent.element("Message").unwrap(), "CORSResponse: Bucket not found");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_errors_carry_what_a_browser_needs() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/crossed", b"").await;
    client.put("/crossed/key", b"body").await;
    let get = async |target: &str, origin: &str| client.send("GET", target, &[("origin", origin)], b"").await;
    assert_eq!(header(&get("/crossed/key", "https://a.example").await, "vary"), None);
    put_document(&client, "/crossed?cors", RULES).await;

    let answer = get("/crossed/key", "https://a.example").await;
    assert_eq!(answer.text(), "body");
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(header(&answer, "access-control-expose-headers"), Some("ETag, x-amz-version-id"));
    let missing = get("/crossed/none", "https://a.example").await;
    assert_eq!(said(&missing), (404, "NoSuchKey".into()));
    assert_eq!(header(&missing, "access-control-allow-origin"), Some("https://a.example"));
    let unsigned = bare(&client, "GET", "/crossed/key", &[("Origin", "https://a.example")]).await;
    assert_eq!(unsigned.status, 403);
    assert_eq!(header(&unsigned, "access-control-allow-origin"), Some("https://a.example"));
    // Not for this origin; but a cache must know that the answer depends on it.
    let other = get("/crossed/key", "https://a.other").await;
    assert_eq!((other.status.as_u16(), header(&other, "access-control-allow-origin")), (200, None));
    assert!(header(&other, "vary").is_some());
    assert!(header(&client.get("/crossed/key").await, "vary").is_some());
    // The method that a script names counts, as on AWS.
    let named = [("origin", "https://a.example"), ("access-control-request-method", "DELETE")];
    let answer = client.send("GET", "/crossed/key", &named, b"").await;
    assert_eq!(header(&answer, "access-control-allow-origin"), None);
    server.stop().await;
}
