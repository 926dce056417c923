//! Session tags and source identities: who may set them, what conditions see, what a chain of roles hands on.

use serde_json::{Value, json};

use super::web_identity::{assume_with, claims, federated_role};
use super::{alice, assume, role};
use crate::buckets::said;
use crate::iam::{call, member};
use crate::policy::{is, put_policy, statement};
use crate::support::issuer::{Issuer, IssuerKey};
use crate::support::{Client, TestServer};

const TEAM: [(&str, &str); 2] = [("Tags.member.1.Key", "Team"), ("Tags.member.1.Value", "blue")];

/// A trust policy that lets an account assume, tag and name.
fn open_trust(number: &str, actions: Value, condition: Value) -> String {
    let statement = json!({"Effect": "Allow", "Principal": {"AWS": number}, "Action": actions, "Condition": condition});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// Lets all that satisfies a condition read in `one`.
async fn read_if(alice: &Client, number: &str, condition: Value) {
    let mut one = statement("Allow", json!({"AWS": number}), json!("s3:GetObject"), "one/*");
    one["Condition"] = condition;
    let mut none = statement("Deny", json!({"AWS": number}), json!("s3:GetObject"), "one/*");
    none["Condition"] = json!({"StringNotEquals": {"aws:PrincipalTag/Team": "blue"}});
    assert_eq!(put_policy(alice, "one", vec![one, none]).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_of_a_session_are_seen_and_need_a_permission() {
    let server = TestServer::start().await;
    let (alice, iam, number) = alice(&server).await;
    let denied = is(403, "AccessDenied");
    let plain = role(&iam, "plain", &open_trust(&number, json!("sts:AssumeRole"), json!({}))).await;
    let refused = assume(&alice, &plain, &TEAM).await;
    assert_eq!(said(&refused), denied);
    assert!(refused.element("Message").unwrap().contains("sts:TagSession"), "{}", refused.text());
    let tagged = open_trust(&number, json!(["sts:AssumeRole", "sts:TagSession"]), json!({}));
    let tagged = role(&iam, "tagged", &tagged).await;
    read_if(&alice, &number, json!({"StringEquals": {"aws:PrincipalTag/team": "blue"}})).await;
    let answer = assume(&alice, &tagged, &TEAM).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.element("PackedPolicySize").is_some());
    let session = alice.clone().with_credentials_of(&answer);
    assert_eq!(session.get("/one/k").await.status, 200);
    let red = [("Tags.member.1.Key", "Team"), ("Tags.member.1.Value", "red")];
    for tags in [&red[..], &[]] {
        let session = alice.clone().with_credentials_of(&assume(&alice, &tagged, tags).await);
        assert_eq!(said(&session.get("/one/k").await), denied, "{tags:?}");
    }
    // A member needs the permission itself too, where the role trusts its account.
    let ann = member(&iam, &alice, "ann").await;
    let may = |actions: Value| {
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}})
            .to_string()
    };
    for (actions, expected) in [(json!("sts:AssumeRole"), 403), (json!(["sts:AssumeRole", "sts:TagSession"]), 200)] {
        let put = [("UserName", "ann"), ("PolicyName", "p"), ("PolicyDocument", &*may(actions))];
        assert_eq!(call(&iam, "PutUserPolicy", &put).await.status, 200);
        assert_eq!(assume(&ann, &tagged, &TEAM).await.status, expected);
        assert_eq!(assume(&ann, &tagged, &[]).await.status, 200);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_decide_which_tags_may_be_set() {
    let server = TestServer::start().await;
    let (alice, iam, number) = alice(&server).await;
    let actions = json!(["sts:AssumeRole", "sts:TagSession"]);
    for (name, condition, expected) in [
        ("a", json!({"StringEquals": {"aws:RequestTag/Team": "blue"}}), 200),
        ("b", json!({"StringEquals": {"aws:RequestTag/team": "red"}}), 403),
        ("c", json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["Team"]}}), 200),
        ("d", json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["Other"]}}), 403),
        ("e", json!({"ForAllValues:StringEquals": {"sts:TransitiveTagKeys": ["team"]}}), 200),
    ] {
        let arn = role(&iam, name, &open_trust(&number, actions.clone(), condition.clone())).await;
        assert_eq!(assume(&alice, &arn, &TEAM).await.status, expected, "{condition}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_roles_hands_on_what_is_transitive() {
    let server = TestServer::start().await;
    let (alice, iam, number) = alice(&server).await;
    let all = json!(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]);
    let first = role(&iam, "first", &open_trust(&number, all.clone(), json!({}))).await;
    let second = role(&iam, "second", &open_trust(&number, all, json!({}))).await;
    let closed = role(&iam, "closed", &open_trust(&number, json!("sts:AssumeRole"), json!({}))).await;
    let document = json!({"Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": ["sts:*", "s3:*"], "Resource": "*"}})
    .to_string();
    let put = [("RoleName", "first"), ("PolicyName", "all"), ("PolicyDocument", document.as_str())];
    assert_eq!(call(&iam, "PutRolePolicy", &put).await.status, 200);
    let asked = [
        TEAM[0],
        TEAM[1],
        ("Tags.member.2.Key", "Cost"),
        ("Tags.member.2.Value", "7"),
        ("TransitiveTagKeys.member.1", "Team"),
        ("SourceIdentity", "ann@example"),
    ];
    let answer = assume(&alice, &first, &asked).await;
    assert_eq!(answer.element("SourceIdentity").as_deref(), Some("ann@example"), "{}", answer.text());
    let one = alice.clone().with_credentials_of(&answer);
    let answer = assume(&one, &second, &[]).await;
    assert_eq!(answer.element("SourceIdentity").as_deref(), Some("ann@example"), "{}", answer.text());
    let two = alice.clone().with_credentials_of(&answer);
    for (condition, in_first, in_second) in [
        (json!({"StringEquals": {"aws:PrincipalTag/Team": "blue"}}), 200, 200),
        (json!({"StringEquals": {"aws:PrincipalTag/Cost": "7"}}), 200, 403),
        (json!({"StringEquals": {"aws:SourceIdentity": "ann@example"}}), 200, 200),
        (json!({"StringEquals": {"aws:SourceIdentity": "ben@example"}}), 403, 403),
    ] {
        let mut none = statement("Deny", json!({"AWS": number}), json!("s3:GetObject"), "one/*");
        // All but what fits is denied: the roles may everything.
        none["Condition"] = json!({"StringNotEquals": condition["StringEquals"]});
        assert_eq!(put_policy(&alice, "one", vec![none]).await.status, 204);
        assert_eq!(one.get("/one/k").await.status, in_first, "{condition}");
        assert_eq!(two.get("/one/k").await.status, in_second, "{condition}");
    }
    // What is handed on needs its permission at the next role, and is not changed there.
    let denied = is(403, "AccessDenied");
    assert_eq!(said(&assume(&one, &closed, &[]).await), denied);
    assert_eq!(said(&assume(&one, &second, &[("SourceIdentity", "ben@example")]).await), denied);
    let red = [("Tags.member.1.Key", "TEAM"), ("Tags.member.1.Value", "red")];
    assert_eq!(said(&assume(&one, &second, &red).await), is(400, "InvalidParameterValue"));
    assert_eq!(assume(&one, &second, &[("Tags.member.1.Key", "Cost"), ("Tags.member.1.Value", "8")]).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tag_or_identity_is_refused() {
    let server = TestServer::start().await;
    let (alice, iam, number) = alice(&server).await;
    let arn = role(&iam, "r", &open_trust(&number, json!("sts:*"), json!({}))).await;
    let invalid = is(400, "ValidationError");
    for (bad, expected) in [
        (vec![("Tags.member.1.Key", "aws:x"), ("Tags.member.1.Value", "v")], &invalid),
        (vec![("Tags.member.1.Key", "k<"), ("Tags.member.1.Value", "v")], &invalid),
        (vec![("Tags.member.1.Value", "v")], &invalid),
        (vec![("Tags.member.2.Key", "k"), ("Tags.member.2.Value", "v")], &invalid),
        (vec![("Tags.1.Key", "k")], &invalid),
        (vec![("SourceIdentity", "x")], &invalid),
        (vec![("SourceIdentity", "a b")], &invalid),
        (vec![("SerialNumber", "arn:aws:iam::123456789012:mfa/x")], &invalid),
        (vec![TEAM[0], TEAM[1], ("Tags.member.2.Key", "team")], &is(400, "InvalidParameterValue")),
        (vec![TEAM[0], TEAM[1], ("TransitiveTagKeys.member.1", "x")], &is(400, "InvalidParameterValue")),
    ] {
        assert_eq!(said(&assume(&alice, &arn, &bad).await), *expected, "{bad:?}");
    }
    let names: Vec<(String, String)> =
        (1..=51).map(|n| (format!("Tags.member.{n}.Key"), format!("Tags.member.{n}.Value"))).collect();
    let many = |count: usize| -> Vec<(&str, &str)> {
        names
            .iter()
            .take(count)
            .flat_map(|(key, value)| [(key.as_str(), key.as_str()), (value.as_str(), "v")])
            .collect()
    };
    assert_eq!(assume(&alice, &arn, &many(50)).await.status, 200);
    assert_eq!(said(&assume(&alice, &arn, &many(51)).await), invalid);
    let wide: Vec<(&str, String)> = names.iter().take(17).map(|(key, _)| (key.as_str(), key.clone())).collect();
    let long = "v".repeat(256);
    let wide: Vec<(&str, &str)> = wide
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .chain(names.iter().take(17).map(|(_, value)| (value.as_str(), long.as_str())))
        .collect();
    assert_eq!(said(&assume(&alice, &arn, &wide).await), is(400, "PackedPolicyTooLarge"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_gives_tags_and_an_identity_in_its_token() {
    let server = TestServer::start().await;
    let (alice, iam, number) = alice(&server).await;
    let key = IssuerKey::ec("e1");
    let issuer = Issuer::start(&[&key]).await;
    let arn = federated_role(&iam, &number, &issuer).await;
    let mut with_tags = claims(&issuer);
    with_tags["https://aws.amazon.com/tags"] =
        json!({"principal_tags": {"Team": ["blue"], "Cost": "7"}, "transitive_tag_keys": ["Team"]});
    with_tags["https://aws.amazon.com/source_identity"] = json!("ann@example");
    let denied = is(403, "AccessDenied");
    assert_eq!(said(&assume_with(&server.client(), &arn, &key.token(&with_tags)).await), denied);
    let provider = format!("arn:aws:iam::{number}:oidc-provider/{}", issuer.key());
    let statement = json!({"Effect": "Allow", "Principal": {"Federated": provider},
        "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"],
        "Condition": {"StringEquals": {format!("{}:aud", issuer.key()): "chartrier"}}});
    let trust = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let update = [("RoleName", "deposit"), ("PolicyDocument", trust.as_str())];
    assert_eq!(call(&iam, "UpdateAssumeRolePolicy", &update).await.status, 200);
    let answer = assume_with(&server.client(), &arn, &key.token(&with_tags)).await;
    assert_eq!(answer.element("SourceIdentity").as_deref(), Some("ann@example"), "{}", answer.text());
    read_if(&alice, &number, json!({"StringEquals": {"aws:PrincipalTag/cost": "7"}})).await;
    let session = alice.clone().with_credentials_of(&answer);
    assert_eq!(session.get("/one/k").await.status, 200);
    // Without them the role is assumed too, and what they open is shut.
    let plain = assume_with(&server.client(), &arn, &key.token(&claims(&issuer))).await;
    assert_eq!(said(&alice.clone().with_credentials_of(&plain).get("/one/k").await), denied);
    for bad in [json!("x"), json!({"principal_tags": {"k": ["a", "b"]}}), json!({"principal_tags": []}), json!({})] {
        let mut claims = claims(&issuer);
        claims["https://aws.amazon.com/tags"] = bad.clone();
        let answer = assume_with(&server.client(), &arn, &key.token(&claims)).await;
        assert_eq!(said(&answer), is(400, "InvalidIdentityToken"), "{bad}");
    }
    server.stop().await;
}
