//! The stories that every engine passes. Each begins with a named journal and one bucket.

use chartrier_journal::{Leaf, Signer};

use super::commands::*;
use crate::ids::VersionId;
use crate::meta::{MetaEngine, MetaReads};
use crate::namespace::bucket_config::BucketConfigKind::{Cors, Lifecycle, Policy, RequestPayment};
use crate::namespace::command::{Applied, Attempt, Op, Outcome, Refusal, WriteCondition};
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
    a_log_never_signs_two_trees(&ready(&make).await).await;
    leaves_say_what_happened_and_time_never_goes_back(&ready(&make).await).await;
    documents_of_a_bucket_are_kept_and_go_with_it(&ready(&make).await).await;
    super::listings::run(&make).await;
    super::users::run(&make).await;
    super::drives::run(&make).await;
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
