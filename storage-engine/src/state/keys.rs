//! Column families of the namespace and the keys of their rows.
//!
//! `docs/formats/rows.md` draws them. Keys of rows that carry a suffix after the object key are
//! `bucket ‖ escaped key ‖ 00 01 ‖ suffix`, with 00 escaped as 00 FF: all rows of one key are
//! neighbours and keys keep their order, whatever bytes they hold.

use super::kv::{Family, FamilySpec, ValueSize};
use crate::ids::{BucketId, DriveId, StripeId, UploadId, VersionId};
use crate::namespace::bucket_config::BucketConfigKind;
use crate::namespace::command::MissingShard;
use crate::namespace::notification::EventPlace;

/// Families in the order of [`Family`] indexes below.
pub(crate) const SCHEMA: &[FamilySpec] = &[
    FamilySpec { name: "sys", values: ValueSize::Small },
    FamilySpec { name: "bkt", values: ValueSize::Small },
    FamilySpec { name: "usr", values: ValueSize::Small },
    FamilySpec { name: "cur", values: ValueSize::Small },
    FamilySpec { name: "ver", values: ValueSize::Large },
    FamilySpec { name: "upl", values: ValueSize::Small },
    FamilySpec { name: "prt", values: ValueSize::Large },
    FamilySpec { name: "stp", values: ValueSize::Small },
    FamilySpec { name: "heal", values: ValueSize::Small },
    FamilySpec { name: "dead", values: ValueSize::Small },
    FamilySpec { name: "jrn", values: ValueSize::Small },
    FamilySpec { name: "hsh", values: ValueSize::Small },
    FamilySpec { name: "cfg", values: ValueSize::Large },
    FamilySpec { name: "old", values: ValueSize::Small },
    FamilySpec { name: "evt", values: ValueSize::Small },
    FamilySpec { name: "pak", values: ValueSize::Small },
];

/// Applied index, format, layouts, head of the journal.
pub(crate) const SYS: Family = Family(0);
/// Buckets by name, by id, and by owner.
pub(crate) const BKT: Family = Family(1);
/// Users by name, by id and by access key.
pub(crate) const USR: Family = Family(2);
/// Current version of each object, as listings show it.
pub(crate) const CUR: Family = Family(3);
/// Versions, whole.
pub(crate) const VER: Family = Family(4);
/// Uploads in progress.
pub(crate) const UPL: Family = Family(5);
/// Their parts.
pub(crate) const PRT: Family = Family(6);
/// First stripe of each run to its owner.
pub(crate) const STP: Family = Family(7);
/// Shards to be healed.
pub(crate) const HEAL: Family = Family(8);
/// Runs without an owner that the drives have yet to free.
pub(crate) const DEAD: Family = Family(9);
/// Leaves of the `cycle` log.
pub(crate) const JRN: Family = Family(10);
/// Stored hashes of its tree.
pub(crate) const HSH: Family = Family(11);
/// Documents of buckets.
pub(crate) const CFG: Family = Family(12);
/// Versions that are not current, newest first, as listings show them.
pub(crate) const OLD: Family = Family(13);
/// Events that wait to be told, and what their queues come to.
pub(crate) const EVT: Family = Family(14);

/// Packs, their members, and the small runs that wait to be packed.
pub(crate) const PAK: Family = Family(15);

/// Name of a family, for messages.
pub(crate) fn family_name(family: Family) -> &'static str {
    SCHEMA.get(usize::from(family.0)).map_or("?", |spec| spec.name)
}

/// Row of `sys`: u32, format of the whole store.
pub(crate) const SYS_FORMAT: &[u8] = b"format";
/// Row of `sys`: u64, last entry applied.
pub(crate) const SYS_APPLIED: &[u8] = b"applied";
/// Row of `sys`: `StateHead`.
pub(crate) const SYS_HEAD: &[u8] = b"head";
/// Row of `sys`: `JournalIdentity`.
pub(crate) const SYS_JOURNAL: &[u8] = b"journal";
/// Row of `sys`: the last signed checkpoint, as text.
pub(crate) const SYS_CHECKPOINT: &[u8] = b"checkpoint";
/// Row of `sys`: `DriveTable`.
pub(crate) const SYS_DRIVES: &[u8] = b"drives";
/// Prefix of rows of `sys`: `Layout` by version, big-endian.
pub(crate) const SYS_LAYOUT: &[u8] = b"layout/";

/// Prefix of rows of `sys`: `ScrubMark` by drive id.
pub(crate) const SYS_SCRUB: &[u8] = b"scrub/";

/// When a drive was last scrubbed.
pub(crate) fn scrub_mark(drive: DriveId) -> Vec<u8> {
    [SYS_SCRUB, drive.as_bytes()].concat()
}

/// Prefix of rows of `sys`: `DriveHealthRow` by drive id.
pub(crate) const SYS_HEALTH: &[u8] = b"health/";

