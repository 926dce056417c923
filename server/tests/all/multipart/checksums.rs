//! Checksums of multipart uploads, asked for and not.

use chartrier::s3::checksum::{Checksum, ChecksumAlgorithm, digest};

use super::{MIB, complete, content, create, document, etag, is, started, upload};
use crate::buckets::said;

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
