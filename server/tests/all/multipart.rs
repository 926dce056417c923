//! Multipart uploads: parts, Complete in all its ways, checksums, SSE-C, copies of ranges, listings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chartrier::s3::checksum::{Checksum, ChecksumAlgorithm, digest};
use md5::{Digest as _, Md5};

use crate::buckets::said;
use crate::support::{Answer, Client, TestServer};

const MIB: usize = 1 << 20;

async fn started() -> (TestServer, Client) {
    let server = TestServer::start().await;
    let client = server.client();
    assert_eq!(client.put("/parts", b"").await.status, 200);
    (server, client)
}

async fn create(client: &Client, key: &str, headers: &[(&str, &str)]) -> String {
    let answer = client.send("POST", &format!("/parts/{key}?uploads"), headers, b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.element("UploadId").unwrap()
}

async fn upload(
    client: &Client,
    key: &str,
    upload: &str,
    number: u32,
    body: &[u8],
    headers: &[(&str, &str)],
) -> Answer {
    client.send("PUT", &format!("/parts/{key}?partNumber={number}&uploadId={upload}"), headers, body).await
}

fn etag(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.headers["etag"].to_str().unwrap().to_owned()
}

fn document(parts: &[(u32, &str)]) -> String {
    let part = |(number, etag): &(u32, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", etag.replace('"', "&quot;"))
    };
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}</CompleteMultipartUpload>",
        parts.iter().map(part).collect::<String>()
    )
}

async fn complete(client: &Client, key: &str, upload: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
    client.send("POST", &format!("/parts/{key}?uploadId={upload}"), headers, body.as_bytes()).await
}

