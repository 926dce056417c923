//! Whether the state machine and the model hold the same: rows, pages of listings, packs, leaves.

use chartrier_journal::tree_hash;
use proptest::prelude::*;

use super::super::model::Model;
use super::commands::*;
use super::random::KEYS;
use crate::blob::PackedRuns as _;
use crate::ids::VersionId;
use crate::meta::MetaReads;
use crate::namespace::bucket_config::BucketConfigKind;
use crate::namespace::query::{BucketQuery, ListFrom, ListQuery, UploadFrom, UploadQuery, VersionFrom, VersionQuery};
use crate::state::StateMachine;

/// Pages of buckets that the machine must answer as the model does.
pub(super) fn bucket_pages() -> Vec<BucketQuery> {
    let all = BucketQuery { limit: 10, ..BucketQuery::default() };
    let owners = [None, Some("owner".to_owned()), Some("other".to_owned()), Some("nobody".to_owned())];
    let of = |owner: &Option<String>| {
        let all = BucketQuery { owner: owner.clone(), ..all.clone() };
        [
            BucketQuery { limit: 1, ..all.clone() },
            BucketQuery { limit: 0, ..all.clone() },
            BucketQuery { after: Some("bucket-1".into()), ..all.clone() },
            BucketQuery { prefix: "bucket-2".into(), after: Some("a".into()), ..all.clone() },
            BucketQuery { region: Some("eu".into()), limit: 1, ..all.clone() },
            all,
        ]
    };
    owners.iter().flat_map(of).collect()
}

pub(super) fn same_rows(machine: &StateMachine, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(machine.buckets().unwrap(), model.buckets().unwrap());
    prop_assert_eq!(machine.users().unwrap(), model.users().unwrap());
    prop_assert_eq!(machine.layout().unwrap(), model.layout().unwrap());
    prop_assert_eq!(machine.drive_table().unwrap(), MetaReads::drive_table(model).unwrap());
    for bucket in machine.buckets().unwrap() {
        prop_assert_eq!(machine.bucket_usage(&bucket.name).unwrap(), model.bucket_usage(&bucket.name).unwrap());
    }
    for query in bucket_pages() {
        prop_assert_eq!(machine.list_buckets(&query).unwrap(), model.list_buckets(&query).unwrap());
    }
    for account in ["owner", "other"] {
        prop_assert_eq!(machine.account_usage(account).unwrap(), model.account_usage(account).unwrap());
    }
    for id in 1..6 {
        let id = format!("AK{id}");
        prop_assert_eq!(machine.user_by_access_key(&id).unwrap(), model.user_by_access_key(&id).unwrap());
    }
    for bucket in (1..4).map(bucket_id) {
        for kind in BucketConfigKind::ALL {
            let (ours, theirs) = (machine.bucket_config(bucket, kind), model.bucket_config(bucket, kind));
            prop_assert_eq!(ours.unwrap(), theirs.unwrap());
        }
        for key in KEYS {
            prop_assert_eq!(machine.current(bucket, key).unwrap(), model.current(bucket, key).unwrap());
            for id in (1..120).map(|index| VersionId::of_commit(index, DRAWN)).chain([VersionId::NULL]) {
                prop_assert_eq!(machine.version(bucket, key, id).unwrap(), model.version(bucket, key, id).unwrap());
            }
            for upload in (1..4).map(upload_id) {
                let (ours, theirs) = (machine.upload(bucket, key, upload), model.upload(bucket, key, upload));
                prop_assert_eq!(ours.unwrap(), theirs.unwrap());
                let parts = |reads: &dyn MetaReads| reads.parts(bucket, key, upload, 1, 1).unwrap();
                prop_assert_eq!(parts(machine), parts(model));
            }
            for prefix in ["", "a", "a/", key] {
                for delimiter in [None, Some("/"), Some("b")] {
                    same_listings(machine, model, bucket, prefix, delimiter, key)?;
                }
            }
        }
    }
    prop_assert_eq!(machine.event_queues().unwrap(), model.event_queues().unwrap());
    for target in ["t", "t.2", "tt", "none"] {
        let events = |reads: &dyn MetaReads| {
            let all = reads.events(target, None, 100).unwrap();
            let after = all.first().map(|(place, _)| *place);
            (reads.events(target, after, 2).unwrap(), all)
        };
        prop_assert_eq!(events(machine), events(model));
    }
    let owned = model.owned_runs();
    prop_assert_eq!(&machine.owned_runs(None, 10_000).unwrap(), &owned);
    for run in &owned {
        for index in 0..=run.owner.count {
            let stripe = run.first.nth(index);
            let expected = (index < run.owner.count).then(|| run.clone());
            prop_assert_eq!(&machine.run_owner(stripe).unwrap(), &expected);
            prop_assert_eq!(&model.run_owner(stripe).unwrap(), &expected);
        }
        prop_assert_eq!(machine.owned_run(run).unwrap().map(|found| found.first), Some(run.first));
    }
    // What died is still to be freed, and nothing owned is among it.
    let dead = machine.dead_runs(None, 10_000).unwrap();
    prop_assert!(dead.windows(2).all(|pair| pair[0].run.first < pair[1].run.first));
    for dead in &dead {
        prop_assert_eq!(machine.run_owner(dead.run.first).unwrap(), None);
        let last = dead.run.first.nth(dead.run.count - 1);
        prop_assert!(machine.is_dead(last).unwrap() && !machine.is_dead(last.nth(1)).unwrap());
    }
    same_packs(machine, model)?;
    let heal = machine.heal_queue(None, 10_000).unwrap();
    let shards: Vec<_> = heal.iter().map(|(shard, _)| (shard.stripe, shard.shard_index)).collect();
    prop_assert_eq!(shards, model.heal_queue());
    prop_assert_eq!(machine.scrub_marks().unwrap(), model.scrub_marks());
    prop_assert_eq!(machine.drive_healths().unwrap(), model.drive_healths());
    prop_assert_eq!(heal.len() as u64, machine.heal_queue_len());
    for (shard, run) in heal {
        prop_assert!(
            machine.run_owner(run.first).unwrap().is_some(),
            "a shard of a dead run is to be healed: {:?}",
            shard
        );
    }
    Ok(())
}

