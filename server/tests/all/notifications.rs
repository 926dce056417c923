//! Event notification: rules kept and refused, and a receiver that is slow, fails, goes and comes back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chartrier::admin::client::{AdminClient, Clear};
use chartrier::admin::run_file::RunFile;
use chartrier::admin::wire;
use chartrier::config::{Config, NotificationTarget};
use serde_json::Value;

use crate::buckets::said;
use crate::edge_stop::{program, ready};
use crate::post_object::{Author, USUAL, post};
use crate::support::receiver::{Receiver, named, records};
use crate::support::{Answer, Client, TestServer};

pub(crate) fn target(name: &str, url: &str) -> NotificationTarget {
    NotificationTarget { name: name.into(), url: url.into(), timeout_s: 2, ..NotificationTarget::default() }
}

pub(crate) fn queue(name: &str, events: &[&str], filter: &str) -> String {
    let events: String = events.iter().map(|event| format!("<Event>s3:{event}</Event>")).collect();
    format!(
        "<NotificationConfiguration><QueueConfiguration><Id>{name}-rule</Id>\
         <Queue>arn:aws:sqs:fr:123456789012:{name}</Queue>{events}{filter}</QueueConfiguration></NotificationConfiguration>"
    )
}

pub(crate) async fn set(client: &Client, bucket: &str, document: &str) -> Answer {
    client.put(&format!("/{bucket}?notification"), document.as_bytes()).await
}

async fn told(url: &str) -> (TestServer, Client) {
    let server = TestServer::start_with(|config: &mut Config| {
        config.notification_targets = vec![target("hook", url)];
    })
    .await;
    let client = server.client();
    client.put("/telling", b"").await;
    (server, client)
}

fn admin(server: &TestServer) -> AdminClient {
    let run = RunFile::read(server.data.path()).unwrap();
    AdminClient::new(&run.endpoint, run.token, Clear::Loopback).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) async fn status(server: &TestServer, name: &str) -> wire::EventTarget {
    let answer: wire::EventTargets = admin(server).get("/events").await.unwrap_or_else(|error| panic!("{error}"));
    answer.targets.into_iter().find(|target| target.name == name).unwrap()
}

