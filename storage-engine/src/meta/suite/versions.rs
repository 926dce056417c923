//! The stories of versioning and object lock.

use super::commands::*;
use super::stories::{done, leaf, propose, ready, refused};
use crate::ids::VersionId;
use crate::meta::{MetaEngine, MetaReads};
use crate::namespace::command::{Op, Outcome, Refusal, VersionChange, WriteCondition};
use crate::namespace::lock::{DefaultRetention, Retention, RetentionMode, RetentionPeriod, Versioning};
use crate::namespace::query::{ListQuery, VersionEntry, VersionFrom, VersionQuery};

pub(super) async fn run<E: MetaEngine>(make: &impl Fn() -> E) {
    versions_pile_up_and_the_one_before_becomes_current(&ready(make).await).await;
    suspended_buckets_replace_the_null_version(&ready(make).await).await;
    markers_hide_and_conditions_see_nothing_there(&ready(make).await).await;
    pages_of_versions_survive_the_removal_of_their_marker(&ready(make).await).await;
    locks_hold_whatever_the_clock_says(&ready(make).await).await;
    changes_name_the_version_they_were_read_from(&ready(make).await).await;
}

fn versioning(bucket: u8, versioning: Versioning) -> Op {
    Op::SetVersioning { bucket: bucket_id(bucket), versioning }
}

async fn store(engine: &impl MetaEngine, key: &str, etag: &str, run: u32) -> VersionId {
    let applied = done(engine, put(1, key, version(etag, vec![part(0, run)]), WriteCondition::None)).await;
    applied.version_id.expect("a PUT makes a version")
}

fn current(engine: &impl MetaEngine, key: &str) -> Option<String> {
    let row = engine.reads().current(bucket_id(1), key).unwrap();
    row.map(|row| if row.delete_marker { "marker".to_owned() } else { row.etag })
}

/// Key, ETag or `marker`, whether it is the latest.
fn listed(engine: &impl MetaEngine, after: Option<VersionFrom>, limit: usize) -> (Vec<String>, Option<VersionFrom>) {
    let query = VersionQuery { bucket: bucket_id(1), prefix: String::new(), delimiter: None, after, limit };
    let page = engine.reads().list_versions(&query).unwrap();
    let lines = page.entries.into_iter().map(|entry| match entry {
        VersionEntry::Version { key, is_latest, summary } => {
            let what = if summary.delete_marker { "marker" } else { &summary.etag };
            format!("{key} {what}{}", if is_latest { " latest" } else { "" })
        }
        VersionEntry::Prefix(prefix) => prefix,
    });
    (lines.collect(), page.next)
}

async fn versions_pile_up_and_the_one_before_becomes_current(engine: &impl MetaEngine) {
    let null = store(engine, "k", "null", 1).await;
    assert_eq!(null, VersionId::NULL);
    let said = done(engine, versioning(1, Versioning::Enabled)).await;
    assert_eq!(leaf(engine, &said).event.name(), "bucket.versioning");
    assert_eq!(done(engine, versioning(1, Versioning::Enabled)).await.leaf_index, None);
    let two = store(engine, "k", "two", 2).await;
    let three = store(engine, "k", "three", 3).await;
    assert!(two < three && two.commit_index().is_some());
    assert_eq!(listed(engine, None, 9).0, ["k three latest", "k two", "k null"]);
    // Nothing was freed: the old ones are there.
    assert_eq!(engine.reads().bucket_usage("b").unwrap().unwrap().versions, 3);
    assert_eq!(engine.reads().version(bucket_id(1), "k", null).unwrap().unwrap().etag, "null");

    assert_eq!(done(engine, destroy(1, "k", two, false)).await.freed, [run_of(2)]);
    assert_eq!(current(engine, "k").unwrap(), "three");
    let gone = done(engine, destroy(1, "k", three, false)).await;
    assert_eq!(gone.outcome, Outcome::Deleted { existed: true, marker: None });
    assert_eq!(current(engine, "k").unwrap(), "null");
    assert_eq!(listed(engine, None, 9).0, ["k null latest"]);
    let again = done(engine, destroy(1, "k", three, false)).await;
    assert_eq!(again.outcome, Outcome::Deleted { existed: false, marker: None });
    assert_eq!(refused(engine, Op::DeleteBucket { name: "b".to_owned() }).await.0, Refusal::BucketNotEmpty);
    done(engine, destroy(1, "k", null, false)).await;
    assert_eq!(current(engine, "k"), None);
    // A write that is proposed again after its version was made does not own its bytes twice.
    store(engine, "k", "four", 4).await;
    let (refusal, applied) =
        refused(engine, put(1, "k", version("four", vec![part(0, 4)]), WriteCondition::None)).await;
    assert_eq!((refusal, applied.freed), (Refusal::Superseded, vec![]));
}

