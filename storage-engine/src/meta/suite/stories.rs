//! The stories that every engine passes. Each begins with a named journal and one bucket.

use chartrier_journal::{Leaf, Signer};

use super::commands::*;
use crate::ids::{DriveId, VersionId};
use crate::meta::{MetaEngine, MetaReads};
use crate::namespace::bucket_config::BucketConfigKind::{Cors, Lifecycle, Policy, RequestPayment};
use crate::namespace::command::{Applied, Attempt, Layout, MissingShard, Op, Outcome, Refusal, WriteCondition};
use crate::namespace::drives::{DriveRole, Then};
use crate::namespace::query::{ListEntry, ListFrom, ListQuery, UploadEntry, UploadFrom, UploadQuery};
use crate::namespace::rows::OwnerPlace;

pub(super) async fn run<E: MetaEngine>(make: impl Fn() -> E) {
    nothing_is_recorded_before_the_journal_has_a_name(&make()).await;
    buckets_are_made_once_and_removed_empty(&ready(&make).await).await;
    a_put_replaces_and_frees_what_it_replaced(&ready(&make).await).await;
    of_two_racing_creations_one_holds(&ready(&make).await).await;
    refused_modifications_leave_a_leaf_only_on_existing_objects(&ready(&make).await).await;
    a_write_that_is_refused_frees_its_stripes_unless_they_are_owned(&ready(&make).await).await;
    a_rewrap_keeps_the_data_and_wants_the_version_that_was_read(&ready(&make).await).await;
    a_run_has_the_owner_that_names_it_and_none_after(&ready(&make).await).await;
    uploads_are_completed_with_the_parts_that_are_stored(&ready(&make).await).await;
    listings_page_in_byte_order_and_roll_up(&ready(&make).await).await;
    uploads_list_by_key_then_id(&ready(&make).await).await;
    users_and_keys_are_unique_and_root_stays(&ready(&make).await).await;
    a_log_never_signs_two_trees(&ready(&make).await).await;
    leaves_say_what_happened_and_time_never_goes_back(&ready(&make).await).await;
    drives_come_and_go(&make()).await;
    layouts_follow_one_another(&ready(&make).await).await;
    documents_of_a_bucket_are_kept_and_go_with_it(&ready(&make).await).await;
    super::events::run(&make).await;
    super::quota::run(&make).await;
    super::versions::run(&make).await;
}

pub(super) async fn ready<E: MetaEngine>(make: &impl Fn() -> E) -> E {
    let engine = make();
    assert_eq!(propose(&engine, journal()).await.outcome, Outcome::Done);
    assert_eq!(propose(&engine, create_bucket(1, "b")).await.outcome, Outcome::Done);
    engine
}

pub(super) async fn propose(engine: &impl MetaEngine, op: Op) -> Applied {
    engine.propose(command(op)).await.unwrap()
}

pub(super) async fn done(engine: &impl MetaEngine, op: Op) -> Applied {
    let applied = propose(engine, op.clone()).await;
    assert!(!matches!(applied.outcome, Outcome::Refused(_)), "{op:?} was refused: {:?}", applied.outcome);
    applied
}

pub(super) async fn refused(engine: &impl MetaEngine, op: Op) -> (Refusal, Applied) {
    let applied = propose(engine, op.clone()).await;
    match applied.outcome.clone() {
        Outcome::Refused(refusal) => (refusal, applied),
        other => panic!("{op:?} was not refused: {other:?}"),
    }
}

pub(super) fn leaf(engine: &impl MetaEngine, applied: &Applied) -> Leaf {
    let index = applied.leaf_index.expect("the command left a leaf");
    let leaf = Leaf::parse(&engine.reads().leaf(index).unwrap().unwrap()).unwrap();
    assert_eq!(leaf.seq, index);
    leaf
}

async fn nothing_is_recorded_before_the_journal_has_a_name(engine: &impl MetaEngine) {
    assert_eq!(refused(engine, create_bucket(1, "b")).await.0, Refusal::JournalRefused);
    done(engine, journal()).await;
    assert_eq!(refused(engine, journal()).await.0, Refusal::JournalRefused);
    assert_eq!(engine.reads().journal_size(), 0);
}

