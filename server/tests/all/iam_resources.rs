//! What actions of the IAM API are about: a member's policies are asked for the user, group, role, policy or
//! provider that it names, with its path.

use serde_json::{Value, json};

use crate::buckets::{another_user, said};
use crate::iam::{account_number, allow, call, member};
use crate::policy::is;
use crate::support::{Answer, Client, TestServer};

/// An account, its IAM, its number, and a member `ann` with its S3 and IAM clients.
struct House {
    server: TestServer,
    iam: Client,
    number: String,
    ann: Client,
}

impl House {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let alice = another_user(&server, "alice").await;
        let iam = alice.clone().for_iam(server.data.path());
        let number = account_number(&iam).await;
        let ann = member(&iam, &alice, "ann").await.for_iam(server.data.path());
        Self { server, iam, number, ann }
    }

    /// What `ann` may, in place of what it might before.
    async fn let_ann(&self, policy: &str) {
        let put = [("UserName", "ann"), ("PolicyName", "p"), ("PolicyDocument", policy)];
        let answer = call(&self.iam, "PutUserPolicy", &put).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn arn(&self, rest: &str) -> String {
        format!("arn:aws:iam::{}:{rest}", self.number)
    }
}

async fn ok(client: &Client, action: &str, parameters: &[(&str, &str)]) -> Answer {
    let answer = call(client, action, parameters).await;
    assert_eq!(answer.status, 200, "{action} {parameters:?}: {}", answer.text());
    answer
}

