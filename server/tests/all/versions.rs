//! Versioning: ids, markers, null versions, pages, copies and uploads that make versions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

use crate::buckets::said;
use crate::support::{Answer, Client, TestServer};

pub async fn bucket(headers: &[(&str, &str)]) -> (TestServer, Client) {
    let server = TestServer::start().await;
    let client = server.client();
    assert_eq!(client.send("PUT", "/kept", headers, b"").await.status, 200);
    (server, client)
}

/// A document with the digest that some operations demand.
pub async fn put_document(client: &Client, target: &str, headers: &[(&str, &str)], document: &str) -> Answer {
    let md5 = BASE64.encode(Md5::digest(document));
    let mut all = vec![("content-md5", md5.as_str())];
    all.extend_from_slice(headers);
    client.send("PUT", target, &all, document.as_bytes()).await
}

pub async fn versioning(client: &Client, status: &str) -> Answer {
    let document = format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
    put_document(client, "/kept?versioning", &[], &document).await
}

pub fn header(answer: &Answer, name: &str) -> String {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
}

pub fn version(answer: &Answer) -> String {
    assert!(answer.status.is_success(), "{}", answer.text());
    header(answer, "x-amz-version-id")
}

/// Key, version and whether it is the latest, of versions and markers in order.
fn listed(answer: &Answer) -> Vec<(String, String, String)> {
    let text = answer.text();
    let inside = |line: &str, name: &str| {
        line.split_once(&format!("<{name}>")).unwrap().1.split_once(&format!("</{name}>")).unwrap().0.to_owned()
    };
    text.split("<Key>")
        .skip(1)
        .map(|rest| format!("<Key>{rest}"))
        .map(|line| (inside(&line, "Key"), inside(&line, "VersionId"), inside(&line, "IsLatest")))
        .collect()
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_versions_once_it_is_told_to() {
    let (server, client) = bucket(&[]).await;
    assert_eq!(client.get("/kept?versioning").await.element("Status"), None);
    assert_eq!(version(&client.put("/kept/k", b"null").await), "");
    assert_eq!(versioning(&client, "Enabled").await.status, 200);
    assert_eq!(client.get("/kept?versioning").await.element("Status").unwrap(), "Enabled");
    let one = version(&client.put("/kept/k", b"one").await);
    let two = version(&client.put("/kept/k", b"two").await);
    assert!(one.len() == 32 && one != two);
    for (id, body) in [(one.as_str(), "one"), (two.as_str(), "two"), ("null", "null")] {
        let answer = client.get(&format!("/kept/k?versionId={id}")).await;
        assert_eq!((answer.text().as_str(), header(&answer, "x-amz-version-id").as_str()), (body, id));
        let head = client.send("HEAD", &format!("/kept/k?versionId={id}"), &[], b"").await;
        assert_eq!(header(&head, "content-length"), body.len().to_string());
    }
    let lines = listed(&client.get("/kept?versions").await);
    let line = |id: &str, latest: &str| ("k".to_owned(), id.to_owned(), latest.to_owned());
    assert_eq!(lines, [line(&two, "true"), line(&one, "false"), line("null", "false")]);

    // The current version goes: the one before comes back, everywhere.
    let gone = client.send("DELETE", &format!("/kept/k?versionId={two}"), &[], b"").await;
    assert_eq!((version(&gone), header(&gone, "x-amz-delete-marker").as_str()), (two.clone(), ""));
    assert_eq!(client.get("/kept/k").await.text(), "one");
    assert_eq!(client.get("/kept").await.element("Size").unwrap(), "3");
    assert_eq!(said(&client.get(&format!("/kept/k?versionId={two}")).await), is(404, "NoSuchVersion"));
    assert_eq!(said(&client.get("/kept/k?versionId=x").await), is(400, "InvalidArgument"));
    assert_eq!(client.get("/kept/k?versionId=x").await.element("Message").unwrap(), "Invalid version id specified");
    assert_eq!(said(&client.send("DELETE", "/kept", &[], b"").await), is(409, "BucketNotEmpty"));
    for (document, code) in [
        ("<VersioningConfiguration/>", "IllegalVersioningConfigurationException"),
        ("<VersioningConfiguration><Status>On</Status></VersioningConfiguration>", "MalformedXML"),
    ] {
        assert_eq!(said(&put_document(&client, "/kept?versioning", &[], document).await), is(400, code));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_hide_and_say_so() {
    let (server, client) = bucket(&[]).await;
    versioning(&client, "Enabled").await;
    let kept = version(&client.put("/kept/k", b"kept").await);
    let hidden = client.send("DELETE", "/kept/k", &[], b"").await;
    let marker = version(&hidden);
    assert_eq!(header(&hidden, "x-amz-delete-marker"), "true");
    for method in ["GET", "HEAD"] {
        let answer = client.send(method, "/kept/k", &[], b"").await;
        let said =
            (answer.status.as_u16(), header(&answer, "x-amz-delete-marker"), header(&answer, "x-amz-version-id"));
        assert_eq!(said, (404, "true".into(), marker.clone()), "{method}");
        let answer = client.send(method, &format!("/kept/k?versionId={marker}"), &[], b"").await;
        let said = (answer.status.as_u16(), header(&answer, "x-amz-delete-marker"), header(&answer, "allow"));
        assert_eq!(said, (405, "true".into(), "DELETE".into()), "{method}");
        assert!(answer.headers.contains_key("last-modified"));
        let never = client.send(method, "/kept/never", &[], b"").await;
        assert_eq!((never.status.as_u16(), header(&never, "x-amz-delete-marker")), (404, "false".into()), "{method}");
    }
    assert_eq!(client.get("/kept?list-type=2").await.element("KeyCount").unwrap(), "0");
    let listing = client.get("/kept?versions").await;
    assert!(listing.text().contains("<DeleteMarker><Key>k</Key>"), "{}", listing.text());
    let copied = client.send("PUT", "/kept/c", &[("x-amz-copy-source", "/kept/k")], b"").await;
    assert_eq!(said(&copied), is(404, "NoSuchKey"));
    let source = format!("/kept/k?versionId={marker}");
    let copied = client.send("PUT", "/kept/c", &[("x-amz-copy-source", &source)], b"").await;
    assert_eq!(said(&copied), is(400, "InvalidRequest"));
    // A marker is no object to a condition.
    let again = client.send("PUT", "/kept/k", &[("if-none-match", "*")], b"again").await;
    assert_eq!(again.status, 200);
    client.send("DELETE", &format!("/kept/k?versionId={}", version(&again)), &[], b"").await;
    let removed = client.send("DELETE", &format!("/kept/k?versionId={marker}"), &[], b"").await;
    assert_eq!((version(&removed), header(&removed, "x-amz-delete-marker")), (marker, "true".into()));
    assert_eq!(version(&client.get("/kept/k").await), kept);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_buckets_write_the_null_version() {
    let (server, client) = bucket(&[]).await;
    versioning(&client, "Enabled").await;
    let kept = version(&client.put("/kept/k", b"kept").await);
    assert_eq!(versioning(&client, "Suspended").await.status, 200);
    // A write of the null version does not name it; reads do.
    assert_eq!(version(&client.put("/kept/k", b"null-1").await), "");
    assert_eq!(version(&client.put("/kept/k", b"null-2").await), "");
    assert_eq!(version(&client.get("/kept/k").await), "null");
    assert_eq!(listed(&client.get("/kept?versions").await).len(), 2);
    // A copy onto itself rewrites no data and stays the null version.
    let headers = [("x-amz-copy-source", "/kept/k"), ("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-a", "b")];
    assert_eq!(version(&client.send("PUT", "/kept/k", &headers, b"").await), "");
    assert_eq!(client.get("/kept/k").await.text(), "null-2");
    let hidden = client.send("DELETE", "/kept/k", &[], b"").await;
    assert_eq!((version(&hidden), header(&hidden, "x-amz-delete-marker")), ("null".into(), "true".into()));
    let lines = listed(&client.get("/kept?versions").await);
    assert_eq!(lines.iter().map(|line| line.1.as_str()).collect::<Vec<_>>(), ["null", &kept]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_uploads_make_versions() {
    let (server, client) = bucket(&[]).await;
    versioning(&client, "Enabled").await;
    let one = version(&client.put("/kept/k", b"one").await);
    client.put("/kept/k", b"two").await;
    let source = format!("/kept/k?versionId={one}");
    // An older version is restored by a copy onto its own key.
    let restored = client.send("PUT", "/kept/k", &[("x-amz-copy-source", &source)], b"").await;
    assert_eq!(header(&restored, "x-amz-copy-source-version-id"), one);
    let restored = version(&restored);
    assert!(restored != one);
    assert_eq!(client.get("/kept/k").await.text(), "one");
    // New metadata makes a new version too; the old one keeps its own.
    let headers = [("x-amz-copy-source", "/kept/k"), ("x-amz-metadata-directive", "REPLACE"), ("x-amz-meta-a", "b")];
    assert_ne!(version(&client.send("PUT", "/kept/k", &headers, b"").await), restored);
    assert_eq!(header(&client.get("/kept/k").await, "x-amz-meta-a"), "b");
    assert_eq!(header(&client.get(&format!("/kept/k?versionId={restored}")).await, "x-amz-meta-a"), "");

    let begun = client.send("POST", "/kept/m?uploads", &[], b"").await;
    let upload = begun.element("UploadId").unwrap();
    let part = client.put(&format!("/kept/m?partNumber=1&uploadId={upload}"), b"part").await;
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
        header(&part, "etag")
    );
    let done = client.send("POST", &format!("/kept/m?uploadId={upload}"), &[], list.as_bytes()).await;
    let made = version(&done);
    assert_eq!(version(&client.get("/kept/m").await), made);
    // The same Complete again names the same version.
    let again = client.send("POST", &format!("/kept/m?uploadId={upload}"), &[], list.as_bytes()).await;
    assert_eq!(version(&again), made);
    let attributes = client.send("GET", "/kept/m?attributes", &[("x-amz-object-attributes", "ETag")], b"").await;
    assert_eq!(version(&attributes), made);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_list_in_pages_of_any_depth() {
    let (server, client) = bucket(&[]).await;
    versioning(&client, "Enabled").await;
    for n in 0..23 {
        client.put(&format!("/kept/{}", ["a", "b/x", "b/y", "c"][n % 4]), b"").await;
        if n % 5 == 0 {
            client.send("DELETE", "/kept/a", &[], b"").await;
        }
    }
    let whole = listed(&client.get("/kept?versions").await);
    assert_eq!(whole.len(), 28);
    assert!(whole.windows(2).all(|pair| pair[0].0 < pair[1].0 || (pair[0].0 == pair[1].0 && pair[0].1 > pair[1].1)));
    for size in [1, 2, 3, 7] {
        for removing in [false, size == 7] {
            let (mut seen, mut marker) = (Vec::new(), String::new());
            loop {
                let answer = client.get(&format!("/kept?versions&max-keys={size}{marker}")).await;
                let page = listed(&answer);
                for (key, id, _) in page.iter().filter(|_| removing) {
                    client.send("DELETE", &format!("/kept/{key}?versionId={id}"), &[], b"").await;
                }
                seen.extend(page.into_iter().map(|line| (line.0, line.1)));
                let Some(key) = answer.element("NextKeyMarker") else { break };
                let id = answer.element("NextVersionIdMarker").unwrap();
                marker = format!("&key-marker={key}&version-id-marker={id}");
            }
            let expected: Vec<_> = whole.iter().map(|line| (line.0.clone(), line.1.clone())).collect();
            assert_eq!(seen, expected, "pages of {size}, removing: {removing}");
        }
    }
    assert_eq!(client.send("DELETE", "/kept", &[], b"").await.status, 204);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_roll_up_versions() {
    let (server, client) = bucket(&[]).await;
    versioning(&client, "Enabled").await;
    for key in ["a", "b/x", "b/x", "b/y", "c"] {
        client.put(&format!("/kept/{key}"), b"").await;
    }
    let first = client.get("/kept?versions&delimiter=/&max-keys=2").await;
    assert_eq!(listed(&first).len(), 1);
    assert_eq!((first.element("NextKeyMarker"), first.element("NextVersionIdMarker")), (Some("b/".into()), None));
    let next = client.get("/kept?versions&delimiter=/&max-keys=2&key-marker=b/").await;
    assert_eq!((listed(&next)[0].0.as_str(), next.element("IsTruncated").unwrap().as_str()), ("c", "false"));
    // A prefix that holds only what was deleted is not listed among objects.
    client.send("DELETE", "/kept/b/x", &[], b"").await;
    client.send("DELETE", "/kept/b/y", &[], b"").await;
    assert!(!client.get("/kept?delimiter=/").await.text().contains("CommonPrefixes"));
    assert!(client.get("/kept?versions&delimiter=/").await.text().contains("<Prefix>b/</Prefix>"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_remove_versions_and_make_markers() {
    let (server, client) = bucket(&[]).await;
    versioning(&client, "Enabled").await;
    let one = version(&client.put("/kept/k", b"one").await);
    let marker = version(&client.send("DELETE", "/kept/k", &[], b"").await);
    let send = async |inside: String| {
        let document = format!("<Delete>{inside}</Delete>");
        let md5 = BASE64.encode(Md5::digest(&document));
        client.send("POST", "/kept?delete", &[("content-md5", &md5)], document.as_bytes()).await.text()
    };
    let object = |key: &str, id: &str| format!("<Object><Key>{key}</Key><VersionId>{id}</VersionId></Object>");
    let text =
        send(object("k", &one) + &object("k", &marker) + "<Object><Key>n</Key></Object>" + &object("k", "x")).await;
    let deleted = |inside: String| assert!(text.contains(&format!("<Deleted>{inside}")), "{text}");
    deleted(format!("<Key>k</Key><VersionId>{one}</VersionId></Deleted>"));
    let of_marker = format!("<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>{marker}</DeleteMarkerVersionId>");
    deleted(format!("<Key>k</Key><VersionId>{marker}</VersionId>{of_marker}</Deleted>"));
    deleted("<Key>n</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>".into());
    assert!(text.contains("<Code>NoSuchVersion</Code>"), "{text}");
    server.stop().await;
}
