//! Multipart uploads under the client's key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

use super::{MIB, complete, content, create, document, etag, is, started, upload};
use crate::buckets::said;
use crate::support::TestServer;

const ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
const KEY: &str = "x-amz-server-side-encryption-customer-key";
const KEY_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";

fn trio(key: [u8; 32]) -> [(&'static str, String); 3] {
    [(ALGORITHM, "AES256".into()), (KEY, BASE64.encode(key)), (KEY_MD5, BASE64.encode(Md5::digest(key)))]
}

fn borrowed<'a>(trio: &'a [(&'static str, String); 3]) -> Vec<(&'static str, &'a str)> {
    trio.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sse_c() {
    let (server, plain) = started().await;
    let client = server.tls_client();
    let (right, wrong) = (trio([7; 32]), trio([8; 32]));
    let (right, wrong) = (borrowed(&right), borrowed(&wrong));
    let over_http = plain.send("POST", "/parts/k?uploads", &right, b"").await;
    assert_eq!(said(&over_http), is(400, "InvalidRequest"));

    let answer = client.send("POST", "/parts/k?uploads", &right, b"").await;
    assert_eq!(answer.headers[ALGORITHM], "AES256");
    assert!(!answer.headers.contains_key("x-amz-server-side-encryption"));
    let id = answer.element("UploadId").unwrap();
    let (one, two) = (content(5 * MIB, 5), content(40_000, 6));
    for headers in [&[][..], &wrong] {
        assert_eq!(said(&upload(&client, "k", &id, 1, b"x", headers).await), is(400, "InvalidRequest"));
    }
    let e1 = etag(&upload(&client, "k", &id, 1, &one, &right).await);
    let e2 = etag(&upload(&client, "k", &id, 2, &two, &right).await);
    assert_ne!(e1, format!("\"{}\"", hex::encode(Md5::digest(&one))), "no plaintext hash in mode C");
    assert_eq!(e1.len(), 34);

    // ListParts and Complete need no key; a key that is sent must be the right one.
    let target = format!("/parts/k?uploadId={id}");
    assert_eq!(client.get(&target).await.element("Size").unwrap(), one.len().to_string());
    assert_eq!(client.send("GET", &target, &right, b"").await.status, 200);
    assert_eq!(said(&client.send("GET", &target, &wrong, b"").await), is(400, "InvalidRequest"));
    let body = document(&[(1, &e1), (2, &e2)]);
    assert_eq!(said(&complete(&client, "k", &id, &body, &wrong).await), is(400, "InvalidRequest"));
    let answer = complete(&client, "k", &id, &body, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let again = complete(&client, "k", &id, &body, &[]).await;
    assert_eq!((again.status.as_u16(), again.element("ETag")), (200, answer.element("ETag")));

    let got = client.send("GET", "/parts/k", &right, b"").await;
    assert!(got.body == [one.clone(), two.clone()].concat());
    assert_eq!(said(&client.get("/parts/k").await), is(400, "InvalidRequest"));
    assert_eq!(said(&client.send("GET", "/parts/k", &wrong, b"").await), is(403, "AccessDenied"));
    assert_eq!(client.get("/parts").await.element("Size").unwrap(), (one.len() + two.len()).to_string());

    // A key on the parts of an upload that has none.
    let id = create(&client, "k", &[]).await;
    assert_eq!(said(&upload(&client, "k", &id, 1, b"x", &right).await), is(400, "InvalidRequest"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sse_c_where_it_is_blocked() {
    let server = TestServer::start_with(|config| config.sse_c = chartrier::config::SseC::Blocked).await;
    let client = server.tls_client();
    assert_eq!(client.put("/parts", b"").await.status, 200);
    let key = trio([7; 32]);
    let answer = client.send("POST", "/parts/k?uploads", &borrowed(&key), b"").await;
    assert_eq!(said(&answer), is(403, "AccessDenied"));
    let answer = client.send("PUT", "/parts/k", &borrowed(&key), b"x").await;
    assert_eq!(said(&answer), is(403, "AccessDenied"));
    server.stop().await;
}