async fn refused(client: &Client, action: &str, parameters: &[(&str, &str)]) -> String {
    let answer = call(client, action, parameters).await;
    assert_eq!(said(&answer), is(403, "AccessDenied"), "{action} {parameters:?}");
    answer.element("Message").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_named_by_its_arn() {
    let house = House::start().await;
    let House { iam, ann, .. } = &house;
    ok(iam, "CreateUser", &[("UserName", "ben")]).await;
    house.let_ann(&allow("iam:*", &house.arn("user/ann"))).await;
    ok(ann, "GetUser", &[("UserName", "ann")]).await;
    // Who names nobody means itself.
    ok(ann, "GetUser", &[]).await;
    ok(ann, "ListAccessKeys", &[]).await;
    for action in ["GetUser", "CreateAccessKey", "ListAccessKeys", "DeleteUser", "ListGroupsForUser"] {
        let message = refused(ann, action, &[("UserName", "ben")]).await;
        assert!(message.ends_with(&format!("iam:{action} on resource: {}", house.arn("user/ben"))), "{message}");
    }
    for action in ["PutUserPolicy", "AttachUserPolicy"] {
        let admin = ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess");
        refused(ann, action, &[("UserName", "ben"), admin, ("PolicyName", "p"), ("PolicyDocument", "{}")]).await;
    }
    refused(ann, "CreateUser", &[("UserName", "anna")]).await;
    refused(ann, "ListUsers", &[]).await;
    refused(ann, "ListGroups", &[]).await;
    // A name that is none is no way around: `ann` may do all to what is named so.
    refused(ann, "GetUser", &[("UserName", "ben/../ann")]).await;
    refused(ann, "CreateUser", &[("UserName", "ann"), ("Path", "/x/")]).await;
    assert_eq!(said(&call(ann, "CreateUser", &[("UserName", "ann")]).await), is(409, "EntityAlreadyExists"));
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_ones_own_are_managed_under_a_variable() {
    let house = House::start().await;
    let House { iam, ann, .. } = &house;
    ok(iam, "CreateUser", &[("UserName", "ben")]).await;
    house.let_ann(&allow("iam:*AccessKey*", "arn:aws:iam::*:user/${aws:username}")).await;
    let made = ok(ann, "CreateAccessKey", &[]).await;
    let key = made.element("AccessKeyId").unwrap();
    ok(ann, "UpdateAccessKey", &[("UserName", "ann"), ("AccessKeyId", &key), ("Status", "Inactive")]).await;
    ok(ann, "DeleteAccessKey", &[("AccessKeyId", &key)]).await;
    refused(ann, "CreateAccessKey", &[("UserName", "ben")]).await;
    refused(ann, "GetUser", &[]).await;
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_divide_what_an_account_has() {
    let house = House::start().await;
    let House { iam, ann, .. } = &house;
    let statements: Vec<Value> = ["user", "group", "role", "policy"]
        .iter()
        .map(|kind| json!({"Effect": "Allow", "Action": "iam:*", "Resource": house.arn(&format!("{kind}/dev/*"))}))
        .collect();
    house.let_ann(&json!({"Version": "2012-10-17", "Statement": statements}).to_string()).await;
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": house.number}}]})
    .to_string();
    let (text, dev) = (allow("s3:*", "*"), ("Path", "/dev/"));
    for (kind, create, name, more) in [
        ("user", "CreateUser", "UserName", None),
        ("group", "CreateGroup", "GroupName", None),
        ("role", "CreateRole", "RoleName", Some(("AssumeRolePolicyDocument", trust.as_str()))),
        ("policy", "CreatePolicy", "PolicyName", Some(("PolicyDocument", text.as_str()))),
    ] {
        let with = |name: &'static str, value: &'static str, path: Option<(&'static str, &'static str)>| {
            let parameters: Vec<_> = [Some((name, value)), path, more].into_iter().flatten().collect();
            parameters
        };
        let made = ok(ann, create, &with(name, "inside", Some(dev))).await;
        assert_eq!(made.element("Path").unwrap(), "/dev/", "{kind}");
        assert_eq!(made.element("Arn").unwrap(), house.arn(&format!("{kind}/dev/inside")));
        refused(ann, create, &with(name, "outside", None)).await;
        refused(ann, create, &with(name, "outside", Some(("Path", "/ops/")))).await;
        ok(iam, create, &with(name, "outside", None)).await;
        // What is there has the path that it was made with, whatever a request says.
        let list = ok(
            iam,
            &format!("List{}s", create.trim_start_matches("Create").replace("Policy", "Policie")),
            &[("PathPrefix", "/dev/")],
        )
        .await;
        assert!(list.text().contains("inside") && !list.text().contains("outside"), "{kind}: {}", list.text());
    }
    for (action, parameter) in [("GetUser", "UserName"), ("GetGroup", "GroupName"), ("GetRole", "RoleName")] {
        ok(ann, action, &[(parameter, "inside")]).await;
        refused(ann, action, &[(parameter, "outside"), dev]).await;
    }
    ok(ann, "GetPolicy", &[("PolicyArn", &house.arn("policy/dev/inside"))]).await;
    refused(ann, "GetPolicy", &[("PolicyArn", &house.arn("policy/outside"))]).await;
    refused(ann, "DeletePolicy", &[("PolicyArn", &house.arn("policy/outside"))]).await;
    // Another path of the same name is another policy.
    let wrong = house.arn("policy/dev/outside");
    assert_eq!(said(&call(ann, "DeletePolicy", &[("PolicyArn", &wrong)]).await), is(404, "NoSuchEntity"));
    assert_eq!(said(&call(iam, "GetPolicy", &[("PolicyArn", &wrong)]).await), is(404, "NoSuchEntity"));
    // A managed policy with a path counts.
    let attach = [("UserName", "inside"), ("PolicyArn", &house.arn("policy/dev/inside"))];
    ok(ann, "AttachUserPolicy", &attach).await;
    let key = ok(ann, "CreateAccessKey", &[("UserName", "inside")]).await;
    let (id, secret) = (key.element("AccessKeyId").unwrap(), key.element("SecretAccessKey").unwrap());
    assert_eq!(house.server.client().acting_as(&id, &secret).get("/").await.status, 200);
    for list in ["ListUsers", "ListRoles", "ListGroups", "ListPolicies"] {
        refused(ann, list, &[]).await;
        ok(ann, list, &[("PathPrefix", "/dev/")]).await;
    }
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_attached_is_a_condition() {
    let house = House::start().await;
    let House { ann, .. } = &house;
    let (reader, admin) =
        ("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", "arn:aws:iam::aws:policy/AdministratorAccess");
    let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Resource": house.arn("user/*"),
        "Action": ["iam:AttachUserPolicy", "iam:DetachUserPolicy"],
        "Condition": {"ArnEquals": {"iam:PolicyARN": reader}}}});
    house.let_ann(&policy.to_string()).await;
    ok(ann, "AttachUserPolicy", &[("UserName", "ann"), ("PolicyArn", reader)]).await;
    refused(ann, "AttachUserPolicy", &[("UserName", "ann"), ("PolicyArn", admin)]).await;
    ok(ann, "DetachUserPolicy", &[("UserName", "ann"), ("PolicyArn", reader)]).await;
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deny_of_one_is_a_deny_of_that_one() {
    let house = House::start().await;
    let House { iam, ann, .. } = &house;
    ok(iam, "CreateUser", &[("UserName", "ben")]).await;
    let issuer = [("Url", "https://idp.example/realm"), ("ClientIDList.member.1", "c")];
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "iam:*", "Resource": [house.arn("user/ben"), house.arn("oidc-provider/idp.example/*")]}]});
    house.let_ann(&policy.to_string()).await;
    refused(ann, "GetUser", &[("UserName", "ben")]).await;
    ok(ann, "CreateUser", &[("UserName", "cleo")]).await;
    ok(ann, "ListUsers", &[]).await;
    refused(ann, "CreateOpenIDConnectProvider", &issuer).await;
    let made = ok(iam, "CreateOpenIDConnectProvider", &issuer).await;
    let arn = made.element("OpenIDConnectProviderArn").unwrap();
    refused(ann, "DeleteOpenIDConnectProvider", &[("OpenIDConnectProviderArn", &arn)]).await;
    ok(ann, "ListOpenIDConnectProviders", &[]).await;
    // What does not exist is asked about nothing.
    assert_eq!(said(&call(ann, "ListServerCertificates", &[]).await), is(400, "InvalidAction"));
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_is_judged_where_it_leaves_and_where_it_comes() {
    let house = House::start().await;
    let House { iam, ann, .. } = &house;
    for (create, name) in [("CreateUser", "UserName"), ("CreateGroup", "GroupName")] {
        ok(iam, create, &[(name, "mover"), ("Path", "/dev/")]).await;
    }
    ok(iam, "AddUserToGroup", &[("GroupName", "mover"), ("UserName", "mover")]).await;
    let put = [("GroupName", "mover"), ("PolicyName", "p"), ("PolicyDocument", &allow("s3:*", "*"))];
    ok(iam, "PutGroupPolicy", &put).await;
    let key = ok(iam, "CreateAccessKey", &[("UserName", "mover")]).await;
    let (id, secret) = (key.element("AccessKeyId").unwrap(), key.element("SecretAccessKey").unwrap());
    let mover = house.server.client().acting_as(&id, &secret);
    assert_eq!(mover.get("/").await.status, 200);
    let both = ["user/dev/*", "user/ops/*", "group/dev/*", "group/ops/new"].map(|rest| house.arn(rest));
    let both = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iam:*", "Resource": both}});
    for (policy, may) in [(allow("iam:*", &house.arn("*/dev/*")), false), (both.to_string(), true)] {
        house.let_ann(&policy).await;
        let moves = [
            ("UpdateUser", vec![("UserName", "mover"), ("NewPath", "/ops/")]),
            ("UpdateGroup", vec![("GroupName", "mover"), ("NewPath", "/ops/"), ("NewGroupName", "new")]),
        ];
        for (action, parameters) in moves {
            if may {
                ok(ann, action, &parameters).await;
            } else {
                assert!(refused(ann, action, &parameters).await.contains("/ops/"));
            }
        }
    }
    let user = ok(iam, "GetUser", &[("UserName", "mover")]).await;
    assert_eq!(user.element("Arn").unwrap(), house.arn("user/ops/mover"));
    let group = ok(iam, "GetGroup", &[("GroupName", "new")]).await;
    assert_eq!(group.element("Arn").unwrap(), house.arn("group/ops/new"));
    assert_eq!(said(&call(iam, "GetGroup", &[("GroupName", "mover")]).await), is(404, "NoSuchEntity"));
    // Who was in it is in it, and may what it may.
    assert_eq!(mover.get("/").await.status, 200);
    ok(iam, "CreateGroup", &[("GroupName", "other")]).await;
    let onto = [("GroupName", "new"), ("NewGroupName", "OTHER")];
    assert_eq!(said(&call(iam, "UpdateGroup", &onto).await), is(409, "EntityAlreadyExists"));
    ok(iam, "UpdateGroup", &[("GroupName", "new"), ("NewGroupName", "New")]).await;
    assert_eq!(mover.get("/").await.status, 200);
    for path in ["x", "/x", "/x y/"] {
        let moved = call(iam, "UpdateUser", &[("UserName", "mover"), ("NewPath", path)]).await;
        assert_eq!(said(&moved), is(400, "ValidationError"), "{path}");
    }
    let renamed = call(iam, "UpdateUser", &[("UserName", "mover"), ("NewUserName", "stayer")]).await;
    assert_eq!(said(&renamed), is(501, "NotImplemented"));
    house.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_differ_by_case_alone_are_the_same() {
    let house = House::start().await;
    let House { iam, .. } = &house;
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": house.number}}]})
    .to_string();
    let text = allow("s3:*", "*");
    for (create, name, more) in [
        ("CreateUser", "UserName", None),
        ("CreateGroup", "GroupName", None),
        ("CreateRole", "RoleName", Some(("AssumeRolePolicyDocument", trust.as_str()))),
        ("CreatePolicy", "PolicyName", Some(("PolicyDocument", text.as_str()))),
    ] {
        let with = |value: &'static str| [Some((name, value)), more].into_iter().flatten().collect::<Vec<_>>();
        ok(iam, create, &with("Reader")).await;
        for again in ["Reader", "reader", "READER"] {
            assert_eq!(
                said(&call(iam, create, &with(again)).await),
                is(409, "EntityAlreadyExists"),
                "{create} {again}"
            );
        }
    }
    house.server.stop().await;
}
