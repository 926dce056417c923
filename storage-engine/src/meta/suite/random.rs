//! Random commands on the state machine and on the model: the same answers, the same rows, the same
//! leaves, whatever the batches and wherever a crash falls.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::model::Model;
use super::commands::*;
use super::same::{same_journal, same_rows};
use crate::ids::VersionId;
use crate::namespace::bucket_config::BucketConfigKind;
use crate::namespace::command::{Attempt, Command, MissingShard, Op, VersionChange, WriteCondition};
use crate::namespace::drives::{DriveRole, Then};
use crate::namespace::lock::{DefaultRetention, Retention, RetentionMode, RetentionPeriod, Versioning};
use crate::namespace::notification::{Cause, NotificationRule};
use crate::namespace::rows::{AccountQuota, BucketRow};
use crate::state::StateMachine;
use crate::state::kv::MemoryKv;

/// The keys of all commands.
pub(super) const KEYS: [&str; 7] = ["a", "a/", "a/b", "a/b/c", "a\u{0}", "é/1", "é/2"];

/// What happens to the state machine; the model sees the commands only.
#[derive(Debug, Clone)]
enum Event {
    Command(Box<Command>),
    /// Ends the batch: what was given so far is applied.
    Apply,
    Flush,
    /// Loses what was not flushed; the log gives it again.
    Crash,
}

fn key() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&KEYS[..])
}

fn etag() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["e1", "e2", "multi-2"]).prop_map(str::to_owned)
}

fn condition() -> impl Strategy<Value = WriteCondition> {
    prop_oneof![
        4 => Just(WriteCondition::None),
        1 => Just(WriteCondition::IfAbsent),
        1 => Just(WriteCondition::IfPresent),
        2 => etag().prop_map(WriteCondition::IfMatch),
        1 => etag().prop_map(WriteCondition::IfNotMatch),
        1 => (proptest::option::of(etag()), proptest::option::of(0..2_u64), proptest::option::of(100..102_u64)).prop_map(
            |(etag, modified_s, size_bytes)| WriteCondition::IfIs { etag, modified_s, size_bytes }
        ),
    ]
}

/// The null version, or one that an entry may have made.
fn version_id() -> impl Strategy<Value = VersionId> {
    prop_oneof![1 => Just(VersionId::NULL), 2 => (1..120_u64).prop_map(|index| VersionId::of_commit(index, DRAWN))]
}

fn retention() -> impl Strategy<Value = Option<Retention>> {
    let mode = proptest::sample::select(vec![RetentionMode::Governance, RetentionMode::Compliance]);
    proptest::option::of((mode, 0..1_500_u64).prop_map(|(mode, until_us)| Retention { mode, until_us }))
}

fn change() -> impl Strategy<Value = VersionChange> {
    prop_oneof![
        any::<u8>().prop_map(|byte| VersionChange::Tags(vec![byte; 9])),
        any::<u8>().prop_map(|byte| VersionChange::Acl(vec![byte; 9])),
        any::<bool>().prop_map(VersionChange::LegalHold),
        (retention(), any::<bool>())
            .prop_map(|(retention, bypass_governance)| VersionChange::Retention { retention, bypass_governance }),
    ]
}