fn same_packs(machine: &StateMachine, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(machine.pack_counts(), model.pack_counts());
    prop_assert_eq!(machine.waiting_runs(None, 100).unwrap().len() as u64, machine.pack_counts().waiting_runs);
    // Those that were freed since are still listed in one of them.
    prop_assert_eq!(machine.sparse_packs(None, 100).unwrap(), model.sparse_packs());
    for run in (0..40).map(copies) {
        prop_assert_eq!(machine.pack_place(run.first).unwrap(), model.pack_place(run.first));
    }
    let mut members = 0;
    for pack in (1..6).map(pack_run) {
        let live = machine.live_members(pack.first).unwrap();
        let listed = machine.put_into_pack(pack.first).unwrap();
        prop_assert!(live.iter().all(|(first, place)| listed.contains(first) && place.pack.first == pack.first));
        prop_assert_eq!(machine.pack(pack.first).unwrap().is_some(), !live.is_empty());
        members += live.len() as u64;
    }
    prop_assert_eq!(members, machine.pack_counts().members);
    Ok(())
}

fn same_listings(
    machine: &StateMachine,
    model: &Model,
    bucket: crate::ids::BucketId,
    prefix: &str,
    delimiter: Option<&str>,
    mark: &str,
) -> Result<(), TestCaseError> {
    let mark = mark.to_owned();
    for limit in [1, 3, 100] {
        for after in [None, Some(ListFrom::AfterKey(mark.clone())), Some(ListFrom::PastPrefix(mark.clone()))] {
            let (prefix, delimiter) = (prefix.to_owned(), delimiter.map(str::to_owned));
            let query = ListQuery { bucket, prefix, delimiter, after, limit };
            prop_assert_eq!(machine.list_objects(&query).unwrap(), model.list_objects(&query).unwrap(), "{:?}", query);
        }
        let marks = [
            None,
            Some(VersionFrom::AfterKey(mark.clone())),
            Some(VersionFrom::AfterVersion(mark.clone(), VersionId::NULL)),
            Some(VersionFrom::AfterVersion(mark.clone(), VersionId::of_commit(20, DRAWN))),
            Some(VersionFrom::PastPrefix(mark.clone())),
        ];
        for after in marks {
            let (prefix, delimiter) = (prefix.to_owned(), delimiter.map(str::to_owned));
            let query = VersionQuery { bucket, prefix, delimiter, after, limit };
            let (ours, theirs) = (machine.list_versions(&query).unwrap(), model.list_versions(&query).unwrap());
            prop_assert_eq!(ours, theirs, "{:?}", query);
        }
        let marks = [
            None,
            Some(UploadFrom::AfterKey(mark.clone())),
            Some(UploadFrom::AfterUpload(mark.clone(), upload_id(2))),
            Some(UploadFrom::PastPrefix(mark.clone())),
        ];
        for after in marks {
            let (prefix, delimiter) = (prefix.to_owned(), delimiter.map(str::to_owned));
            let query = UploadQuery { bucket, prefix, delimiter, after, limit };
            prop_assert_eq!(machine.list_uploads(&query).unwrap(), model.list_uploads(&query).unwrap(), "{:?}", query);
        }
    }
    Ok(())
}

pub(super) fn same_journal(machine: &StateMachine, model: &Model) -> Result<(), TestCaseError> {
    let size = model.journal_size();
    prop_assert_eq!(machine.journal_size(), size);
    for index in 0..=size {
        prop_assert_eq!(machine.leaf(index).unwrap(), model.leaf(index).unwrap());
    }
    for size in [0, size / 2, size] {
        let root = tree_hash(size, &machine.journal_hashes()).unwrap();
        prop_assert_eq!(root.to_bytes(), model.journal_root(size));
    }
    prop_assert_eq!(machine.journal_head().1.to_bytes(), model.journal_root(size));
    Ok(())
}