async fn suspended_buckets_replace_the_null_version(engine: &impl MetaEngine) {
    store(engine, "k", "null-1", 1).await;
    done(engine, versioning(1, Versioning::Enabled)).await;
    let kept = store(engine, "k", "kept", 2).await;
    done(engine, versioning(1, Versioning::Suspended)).await;
    assert_eq!(refused(engine, versioning(1, Versioning::Unversioned)).await.0, Refusal::InvalidBucketState);
    // The null version was not current, and comes back as the current one.
    let applied = done(engine, put(1, "k", version("null-2", vec![part(0, 3)]), WriteCondition::None)).await;
    assert_eq!((applied.freed, applied.version_id), (vec![run_of(1)], Some(VersionId::NULL)));
    assert_eq!(listed(engine, None, 9).0, ["k null-2 latest", "k kept"]);
    // A simple delete replaces it by a null marker.
    let applied = done(engine, delete(1, "k", WriteCondition::None)).await;
    assert_eq!(applied.freed, [run_of(3)]);
    assert_eq!(applied.outcome, Outcome::Deleted { existed: true, marker: Some(VersionId::NULL) });
    assert_eq!(listed(engine, None, 9).0, ["k marker latest", "k kept"]);
    let applied = done(engine, delete(1, "k", WriteCondition::None)).await;
    assert_eq!(applied.outcome, Outcome::Deleted { existed: false, marker: Some(VersionId::NULL) });
    assert_eq!(engine.reads().bucket_usage("b").unwrap().unwrap().versions, 2);
    done(engine, destroy(1, "k", VersionId::NULL, false)).await;
    assert_eq!(current(engine, "k").unwrap(), "kept");
    done(engine, destroy(1, "k", kept, false)).await;
    done(engine, Op::DeleteBucket { name: "b".to_owned() }).await;
}

