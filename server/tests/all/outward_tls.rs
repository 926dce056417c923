//! The connections that the server makes itself, over TLS: to webhooks and to issuers of identities. The
//! authority that is configured is believed, the system's where none is, and nobody else; and what is
//! told or asked stays with whom the operator named, wherever a redirect leads.

use std::path::Path;
use std::sync::atomic::Ordering;

use chartrier::config::Config;

use crate::buckets::said;
use crate::edge_stop::{program_with, ready, terminate};
use crate::notifications::{queue, set, status, target};
use crate::policy::is;
use crate::sts::web_identity::{assume_with, claims, federated_role};
use crate::support::authority::{Authority, Shows};
use crate::support::issuer::{Issuer, IssuerKey};
use crate::support::receiver::{Receiver, named};
use crate::support::{Client, TestServer};

/// A server that tells `hook` of what is made in a bucket.
async fn telling(url: &str, ca_file: Option<&Path>) -> TestServer {
    let server = TestServer::start_with(|config: &mut Config| {
        let mut target = target("hook", url);
        target.ca_file = ca_file.map(Path::to_owned);
        config.notification_targets = vec![target];
    })
    .await;
    let client = server.client();
    assert_eq!(client.put("/telling", b"").await.status, 200);
    assert_eq!(set(&client, "telling", &queue("hook", &["ObjectCreated:*"], "")).await.status, 200);
    assert_eq!(client.put("/telling/key", b"x").await.status, 200);
    server
}

