//! Lifecycle: rules kept and refused, the worker with a short day, headers that announce it.

use std::time::Duration;

use chartrier_storage::ids::VersionId;
use chartrier_storage::namespace::command::{Command, CommandContext, Op, Outcome, VersionChange};
use chartrier_storage::namespace::lock::Versioning;
use chartrier_storage::namespace::query::{VersionEntry, VersionQuery};

use crate::buckets::said;
use crate::cors::put_document;
use crate::support::{Client, TestServer};

fn rules(rules: &[(&str, &str)]) -> String {
    let rules: String = rules
        .iter()
        .map(|(id, inside)| format!("<Rule><ID>{id}</ID><Status>Enabled</Status>{inside}</Rule>"))
        .collect();
    format!(
        "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rules}</LifecycleConfiguration>"
    )
}

const SOON: &str = "<Expiration><Days>1</Days></Expiration>";

/// A server whose days last two seconds.
async fn quick() -> (TestServer, Client) {
    let server = TestServer::start_with(|config| {
        config.lifecycle.day_s = 2;
        config.lifecycle.every_s = 1;
    })
    .await;
    let client = server.client();
    client.put("/aging", b"").await;
    (server, client)
}

async fn gone(client: &Client, target: &str) -> bool {
    for _ in 0..60 {
        if client.get(target).await.status == 404 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_kept_and_refused() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/aging", b"").await;
    assert_eq!(said(&client.get("/aging?lifecycle").await), (404, "NoSuchLifecycleConfiguration".into()));
    let good = rules(&[("one", &format!("<Filter><Prefix>a</Prefix></Filter>{SOON}"))]);
    assert_eq!(said(&client.put("/aging?lifecycle", good.as_bytes()).await), (400, "InvalidRequest".into()));
    assert_eq!(put_document(&client, "/aging?lifecycle", &good).await.status, 200);
    let answer = client.get("/aging?lifecycle").await;
    assert!(answer.text().contains("<Filter><Prefix>a</Prefix></Filter><Status>Enabled</Status>"), "{}", answer.text());
    let moved = "<Filter/><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>";
    let refused = put_document(&client, "/aging?lifecycle", &rules(&[("t", moved)])).await;
    assert_eq!(said(&refused), (501, "NotImplemented".into()));
    let unnamed = rules(&[("", &format!("<Filter/>{SOON}"))]);
    assert_eq!(put_document(&client, "/aging?lifecycle", &unnamed).await.status, 200);
    assert!(!client.get("/aging?lifecycle").await.element("ID").unwrap().is_empty());
    assert_eq!(client.send("DELETE", "/aging?lifecycle", &[], b"").await.status, 204);
    assert_eq!(said(&client.get("/aging?lifecycle").await), (404, "NoSuchLifecycleConfiguration".into()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_goes_and_the_rest_stays() {
    let (server, client) = quick().await;
    for key in ["logs/old", "logs/also", "kept", "big/large", "big/small"] {
        let body = if key == "big/large" { vec![1; 100] } else { vec![1; 3] };
        assert_eq!(client.put(&format!("/aging/{key}"), &body).await.status, 200);
    }
    let begun = client.send("POST", "/aging/logs/upload?uploads", &[], b"").await;
    let upload = begun.element("UploadId").unwrap();
    let document = rules(&[
        (
            "logs",
            &format!(
                "<Filter><Prefix>logs/</Prefix></Filter>{SOON}<AbortIncompleteMultipartUpload>\
                           <DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
            ),
        ),
        (
            "big",
            &format!(
                "<Filter><And><Prefix>big/</Prefix><ObjectSizeGreaterThan>50</ObjectSizeGreaterThan></And></Filter>{SOON}"
            ),
        ),
        ("past", "<Filter><Prefix>dated/</Prefix></Filter><Expiration><Date>2020-01-01T00:00:00Z</Date></Expiration>"),
        ("future", "<Filter><Prefix>kept</Prefix></Filter><Expiration><Date>2090-01-01T00:00:00Z</Date></Expiration>"),
    ]);
    assert_eq!(put_document(&client, "/aging?lifecycle", &document).await.status, 200);
    client.put("/aging/dated/now", b"x").await;
    for key in ["logs/old", "logs/also", "big/large", "dated/now"] {
        assert!(gone(&client, &format!("/aging/{key}")).await, "{key} is still there");
    }
    let parts = format!("/aging/logs/upload?uploadId={upload}");
    assert!(gone(&client, &parts).await, "the upload is still there");
    for key in ["kept", "big/small"] {
        assert_eq!(client.get(&format!("/aging/{key}")).await.status, 200, "{key}");
    }
    assert!(server.app.metrics.lifecycle_removed.get() >= 5);
    // A start later goes on from what the rows say.
    client.put("/aging/logs/next", b"x").await;
    let data = server.stop().await;
    let server = TestServer::start_on(data, |config| config.lifecycle.day_s = 1).await;
    assert!(gone(&server.client(), "/aging/logs/next").await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_written_again_is_young_again() {
    let (server, client) = quick().await;
    let document = rules(&[("all", &format!("<Filter/>{SOON}"))]);
    put_document(&client, "/aging?lifecycle", &document).await;
    for round in 0..12 {
        assert_eq!(client.put("/aging/young", format!("{round}").as_bytes()).await.status, 200);
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(client.get("/aging/young").await.text(), format!("{round}"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_announce_the_end() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/aging", b"").await;
    let document = rules(&[(
        "week &amp; more",
        "<Filter><Prefix>a</Prefix></Filter><Expiration><Days>7</Days></Expiration>\
                         <AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
    )]);
    put_document(&client, "/aging?lifecycle", &document).await;
    let put = client.put("/aging/a", b"x").await;
    let value = put.headers["x-amz-expiration"].to_str().unwrap().to_owned();
    assert!(
        value.starts_with("expiry-date=\"") && value.ends_with(" 00:00:00 GMT\", rule-id=\"week%20%26%20more\""),
        "{value}"
    );
    for method in ["GET", "HEAD"] {
        assert_eq!(client.send(method, "/aging/a", &[], b"").await.headers["x-amz-expiration"], value);
    }
    assert!(!client.put("/aging/b", b"x").await.headers.contains_key("x-amz-expiration"));
    let tagged = rules(&[("t", &format!("<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>{SOON}"))]);
    put_document(&client, "/aging?lifecycle", &tagged).await;
    for (tags, announced) in [("k=v&l=w", true), ("k=w", false)] {
        assert_eq!(client.send("PUT", "/aging/t", &[("x-amz-tagging", tags)], b"x").await.status, 200, "{tags}");
        let got = client.get("/aging/t").await;
        assert_eq!(got.headers.contains_key("x-amz-expiration"), announced, "{tags}");
    }
    put_document(&client, "/aging?lifecycle", &document).await;
    let begun = client.send("POST", "/aging/a2?uploads", &[], b"").await;
    assert_eq!(begun.headers["x-amz-abort-rule-id"], "week%20%26%20more");
    assert!(begun.headers["x-amz-abort-date"].to_str().unwrap().ends_with(" 00:00:00 GMT"));
    server.stop().await;
}

async fn change(server: &TestServer, op: Op) -> Outcome {
    let context = CommandContext {
        time_us: server.app.now_us(),
        request_id: "test".into(),
        actor_pid: "test".into(),
        actor_role: "system".into(),
        actor_auth: "internal".into(),
        origin: None,
    };
    server.app.engine.propose(Command { context, op }).await.unwrap().outcome
}

/// Version ids of a key, newest first, with whether each is a delete marker.
async fn versions(server: &TestServer, key: &str) -> Vec<(VersionId, bool)> {
    let bucket = server.app.engine.bucket("aging").unwrap().unwrap().id;
    let query = VersionQuery { bucket, prefix: key.to_owned(), delimiter: None, after: None, limit: 100 };
    let page = server.app.engine.list_versions(query).await.unwrap();
    page.entries
        .into_iter()
        .filter_map(|entry| match entry {
            VersionEntry::Version { summary, .. } => Some((summary.version_id, summary.delete_marker)),
            VersionEntry::Prefix(_) => None,
        })
        .collect()
}

async fn until(server: &TestServer, key: &str, wanted: impl Fn(&[(VersionId, bool)]) -> bool) {
    let mut seen = Vec::new();
    for _ in 0..80 {
        seen = versions(server, key).await;
        if wanted(&seen) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("{key} still has {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_markers_and_what_a_hold_protects() {
    let (server, client) = quick().await;
    let bucket = server.app.engine.bucket("aging").unwrap().unwrap().id;
    assert_eq!(change(&server, Op::SetVersioning { bucket, versioning: Versioning::Enabled }).await, Outcome::Done);
    assert_eq!(change(&server, Op::SetObjectLock { bucket, default_retention: None }).await, Outcome::Done);
    for key in ["a/all", "a/held", "b/kept"] {
        for body in ["1", "2", "3"] {
            assert_eq!(client.put(&format!("/aging/{key}"), body.as_bytes()).await.status, 200);
        }
    }
    let oldest = versions(&server, "a/held").await[2].0;
    let row = server.app.engine.version(bucket, "a/held", oldest).unwrap().unwrap();
    let hold = Op::ChangeVersion {
        bucket,
        key: "a/held".into(),
        version_id: oldest,
        wrap_version: row.wrap_version,
        change: VersionChange::LegalHold(true),
    };
    assert_eq!(change(&server, hold).await, Outcome::Done);
    let leaves = server.app.engine.journal().size();
    let noncurrent = "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>";
    let document = rules(&[
        ("a", &format!("<Filter><Prefix>a/</Prefix></Filter>{SOON}{noncurrent}</NoncurrentVersionExpiration>")),
        (
            "b",
            &format!(
                "<Filter><Prefix>b/</Prefix></Filter>{noncurrent}<NewerNoncurrentVersions>1</NewerNoncurrentVersions>\
                        </NoncurrentVersionExpiration>"
            ),
        ),
    ]);
    assert_eq!(put_document(&client, "/aging?lifecycle", &document).await.status, 200);
    // Hidden by a marker, destroyed, and the marker that hides nothing goes too.
    until(&server, "a/all", <[_]>::is_empty).await;
    until(&server, "a/held", |seen| seen.len() == 2).await;
    let held = versions(&server, "a/held").await;
    assert!(held[0].1 && held[1] == (oldest, false), "{held:?}");
    until(&server, "b/kept", |seen| seen.len() == 2).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(versions(&server, "a/held").await, held);
    assert_eq!(client.get("/aging/b/kept").await.text(), "3");
    // What is protected is left alone, not refused again and again in the journal.
    let size = server.app.engine.journal().size();
    assert!(size - leaves < 20, "{} leaves", size - leaves);
    server.stop().await;
}
