//! Limits that an administrator sets: quotas of buckets and accounts, ends of keys, rates of keys and of sources.

use crate::buckets::{another_user, said};
use crate::support::{Answer, TestServer};
use chartrier::admin::wire::{KeyChange, NewKey, Quota};
use chartrier::admin::{buckets, users};

async fn set(server: &TestServer, max_bytes: Option<u64>, max_objects: Option<u64>) {
    let quota = Quota { max_bytes, max_objects };
    buckets::set_quota(&server.app, "bounded", quota).await.unwrap_or_else(|error| panic!("{error:?}"));
}

fn exceeded(answer: &Answer) {
    assert_eq!(said(answer), (403, "QuotaExceeded".into()), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_takes_no_more_than_its_quota() {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/bounded", b"").await;
    set(&server, Some(10), None).await;
    assert_eq!(client.put("/bounded/one", b"123456").await.status, 200);
    exceeded(&client.put("/bounded/two", b"12345").await);
    assert_eq!(client.get("/bounded/two").await.status, 404);
    assert_eq!(client.put("/bounded/two", b"1234").await.status, 200);
    let copied = client.send("PUT", "/bounded/three", &[("x-amz-copy-source", "/bounded/one")], b"").await;
    exceeded(&copied);
    exceeded(&client.send("POST", "/bounded/four?uploads", &[], b"").await);
    // Reading and removing go on, and removing makes room.
    assert_eq!(client.get("/bounded/one").await.text(), "123456");
    assert_eq!(client.send("DELETE", "/bounded/one", &[], b"").await.status, 204);
    assert_eq!(client.put("/bounded/two", b"5678").await.status, 200);
    let begun = client.send("POST", "/bounded/four?uploads", &[], b"").await;
    let upload = begun.element("UploadId").unwrap();
    let part = format!("/bounded/four?partNumber=1&uploadId={upload}");
    exceeded(&client.put(&part, b"1234567").await);
    let etag = client.put(&part, b"123456").await.headers["etag"].to_str().unwrap().to_owned();
    // What each part may, all together may not.
    assert_eq!(client.put("/bounded/five", b"12").await.status, 200);
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = format!("/bounded/four?uploadId={upload}");
    exceeded(&client.send("POST", &complete, &[], list.as_bytes()).await);
    set(&server, None, Some(2)).await;
    exceeded(&client.put("/bounded/six", b"").await);
    set(&server, None, None).await;
    assert_eq!(client.send("POST", &complete, &[], list.as_bytes()).await.status, 200);
    let absent = buckets::set_quota(&server.app, "absent", Quota { max_bytes: None, max_objects: None }).await;
    assert_eq!(absent.err().map(|error| error.code), Some("NoSuchBucket"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_slowed_down() {
    let server = TestServer::start_with(|config| {
        config.rate_limits.requests_per_second_of_key = 5;
        config.rate_limits.burst_seconds = 1;
    })
    .await;
    let (client, other) = (server.client(), another_user(&server, "other").await);
    let mut slowed = 0;
    for _ in 0..40 {
        let answer = client.get("/").await;
        if answer.status == 503 {
            assert_eq!(
                (said(&answer), &answer.headers["retry-after"]),
                ((503, "SlowDown".into()), &"1".parse().unwrap())
            );
            slowed += 1;
        }
    }
    assert!(slowed > 0);
    assert_eq!(other.get("/").await.status, 200);
    server.stop().await;

    let server = TestServer::start_with(|config| config.rate_limits.requests_per_second_of_source = 5).await;
    let client = server.client();
    let mut codes = Vec::new();
    for _ in 0..60 {
        codes.push(client.get("/").await.status.as_u16());
    }
    assert!(codes.contains(&200) && codes.contains(&503), "{codes:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_takes_no_more_than_its_quota() {
    let server = TestServer::start().await;
    let alice = another_user(&server, "alice").await;
    let limit = async |max_bytes, max_objects| {
        let quota = Quota { max_bytes, max_objects };
        users::set_quota(&server.app, "alice", quota).await.unwrap_or_else(|error| panic!("{error:?}"));
    };
    let id = server.app.engine.user("alice").unwrap().unwrap().id;
    let held = || {
        let usage = server.app.engine.account_usage(&id).unwrap();
        (usage.versions, usage.bytes)
    };
    for bucket in ["/alice-one", "/alice-two"] {
        assert_eq!(alice.put(bucket, b"").await.status, 200);
    }
    limit(Some(10), None).await;
    assert_eq!(alice.put("/alice-one/a", b"123456").await.status, 200);
    exceeded(&alice.put("/alice-two/b", b"12345").await);
    assert_eq!(alice.put("/alice-two/b", b"1234").await.status, 200);
    exceeded(&alice.send("PUT", "/alice-two/c", &[("x-amz-copy-source", "/alice-one/a")], b"").await);
    assert_eq!(held(), (2, 10));
    // Many at once together go not a byte over it.
    assert_eq!(alice.send("DELETE", "/alice-two/b", &[], b"").await.status, 204);
    let writes: Vec<_> = (0..8)
        .map(|at| {
            let alice = alice.clone();
            tokio::spawn(async move { alice.put(&format!("/alice-two/race-{at}"), b"12").await.status.as_u16() })
        })
        .collect();
    let mut stored = 0;
    for write in writes {
        stored += u32::from(write.await.unwrap() == 200);
    }
    assert_eq!((stored, held()), (2, (3, 10)));
    // In its buckets others' writes count for it, and its own elsewhere do not.
    let root = server.client();
    exceeded(&root.put("/alice-one/by-root", b"1").await);
    root.put("/of-root", b"").await;
    assert_eq!(root.put("/of-root/k", b"123456789012").await.status, 200);
    // Versions and markers count too; a marker is never refused.
    limit(None, Some(4)).await;
    let versioning = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(alice.send("PUT", "/alice-one?versioning", &[], versioning).await.status, 200);
    assert_eq!(alice.put("/alice-one/a", b"").await.status, 200);
    exceeded(&alice.put("/alice-one/a", b"").await);
    assert_eq!(alice.send("DELETE", "/alice-one/a", &[], b"").await.status, 204);
    assert_eq!(held().0, 5);
    limit(None, None).await;
    assert_eq!(alice.put("/alice-one/a", b"1").await.status, 200);
    let absent = users::set_quota(&server.app, "nobody", Quota { max_bytes: None, max_objects: None }).await;
    assert_eq!(absent.err().map(|error| error.code), Some("NoSuchUser"));
    let over = Quota { max_bytes: Some(u64::MAX), max_objects: None };
    assert_eq!(users::set_quota(&server.app, "alice", over).await.err().map(|e| e.code), Some("InvalidArgument"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_end_when_they_should() {
    let server = TestServer::start().await;
    let alice = another_user(&server, "alice").await;
    let id = alice.credentials().0;
    let set = async |disabled: Option<bool>, expires: Option<&str>| {
        let change = KeyChange { disabled, expires: expires.map(str::to_owned) };
        users::set_key(&server.app, "alice", &id, change).await.map_err(|error| error.code)
    };
    let gone = (403, "InvalidAccessKeyId".to_owned());
    assert!(set(Some(true), None).await.is_ok());
    assert_eq!(said(&alice.get("/").await), gone);
    assert!(set(Some(false), None).await.is_ok());
    assert_eq!(alice.get("/").await.status, 200);
    let soon_s = 2 + server.app.now_us() / 1_000_000;
    let soon = chartrier_journal::format_time(soon_s * 1_000_000).unwrap();
    assert!(set(None, Some(&soon)).await.is_ok());
    let session = crate::iam::call(&alice.clone().for_sts(), "GetSessionToken", &[]).await;
    let session = alice.clone().with_credentials_of(&session);
    assert_eq!((alice.get("/").await.status.as_u16(), session.get("/").await.status.as_u16()), (200, 200));
    tokio::time::sleep(std::time::Duration::from_millis(3100)).await;
    assert_eq!(said(&alice.get("/").await), gone);
    // What it asked for ends with it.
    assert_eq!(said(&session.get("/").await), (400, "InvalidToken".to_owned()));
    assert!(set(None, Some("never")).await.is_ok());
    assert_eq!(alice.get("/").await.status, 200);
    for bad in ["yesterday", "2001-01-01T00:00:00Z", ""] {
        assert_eq!(set(None, Some(bad)).await.err(), Some("InvalidArgument"), "{bad}");
    }
    // Root keeps a key that lasts.
    let root = server.root_credentials().0;
    let ends = KeyChange { disabled: None, expires: Some("2099-01-01T00:00:00Z".to_owned()) };
    let refused = users::set_key(&server.app, "root", &root, ends).await;
    assert_eq!(refused.err().map(|error| error.code), Some("UserInUse"));
    let new = NewKey { expires: Some("2099-01-01T00:00:00Z".to_owned()) };
    assert!(users::add_key(&server.app, "root", new).await.is_ok());
    let removed = users::remove_key(&server.app, "root", &root).await;
    assert_eq!(removed.err().map(|error| error.code), Some("UserInUse"));
    server.stop().await;
}