/// Waits until an attempt has failed; says why.
async fn trouble(server: &TestServer) -> String {
    for _ in 0..400 {
        if let Some(trouble) = status(server, "hook").await.trouble {
            return trouble;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("nothing failed: {:?}", status(server, "hook").await);
}

fn has_key(records: &[serde_json::Value]) -> bool {
    records.iter().any(|record| named(record).1 == "key")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_under_the_authority_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, path) = (Authority::new("one"), dir.path().join("ca.pem"));
    authority.write(&path);
    let receiver = Receiver::start_over(authority.acceptor(Shows::Right)).await;
    let server = telling(&receiver.url(), Some(&path)).await;
    receiver.until("it is told", has_key).await;
    assert_eq!(status(&server, "hook").await.trouble, None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_cannot_prove_who_it_is_is_told_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new("one"), Authority::new("another"));
    let (path, other) = (dir.path().join("ca.pem"), dir.path().join("other.pem"));
    authority.write(&path);
    stranger.write(&other);
    for (what, shows, trusted, why) in [
        ("another authority", Shows::Right, Some(&other), "UnknownIssuer"),
        ("the system's authorities", Shows::Right, None, "UnknownIssuer"),
        ("another name", Shows::OtherName, Some(&path), "not valid for name"),
        ("a certificate that has ended", Shows::Ended, Some(&path), "xpired"),
    ] {
        let receiver = Receiver::start_over(authority.acceptor(shows)).await;
        let server = telling(&receiver.url(), trusted.map(|path| path.as_path())).await;
        let trouble = trouble(&server).await;
        assert!(trouble.starts_with("cannot connect:") && trouble.contains(why), "{what}: {trouble}");
        assert!(receiver.seen.refused.load(Ordering::Relaxed) > 0, "{what}");
        assert_eq!(receiver.seen.posts.load(Ordering::Relaxed), 0, "{what}");
        assert!(status(&server, "hook").await.pending > 0, "{what}: the event waits");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_sends_elsewhere_is_not_followed() {
    let elsewhere = Receiver::start().await;
    let receiver = Receiver::start().await;
    *receiver.seen.location.lock().unwrap() = Some(elsewhere.url());
    for redirect in [301, 302, 303, 307, 308] {
        receiver.seen.status.store(redirect, Ordering::Relaxed);
        let server = telling(&receiver.url(), None).await;
        assert!(trouble(&server).await.contains(&format!("answered {redirect}")));
        assert!(status(&server, "hook").await.pending > 0);
        server.stop().await;
    }
    assert_eq!(elsewhere.seen.posts.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_ca_file_the_system_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, path) = (Authority::new("one"), dir.path().join("system.pem"));
    authority.write(&path);
    let receiver = Receiver::start_over(authority.acceptor(Shows::Right)).await;
    let key = IssuerKey::ec("e1");
    let issuer = Issuer::start_over(authority.acceptor(Shows::Right), &[&key]).await;
    let config = dir.path().join("chartrier.toml");
    let text = format!("[[notification_targets]]\nname = 'hook'\nurl = '{}'\n", receiver.url());
    std::fs::write(&config, text).unwrap();
    let data = dir.path().join("data");
    let more = ["--config", config.to_str().unwrap()];
    let mut child = program_with(&data, &more, &[("SSL_CERT_FILE", &path)]);
    let (s3, _) = ready(&mut child);
    let client = Client::new(s3, ("ROOTKEY".into(), "root-secret".into()));
    assert_eq!(client.put("/telling", b"").await.status, 200);
    assert_eq!(set(&client, "telling", &queue("hook", &["ObjectCreated:*"], "")).await.status, 200);
    assert_eq!(client.put("/telling/key", b"x").await.status, 200);
    receiver.until("it is told", has_key).await;
    let iam = client.clone().for_iam(&data);
    let number = crate::iam::account_number(&iam).await;
    let arn = federated_role(&iam, &number, &issuer).await;
    let answer = assume_with(&client, &arn, &key.token(&claims(&issuer))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    terminate(&child);
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_believed_under_the_authority_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, stranger) = (Authority::new("one"), Authority::new("another"));
    let path = dir.path().join("ca.pem");
    let key = IssuerKey::ec("e1");
    for (what, shows, trusted, expected) in [
        ("the right one", Shows::Right, Some(&authority), is(200, "")),
        ("another", Shows::Right, Some(&stranger), is(400, "IDPCommunicationError")),
        ("the system's", Shows::Right, None, is(400, "IDPCommunicationError")),
        ("another name", Shows::OtherName, Some(&authority), is(400, "IDPCommunicationError")),
        ("one that has ended", Shows::Ended, Some(&authority), is(400, "IDPCommunicationError")),
    ] {
        let issuer = Issuer::start_over(authority.acceptor(shows), &[&key]).await;
        let server = TestServer::start_with(|config: &mut Config| {
            if let Some(trusted) = trusted {
                trusted.write(&path);
                config.web_identity.ca_file = Some(path.clone());
            }
        })
        .await;
        let iam = server.client().for_iam(server.data.path());
        let number = crate::iam::account_number(&iam).await;
        let arn = federated_role(&iam, &number, &issuer).await;
        let answer = assume_with(&server.client(), &arn, &key.token(&claims(&issuer))).await;
        let said = if answer.status == 200 { is(200, "") } else { said(&answer) };
        assert_eq!(said, expected, "{what}");
        assert_eq!(issuer.count(), if expected.0 == 200 { 2 } else { 0 }, "{what}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_sends_elsewhere_is_not_followed() {
    let key = IssuerKey::ec("e1");
    let (issuer, elsewhere) = (Issuer::start(&[&key]).await, Issuer::start(&[&key]).await);
    for redirect in [301, 302, 303, 307, 308] {
        let discovery = format!("{}/.well-known/openid-configuration", elsewhere.url);
        let answer = format!("HTTP/1.1 {redirect} Moved\r\nlocation: {discovery}\r\ncontent-length: 0\r\n\r\n");
        issuer.served.lock().unwrap().instead = Some(answer.into_bytes());
        let server = TestServer::start().await;
        let iam = server.client().for_iam(server.data.path());
        let number = crate::iam::account_number(&iam).await;
        let arn = federated_role(&iam, &number, &issuer).await;
        let answer = assume_with(&server.client(), &arn, &key.token(&claims(&issuer))).await;
        assert_eq!(said(&answer), is(400, "IDPCommunicationError"), "{redirect}");
        server.stop().await;
    }
    assert_eq!((issuer.count(), elsewhere.count()), (5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_file_without_authorities_keeps_the_server_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("empty.pem");
    std::fs::write(&path, "nothing\n").unwrap();
    let webhook = "[[notification_targets]]\nname = 'hook'\nurl = 'https://127.0.0.1:1/'\n";
    for text in [
        format!("{webhook}ca_file = '{}'\n", path.display()),
        format!("[web_identity]\nca_file = '{}'\n", path.display()),
    ] {
        let config = dir.path().join("chartrier.toml");
        std::fs::write(&config, text).unwrap();
        let child = program_with(&dir.path().join("data"), &["--config", config.to_str().unwrap()], &[]);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("there is no certificate in"), "{said}");
        assert!(said.contains(path.to_str().unwrap()), "{said}");
    }
}
