//! Limits that an administrator sets: quotas of buckets, rates of keys and of sources.

use crate::buckets::{another_user, said};
use crate::support::{Answer, TestServer};
use chartrier::admin::{buckets, wire::Quota};

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