fn content(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|n| (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0] ^ seed).collect()
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_become_an_object() {
    let (server, client) = started().await;
    let headers = [("content-type", "text/x-archive"), ("x-amz-meta-colour", "bleu")];
    let id = create(&client, "folder/object", &headers).await;
    let (one, two) = (content(5 * MIB, 1), content(MIB + 17, 2));
    let e1 = etag(&upload(&client, "folder/object", &id, 1, &one, &[]).await);
    let e7 = etag(&upload(&client, "folder/object", &id, 7, &two, &[]).await);
    assert_eq!(e1, format!("\"{}\"", hex::encode(Md5::digest(&one))));
    assert_eq!(said(&client.get("/parts/folder/object").await), is(404, "NoSuchKey"));

    let answer = complete(&client, "folder/object", &id, &document(&[(1, &e1), (7, &e7)]), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let joined = [Md5::digest(&one).to_vec(), Md5::digest(&two).to_vec()].concat();
    let expected = format!("&quot;{}-2&quot;", hex::encode(Md5::digest(&joined)));
    assert_eq!(answer.element("ETag").unwrap(), expected);
    assert!(answer.element("Location").unwrap().ends_with("/parts/folder/object"));
    let whole = [one.clone(), two.clone()].concat();
    let crc = digest(ChecksumAlgorithm::Crc64Nvme, &whole).to_base64();
    assert_eq!(answer.element("ChecksumCRC64NVME").unwrap(), crc);
    assert_eq!(answer.element("ChecksumType").unwrap(), "FULL_OBJECT");

    let got = client.get("/parts/folder/object").await;
    assert!(got.body == whole);
    assert_eq!(got.headers["content-type"], "text/x-archive");
    assert_eq!(got.headers["x-amz-meta-colour"], "bleu");
    let range = client.send("GET", "/parts/folder/object", &[("range", "bytes=5242870-5242890")], b"").await;
    assert!(range.body == whole[5_242_870..=5_242_890]);
    assert_eq!(said(&client.get(&format!("/parts/folder/object?uploadId={id}")).await), is(404, "NoSuchUpload"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn part_numbers() {
    let (server, client) = started().await;
    let id = create(&client, "k", &[]).await;
    for number in ["0", "10001", "-1", "x", ""] {
        let answer = client.put(&format!("/parts/k?partNumber={number}&uploadId={id}"), b"x").await;
        assert_eq!(said(&answer), is(400, "InvalidArgument"), "{number}");
    }
    assert_eq!(client.put(&format!("/parts/k?partNumber=10000&uploadId={id}"), b"x").await.status, 200);
    for id in ["", "x", "00000000000000000000000000000000"] {
        let answer = client.put(&format!("/parts/k?partNumber=1&uploadId={id}"), b"x").await;
        assert_eq!(said(&answer), is(404, "NoSuchUpload"), "{id}");
    }
    // The upload of one key is not the upload of another.
    assert_eq!(
        said(&client.put(&format!("/parts/other?partNumber=1&uploadId={id}"), b"x").await),
        is(404, "NoSuchUpload")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_completes() {
    let (server, client) = started().await;
    let id = create(&client, "k", &[]).await;
    let e1 = etag(&upload(&client, "k", &id, 1, &content(1000, 1), &[]).await);
    let e2 = etag(&upload(&client, "k", &id, 2, &content(1000, 2), &[]).await);
    for (body, status, code) in [
        (document(&[(2, &e2), (1, &e1)]), 400, "InvalidPartOrder"),
        (document(&[(1, &e1), (2, &e2), (1, &e1)]), 400, "InvalidPartOrder"),
        (document(&[(1, &e1), (1, &e2)]), 400, "InvalidPart"),
        (document(&[(1, &e1), (3, &e2)]), 400, "InvalidPart"),
        (document(&[(1, &e2)]), 400, "InvalidPart"),
        (document(&[(1, &e1), (2, &e2)]), 400, "EntityTooSmall"),
        (document(&[]), 400, "MalformedXML"),
        (String::new(), 400, "MalformedXML"),
        ("<CompleteMultipartUpload>".into(), 400, "MalformedXML"),
        ("<!DOCTYPE x [<!ENTITY e \"1\">]><CompleteMultipartUpload/>".into(), 400, "MalformedXML"),
        (document(&[(0, &e1)]), 400, "InvalidArgument"),
    ] {
        assert_eq!(said(&complete(&client, "k", &id, &body, &[]).await), is(status, code), "{body}");
    }
    let too_small = complete(&client, "k", &id, &document(&[(1, &e1), (2, &e2)]), &[]).await;
    assert_eq!(too_small.element("ProposedSize").unwrap(), "1000");
    assert_eq!(too_small.element("MinSizeAllowed").unwrap(), "5242880");
    let large = vec![b' '; 9 * MIB];
    let answer = client.send("POST", &format!("/parts/k?uploadId={id}"), &[], &large).await;
    assert_eq!(said(&answer), is(400, "MaxMessageLengthExceeded"));
    // None of it ended the upload.
    assert_eq!(complete(&client, "k", &id, &document(&[(2, &e2)]), &[]).await.status, 200);
    assert!(client.get("/parts/k").await.body == content(1000, 2));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_again_replaces() {
    let (server, client) = started().await;
    let id = create(&client, "k", &[]).await;
    let old = etag(&upload(&client, "k", &id, 1, b"old", &[]).await);
    let new = etag(&upload(&client, "k", &id, 1, b"new", &[]).await);
    assert_eq!(said(&complete(&client, "k", &id, &document(&[(1, &old)]), &[]).await), is(400, "InvalidPart"));
    assert_eq!(complete(&client, "k", &id, &document(&[(1, &new)]), &[]).await.status, 200);
    assert_eq!(client.get("/parts/k").await.body, b"new");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_twice() {
    let (server, client) = started().await;
    let id = create(&client, "k", &[]).await;
    let e1 = etag(&upload(&client, "k", &id, 1, b"once", &[]).await);
    let body = document(&[(1, &e1)]);
    let first = complete(&client, "k", &id, &body, &[]).await;
    assert_eq!(first.status, 200);
    let again = complete(&client, "k", &id, &body, &[]).await;
    assert_eq!((again.status.as_u16(), again.text()), (200, first.text()));
    // Even with a condition that the object now breaks: it is the answer to the first that was lost.
    assert_eq!(complete(&client, "k", &id, &body, &[("if-none-match", "*")]).await.status, 200);
    // With other parts it is another request.
    let other = document(&[(1, "\"00000000000000000000000000000000\"")]);
    assert_eq!(said(&complete(&client, "k", &id, &other, &[]).await), is(404, "NoSuchUpload"));
    let target = format!("/parts/k?uploadId={id}");
    assert_eq!(said(&client.send("DELETE", &target, &[], b"").await), is(404, "NoSuchUpload"));
    // Once another version is current, nothing says any more what the upload made.
    assert_eq!(client.put("/parts/k", b"later").await.status, 200);
    assert_eq!(said(&complete(&client, "k", &id, &body, &[]).await), is(404, "NoSuchUpload"));
    assert_eq!(client.get("/parts/k").await.body, b"later");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_races_abort() {
    let (server, client) = started().await;
    for round in 0..20 {
        let key = format!("race-{round}");
        let id = create(&client, &key, &[]).await;
        let e1 = etag(&upload(&client, &key, &id, 1, b"raced", &[]).await);
        let (body, target) = (document(&[(1, &e1)]), format!("/parts/{key}?uploadId={id}"));
        let (one, two, abort) = tokio::join!(
            complete(&client, &key, &id, &body, &[]),
            complete(&client, &key, &id, &body, &[]),
            client.send("DELETE", &target, &[], b""),
        );
        let object = client.get(&format!("/parts/{key}")).await;
        if abort.status == 204 {
            assert_eq!(said(&one), is(404, "NoSuchUpload"));
            assert_eq!(said(&two), is(404, "NoSuchUpload"));
            assert_eq!(object.status, 404);
        } else {
            assert_eq!(said(&abort), is(404, "NoSuchUpload"));
            assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 200), "{}{}", one.text(), two.text());
            assert_eq!(object.body, b"raced");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditional_complete() {
    let (server, client) = started().await;
    let begin = async |key: &str| {
        let id = create(&client, key, &[]).await;
        let e1 = etag(&upload(&client, key, &id, 1, b"new", &[]).await);
        (id, document(&[(1, &e1)]))
    };
    let (id, body) = begin("k").await;
    let nothing = complete(&client, "k", &id, &body, &[("if-match", "\"abc\"")]).await;
    assert_eq!(said(&nothing), is(404, "NoSuchKey"));
    assert_eq!(complete(&client, "k", &id, &body, &[("if-none-match", "*")]).await.status, 200);

    let (id, body) = begin("k").await;
    let taken = complete(&client, "k", &id, &body, &[("if-none-match", "*")]).await;
    assert_eq!(said(&taken), is(412, "PreconditionFailed"));
    let other = complete(&client, "k", &id, &body, &[("if-match", "\"abc\"")]).await;
    assert_eq!(said(&other), is(412, "PreconditionFailed"));
    let current = client.send("HEAD", "/parts/k", &[], b"").await.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(complete(&client, "k", &id, &body, &[("if-match", &current)]).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn object_size() {
    let (server, client) = started().await;
    let id = create(&client, "k", &[]).await;
    let e1 = etag(&upload(&client, "k", &id, 1, b"twelve bytes", &[]).await);
    let body = document(&[(1, &e1)]);
    for bad in ["11", "x", "-1"] {
        let answer = complete(&client, "k", &id, &body, &[("x-amz-mp-object-size", bad)]).await;
        assert_eq!(said(&answer), is(400, "InvalidRequest"), "{bad}");
    }
    assert_eq!(complete(&client, "k", &id, &body, &[("x-amz-mp-object-size", "12")]).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn default_checksum() {
    let (server, client) = started().await;
    let id = create(&client, "k", &[]).await;
    // A part may bring any one checksum: it is verified and kept.
    let crc = digest(ChecksumAlgorithm::Crc32, b"hello").to_base64();
    let wrong = digest(ChecksumAlgorithm::Crc32, b"hellp").to_base64();
    let refused = upload(&client, "k", &id, 1, b"hello", &[("x-amz-checksum-crc32", &wrong)]).await;
    assert_eq!(said(&refused), is(400, "BadDigest"));
    let answer = upload(&client, "k", &id, 1, b"hello", &[("x-amz-checksum-crc32", &crc)]).await;
    assert_eq!(answer.headers["x-amz-checksum-crc32"].to_str().unwrap(), crc);
    let e1 = etag(&answer);
    let with = |value: &str| {
        document(&[(1, &e1)]).replace("</Part>", &format!("<ChecksumCRC32>{value}</ChecksumCRC32></Part>"))
    };
    assert_eq!(said(&complete(&client, "k", &id, &with(&wrong), &[]).await), is(400, "InvalidPart"));
    // The whole object's CRC32 follows from the parts', though nobody asked for it at Create.
    let object = [("x-amz-checksum-crc32", wrong.as_str())];
    assert_eq!(said(&complete(&client, "k", &id, &with(&crc), &object).await), is(400, "BadDigest"));
    let object = [("x-amz-checksum-crc32", crc.as_str()), ("x-amz-checksum-type", "FULL_OBJECT")];
    let answer = complete(&client, "k", &id, &with(&crc), &object).await;
    assert_eq!(
        answer.element("ChecksumCRC64NVME").unwrap(),
        digest(ChecksumAlgorithm::Crc64Nvme, b"hello").to_base64()
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_checksums() {
    let (server, client) = started().await;
    let (one, two) = (content(5 * MIB, 3), content(100, 4));
    let whole = [one.clone(), two.clone()].concat();
    for (algorithm, kind, element) in [
        ("SHA256", None, "ChecksumSHA256"),
        ("CRC32", None, "ChecksumCRC32"),
        ("CRC32C", Some("FULL_OBJECT"), "ChecksumCRC32C"),
        ("CRC64NVME", None, "ChecksumCRC64NVME"),
        ("XXHASH128", None, "ChecksumXXHASH128"),
        ("MD5", None, "ChecksumMD5"),
    ] {
        let name = ChecksumAlgorithm::from_name(algorithm).unwrap();
        let mut headers = vec![("x-amz-checksum-algorithm", algorithm)];
        headers.extend(kind.map(|kind| ("x-amz-checksum-type", kind)));
        let id = create(&client, "k", &headers).await;
        let mut parts = String::new();
        for (number, body) in [(1, &one), (2, &two)] {
            let value = digest(name, body).to_base64();
            let answer = upload(&client, "k", &id, number, body, &[(name.header(), &value)]).await;
            let tag = etag(&answer);
            assert_eq!(answer.headers[name.header()].to_str().unwrap(), value);
            parts += &format!(
                "<Part><ETag>{tag}</ETag><{element}>{value}</{element}><PartNumber>{number}</PartNumber></Part>"
            );
        }
        let other = if algorithm == "SHA256" { "x-amz-checksum-sha1" } else { "x-amz-checksum-sha256" };
        let value = digest(ChecksumAlgorithm::from_header(other).unwrap(), b"x").to_base64();
        assert_eq!(said(&upload(&client, "k", &id, 3, b"x", &[(other, &value)]).await), is(400, "InvalidRequest"));

        let listed = client.get(&format!("/parts/k?uploadId={id}")).await;
        assert_eq!(listed.element("ChecksumAlgorithm").unwrap(), algorithm);
        assert_eq!(listed.element(element).unwrap(), digest(name, &one).to_base64());

        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let composite = listed.element("ChecksumType").unwrap() == "COMPOSITE";
        if composite {
            let bare = body.replace(element, "Ignored");
            assert_eq!(said(&complete(&client, "k", &id, &bare, &[]).await), is(400, "InvalidRequest"));
        }
        let wrong_kind = if composite { "FULL_OBJECT" } else { "COMPOSITE" };
        let answer = complete(&client, "k", &id, &body, &[("x-amz-checksum-type", wrong_kind)]).await;
        assert_eq!(said(&answer), is(400, "InvalidRequest"));

        let expected = if composite {
            let digests = [digest(name, &one).digest().to_vec(), digest(name, &two).digest().to_vec()].concat();
            Checksum::composite(digest(name, &digests), 2).to_text()
        } else {
            digest(name, &whole).to_base64()
        };
        let answer = complete(&client, "k", &id, &body, &[(name.header(), &expected)]).await;
        assert_eq!(answer.element(element), Some(expected.clone()), "{}", answer.text());
        let head = client.send("HEAD", "/parts/k", &[("x-amz-checksum-mode", "ENABLED")], b"").await;
        assert_eq!(head.headers[name.header()].to_str().unwrap(), expected);
        assert_eq!(client.get("/parts?list-type=2").await.element("ChecksumAlgorithm").unwrap(), algorithm);
    }
    for headers in [
        &[("x-amz-checksum-algorithm", "SHA1"), ("x-amz-checksum-type", "FULL_OBJECT")][..],
        &[("x-amz-checksum-algorithm", "CRC64NVME"), ("x-amz-checksum-type", "COMPOSITE")],
        &[("x-amz-checksum-type", "COMPOSITE")],
        &[("x-amz-checksum-algorithm", "CRC16")],
    ] {
        let answer = client.send("POST", "/parts/k?uploads", headers, b"").await;
        assert_eq!(said(&answer), is(400, "InvalidRequest"), "{headers:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_create_cannot_honour() {
    let (server, client) = started().await;
    for (name, value, status, code) in [
        ("x-amz-tagging", "a=b&a=c", 400, "InvalidTag"),
        ("x-amz-object-lock-legal-hold", "ON", 400, "InvalidRequest"),
        ("x-amz-server-side-encryption", "aws:kms", 501, "NotImplemented"),
    ] {
        let answer = client.send("POST", "/parts/k?uploads", &[(name, value)], b"").await;
        assert_eq!(said(&answer), is(status, code), "{name}");
    }
    server.stop().await;
}

const ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
const KEY: &str = "x-amz-server-side-encryption-customer-key";
const KEY_MD5: &str = "x-amz-server-side-encryption-customer-key-md5";

fn trio(key: [u8; 32]) -> [(&'static str, String); 3] {
    [(ALGORITHM, "AES256".into()), (KEY, BASE64.encode(key)), (KEY_MD5, BASE64.encode(Md5::digest(key)))]
}

fn borrowed<'a>(trio: &'a [(&'static str, String); 3]) -> Vec<(&'static str, &'a str)> {
    trio.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sse_c() {
    let (server, plain) = started().await;
    let client = server.tls_client();
    let (right, wrong) = (trio([7; 32]), trio([8; 32]));
    let (right, wrong) = (borrowed(&right), borrowed(&wrong));
    let over_http = plain.send("POST", "/parts/k?uploads", &right, b"").await;
    assert_eq!(said(&over_http), is(400, "InvalidRequest"));

    let answer = client.send("POST", "/parts/k?uploads", &right, b"").await;
    assert_eq!(answer.headers[ALGORITHM], "AES256");
    assert!(!answer.headers.contains_key("x-amz-server-side-encryption"));
    let id = answer.element("UploadId").unwrap();
    let (one, two) = (content(5 * MIB, 5), content(40_000, 6));
    for headers in [&[][..], &wrong] {
        assert_eq!(said(&upload(&client, "k", &id, 1, b"x", headers).await), is(400, "InvalidRequest"));
    }
    let e1 = etag(&upload(&client, "k", &id, 1, &one, &right).await);
    let e2 = etag(&upload(&client, "k", &id, 2, &two, &right).await);
    assert_ne!(e1, format!("\"{}\"", hex::encode(Md5::digest(&one))), "no plaintext hash in mode C");
    assert_eq!(e1.len(), 34);

    // ListParts and Complete need no key; a key that is sent must be the right one.
    let target = format!("/parts/k?uploadId={id}");
    assert_eq!(client.get(&target).await.element("Size").unwrap(), one.len().to_string());
    assert_eq!(client.send("GET", &target, &right, b"").await.status, 200);
    assert_eq!(said(&client.send("GET", &target, &wrong, b"").await), is(400, "InvalidRequest"));
    let body = document(&[(1, &e1), (2, &e2)]);
    assert_eq!(said(&complete(&client, "k", &id, &body, &wrong).await), is(400, "InvalidRequest"));
    let answer = complete(&client, "k", &id, &body, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let again = complete(&client, "k", &id, &body, &[]).await;
    assert_eq!((again.status.as_u16(), again.element("ETag")), (200, answer.element("ETag")));

    let got = client.send("GET", "/parts/k", &right, b"").await;
    assert!(got.body == [one.clone(), two.clone()].concat());
    assert_eq!(said(&client.get("/parts/k").await), is(400, "InvalidRequest"));
    assert_eq!(said(&client.send("GET", "/parts/k", &wrong, b"").await), is(403, "AccessDenied"));
    assert_eq!(client.get("/parts").await.element("Size").unwrap(), (one.len() + two.len()).to_string());

    // A key on the parts of an upload that has none.
    let id = create(&client, "k", &[]).await;
    assert_eq!(said(&upload(&client, "k", &id, 1, b"x", &right).await), is(400, "InvalidRequest"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_copied_from_objects() {
    let (server, client) = started().await;
    let source = content(6 * MIB, 9);
    assert_eq!(client.put("/parts/source%20a%2Bb", &source).await.status, 200);
    let id = create(&client, "copy", &[]).await;
    let copy = async |number: u32, headers: &[(&str, &str)]| {
        client.send("PUT", &format!("/parts/copy?partNumber={number}&uploadId={id}"), headers, b"").await
    };
    let named = ("x-amz-copy-source", "parts/source%20a%2Bb");
    let one = copy(1, &[named, ("x-amz-copy-source-range", "bytes=0-5242879")]).await;
    assert_eq!(one.status, 200, "{}", one.text());
    let two = copy(2, &[named, ("x-amz-copy-source-range", "bytes=5242880-6291455")]).await;
    for (bad, status, code) in [
        ("bytes=0-6291456", 416, "InvalidRange"),
        ("bytes=9000000-9000001", 416, "InvalidRange"),
        ("bytes=7-", 400, "InvalidArgument"),
        ("0-1", 400, "InvalidArgument"),
    ] {
        let answer = copy(3, &[named, ("x-amz-copy-source-range", bad)]).await;
        assert_eq!(said(&answer), is(status, code), "{bad}");
    }
    assert_eq!(said(&copy(3, &[("x-amz-copy-source", "parts/none")]).await), is(404, "NoSuchKey"));
    let tag = |answer: &Answer| answer.element("ETag").unwrap().replace("&quot;", "\"");
    assert_eq!(tag(&one), format!("\"{}\"", hex::encode(Md5::digest(&source[..5 * MIB]))));
    assert!(one.element("LastModified").unwrap().ends_with(".000Z"));
    let failed = copy(3, &[named, ("x-amz-copy-source-if-none-match", "*")]).await;
    assert_eq!(said(&failed), is(412, "PreconditionFailed"));
    let body = document(&[(1, &tag(&one)), (2, &tag(&two))]);
    assert_eq!(complete(&client, "copy", &id, &body, &[]).await.status, 200);
    assert!(client.get("/parts/copy").await.body == source);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_parts() {
    let (server, client) = started().await;
    let id = create(&client, "k", &[]).await;
    for number in [1, 2, 5] {
        etag(&upload(&client, "k", &id, number, &content(number as usize, 1), &[]).await);
    }
    let page = async |query: &str| client.get(&format!("/parts/k?uploadId={id}{query}")).await;
    let all = page("").await;
    let numbers = |answer: &Answer| answer.text().matches("<Part>").count();
    assert_eq!((numbers(&all), all.element("IsTruncated").unwrap().as_str()), (3, "false"));
    assert_eq!(all.element("NextPartNumberMarker").unwrap(), "5");
    let first = page("&max-parts=2").await;
    assert_eq!((numbers(&first), first.element("IsTruncated").unwrap().as_str()), (2, "true"));
    assert_eq!(first.element("NextPartNumberMarker").unwrap(), "2");
    let rest = page("&max-parts=2&part-number-marker=2").await;
    assert_eq!((numbers(&rest), rest.element("PartNumber").unwrap().as_str()), (1, "5"));
    for bad in ["&max-parts=-1", "&max-parts=x", "&part-number-marker=x"] {
        assert_eq!(said(&page(bad).await), is(400, "InvalidArgument"), "{bad}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listing_uploads() {
    let (server, client) = started().await;
    let mut ids = Vec::new();
    for key in ["a", "b/1", "b/2", "a", "c"] {
        ids.push(create(&client, key, &[]).await);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let uploads = |answer: &Answer| -> Vec<String> {
        answer.text().split("<UploadId>").skip(1).map(|rest| rest.split_once('<').unwrap().0.to_owned()).collect()
    };
    let all = client.get("/parts?uploads").await;
    // By key, then in the order in which they began.
    assert_eq!(uploads(&all), [&ids[0], &ids[3], &ids[1], &ids[2], &ids[4]].map(String::clone));
    let grouped = client.get("/parts?uploads&delimiter=/").await;
    assert_eq!(uploads(&grouped), [&ids[0], &ids[3], &ids[4]].map(String::clone));
    assert!(grouped.text().contains("<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"));

    let mut seen = Vec::new();
    let mut markers = String::new();
    loop {
        let page = client.get(&format!("/parts?uploads&max-uploads=1{markers}")).await;
        seen.extend(uploads(&page));
        if page.element("IsTruncated").unwrap() == "false" {
            break;
        }
        let (key, id) = (page.element("NextKeyMarker").unwrap(), page.element("NextUploadIdMarker").unwrap());
        markers = format!("&key-marker={key}&upload-id-marker={id}");
    }
    assert_eq!(seen, uploads(&all));
    let bad = client.get("/parts?uploads&key-marker=a&upload-id-marker=x").await;
    assert_eq!(said(&bad), is(400, "InvalidArgument"));

    let target = format!("/parts/c?uploadId={}", ids[4]);
    assert_eq!(client.send("DELETE", &target, &[], b"").await.status, 204);
    assert_eq!(uploads(&client.get("/parts?uploads").await).len(), 4);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sse_c_where_it_is_blocked() {
    let server = TestServer::start_with(|config| config.sse_c = chartrier::config::SseC::Blocked).await;
    let client = server.tls_client();
    assert_eq!(client.put("/parts", b"").await.status, 200);
    let key = trio([7; 32]);
    let answer = client.send("POST", "/parts/k?uploads", &borrowed(&key), b"").await;
    assert_eq!(said(&answer), is(403, "AccessDenied"));
    let answer = client.send("PUT", "/parts/k", &borrowed(&key), b"x").await;
    assert_eq!(said(&answer), is(403, "AccessDenied"));
    server.stop().await;
}