async fn buckets_are_made_once_and_removed_empty(engine: &impl MetaEngine) {
    let taken = refused(engine, create_bucket(2, "b")).await.0;
    assert_eq!(taken, Refusal::BucketExists { owner: "owner".to_owned() });
    let remove = || Op::DeleteBucket { name: "b".to_owned() };
    done(engine, put(1, "k", version("e", vec![part(0, 0)]), WriteCondition::None)).await;
    assert_eq!(refused(engine, remove()).await.0, Refusal::BucketNotEmpty);
    done(engine, delete(1, "k", WriteCondition::None)).await;
    done(engine, create_upload(1, "k", 1)).await;
    assert_eq!(refused(engine, remove()).await.0, Refusal::BucketNotEmpty);
    done(engine, abort(1, "k", 1)).await;
    assert_eq!(leaf(engine, &done(engine, remove()).await).event.name(), "bucket.delete");
    assert_eq!(refused(engine, remove()).await.0, Refusal::NoSuchBucket);
    assert_eq!(engine.reads().bucket("b").unwrap(), None);
    // A new bucket under the old name has none of the old one's rows.
    done(engine, create_bucket(3, "b")).await;
    assert_eq!(engine.reads().bucket("b").unwrap().unwrap().id, bucket_id(3));
    let late = put(1, "k", version("e", vec![part(0, 0)]), WriteCondition::None);
    assert_eq!(refused(engine, late).await.0, Refusal::NoSuchBucket);
}

async fn a_put_replaces_and_frees_what_it_replaced(engine: &impl MetaEngine) {
    let first = done(engine, put(1, "k", version("e1", vec![part(0, 1)]), WriteCondition::None)).await;
    assert!(first.freed.is_empty());
    let row = engine.reads().current(bucket_id(1), "k").unwrap().unwrap();
    assert_eq!(
        (row.etag.as_str(), row.commit_index, Some(row.leaf_index)),
        ("e1", first.commit_index, first.leaf_index)
    );
    let second = done(engine, put(1, "k", version("e2", vec![part(0, 2)]), WriteCondition::None)).await;
    assert_eq!(second.freed, [run_of(1)]);
    let usage = engine.reads().bucket_usage("b").unwrap().unwrap();
    assert_eq!((usage.versions, usage.bytes, usage.uploads), (1, 100, 0));
    // A retry of the same write does not take its own bytes away.
    let retry = done(engine, put(1, "k", version("e2", vec![part(0, 2)]), WriteCondition::None)).await;
    assert!(retry.freed.is_empty());
    let gone = done(engine, delete(1, "k", WriteCondition::None)).await;
    assert_eq!((gone.outcome, gone.freed), (Outcome::Deleted { existed: true, marker: None }, vec![run_of(2)]));
    assert_eq!(engine.reads().current(bucket_id(1), "k").unwrap(), None);
    let again = done(engine, delete(1, "k", WriteCondition::None)).await;
    assert_eq!((again.outcome, again.leaf_index), (Outcome::Deleted { existed: false, marker: None }, None));
}

async fn of_two_racing_creations_one_holds(engine: &impl MetaEngine) {
    done(engine, put(1, "k", version("winner", vec![part(0, 1)]), WriteCondition::IfAbsent)).await;
    let loser = put(1, "k", version("loser", vec![part(0, 2)]), WriteCondition::IfAbsent);
    let (refusal, applied) = refused(engine, loser).await;
    assert_eq!(refusal, Refusal::PreconditionFailed);
    assert_eq!(applied.freed, [run_of(2)]);
    assert_eq!(engine.reads().current(bucket_id(1), "k").unwrap().unwrap().etag, "winner");
    let matching = WriteCondition::IfMatch("winner".to_owned());
    done(engine, put(1, "k", version("next", vec![part(0, 3)]), matching.clone())).await;
    assert_eq!(refused(engine, delete(1, "k", matching)).await.0, Refusal::PreconditionFailed);
    done(engine, delete(1, "k", WriteCondition::IfPresent)).await;
    assert_eq!(refused(engine, delete(1, "k", WriteCondition::IfPresent)).await.0, Refusal::NoSuchKey);
}

