//! Requests that nobody signed: served only where a policy says so, and the block is off.

use serde_json::json;

use crate::buckets::{another_user, said};
use crate::policy::{is, put_policy, statement, unblock};
use crate::support::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_everything_by_default() {
    let server = TestServer::start().await;
    let (owner, stranger) = (server.client(), server.client().anonymous());
    owner.put("/one", b"").await;
    owner.put("/one/k", b"x").await;
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/one"),
        ("GET", "/one/k"),
        ("GET", "/one/none"),
        ("PUT", "/one/k"),
        ("PUT", "/two"),
        ("DELETE", "/one"),
        ("DELETE", "/one/k"),
        ("POST", "/one/k?uploads"),
        ("GET", "/one?policy"),
        ("GET", "/one?acl"),
        ("PUT", "/one?policy"),
        ("GET", "/one?location"),
        ("PUT", "/one?publicAccessBlock"),
    ] {
        assert_eq!(said(&stranger.send(method, target, &[], b"").await), is(403, "AccessDenied"), "{method} {target}");
    }
    assert_eq!(stranger.send("HEAD", "/one/k", &[], b"").await.status, 403);
    assert_eq!(owner.get("/one/k").await.body, b"x");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_policy_is_blocked_until_the_block_goes() {
    let server = TestServer::start().await;
    let (owner, stranger) = (another_user(&server, "alice").await, server.client().anonymous());
    owner.put("/one", b"").await;
    owner.put("/one/k", b"x").await;
    let block = owner.get("/one?publicAccessBlock").await.text();
    assert_eq!(block.matches(">true<").count(), 4, "{block}");
    let public = || vec![statement("Allow", json!("*"), json!("s3:GetObject"), "one/*")];
    assert_eq!(said(&put_policy(&owner, "one", public()).await), is(403, "AccessDenied"));
    unblock(&owner, "one").await;
    assert_eq!(said(&owner.get("/one?publicAccessBlock").await), is(404, "NoSuchPublicAccessBlockConfiguration"));
    assert_eq!(put_policy(&owner, "one", public()).await.status, 204);
    assert_eq!(owner.get("/one?policyStatus").await.element("IsPublic").as_deref(), Some("true"));
    let answer = stranger.get("/one/k").await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"x"[..]));
    // What a browser takes it for is not said by whoever made the link.
    assert_eq!(said(&stranger.get("/one/k?response-content-type=text/html").await), is(400, "InvalidRequest"));
    assert_eq!(owner.get("/one/k?response-content-type=text/html").await.headers["content-type"], "text/html");
    assert_eq!(said(&stranger.get("/one/none").await), is(403, "AccessDenied"));
    assert_eq!(said(&stranger.put("/one/k", b"y").await), is(403, "AccessDenied"));
    assert_eq!(said(&stranger.get("/one").await), is(403, "AccessDenied"));

    // The block over the same policy: it stays, and grants to nobody outside.
    let restrict = b"<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>";
    assert_eq!(owner.put("/one?publicAccessBlock", restrict).await.status, 200);
    assert_eq!(said(&stranger.get("/one/k").await), is(403, "AccessDenied"));
    let bob = another_user(&server, "bob").await;
    assert_eq!(said(&bob.get("/one/k").await), is(403, "AccessDenied"));
    assert_eq!(owner.get("/one/k").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_write_where_they_may() {
    let server = TestServer::start().await;
    let (owner, stranger) = (server.client(), server.client().anonymous());
    owner.put("/one", b"").await;
    unblock(&owner, "one").await;
    let allow = statement("Allow", json!("*"), json!(["s3:PutObject", "s3:ListBucket"]), "one,one/drop/*");
    assert_eq!(put_policy(&owner, "one", vec![allow]).await.status, 204);
    assert_eq!(stranger.put("/one/drop/a", b"from nobody").await.status, 200);
    assert_eq!(owner.get("/one/drop/a").await.body, b"from nobody");
    // As an SDK that was told not to sign frames it.
    let headers = [
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ];
    let body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    assert_eq!(stranger.send("PUT", "/one/drop/b", &headers, body).await.status, 200);
    assert_eq!(owner.get("/one/drop/b").await.body, b"hello");
    let signed =
        [("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), ("x-amz-decoded-content-length", "5")];
    assert_eq!(said(&stranger.send("PUT", "/one/drop/c", &signed, body).await), is(400, "InvalidRequest"));
    assert_eq!(said(&stranger.send("DELETE", "/one/drop/a", &[], b"").await), is(403, "AccessDenied"));
    assert_eq!(stranger.get("/one?list-type=2").await.status, 200);
    server.stop().await;
}