async fn markers_hide_and_conditions_see_nothing_there(engine: &impl MetaEngine) {
    done(engine, versioning(1, Versioning::Enabled)).await;
    let no_marker =
        Op::DeleteObject { bucket: bucket_id(1), key: "a/1".to_owned(), marker: None, condition: WriteCondition::None };
    assert_eq!(refused(engine, no_marker).await.0, Refusal::VersioningChanged);
    store(engine, "a/1", "one", 0).await;
    store(engine, "b", "b", 0).await;
    let hidden = done(engine, delete(1, "a/1", WriteCondition::IfMatch("one".to_owned()))).await;
    assert_eq!(leaf(engine, &hidden).event.name(), "object.marker");
    let Outcome::Deleted { marker: Some(marker), .. } = hidden.outcome else { panic!("{hidden:?}") };
    let list = |delimiter: Option<&str>| {
        let delimiter = delimiter.map(str::to_owned);
        let query = ListQuery { bucket: bucket_id(1), prefix: String::new(), delimiter, after: None, limit: 1 };
        let page = engine.reads().list_objects(&query).unwrap();
        (page.entries.len(), page.next)
    };
    // Neither the key nor its prefix shows, and a page that holds all the rest is the last.
    assert_eq!(list(None), (1, None));
    assert_eq!(list(Some("/")), (1, None));
    assert_eq!(refused(engine, delete(1, "a/1", WriteCondition::IfPresent)).await.0, Refusal::NoSuchKey);
    done(engine, put(1, "a/1", version("again", vec![part(0, 0)]), WriteCondition::IfAbsent)).await;
    // A marker of a key that never was.
    let phantom = done(engine, delete(1, "c", WriteCondition::None)).await;
    assert!(matches!(phantom.outcome, Outcome::Deleted { existed: false, marker: Some(_) }));
    let removed = done(engine, destroy(1, "a/1", marker, false)).await;
    assert_eq!(removed.outcome, Outcome::Deleted { existed: true, marker: Some(marker) });
    assert_eq!(listed(engine, None, 9).0, ["a/1 again latest", "a/1 one", "b b latest", "c marker latest"]);
    let hold = change(1, "c", phantom_id(&phantom.outcome), VersionChange::Tags(vec![1]));
    assert_eq!(refused(engine, hold).await.0, Refusal::IsDeleteMarker);
}

fn phantom_id(outcome: &Outcome) -> VersionId {
    match outcome {
        Outcome::Deleted { marker: Some(marker), .. } => *marker,
        other => panic!("no marker was made: {other:?}"),
    }
}

async fn pages_of_versions_survive_the_removal_of_their_marker(engine: &impl MetaEngine) {
    store(engine, "k", "0", 0).await;
    done(engine, versioning(1, Versioning::Enabled)).await;
    for etag in 1..8 {
        store(engine, "k", &etag.to_string(), 0).await;
    }
    store(engine, "l", "l", 0).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let (lines, next) = listed(engine, after, 3);
        seen.extend(lines);
        after = next;
        match &after {
            // As who empties a bucket page by page.
            Some(VersionFrom::AfterVersion(key, id)) => done(engine, destroy(1, key, *id, false)).await,
            _ => break,
        };
    }
    let order = ["k 7 latest", "k 6", "k 5", "k 4", "k 3", "k 2", "k 1", "k 0", "l l latest"];
    assert_eq!(seen, order);
    assert_eq!(listed(engine, None, 1).0, ["k 7 latest"]);
    let from = Some(VersionFrom::AfterKey("k".to_owned()));
    assert_eq!(listed(engine, from, 9).0, ["l l latest"]);
}

