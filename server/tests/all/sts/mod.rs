//! STS and roles: temporary credentials, for whom, to what, until when.

mod tags;
pub(crate) mod web_identity;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::buckets::{another_user, said};
use crate::iam::{account_number, allow, call, member};
use crate::policy::{is, put_policy, statement};
use crate::support::{Answer, Client, Sign, TestServer};

/// A trust policy of one statement.
fn trust(principal: Value, action: &str, condition: Value) -> String {
    let statement = json!({"Effect": "Allow", "Principal": principal, "Action": action, "Condition": condition});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// Makes a role that may do everything in S3; its ARN comes back.
async fn role(iam: &Client, name: &str, trust: &str) -> String {
    let made = call(iam, "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", trust)]).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let policy = [("RoleName", name), ("PolicyName", "all"), ("PolicyDocument", &allow("s3:*", "*"))];
    assert_eq!(call(iam, "PutRolePolicy", &policy).await.status, 200);
    made.element("Arn").unwrap()
}

async fn assume(client: &Client, arn: &str, more: &[(&str, &str)]) -> Answer {
    let mut parameters = vec![("RoleArn", arn), ("RoleSessionName", "of-mine")];
    parameters.extend_from_slice(more);
    call(&client.clone().for_sts(), "AssumeRole", &parameters).await
}

