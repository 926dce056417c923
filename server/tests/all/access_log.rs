//! Access logs: where they may go, what their lines say, and what they never say.

use std::time::Duration;

use crate::buckets::{another_user, said};
use crate::post_object::{Author, USUAL, post};
use crate::support::{Answer, Client, Sign, TestServer};

fn document(target: &str, prefix: &str, more: &str) -> String {
    format!(
        "<BucketLoggingStatus xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LoggingEnabled>\
         <TargetBucket>{target}</TargetBucket><TargetPrefix>{prefix}</TargetPrefix>{more}</LoggingEnabled>\
         </BucketLoggingStatus>"
    )
}

async fn set(client: &Client, bucket: &str, document: &str) -> Answer {
    client.put(&format!("/{bucket}?logging"), document.as_bytes()).await
}

/// Lets the logs of `source` into `target`, under `prefix`.
async fn let_in(client: &Client, source: &str, target: &str, prefix: &str) {
    let policy = format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\
         \"Principal\":{{\"Service\":\"logging.s3.amazonaws.com\"}},\"Action\":\"s3:PutObject\",\
         \"Resource\":\"arn:aws:s3:::{target}/{prefix}*\",\
         \"Condition\":{{\"ArnLike\":{{\"aws:SourceArn\":\"arn:aws:s3:::{source}\"}}}}}}]}}"
    );
    let answer = client.put(&format!("/{target}?policy"), policy.as_bytes()).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
}

async fn logged(every_s: u64) -> (TestServer, Client) {
    let server = TestServer::start_with(|config| config.access_log.every_s = every_s).await;
    let client = server.client();
    for bucket in ["watched", "logs"] {
        assert_eq!(client.put(&format!("/{bucket}"), b"").await.status, 200);
    }
    let_in(&client, "watched", "logs", "of-watched/").await;
    (server, client)
}

/// Keys of a bucket.
async fn keys(client: &Client, bucket: &str) -> Vec<String> {
    let text = client.get(&format!("/{bucket}?list-type=2")).await.text();
    text.split("<Key>").skip(1).map(|rest| rest.split_once("</Key>").unwrap().0.to_owned()).collect()
}

/// All lines that were delivered, each as its fields.
async fn lines(client: &Client, bucket: &str, prefix: &str) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    for key in keys(client, bucket).await.into_iter().filter(|key| key.starts_with(prefix)) {
        let log = client.get(&format!("/{bucket}/{key}")).await;
        assert_eq!((log.status.as_u16(), &log.headers["content-type"]), (200, &"text/plain".parse().unwrap()));
        assert!(log.text().ends_with('\n'));
        lines.extend(log.text().lines().map(fields));
    }
    lines
}

/// Fields of a line: in quotes, in brackets, or up to the next space.
fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (end, skip) = match rest.as_bytes()[0] {
            b'"' => (rest[1..].find('"').unwrap() + 2, 1),
            b'[' => (rest.find(']').unwrap() + 1, 0),
            _ => (rest.find(' ').unwrap_or(rest.len()), 0),
        };
        fields.push(rest[skip..end - skip].to_owned());
        rest = rest[end..].strip_prefix(' ').unwrap_or("");
    }
    fields
}

