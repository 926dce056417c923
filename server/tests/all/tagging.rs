//! Tags of objects and buckets.

use serde_json::json;

use crate::buckets::{another_user, said};
use crate::policy::{canonical_id, put_policy, statement};
use crate::support::{Answer, Client};
use crate::versions::{bucket, header, put_document, version, versioning};

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn document(tags: &[(&str, &str)]) -> String {
    let tags: String =
        tags.iter().map(|(key, value)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>")).collect();
    format!("<Tagging><TagSet>{tags}</TagSet></Tagging>")
}

async fn tag(client: &Client, target: &str, tags: &[(&str, &str)]) -> Answer {
    put_document(client, &format!("{target}tagging"), &[], &document(tags)).await
}

async fn tags(client: &Client, target: &str) -> String {
    let answer = client.get(&format!("{target}tagging")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.element("TagSet").unwrap()
}

fn set(tags: &[(&str, &str)]) -> String {
    document(tags).replace("<Tagging><TagSet>", "").replace("</TagSet></Tagging>", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_set_read_counted_and_removed() {
    let (server, client) = bucket(&[]).await;
    client.put("/kept/k", b"body").await;
    assert_eq!(tags(&client, "/kept/k?").await, "");
    assert_eq!(header(&client.get("/kept/k").await, "x-amz-tagging-count"), "");
    let some = [("a b", "é"), ("empty", ""), ("project", "x")];
    assert_eq!(tag(&client, "/kept/k?", &some).await.status, 200);
    assert_eq!(tags(&client, "/kept/k?").await, set(&some));
    for method in ["GET", "HEAD"] {
        assert_eq!(header(&client.send(method, "/kept/k", &[], b"").await, "x-amz-tagging-count"), "3");
    }
    // What is on the drives says none of it.
    let row = server.app.engine.current(server.app.engine.bucket("kept").unwrap().unwrap().id, "k").unwrap().unwrap();
    assert!(!row.sealed_tags.windows(7).any(|window| window == b"project"));
    assert_eq!(client.send("DELETE", "/kept/k?tagging", &[], b"").await.status, 204);
    assert_eq!(tags(&client, "/kept/k?").await, "");
    assert_eq!(said(&client.get("/kept/none?tagging").await), is(404, "NoSuchKey"));
    assert_eq!(said(&tag(&client, "/kept/none?", &some).await), is(404, "NoSuchKey"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_tags() {
    let (server, client) = bucket(&[]).await;
    client.put("/kept/k", b"body").await;
    let names: Vec<String> = (0..51).map(|n| format!("{n:02}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    assert_eq!(tag(&client, "/kept/k?", &many[..10]).await.status, 200);
    let (long_key, long_value) = ("k".repeat(129), "v".repeat(257));
    for (bad, code) in [
        (&many[..11], "InvalidTag"),
        (&[(long_key.as_str(), "v")][..], "InvalidTag"),
        (&[("k", long_value.as_str())][..], "InvalidTag"),
        (&[("", "v")][..], "InvalidTag"),
        (&[("k", "v"), ("k", "w")][..], "InvalidTag"),
        (&[("aws:k", "v")][..], "InvalidTag"),
    ] {
        assert_eq!(said(&tag(&client, "/kept/k?", bad).await), is(400, code));
    }
    assert_eq!(said(&put_document(&client, "/kept/k?tagging", &[], "<Tagging/>").await), is(400, "MalformedXML"));
    assert_eq!(tags(&client, "/kept/k?").await, set(&many[..10]));

    assert_eq!(said(&client.get("/kept?tagging").await), is(404, "NoSuchTagSet"));
    assert_eq!(tag(&client, "/kept?", &many[..50]).await.status, 204);
    assert_eq!(tags(&client, "/kept?").await, set(&many[..50]));
    assert_eq!(said(&tag(&client, "/kept?", &many).await), is(400, "BadRequest"));
    assert_eq!(client.send("DELETE", "/kept?tagging", &[], b"").await.status, 204);
    assert_eq!(said(&client.get("/kept?tagging").await), is(404, "NoSuchTagSet"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_and_copies_bring_tags() {
    let (server, client) = bucket(&[]).await;
    // Answers say them by key, in whatever order they came.
    let tagging = ("x-amz-tagging", "b=x%20y&a=1");
    client.send("PUT", "/kept/k", &[tagging], b"body").await;
    let both = set(&[("a", "1"), ("b", "x y")]);
    assert_eq!(tags(&client, "/kept/k?").await, both);
    let refused = client.send("PUT", "/kept/bad", &[("x-amz-tagging", "a=1&a=2")], b"").await;
    assert_eq!(said(&refused), is(400, "InvalidTag"));
    let source = ("x-amz-copy-source", "/kept/k");
    client.send("PUT", "/kept/copy", &[source], b"").await;
    assert_eq!(tags(&client, "/kept/copy?").await, both);
    let replace = ("x-amz-tagging-directive", "REPLACE");
    client.send("PUT", "/kept/copy", &[source, replace, ("x-amz-tagging", "c=3")], b"").await;
    assert_eq!(tags(&client, "/kept/copy?").await, set(&[("c", "3")]));
    client.send("PUT", "/kept/copy", &[source, replace], b"").await;
    assert_eq!(tags(&client, "/kept/copy?").await, "");
    let directive = client.send("PUT", "/kept/copy", &[source, ("x-amz-tagging-directive", "KEEP")], b"").await;
    assert_eq!(said(&directive), is(400, "InvalidArgument"));
    // Onto itself: no data is read, tags stay or are replaced.
    let metadata = ("x-amz-metadata-directive", "REPLACE");
    assert_eq!(client.send("PUT", "/kept/k", &[source, metadata], b"").await.status, 200);
    assert_eq!(tags(&client, "/kept/k?").await, both);
    let onto = [source, metadata, replace, ("x-amz-tagging", "d=4")];
    assert_eq!(client.send("PUT", "/kept/k", &onto, b"").await.status, 200);
    assert_eq!(tags(&client, "/kept/k?").await, set(&[("d", "4")]));

    let begun = client.send("POST", "/kept/m?uploads", &[tagging], b"").await;
    let upload = begun.element("UploadId").unwrap();
    let part = client.put(&format!("/kept/m?partNumber=1&uploadId={upload}"), b"part").await;
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
        header(&part, "etag")
    );
    let done = client.send("POST", &format!("/kept/m?uploadId={upload}"), &[], list.as_bytes()).await;
    assert_eq!(done.status, 200);
    assert_eq!(tags(&client, "/kept/m?").await, both);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_version_has_its_own_tags() {
    let (server, client) = bucket(&[]).await;
    versioning(&client, "Enabled").await;
    let one = version(&client.put("/kept/k", b"one").await);
    let two = version(&client.put("/kept/k", b"two").await);
    let of = |id: &str| format!("/kept/k?versionId={id}&");
    assert_eq!(version(&tag(&client, &of(&one), &[("n", "1")]).await), one);
    assert_eq!(version(&tag(&client, "/kept/k?", &[("n", "2")]).await), two);
    assert_eq!(tags(&client, &of(&one)).await, set(&[("n", "1")]));
    assert_eq!(tags(&client, &of(&two)).await, set(&[("n", "2")]));
    let removed = client.send("DELETE", &format!("{}tagging", of(&one)), &[], b"").await;
    assert_eq!(version(&removed), one);
    assert_eq!((tags(&client, &of(&one)).await, tags(&client, "/kept/k?").await), (String::new(), set(&[("n", "2")])));
    let marker = version(&client.send("DELETE", "/kept/k", &[], b"").await);
    assert_eq!(said(&client.get(&format!("{}tagging", of(&marker))).await), is(405, "MethodNotAllowed"));
    assert_eq!(said(&tag(&client, "/kept/k?", &[("n", "3")]).await), is(404, "NoSuchKey"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_see_the_tags_that_are_and_those_that_are_asked_for() {
    let (server, client) = bucket(&[]).await;
    let other = another_user(&server, "reader").await;
    let id = canonical_id(&other).await;
    let conditional = |action: &str, key: &str, value: &str| {
        let mut allowed = statement("Allow", json!({"CanonicalUser": id}), json!(action), "kept/*");
        allowed["Condition"] = json!({"StringEquals": {key: value}});
        allowed
    };
    let mut denied = statement("Deny", json!("*"), json!("s3:PutObjectTagging"), "kept/*");
    denied["Condition"] = json!({"StringEquals": {"s3:RequestObjectTag/open": "never"}});
    let statements = vec![conditional("s3:GetObject", "s3:ExistingObjectTag/open", "yes"), denied];
    assert_eq!(put_policy(&client, "kept", statements).await.status, 204);
    client.put("/kept/k", b"body").await;
    assert_eq!(said(&other.get("/kept/k").await), is(403, "AccessDenied"));
    assert_eq!(tag(&client, "/kept/k?", &[("open", "yes")]).await.status, 200);
    assert_eq!(other.get("/kept/k").await.text(), "body");
    assert_eq!(said(&tag(&client, "/kept/k?", &[("open", "never")]).await), is(403, "AccessDenied"));
    assert_eq!(tag(&client, "/kept/k?", &[("open", "no")]).await.status, 200);
    assert_eq!(said(&other.get("/kept/k").await), is(403, "AccessDenied"));
    server.stop().await;
}