fn default_retention() -> impl Strategy<Value = Option<DefaultRetention>> {
    let mode = RetentionMode::Governance;
    proptest::sample::select(vec![
        None,
        Some(DefaultRetention { mode, period: RetentionPeriod::Days(1) }),
        Some(DefaultRetention { mode, period: RetentionPeriod::Years(1) }),
    ])
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    // Inline, or a run drawn from so large a set that no two writes share one. A write of run 1 is
    // one that may be proposed again, as by a retry: it has one run for each key.
    let run = prop_oneof![3 => Just(0_u32), 6 => 1_000_u32..u32::MAX];
    let retried = prop_oneof![8 => run.clone(), 2 => Just(1_u32)];
    let bucket = 1..4_u8;
    let shard = (0..4_u32, 0..6_u8);
    prop_oneof![
        1 => (bucket.clone(), 1..4_u8).prop_map(|(id, name)| create_bucket(id, &format!("bucket-{name}"))),
        1 => (bucket.clone(), 1..4_u8).prop_map(|(id, name)| {
            let Op::CreateBucket(row) = create_bucket(id, &format!("bucket-{name}")) else { unreachable!() };
            Op::CreateBucket(BucketRow { owner: "other".to_owned(), region: "eu".to_owned(), ..row })
        }),
        1 => (bucket.clone(), 1..4_u8, default_retention()).prop_map(|(id, name, default)| {
            create_locked_bucket(id, &format!("bucket-{name}"), default)
        }),
        3 => (bucket.clone(), any::<bool>()).prop_map(|(bucket, enabled)| Op::SetVersioning {
            bucket: bucket_id(bucket),
            versioning: if enabled { Versioning::Enabled } else { Versioning::Suspended },
        }),
        1 => (bucket.clone(), default_retention()).prop_map(|(bucket, default_retention)| Op::SetObjectLock {
            bucket: bucket_id(bucket),
            default_retention,
        }),
        4 => (bucket.clone(), key(), version_id(), change())
            .prop_map(|(bucket, key, version_id, to)| super::commands::change(bucket, key, version_id, to)),
        3 => (bucket.clone(), key(), any::<bool>(), condition()).prop_map(
            |(bucket, key, with_marker, condition)| Op::DeleteObject {
                bucket: bucket_id(bucket),
                key: key.to_owned(),
                marker: marker().filter(|_| with_marker),
                condition,
            }
        ),
        1 => (1..4_u8).prop_map(|name| Op::DeleteBucket { name: format!("bucket-{name}") }),
        8 => (bucket.clone(), key(), etag(), retried, condition(), retention(), shard).prop_map(
            |(bucket, key, etag, run, condition, retention, (stripe, shard_index))| {
                let run = if run == 1 { run_of_place(bucket, key) } else { run };
                let mut row = version(&etag, vec![part(0, run)]);
                // One in four asks for a lock, which most buckets do not have.
                row.retention = retention.filter(|_| run % 4 == 3);
                row.legal_hold = (run % 16 == 3).then_some(true);
                let missing = blob(run).stripes().map(|run| run.first.nth(stripe));
                let missing = missing.map(|stripe| MissingShard { stripe, shard_index }).into_iter().collect();
                Op::PutVersion { bucket: bucket_id(bucket), key: key.to_owned(), row, condition, missing }
            }
        ),
        2 => (bucket.clone(), key(), etag(), 1..60_u64, condition(), any::<bool>()).prop_map(
            |(bucket, key, etag, expected_commit_index, condition, keep_tags)| Op::Rewrap {
                bucket: bucket_id(bucket),
                key: key.to_owned(),
                expected_commit_index,
                row: version(&etag, vec![part(0, 0)]),
                condition,
                keep_tags,
            }
        ),
        5 => (bucket.clone(), key(), version_id(), condition(), any::<bool>()).prop_map(
            |(bucket, key, version_id, condition, bypass_governance)| Op::DeleteVersion {
                bucket: bucket_id(bucket),
                key: key.to_owned(),
                version_id,
                condition,
                bypass_governance,
            }
        ),
        2 => (bucket.clone(), key(), 1..4_u8).prop_map(|(bucket, key, id)| create_upload(bucket, key, id)),
        4 => (bucket.clone(), key(), 1..4_u8, 0..4_u16, run.clone()).prop_map(
            |(bucket, key, id, number, run)| put_part(bucket, key, id, part(number, run))
        ),
        2 => (bucket.clone(), key(), 1..4_u8, proptest::collection::btree_set(1..4_u16, 0..3), condition()).prop_map(
            |(bucket, key, id, numbers, condition)| {
                let parts = numbers.into_iter().map(|number| part(number, 0)).collect();
                complete(bucket, key, id, parts, condition)
            }
        ),
        1 => (bucket.clone(), key(), 1..4_u8).prop_map(|(bucket, key, id)| abort(bucket, key, id)),
        1 => (bucket, key(), any::<bool>()).prop_map(|(bucket, key, write)| Op::RecordRefusal {
            bucket: bucket_id(bucket),
            key: key.to_owned(),
            attempted: if write { Attempt::Modify } else { Attempt::Delete },
            reason: "AccessDenied".to_owned(),
        }),
        1 => (1..4_u8, 1..4_u8, any::<bool>()).prop_map(|(name, id, root)| {
            user(&format!("user-{name}"), if id == 1 { "owner" } else { "other" }, &[&format!("AK{id}")], root)
        }),
        1 => (1..4_u8, 3..6_u8).prop_map(|(name, id)| {
            member(&format!("user-{name}"), &format!("member-{id}"), &[&format!("AK{id}")], "owner")
        }),
        1 => (1..4_u8, 1..5_u8, proptest::sample::select(vec!["", "a", "b"]), proptest::sample::select(vec!["a", "b"]))
            .prop_map(|(name, to, before, after)| {
                rename(&format!("user-{name}"), &format!("user-{to}"), before, after)
            }),
        1 => (1..4_u8).prop_map(|name| Op::RemoveUser { name: format!("user-{name}") }),
        1 => (1..4_u8, 1..6_u8).prop_map(|(name, id)| Op::AddAccessKey {
            user: format!("user-{name}"),
            key: access_key(&format!("AK{id}")),
        }),
        1 => (1..4_u8, 1..6_u8).prop_map(|(name, id)| Op::RemoveAccessKey {
            user: format!("user-{name}"),
            access_key_id: format!("AK{id}"),
        }),
        1 => (1..4_u8, proptest::sample::select(vec!["", "a", "b"]), proptest::sample::select(vec!["a", "b"]))
            .prop_map(|(name, before, after)| set_document(&format!("user-{name}"), before, after)),
        1 => (1..4_u8, 1..6_u8, any::<bool>(), proptest::option::of(5..9_u64))
            .prop_map(|(name, id, disabled, expires_us)| Op::SetAccessKey {
                user: format!("user-{name}"),
                access_key_id: format!("AK{id}"),
                disabled,
                expires_us,
            }),
        1 => (1..4_u8, proptest::option::of(0..600_u64), proptest::option::of(0..6_u64)).prop_map(
            |(name, max_bytes, max_versions)| Op::SetAccountQuota {
                user: format!("user-{name}"),
                quota: AccountQuota { max_bytes, max_versions },
            }
        ),
        2 => (1..4_u8, config_kind(), proptest::option::of(proptest::sample::select(vec!["", "<a/>", "<b/>"])))
            .prop_map(|(bucket, kind, document)| configure(bucket, kind, document)),
        2 => (1..4_u8, proptest::collection::vec(notification_rule(), 0..3), any::<bool>())
            .prop_map(|(bucket, rules, test_events)| notify(bucket, rules, test_events)),
        2 => (target(), 1..120_u64, 0..3_u16, any::<bool>())
            .prop_map(|(target, index, number, discard)| remove_events(target, index, number, discard)),
        3 => (1..4_u8, key(), proptest::collection::vec((0..4_u32, 0..6_u8), 0..3))
            .prop_map(|(bucket, key, shards)| repair(&run_of(run_of_place(bucket, key)), &shards)),
        // Writes of small runs: one for each key, so that some are done again, be it packed or gone by then.
        8 => (bucket_and_key(), etag(), condition(), 0..6_u8).prop_map(|((bucket, key), etag, condition, shard_index)| {
            let run = run_of_place(bucket, key);
            let row = version(&etag, vec![small_part(0, run)]);
            let missing = vec![MissingShard { stripe: copies(run).first, shard_index }];
            Op::PutVersion { bucket: bucket_id(bucket), key: key.to_owned(), row, condition, missing }
        }),
        6 => (1..6_u32, proptest::collection::vec((bucket_and_key(), proptest::option::weighted(0.4, 1..6_u32)), 0..8))
            .prop_map(|(number, members)| {
                let members: Vec<_> =
                    members.into_iter().map(|((bucket, key), from)| (run_of_place(bucket, key), from)).collect();
                pack(number, &members)
            }),
        1 => (1..6_u32, 0..6_u8).prop_map(|(number, shard)| repair(&pack_run(number), &[(0, shard)])),
        1 => (bucket_and_key(), 0..3_u8)
            .prop_map(|((bucket, key), shard)| repair(&copies(run_of_place(bucket, key)), &[(0, shard)])),
        1 => (0..300_usize, any::<bool>()).prop_map(|(place, drive)| corruption(place, drive)),
        1 => (0..4_u8, 0..3_u64).prop_map(|(drive, time)| scrub_pass(drive, time)),
        2 => (1..7_u8, 0..3_u8, 0..300_usize).prop_map(|(drive, health, reason)| drive_health(drive, health, reason)),
        1 => (1..4_u32, 2..5_u8).prop_map(|(version, from)| Op::SetLayout(layout(version, from))),
        1 => (1..4_u32, 2..5_u8, 1..4_u32, any::<bool>(), drive_role()).prop_map(|(version, from, next, moves, role)| {
            Op::SetDrives {
                table: drives(version, from, &[(2, role), (3, role), (4, role)][..usize::from(from - 2)]),
                layout: moves.then(|| layout(next, from)),
            }
        }),
    ]
}

