//! Conditional writes and removals, and who wins when many want the same.

use tokio::task::JoinSet;

use crate::buckets::said;
use crate::versions::{bucket, header, version, versioning};

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn removals_may_name_etag_time_and_size() {
    let (server, client) = bucket(&[]).await;
    let stored = client.put("/kept/k", b"12345").await;
    let (etag, head) = (header(&stored, "etag"), client.send("HEAD", "/kept/k", &[], b"").await);
    let modified = header(&head, "last-modified");
    let (time, size) = ("x-amz-if-match-last-modified-time", "x-amz-if-match-size");
    for conditions in [
        &[("if-match", "\"other\"")][..],
        &[(size, "4")],
        &[(time, "Wed, 21 Oct 2015 07:28:00 GMT")],
        &[("if-match", &etag), (size, "6")],
        &[("if-match", "*"), (time, "2015-10-21T07:28:00Z")],
    ] {
        let answer = client.send("DELETE", "/kept/k", conditions, b"").await;
        assert_eq!(said(&answer), is(412, "PreconditionFailed"), "{conditions:?}");
    }
    assert_eq!(said(&client.send("DELETE", "/kept/k", &[(size, "x")], b"").await), is(400, "InvalidArgument"));
    let all = [("if-match", etag.as_str()), (size, "5"), (time, modified.as_str())];
    assert_eq!(client.send("DELETE", "/kept/k", &all, b"").await.status, 204);
    assert_eq!(said(&client.get("/kept/k").await), is(404, "NoSuchKey"));
    // What is gone is gone.
    assert_eq!(client.send("DELETE", "/kept/k", &all, b"").await.status, 204);
    assert_eq!(said(&client.send("PUT", "/kept/k", &[("if-match", "*")], b"").await), is(404, "NoSuchKey"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_is_on_the_version_that_is_named() {
    let (server, client) = bucket(&[]).await;
    versioning(&client, "Enabled").await;
    let one = client.put("/kept/k", b"one").await;
    let two = client.put("/kept/k", b"two").await;
    let (of_one, of_two) = (header(&one, "etag"), header(&two, "etag"));
    let target = format!("/kept/k?versionId={}", version(&one));
    let wrong = client.send("DELETE", &target, &[("if-match", &of_two)], b"").await;
    assert_eq!(said(&wrong), is(412, "PreconditionFailed"));
    assert_eq!(client.send("DELETE", &target, &[("if-match", &of_one)], b"").await.status, 204);
    let wrong = client.send("DELETE", "/kept/k", &[("if-match", &of_one)], b"").await;
    assert_eq!(said(&wrong), is(412, "PreconditionFailed"));
    let hidden = client.send("DELETE", "/kept/k", &[("if-match", &of_two)], b"").await;
    assert_eq!(header(&hidden, "x-amz-delete-marker"), "true");
    assert_eq!(said(&client.send("PUT", "/kept/k", &[("if-match", &of_two)], b"").await), is(404, "NoSuchKey"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_clients_exactly_one_wins_each_round() {
    const CLIENTS: usize = 16;
    let (server, client) = bucket(&[]).await;
    versioning(&client, "Enabled").await;
    for round in 0..6 {
        let key = format!("/kept/lock-{}", round / 2);
        // Rounds take turns: creation, then replacement of what was created.
        let etag = header(&client.send("HEAD", &key, &[], b"").await, "etag");
        let mut racers = JoinSet::new();
        for n in 0..CLIENTS {
            let (client, key, etag) = (client.clone(), key.clone(), etag.clone());
            racers.spawn(async move {
                let condition = if etag.is_empty() { ("if-none-match", "*") } else { ("if-match", etag.as_str()) };
                let body = format!("round {round}, client {n}");
                (client.send("PUT", &key, &[condition], body.as_bytes()).await.status.as_u16(), body)
            });
        }
        let answers = racers.join_all().await;
        let won: Vec<_> = answers.iter().filter(|(status, _)| *status == 200).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        assert!(answers.iter().all(|(status, _)| matches!(status, 200 | 412)), "{answers:?}");
        assert_eq!(client.get(&key).await.text(), won[0].1);
    }
    let listing = client.get("/kept?versions").await;
    assert_eq!(listing.text().matches("<Version>").count(), 6, "a loser left a version");
    server.stop().await;
}