async fn refused_modifications_leave_a_leaf_only_on_existing_objects(engine: &impl MetaEngine) {
    let none = WriteCondition::IfMatch("x".to_owned());
    let before = engine.reads().journal_size();
    let (refusal, applied) = refused(engine, put(1, "k", version("e", vec![part(0, 0)]), none.clone())).await;
    assert_eq!((refusal, applied.leaf_index), (Refusal::NoSuchKey, None));
    let missing = Op::RecordRefusal {
        bucket: bucket_id(1),
        key: "k".to_owned(),
        attempted: Attempt::Delete,
        reason: "AccessDenied".to_owned(),
    };
    assert_eq!(done(engine, missing.clone()).await.leaf_index, None);
    assert_eq!(engine.reads().journal_size(), before);

    done(engine, put(1, "k", version("e", vec![part(0, 0)]), WriteCondition::None)).await;
    let (_, modify) = refused(engine, put(1, "k", version("f", vec![part(0, 0)]), none.clone())).await;
    let said = leaf(engine, &modify);
    assert_eq!(said.event.name(), "object.modify.refused");
    assert_eq!(said.target.version.as_deref(), Some("null"));
    assert_eq!(said.target.object, Some("06".repeat(32)));
    let (_, removal) = refused(engine, delete(1, "k", none)).await;
    assert_eq!(leaf(engine, &removal).event.name(), "delete.refused");
    let recorded = done(engine, missing).await;
    assert_eq!(leaf(engine, &recorded).outcome, chartrier_journal::Outcome::Refused("AccessDenied".to_owned()));
}

async fn a_write_that_is_refused_frees_its_stripes_unless_they_are_owned(engine: &impl MetaEngine) {
    done(engine, put(1, "k", version("e", vec![part(0, 1)]), WriteCondition::IfAbsent)).await;
    // The first answer was lost and the client's server proposed again.
    let (_, retry) = refused(engine, put(1, "k", version("e", vec![part(0, 1)]), WriteCondition::IfAbsent)).await;
    assert!(retry.freed.is_empty());
    let (refusal, orphan) = refused(engine, put_part(1, "k", 9, part(1, 5))).await;
    assert_eq!((refusal, orphan.freed), (Refusal::NoSuchUpload, vec![run_of(5)]));
}

async fn a_rewrap_keeps_the_data_and_wants_the_version_that_was_read(engine: &impl MetaEngine) {
    let stored = done(engine, put(1, "k", version("e", vec![part(0, 1)]), WriteCondition::None)).await;
    let rewrap = |expected: u64, run: u32| {
        let mut row = version("e", vec![part(0, run)]);
        row.sealed_metadata = vec![9; 20];
        Op::Rewrap {
            bucket: bucket_id(1),
            key: "k".to_owned(),
            expected_commit_index: expected,
            row,
            condition: WriteCondition::None,
            keep_tags: false,
        }
    };
    assert_eq!(refused(engine, rewrap(stored.commit_index + 7, 1)).await.0, Refusal::Superseded);
    assert_eq!(refused(engine, rewrap(stored.commit_index, 2)).await.0, Refusal::PartsChanged);
    let applied = done(engine, rewrap(stored.commit_index, 1)).await;
    assert!(applied.freed.is_empty());
    let said = leaf(engine, &applied);
    assert_eq!(said.event.name(), "metadata.change");
    assert_ne!(said.data["metadata_before"], said.data["metadata_after"]);
    assert_eq!(said.data["wrap_before"], said.data["wrap_after"]);
    assert_eq!(engine.reads().current(bucket_id(1), "k").unwrap().unwrap().sealed_metadata, vec![9; 20]);
    assert_eq!(refused(engine, rewrap(stored.commit_index, 1)).await.0, Refusal::Superseded);
    done(engine, delete(1, "k", WriteCondition::None)).await;
    assert_eq!(refused(engine, rewrap(applied.commit_index, 1)).await.0, Refusal::NoSuchKey);
}