fn target() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["t", "t.2", "tt"])
}

fn notification_rule() -> impl Strategy<Value = NotificationRule> {
    let events = proptest::sample::select(vec![
        &["ObjectCreated:*", "ObjectRemoved:*"][..],
        &["ObjectCreated:Put", "ObjectCreated:Copy", "ObjectTagging:*"],
        &["ObjectRemoved:DeleteMarkerCreated", "LifecycleExpiration:*", "ObjectAcl:Put"],
    ]);
    let suffix = proptest::option::of(proptest::sample::select(vec!["b", "/1"]));
    (target(), events, proptest::sample::select(vec!["", "a", "a/"]), suffix).prop_map(
        |(target, events, prefix, suffix)| NotificationRule {
            suffix: suffix.map(str::to_owned),
            ..rule(target, events, prefix)
        },
    )
}

fn cause() -> impl Strategy<Value = Option<Cause>> {
    proptest::option::of(proptest::sample::select(vec![Cause::Request, Cause::Form, Cause::Copy, Cause::Lifecycle]))
}

fn drive_role() -> impl Strategy<Value = DriveRole> {
    prop_oneof![
        Just(DriveRole::Active),
        Just(DriveRole::Leaving(Then::Drain)),
        Just(DriveRole::Leaving(Then::Retire)),
        Just(DriveRole::Drained),
        Just(DriveRole::Retired),
    ]
}

