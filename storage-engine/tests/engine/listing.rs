//! A listing costs what it returns: keys below a common prefix are skipped, not read.

use std::time::Instant;

use chartrier_storage::namespace::query::{ListEntry, ListQuery};

use super::*;

fn query(delimiter: Option<&str>, limit: usize) -> ListQuery {
    ListQuery { bucket: BUCKET, prefix: String::new(), delimiter: delimiter.map(str::to_owned), after: None, limit }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_up_listing_does_not_read_what_it_rolls_up() {
    let rig = Rig::new();
    let engine = rig.open_with_bucket().await;
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let engine = engine.clone();
            tokio::spawn(async move {
                for n in 0..1_000 {
                    put(&engine, &format!("dir{writer}/{n:05}"), 10).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let begun = Instant::now();
    let rolled = engine.list_objects(query(Some("/"), 1000)).await.unwrap();
    let rolled_in = begun.elapsed();
    let expected: Vec<_> = (0..8).map(|writer| ListEntry::Prefix(format!("dir{writer}/"))).collect();
    assert_eq!(rolled.entries, expected);
    assert_eq!(rolled.next, None);

    let mut seen = 0;
    let mut next = query(None, 1000);
    let begun = Instant::now();
    loop {
        let page = engine.list_objects(next.clone()).await.unwrap();
        seen += page.entries.len();
        match page.next {
            Some(after) => next.after = Some(after),
            None => break,
        }
    }
    assert_eq!(seen, 8_000);
    // Eight seeks against eight thousand rows.
    assert!(rolled_in < begun.elapsed(), "{rolled_in:?} for 8 prefixes, {:?} for 8000 keys", begun.elapsed());
}