async fn a_run_has_the_owner_that_names_it_and_none_after(engine: &impl MetaEngine) {
    let owner = |run: u32, stripe: u32| {
        let owned = engine.reads().run_owner(run_of(run).first.nth(stripe)).unwrap();
        owned.map(|owned| {
            assert_eq!((owned.first, owned.owner.count, owned.owner.bucket), (run_of(run).first, 3, bucket_id(1)));
            (owned.owner.key, owned.owner.place)
        })
    };
    let of_part = |number| Some(("k".to_owned(), OwnerPlace::Part { upload: upload_id(1), number }));
    let of_version = Some(("k".to_owned(), OwnerPlace::Version(VersionId::NULL)));
    let none = WriteCondition::None;
    done(engine, put(1, "k", version("old", vec![part(0, 9)]), none.clone())).await;
    done(engine, create_upload(1, "k", 1)).await;
    for (number, run) in [(1, 1), (2, 2), (3, 3)] {
        done(engine, put_part(1, "k", 1, part(number, run))).await;
    }
    done(engine, put_part(1, "k", 1, part(2, 4))).await;
    // A neighbour in the order of keys is not an owner, nor is a stripe past the end of a run.
    assert_eq!((owner(9, 2), owner(9, 3), owner(5, 0)), (of_version.clone(), None, None));
    assert_eq!((owner(1, 1), owner(2, 0), owner(4, 0)), (of_part(1), None, of_part(2)));
    done(engine, complete(1, "k", 1, vec![part(1, 1), part(2, 4)], none.clone())).await;
    assert_eq!((owner(1, 0), owner(4, 2)), (of_version.clone(), of_version.clone()));
    assert_eq!((owner(9, 0), owner(3, 0)), (None, None));
    done(engine, delete(1, "k", none.clone())).await;
    assert_eq!((owner(1, 0), owner(4, 0)), (None, None));
    // A late retry of a write gives its run an owner again.
    done(engine, put(1, "k", version("old", vec![part(0, 9)]), none)).await;
    assert_eq!(owner(9, 1), of_version);
}

