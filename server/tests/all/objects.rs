//! Objects: what is stored comes back, to the byte and to the header, and nothing else does.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chartrier::s3::checksum::{ChecksumAlgorithm, digest};
use chartrier_storage::ids::VersionId;
use chartrier_storage::namespace::command::{Command, CommandContext, Op, Outcome, WriteCondition};
use chartrier_storage::namespace::rows::VersionRow;
use md5::{Digest as _, Md5};

use crate::buckets::said;
use crate::support::{Answer, Client, TestServer};

async fn started() -> (TestServer, Client) {
    let server = TestServer::start().await;
    let client = server.client();
    assert_eq!(client.put("/archive", b"").await.status, 200);
    (server, client)
}

fn content(len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 37) as u8).collect()
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

async fn store(client: &Client, key: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
    let answer = client.send("PUT", &format!("/archive/{key}"), headers, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

async fn read(client: &Client, key: &str, headers: &[(&str, &str)]) -> Answer {
    client.send("GET", &format!("/archive/{key}"), headers, b"").await
}

async fn copy(client: &Client, source: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let source = format!("/archive/{source}");
    let mut all = vec![("x-amz-copy-source", source.as_str())];
    all.extend_from_slice(headers);
    client.send("PUT", &format!("/archive/{target}"), &all, b"").await
}

/// The three headers of SSE-C, or of a copy's source.
fn trio(prefix: &str, key: [u8; 32]) -> Vec<(String, String)> {
    let name = |suffix: &str| format!("{prefix}server-side-encryption-customer-{suffix}");
    vec![
        (name("algorithm"), "AES256".into()),
        (name("key"), BASE64.encode(key)),
        (name("key-md5"), BASE64.encode(Md5::digest(key))),
    ]
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn row(server: &TestServer, key: &str) -> VersionRow {
    let bucket = server.app.engine.bucket("archive").unwrap().unwrap();
    server.app.engine.current(bucket.id, key).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_length_comes_back_whole_and_in_ranges() {
    let (_server, client) = started().await;
    let edges = [1, 8088, 8192, 16_384, 65_536, 262_144, 524_288, 1 << 20, 3 << 20];
    for len in edges.iter().flat_map(|len| [len - 1, *len, len + 1]) {
        let body = content(len);
        let put = store(&client, "object", &body, &[]).await;
        assert_eq!(header(&put, "etag"), format!("\"{}\"", hex::encode(Md5::digest(&body))));
        assert_eq!(header(&put, "x-amz-server-side-encryption"), "AES256");
        let crc = digest(ChecksumAlgorithm::Crc64Nvme, &body).to_base64();
        assert_eq!(header(&put, "x-amz-checksum-crc64nvme"), crc);
        let got = read(&client, "object", &[("x-amz-checksum-mode", "ENABLED")]).await;
        assert_eq!(got.status, 200);
        assert!(got.body == body, "{len}");
        assert_eq!(header(&got, "x-amz-checksum-crc64nvme"), crc);
        for (first, last) in [(0, 0), (len / 2, len / 2 + 20_000), (len.saturating_sub(1), len), (16_383, 16_384)] {
            if first >= len {
                continue;
            }
            let end = (last + 1).min(len);
            let got = read(&client, "object", &[("range", &format!("bytes={first}-{last}"))]).await;
            assert_eq!(got.status, 206);
            assert_eq!(header(&got, "content-range"), format!("bytes {first}-{}/{len}", end - 1));
            assert!(got.body == body[first..end], "{first}-{last} of {len}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_streams_in_both_modes() {
    let (server, client) = started().await;
    let tls = server.tls_client();
    let body = content((20 << 20) + 12_345);
    let key = trio("x-amz-", [7; 32]);
    for (client, headers) in [(&client, vec![]), (&tls, borrowed(&key))] {
        store(client, "large", &body, &headers).await;
        assert!(read(client, "large", &headers).await.body == body);
        let mut ranged = headers.clone();
        ranged.push(("range", "bytes=5000000-15000000"));
        assert!(read(client, "large", &ranged).await.body == body[5_000_000..=15_000_000]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_come_back_and_head_says_the_same() {
    let (_server, client) = started().await;
    let sent = [
        ("content-type", "text/x-charte"),
        ("cache-control", "no-store"),
        ("content-disposition", "attachment; filename=\"a.txt\""),
        ("content-encoding", "aws-chunked,gzip"),
        ("content-language", "fr"),
        ("expires", "Wed, 21 Oct 2037 07:28:00 GMT"),
        ("x-amz-meta-cote", "3 E 12/4"),
        ("x-amz-meta-empty", ""),
        ("x-amz-storage-class", "STANDARD"),
    ];
    store(&client, "object", b"body", &sent).await;
    let got = read(&client, "object", &[]).await;
    let head = client.send("HEAD", "/archive/object", &[], b"").await;
    assert_eq!(head.status, 200);
    for (name, value) in &sent[..8] {
        let expected = if *name == "content-encoding" { "gzip" } else { *value };
        assert_eq!(header(&got, name), expected, "{name}");
        assert_eq!(header(&head, name), expected, "{name}");
    }
    assert_eq!(header(&head, "content-length"), "4");
    assert_eq!(header(&head, "accept-ranges"), "bytes");
    let target = "/archive/object?response-content-type=image%2Fpng&response-content-encoding=identity";
    let other = client.get(target).await;
    assert_eq!((header(&other, "content-type"), header(&other, "content-encoding")), ("image/png", "identity"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_built_is_refused_by_name_before_anything_is_stored() {
    let (_server, client) = started().await;
    for (name, value, expected) in [
        ("x-amz-tagging", "a=b&a=c", is(400, "InvalidTag")),
        ("x-amz-object-lock-mode", "COMPLIANCE", is(400, "InvalidArgument")),
        ("x-amz-write-offset-bytes", "5", is(501, "NotImplemented")),
        ("x-amz-grant-read", "id=1", is(400, "InvalidArgument")),
        ("x-amz-acl", "public-read", is(400, "AccessControlListNotSupported")),
        ("x-amz-server-side-encryption", "aws:kms", is(501, "NotImplemented")),
        ("x-amz-storage-class", "GLACIER", is(400, "InvalidStorageClass")),
        ("if-none-match", "\"one\", \"two\"", is(501, "NotImplemented")),
    ] {
        let answer = client.send("PUT", "/archive/object", &[(name, value)], b"body").await;
        assert_eq!(said(&answer), expected, "{name}");
    }
    let many = "x".repeat(2049);
    let answer = client.send("PUT", "/archive/object", &[("x-amz-meta-a", &many)], b"body").await;
    assert_eq!(said(&answer), is(400, "MetadataTooLarge"));
    assert_eq!(said(&client.get("/archive/object").await), is(404, "NoSuchKey"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_digest_leaves_the_old_object() {
    let (_server, client) = started().await;
    store(&client, "object", b"the old one", &[]).await;
    let wrong = BASE64.encode(Md5::digest(b"else"));
    for (name, value, code) in [
        ("content-md5", wrong.as_str(), "BadDigest"),
        ("content-md5", "nonsense", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-crc32", "AAAA", "InvalidRequest"),
        ("x-amz-sdk-checksum-algorithm", "CRC32", "InvalidRequest"),
    ] {
        let answer = client.send("PUT", "/archive/object", &[(name, value)], &content(100_000)).await;
        assert_eq!(said(&answer), is(400, code), "{name}: {value}");
    }
    assert_eq!(read(&client, "object", &[]).await.body, b"the old one");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_ten_checksums_are_verified_stored_and_shown() {
    let (_server, client) = started().await;
    let body = content(300_000);
    for algorithm in ChecksumAlgorithm::all() {
        let value = digest(algorithm, &body).to_base64();
        let put = store(&client, "object", &body, &[(algorithm.header(), &value)]).await;
        assert_eq!(header(&put, algorithm.header()), value);
        let shown = client.send("HEAD", "/archive/object", &[("x-amz-checksum-mode", "enabled")], b"").await;
        assert_eq!(header(&shown, algorithm.header()), value);
        assert_eq!(header(&shown, "x-amz-checksum-type"), "FULL_OBJECT");
        let plain = client.send("HEAD", "/archive/object", &[], b"").await;
        assert_eq!(header(&plain, algorithm.header()), "");
        let other = digest(algorithm, b"else").to_base64();
        let answer = client.send("PUT", "/archive/object", &[(algorithm.header(), &other)], &body).await;
        assert_eq!(said(&answer), is(400, "BadDigest"), "{algorithm:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_of_reads_and_writes() {
    let (_server, client) = started().await;
    let etag = header(&store(&client, "object", b"hello", &[]).await, "etag").to_owned();
    let past = "Wed, 21 Oct 2015 07:28:00 GMT";
    for (name, value, status) in [
        ("if-match", etag.as_str(), 200),
        ("if-match", "\"x\"", 412),
        ("if-none-match", etag.as_str(), 304),
        ("if-none-match", "\"x\"", 200),
        ("if-modified-since", past, 200),
        ("if-unmodified-since", past, 412),
    ] {
        let answer = read(&client, "object", &[(name, value)]).await;
        assert_eq!(answer.status, status, "{name}: {value}");
        assert_eq!(status == 304, header(&answer, "content-length").is_empty(), "{name}: {value}");
    }
    let put = async |name, value: &str| said(&client.send("PUT", "/archive/object", &[(name, value)], b"new").await);
    assert_eq!(put("if-none-match", "*").await, is(412, "PreconditionFailed"));
    assert_eq!(put("if-match", "\"x\"").await, is(412, "PreconditionFailed"));
    assert_eq!(put("if-match", &etag).await.0, 200);
    let remove = async |value: &str| client.send("DELETE", "/archive/object", &[("if-match", value)], b"").await;
    assert_eq!(said(&remove(&etag).await), is(412, "PreconditionFailed"));
    assert_eq!(remove("*").await.status, 204);
    assert_eq!(remove("\"x\"").await.status, 204);
    assert_eq!(put("if-match", &etag).await, is(404, "NoSuchKey"));
    assert_eq!(put("if-none-match", "*").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_parts_and_bad_ranges() {
    let (_server, client) = started().await;
    store(&client, "object", b"0123456789", &[]).await;
    assert_eq!(client.get("/archive/object?versionId=null").await.body, b"0123456789");
    let other = format!("/archive/object?versionId={}", VersionId::from_bytes([1; 16]));
    assert_eq!(said(&client.get(&other).await), is(404, "NoSuchVersion"));
    assert_eq!(said(&client.get("/archive/object?versionId=x").await), is(400, "InvalidArgument"));
    let part = client.get("/archive/object?partNumber=1").await;
    assert_eq!((part.status.as_u16(), part.body.as_slice()), (206, &b"0123456789"[..]));
    assert_eq!(said(&client.get("/archive/object?partNumber=2").await), is(416, "InvalidPartNumber"));
    let both = client.send("GET", "/archive/object?partNumber=1", &[("range", "bytes=0-1")], b"").await;
    assert_eq!(said(&both), is(400, "InvalidRequest"));
    let beyond = read(&client, "object", &[("range", "bytes=10-")]).await;
    assert_eq!(said(&beyond), is(416, "InvalidRange"));
    assert_eq!(header(&beyond, "content-range"), "bytes */10");
    for ignored in ["bytes=5-2", "bytes=0-1,3-4", "lines=0-1"] {
        assert_eq!(read(&client, "object", &[("range", ignored)]).await.status, 200, "{ignored}");
    }
    let stale = read(&client, "object", &[("range", "bytes=0-1"), ("if-range", "\"x\"")]).await;
    assert_eq!((stale.status.as_u16(), stale.body.len()), (200, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn sse_c_needs_the_key_for_everything() {
    let (server, plain) = started().await;
    let client = server.tls_client();
    let (key, other) = (trio("x-amz-", [1; 32]), trio("x-amz-", [2; 32]));
    let (key, other) = (borrowed(&key), borrowed(&other));
    let body = content(200_000);
    let put = store(&client, "sealed", &body, &key).await;
    assert!(header(&put, "etag").ends_with("-1\""));
    assert_eq!(header(&put, key[0].0), "AES256");
    assert_eq!(header(&put, key[2].0), key[2].1);
    assert_eq!(header(&put, key[1].0), "");
    assert_eq!(header(&put, "x-amz-server-side-encryption"), "");

    assert!(read(&client, "sealed", &key).await.body == body);
    assert_eq!(said(&read(&client, "sealed", &[]).await), is(400, "InvalidRequest"));
    assert_eq!(said(&read(&client, "sealed", &other).await), is(403, "AccessDenied"));
    assert_eq!(said(&read(&plain, "sealed", &key).await), is(400, "InvalidRequest"));
    for (headers, status) in [(&key[..], 200), (&[][..], 400), (&other[..], 403)] {
        assert_eq!(client.send("HEAD", "/archive/sealed", headers, b"").await.status, status);
        let mut attributes = headers.to_vec();
        attributes.push(("x-amz-object-attributes", "ETag,ObjectSize"));
        assert_eq!(client.send("GET", "/archive/sealed?attributes", &attributes, b"").await.status, status);
    }
    store(&client, "open", b"body", &[]).await;
    assert_eq!(said(&read(&client, "open", &key).await), is(400, "InvalidRequest"));
    assert_eq!(client.send("DELETE", "/archive/sealed", &[], b"").await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_holds_plaintext_names_of_metadata_or_a_key() {
    let (server, _) = started().await;
    let client = server.tls_client();
    let secret = *b"canary-key-canary-key-canary-key";
    let key = trio("x-amz-", secret);
    let mut headers = borrowed(&key);
    headers.push(("x-amz-meta-canary", "canary-metadata-value"));
    let line = b"a canary line of plaintext that must never reach a drive\n";
    for (name, lines) in [("small", 1), ("medium", 2000), ("large", 40_000)] {
        store(&client, name, &line.repeat(lines), &headers).await;
        assert_eq!(read(&client, name, &headers).await.status, 200);
    }
    let data = server.stop().await;
    let (text, md5) = (BASE64.encode(secret), Md5::digest(secret));
    let (hex_key, md5_text) = (hex::encode(secret), BASE64.encode(md5));
    let canaries: [&[u8]; 7] = [
        &secret,
        text.as_bytes(),
        hex_key.as_bytes(),
        &md5,
        md5_text.as_bytes(),
        b"canary line of plaintext",
        b"canary-metadata-value",
    ];
    let mut files = 0;
    each_file(data.path(), &mut |path, bytes| {
        files += 1;
        for canary in canaries {
            assert!(!holds(bytes, canary), "{} holds a canary", path.display());
        }
    });
    assert!(files > 10);
}

fn each_file(folder: &Path, visit: &mut dyn FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_file(&path, visit);
        } else if path.is_file() {
            visit(&path, &std::fs::read(&path).unwrap());
        }
    }
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    let first = wanted[0];
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(wanted) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_keep_or_replace_and_never_share_bytes() {
    let (server, client) = started().await;
    let body = content(1_500_000);
    store(&client, "source", &body, &[("x-amz-meta-kept", "yes"), ("content-type", "text/x-a")]).await;
    let answer = copy(&client, "source", "target", &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let md5 = format!("&quot;{}&quot;", hex::encode(Md5::digest(&body)));
    assert_eq!(answer.element("ETag").unwrap(), md5);
    assert!(answer.element("ChecksumCRC64NVME").is_some());
    let got = read(&client, "target", &[]).await;
    assert!(got.body == body);
    assert_eq!((header(&got, "x-amz-meta-kept"), header(&got, "content-type")), ("yes", "text/x-a"));
    let (source, target) = (row(&server, "source"), row(&server, "target"));
    assert_ne!(source.object_uuid, target.object_uuid);
    assert_ne!(source.parts[0].blob, target.parts[0].blob);

    let replace = [("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-new", "1")];
    assert_eq!(copy(&client, "source", "other", &replace).await.status, 200);
    let got = read(&client, "other", &[]).await;
    assert_eq!((header(&got, "x-amz-meta-kept"), header(&got, "x-amz-meta-new")), ("", "1"));
    assert_eq!(header(&got, "content-type"), "binary/octet-stream");

    let sha = copy(&client, "source", "hashed", &[("x-amz-checksum-algorithm", "SHA256")]).await;
    let expected = digest(ChecksumAlgorithm::Sha256, &body).to_base64();
    assert_eq!(sha.element("ChecksumSHA256"), Some(expected));
    for (source, code) in [("no", is(404, "NoSuchKey")), ("source?versionId=x", is(400, "InvalidArgument"))] {
        assert_eq!(said(&copy(&client, source, "target", &[]).await), code);
    }
    let condition = [("x-amz-copy-source-if-match", "\"x\"")];
    assert_eq!(said(&copy(&client, "source", "target", &condition).await), is(412, "PreconditionFailed"));
    let absent = [("if-none-match", "*")];
    assert_eq!(said(&copy(&client, "source", "target", &absent).await), is(412, "PreconditionFailed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_onto_itself_rewraps_without_touching_a_byte() {
    let (server, _) = started().await;
    let client = server.tls_client();
    let body = content(900_000);
    store(&client, "object", &body, &[("x-amz-meta-old", "1")]).await;
    assert_eq!(said(&copy(&client, "object", "object", &[]).await), is(400, "InvalidRequest"));
    let before = row(&server, "object");
    let replace = [("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-new", "1")];
    assert_eq!(copy(&client, "object", "object", &replace).await.status, 200);
    let after = row(&server, "object");
    assert_eq!((&before.parts, before.object_uuid), (&after.parts, after.object_uuid));
    assert_ne!(before.wrap, after.wrap);
    let got = read(&client, "object", &[]).await;
    assert!(got.body == body);
    assert_eq!((header(&got, "x-amz-meta-old"), header(&got, "x-amz-meta-new")), ("", "1"));

    let (one, two) = (trio("x-amz-", [1; 32]), trio("x-amz-", [2; 32]));
    let source_one = trio("x-amz-copy-source-", [1; 32]);
    // Into another mode the bytes are sealed anew: they are bound to it.
    assert_eq!(copy(&client, "object", "object", &borrowed(&one)).await.status, 200);
    assert_ne!(row(&server, "object").parts, after.parts);
    assert!(read(&client, "object", &borrowed(&one)).await.body == body);
    // Rotation of the client's key is a rewrap.
    let before = row(&server, "object");
    let rotation = [borrowed(&source_one), borrowed(&two)].concat();
    assert_eq!(copy(&client, "object", "object", &rotation).await.status, 200);
    assert_eq!(row(&server, "object").parts, before.parts);
    assert_eq!(said(&read(&client, "object", &borrowed(&one)).await), is(403, "AccessDenied"));
    assert!(read(&client, "object", &borrowed(&two)).await.body == body);
    // The old key opens the source no more, nor does none.
    assert_eq!(said(&copy(&client, "object", "out", &borrowed(&source_one)).await), is(403, "AccessDenied"));
    assert_eq!(said(&copy(&client, "object", "out", &[]).await), is(400, "InvalidRequest"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_under_another_name_does_not_open() {
    let (server, client) = started().await;
    // Small bodies lie in the rows: a run of stripes has one owner, which apply sees to.
    store(&client, "one", &content(5_000), &[]).await;
    store(&client, "two", &content(6_000), &[]).await;
    let bucket = server.app.engine.bucket("archive").unwrap().unwrap().id;
    let (one, two) = (row(&server, "one"), row(&server, "two"));
    let moved = one.clone();
    let mut swapped = two.clone();
    swapped.parts[0].blob = one.parts[0].blob.clone();
    let mut shortened = two.clone();
    shortened.size_bytes -= 1;
    shortened.parts[0].plain_bytes -= 1;
    for damaged in [moved, swapped, shortened] {
        let context = CommandContext {
            time_us: server.app.now_us(),
            request_id: "test".into(),
            actor_pid: "test".into(),
            actor_role: "system".into(),
            actor_auth: "internal".into(),
            origin: None,
        };
        let op = Op::PutVersion {
            bucket,
            key: "two".into(),
            row: Box::new(damaged),
            condition: WriteCondition::None,
            missing: vec![],
        };
        let applied = server.app.engine.propose(Command { context, op }).await.unwrap();
        assert_eq!(applied.outcome, Outcome::Done);
        assert_eq!(said(&client.get("/archive/two").await), is(500, "InternalError"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_objects_go_at_once() {
    let (_server, client) = started().await;
    for index in 0..70 {
        store(&client, &format!("k{index}"), b"x", &[]).await;
    }
    let objects: String = (0..70).map(|index| format!("<Object><Key>k{index}</Key></Object>")).collect();
    let send = async |inside: &str, digest: bool| {
        let xml = format!("<Delete>{inside}</Delete>");
        let md5 = BASE64.encode(Md5::digest(&xml));
        let headers = if digest { vec![("content-md5", md5.as_str())] } else { vec![] };
        client.send("POST", "/archive?delete", &headers, xml.as_bytes()).await
    };
    assert_eq!(said(&send(&objects, false).await), is(400, "InvalidRequest"));
    let conditional = "<Object><Key>k0</Key><ETag>\"x\"</ETag></Object>";
    let answer = send(conditional, true).await;
    assert!(answer.text().contains("<Code>PreconditionFailed</Code>"), "{}", answer.text());
    let answer = send(&format!("{objects}<Object><Key>never</Key></Object>"), true).await;
    assert_eq!(answer.text().matches("<Deleted>").count(), 71, "{}", answer.text());
    assert_eq!(said(&client.get("/archive/k0").await), is(404, "NoSuchKey"));
    let quiet = send("<Quiet>true</Quiet><Object><Key>k1</Key></Object>", true).await;
    assert!(!quiet.text().contains("<Deleted>"));
    assert_eq!(said(&send(&"<Object><Key>k</Key></Object>".repeat(1001), true).await), is(400, "MalformedXML"));
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_without_the_bytes() {
    let (_server, client) = started().await;
    let put = store(&client, "object", &content(10_000), &[]).await;
    let all = [("x-amz-object-attributes", "ETag,Checksum,ObjectParts,StorageClass,ObjectSize")];
    let answer = client.send("GET", "/archive/object?attributes", &all, b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.element("ETag").unwrap(), header(&put, "etag").trim_matches('"'));
    assert_eq!(answer.element("ObjectSize").unwrap(), "10000");
    assert_eq!(answer.element("ChecksumCRC64NVME").unwrap(), header(&put, "x-amz-checksum-crc64nvme"));
    assert!(answer.element("ObjectParts").is_none());
    let none = client.send("GET", "/archive/object?attributes", &[], b"").await;
    assert_eq!(said(&none), is(400, "InvalidArgument"));
}
