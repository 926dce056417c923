//! Stories of listings: pages of objects and of uploads, in byte order, with keys rolled up.

use super::commands::*;
use super::stories::{done, ready, refused};
use crate::meta::{MetaEngine, MetaReads};
use crate::namespace::command::{Refusal, WriteCondition};
use crate::namespace::query::{ListEntry, ListFrom, ListQuery, UploadEntry, UploadFrom, UploadQuery};
use crate::namespace::rows::{ChecksumTag, VersionRow};

pub(super) async fn run<E: MetaEngine>(make: &impl Fn() -> E) {
    listings_page_in_byte_order_and_roll_up(&ready(make).await).await;
    uploads_list_by_key_then_id(&ready(make).await).await;
    what_a_listing_could_not_hold_is_refused(&ready(make).await).await;
}

async fn listings_page_in_byte_order_and_roll_up(engine: &impl MetaEngine) {
    for key in ["a", "b/1", "b/2", "b/é", "b0", "c\u{0}", "c\u{0}x", "é/1", "\u{10ffff}"] {
        done(engine, put(1, key, version(key, vec![part(0, 0)]), WriteCondition::None)).await;
    }
    // Another bucket's keys are never seen.
    done(engine, create_bucket(2, "other")).await;
    done(engine, put(2, "b/3", version("x", vec![part(0, 0)]), WriteCondition::None)).await;

    let page = |prefix: &str, delimiter: Option<&str>, after: Option<ListFrom>, limit: usize| {
        let query = ListQuery {
            bucket: bucket_id(1),
            prefix: prefix.to_owned(),
            delimiter: delimiter.map(str::to_owned),
            after,
            limit,
        };
        let page = engine.reads().list_objects(&query).unwrap();
        let names: Vec<String> = page
            .entries
            .into_iter()
            .map(|entry| match entry {
                ListEntry::Object { key, .. } => key,
                ListEntry::Prefix(prefix) => format!("<{prefix}>"),
            })
            .collect();
        (names, page.next)
    };
    let (all, next) = page("", None, None, 100);
    assert_eq!(all, ["a", "b/1", "b/2", "b/é", "b0", "c\u{0}", "c\u{0}x", "é/1", "\u{10ffff}"]);
    assert_eq!(next, None);
    assert_eq!(page("", Some("/"), None, 100).0, ["a", "<b/>", "b0", "c\u{0}", "c\u{0}x", "<é/>", "\u{10ffff}"]);
    assert_eq!(page("b/", Some("/"), None, 100).0, ["b/1", "b/2", "b/é"]);
    assert_eq!(page("b", Some("/"), None, 100).0, ["<b/>", "b0"]);
    assert_eq!(page("", None, None, 0), (vec![], None));
    // Nine keys in pages of one, by the page's own cursor.
    for delimiter in [None, Some("/"), Some("\u{0}")] {
        let whole = page("", delimiter, None, 100).0;
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let (names, next) = page("", delimiter, after, 1);
            seen.extend(names);
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, whole);
    }
    let from = |key: &str| Some(ListFrom::AfterKey(key.to_owned()));
    assert_eq!(page("", Some("/"), from("b/1"), 100).0[0], "<b/>");
    assert_eq!(page("", Some("/"), Some(ListFrom::PastPrefix("b/".to_owned())), 100).0[0], "b0");
    assert_eq!(page("b/", None, from("a"), 100).0, ["b/1", "b/2", "b/é"]);
    assert_eq!(page("b/", None, from("zz"), 100).0, Vec::<String>::new());
}

async fn uploads_list_by_key_then_id(engine: &impl MetaEngine) {
    for (key, n) in [("a", 2), ("a", 1), ("b/x", 1), ("b/y", 3), ("c\u{0}", 1)] {
        done(engine, create_upload(1, key, n)).await;
    }
    let page = |delimiter: Option<&str>, after: Option<UploadFrom>, limit: usize| {
        let query = UploadQuery {
            bucket: bucket_id(1),
            prefix: String::new(),
            delimiter: delimiter.map(str::to_owned),
            after,
            limit,
        };
        let page = engine.reads().list_uploads(&query).unwrap();
        let names: Vec<String> = page
            .entries
            .into_iter()
            .map(|entry| match entry {
                UploadEntry::Upload { key, row } => format!("{key}#{}", row.id.as_bytes()[0]),
                UploadEntry::Prefix(prefix) => format!("<{prefix}>"),
            })
            .collect();
        (names, page.next)
    };
    assert_eq!(page(None, None, 9).0, ["a#1", "a#2", "b/x#1", "b/y#3", "c\u{0}#1"]);
    assert_eq!(page(Some("/"), None, 9).0, ["a#1", "a#2", "<b/>", "c\u{0}#1"]);
    let after = Some(UploadFrom::AfterUpload("a".to_owned(), upload_id(1)));
    assert_eq!(page(None, after, 2).0, ["a#2", "b/x#1"]);
    assert_eq!(page(None, Some(UploadFrom::AfterKey("a".to_owned())), 1).0, ["b/x#1"]);
    let (mut seen, mut after) = (0, None);
    loop {
        let (names, next) = page(Some("/"), after, 1);
        seen += names.len();
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, 4);
}

/// Such a version once took a row that could not be read back: the index counted as damaged.
async fn what_a_listing_could_not_hold_is_refused(engine: &impl MetaEngine) {
    let long = "x".repeat(17 << 10);
    let tag = ChecksumTag { algorithm: long.clone(), kind: "FULL_OBJECT".to_owned() };
    let by_owner = VersionRow { owner: long.clone(), ..*version("e", vec![part(0, 0)]) };
    let by_checksum = VersionRow { checksum: Some(tag), ..*version("e", vec![part(0, 0)]) };
    for row in [version(&long, vec![part(0, 0)]), Box::new(by_owner), Box::new(by_checksum)] {
        assert_eq!(refused(engine, put(1, "k", row, WriteCondition::None)).await.0, Refusal::TooLarge);
        assert_eq!(engine.reads().current(bucket_id(1), "k").unwrap(), None);
    }
}
