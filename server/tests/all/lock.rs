//! Object lock: what is locked stays, whoever asks and however often.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

use crate::buckets::said;
use crate::support::{Answer, Client};
use crate::versions::{bucket, header, put_document, version, versioning};

const BYPASS: (&str, &str) = ("x-amz-bypass-governance-retention", "true");
const LOCKED: [(&str, &str); 1] = [("x-amz-bucket-object-lock-enabled", "true")];

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn after(days: u64) -> String {
    let time = SystemTime::now() + Duration::from_secs(days * 86_400);
    let micros = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
    chartrier_journal::format_time(u64::try_from(micros).unwrap()).unwrap()[..19].to_owned() + "Z"
}

async fn configure(client: &Client, rule: &str) -> Answer {
    let document = format!(
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
    );
    put_document(client, "/kept?object-lock", &[], &document).await
}

async fn retain(client: &Client, target: &str, mode: &str, until: &str, headers: &[(&str, &str)]) -> Answer {
    let document = format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>");
    put_document(client, &format!("{target}?retention"), headers, &document).await
}

async fn hold(client: &Client, status: &str) -> Answer {
    let document = format!("<LegalHold><Status>{status}</Status></LegalHold>");
    put_document(client, "/kept/k?legal-hold", &[], &document).await
}

async fn remove(client: &Client, key: &str, id: &str, headers: &[(&str, &str)]) -> Answer {
    client.send("DELETE", &format!("/kept/{key}?versionId={id}"), headers, b"").await
}