/// Waits until so many lines were delivered.
async fn until(client: &Client, count: usize) -> Vec<Vec<String>> {
    for _ in 0..80 {
        let lines = lines(client, "logs", "of-watched/").await;
        if lines.len() >= count {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("{count} lines were never delivered: {:?}", lines(client, "logs", "of-watched/").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_must_let_logs_in() {
    let (server, client) = logged(3600).await;
    let refused = (400, "InvalidTargetBucketForLogging".to_owned());
    assert_eq!(said(&set(&client, "watched", &document("none-such", "", "")).await), refused);
    // The policy lets in what comes from this bucket, under this prefix.
    assert_eq!(said(&set(&client, "watched", &document("logs", "elsewhere/", "")).await), refused);
    client.put("/other", b"").await;
    assert_eq!(said(&set(&client, "other", &document("logs", "of-watched/", "")).await), refused);
    let stranger = another_user(&server, "stranger").await;
    stranger.put("/of-stranger", b"").await;
    let_in(&stranger, "watched", "of-stranger", "").await;
    assert_eq!(said(&set(&client, "watched", &document("of-stranger", "", "")).await), refused);
    assert_eq!(said(&set(&stranger, "watched", &document("of-stranger", "", "")).await).0, 403);
    let grants = "<TargetGrants><Grant/></TargetGrants>";
    let answer = set(&client, "watched", &document("logs", "of-watched/", grants)).await;
    assert_eq!(said(&answer), (400, "AccessControlListNotSupported".into()));
    assert_eq!(
        said(&set(&client, "watched", "<BucketLoggingStatus><X/></BucketLoggingStatus>").await).1,
        "MalformedXML"
    );

    assert!(!client.get("/watched?logging").await.text().contains("LoggingEnabled"));
    assert_eq!(set(&client, "watched", &document("logs", "of-watched/", "")).await.status, 200);
    let kept = client.get("/watched?logging").await;
    assert_eq!(kept.element("TargetBucket").unwrap(), "logs");
    assert_eq!(kept.element("TargetPrefix").unwrap(), "of-watched/");
    assert_eq!(set(&client, "watched", "<BucketLoggingStatus/>").await.status, 200);
    assert!(!client.get("/watched?logging").await.text().contains("LoggingEnabled"));

    // Where ACLs are on, the group that delivers may be let in by them.
    client.send("PUT", "/by-acl", &[("x-amz-object-ownership", "ObjectWriter")], b"").await;
    assert_eq!(said(&set(&client, "watched", &document("by-acl", "", "")).await), refused);
    assert_eq!(client.send("PUT", "/by-acl?acl", &[("x-amz-acl", "log-delivery-write")], b"").await.status, 200);
    assert_eq!(set(&client, "watched", &document("by-acl", "", "")).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_a_line_in_aws_format_without_secrets() {
    let (server, client) = logged(1).await;
    assert_eq!(set(&client, "watched", &document("logs", "of-watched/", "")).await.status, 200);
    let agent = [("user-agent", "test \"agent\""), ("referer", "http://from/?X-Amz-Signature=abc")];
    let key = "/watched/a%20dir/%C3%A9.txt";
    assert_eq!(client.send("PUT", key, &agent, b"seven b").await.status, 200);
    assert_eq!(client.send("GET", key, &[("range", "bytes=1-3")], b"").await.status, 206);
    client.send("HEAD", key, &[], b"").await;
    assert_eq!(client.get("/watched/none").await.status, 404);
    assert_eq!(client.get("/watched?list-type=2&prefix=a").await.status, 200);
    let presigned = Sign::Presigned(Duration::from_secs(60));
    assert_eq!(client.send_signed("GET", key, &[], b"", &presigned).await.status, 200);
    assert_eq!(client.clone().anonymous().get(key).await.status, 403);
    let tls = server.tls_client();
    assert_eq!(tls.get(key).await.status, 200);
    let author = Author::new(server.root_credentials());
    let form = author.form(&USUAL.replace("forms", "watched"), &[("key", "user/form")], b"from a form");
    assert_eq!(post(&client, "/watched", &form).await.status, 204);
    let large = vec![7; 300 << 10];
    assert_eq!(client.put("/watched/large", &large).await.status, 200);
    assert_eq!(client.get("/watched/large").await.body.len(), large.len());
    client.send("DELETE", key, &[], b"").await;
    let batch = "<Delete><Object><Key>large</Key></Object><Object><Key>user/form</Key></Object></Delete>";
    let md5 = crate::cors::md5_of(batch);
    let batch = client.send("POST", "/watched?delete", &[("content-md5", &md5)], batch.as_bytes()).await;
    assert_eq!(batch.status, 200);
    // Requests to other buckets are none of this log's business.
    client.get("/logs?list-type=2").await;

    let lines = until(&client, 15).await;
    assert_eq!(lines.len(), 15);
    assert!(lines.iter().all(|line| line.len() == 26 && line[1] == "watched"), "{lines:?}");
    let operations: Vec<&str> = lines.iter().map(|line| line[6].as_str()).collect();
    let expected = [
        "REST.PUT.OBJECT",
        "REST.GET.OBJECT",
        "REST.HEAD.OBJECT",
        "REST.GET.OBJECT",
        "REST.GET.BUCKET",
        "REST.GET.OBJECT",
        "REST.GET.OBJECT",
        "REST.GET.OBJECT",
        "REST.POST.OBJECT",
        "REST.PUT.OBJECT",
        "REST.GET.OBJECT",
        "REST.DELETE.OBJECT",
        "BATCH.DELETE.OBJECT",
        "BATCH.DELETE.OBJECT",
        "REST.POST.MULTI_OBJECT_DELETE",
    ];
    assert_eq!(operations, expected);
    let owner = client.get("/").await.element("ID").unwrap();
    let put = &lines[0];
    assert_eq!((put[0].as_str(), put[3].as_str(), put[4].as_str()), (owner.as_str(), "127.0.0.1", owner.as_str()));
    assert!(put[2].starts_with('[') && put[2].ends_with(" +0000]"), "{}", put[2]);
    assert_eq!(put[7], "a%2520dir/%25C3%25A9.txt");
    assert_eq!(put[8], "PUT /watched/a%20dir/%C3%A9.txt HTTP/1.1");
    assert_eq!((put[9].as_str(), put[10].as_str(), put[11].as_str(), put[12].as_str()), ("200", "-", "-", "7"));
    assert_eq!((put[15].as_str(), put[16].as_str()), ("http://from/?X-Amz-Signature=REDACTED", "test %22agent%22"));
    assert_eq!((put[19].as_str(), put[21].as_str(), put[20].as_str()), ("SigV4", "AuthHeader", "-"));
    let ranged = &lines[1];
    assert_eq!((ranged[9].as_str(), ranged[11].as_str(), ranged[12].as_str()), ("206", "3", "7"));
    assert_eq!((lines[2][11].as_str(), lines[2][12].as_str()), ("-", "7"));
    assert_eq!((lines[3][9].as_str(), lines[3][10].as_str()), ("404", "NoSuchKey"));
    assert_eq!((lines[5][21].as_str(), lines[5][9].as_str()), ("QueryString", "200"));
    assert!(lines[5][8].contains("X-Amz-Signature=REDACTED&") || lines[5][8].contains("X-Amz-Signature=REDACTED HTTP"));
    assert!(lines[5][8].contains("X-Amz-Credential=REDACTED"), "{}", lines[5][8]);
    assert_eq!((lines[6][4].as_str(), lines[6][10].as_str()), ("-", "AccessDenied"));
    assert_eq!(lines[7][24 - 1], "TLSv1.3");
    assert!(lines[7][20].starts_with("TLS_"), "{}", lines[7][20]);
    assert_eq!((lines[8][4].as_str(), lines[8][7].as_str()), (owner.as_str(), "user/form"));
    assert_eq!((lines[10][11].as_str(), lines[10][12].as_str()), ("307200", "307200"));
    assert_eq!((lines[12][7].as_str(), lines[12][8].as_str(), lines[12][9].as_str()), ("large", "-", "204"));
    assert!(lines[..12].iter().all(|line| line[13].parse::<u64>().is_ok() && line[14].parse::<u64>().is_ok()));
    assert!(server.app.metrics.access_log_delivered.get() >= 15);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_delivers_what_waits_and_a_bucket_may_log_into_itself() {
    let (server, client) = logged(3600).await;
    let_in(&client, "watched", "watched", "").await;
    let partitioned = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime\
                       </PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>";
    assert_eq!(set(&client, "watched", &document("watched", "log-", partitioned)).await.status, 200);
    for n in 0..3 {
        client.put(&format!("/watched/{n}"), b"x").await;
    }
    assert_eq!(keys(&client, "watched").await.len(), 3);
    let data = server.stop().await;
    let server = TestServer::start_on(data, |config| config.access_log.every_s = 1).await;
    let client = server.client();
    let log: Vec<String> = keys(&client, "watched").await.into_iter().filter(|key| key.starts_with("log-")).collect();
    assert_eq!(log.len(), 1, "{log:?}");
    let parts: Vec<&str> = log[0].split('/').collect();
    assert_eq!((parts.len(), parts[1], parts[2]), (7, "fr", "watched"));
    assert!(parts[0].strip_prefix("log-").unwrap().len() == 12 && parts[6].contains("-00-00-00-"), "{}", log[0]);
    assert_eq!(client.get(&format!("/watched/{}", log[0])).await.text().lines().count(), 4);
    // Deliveries are no requests: without any the log does not grow.
    let logs = || async { client.get("/logs?list-type=2").await };
    logs().await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let settled = keys(&client, "watched").await.len();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(keys(&client, "watched").await.len() <= settled + 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_closes_loses_lines_and_no_request() {
    let (server, client) = logged(1).await;
    assert_eq!(set(&client, "watched", &document("logs", "of-watched/", "")).await.status, 200);
    client.put("/watched/one", b"x").await;
    until(&client, 1).await;
    assert_eq!(client.send("DELETE", "/logs?policy", &[], b"").await.status, 204);
    assert_eq!(client.put("/watched/two", b"x").await.status, 200);
    for _ in 0..40 {
        if server.app.metrics.access_log_lost.get() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(server.app.metrics.access_log_lost.get() >= 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_a_line_of_its_source_too() {
    let (server, client) = logged(1).await;
    for target in ["/copies", "/copies?versioning"] {
        let document = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        let body = if target.contains('?') { document } else { "" };
        assert_eq!(client.put(target, body.as_bytes()).await.status, 200);
    }
    assert_eq!(client.put("/watched/a%20source", b"seven b").await.status, 200);
    assert_eq!(set(&client, "watched", &document("logs", "of-watched/", "")).await.status, 200);
    let source = "/watched/a%20source";
    let copy = |headers: Vec<(&'static str, &'static str)>| {
        let client = client.clone();
        async move { client.send("PUT", "/copies/copy", &headers, b"").await }
    };
    // Out of the logged bucket: a line of its log, though the request was to another.
    let done = copy(vec![("x-amz-copy-source", source), ("user-agent", "agent")]).await;
    assert_eq!(done.status, 200);
    assert_eq!(copy(vec![("x-amz-copy-source", "/watched/none")]).await.status, 404);
    let condition = ("x-amz-copy-source-if-match", "\"other\"");
    assert_eq!(copy(vec![("x-amz-copy-source", source), condition]).await.status, 412);
    // Who may not read it is in the log of the bucket that holds it.
    let stranger = another_user(&server, "stranger").await;
    assert_eq!(stranger.put("/of-stranger", b"").await.status, 200);
    let steal = stranger.send("PUT", "/of-stranger/k", &[("x-amz-copy-source", source)], b"").await;
    assert_eq!(said(&steal), (403, "AccessDenied".into()));
    // A part, and a copy inside the bucket, which has both lines.
    let upload = client.send("POST", "/copies/large?uploads", &[], b"").await.element("UploadId").unwrap();
    let part = format!("/copies/large?partNumber=1&uploadId={upload}");
    let ranged = [("x-amz-copy-source", source), ("x-amz-copy-source-range", "bytes=0-2")];
    assert_eq!(client.send("PUT", &part, &ranged, b"").await.status, 200);
    let tls = server.tls_client();
    assert_eq!(tls.send("PUT", "/watched/again", &[("x-amz-copy-source", source)], b"").await.status, 200);
    // What is refused before the source is looked at is no reading of it.
    assert_eq!(stranger.send("PUT", "/copies/k", &[("x-amz-copy-source", source)], b"").await.status, 403);

    let lines = until(&client, 7).await;
    assert_eq!(lines.len(), 7, "{lines:?}");
    assert!(lines.iter().all(|line| line.len() == 26 && line[1] == "watched"), "{lines:?}");
    let what: Vec<_> = lines.iter().map(|line| [6, 7, 9, 10, 12].map(|field| line[field].as_str())).collect();
    let expected = [
        ["REST.COPY.OBJECT_GET", "a%2520source", "200", "-", "7"],
        ["REST.COPY.OBJECT_GET", "none", "404", "NoSuchKey", "-"],
        ["REST.COPY.OBJECT_GET", "a%2520source", "412", "PreconditionFailed", "-"],
        ["REST.COPY.OBJECT_GET", "a%2520source", "403", "AccessDenied", "-"],
        ["REST.COPY.PART_GET", "a%2520source", "200", "-", "7"],
        ["REST.COPY.OBJECT_GET", "a%2520source", "200", "-", "7"],
        ["REST.COPY.OBJECT", "again", "200", "-", "-"],
    ];
    assert_eq!(what, expected);
    let owner = client.get("/").await.element("ID").unwrap();
    let of_copy = &lines[0];
    assert_eq!([0, 3, 4].map(|field| of_copy[field].as_str()), [owner.as_str(), "127.0.0.1", owner.as_str()]);
    assert_eq!(of_copy[5], done.headers["x-amz-request-id"].to_str().unwrap());
    // Neither target, bytes, times, referer nor agent; and no version where there are none.
    assert!([8, 11, 13, 14, 15, 16, 17].iter().all(|&field| of_copy[field] == "-"), "{of_copy:?}");
    assert_eq!([19, 21].map(|field| of_copy[field].as_str()), ["SigV4", "AuthHeader"]);
    assert_eq!(lines[3][4], stranger.get("/").await.element("ID").unwrap());
    assert_eq!(lines[5][23], "TLSv1.3");
    assert_eq!(lines[5][5], lines[6][5]);
    server.stop().await;
}
