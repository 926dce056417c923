//! Bucket policies over HTTP: stored, read, refused, and what they allow between accounts.

use serde_json::{Value, json};

use crate::buckets::{another_user, said};
use crate::support::{Answer, Client, TestServer};

pub fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

pub fn statement(effect: &str, principal: Value, action: Value, resource: &str) -> Value {
    json!({"Effect": effect, "Principal": principal, "Action": action,
           "Resource": resource.split(',').map(|r| format!("arn:aws:s3:::{r}")).collect::<Vec<_>>()})
}

pub async fn put_policy(client: &Client, bucket: &str, statements: Vec<Value>) -> Answer {
    let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    client.put(&format!("/{bucket}?policy"), text.as_bytes()).await
}

pub async fn canonical_id(client: &Client) -> String {
    client.get("/").await.element("ID").unwrap()
}

/// Lets policies and ACLs open the bucket to the public.
pub async fn unblock(client: &Client, bucket: &str) {
    assert_eq!(client.send("DELETE", &format!("/{bucket}?publicAccessBlock"), &[], b"").await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_stored_as_written_and_goes() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/one", b"").await;
    assert_eq!(said(&client.get("/one?policy").await), is(404, "NoSuchBucketPolicy"));
    assert_eq!(client.get("/one?policyStatus").await.element("IsPublic").as_deref(), Some("false"));
    assert_eq!(client.send("DELETE", "/one?policy", &[], b"").await.status, 204);
    let id = canonical_id(&client).await;
    let text = format!(
        "{{ \"Version\":\"2012-10-17\",\n \"Statement\":{{\"Effect\":\"Allow\",\"Principal\":{{\"CanonicalUser\":\"{id}\"}},\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::one/*\"}}}}"
    );
    assert_eq!(client.put("/one?policy", text.as_bytes()).await.status, 204);
    let answer = client.get("/one?policy").await;
    assert_eq!((answer.text(), answer.headers["content-type"].to_str().unwrap()), (text, "application/json"));
    assert_eq!(client.get("/one?policyStatus").await.element("IsPublic").as_deref(), Some("false"));
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    let client = server.client();
    assert_eq!(client.get("/one?policy").await.status, 200);
    assert_eq!(client.send("DELETE", "/one?policy", &[], b"").await.status, 204);
    assert_eq!(said(&client.get("/one?policy").await), is(404, "NoSuchBucketPolicy"));
    assert_eq!(said(&client.get("/none?policy").await), is(404, "NoSuchBucket"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_policies_are_refused() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/one", b"").await;
    let (everyone, get) = (json!("*"), json!("s3:GetObject"));
    for statement in [
        statement("Allow", json!({"AWS": "123456789012"}), get.clone(), "one/*"),
        statement("Allow", json!({"AWS": "arn:aws:iam:::user/nobody"}), get.clone(), "one/*"),
        statement("Allow", json!({"CanonicalUser": "0".repeat(64)}), get.clone(), "one/*"),
        statement("Allow", everyone.clone(), get.clone(), "two/*"),
        statement("Allow", everyone.clone(), get.clone(), "one"),
        statement("Allow", everyone.clone(), json!("s3:Fly"), "one/*"),
        json!({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::one/*",
               "Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}),
    ] {
        assert_eq!(
            said(&put_policy(&client, "one", vec![statement.clone()]).await),
            is(400, "MalformedPolicy"),
            "{statement}"
        );
    }
    assert_eq!(said(&client.put("/one?policy", b"").await), is(400, "MalformedPolicy"));
    assert_eq!(said(&client.put("/one?policy", "{".repeat(30_000).as_bytes()).await), is(400, "MalformedPolicy"));
    assert_eq!(said(&client.get("/one?policy").await), is(404, "NoSuchBucketPolicy"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_lets_another_account_in_and_no_further() {
    let server = TestServer::start().await;
    let (alice, bob) = (another_user(&server, "alice").await, another_user(&server, "bob").await);
    alice.put("/of-alice", b"").await;
    alice.put("/of-alice/open/a", b"A").await;
    alice.put("/of-alice/shut/b", b"B").await;
    assert_eq!(said(&bob.get("/of-alice/open/a").await), is(403, "AccessDenied"));
    let id = canonical_id(&bob).await;
    for principal in [json!({"CanonicalUser": id}), json!({"AWS": id}), json!({"AWS": "arn:aws:iam:::user/bob"})] {
        let allow = statement("Allow", principal, json!(["s3:GetObject", "s3:PutObject"]), "of-alice/open/*");
        assert_eq!(put_policy(&alice, "of-alice", vec![allow]).await.status, 204);
        assert_eq!(bob.get("/of-alice/open/a").await.body, b"A");
        assert_eq!(bob.send("HEAD", "/of-alice/open/a", &[], b"").await.status, 200);
        assert_eq!(said(&bob.get("/of-alice/shut/b").await), is(403, "AccessDenied"));
        assert_eq!(said(&bob.get("/of-alice").await), is(403, "AccessDenied"));
        assert_eq!(said(&bob.send("DELETE", "/of-alice/open/a", &[], b"").await), is(403, "AccessDenied"));
        assert_eq!(said(&bob.get("/of-alice?policy").await), is(403, "AccessDenied"));
        // Without the right to list, what is not there is refused like what is.
        assert_eq!(said(&bob.get("/of-alice/open/none").await), is(403, "AccessDenied"));
        assert_eq!(bob.send("HEAD", "/of-alice/open/none", &[], b"").await.status, 403);
    }
    let allow = statement("Allow", json!({"AWS": id}), json!(["s3:GetObject", "s3:ListBucket"]), "of-alice,of-alice/*");
    assert_eq!(put_policy(&alice, "of-alice", vec![allow]).await.status, 204);
    assert_eq!(said(&bob.get("/of-alice/open/none").await), is(404, "NoSuchKey"));
    assert_eq!(bob.get("/of-alice?list-type=2").await.status, 200);
    // What another writes belongs to the bucket's owner.
    assert_eq!(said(&bob.put("/of-alice/open/c", b"C").await), is(403, "AccessDenied"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deny_binds_the_owner_and_root_but_never_locks_the_policy_away() {
    let server = TestServer::start().await;
    let (root, alice) = (server.client(), another_user(&server, "alice").await);
    alice.put("/of-alice", b"").await;
    alice.put("/of-alice/k", b"x").await;
    let deny = statement("Deny", json!("*"), json!("s3:*"), "of-alice,of-alice/*");
    assert_eq!(put_policy(&alice, "of-alice", vec![deny]).await.status, 204);
    for client in [&alice, &root] {
        assert_eq!(said(&client.get("/of-alice/k").await), is(403, "AccessDenied"));
        assert_eq!(said(&client.put("/of-alice/k", b"y").await), is(403, "AccessDenied"));
        assert_eq!(said(&client.get("/of-alice").await), is(403, "AccessDenied"));
        assert_eq!(client.get("/of-alice?policy").await.status, 200);
    }
    assert_eq!(alice.send("DELETE", "/of-alice?policy", &[], b"").await.status, 204);
    assert_eq!(alice.get("/of-alice/k").await.body, b"x");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_see_the_request() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/one", b"").await;
    let deny = |action: &str, resource: &str, condition: Value| {
        let mut statement = statement("Deny", json!("*"), json!(action), resource);
        statement["Condition"] = condition;
        statement
    };
    let rules = vec![
        deny("s3:PutObject", "one/sealed/*", json!({"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}})),
        deny("s3:PutObject", "one/once/*", json!({"Null": {"s3:if-none-match": "true"}})),
        deny("s3:GetObject", "one/tls/*", json!({"Bool": {"aws:SecureTransport": "false"}})),
        deny("s3:GetObject", "one/here/*", json!({"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}})),
        deny("s3:GetObject", "one/there/*", json!({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}})),
        deny("s3:GetObject", "one/agent/*", json!({"StringLike": {"aws:UserAgent": "bad*"}})),
        deny("s3:ListBucket", "one", json!({"StringEquals": {"s3:prefix": "secret/"}})),
        deny("s3:ListBucket", "one", json!({"NumericGreaterThan": {"s3:max-keys": 10}})),
        deny("s3:GetObject", "one/signed/*", json!({"StringEquals": {"s3:authType": "REST-HEADER"}})),
        deny("s3:PutObject", "one/copies/*", json!({"StringNotLike": {"s3:x-amz-copy-source": "one/here/*"}})),
    ];
    for key in ["tls/a", "here/a", "there/a", "agent/a", "signed/a"] {
        assert_eq!(client.put(&format!("/one/{key}"), b"x").await.status, 200);
    }
    assert_eq!(put_policy(&client, "one", rules).await.status, 204);
    let denied = is(403, "AccessDenied");
    assert_eq!(said(&client.put("/one/sealed/a", b"x").await), denied);
    let sse = [("x-amz-server-side-encryption", "AES256")];
    assert_eq!(client.send("PUT", "/one/sealed/a", &sse, b"x").await.status, 200);
    assert_eq!(said(&client.put("/one/once/a", b"x").await), denied);
    assert_eq!(client.send("PUT", "/one/once/a", &[("if-none-match", "*")], b"x").await.status, 200);
    assert_eq!(said(&client.get("/one/tls/a").await), denied);
    assert_eq!(server.tls_client().get("/one/tls/a").await.status, 200);
    assert_eq!(client.get("/one/here/a").await.status, 200);
    assert_eq!(said(&client.get("/one/there/a").await), denied);
    // No header moves where a request comes from.
    let forwarded =
        [("x-forwarded-for", "203.0.113.1"), ("x-real-ip", "203.0.113.1"), ("forwarded", "for=203.0.113.1")];
    assert_eq!(said(&client.send("GET", "/one/there/a", &forwarded, b"").await), denied);
    assert_eq!(said(&client.send("GET", "/one/agent/a", &[("user-agent", "badbot/1")], b"").await), denied);
    assert_eq!(client.send("GET", "/one/agent/a", &[("user-agent", "good")], b"").await.status, 200);
    assert_eq!(said(&client.get("/one?list-type=2&prefix=secret/").await), denied);
    assert_eq!(said(&client.get("/one?list-type=2&max-keys=11").await), denied);
    assert_eq!(client.get("/one?list-type=2&max-keys=10&prefix=here/").await.status, 200);
    assert_eq!(said(&client.get("/one/signed/a").await), denied);
    let presigned = crate::support::Sign::Presigned(std::time::Duration::from_secs(60));
    assert_eq!(client.send_signed("GET", "/one/signed/a", &[], b"", &presigned).await.status, 200);
    let from = |source| [("x-amz-copy-source", source)];
    assert_eq!(client.send("PUT", "/one/copies/a", &from("/one/here%2Fa"), b"").await.status, 200);
    assert_eq!(said(&client.send("PUT", "/one/copies/b", &from("one/agent/a"), b"").await), denied);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_need_both_ends() {
    let server = TestServer::start().await;
    let (alice, bob) = (another_user(&server, "alice").await, another_user(&server, "bob").await);
    alice.put("/of-alice", b"").await;
    bob.put("/of-bob", b"").await;
    alice.put("/of-alice/open", b"A").await;
    alice.put("/of-alice/shut", b"B").await;
    let allow = statement("Allow", json!({"AWS": canonical_id(&bob).await}), json!("s3:GetObject"), "of-alice/open");
    put_policy(&alice, "of-alice", vec![allow]).await;
    let copy = async |client: &Client, target: &str, source: &str| {
        said(&client.send("PUT", target, &[("x-amz-copy-source", source)], b"").await)
    };
    assert_eq!(copy(&bob, "/of-bob/a", "of-alice/open").await.0, 200);
    assert_eq!(copy(&bob, "/of-bob/a", "of-alice/shut").await, is(403, "AccessDenied"));
    assert_eq!(copy(&bob, "/of-bob/a", "of-alice/none").await, is(403, "AccessDenied"));
    assert_eq!(copy(&bob, "/of-alice/a", "of-bob/a").await, is(403, "AccessDenied"));
    assert_eq!(copy(&alice, "/of-alice/a", "of-bob/a").await, is(403, "AccessDenied"));
    let upload = bob.send("POST", "/of-bob/m?uploads", &[], b"").await.element("UploadId").unwrap();
    let part = format!("/of-bob/m?partNumber=1&uploadId={upload}");
    assert_eq!(copy(&bob, &part, "of-alice/open").await.0, 200);
    assert_eq!(copy(&bob, &part, "of-alice/shut").await, is(403, "AccessDenied"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_of_a_bulk_delete_is_judged() {
    let server = TestServer::start().await;
    let (alice, bob) = (another_user(&server, "alice").await, another_user(&server, "bob").await);
    alice.put("/of-alice", b"").await;
    for key in ["open/a", "shut/b"] {
        alice.put(&format!("/of-alice/{key}"), b"x").await;
    }
    let allow =
        statement("Allow", json!({"AWS": canonical_id(&bob).await}), json!("s3:DeleteObject"), "of-alice/open/*");
    put_policy(&alice, "of-alice", vec![allow]).await;
    let body = b"<Delete><Object><Key>open/a</Key></Object><Object><Key>shut/b</Key></Object></Delete>";
    use base64::Engine as _;
    use md5::Digest as _;
    let md5 = base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(body));
    let leaves = server.app.engine.journal().size();
    let answer = bob.send("POST", "/of-alice?delete", &[("content-md5", &md5)], body).await;
    let text = answer.text();
    assert!(text.contains("<Deleted><Key>open/a</Key></Deleted>"), "{text}");
    assert!(text.contains("<Error><Key>shut/b</Key><Code>AccessDenied</Code>"), "{text}");
    // One leaf for what went, one for what was refused.
    assert_eq!(server.app.engine.journal().size(), leaves + 2);
    assert_eq!(alice.get("/of-alice/shut/b").await.status, 200);
    assert_eq!(said(&alice.get("/of-alice/open/a").await), is(404, "NoSuchKey"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_do_more_need_more() {
    let server = TestServer::start().await;
    let (alice, bob) = (another_user(&server, "alice").await, another_user(&server, "bob").await);
    alice.put("/of-alice", b"").await;
    let allow = |actions: Value, id: &str| statement("Allow", json!({"AWS": id}), actions, "of-alice/*");
    let id = canonical_id(&bob).await;
    put_policy(&alice, "of-alice", vec![allow(json!("s3:PutObject"), &id)]).await;
    assert_eq!(bob.put("/of-alice/k", b"x").await.status, 200);
    // What shares with the bucket's owner alone is part of writing; what shares further is not.
    assert_eq!(bob.send("PUT", "/of-alice/k", &[("x-amz-acl", "bucket-owner-full-control")], b"x").await.status, 200);
    let owner = format!("id=\"{}\"", canonical_id(&alice).await);
    let granted = bob.send("PUT", "/of-alice/k", &[("x-amz-grant-full-control", &owner)], b"x").await;
    assert_eq!(granted.status, 200);
    let both = format!("{owner},id=\"{id}\"");
    let granted = bob.send("PUT", "/of-alice/k", &[("x-amz-grant-full-control", &both)], b"x").await;
    assert_eq!(said(&granted), is(403, "AccessDenied"));
    let acl = [("x-amz-acl", "authenticated-read")];
    assert_eq!(said(&bob.send("PUT", "/of-alice/k", &acl, b"x").await), is(403, "AccessDenied"));
    assert_eq!(said(&bob.send("POST", "/of-alice/k?uploads", &acl, b"").await), is(403, "AccessDenied"));
    assert_eq!(said(&bob.get("/of-alice/k?attributes").await), is(403, "AccessDenied"));
    put_policy(&alice, "of-alice", vec![allow(json!(["s3:PutObject", "s3:PutObjectAcl"]), &id)]).await;
    let further = bob.send("PUT", "/of-alice/k", &acl, b"x").await;
    assert_eq!(said(&further), is(400, "AccessControlListNotSupported"));
    let deny = statement("Deny", json!({"AWS": id}), json!("s3:PutObjectAcl"), "of-alice/*");
    put_policy(&alice, "of-alice", vec![allow(json!("s3:PutObject"), &id), deny]).await;
    let refused = bob.send("PUT", "/of-alice/k", &[("x-amz-acl", "bucket-owner-full-control")], b"x").await;
    assert_eq!(said(&refused), is(403, "AccessDenied"));
    put_policy(&alice, "of-alice", vec![allow(json!("s3:PutObject"), &id)]).await;
    assert_eq!(said(&bob.get("/of-alice/k?versionId=null").await), is(403, "AccessDenied"));
    put_policy(&alice, "of-alice", vec![allow(json!("s3:GetObjectVersion"), &id)]).await;
    assert_eq!(bob.get("/of-alice/k?versionId=null").await.status, 200);
    assert_eq!(said(&bob.get("/of-alice/k").await), is(403, "AccessDenied"));
    server.stop().await;
}
