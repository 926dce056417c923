//! Stories of event notification: what is told, in which order, and what a full queue loses.

use super::commands::*;
use super::stories::{done, propose, ready, refused};
use crate::ids::VersionId;
use crate::meta::{MetaEngine, MetaReads};
use crate::namespace::bucket_config::BucketConfigKind;
use crate::namespace::command::{Refusal, VersionChange, WriteCondition};
use crate::namespace::notification::{Cause, EventName, EventPlace, QUEUE_ROWS_MAX, REMOVED_ROWS_MAX};

pub(super) async fn run<E: MetaEngine>(make: &impl Fn() -> E) {
    a_change_is_told_by_the_rules_that_are_about_it(&ready(make).await).await;
    a_full_queue_loses_its_oldest_and_says_so(&ready(make).await).await;
    events_outlive_their_bucket_and_wait_for_their_target(&ready(make).await).await;
}

fn told(engine: &impl MetaEngine, target: &str) -> Vec<(EventName, String)> {
    let events = engine.reads().events(target, None, 100).unwrap();
    assert!(events.windows(2).all(|pair| pair[0].0 < pair[1].0));
    events.into_iter().map(|(_, row)| (row.event, row.key)).collect()
}

async fn a_change_is_told_by_the_rules_that_are_about_it(engine: &impl MetaEngine) {
    // Nobody is told what happened before.
    done(engine, put(1, "a/0", version("e", vec![part(0, 0)]), WriteCondition::None)).await;
    let rules =
        vec![rule("made", &["ObjectCreated:*"], "a/"), rule("gone", &["ObjectRemoved:*", "ObjectTagging:*"], "")];
    done(engine, notify(1, rules, true)).await;
    let put = |key: &'static str| put(1, key, version("e1", vec![part(0, 0)]), WriteCondition::None);
    let made = done(engine, put("a/1")).await;
    done(engine, put("b")).await;
    let copy = by(Cause::Copy, command(put("a/2")));
    assert_eq!(engine.propose(copy).await.unwrap().version_id, Some(VersionId::NULL));
    // What is refused, and what was not there, is no event.
    let (refusal, _) =
        refused(engine, super::commands::put(1, "a/1", version("e", vec![part(0, 0)]), WriteCondition::IfAbsent)).await;
    assert_eq!(refusal, Refusal::PreconditionFailed);
    done(engine, delete(1, "none", WriteCondition::None)).await;
    done(engine, change(1, "b", VersionId::NULL, VersionChange::Tags(vec![1; 30]))).await;
    done(engine, change(1, "b", VersionId::NULL, VersionChange::Tags(vec![]))).await;
    done(engine, delete(1, "b", WriteCondition::None)).await;

    let name = |event, key: &str| (event, key.to_owned());
    let expected = [name(EventName::Test, ""), name(EventName::CreatedPut, "a/1"), name(EventName::CreatedCopy, "a/2")];
    assert_eq!(told(engine, "made"), expected);
    let expected = [
        name(EventName::Test, ""),
        name(EventName::TaggingPut, "b"),
        name(EventName::TaggingDelete, "b"),
        name(EventName::RemovedDelete, "b"),
    ];
    assert_eq!(told(engine, "gone"), expected);
    let (place, row) = engine.reads().events("made", None, 9).unwrap().remove(1);
    assert_eq!(place, EventPlace { index: made.commit_index, number: 0 });
    assert_eq!((row.size_bytes, row.etag.as_deref(), row.version_id), (Some(100), Some("e1"), None));
    assert_eq!((row.bucket.as_str(), row.rule_id.as_str(), row.request_id.as_str()), ("b", "rule-made", "REQ"));

    // Without rules nothing is told, and what waits still waits.
    done(engine, notify(1, vec![], true)).await;
    done(engine, put("a/3")).await;
    assert_eq!(told(engine, "made").len(), 3);
    assert_eq!(refused(engine, configure(1, BucketConfigKind::Notification, Some("x"))).await.0, Refusal::TooLarge);
    assert_eq!(
        refused(engine, notify(1, vec![rule("a/b", &["ObjectCreated:*"], "")], false)).await.0,
        Refusal::TooLarge
    );
}

async fn a_full_queue_loses_its_oldest_and_says_so(engine: &impl MetaEngine) {
    done(engine, notify(1, vec![rule("t", &["ObjectCreated:*"], "")], false)).await;
    for n in 0..QUEUE_ROWS_MAX + 2 {
        done(engine, put(1, &format!("k{n}"), version("e", vec![part(0, 0)]), WriteCondition::None)).await;
    }
    let events = told(engine, "t");
    assert_eq!((events.len() as u64, events[0].1.as_str()), (QUEUE_ROWS_MAX, "k2"));
    let queue = engine.reads().event_queues().unwrap().remove(0);
    assert_eq!((queue.target.as_str(), queue.rows, queue.dropped), ("t", QUEUE_ROWS_MAX, 2));
    assert!(queue.bytes > 0);

    // One command takes out so many and no more; what was told is not lost.
    done(engine, remove_events("t", u64::MAX, 0, false)).await;
    let left = QUEUE_ROWS_MAX - REMOVED_ROWS_MAX as u64;
    let queue = engine.reads().event_queues().unwrap().remove(0);
    assert_eq!((queue.rows, queue.dropped), (left, 2));
    let first = engine.reads().events("t", None, 1).unwrap()[0].0;
    done(engine, remove_events("t", first.index, first.number, true)).await;
    // The same again takes nothing.
    done(engine, remove_events("t", first.index, first.number, true)).await;
    done(engine, remove_events("nobody", u64::MAX, 0, true)).await;
    let queue = engine.reads().event_queues().unwrap().remove(0);
    assert_eq!((queue.rows, queue.dropped), (left - 1, 3));
}

async fn events_outlive_their_bucket_and_wait_for_their_target(engine: &impl MetaEngine) {
    done(engine, notify(1, vec![rule("t", &["ObjectRemoved:*"], "")], false)).await;
    done(engine, put(1, "k", version("e", vec![part(0, 0)]), WriteCondition::None)).await;
    done(engine, delete(1, "k", WriteCondition::None)).await;
    done(engine, crate::namespace::command::Op::DeleteBucket { name: "b".to_owned() }).await;
    assert_eq!(told(engine, "t"), [(EventName::RemovedDelete, "k".to_owned())]);
    // A bucket of that name made later tells nothing.
    propose(engine, create_bucket(2, "b")).await;
    done(engine, put(2, "k", version("e", vec![part(0, 0)]), WriteCondition::None)).await;
    done(engine, delete(2, "k", WriteCondition::None)).await;
    assert_eq!(told(engine, "t").len(), 1);
}
