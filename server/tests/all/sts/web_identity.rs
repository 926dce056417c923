//! AssumeRoleWithWebIdentity: tokens of issuers, and the roles that trust them.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{alice, assume, role, trust};
use crate::buckets::{another_user, said};
use crate::iam::{account_number, call};
use crate::policy::is;
use crate::support::issuer::{Issuer, IssuerKey};
use crate::support::{Answer, Client, TestServer};

/// The claims of a token that holds.
pub(crate) fn claims(issuer: &Issuer) -> Value {
    let now_s = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    json!({"iss": issuer.url, "sub": "repo:archives/deposit", "aud": "chartrier", "iat": now_s, "exp": now_s + 600})
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

pub(crate) async fn assume_with(client: &Client, arn: &str, token: &str) -> Answer {
    let parameters = [("RoleArn", arn), ("RoleSessionName", "by-web"), ("WebIdentityToken", token)];
    call(&client.clone().anonymous(), "AssumeRoleWithWebIdentity", &parameters).await
}

/// Registers an issuer, and a role for one of its subjects.
pub(crate) async fn federated_role(iam: &Client, number: &str, issuer: &Issuer) -> String {
    let made = [("Url", issuer.url.as_str()), ("ClientIDList.member.1", "chartrier")];
    let made = call(iam, "CreateOpenIDConnectProvider", &made).await;
    let provider = made.element("OpenIDConnectProviderArn").unwrap_or_else(|| panic!("{}", made.text()));
    assert_eq!(provider, format!("arn:aws:iam::{number}:oidc-provider/{}", issuer.key()));
    let condition = json!({"StringLike": {format!("{}:sub", issuer.key()): "repo:archives/*"},
                           "StringEquals": {format!("{}:aud", issuer.key()): "chartrier"}});
    let text = trust(json!({"Federated": provider}), "sts:AssumeRoleWithWebIdentity", condition);
    role(iam, "deposit", &text).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_identity_gets_the_role_that_trusts_it() {
    let server = TestServer::start().await;
    let (alice, iam, number) = alice(&server).await;
    let (rsa, ec, ed) = (IssuerKey::rsa("r1"), IssuerKey::ec("e1"), IssuerKey::ed25519("d1"));
    let issuer = Issuer::start(&[&rsa, &ec, &ed]).await;
    let arn = federated_role(&iam, &number, &issuer).await;
    for key in [&rsa, &ec, &ed] {
        let answer = assume_with(&server.client(), &arn, &key.token(&claims(&issuer))).await;
        assert_eq!(answer.status, 200, "{}: {}", key.id, answer.text());
        assert_eq!(answer.element("SubjectFromWebIdentityToken").unwrap(), "repo:archives/deposit");
        assert_eq!(answer.element("Audience").unwrap(), "chartrier");
        let session = alice.clone().with_credentials_of(&answer);
        assert_eq!(session.get("/one/k").await.status, 200);
        let identity = call(&session.for_sts(), "GetCallerIdentity", &[]).await;
        assert_eq!(identity.element("Arn").unwrap(), format!("arn:aws:sts::{number}:assumed-role/deposit/by-web"));
    }
    // One look at its configuration and one at its keys served all of them.
    assert_eq!(issuer.count(), 2);
    let denied = is(403, "AccessDenied");
    let other = with(claims(&issuer), "sub", json!("repo:elsewhere/deposit"));
    assert_eq!(said(&assume_with(&server.client(), &arn, &rsa.token(&other)).await), denied);
    // A role that trusts accounts trusts no issuer, and none trusts what was not asked.
    let plain = role(&iam, "plain", &trust(json!({"AWS": number}), "sts:*", json!({}))).await;
    assert_eq!(said(&assume_with(&server.client(), &plain, &rsa.token(&claims(&issuer))).await), denied);
    assert_eq!(said(&assume(&alice, &arn, &[]).await), denied);
    // The session goes with the provider.
    let answer = assume_with(&server.client(), &arn, &rsa.token(&claims(&issuer))).await;
    let session = alice.clone().with_credentials_of(&answer);
    assert_eq!(session.get("/one/k").await.status, 200);
    let provider = format!("arn:aws:iam::{number}:oidc-provider/{}", issuer.key());
    let named = [("OpenIDConnectProviderArn", provider.as_str())];
    assert!(call(&iam, "GetOpenIDConnectProvider", &named).await.text().contains("<member>chartrier</member>"));
    assert!(call(&iam, "ListOpenIDConnectProviders", &[]).await.text().contains(&provider));
    assert_eq!(call(&iam, "DeleteOpenIDConnectProvider", &named).await.status, 200);
    assert_eq!(said(&session.get("/one/k").await), is(400, "InvalidToken"));
    let gone = assume_with(&server.client(), &arn, &rsa.token(&claims(&issuer))).await;
    assert_eq!(said(&gone), is(400, "InvalidIdentityToken"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_issuers_that_do_not_hold_are_refused() {
    let server = TestServer::start().await;
    let (_, iam, number) = alice(&server).await;
    let (rsa, ec) = (IssuerKey::rsa("r1"), IssuerKey::ec("e1"));
    let issuer = Issuer::start(&[&rsa, &ec]).await;
    let arn = federated_role(&iam, &number, &issuer).await;
    let good = claims(&issuer);
    let invalid = is(400, "InvalidIdentityToken");
    let now_s = good["iat"].as_u64().unwrap();
    let token = rsa.token(&good);
    assert_eq!(assume_with(&server.client(), &arn, &token).await.status, 200);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let none = rsa.sign(&json!({"alg": "none", "kid": "r1"}), &good);
    // Signed with the public key as if it were a secret: the classic.
    let hmac = rsa.sign(&json!({"alg": "HS256", "kid": "r1"}), &good);
    let stranger = IssuerKey::rsa("r1");
    let mut changed = signature.as_bytes().to_vec();
    changed[20] = if changed[20] == b'A' { b'B' } else { b'A' };
    for (what, bad) in [
        ("none", none.clone()),
        ("no signature", format!("{}.", none.rsplit_once('.').unwrap().0)),
        ("HMAC", hmac),
        ("the key's name under another algorithm", ec.sign(&json!({"alg": "ES256", "kid": "r1"}), &good)),
        ("another key of the same name", stranger.token(&good)),
        ("a changed signature", format!("{signed}.{}", String::from_utf8(changed).unwrap())),
        (
            "other claims",
            format!(
                "{}.{signature}",
                stranger.token(&with(good.clone(), "sub", json!("x"))).rsplit_once('.').unwrap().0
            ),
        ),
        ("another issuer", rsa.token(&with(good.clone(), "iss", json!("http://127.0.0.1:1/realms/test")))),
        ("another audience", rsa.token(&with(good.clone(), "aud", json!("other")))),
        ("no audience", rsa.token(&with(good.clone(), "aud", Value::Null))),
        ("not yet", rsa.token(&with(good.clone(), "nbf", json!(now_s + 300)))),
        ("no end", rsa.token(&with(good.clone(), "exp", Value::Null))),
        ("no subject", rsa.token(&with(good.clone(), "sub", Value::Null))),
        ("critical", rsa.sign(&json!({"alg": "RS256", "kid": "r1", "crit": ["x"]}), &good)),
        ("no token", "a.b.c".to_owned()),
    ] {
        let answer = assume_with(&server.client(), &arn, &bad).await;
        assert_eq!(said(&answer), invalid, "{what}");
        assert!(!answer.text().contains(&bad), "{what}");
    }
    let over = rsa.token(&with(good.clone(), "exp", json!(now_s - 1)));
    assert_eq!(said(&assume_with(&server.client(), &arn, &over).await), is(400, "ExpiredTokenException"));
    let several = rsa.token(&with(good.clone(), "aud", json!(["other", "chartrier"])));
    assert_eq!(assume_with(&server.client(), &arn, &several).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn issuers_are_asked_within_bounds() {
    let server = TestServer::start().await;
    let (_, iam, number) = alice(&server).await;
    let (first, second) = (IssuerKey::rsa("k1"), IssuerKey::ec("k2"));
    let issuer = Issuer::start(&[&first]).await;
    let arn = federated_role(&iam, &number, &issuer).await;
    assert_eq!(assume_with(&server.client(), &arn, &first.token(&claims(&issuer))).await.status, 200);
    let asked = issuer.count();
    // Names of keys that do not exist do not make it ask again and again.
    for at in 0..20 {
        let unknown = first.sign(&json!({"alg": "RS256", "kid": format!("x{at}")}), &claims(&issuer));
        assert_eq!(assume_with(&server.client(), &arn, &unknown).await.status, 400);
    }
    assert!(issuer.count() <= asked + 4, "{} after {asked}", issuer.count());
    // A new key is found.
    issuer.served.lock().unwrap().keys = vec![second.jwk()];
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(assume_with(&server.client(), &arn, &second.token(&claims(&issuer))).await.status, 200);
    assert_eq!(assume_with(&server.client(), &arn, &first.token(&claims(&issuer))).await.status, 400);
    server.stop().await;

    // Nothing that an issuer answers is followed or held without bound.
    let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(300 << 10)).into_bytes();
    let redirect = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec();
    let page = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>".to_vec();
    let silent = b"".to_vec();
    let server = TestServer::start().await;
    let alice = another_user(&server, "alice").await;
    let iam = alice.clone().for_iam(server.data.path());
    let number = account_number(&iam).await;
    for instead in [long, redirect, page, silent] {
        let issuer = Issuer::start(&[&first]).await;
        let arn = federated_role(&iam, &number, &issuer).await;
        issuer.served.lock().unwrap().instead = Some(instead);
        let answer = assume_with(&server.client(), &arn, &first.token(&claims(&issuer))).await;
        assert_eq!(said(&answer), is(400, "IDPCommunicationError"), "{}", answer.text());
        let policy = [("RoleName", "deposit"), ("PolicyName", "all")];
        assert_eq!(call(&iam, "DeleteRolePolicy", &policy).await.status, 200);
        assert_eq!(call(&iam, "DeleteRole", &[("RoleName", "deposit")]).await.status, 200);
    }
    server.stop().await;

    // A server that is reachable from elsewhere asks no issuer on its own machine.
    let server = TestServer::start_with(|config| config.web_identity.local_issuers = Some(false)).await;
    let alice = another_user(&server, "alice").await;
    let iam = alice.clone().for_iam(server.data.path());
    for url in ["http://idp.example", "https://idp.example/?x=y", "ftp://idp.example"] {
        let made = call(&iam, "CreateOpenIDConnectProvider", &[("Url", url)]).await;
        assert_eq!(said(&made), is(400, "InvalidInput"), "{url}");
    }
    server.stop().await;
}