fn config_kind() -> impl Strategy<Value = BucketConfigKind> {
    proptest::sample::select(vec![BucketConfigKind::Cors, BucketConfigKind::Policy])
}

fn bucket_and_key() -> impl Strategy<Value = (u8, &'static str)> {
    (1..4_u8, key())
}

fn run_of_place(bucket: u8, key: &str) -> u32 {
    let key = KEYS.iter().position(|other| *other == key).unwrap() as u32;
    u32::from(bucket) * 7 + key + 1
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let command = (0..1_000_u64, op(), cause()).prop_map(|(time, op, cause)| {
        let command = at(time, op);
        Event::Command(Box::new(match cause {
            Some(cause) => by(cause, command),
            None => command,
        }))
    });
    let event = prop_oneof![
        20 => command,
        4 => Just(Event::Apply),
        1 => Just(Event::Flush),
        1 => Just(Event::Crash),
    ];
    proptest::collection::vec(event, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_state_machine_is_the_model(events in events()) {
        let kv = Arc::new(MemoryKv::new());
        let mut machine = StateMachine::over(kv.clone()).unwrap();
        let model = Model::new();
        let mut log: Vec<(u64, Command)> = Vec::new();
        let mut pending = 0;
        let first = Event::Command(Box::new(command(journal())));
        for event in std::iter::once(first).chain(events).chain([Event::Apply]) {
            match event {
                Event::Command(command) => {
                    log.push((log.len() as u64 + 1, *command));
                    pending += 1;
                }
                Event::Apply => {
                    let batch = &log[log.len() - pending..];
                    let applied = machine.apply_batch(batch).unwrap();
                    for ((index, command), applied) in batch.iter().zip(applied) {
                        prop_assert_eq!(&applied, &model.apply(*index, command), "{:?}", command);
                    }
                    pending = 0;
                }
                Event::Flush => machine.flush().unwrap(),
                Event::Crash => {
                    kv.crash();
                    machine = StateMachine::over(kv.clone()).unwrap();
                    let durable = machine.applied_index() as usize;
                    machine.apply_batch(&log[durable..log.len() - pending]).unwrap();
                }
            }
        }
        same_rows(&machine, &model)?;
        same_journal(&machine, &model)?;
        // A machine that takes the whole log at once is the same, byte for byte but for forgotten dead runs.
        let again = Arc::new(MemoryKv::new());
        StateMachine::over(again.clone()).unwrap().apply_batch(&log).unwrap();
        prop_assert_eq!(again.dump(), kv.dump());
    }
}
