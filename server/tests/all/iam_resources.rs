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
    // A new name is an ARN too.
    refused(ann, "UpdateUser", &[("UserName", "mover"), ("NewUserName", "new"), ("NewPath", "/other/")]).await;
    ok(ann, "UpdateUser", &[("UserName", "mover"), ("NewUserName", "new"), ("NewPath", "/dev/")]).await;
    let user = ok(iam, "GetUser", &[("UserName", "new")]).await;
    assert_eq!(user.element("Arn").unwrap(), house.arn("user/dev/new"));
    assert_eq!(mover.get("/").await.status, 200);
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

/// A policy of a bucket that gives one action to one principal, and refuses it another.
fn of_bucket(bucket: &str, principal: &str) -> String {
    let resource = format!("arn:aws:s3:::{bucket}/*");
    let statement = |effect: &str, action: &str| json!({"Effect": effect, "Principal": {"AWS": principal}, "Action": action, "Resource": resource});
    json!({"Version": "2012-10-17", "Statement": [statement("Allow", "s3:GetObject"), statement("Deny", "s3:PutObject")]})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_another_name_is_who_it_was() {
    let house = House::start().await;
    let House { iam, server, .. } = &house;
    let owner = another_user(server, "owner").await;
    let alice = server.client();
    for bucket in ["by-arn", "by-name"] {
        assert_eq!(owner.put(&format!("/{bucket}"), b"").await.status, 200);
        assert_eq!(owner.put(&format!("/{bucket}/k"), b"x").await.status, 200);
    }
    let ben = member(iam, &alice, "ben").await;
    ok(iam, "CreateGroup", &[("GroupName", "g")]).await;
    ok(iam, "AddUserToGroup", &[("GroupName", "g"), ("UserName", "ben")]).await;
    let put = [("UserName", "ben"), ("PolicyName", "p"), ("PolicyDocument", &allow("*", "*"))];
    ok(iam, "PutUserPolicy", &put).await;
    let id = ok(iam, "GetUser", &[("UserName", "ben")]).await.element("UserId").unwrap();
    let set = |bucket: &'static str, principal: String| {
        let owner = owner.clone();
        async move {
            let policy = of_bucket(bucket, &principal);
            assert_eq!(owner.put(&format!("/{bucket}?policy"), policy.as_bytes()).await.status, 204);
        }
    };
    set("by-arn", house.arn("user/ben")).await;
    set("by-name", "arn:aws:iam:::user/ben".to_owned()).await;
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": house.arn("user/ben")}}]});
    ok(iam, "CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", &trust.to_string())]).await;
    let may = |who: Client| async move {
        let mut statuses = Vec::new();
        for bucket in ["by-arn", "by-name"] {
            statuses.push(who.get(&format!("/{bucket}/k")).await.status.as_u16());
            statuses.push(who.put(&format!("/{bucket}/new"), b"x").await.status.as_u16());
        }
        statuses
    };
    assert_eq!(may(ben.clone()).await, [200, 403, 200, 403]);

    ok(iam, "CreateUser", &[("UserName", "taken")]).await;
    for other in ["taken", "TAKEN", "owner", "ann"] {
        let renamed = call(iam, "UpdateUser", &[("UserName", "ben"), ("NewUserName", other)]).await;
        assert_eq!(said(&renamed), is(409, "EntityAlreadyExists"), "{other}");
    }
    let bad = call(iam, "UpdateUser", &[("UserName", "ben"), ("NewUserName", "a/b")]).await;
    assert_eq!(said(&bad), is(400, "ValidationError"));
    let account = call(iam, "UpdateUser", &[("UserName", "alice"), ("NewUserName", "alicia")]).await;
    assert_eq!(said(&account), is(409, "DeleteConflict"));
    ok(iam, "UpdateUser", &[("UserName", "ben"), ("NewUserName", "Benjamin"), ("NewPath", "/ops/")]).await;
    assert_eq!(said(&call(iam, "GetUser", &[("UserName", "ben")]).await), is(404, "NoSuchEntity"));
    let user = ok(iam, "GetUser", &[("UserName", "Benjamin")]).await;
    let arn = house.arn("user/ops/Benjamin");
    assert_eq!((user.element("UserId").unwrap(), user.element("Arn").unwrap()), (id.clone(), arn.clone()));

    // Its key signs, its policies, groups and what others say of it are its own still.
    assert_eq!(may(ben.clone()).await, [200, 403, 200, 403]);
    assert!(ok(iam, "ListGroupsForUser", &[("UserName", "Benjamin")]).await.text().contains("<GroupName>g<"));
    assert!(ok(iam, "GetGroup", &[("GroupName", "g")]).await.text().contains("<UserName>Benjamin<"));
    let listed = ok(iam, "ListUserPolicies", &[("UserName", "Benjamin")]).await;
    assert_eq!(listed.element("member").unwrap(), "p");
    for bucket in ["by-arn", "by-name"] {
        let shown: Value = serde_json::from_str(&owner.get(&format!("/{bucket}?policy")).await.text()).unwrap();
        assert_eq!(shown["Statement"][1]["Principal"]["AWS"], arn.as_str());
    }
    let role = ok(iam, "GetRole", &[("RoleName", "r")]).await;
    assert!(role.element("AssumeRolePolicyDocument").unwrap().contains("Benjamin"));

    // Whoever is called as it was called is somebody else.
    let other = member(iam, &alice, "ben").await;
    let put = [("UserName", "ben"), ("PolicyName", "p"), ("PolicyDocument", &allow("*", "*"))];
    ok(iam, "PutUserPolicy", &put).await;
    assert_eq!(may(other.clone()).await, [403, 403, 403, 403]);
    assert_eq!(may(ben.clone()).await, [200, 403, 200, 403]);
    set("by-name", "arn:aws:iam:::user/ben".to_owned()).await;
    assert_eq!(may(other).await, [403, 403, 200, 403]);

    // One that is gone shows by its id, and one that is made anew under its name is not meant.
    ok(iam, "UpdateUser", &[("UserName", "ben"), ("NewUserName", "ben2")]).await;
    ok(iam, "RemoveUserFromGroup", &[("GroupName", "g"), ("UserName", "Benjamin")]).await;
    let keys = ok(iam, "ListAccessKeys", &[("UserName", "Benjamin")]).await;
    let key = keys.element("AccessKeyId").unwrap();
    ok(iam, "DeleteAccessKey", &[("UserName", "Benjamin"), ("AccessKeyId", &key)]).await;
    ok(iam, "DeleteUserPolicy", &[("UserName", "Benjamin"), ("PolicyName", "p")]).await;
    ok(iam, "DeleteUser", &[("UserName", "Benjamin")]).await;
    let shown: Value = serde_json::from_str(&owner.get("/by-arn?policy").await.text()).unwrap();
    assert_eq!(shown["Statement"][0]["Principal"]["AWS"], id.as_str());
    let back = owner.put("/by-arn?policy", shown.to_string().as_bytes()).await;
    assert_eq!(said(&back), is(400, "MalformedPolicy"));
    let again = member(iam, &alice, "ben").await;
    let put = [("UserName", "ben"), ("PolicyName", "p"), ("PolicyDocument", &allow("*", "*"))];
    ok(iam, "PutUserPolicy", &put).await;
    assert_eq!(may(again).await[..2], [403, 403]);
    house.server.stop().await;
}
