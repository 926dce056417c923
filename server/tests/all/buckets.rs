//! Buckets: created, located, listed, refused to others, removed when empty.

use chartrier::admin::users;
use chartrier::admin::wire::NewUser;

use crate::support::{Answer, Client, TestServer};

/// A user with a key of its own.
pub async fn another_user(server: &TestServer, name: &str) -> Client {
    let asked = NewUser { name: name.into(), display_name: None, email: None };
    let response = users::add(&server.app, asked).await.unwrap_or_else(|error| panic!("{error:?}"));
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let user: chartrier::admin::wire::CreatedUser = serde_json::from_slice(&body).unwrap();
    server.client().acting_as(&user.access_key_id, &user.secret_access_key)
}

pub fn said(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_a_bucket_twice() {
    let server = TestServer::start().await;
    let client = server.client();
    let answer = client.put("/one-bucket", b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["location"], "/one-bucket");
    assert_eq!(said(&client.put("/one-bucket", b"").await), is(409, "BucketAlreadyOwnedByYou"));
    // Who signs for us-east-1 gets what AWS answers there, but never other grants than the bucket has.
    let client = client.in_region("us-east-1");
    assert_eq!(client.put("/one-bucket", b"").await.status, 200);
    assert_eq!(client.put("/another", b"").await.status, 200);
    assert_eq!(client.put("/another", b"").await.status, 200);
    let other_grants = client
        .send("PUT", "/another", &[("x-amz-acl", "public-read"), ("x-amz-object-ownership", "ObjectWriter")], b"")
        .await;
    assert_ne!(other_grants.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_outside_the_rules() {
    let server = TestServer::start().await;
    let client = server.client();
    for name in ["ab", "Upper", "under_score", "192.168.0.1", "a..b", "-abc", "xn--abc"] {
        assert_eq!(said(&client.put(&format!("/{name}"), b"").await), is(400, "InvalidBucketName"), "{name}");
    }
    for name in ["my.bucket.with.dots", "a23456789012345678901234567890123456789012345678901234567890123"] {
        assert_eq!(client.put(&format!("/{name}"), b"").await.status, 200, "{name}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn location() {
    let server = TestServer::start().await;
    let client = server.client();
    let configuration = |region: &str| {
        format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        )
    };
    assert_eq!(client.put("/of-nowhere", b"").await.status, 200);
    assert_eq!(client.put("/of-france", configuration("fr").as_bytes()).await.status, 200);
    assert_eq!(client.put("/of-virginia", configuration("us-east-1").as_bytes()).await.status, 200);
    let answer = client.put("/of-ireland", configuration("eu-west-1").as_bytes()).await;
    assert_eq!(said(&answer), is(400, "InvalidLocationConstraint"));
    assert_eq!(said(&client.put("/of-noise", b"<x").await), is(400, "MalformedXML"));

    for (bucket, region) in [("of-nowhere", "fr"), ("of-france", "fr"), ("of-virginia", "")] {
        let answer = client.get(&format!("/{bucket}?location")).await;
        let text = answer.text();
        let inside = text.rsplit_once("\">").unwrap().1.strip_suffix("</LocationConstraint>").unwrap();
        assert_eq!(inside, region, "{bucket}: {text}");
    }
    let head = client.send("HEAD", "/of-france", &[], b"").await;
    assert_eq!((head.status.as_u16(), head.headers["x-amz-bucket-region"].to_str().unwrap()), (200, "fr"));
    assert_eq!(client.send("HEAD", "/no-such-bucket", &[], b"").await.status, 404);
    assert_eq!(said(&client.get("/no-such-bucket?location").await), is(404, "NoSuchBucket"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_cannot_have_is_refused() {
    let server = TestServer::start().await;
    let client = server.client();
    for (name, value) in [("x-amz-bucket-object-lock-enabled", "maybe")] {
        let answer = client.send("PUT", "/with-header", &[(name, value)], b"").await;
        assert_eq!(said(&answer), is(501, "NotImplemented"), "{name}");
    }
    assert_eq!(client.send("PUT", "/with-header", &[("x-amz-acl", "private")], b"").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_bucket() {
    let server = TestServer::start().await;
    let (root, alice, bob) =
        (server.client(), another_user(&server, "alice").await, another_user(&server, "bob").await);
    assert_eq!(alice.put("/of-alice", b"").await.status, 200);
    assert_eq!(said(&bob.put("/of-alice", b"").await), is(409, "BucketAlreadyExists"));
    assert_eq!(said(&alice.put("/of-alice", b"").await), is(409, "BucketAlreadyOwnedByYou"));
    for (method, target) in [
        ("GET", "/of-alice"),
        ("GET", "/of-alice?list-type=2"),
        ("GET", "/of-alice?versions"),
        ("GET", "/of-alice?uploads"),
        ("GET", "/of-alice?location"),
        ("DELETE", "/of-alice"),
        ("POST", "/of-alice/key?uploads"),
        ("PUT", "/of-alice/key?partNumber=1&uploadId=00000000000000000000000000000000"),
        ("POST", "/of-alice/key?uploadId=00000000000000000000000000000000"),
        ("DELETE", "/of-alice/key?uploadId=00000000000000000000000000000000"),
        ("GET", "/of-alice/key?uploadId=00000000000000000000000000000000"),
    ] {
        assert_eq!(said(&bob.send(method, target, &[], b"").await), is(403, "AccessDenied"), "{method} {target}");
    }
    assert_eq!(bob.send("HEAD", "/of-alice", &[], b"").await.status, 403);
    assert_eq!(root.get("/of-alice").await.status, 200);
    assert!(!bob.get("/").await.text().contains("of-alice"));
    assert!(root.get("/").await.text().contains("of-alice"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_empty_bucket_goes() {
    let server = TestServer::start().await;
    let client = server.client();
    assert_eq!(said(&client.send("DELETE", "/not-there", &[], b"").await), is(404, "NoSuchBucket"));
    assert_eq!(client.put("/to-remove", b"").await.status, 200);
    assert_eq!(client.put("/to-remove/key", b"x").await.status, 200);
    assert_eq!(said(&client.send("DELETE", "/to-remove", &[], b"").await), is(409, "BucketNotEmpty"));
    assert_eq!(client.send("DELETE", "/to-remove/key", &[], b"").await.status, 204);

    // An upload in progress does not keep the bucket, but a removal that cannot succeed leaves it alone.
    let upload = client.send("POST", "/to-remove/key?uploads", &[], b"").await.element("UploadId").unwrap();
    let part = format!("/to-remove/key?partNumber=1&uploadId={upload}");
    assert_eq!(client.put("/to-remove/key", b"x").await.status, 200);
    assert_eq!(said(&client.send("DELETE", "/to-remove", &[], b"").await), is(409, "BucketNotEmpty"));
    assert_eq!(client.put(&part, &[7; 20_000]).await.status, 200);
    assert_eq!(client.send("DELETE", "/to-remove/key", &[], b"").await.status, 204);
    assert_eq!(client.send("DELETE", "/to-remove", &[], b"").await.status, 204);
    assert_eq!(said(&client.put(&part, b"x").await), is(404, "NoSuchBucket"));
    assert_eq!(said(&client.get("/to-remove").await), is(404, "NoSuchBucket"));
    // The same name makes another bucket.
    assert_eq!(client.put("/to-remove", b"").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn list_buckets_pages() {
    let server = TestServer::start().await;
    let client = server.client();
    for name in ["b-two", "a-one", "c-three", "a-four"] {
        assert_eq!(client.put(&format!("/{name}"), b"").await.status, 200);
    }
    let names = |answer: &Answer| -> Vec<String> {
        answer.text().split("<Name>").skip(1).map(|rest| rest.split_once('<').unwrap().0.to_owned()).collect()
    };
    let all = client.get("/").await;
    assert_eq!(names(&all), ["a-four", "a-one", "b-two", "c-three"]);
    assert_eq!(all.element("ID").unwrap().len(), 64);
    assert!(all.element("CreationDate").unwrap().ends_with(".000Z"));
    assert_eq!(names(&client.get("/?prefix=a-").await), ["a-four", "a-one"]);

    let first = client.get("/?max-buckets=3").await;
    assert_eq!(names(&first), ["a-four", "a-one", "b-two"]);
    let token = first.element("ContinuationToken").unwrap();
    let rest = client.get(&format!("/?max-buckets=3&continuation-token={token}")).await;
    assert_eq!(names(&rest), ["c-three"]);
    assert_eq!(rest.element("ContinuationToken"), None);
    assert_eq!(said(&client.get("/?max-buckets=0").await), is(400, "InvalidArgument"));
    assert_eq!(said(&client.get("/?continuation-token=A").await), is(400, "InvalidArgument"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expected_owner() {
    let server = TestServer::start().await;
    let client = server.client();
    assert_eq!(client.put("/expected", b"").await.status, 200);
    let owner = client.get("/").await.element("ID").unwrap();
    let expecting =
        async |owner: &str| client.send("GET", "/expected", &[("x-amz-expected-bucket-owner", owner)], b"").await;
    assert_eq!(expecting(&owner).await.status, 200);
    assert_eq!(said(&expecting("123456789012").await), is(403, "AccessDenied"));
    server.stop().await;
}