async fn locks_hold_whatever_the_clock_says(engine: &impl MetaEngine) {
    use RetentionMode::{Compliance, Governance};
    const NOW: u64 = 1_770_000_000_000_000;
    const DAY: u64 = 86_400_000_000;
    let set_lock = |default_retention| Op::SetObjectLock { bucket: bucket_id(1), default_retention };
    assert_eq!(refused(engine, set_lock(None)).await.0, Refusal::InvalidBucketState);
    let mut row = version("e", vec![part(0, 0)]);
    row.legal_hold = Some(false);
    assert_eq!(refused(engine, put(1, "k", row, WriteCondition::None)).await.0, Refusal::NoObjectLock);
    done(engine, versioning(1, Versioning::Enabled)).await;
    done(engine, set_lock(Some(DefaultRetention { mode: Compliance, period: RetentionPeriod::Days(1) }))).await;
    assert_eq!(refused(engine, versioning(1, Versioning::Suspended)).await.0, Refusal::InvalidBucketState);

    let held = store(engine, "k", "held", 1).await;
    // The clock goes back a year: what is made now is held as long as if it had not.
    let early = at(NOW - 365 * DAY, put(1, "l", version("early", vec![part(0, 2)]), WriteCondition::None));
    engine.propose(early).await.unwrap();
    let row = engine.reads().current(bucket_id(1), "l").unwrap().unwrap();
    assert_eq!(row.retention, Some(Retention { mode: Compliance, until_us: NOW + DAY }));

    for (time_us, bypass, frees) in [(NOW, true, false), (NOW + DAY - 1, true, false), (NOW - DAY, true, false)] {
        let applied = engine.propose(at(time_us, destroy(1, "k", held, bypass))).await.unwrap();
        assert_eq!(applied.outcome == Outcome::Refused(Refusal::Locked), !frees, "at {time_us}");
        assert_eq!(leaf(engine, &applied).event.name(), "delete.refused");
    }
    // A simple delete only hides.
    done(engine, delete(1, "k", WriteCondition::None)).await;
    let retention = |mode, until_us, bypass_governance| {
        let retention = Some(Retention { mode, until_us });
        change(1, "k", held, VersionChange::Retention { retention, bypass_governance })
    };
    let (refusal, applied) = refused(engine, retention(Governance, NOW + 9 * DAY, true)).await;
    assert_eq!((refusal, leaf(engine, &applied).event.name()), (Refusal::Locked, "retention.refused"));
    let longer = done(engine, retention(Compliance, NOW + 2 * DAY, false)).await;
    assert_eq!(leaf(engine, &longer).data["lock_mode"], "COMPLIANCE".into());
    let hold = |on| change(1, "k", held, VersionChange::LegalHold(on));
    assert_eq!(leaf(engine, &done(engine, hold(true)).await).event.name(), "hold.place");
    // Past its retention the hold still protects it.
    let late = engine.propose(at(NOW + 2 * DAY, destroy(1, "k", held, true))).await.unwrap();
    assert_eq!(late.outcome, Outcome::Refused(Refusal::Locked));
    assert_eq!(leaf(engine, &done(engine, hold(false)).await).event.name(), "hold.release");
    assert_eq!(propose(engine, destroy(1, "k", held, true)).await.outcome, Outcome::Refused(Refusal::Locked));
    let late = engine.propose(at(NOW + 2 * DAY, destroy(1, "k", held, false))).await.unwrap();
    assert_eq!(late.freed, [run_of(1)]);
}

async fn changes_name_the_version_they_were_read_from(engine: &impl MetaEngine) {
    let id = store(engine, "k", "e", 1).await;
    let before = engine.reads().current(bucket_id(1), "k").unwrap().unwrap();
    let tags = |wrap_version| Op::ChangeVersion {
        bucket: bucket_id(1),
        key: "k".to_owned(),
        version_id: id,
        wrap_version,
        change: VersionChange::Tags(vec![1, 2]),
    };
    assert_eq!(refused(engine, tags(VersionId::NULL)).await.0, Refusal::Superseded);
    let applied = done(engine, tags(DRAWN)).await;
    assert_eq!(leaf(engine, &applied).event.name(), "metadata.change");
    let after = engine.reads().current(bucket_id(1), "k").unwrap().unwrap();
    assert_eq!(after.commit_index, before.commit_index);
    // A rewrap of what was read before keeps the tags, if it says so, and drops them if not.
    for keep_tags in [true, false] {
        let read = engine.reads().current(bucket_id(1), "k").unwrap().unwrap();
        let rewrap = Op::Rewrap {
            bucket: bucket_id(1),
            key: "k".to_owned(),
            expected_commit_index: read.commit_index,
            row: Box::new(before.clone()),
            condition: WriteCondition::None,
            keep_tags,
        };
        done(engine, rewrap).await;
        let row = engine.reads().current(bucket_id(1), "k").unwrap().unwrap();
        assert_eq!(row.sealed_tags.is_empty(), !keep_tags);
    }
    assert_eq!(refused(engine, change(1, "k", id, VersionChange::LegalHold(true))).await.0, Refusal::NoObjectLock);
    assert_eq!(refused(engine, change(1, "l", id, VersionChange::Tags(vec![]))).await.0, Refusal::NoSuchVersion);
}
