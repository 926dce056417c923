//! Listings: order, pages, delimiters, markers, tokens, encoding, and null versions.

use crate::buckets::said;
use crate::support::{Answer, Client, TestServer};

/// A bucket with these keys.
async fn filled(keys: &[&str]) -> (TestServer, Client) {
    let server = TestServer::start().await;
    let client = server.client();
    assert_eq!(client.put("/listed", b"").await.status, 200);
    for key in keys {
        let answer = client.put(&format!("/listed/{key}"), b"content").await;
        assert_eq!(answer.status, 200, "{key}: {}", answer.text());
    }
    (server, client)
}

fn all(answer: &Answer, element: &str) -> Vec<String> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let text = answer.text();
    text.split(&open).skip(1).map(|rest| rest.split_once(&close).unwrap().0.to_owned()).collect()
}

fn keys(answer: &Answer) -> Vec<String> {
    all(answer, "Key")
}

/// The prefixes of `CommonPrefixes`, not the one of the question.
fn prefixes(answer: &Answer) -> Vec<String> {
    all(answer, "CommonPrefixes").iter().map(|text| text.replace("<Prefix>", "").replace("</Prefix>", "")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_in_byte_order() {
    let (server, client) = filled(&["b", "a/b", "a", "a-", "A", "%C3%A9", "z", "a//b", "10", "9"]).await;
    for target in ["/listed", "/listed?list-type=2", "/listed?versions"] {
        let answer = client.get(target).await;
        assert_eq!(keys(&answer), ["10", "9", "A", "a", "a-", "a//b", "a/b", "b", "z", "é"], "{target}");
        assert_eq!(answer.element("IsTruncated").unwrap(), "false");
        assert_eq!(answer.element("Size").unwrap(), "7");
        assert_eq!(answer.element("StorageClass").unwrap(), "STANDARD");
        assert!(answer.element("ETag").unwrap().starts_with("&quot;"));
        assert_eq!(answer.element("ChecksumAlgorithm").unwrap(), "CRC64NVME");
        assert_eq!(answer.element("ChecksumType").unwrap(), "FULL_OBJECT");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_sizes() {
    let (server, client) = filled(&["a", "b", "c"]).await;
    let answer = client.get("/listed?list-type=2&max-keys=0").await;
    assert_eq!((keys(&answer).len(), answer.element("IsTruncated").unwrap().as_str()), (0, "false"));
    assert_eq!(client.get("/listed?max-keys=5000").await.element("MaxKeys").unwrap(), "1000");
    for bad in ["max-keys=-1", "max-keys=x", "encoding-type=base64", "max-keys=2147483648"] {
        for listing in ["", "list-type=2&", "versions&"] {
            let answer = client.get(&format!("/listed?{listing}{bad}")).await;
            assert_eq!(said(&answer), (400, "InvalidArgument".into()), "{listing}{bad}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delimiters() {
    let (server, client) =
        filled(&["folder/aSub/1", "folder/aSub/2", "folder/file1", "folder/file2", "other", "x--y", "x--z--w"]).await;
    let answer = client.get("/listed?list-type=2&delimiter=%2F").await;
    assert_eq!(
        (keys(&answer), prefixes(&answer)),
        (vec!["other".into(), "x--y".into(), "x--z--w".into()], vec!["folder/".into()])
    );
    assert_eq!(answer.element("KeyCount").unwrap(), "4");
    let answer = client.get("/listed?list-type=2&delimiter=%2F&prefix=folder%2F").await;
    assert_eq!(
        (keys(&answer), prefixes(&answer)),
        (vec!["folder/file1".into(), "folder/file2".into()], vec!["folder/aSub/".into()])
    );
    let answer = client.get("/listed?list-type=2&delimiter=%2F&prefix=folder").await;
    assert_eq!((keys(&answer).len(), prefixes(&answer)), (0, vec!["folder/".to_owned()]));
    let answer = client.get("/listed?list-type=2&delimiter=--&prefix=x").await;
    assert_eq!((keys(&answer).len(), prefixes(&answer)), (0, vec!["x--".to_owned()]));
    let answer = client.get("/listed?list-type=2&delimiter=&prefix=folder%2Fa").await;
    assert_eq!(keys(&answer), ["folder/aSub/1", "folder/aSub/2"]);
    assert_eq!(answer.element("Delimiter"), None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_next_marker() {
    let (server, client) = filled(&["folder/aSub/1", "folder/aSub/2", "folder/file1", "folder/file2"]).await;
    // Without a delimiter AWS gives no next marker: it is the last key.
    let answer = client.get("/listed?max-keys=1").await;
    assert_eq!((answer.element("IsTruncated").unwrap().as_str(), answer.element("NextMarker")), ("true", None));

    let mut seen = Vec::new();
    let mut marker = String::new();
    loop {
        let target = format!("/listed?prefix=folder/&delimiter=/&max-keys=1&marker={marker}");
        let answer = client.get(&target).await;
        seen.extend(keys(&answer).into_iter().chain(prefixes(&answer)));
        match answer.element("NextMarker") {
            Some(next) => marker = next,
            None => break,
        }
        assert_eq!(answer.element("IsTruncated").unwrap(), "true");
    }
    assert_eq!(seen, ["folder/aSub/", "folder/file1", "folder/file2"]);

    // A marker inside a common prefix skips all of it, as recorded from AWS.
    let answer = client.get("/listed?prefix=folder/&delimiter=/&marker=folder/aSub/1").await;
    assert_eq!((keys(&answer).len(), prefixes(&answer).len()), (2, 0));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_pages() {
    let names: Vec<String> = (0..12).map(|n| format!("test_{n:02}")).collect();
    let (server, client) = filled(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let first = client.get("/listed?list-type=2&max-keys=5").await;
    assert_eq!((keys(&first), first.element("KeyCount").unwrap()), (names[..5].to_vec(), "5".into()));
    let token = first.element("NextContinuationToken").unwrap();
    // The token wins over start-after, which clients repeat on every page.
    let rest = client.get(&format!("/listed?list-type=2&start-after=test_09&continuation-token={token}")).await;
    assert_eq!(keys(&rest), names[5..]);
    assert_eq!(rest.element("ContinuationToken").unwrap(), token);
    assert_eq!(rest.element("NextContinuationToken"), None);

    let after = client.get("/listed?list-type=2&start-after=test_07&max-keys=2").await;
    assert_eq!(keys(&after), names[8..10]);
    assert_eq!(after.element("StartAfter").unwrap(), "test_07");

    // A page that ends with the last entry is not truncated.
    let whole = client.get("/listed?list-type=2&max-keys=12").await;
    assert_eq!(whole.element("IsTruncated").unwrap(), "false");

    let changed = format!("{}A", &token[..token.len() - 1]);
    // An empty token asks for the first page, and is said back.
    let first = client.get("/listed?list-type=2&continuation-token=").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.element("ContinuationToken").unwrap(), "");
    assert_eq!(keys(&first), names);
    for bad in ["x", changed.as_str()] {
        let answer = client.get(&format!("/listed?list-type=2&continuation-token={bad}")).await;
        assert_eq!(said(&answer), (400, "InvalidArgument".into()), "{bad}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encoding_and_odd_keys() {
    let (server, client) =
        filled(&["a%20b%2Bc", "%26%3C%3E%22", "dir//x", "%01", "%C3%A9/%2525", "a%0Ab", "..", "x/../y"]).await;
    let plain = client.get("/listed?list-type=2").await;
    for key in ["a b+c", "&amp;&lt;&gt;&quot;", "dir//x", "&#x1;", "é/%25", "..", "x/../y"] {
        assert!(keys(&plain).contains(&key.to_owned()), "{key}: {:?}", keys(&plain));
    }
    let url = client.get("/listed?list-type=2&encoding-type=url").await;
    for key in ["a%20b%2Bc", "%26%3C%3E%22", "dir//x", "%01", "%C3%A9/%2525", "a%0Ab", "..", "x/../y"] {
        assert!(keys(&url).contains(&key.to_owned()), "{key}: {:?}", keys(&url));
    }
    assert_eq!(url.element("EncodingType").unwrap(), "url");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owners() {
    let (server, client) = filled(&["k"]).await;
    let id = client.get("/").await.element("ID").unwrap();
    assert_eq!(client.get("/listed").await.element("ID").unwrap(), id);
    assert_eq!(client.get("/listed?list-type=2").await.element("ID"), None);
    assert_eq!(client.get("/listed?list-type=2&fetch-owner=true").await.element("ID").unwrap(), id);
    assert_eq!(client.get("/listed?versions").await.element("ID").unwrap(), id);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn null_versions() {
    let (server, client) = filled(&["a", "b", "c/1", "c/2"]).await;
    let first = client.get("/listed?versions&max-keys=1").await;
    assert_eq!(first.element("VersionId").unwrap(), "null");
    assert_eq!(first.element("IsLatest").unwrap(), "true");
    assert_eq!(
        (first.element("NextKeyMarker").unwrap(), first.element("NextVersionIdMarker").unwrap()),
        ("a".into(), "null".into())
    );
    let next = client.get("/listed?versions&max-keys=1&key-marker=a&version-id-marker=null").await;
    assert_eq!(keys(&next), ["b"]);
    let prefixed = client.get("/listed?versions&delimiter=/").await;
    assert_eq!((keys(&prefixed), prefixes(&prefixed)), (vec!["a".into(), "b".into()], vec!["c/".into()]));
    for bad in ["version-id-marker=null", "key-marker=a&version-id-marker=x"] {
        let answer = client.get(&format!("/listed?versions&{bad}")).await;
        assert_eq!(said(&answer), (400, "InvalidArgument".into()), "{bad}");
    }
    server.stop().await;
}