/// An account with a bucket `one`, an object in it, and its IAM.
async fn alice(server: &TestServer) -> (Client, Client, String) {
    let alice = another_user(server, "alice").await;
    let iam = alice.clone().for_iam(server.data.path());
    assert_eq!(alice.put("/one", b"").await.status, 200);
    assert_eq!(alice.put("/one/k", b"x").await.status, 200);
    let number = account_number(&iam).await;
    (alice, iam, number)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_assumed_by_who_may() {
    let server = TestServer::start().await;
    let (alice, iam, number) = alice(&server).await;
    let (ann, ben) = (member(&iam, &alice, "ann").await, member(&iam, &alice, "ben").await);
    let denied = is(403, "AccessDenied");
    let by_name = trust(json!({"AWS": format!("arn:aws:iam::{number}:user/ann")}), "sts:AssumeRole", json!({}));
    let arn = role(&iam, "reader", &by_name).await;
    assert_eq!(arn, format!("arn:aws:iam::{number}:role/reader"));
    // Named itself, a member of the same account needs nothing more; another gets nothing.
    let answer = assume(&ann, &arn, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.element("AccessKeyId").unwrap().starts_with("ASIA"));
    assert_eq!(answer.element("Arn").unwrap(), format!("arn:aws:sts::{number}:assumed-role/reader/of-mine"));
    assert!(answer.element("AssumedRoleId").unwrap().ends_with(":of-mine"));
    assert_eq!(said(&assume(&ben, &arn, &[]).await), denied);
    let session = ann.clone().with_credentials_of(&answer);
    assert_eq!(session.get("/one/k").await.body, b"x");
    assert_eq!(session.put("/one/new", b"y").await.status, 200);
    assert_eq!(said(&ann.get("/one/k").await), denied);
    // Who it is.
    let identity = call(&session.clone().for_sts(), "GetCallerIdentity", &[]).await;
    assert_eq!(identity.element("Arn").unwrap(), format!("arn:aws:sts::{number}:assumed-role/reader/of-mine"));
    assert_eq!(identity.element("Account").unwrap(), number);
    // Named through the account, a member needs a policy of its own.
    let by_account = trust(json!({"AWS": number}), "sts:AssumeRole", json!({}));
    let update = [("RoleName", "reader"), ("PolicyDocument", by_account.as_str())];
    assert_eq!(call(&iam, "UpdateAssumeRolePolicy", &update).await.status, 200);
    assert_eq!(said(&assume(&ann, &arn, &[]).await), denied);
    let policy = [("UserName", "ann"), ("PolicyName", "go"), ("PolicyDocument", &allow("sts:AssumeRole", &arn))];
    assert_eq!(call(&iam, "PutUserPolicy", &policy).await.status, 200);
    assert_eq!(assume(&ann, &arn, &[]).await.status, 200);
    assert_eq!(assume(&alice, &arn, &[]).await.status, 200);
    // What does not exist is refused as what is closed.
    let missing = assume(&alice, &format!("arn:aws:iam::{number}:role/nobody"), &[]).await;
    assert_eq!(said(&missing), denied);
    assert_eq!(said(&assume(&alice, "arn:aws:iam::000000000000:role/reader", &[]).await), denied);
    assert_eq!(said(&assume(&alice.clone().anonymous(), &arn, &[]).await), is(403, "MissingAuthenticationToken"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_needs_both_sides_and_its_external_id() {
    let server = TestServer::start().await;
    let (alice, iam, _) = alice(&server).await;
    let bob = another_user(&server, "bob").await;
    let of_bob = bob.clone().for_iam(server.data.path());
    let bobs_number = account_number(&of_bob).await;
    let condition = json!({"StringEquals": {"sts:ExternalId": "secret-7"}});
    let arn = role(&iam, "guest", &trust(json!({"AWS": bobs_number}), "sts:AssumeRole", condition)).await;
    let denied = is(403, "AccessDenied");
    assert_eq!(said(&assume(&bob, &arn, &[]).await), denied);
    assert_eq!(said(&assume(&bob, &arn, &[("ExternalId", "other")]).await), denied);
    let answer = assume(&bob, &arn, &[("ExternalId", "secret-7")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let session = bob.clone().with_credentials_of(&answer);
    assert_eq!(session.get("/one/k").await.body, b"x");
    // What it makes belongs to the account of the role.
    assert_eq!(session.put("/of-the-guest", b"").await.status, 200);
    assert_eq!(alice.get("/of-the-guest").await.status, 200);
    assert_eq!(said(&bob.get("/of-the-guest").await), denied);
    // A member of the other account needs a policy of its own.
    let bea = member(&of_bob, &bob, "bea").await;
    assert_eq!(said(&assume(&bea, &arn, &[("ExternalId", "secret-7")]).await), denied);
    // Root administers the tenant, and still is nobody to this role.
    assert_eq!(said(&assume(&server.client(), &arn, &[("ExternalId", "secret-7")]).await), denied);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_policy_narrows_and_never_adds() {
    let server = TestServer::start().await;
    let (alice, iam, number) = alice(&server).await;
    let arn = role(&iam, "worker", &trust(json!({"AWS": number}), "sts:AssumeRole", json!({}))).await;
    let only_read = allow("s3:GetObject", "arn:aws:s3:::one/*");
    let narrowed = async |more: &[(&str, &str)]| {
        let answer = assume(&alice, &arn, more).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.element("PackedPolicySize").is_some());
        alice.clone().with_credentials_of(&answer)
    };
    let denied = is(403, "AccessDenied");
    let reader = narrowed(&[("Policy", &only_read)]).await;
    assert_eq!(reader.get("/one/k").await.status, 200);
    assert_eq!(said(&reader.put("/one/k", b"y").await), denied);
    // Not even what a bucket's policy grants to the session.
    let session_arn = format!("arn:aws:sts::{number}:assumed-role/worker/of-mine");
    let to_session = vec![statement("Allow", json!({"AWS": session_arn}), json!("s3:PutObject"), "one/*")];
    assert_eq!(put_policy(&alice, "one", to_session).await.status, 204);
    assert_eq!(said(&reader.put("/one/k", b"y").await), denied);
    // Managed ones narrow together with it: what one of them allows.
    let built_in = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    let both = narrowed(&[("Policy", &allow("s3:PutObject", "*")), ("PolicyArns.member.1.arn", built_in)]).await;
    assert_eq!(both.get("/one/k").await.status, 200);
    assert_eq!(both.put("/one/k", b"y").await.status, 200);
    assert_eq!(said(&both.send("DELETE", "/one/k", &[], b"").await), denied);
    // What the role may not, no session policy adds.
    let less = [("RoleName", "worker"), ("PolicyName", "all"), ("PolicyDocument", &allow("s3:ListBucket", "*"))];
    assert_eq!(call(&iam, "PutRolePolicy", &less).await.status, 200);
    assert_eq!(said(&reader.get("/one/k").await), denied);
    assert_eq!(said(&assume(&alice, &arn, &[("Policy", "{}")]).await), is(400, "MalformedPolicyDocument"));
    let long = allow("s3:GetObject", &format!("arn:aws:s3:::one/{}", "k".repeat(2048)));
    assert_eq!(said(&assume(&alice, &arn, &[("Policy", &long)]).await), is(400, "PackedPolicyTooLarge"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_last_as_long_as_they_may() {
    let server = TestServer::start().await;
    let (alice, iam, number) = alice(&server).await;
    let arn = role(&iam, "worker", &trust(json!({"AWS": number}), "sts:AssumeRole", json!({}))).await;
    let invalid = is(400, "ValidationError");
    let duration = async |seconds: &str| assume(&alice, &arn, &[("DurationSeconds", seconds)]).await;
    assert_eq!(duration("900").await.status, 200);
    assert_eq!(duration("3600").await.status, 200);
    for bad in ["899", "3601", "43201", "x", "-1"] {
        assert_eq!(said(&duration(bad).await), invalid, "{bad}");
    }
    let longer = [("RoleName", "worker"), ("MaxSessionDuration", "7200")];
    assert_eq!(call(&iam, "UpdateRole", &longer).await.status, 200);
    assert_eq!(duration("7200").await.status, 200);
    assert_eq!(said(&duration("7201").await), invalid);
    // A role that a role assumes gets an hour at most.
    let session = alice.clone().with_credentials_of(&duration("7200").await);
    let policy = [("RoleName", "worker"), ("PolicyName", "go"), ("PolicyDocument", &allow("sts:AssumeRole", "*"))];
    assert_eq!(call(&iam, "PutRolePolicy", &policy).await.status, 200);
    assert_eq!(assume(&session, &arn, &[("DurationSeconds", "3600")]).await.status, 200);
    assert_eq!(said(&assume(&session, &arn, &[("DurationSeconds", "3601")]).await), invalid);
    for name in ["x", "a b", &"n".repeat(65)] {
        let named = [("RoleArn", arn.as_str()), ("RoleSessionName", name)];
        assert_eq!(said(&call(&alice.clone().for_sts(), "AssumeRole", &named).await), invalid, "{name}");
    }
    // What ends tonight is over tomorrow; the client's clock cannot say otherwise.
    let forged = alice.clone().at_time(SystemTime::now() + Duration::from_secs(2 * 3600));
    assert_eq!(said(&forged.get("/one/k").await), is(403, "RequestTimeTooSkewed"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_with_what_it_hangs_on() {
    let server = TestServer::start().await;
    let (alice, iam, number) = alice(&server).await;
    let ann = member(&iam, &alice, "ann").await;
    let ann_id = ann.credentials().0;
    let everybody = trust(json!({"AWS": format!("arn:aws:iam::{number}:user/ann")}), "sts:AssumeRole", json!({}));
    let arn = role(&iam, "worker", &everybody).await;
    let answer = assume(&ann, &arn, &[]).await;
    let session = ann.clone().with_credentials_of(&answer);
    let invalid = is(400, "InvalidToken");
    assert_eq!(session.get("/one/k").await.status, 200);
    // The key that asked for it.
    let set = async |status: &str| {
        let key = [("UserName", "ann"), ("AccessKeyId", ann_id.as_str()), ("Status", status)];
        assert_eq!(call(&iam, "UpdateAccessKey", &key).await.status, 200);
    };
    set("Inactive").await;
    assert_eq!(said(&session.get("/one/k").await), invalid);
    set("Active").await;
    assert_eq!(session.get("/one/k").await.status, 200);
    // A role of the same name is another.
    assert_eq!(said(&call(&iam, "DeleteRole", &[("RoleName", "worker")]).await), is(409, "DeleteConflict"));
    let policy = [("RoleName", "worker"), ("PolicyName", "all")];
    assert_eq!(call(&iam, "DeleteRolePolicy", &policy).await.status, 200);
    assert_eq!(said(&session.get("/one/k").await), is(403, "AccessDenied"));
    assert_eq!(call(&iam, "DeleteRole", &[("RoleName", "worker")]).await.status, 200);
    assert_eq!(said(&session.get("/one/k").await), invalid);
    role(&iam, "worker", &everybody).await;
    assert_eq!(said(&session.get("/one/k").await), invalid);
    // A user's own session goes with the user.
    let granted = [("UserName", "ann"), ("PolicyName", "all"), ("PolicyDocument", &allow("s3:*", "*"))];
    assert_eq!(call(&iam, "PutUserPolicy", &granted).await.status, 200);
    let own = ann.clone().with_credentials_of(&call(&ann.clone().for_sts(), "GetSessionToken", &[]).await);
    assert_eq!(own.get("/one/k").await.status, 200);
    assert_eq!(call(&iam, "DeleteAccessKey", &[("UserName", "ann"), ("AccessKeyId", &ann_id)]).await.status, 200);
    assert_eq!(said(&own.get("/one/k").await), invalid);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_taken_as_they_are_or_not_at_all() {
    let server = TestServer::start().await;
    let (alice, iam, _) = alice(&server).await;
    let answer = call(&alice.clone().for_sts(), "GetSessionToken", &[("DurationSeconds", "900")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let session = alice.clone().with_credentials_of(&answer);
    assert_eq!(session.get("/one/k").await.body, b"x");
    // In a presigned URL, where another token would be another URL.
    let presigned = Sign::Presigned(Duration::from_secs(60));
    assert_eq!(session.send_signed("GET", "/one/k", &[], b"", &presigned).await.status, 200);
    let invalid = is(400, "InvalidToken");
    let token = session.token().unwrap().to_owned();
    let flipped = format!("{}{}", if token.starts_with('A') { 'B' } else { 'A' }, &token[1..]);
    for bad in [flipped.as_str(), &token[1..], &token[..token.len() - 4], "x", "%00"] {
        let client = session.clone().with_token(Some(bad));
        assert_eq!(said(&client.get("/one/k").await), invalid, "{bad}");
        assert_eq!(said(&client.send_signed("GET", "/one/k", &[], b"", &presigned).await), invalid, "{bad}");
    }
    assert_eq!(said(&session.clone().with_token(None).get("/one/k").await), is(403, "InvalidAccessKeyId"));
    // A long-lived key has no token, and a token no other key.
    assert_eq!(said(&alice.clone().with_token(Some(&token)).get("/one/k").await), invalid);
    let other = alice.clone().with_credentials_of(&call(&alice.clone().for_sts(), "GetSessionToken", &[]).await);
    assert_eq!(said(&other.with_token(Some(&token)).get("/one/k").await), invalid);
    // An own session is not for IAM, nor for another session; it may ask who it is.
    let (own_iam, own_sts) = (session.clone().for_iam(server.data.path()), session.clone().for_sts());
    assert_eq!(said(&call(&own_iam, "ListUsers", &[]).await), is(403, "AccessDenied"));
    assert_eq!(said(&call(&own_sts, "GetSessionToken", &[]).await), is(403, "AccessDenied"));
    assert_eq!(call(&own_sts, "GetCallerIdentity", &[]).await.status, 200);
    let bad = session.clone().with_token(Some(&flipped)).for_sts();
    assert_eq!(said(&call(&bad, "GetCallerIdentity", &[]).await), is(403, "InvalidClientTokenId"));
    // It survives a restart: nothing of it is kept here.
    let credentials = session.credentials();
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    let session = Client::new(server.address, credentials).with_token(Some(&token));
    assert_eq!(session.get("/one/k").await.status, 200);
    // Another server's is nobody's here.
    let stranger = TestServer::start().await;
    let there = another_user(&stranger, "alice").await.for_sts();
    let theirs = session.clone().with_credentials_of(&call(&there, "GetSessionToken", &[]).await);
    assert_eq!(said(&theirs.get("/one/k").await), invalid);
    drop(iam);
    stranger.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_say_which_service_is_meant() {
    let server = TestServer::start().await;
    let (alice, _, _) = alice(&server).await;
    assert_eq!(call(&alice.clone().for_sts(), "GetCallerIdentity", &[]).await.status, 200);
    assert_eq!(call(&alice.clone().for_service("iam"), "ListRoles", &[]).await.status, 200);
    // A signature for one is none for another.
    assert_eq!(call(&alice, "GetCallerIdentity", &[]).await.status, 403);
    assert_eq!(alice.clone().for_sts().get("/one/k").await.status, 400);
    assert_eq!(said(&call(&alice.clone().for_sts(), "Fly", &[]).await), is(400, "InvalidAction"));
    // S3's own POST to a bucket and its listing stay what they were.
    assert_eq!(alice.get("/").await.status, 200);
    assert_eq!(alice.send("POST", "/", &[], b"").await.status, 405);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_kept_and_listed() {
    let server = TestServer::start().await;
    let (_, iam, number) = alice(&server).await;
    let text = trust(json!({"AWS": number}), "sts:AssumeRole", json!({}));
    for name in ["a", "b", "c"] {
        role(&iam, name, &text).await;
    }
    let again = [("RoleName", "a"), ("AssumeRolePolicyDocument", text.as_str())];
    assert_eq!(said(&call(&iam, "CreateRole", &again).await), is(409, "EntityAlreadyExists"));
    let got = call(&iam, "GetRole", &[("RoleName", "a")]).await;
    assert_eq!(got.element("MaxSessionDuration").unwrap(), "3600");
    assert!(got.element("RoleId").unwrap().starts_with("AROA"));
    let page = call(&iam, "ListRoles", &[("MaxItems", "2")]).await;
    assert_eq!((page.element("IsTruncated").unwrap().as_str(), page.text().matches("<RoleName>").count()), ("true", 2));
    let rest = call(&iam, "ListRoles", &[("Marker", &page.element("Marker").unwrap())]).await;
    assert!(rest.text().contains("<RoleName>c</RoleName>") && !rest.text().contains("<RoleName>b</RoleName>"));
    assert_eq!(rest.element("IsTruncated").unwrap(), "false");
    assert_eq!(said(&call(&iam, "ListRoles", &[("MaxItems", "0")]).await), is(400, "ValidationError"));
    let malformed = is(400, "MalformedPolicyDocument");
    for bad in [
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}).to_string(),
        trust(json!({"AWS": number}), "s3:GetObject", json!({})),
        trust(json!({"AWS": "arn:aws:iam::000000000000:user/nobody"}), "sts:AssumeRole", json!({})),
        allow("sts:AssumeRole", "*"),
        "{}".to_owned(),
    ] {
        let asked = [("RoleName", "bad"), ("AssumeRolePolicyDocument", bad.as_str())];
        assert_eq!(said(&call(&iam, "CreateRole", &asked).await), malformed, "{bad}");
    }
    let built_in = [("RoleName", "a"), ("PolicyArn", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")];
    assert_eq!(call(&iam, "AttachRolePolicy", &built_in).await.status, 200);
    assert!(call(&iam, "ListAttachedRolePolicies", &[("RoleName", "a")]).await.text().contains("AmazonS3ReadOnly"));
    assert_eq!(call(&iam, "DetachRolePolicy", &built_in).await.status, 200);
    let names = call(&iam, "ListRolePolicies", &[("RoleName", "a")]).await.text();
    assert!(names.contains("<member>all</member>"));
    assert!(call(&iam, "GetRolePolicy", &[("RoleName", "a"), ("PolicyName", "all")]).await.text().contains("s3%3A%2A"));
    assert_eq!(said(&call(&iam, "GetRole", &[("RoleName", "z")]).await), is(404, "NoSuchEntity"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_see_the_session() {
    let server = TestServer::start().await;
    let (alice, iam, number) = alice(&server).await;
    let bob = another_user(&server, "bob").await;
    let of_bob = bob.clone().for_iam(server.data.path());
    let bobs = account_number(&of_bob).await;
    let arn = role(&of_bob, "worker", &trust(json!({"AWS": bobs}), "sts:AssumeRole", json!({}))).await;
    let session = bob.clone().with_credentials_of(&assume(&bob, &arn, &[]).await);
    let denied = is(403, "AccessDenied");
    assert_eq!(said(&session.get("/one/k").await), denied);
    let by = |principal: &str| vec![statement("Allow", json!({"AWS": principal}), json!("s3:GetObject"), "one/*")];
    for principal in [arn.as_str(), &format!("arn:aws:sts::{bobs}:assumed-role/worker/of-mine"), &bobs] {
        assert_eq!(put_policy(&alice, "one", by(principal)).await.status, 204, "{principal}");
        assert_eq!(session.get("/one/k").await.status, 200, "{principal}");
    }
    let other = format!("arn:aws:sts::{bobs}:assumed-role/worker/another");
    assert_eq!(put_policy(&alice, "one", by(&other)).await.status, 204);
    assert_eq!(said(&session.get("/one/k").await), denied);
    let with_condition = |condition: Value| {
        let mut one = statement("Allow", json!({"AWS": bobs}), json!("s3:GetObject"), "one/*");
        one["Condition"] = condition;
        vec![one]
    };
    for (condition, holds) in [
        (json!({"ArnEquals": {"aws:PrincipalArn": arn}}), true),
        (json!({"StringLike": {"aws:userid": "AROA*:of-mine"}}), true),
        (json!({"StringEquals": {"aws:PrincipalType": "AssumedRole"}}), true),
        (json!({"DateGreaterThan": {"aws:TokenIssueTime": "2020-01-01T00:00:00Z"}}), true),
        (json!({"DateLessThan": {"aws:TokenIssueTime": "2020-01-01T00:00:00Z"}}), false),
        (json!({"Null": {"aws:TokenIssueTime": "true"}}), false),
        (json!({"StringEquals": {"aws:username": "bob"}}), false),
    ] {
        assert_eq!(put_policy(&alice, "one", with_condition(condition.clone())).await.status, 204);
        let expected = if holds { 200 } else { 403 };
        assert_eq!(session.get("/one/k").await.status, expected, "{condition}");
    }
    let missing = by(&format!("arn:aws:iam::{number}:role/nobody"));
    assert_eq!(said(&put_policy(&alice, "one", missing).await), is(400, "MalformedPolicy"));
    drop(iam);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_name_who_is_behind_a_role() {
    let server = TestServer::start().await;
    let (alice, iam, number) = alice(&server).await;
    let (ann, ben) = (member(&iam, &alice, "ann").await, member(&iam, &alice, "ben").await);
    let anybody =
        json!({"AWS": [format!("arn:aws:iam::{number}:user/ann"), format!("arn:aws:iam::{number}:user/ben")]});
    let arn = role(&iam, "worker", &trust(anybody, "sts:AssumeRole", json!({}))).await;
    let role_id = call(&iam, "GetRole", &[("RoleName", "worker")]).await.element("RoleId").unwrap();
    for (who, key) in [(&ann, "by-ann"), (&ben, "by-ben")] {
        let session = who.clone().with_credentials_of(&assume(who, &arn, &[]).await);
        assert_eq!(session.put(&format!("/one/{key}"), b"x").await.status, 200);
    }
    let app = Arc::clone(&server.app);
    let pid = |name: &str| {
        let row = app.engine.user(name).unwrap().unwrap();
        app.pseudonyms.of(&row.id, app.now_us())
    };
    let leaves = all_leaves(&server);
    let by = |pid: &str| {
        leaves.iter().any(|leaf| {
            leaf["actor"]["pid"] == pid
                && leaf["actor"]["role"] == format!("assumed-role/{role_id}").as_str()
                && leaf["type"] == "object.deposit"
        })
    };
    assert!(by(&pid("ann")) && by(&pid("ben")), "{leaves:?}");
    assert!(!by(&pid("alice")));
    server.stop().await;
}

/// Every leaf of the `cycle` log so far.
fn all_leaves(server: &TestServer) -> Vec<Value> {
    let journal = server.app.engine.journal();
    (0..journal.size()).map(|index| serde_json::from_slice(&journal.leaf(index).unwrap()).unwrap()).collect()
}