async fn uploads_are_completed_with_the_parts_that_are_stored(engine: &impl MetaEngine) {
    done(engine, put(1, "k", version("old", vec![part(0, 9)]), WriteCondition::None)).await;
    done(engine, create_upload(1, "k", 1)).await;
    for (number, run) in [(1, 1), (2, 2), (10_000, 3)] {
        assert_eq!(done(engine, put_part(1, "k", 1, part(number, run))).await.leaf_index, None);
    }
    assert_eq!(done(engine, put_part(1, "k", 1, part(2, 4))).await.freed, [run_of(2)]);
    for number in [0, 10_001] {
        assert_eq!(refused(engine, put_part(1, "k", 1, part(number, 8))).await.0, Refusal::TooLarge);
    }
    let (parts, more) = engine.reads().parts(bucket_id(1), "k", upload_id(1), 1, 1).unwrap();
    assert_eq!((parts[0].number, more), (2, true));
    let none = WriteCondition::None;
    // The part that was read has been replaced since.
    let stale = complete(1, "k", 1, vec![part(1, 1), part(2, 2)], none.clone());
    assert_eq!(refused(engine, stale).await.0, Refusal::PartsChanged);
    let (refusal, losing) = refused(engine, complete(1, "k", 1, vec![part(1, 1)], WriteCondition::IfAbsent)).await;
    assert_eq!((refusal, losing.freed.len()), (Refusal::PreconditionFailed, 0));
    let applied = done(engine, complete(1, "k", 1, vec![part(1, 1), part(2, 4)], none.clone())).await;
    assert_eq!(applied.freed, [run_of(9), run_of(3)]);
    assert_eq!(leaf(engine, &applied).event.name(), "object.deposit");
    assert_eq!(engine.reads().upload(bucket_id(1), "k", upload_id(1)).unwrap(), None);
    assert_eq!(engine.reads().current(bucket_id(1), "k").unwrap().unwrap().parts.len(), 2);
    assert_eq!(refused(engine, complete(1, "k", 1, vec![part(1, 1)], none)).await.0, Refusal::NoSuchUpload);
    assert_eq!(refused(engine, abort(1, "k", 1)).await.0, Refusal::NoSuchUpload);
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

async fn users_and_keys_are_unique_and_root_stays(engine: &impl MetaEngine) {
    done(engine, user("root", "id-root", &["AK1"], true)).await;
    done(engine, user("ana", "owner", &["AK2"], false)).await;
    for taken in [
        user("ana", "id-3", &[], false),
        user("bob", "owner", &[], false),
        user("bob", "id-3", &["AK1"], false),
        user("bob", "id-3", &["AK3", "AK3"], false),
    ] {
        assert_eq!(refused(engine, taken).await.0, Refusal::UserExists);
    }
    let found = engine.reads().user_by_access_key("AK2").unwrap().unwrap();
    assert_eq!((found.0.name.as_str(), found.1.access_key_id.as_str()), ("ana", "AK2"));

    let add = |user: &str, id: &str| Op::AddAccessKey { user: user.to_owned(), key: access_key(id) };
    let take = |user: &str, id: &str| Op::RemoveAccessKey { user: user.to_owned(), access_key_id: id.to_owned() };
    let remove = |name: &str| Op::RemoveUser { name: name.to_owned() };
    assert_eq!(refused(engine, add("ana", "AK1")).await.0, Refusal::UserExists);
    assert_eq!(leaf(engine, &done(engine, add("ana", "AK4")).await).target.access_key.as_deref(), Some("AK4"));
    assert_eq!(engine.reads().user_by_access_key("AK4").unwrap().unwrap().0.access_keys.len(), 2);
    done(engine, take("ana", "AK2")).await;
    assert_eq!(engine.reads().user_by_access_key("AK2").unwrap(), None);
    assert_eq!(refused(engine, take("ana", "AK2")).await.0, Refusal::NoSuchAccessKey);
    assert_eq!(refused(engine, take("root", "AK1")).await.0, Refusal::UserInUse);
    let date = |user: &str, id: &str, disabled, expires_us| Op::SetAccessKey {
        user: user.to_owned(),
        access_key_id: id.to_owned(),
        disabled,
        expires_us,
    };
    assert_eq!(refused(engine, date("root", "AK1", true, None)).await.0, Refusal::UserInUse);
    assert_eq!(refused(engine, date("root", "AK1", false, Some(9))).await.0, Refusal::UserInUse);
    assert_eq!(refused(engine, date("ana", "AK1", true, None)).await.0, Refusal::NoSuchAccessKey);
    assert_eq!(leaf(engine, &done(engine, date("ana", "AK4", true, Some(9))).await).event.name(), "user.change");
    let key = engine.reads().user_by_access_key("AK4").unwrap().unwrap().1;
    assert_eq!((key.disabled, key.expires_us), (true, Some(9)));
    done(engine, set_document("ana", "", "one")).await;
    assert_eq!(refused(engine, set_document("ana", "", "two")).await.0, Refusal::Superseded);
    assert_eq!(refused(engine, set_document("nobody", "", "two")).await.0, Refusal::NoSuchUser);
    assert_eq!(engine.reads().user("ana").unwrap().unwrap().document, b"one");
    // An account with members stays.
    let Op::CreateUser(mut member) = user("member", "id-4", &[], false) else { panic!("it makes a user") };
    member.account = "owner".to_owned();
    done(engine, Op::CreateUser(member)).await;
    assert_eq!(refused(engine, remove("root")).await.0, Refusal::UserInUse);
    // She owns bucket `b`.
    assert_eq!(refused(engine, remove("ana")).await.0, Refusal::UserInUse);
    done(engine, Op::DeleteBucket { name: "b".to_owned() }).await;
    assert_eq!(refused(engine, remove("ana")).await.0, Refusal::UserInUse);
    done(engine, remove("member")).await;
    done(engine, remove("ana")).await;
    assert_eq!(refused(engine, remove("ana")).await.0, Refusal::NoSuchUser);
    assert_eq!(engine.reads().user_by_access_key("AK4").unwrap(), None);
    assert_eq!(engine.reads().users().unwrap().len(), 1);
}

async fn a_log_never_signs_two_trees(engine: &impl MetaEngine) {
    let signer = Signer::new(ORIGIN, &[7; 32]).unwrap();
    let mut tree = chartrier_journal::Frontier::new();
    let mut checkpoints = Vec::new();
    for index in 0..5_u8 {
        done(engine, put(1, "k", version(&index.to_string(), vec![part(0, 0)]), WriteCondition::None)).await;
    }
    for index in 0..engine.reads().journal_size() {
        tree.push(chartrier_journal::leaf_hash(&engine.reads().leaf(index).unwrap().unwrap()));
        checkpoints.push((tree.size(), tree.root()));
    }
    let sign = |size: u64, root: chartrier_journal::Hash| {
        let note = chartrier_journal::Checkpoint::new(ORIGIN, size, root).unwrap().sign(&signer).unwrap();
        Op::SignCheckpoint { size, root: root.to_bytes(), note }
    };
    let (size, root) = checkpoints[3];
    assert_eq!(done(engine, sign(size, root)).await.leaf_index, None);
    assert!(engine.reads().latest_checkpoint().unwrap().unwrap().starts_with(&format!("{ORIGIN}\n{size}\n")));
    let (older_size, older_root) = checkpoints[2];
    let wrong = [
        sign(older_size, older_root),
        sign(size, older_root),
        sign(size + 1, root),
        sign(size + 9, root),
        Op::SignCheckpoint { size, root: root.to_bytes(), note: "nonsense".to_owned() },
    ];
    for wrong in wrong {
        assert_eq!(refused(engine, wrong).await.0, Refusal::CheckpointRefused);
    }
    let (size, root) = *checkpoints.last().unwrap();
    done(engine, sign(size, root)).await;
    // The same tree again is not another tree.
    done(engine, sign(size, root)).await;
}

async fn leaves_say_what_happened_and_time_never_goes_back(engine: &impl MetaEngine) {
    let late = at(1_780_000_000_000_000, put(1, "k", version("e", vec![part(0, 1), part(1, 0)]), WriteCondition::None));
    let first = engine.propose(late).await.unwrap();
    let early = at(1_000, put(1, "k", version("f", vec![part(0, 0)]), WriteCondition::None));
    let second = engine.propose(early).await.unwrap();
    let (first, second) = (leaf(engine, &first), leaf(engine, &second));
    assert_eq!((first.time_us, second.time_us), (1_780_000_000_000_000, 1_780_000_000_000_000));
    assert_eq!((first.log.as_str(), first.tenant.as_str(), first.node.as_str()), (ORIGIN, "default", "n1"));
    assert_eq!(first.target.bucket, Some("01".repeat(16)));
    assert_eq!(first.data["parts"], 2_u64.into());
    assert_eq!(first.data["size"], 200_u64.into());
    assert_eq!(first.data["mode"], "O".into());
    assert_eq!(second.data["replaces_leaf"], first.seq.into());
    let digest = blake3::hash(&[1, 2, 3]).to_hex().to_string();
    assert_eq!(second.data["ciphertext_blake3"], digest.as_str().into());
}

async fn drives_come_and_go(engine: &impl MetaEngine) {
    let set = |table, layout| Op::SetDrives { table, layout };
    let leaving = DriveRole::Leaving(Then::Retire);
    // Nobody has a place before the first layout.
    assert_eq!(refused(engine, set(drives(1, 2, &[]), None)).await.0, Refusal::DrivesRefused);
    // The first table makes the installation, before its journal has a name.
    assert_eq!(done(engine, set(drives(1, 2, &[]), Some(layout(1, 2)))).await.leaf_index, None);
    done(engine, journal()).await;
    // A drive with places stays active; a layout names no other.
    assert_eq!(refused(engine, set(drives(2, 3, &[(2, leaving)]), None)).await.0, Refusal::DrivesRefused);
    assert_eq!(refused(engine, set(drives(2, 3, &[(2, leaving)]), Some(layout(3, 3)))).await.0, Refusal::LayoutRefused);
    assert_eq!(refused(engine, set(drives(2, 3, &[]), Some(layout(2, 3)))).await.0, Refusal::DrivesRefused);
    assert_eq!(
        refused(engine, set(drives(2, 3, &[(2, DriveRole::Retired)]), Some(layout(2, 3)))).await.0,
        Refusal::DrivesRefused
    );
    done(engine, set(drives(2, 3, &[(2, leaving)]), Some(layout(2, 3)))).await;
    // No way back while it leaves, nor from retirement.
    assert_eq!(refused(engine, set(drives(3, 3, &[(2, DriveRole::Active)]), None)).await.0, Refusal::DrivesRefused);
    let out = leaf(engine, &done(engine, set(drives(3, 3, &[(2, DriveRole::Retired)]), None)).await);
    assert_eq!((out.event.name(), &out.data["layout"]), ("storage.drives", &2_u64.into()));
    assert_eq!(refused(engine, set(drives(4, 3, &[(2, leaving)]), None)).await.0, Refusal::DrivesRefused);
    assert_eq!(engine.reads().drive_table().unwrap(), drives(3, 3, &[(2, DriveRole::Retired)]));
    // What a drive is good for is said once; one that is not there is not said of.
    assert_eq!(refused(engine, drive_health(9, 2, 1)).await.0, Refusal::DrivesRefused);
    assert_eq!(refused(engine, drive_health(3, 2, 300)).await.0, Refusal::TooLarge);
    let leaves = engine.reads().journal_size();
    done(engine, drive_health(3, 0, 0)).await;
    assert_eq!(engine.reads().journal_size(), leaves, "it was never seen to fail");
    for (health, was) in [(2, "online"), (1, "failed"), (0, "read-only")] {
        let said = leaf(engine, &done(engine, drive_health(3, health, 10)).await);
        assert_eq!((said.event.name(), &said.data["was"]), ("storage.drive-health", &was.into()));
        assert_eq!(done(engine, drive_health(3, health, 20)).await.leaf_index, None);
    }
    assert_eq!(engine.reads().journal_size(), leaves + 3);
    assert_eq!(engine.reads().layout().unwrap(), Some(layout(2, 3)));
}

async fn layouts_follow_one_another(engine: &impl MetaEngine) {
    assert_eq!(engine.reads().layout().unwrap(), None);
    assert_eq!(refused(engine, Op::SetLayout(layout(2, 3))).await.0, Refusal::LayoutRefused);
    done(engine, Op::SetLayout(layout(1, 3))).await;
    let mut twice = layout(2, 4);
    twice.groups[0][1] = twice.groups[0][0];
    assert_eq!(refused(engine, Op::SetLayout(twice)).await.0, Refusal::LayoutRefused);
    // Stripes name their group by number: a pool keeps its shape.
    let more_groups = Layout { groups: vec![layout(2, 4).groups[0].clone(); 2], ..layout(2, 4) };
    assert_eq!(refused(engine, Op::SetLayout(more_groups)).await.0, Refusal::LayoutRefused);
    let wider = Layout { k: 3, groups: vec![(0..4).map(|n| DriveId::from_bytes([n; 16])).collect()], ..layout(2, 4) };
    assert_eq!(refused(engine, Op::SetLayout(wider)).await.0, Refusal::LayoutRefused);
    done(engine, Op::SetLayout(layout(2, 4))).await;
    assert_eq!(engine.reads().layout().unwrap(), Some(layout(2, 4)));
    // Shards that a degraded write missed go with their object.
    let missing = vec![MissingShard { stripe: run_of(1).first.nth(2), shard_index: 5 }];
    let row = version("e", vec![part(0, 1)]);
    let put =
        Op::PutVersion { bucket: bucket_id(1), key: "k".to_owned(), row, condition: WriteCondition::None, missing };
    done(engine, put).await;
    done(engine, delete(1, "k", WriteCondition::None)).await;
}

async fn documents_of_a_bucket_are_kept_and_go_with_it(engine: &impl MetaEngine) {
    let read = |kind| engine.reads().bucket_config(bucket_id(1), kind).unwrap().map(|row| row.document);
    assert_eq!(read(Cors), None);
    // Nothing there to remove: nothing to record.
    assert_eq!(done(engine, configure(1, Cors, None)).await.leaf_index, None);
    let set = done(engine, configure(1, Cors, Some("one"))).await;
    done(engine, configure(1, Policy, Some(""))).await;
    assert_eq!((read(Cors), read(Policy), read(Lifecycle)), (Some(b"one".to_vec()), Some(Vec::new()), None));
    let row = engine.reads().bucket_config(bucket_id(1), Cors).unwrap().unwrap();
    assert_eq!((row.changed_us, row.commit_index), (1_770_000_000_000_000, set.commit_index));
    let replaced = leaf(engine, &done(engine, configure(1, Cors, Some("two"))).await);
    assert_eq!(replaced.event.name(), "bucket.config");
    assert_eq!(replaced.data["config"], "cors".into());
    assert_eq!(replaced.data["digest_before"], blake3::hash(b"one").to_hex().to_string().into());
    assert_eq!(replaced.data["digest_after"], blake3::hash(b"two").to_hex().to_string().into());
    let removed = leaf(engine, &done(engine, configure(1, Cors, None)).await);
    assert_eq!(removed.data["digest_after"], chartrier_journal::Json::Null);
    assert_eq!(read(Cors), None);

    assert_eq!(refused(engine, configure(2, Cors, Some("x"))).await.0, Refusal::NoSuchBucket);
    let long = "x".repeat(RequestPayment.document_bytes_max() + 1);
    assert_eq!(refused(engine, configure(1, RequestPayment, Some(&long))).await.0, Refusal::TooLarge);
    done(engine, configure(1, RequestPayment, Some(&long[1..]))).await;

    // A bucket made anew, even with the same id, has none of them.
    done(engine, Op::DeleteBucket { name: "b".to_owned() }).await;
    done(engine, create_bucket(1, "b")).await;
    assert_eq!((read(Policy), read(RequestPayment)), (None, None));
}
