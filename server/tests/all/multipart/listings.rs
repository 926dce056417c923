//! ListParts and ListMultipartUploads.

use super::{content, create, etag, is, started, upload};
use crate::buckets::said;
use crate::support::Answer;

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