/// Waits until nothing waits for a target.
async fn settled(server: &TestServer, name: &str) -> wire::EventTarget {
    for _ in 0..200 {
        let status = status(server, name).await;
        if status.pending == 0 {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("events still wait: {:?}", status(server, name).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_kept_and_refused() {
    let (server, client) = told("http://127.0.0.1:1/").await;
    let get = || client.get("/telling?notification");
    assert!(get().await.text().ends_with("2006-03-01/\"></NotificationConfiguration>"));
    let filter = "<Filter><S3Key><FilterRule><Name>prefix</Name><Value>a/</Value></FilterRule></S3Key></Filter>";
    assert_eq!(set(&client, "telling", &queue("hook", &["ObjectCreated:*"], filter)).await.status, 200);
    let text = get().await.text();
    assert!(text.contains("<Id>hook-rule</Id><Queue>arn:aws:sqs:fr:123456789012:hook</Queue>"), "{text}");
    assert!(text.contains("<FilterRule><Name>Prefix</Name><Value>a/</Value></FilterRule>"), "{text}");
    let unknown = set(&client, "telling", &queue("none", &["ObjectCreated:*"], "")).await;
    assert_eq!(said(&unknown), (400, "InvalidArgument".into()));
    let message = "Unable to validate the following destination configurations";
    assert_eq!(unknown.element("Message").unwrap(), message);
    assert_eq!(unknown.element("ArgumentName1").unwrap(), "arn:aws:sqs:fr:123456789012:none");
    let bridge = "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>";
    assert_eq!(said(&set(&client, "telling", bridge).await), (501, "NotImplemented".into()));
    assert_eq!(said(&set(&client, "telling", "<Notification/>").await), (400, "MalformedXML".into()));
    assert_eq!(said(&set(&client, "none-such", "<NotificationConfiguration/>").await), (404, "NoSuchBucket".into()));
    // What was refused has changed nothing; an empty document ends it.
    assert_eq!(get().await.text(), text);
    assert_eq!(set(&client, "telling", "<NotificationConfiguration/>").await.status, 200);
    assert!(!get().await.text().contains("Queue"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_is_told_as_s3_tells_it() {
    let receiver = Receiver::start().await;
    let (server, client) = told(&receiver.url()).await;
    let events = ["ObjectCreated:*", "ObjectRemoved:*", "ObjectTagging:*", "ObjectAcl:Put", "LifecycleExpiration:*"];
    assert_eq!(set(&client, "telling", &queue("hook", &events, "")).await.status, 200);

    assert_eq!(client.put("/telling/a%20dir/%C3%A9.txt", b"seven b").await.status, 200);
    let copy = [("x-amz-copy-source", "/telling/a%20dir/%C3%A9.txt")];
    assert_eq!(client.send("PUT", "/telling/copy", &copy, b"").await.status, 200);
    let again = [("x-amz-copy-source", "/telling/copy"), ("x-amz-metadata-directive", "REPLACE")];
    assert_eq!(client.send("PUT", "/telling/copy", &again, b"").await.status, 200);
    let upload = client.send("POST", "/telling/parts?uploads", &[], b"").await.element("UploadId").unwrap();
    let part = client.put(&format!("/telling/parts?partNumber=1&uploadId={upload}"), b"part").await;
    let etag = part.headers["etag"].to_str().unwrap().replace('"', "");
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let completed = client.send("POST", &format!("/telling/parts?uploadId={upload}"), &[], complete.as_bytes()).await;
    assert_eq!(completed.status, 200, "{}", completed.text());
    let author = Author::new(server.root_credentials());
    let form = author.form(&USUAL.replace("forms", "telling"), &[("key", "user/form")], b"from a form");
    assert_eq!(post(&client, "/telling", &form).await.status, 204);
    let tags = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
    assert_eq!(crate::cors::put_document(&client, "/telling/copy?tagging", tags).await.status, 200);
    assert_eq!(client.send("DELETE", "/telling/copy?tagging", &[], b"").await.status, 204);
    assert_eq!(client.send("DELETE", "/telling/copy", &[], b"").await.status, 204);
    // Nothing is told of what was refused, was not there, or only read.
    client.send("PUT", "/telling/parts", &[("if-none-match", "*")], b"x").await;
    client.send("DELETE", "/telling/none", &[], b"").await;
    client.get("/telling/parts").await;
    let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(crate::cors::put_document(&client, "/telling?versioning", versioning).await.status, 200);
    let marked = client.send("DELETE", "/telling/parts", &[], b"").await;
    let marker = marked.headers["x-amz-version-id"].to_str().unwrap().to_owned();
    client.send("DELETE", &format!("/telling/parts?versionId={marker}"), &[], b"").await;

    let records = receiver.until("ten events", |records| records.len() >= 10).await;
    let name = |event: &str, key: &str| (event.to_owned(), key.to_owned());
    let expected = [
        name("ObjectCreated:Put", "a+dir/%C3%A9.txt"),
        name("ObjectCreated:Copy", "copy"),
        name("ObjectCreated:Copy", "copy"),
        name("ObjectCreated:CompleteMultipartUpload", "parts"),
        name("ObjectCreated:Post", "user/form"),
        name("ObjectTagging:Put", "copy"),
        name("ObjectTagging:Delete", "copy"),
        name("ObjectRemoved:Delete", "copy"),
        name("ObjectRemoved:DeleteMarkerCreated", "parts"),
        name("ObjectRemoved:Delete", "parts"),
    ];
    assert_eq!(records.iter().map(named).collect::<Vec<_>>(), expected);

    let test = receiver.seen.messages.lock().unwrap()[0].clone();
    assert_eq!((&test["Event"], &test["Bucket"]), (&"s3:TestEvent".into(), &"telling".into()));
    let first = &records[0];
    assert_eq!(first["eventSource"], "aws:s3");
    assert_eq!(first["awsRegion"], "fr");
    assert_eq!(first["requestParameters"]["sourceIPAddress"], "127.0.0.1");
    assert_eq!(first["s3"]["configurationId"], "hook-rule");
    assert_eq!(first["s3"]["object"]["size"], 7);
    assert_eq!(first["s3"]["bucket"]["arn"], "arn:aws:s3:::telling");
    assert!(first["userIdentity"]["principalId"].as_str().unwrap().starts_with("AWS:"));
    assert_eq!(records[8]["s3"]["object"]["versionId"], marker);
    let sequencers: Vec<&str> =
        records.iter().map(|record| record["s3"]["object"]["sequencer"].as_str().unwrap()).collect();
    assert!(sequencers.windows(2).all(|pair| pair[0] < pair[1]), "{sequencers:?}");
    assert!(receiver.seen.heads.lock().unwrap()[0].starts_with("POST /hook HTTP/1.1"));
    assert_eq!(settled(&server, "hook").await.delivered, 11);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_choose_and_no_test_event_on_demand() {
    let receiver = Receiver::start().await;
    let (server, client) = told(&receiver.url()).await;
    let rule = |name, value| format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>");
    let filter = format!("<Filter><S3Key>{}{}</S3Key></Filter>", rule("prefix", "in/"), rule("suffix", ".jpg"));
    let document = queue("hook", &["ObjectCreated:Put"], &filter);
    let skip = [("x-amz-skip-destination-validation", "true")];
    let answer = client.send("PUT", "/telling?notification", &skip, document.as_bytes()).await;
    assert_eq!(answer.status, 200);
    for key in ["in/a.png", "a.jpg", "in/a.jpg", "in/b.jpg"] {
        client.put(&format!("/telling/{key}"), b"x").await;
    }
    receiver.until("two events", |records| records.len() == 2).await;
    settled(&server, "hook").await;
    let seen: Vec<String> = receiver.records().iter().map(|record| named(record).1).collect();
    assert_eq!(seen, ["in/a.jpg", "in/b.jpg"]);
    assert_eq!(receiver.seen.messages.lock().unwrap().len(), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifecycle_rule_is_told_by_its_own_events() {
    let receiver = Receiver::start().await;
    let server = TestServer::start_with(|config| {
        config.notification_targets = vec![target("hook", &receiver.url())];
        (config.lifecycle.day_s, config.lifecycle.every_s) = (1, 1);
    })
    .await;
    let client = server.client();
    client.put("/telling", b"").await;
    set(&client, "telling", &queue("hook", &["LifecycleExpiration:*", "ObjectRemoved:*"], "")).await;
    client.put("/telling/old", b"x").await;
    let document = "<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter/>\
                    <Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>";
    assert_eq!(crate::cors::put_document(&client, "/telling?lifecycle", document).await.status, 200);
    let records = receiver.until("the expiration", |records| !records.is_empty()).await;
    assert_eq!(named(&records[0]), ("LifecycleExpiration:Delete".into(), "old".into()));
    assert_eq!(records[0]["userIdentity"]["principalId"], "s3.amazonaws.com");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_goes_and_comes_back_is_told_everything_in_order() {
    let receiver = Receiver::start().await;
    receiver.seen.fails_every.store(3, Ordering::Relaxed);
    let (server, client) = told(&receiver.url()).await;
    set(&client, "telling", &queue("hook", &["ObjectCreated:*"], "")).await;
    for n in 0..6 {
        client.put(&format!("/telling/{n:02}"), b"x").await;
    }
    receiver.until("the first six", |records| all_in_order(records, 6)).await;
    let (address, seen) = receiver.stop().await;
    // Nobody listens: writes go on as ever.
    let began = Instant::now();
    for n in 6..12 {
        assert_eq!(client.put(&format!("/telling/{n:02}"), b"x").await.status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(status(&server, "hook").await.pending >= 6);
    // Not even a restart loses what waits.
    let data = server.stop().await;
    let url = format!("http://{address}/hook");
    let server = TestServer::start_on(data, |config| config.notification_targets = vec![target("hook", &url)]).await;
    seen.status.store(503, Ordering::Relaxed);
    let receiver = Receiver::start_at(address, seen).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let troubled = status(&server, "hook").await;
    assert!(troubled.pending >= 6 && troubled.trouble.is_some_and(|why| why.contains("503")));
    // A redirect is no delivery, and is not followed.
    receiver.seen.status.store(307, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(status(&server, "hook").await.pending >= 6);
    receiver.seen.status.store(200, Ordering::Relaxed);
    receiver.until("all twelve", |records| all_in_order(records, 12)).await;
    let settled = settled(&server, "hook").await;
    assert_eq!((settled.dropped, settled.trouble), (0, None));
    server.stop().await;
}

/// Whether each of `00`, `01`, … was told, and none for the first time after a later one.
fn all_in_order(records: &[Value], count: usize) -> bool {
    let mut first_told: Vec<String> = Vec::new();
    for record in records {
        let (_, key) = named(record);
        if !first_told.contains(&key) {
            first_told.push(key);
        }
    }
    assert!(first_told.windows(2).all(|pair| pair[0] < pair[1]), "{first_told:?}");
    first_told.len() == count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_target_stalls_nobody_else_and_can_be_given_up() {
    let (dead, alive) = (Receiver::start().await, Receiver::start().await);
    // It takes what comes and never answers.
    dead.seen.status.store(0, Ordering::Relaxed);
    let server = TestServer::start_with(|config| {
        config.notification_targets = vec![target("dead", &dead.url()), target("alive", &alive.url())];
    })
    .await;
    let client = server.client();
    for (bucket, name) in [("to-dead", "dead"), ("to-alive", "alive")] {
        client.put(&format!("/{bucket}"), b"").await;
        assert_eq!(set(&client, bucket, &queue(name, &["ObjectCreated:*"], "")).await.status, 200);
    }
    for n in 0..5 {
        assert_eq!(client.put(&format!("/to-dead/{n}"), b"x").await.status, 200);
        assert_eq!(client.put(&format!("/to-alive/{n}"), b"x").await.status, 200);
    }
    alive.until("its five", |records| records.len() == 5).await;
    assert_eq!(status(&server, "dead").await.pending, 6);
    let discarded: wire::EventsDiscarded =
        admin(&server).delete("/events/dead").await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(discarded.discarded, 6);
    let after = status(&server, "dead").await;
    assert_eq!((after.pending, after.dropped), (0, 6));
    // What comes later is told, once it answers again.
    dead.seen.status.store(200, Ordering::Relaxed);
    client.put("/to-dead/later", b"x").await;
    let records = dead.until("the later one", |records| !records.is_empty()).await;
    assert_eq!(named(&records[0]).1, "later");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_change_and_delivery_every_event_arrives() {
    let receiver = Receiver::start().await;
    let data = tempfile::tempdir().unwrap();
    let token = data.path().join("token");
    std::fs::write(&token, "a-secret-token\n").unwrap();
    let config = data.path().join("chartrier.toml");
    let text = format!(
        "[[notification_targets]]\nname = 'hook'\nurl = '{}'\ntimeout_s = 2\nrecords_per_message = 4\n\
         bearer_token_file = '{}'\n",
        receiver.url(),
        token.display()
    );
    std::fs::write(&config, text).unwrap();
    let more = ["--config", config.to_str().unwrap()];
    let state = data.path().join("data");
    receiver.seen.delay_ms.store(20, Ordering::Relaxed);
    receiver.seen.fails_every.store(5, Ordering::Relaxed);
    let mut acknowledged = BTreeSet::new();
    for round in 0..4 {
        let mut child = program(&state, &more);
        let (s3, _) = ready(&mut child);
        let client = Client::new(s3, ("ROOTKEY".into(), "root-secret".into()));
        if round == 0 {
            client.put("/telling", b"").await;
            assert_eq!(set(&client, "telling", &queue("hook", &["ObjectCreated:*"], "")).await.status, 200);
        }
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let client = client.clone();
                tokio::spawn(async move {
                    let mut done = Vec::new();
                    for n in 0..10 {
                        let key = format!("{round}-{writer}-{n}");
                        if client.put(&format!("/telling/{key}"), b"x").await.status == 200 {
                            done.push(key);
                        }
                    }
                    done
                })
            })
            .collect();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        // SIGKILL: whatever was told and not taken out is told again.
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(acknowledged.len(), 160);
    receiver.seen.delay_ms.store(0, Ordering::Relaxed);
    let mut child = program(&state, &more);
    ready(&mut child);
    receiver
        .until("every event", |records| {
            let told: BTreeSet<String> = records.iter().map(|record| named(record).1).collect();
            acknowledged.is_subset(&told)
        })
        .await;
    let seen = Arc::clone(&receiver.seen);
    assert!(seen.heads.lock().unwrap().iter().all(|head| head.contains("authorization: Bearer a-secret-token")));
    let mut first: Vec<String> = Vec::new();
    for record in records(&seen) {
        let sequencer = record["s3"]["object"]["sequencer"].as_str().unwrap().to_owned();
        if !first.contains(&sequencer) {
            first.push(sequencer);
        }
    }
    assert!(first.windows(2).all(|pair| pair[0] < pair[1]), "an event was told for the first time after a later one");
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("a-secret-token"));
}