/// The health of a drive.
pub(crate) fn drive_health(drive: DriveId) -> Vec<u8> {
    [SYS_HEALTH, drive.as_bytes()].concat()
}

/// The layout of a version.
pub(crate) fn layout(version: u32) -> Vec<u8> {
    [SYS_LAYOUT, &version.to_be_bytes()].concat()
}

/// Prefix of bucket rows by name.
pub(crate) const BUCKET_NAMES: &[u8] = b"n";

/// A bucket row.
pub(crate) fn bucket_name(name: &str) -> Vec<u8> {
    [BUCKET_NAMES, name.as_bytes()].concat()
}

/// A bucket's counters.
pub(crate) fn bucket_id(id: BucketId) -> Vec<u8> {
    [&b"i"[..], id.as_bytes()].concat()
}

/// What the buckets of an account start with, by canonical id, in the order of their names. No id holds a 00.
pub(crate) fn owned_buckets(owner: &str) -> Vec<u8> {
    [&b"o"[..], owner.as_bytes(), &[0]].concat()
}

/// A bucket among those of its owner.
pub(crate) fn owned_bucket(owner: &str, name: &str) -> Vec<u8> {
    [&owned_buckets(owner), name.as_bytes()].concat()
}

/// A document of a bucket.
pub(crate) fn bucket_config(id: BucketId, kind: BucketConfigKind) -> Vec<u8> {
    [&id.as_bytes()[..], &[kind.byte()]].concat()
}

/// Prefix of user rows by name.
pub(crate) const USER_NAMES: &[u8] = b"n";

/// A user row.
pub(crate) fn user_name(name: &str) -> Vec<u8> {
    [USER_NAMES, name.as_bytes()].concat()
}

/// A user's name, by canonical id.
pub(crate) fn user_id(id: &str) -> Vec<u8> {
    [&b"i"[..], id.as_bytes()].concat()
}

/// An account's counters.
pub(crate) fn account(id: &str) -> Vec<u8> {
    [&b"q"[..], id.as_bytes()].concat()
}

/// A user's name, by access key.
pub(crate) fn access_key(id: &str) -> Vec<u8> {
    [&b"k"[..], id.as_bytes()].concat()
}

/// An object's row in `cur`.
pub(crate) fn current(bucket: BucketId, key: &str) -> Vec<u8> {
    [bucket.as_bytes(), key.as_bytes()].concat()
}

/// The object key in a key of `cur`; `None` if it is malformed.
pub(crate) fn key_of_current(row_key: &[u8]) -> Option<&str> {
    std::str::from_utf8(row_key.get(16..)?).ok()
}

/// What all rows of one object key start with, terminator included.
pub(crate) fn object(bucket: BucketId, key: &str) -> Vec<u8> {
    let mut bytes = key_prefix(bucket, key);
    bytes.extend(TERMINATOR);
    bytes
}

/// What all rows of keys that start with `prefix` start with.
pub(crate) fn key_prefix(bucket: BucketId, prefix: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + prefix.len() + 2 + 18);
    bytes.extend_from_slice(bucket.as_bytes());
    for &byte in prefix.as_bytes() {
        bytes.push(byte);
        if byte == 0 {
            bytes.push(0xff);
        }
    }
    bytes
}

/// A version row: the id is inverted, so that ids that grow with time list newest first.
pub(crate) fn version(bucket: BucketId, key: &str, version: VersionId) -> Vec<u8> {
    let mut bytes = object(bucket, key);
    bytes.extend(version.as_bytes().map(|byte| !byte));
    bytes
}

/// A row of `old`: the commit is inverted, so that the newest comes first.
pub(crate) fn noncurrent(bucket: BucketId, key: &str, commit_index: u64) -> Vec<u8> {
    let mut bytes = object(bucket, key);
    bytes.extend((!commit_index).to_be_bytes());
    bytes
}

/// An upload row, and what its parts start with.
pub(crate) fn upload(bucket: BucketId, key: &str, upload: UploadId) -> Vec<u8> {
    let mut bytes = object(bucket, key);
    bytes.extend_from_slice(upload.as_bytes());
    bytes
}

/// A part row.
pub(crate) fn part(bucket: BucketId, key: &str, upload_id: UploadId, number: u16) -> Vec<u8> {
    let mut bytes = upload(bucket, key, upload_id);
    bytes.extend(number.to_be_bytes());
    bytes
}

/// The object key in a key of `ver` or `upl`; `None` if it is malformed.
pub(crate) fn key_of_object_row(row_key: &[u8]) -> Option<String> {
    let mut rest = row_key.get(16..)?.iter();
    let mut key = Vec::with_capacity(row_key.len());
    loop {
        match (*rest.next()?, rest.as_slice().first()) {
            (0, Some(0xff)) => {
                rest.next();
                key.push(0);
            }
            (0, Some(1)) => return String::from_utf8(key).ok(),
            (0, _) => return None,
            (byte, _) => key.push(byte),
        }
    }
}