async fn put_with_digest(client: &Client, key: &str, headers: &[(&str, &str)]) -> Answer {
    let md5 = BASE64.encode(Md5::digest(b"body"));
    let mut all = vec![("content-md5", md5.as_str())];
    all.extend_from_slice(headers);
    client.send("PUT", &format!("/kept/{key}"), &all, b"body").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_locked_from_the_start_or_later_and_for_good() {
    let (server, client) = bucket(&[]).await;
    assert_eq!(said(&client.get("/kept?object-lock").await), is(404, "ObjectLockConfigurationNotFoundError"));
    assert_eq!(said(&configure(&client, "").await), is(409, "InvalidBucketState"));
    client.put("/kept/k", b"body").await;
    assert_eq!(said(&client.get("/kept/k?retention").await), is(400, "InvalidRequest"));
    assert_eq!(said(&hold(&client, "ON").await), is(400, "InvalidRequest"));
    assert_eq!(said(&retain(&client, "/kept/k", "GOVERNANCE", &after(1), &[]).await), is(400, "InvalidRequest"));
    let refused = put_with_digest(&client, "k", &[("x-amz-object-lock-legal-hold", "ON")]).await;
    assert_eq!(said(&refused), is(400, "InvalidRequest"));
    versioning(&client, "Enabled").await;
    assert_eq!(configure(&client, "").await.status, 200);
    assert_eq!(said(&versioning(&client, "Suspended").await), is(409, "InvalidBucketState"));
    let rule = "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>2</Days></DefaultRetention></Rule>";
    assert_eq!(configure(&client, rule).await.status, 200);
    assert!(client.get("/kept?object-lock").await.text().contains(rule));
    // The null version of before has no retention, and can be given one.
    assert_eq!(said(&client.get("/kept/k?retention").await), is(404, "NoSuchObjectLockConfiguration"));
    assert_eq!(said(&client.get("/kept/k?legal-hold").await), is(404, "NoSuchObjectLockConfiguration"));
    assert_eq!(retain(&client, "/kept/k", "GOVERNANCE", &after(1), &[]).await.status, 200);
    assert_eq!(said(&remove(&client, "k", "null", &[]).await), is(403, "AccessDenied"));
    server.stop().await;

    let (server, client) = bucket(&LOCKED).await;
    assert_eq!(client.get("/kept?versioning").await.element("Status").unwrap(), "Enabled");
    assert!(client.get("/kept?object-lock").await.text().contains("<ObjectLockEnabled>Enabled</ObjectLockEnabled>"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_is_lengthened_by_all_and_shortened_by_few() {
    let (server, client) = bucket(&LOCKED).await;
    let id = version(&client.put("/kept/k", b"body").await);
    let (soon, late, later) = (after(5), after(10), after(20));
    let set = async |mode: &str, until: &str, headers: &[(&str, &str)]| {
        said(&retain(&client, "/kept/k", mode, until, headers).await)
    };
    assert_eq!(set("GOVERNANCE", &late, &[]).await.0, 200);
    let read = client.get("/kept/k?retention").await;
    assert_eq!(read.element("RetainUntilDate").unwrap(), late.replace('Z', ".000Z"));
    assert_eq!(set("GOVERNANCE", &soon, &[]).await, is(403, "AccessDenied"));
    assert_eq!(set("COMPLIANCE", &later, &[]).await, is(403, "AccessDenied"));
    assert_eq!(said(&remove(&client, "k", &id, &[]).await), is(403, "AccessDenied"));
    let empty = put_document(&client, "/kept/k?retention", &[], "<Retention/>").await;
    assert_eq!(said(&empty), is(403, "AccessDenied"));
    assert_eq!(set("GOVERNANCE", &soon, &[BYPASS]).await.0, 200);
    assert_eq!(set("COMPLIANCE", &late, &[BYPASS]).await.0, 200);
    for (mode, until) in [("COMPLIANCE", &soon), ("GOVERNANCE", &later)] {
        assert_eq!(set(mode, until, &[BYPASS]).await, is(403, "AccessDenied"));
    }
    assert_eq!(set("COMPLIANCE", &later, &[]).await.0, 200);
    assert_eq!(said(&remove(&client, "k", &id, &[BYPASS]).await), is(403, "AccessDenied"));
    assert_eq!(set("compliance", &later, &[]).await, is(400, "MalformedXML"));
    assert_eq!(set("COMPLIANCE", "2001-01-01T00:00:00Z", &[]).await, is(400, "InvalidArgument"));
    // To hide is not to destroy.
    assert_eq!(client.send("DELETE", "/kept/k", &[], b"").await.status, 204);
    assert_eq!(client.get(&format!("/kept/k?versionId={id}")).await.text(), "body");
    let refusals = leaves(&server, "retention.refused");
    assert_eq!(refusals, 5);
    assert_eq!(leaves(&server, "delete.refused"), 2);
    server.stop().await;
}

fn leaves(server: &crate::support::TestServer, kind: &str) -> usize {
    let journal = server.app.engine.journal();
    let all = (0..journal.size()).map(|index| journal.leaf(index).unwrap());
    all.filter(|leaf| String::from_utf8_lossy(leaf).contains(&format!("\"type\":\"{kind}\""))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legal_hold_holds_whatever_the_retention() {
    let (server, client) = bucket(&LOCKED).await;
    let id = version(&client.put("/kept/k", b"body").await);
    assert_eq!(hold(&client, "ON").await.status, 200);
    assert_eq!(client.get("/kept/k?legal-hold").await.element("Status").unwrap(), "ON");
    assert_eq!(header(&client.get("/kept/k").await, "x-amz-object-lock-legal-hold"), "ON");
    assert_eq!(said(&remove(&client, "k", &id, &[BYPASS]).await), is(403, "AccessDenied"));
    assert_eq!(said(&hold(&client, "on").await), is(400, "MalformedXML"));
    assert_eq!(hold(&client, "OFF").await.status, 200);
    assert_eq!(remove(&client, "k", &id, &[]).await.status, 204);
    assert_eq!((leaves(&server, "hold.place"), leaves(&server, "hold.release")), (1, 1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_bring_their_lock_or_take_the_buckets() {
    let (server, client) = bucket(&LOCKED).await;
    let until = after(3);
    let lock = [("x-amz-object-lock-mode", "COMPLIANCE"), ("x-amz-object-lock-retain-until-date", until.as_str())];
    assert_eq!(said(&client.send("PUT", "/kept/k", &lock, b"body").await), is(400, "InvalidRequest"));
    let id = version(&put_with_digest(&client, "k", &lock).await);
    let head = client.send("HEAD", "/kept/k", &[], b"").await;
    assert_eq!(header(&head, "x-amz-object-lock-mode"), "COMPLIANCE");
    assert_eq!(header(&head, "x-amz-object-lock-retain-until-date"), until.replace('Z', ".000Z"));
    for (headers, code) in [
        (&lock[..1], "InvalidArgument"),
        (&lock[1..], "InvalidArgument"),
        (&[("x-amz-object-lock-legal-hold", "yes")][..], "InvalidArgument"),
        (&[lock[0], ("x-amz-object-lock-retain-until-date", "2001-01-01T00:00:00Z")][..], "InvalidArgument"),
        (&[("x-amz-object-lock-mode", "SOFT"), lock[1]][..], "InvalidArgument"),
    ] {
        assert_eq!(said(&put_with_digest(&client, "bad", headers).await), is(400, code), "{headers:?}");
    }
    // A copy takes the lock of its own request, not that of its source.
    let source = [("x-amz-copy-source", "/kept/k")];
    version(&client.send("PUT", "/kept/free", &source, b"").await);
    assert_eq!(said(&client.get("/kept/free?retention").await), is(404, "NoSuchObjectLockConfiguration"));
    version(&client.send("PUT", "/kept/bound", &[&source[..], &lock[..]].concat(), b"").await);
    assert_eq!(client.get("/kept/bound?retention").await.element("Mode").unwrap(), "COMPLIANCE");

    let begun = client.send("POST", "/kept/m?uploads", &lock, b"").await;
    let upload = begun.element("UploadId").unwrap();
    let of_part = format!("/kept/m?partNumber=1&uploadId={upload}");
    assert_eq!(said(&client.put(&of_part, b"part").await), is(400, "InvalidRequest"));
    let md5 = BASE64.encode(Md5::digest(b"part"));
    let part = client.send("PUT", &of_part, &[("content-md5", &md5)], b"part").await;
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
        header(&part, "etag")
    );
    let made = version(&client.send("POST", &format!("/kept/m?uploadId={upload}"), &[], list.as_bytes()).await);
    assert_eq!(said(&remove(&client, "m", &made, &[BYPASS]).await), is(403, "AccessDenied"));

    let rule = "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Years>1</Years></DefaultRetention></Rule>";
    configure(&client, rule).await;
    let by_default = version(&put_with_digest(&client, "default", &[]).await);
    assert_eq!(client.get("/kept/default?retention").await.element("Mode").unwrap(), "GOVERNANCE");
    assert_eq!(said(&remove(&client, "default", &by_default, &[]).await), is(403, "AccessDenied"));
    assert_eq!(remove(&client, "default", &by_default, &[BYPASS]).await.status, 204);
    // Of what was there before, nothing became shorter.
    assert_eq!(said(&remove(&client, "k", &id, &[BYPASS]).await), is(403, "AccessDenied"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_races_a_hold_loses_or_comes_first() {
    let (server, client) = bucket(&LOCKED).await;
    for _ in 0..20 {
        let id = version(&client.put("/kept/k", b"body").await);
        let target = format!("/kept/k?legal-hold&versionId={id}");
        let document = "<LegalHold><Status>ON</Status></LegalHold>";
        let (held, removed) =
            tokio::join!(put_document(&client, &target, &[], document), remove(&client, "k", &id, &[]));
        let read = client.get(&format!("/kept/k?versionId={id}")).await;
        match held.status.as_u16() {
            200 => assert_eq!((removed.status.as_u16(), read.status.as_u16()), (403, 200)),
            404 => assert_eq!((removed.status.as_u16(), read.status.as_u16()), (204, 404)),
            other => panic!("a hold answered {other}: {}", held.text()),
        }
    }
    server.stop().await;
}
