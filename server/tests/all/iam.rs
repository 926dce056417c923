//! The IAM API on the admin port: users with policies, keys that end, groups.

use serde_json::json;

use crate::buckets::{another_user, said};
use crate::policy::{canonical_id, is, put_policy, statement};
use crate::support::{Answer, Client, TestServer};

/// Calls an action of IAM.
pub async fn call(client: &Client, action: &str, parameters: &[(&str, &str)]) -> Answer {
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let mut form = format!("Action={action}&Version=2010-05-08");
    for (name, value) in parameters {
        form.push_str(&format!("&{name}={}", encode(value)));
    }
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    client.send("POST", "/", &headers, form.as_bytes()).await
}

pub fn allow(action: &str, resource: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": resource}})
        .to_string()
}

/// A user of an account, with a key.
pub async fn member(iam: &Client, s3: &Client, name: &str) -> Client {
    assert_eq!(call(iam, "CreateUser", &[("UserName", name)]).await.status, 200);
    let answer = call(iam, "CreateAccessKey", &[("UserName", name)]).await;
    s3.clone().acting_as(&answer.element("AccessKeyId").unwrap(), &answer.element("SecretAccessKey").unwrap())
}

pub async fn account_number(iam: &Client) -> String {
    let arn = call(iam, "GetUser", &[]).await.element("Arn").unwrap();
    arn.split(':').nth(4).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_may_what_its_policies_say() {
    let server = TestServer::start().await;
    let alice = another_user(&server, "alice").await;
    let iam = alice.clone().for_iam(server.data.path());
    alice.put("/one", b"").await;
    alice.put("/one/k", b"x").await;
    let ann = member(&iam, &alice, "ann").await;
    let denied = is(403, "AccessDenied");
    assert_eq!(said(&ann.get("/").await), denied);
    assert_eq!(said(&ann.get("/one/k").await), denied);

    let put = async |name: &str, text: &str| {
        call(&iam, "PutUserPolicy", &[("UserName", "ann"), ("PolicyName", name), ("PolicyDocument", text)]).await
    };
    assert_eq!(put("read", &allow("s3:GetObject", "arn:aws:s3:::one/*")).await.status, 200);
    assert_eq!(ann.get("/one/k").await.body, b"x");
    assert_eq!(said(&ann.put("/one/k", b"y").await), denied);
    assert_eq!(put("all", &allow("s3:*", "*")).await.status, 200);
    // What a member makes belongs to its account.
    assert_eq!(ann.put("/of-ann", b"").await.status, 200);
    assert_eq!(canonical_id(&ann).await, canonical_id(&alice).await);
    assert_eq!(alice.get("/of-ann").await.status, 200);
    let deny = json!({"Version": "2012-10-17", "Statement":
        {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::one/${aws:username}"}});
    assert_eq!(put("deny", &deny.to_string()).await.status, 200);
    assert_eq!(said(&ann.put("/one/ann", b"y").await), denied);
    assert_eq!(ann.put("/one/other", b"y").await.status, 200);
    assert_eq!(said(&put("bad", "{}").await), is(400, "MalformedPolicyDocument"));

    let listed = call(&iam, "ListUserPolicies", &[("UserName", "ann")]).await.text();
    assert!(listed.contains("<member>all</member><member>deny</member><member>read</member>"), "{listed}");
    for name in ["all", "deny", "read"] {
        let of_ann = [("UserName", "ann"), ("PolicyName", name)];
        assert_eq!(call(&iam, "DeleteUserPolicy", &of_ann).await.status, 200);
    }
    assert_eq!(said(&ann.get("/one/k").await), denied);
    // A bucket's policy reaches a member by its own name; by its account's, the account still decides.
    let number = account_number(&iam).await;
    let by = |principal: String| vec![statement("Allow", json!({"AWS": principal}), json!("s3:GetObject"), "one/*")];
    assert_eq!(put_policy(&alice, "one", by(number.clone())).await.status, 204);
    assert_eq!(said(&ann.get("/one/k").await), denied);
    assert_eq!(put_policy(&alice, "one", by(format!("arn:aws:iam::{number}:user/ann"))).await.status, 204);
    assert_eq!(ann.get("/one/k").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_do_not_see_each_others_users() {
    let server = TestServer::start().await;
    let (alice, bob) = (another_user(&server, "alice").await, another_user(&server, "bob").await);
    let (of_alice, of_bob) = (alice.clone().for_iam(server.data.path()), bob.for_iam(server.data.path()));
    let ann = member(&of_alice, &alice, "ann").await;
    assert_eq!(said(&call(&of_bob, "GetUser", &[("UserName", "ann")]).await), is(404, "NoSuchEntity"));
    assert_eq!(said(&call(&of_bob, "CreateAccessKey", &[("UserName", "alice")]).await), is(404, "NoSuchEntity"));
    assert_eq!(said(&call(&of_bob, "DeleteUser", &[("UserName", "ann")]).await), is(404, "NoSuchEntity"));
    assert_eq!(said(&call(&of_bob, "CreateUser", &[("UserName", "ann")]).await), is(409, "EntityAlreadyExists"));
    assert!(!call(&of_bob, "ListUsers", &[]).await.text().contains("ann"));
    assert!(call(&of_alice, "ListUsers", &[]).await.text().contains("<UserName>ann</UserName>"));
    // A member without a policy for it administers nothing.
    let ann = ann.for_iam(server.data.path());
    assert_eq!(said(&call(&ann, "CreateUser", &[("UserName", "eve")]).await), is(403, "AccessDenied"));
    assert_eq!(said(&call(&ann, "CreateAccessKey", &[("UserName", "alice")]).await), is(403, "AccessDenied"));
    let stranger = alice.clone().for_iam(server.data.path()).anonymous();
    assert_eq!(call(&stranger, "ListUsers", &[]).await.status, 404);
    let wrong = alice.acting_as("CHTRNOBODY", "x").for_iam(server.data.path());
    assert_eq!(said(&call(&wrong, "ListUsers", &[]).await), is(403, "InvalidClientTokenId"));
    assert_eq!(said(&call(&of_alice, "Fly", &[]).await), is(400, "InvalidAction"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_disabled_and_removed() {
    let server = TestServer::start().await;
    let alice = another_user(&server, "alice").await;
    let iam = alice.clone().for_iam(server.data.path());
    let answer = call(&iam, "CreateAccessKey", &[]).await;
    let id = answer.element("AccessKeyId").unwrap();
    let second = alice.clone().acting_as(&id, &answer.element("SecretAccessKey").unwrap());
    assert_eq!(second.get("/").await.status, 200);
    let set = async |status: &str| {
        call(&iam, "UpdateAccessKey", &[("AccessKeyId", &id), ("Status", status)]).await.status.as_u16()
    };
    assert_eq!(set("Inactive").await, 200);
    assert_eq!(said(&second.get("/").await), is(403, "InvalidAccessKeyId"));
    let listed = call(&iam, "ListAccessKeys", &[]).await.text();
    assert!(listed.contains("Inactive") && listed.matches("<member>").count() == 2, "{listed}");
    assert_eq!(set("Active").await, 200);
    assert_eq!(second.get("/").await.status, 200);
    assert_eq!(set("Asleep").await, 400);
    assert_eq!(call(&iam, "DeleteAccessKey", &[("AccessKeyId", &id)]).await.status, 200);
    assert_eq!(said(&second.get("/").await), is(403, "InvalidAccessKeyId"));
    // Root keeps a key that works.
    let root = server.client();
    let iam = root.clone().for_iam(server.data.path());
    let id = server.root_credentials().0;
    let answer = call(&iam, "UpdateAccessKey", &[("AccessKeyId", &id), ("Status", "Inactive")]).await;
    assert_eq!(said(&answer), is(409, "DeleteConflict"));
    assert_eq!(root.get("/").await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_managed_policies() {
    let server = TestServer::start().await;
    let alice = another_user(&server, "alice").await;
    let iam = alice.clone().for_iam(server.data.path());
    alice.put("/one", b"").await;
    alice.put("/one/k", b"x").await;
    let ann = member(&iam, &alice, "ann").await;
    let text = allow("s3:GetObject", "arn:aws:s3:::one/*");
    let created = call(&iam, "CreatePolicy", &[("PolicyName", "reader"), ("PolicyDocument", &text)]).await;
    let arn = created.element("Arn").unwrap();
    assert_eq!(call(&iam, "CreateGroup", &[("GroupName", "readers")]).await.status, 200);
    let attachment = [("GroupName", "readers"), ("PolicyArn", arn.as_str())];
    assert_eq!(call(&iam, "AttachGroupPolicy", &attachment).await.status, 200);
    let of_ann = [("GroupName", "readers"), ("UserName", "ann")];
    assert_eq!(said(&ann.get("/one/k").await), is(403, "AccessDenied"));
    assert_eq!(call(&iam, "AddUserToGroup", &of_ann).await.status, 200);
    assert_eq!(ann.get("/one/k").await.status, 200);
    assert!(call(&iam, "GetGroup", &[("GroupName", "readers")]).await.text().contains("<UserName>ann</UserName>"));
    assert!(call(&iam, "ListGroupsForUser", &[("UserName", "ann")]).await.text().contains("readers"));
    assert_eq!(said(&call(&iam, "DeletePolicy", &[("PolicyArn", &arn)]).await), is(409, "DeleteConflict"));
    assert_eq!(said(&call(&iam, "DeleteGroup", &[("GroupName", "readers")]).await), is(409, "DeleteConflict"));
    assert_eq!(said(&call(&iam, "DeleteUser", &[("UserName", "ann")]).await), is(409, "DeleteConflict"));
    assert_eq!(call(&iam, "RemoveUserFromGroup", &of_ann).await.status, 200);
    assert_eq!(said(&ann.get("/one/k").await), is(403, "AccessDenied"));
    let built_in = [("UserName", "ann"), ("PolicyArn", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")];
    assert_eq!(call(&iam, "AttachUserPolicy", &built_in).await.status, 200);
    // It survives a restart, and so do groups.
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    let ann = Client::new(server.address, ann.credentials());
    let iam = Client::new(server.address, iam.credentials()).for_iam(server.data.path());
    assert_eq!(ann.get("/one/k").await.status, 200);
    assert_eq!(call(&iam, "DetachUserPolicy", &built_in).await.status, 200);
    assert_eq!(said(&ann.get("/one/k").await), is(403, "AccessDenied"));
    assert_eq!(call(&iam, "DetachGroupPolicy", &attachment).await.status, 200);
    assert_eq!(call(&iam, "DeleteGroup", &[("GroupName", "readers")]).await.status, 200);
    assert_eq!(call(&iam, "DeletePolicy", &[("PolicyArn", &arn)]).await.status, 200);
    let key = call(&iam, "ListAccessKeys", &[("UserName", "ann")]).await.element("AccessKeyId").unwrap();
    assert_eq!(call(&iam, "DeleteAccessKey", &[("UserName", "ann"), ("AccessKeyId", &key)]).await.status, 200);
    assert_eq!(call(&iam, "DeleteUser", &[("UserName", "ann")]).await.status, 200);
    assert_eq!(said(&ann.get("/one/k").await), is(403, "InvalidAccessKeyId"));
    server.stop().await;
}