/// What the stripes of one run share: all but the counter.
pub(crate) fn run_prefix(stripe: &StripeId) -> &[u8] {
    &stripe.as_bytes()[..12]
}

/// The stripe that a key of `stp` or `dead` is; `None` if it is malformed.
pub(crate) fn stripe_of(key: &[u8]) -> Option<StripeId> {
    key.try_into().ok().map(StripeId::from_bytes)
}

/// A small run that is a member of a pack.
pub(crate) fn pack_member(run: &StripeId) -> Vec<u8> {
    [&b"m"[..], run.as_bytes()].concat()
}

/// A pack.
pub(crate) fn pack(first: &StripeId) -> Vec<u8> {
    [&b"p"[..], first.as_bytes()].concat()
}

/// Who was put into a pack.
pub(crate) fn pack_list(first: &StripeId) -> Vec<u8> {
    [&b"l"[..], first.as_bytes()].concat()
}

/// Prefix of packs with much that is dead.
pub(crate) const SPARSE_PACKS: &[u8] = b"s";

/// A pack with much that is dead.
pub(crate) fn sparse(first: &StripeId) -> Vec<u8> {
    [SPARSE_PACKS, first.as_bytes()].concat()
}

/// Prefix of small runs that wait.
pub(crate) const WAITING_RUNS: &[u8] = b"w";

/// A small run that waits to be packed.
pub(crate) fn waiting(run: &StripeId) -> Vec<u8> {
    [WAITING_RUNS, run.as_bytes()].concat()
}

/// A row of `heal`.
pub(crate) fn heal(stripe: &StripeId, shard_index: u8) -> Vec<u8> {
    [&stripe.as_bytes()[..], &[shard_index]].concat()
}

/// The shard that a key of `heal` is; `None` if it is malformed.
pub(crate) fn shard_of_heal(key: &[u8]) -> Option<MissingShard> {
    let (&shard_index, stripe) = key.split_last()?;
    Some(MissingShard { stripe: stripe_of(stripe)?, shard_index })
}

/// Prefix of the rows of queues.
pub(crate) const EVENT_QUEUES: &[u8] = b"s";

/// What the queue of a target comes to.
pub(crate) fn event_queue(target: &str) -> Vec<u8> {
    [EVENT_QUEUES, target.as_bytes()].concat()
}

/// What all events of a target start with. A target's name holds no 00.
pub(crate) fn events(target: &str) -> Vec<u8> {
    [&b"e"[..], target.as_bytes(), &[0]].concat()
}

/// An event: those of a target are in the order of their places.
pub(crate) fn event(target: &str, place: EventPlace) -> Vec<u8> {
    let mut bytes = events(target);
    bytes.extend(place.index.to_be_bytes());
    bytes.extend(place.number.to_be_bytes());
    bytes
}

/// The place in a key of an event; `None` if it is malformed.
pub(crate) fn place_of_event(row_key: &[u8]) -> Option<EventPlace> {
    let place = row_key.get(row_key.len().checked_sub(10)?..)?;
    let (index, number) = place.split_at_checked(8)?;
    Some(EventPlace {
        index: u64::from_be_bytes(index.try_into().ok()?),
        number: u16::from_be_bytes(number.try_into().ok()?),
    })
}

const TERMINATOR: [u8; 2] = [0, 1];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const B: BucketId = BucketId::from_bytes([5; 16]);

    proptest! {
        #[test]
        fn keys_keep_their_order_and_come_back(a in "[\\x00\\x01a-c\u{e9}]{0,6}", b in "[\\x00\\x01a-c\u{e9}]{0,6}") {
            let (row_a, row_b) = (version(B, &a, VersionId::NULL), version(B, &b, VersionId::NULL));
            prop_assert_eq!(a.as_bytes().cmp(b.as_bytes()), row_a.cmp(&row_b));
            prop_assert_eq!(key_of_object_row(&row_a).unwrap(), a.clone());
            // Rows of one key are neighbours: another key's row is never within its prefix.
            prop_assert_eq!(row_b.starts_with(&object(B, &a)), a == b);
            prop_assert_eq!(row_b.starts_with(&key_prefix(B, &a)), b.starts_with(&a) );
        }
    }

    #[test]
    fn families_have_the_names_of_the_schema() {
        assert_eq!(family_name(HSH), "hsh");
        assert_eq!(family_name(OLD), "old");
        assert_eq!(family_name(STP), "stp");
        assert_eq!(family_name(CFG), "cfg");
        assert_eq!(family_name(EVT), "evt");
        assert_eq!(family_name(PAK), "pak");
        assert_eq!(SCHEMA.len(), usize::from(PAK.0) + 1);
    }
}
