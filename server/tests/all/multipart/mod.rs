//! Multipart uploads: parts, Complete in all its ways, copies of ranges.

mod checksums;
mod listings;
mod sse_c;

use chartrier::s3::checksum::{ChecksumAlgorithm, digest};
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
