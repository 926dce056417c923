//! Short ways to say rows and commands in tests.

use crate::ids::{BucketId, DriveId, ObjectUuid, StripeId, UploadId, VersionId};
use crate::namespace::bucket_config::BucketConfigKind;
use crate::namespace::command::{
    Command, CommandContext, JournalIdentity, Layout, MissingShard, Op, VersionChange, WriteCondition,
};
use crate::namespace::drive_health::{DriveHealth, DriveHealthRow};
use crate::namespace::drives::{DriveRole, DriveRow, DriveTable};
use crate::namespace::integrity::{
    Corruption, CorruptionKind, FileRepair, FoundBy, Repair, RepairedShard, ScrubCounts, ScrubPass, ShardFault,
    StripeRepair,
};
use crate::namespace::lock::{DefaultRetention, ObjectLock, Versioning};
use crate::namespace::notification::{Cause, Destination, EventPlace, NotificationRule, Notifications, Origin};
use crate::namespace::packs::{MemberSource, PackRuns, PackedRun};
use crate::namespace::rows::{
    AccessKeyRow, BlobRef, BucketRow, MarkerRow, PartRow, StripeRun, UploadRow, UserRow, VersionRow,
};
use crate::namespace::storage_class::StorageClass;

pub(crate) const ORIGIN: &str = "chartrier.test/default/cycle";

pub(crate) fn command(op: Op) -> Command {
    at(1_770_000_000_000_000, op)
}

pub(crate) fn at(time_us: u64, op: Op) -> Command {
    let context = CommandContext {
        time_us,
        request_id: "REQ".to_owned(),
        actor_pid: "p1".to_owned(),
        actor_role: "user".to_owned(),
        actor_auth: "sigv4".to_owned(),
        origin: None,
    };
    Command { context, op }
}

pub(crate) fn journal() -> Op {
    Op::SetJournal(JournalIdentity { origin: ORIGIN.to_owned(), tenant: "default".to_owned(), node: "n1".to_owned() })
}

pub(crate) fn bucket_id(n: u8) -> BucketId {
    BucketId::from_bytes([n; 16])
}

pub(crate) fn create_bucket(n: u8, name: &str) -> Op {
    Op::CreateBucket(BucketRow {
        id: bucket_id(n),
        name: name.to_owned(),
        owner: "owner".to_owned(),
        created_us: 1,
        region: "fr".to_owned(),
        versioning: Versioning::Unversioned,
        object_lock: None,
    })
}

pub(crate) fn create_locked_bucket(n: u8, name: &str, default_retention: Option<DefaultRetention>) -> Op {
    let Op::CreateBucket(mut row) = create_bucket(n, name) else { unreachable!() };
    row.versioning = Versioning::Enabled;
    row.object_lock = Some(ObjectLock { default_retention });
    Op::CreateBucket(row)
}

pub(crate) fn configure(bucket: u8, kind: BucketConfigKind, document: Option<&str>) -> Op {
    let document = document.map(|text| text.as_bytes().to_vec());
    Op::SetBucketConfig { bucket: bucket_id(bucket), kind, document }
}

/// A blob of one run, named by `n`; inline if `n` is 0.
pub(crate) fn blob(n: u32) -> BlobRef {
    if n == 0 {
        return BlobRef::Inline(vec![1, 2, 3]);
    }
    let mut random = [0; 6];
    random[..4].copy_from_slice(&n.to_be_bytes());
    BlobRef::Stripes(StripeRun {
        first: StripeId::first(1, random),
        count: 3,
        stripe_bytes: 1 << 20,
        len_bytes: 3 << 20,
        k: 4,
        m: 2,
        layout_version: 1,
        first_group: 0,
        blake3: [7; 32],
        places: 0,
    })
}

/// A small run, kept as copies until it is packed; its length is `1000 + n`.
pub(crate) fn copies(n: u32) -> StripeRun {
    let mut random = [1; 6];
    random[..4].copy_from_slice(&n.to_be_bytes());
    StripeRun {
        first: StripeId::first(2, random),
        count: 1,
        len_bytes: 1000 + u64::from(n),
        k: 1,
        m: 2,
        places: 0b10_0110,
        ..run_of(1)
    }
}

/// A part of such a run.
pub(crate) fn small_part(number: u16, n: u32) -> PartRow {
    PartRow { etag: format!("small-{n}"), blob: BlobRef::Stripes(copies(n)), ..part(number, 0) }
}

/// A pack with the bytes of small runs one behind the other.
pub(crate) fn pack(n: u32, members: &[(u32, Option<u32>)]) -> Op {
    let mut len_bytes = 0;
    let members = members.iter().map(|(member, from)| {
        let run = copies(*member);
        let offset = len_bytes as u32;
        len_bytes += run.len_bytes;
        let from =
            from.map_or_else(|| MemberSource::Copies(run.clone()), |from| MemberSource::Pack(pack_run(from).first));
        PackedRun { first: run.first, offset, len_bytes: run.len_bytes as u32, from }
    });
    let members = members.collect();
    Op::PackRuns(Box::new(PackRuns { pack: StripeRun { len_bytes, ..pack_run(n) }, members }))
}

/// The stripe of a pack; its length is set by what it holds.
pub(crate) fn pack_run(n: u32) -> StripeRun {
    let mut random = [2; 6];
    random[..4].copy_from_slice(&n.to_be_bytes());
    StripeRun { first: StripeId::first(3, random), count: 1, len_bytes: 0, ..run_of(1) }
}

pub(crate) fn run_of(n: u32) -> StripeRun {
    blob(n).stripes().unwrap().clone()
}

pub(crate) fn part(number: u16, run: u32) -> PartRow {
    PartRow {
        number,
        plain_bytes: 100,
        salt: [1; 24],
        commitment: [2; 32],
        etag: format!("part-{run}"),
        modified_us: 3,
        blob: blob(run),
        sealed_checksums: vec![5; 10],
    }
}

pub(crate) fn version(etag: &str, parts: Vec<PartRow>) -> Box<VersionRow> {
    Box::new(VersionRow {
        version_id: VersionId::NULL,
        commit_index: 999,
        leaf_index: 999,
        object_uuid: ObjectUuid::from_bytes([4; 16]),
        mode: b'O',
        size_bytes: parts.iter().map(|part| part.plain_bytes).sum(),
        etag: etag.to_owned(),
        modified_us: 9,
        owner: "owner".to_owned(),
        checksum: None,
        multipart_parts: None,
        parts,
        wrap: vec![1; 60],
        sealed_metadata: vec![2; 80],
        manifest_mac: [3; 32],
        key_commitment: [6; 32],
        wrap_version: DRAWN,
        delete_marker: false,
        sealed_tags: Vec::new(),
        retention: None,
        legal_hold: None,
        acl: Vec::new(),
        storage_class: StorageClass::default(),
    })
}

/// What every version and marker of the suite draws: ids differ by their commit.
pub(crate) const DRAWN: VersionId = VersionId::from_bytes([7; 16]);

pub(crate) fn marker() -> Option<Box<MarkerRow>> {
    Some(Box::new(MarkerRow {
        wrap_version: DRAWN,
        owner: "owner".to_owned(),
        modified_us: 11,
        key_commitment: [8; 32],
        sealed_salt: vec![9; 60],
    }))
}

pub(crate) fn put(bucket: u8, key: &str, row: Box<VersionRow>, condition: WriteCondition) -> Op {
    Op::PutVersion { bucket: bucket_id(bucket), key: key.to_owned(), row, condition, missing: Vec::new() }
}

pub(crate) fn delete(bucket: u8, key: &str, condition: WriteCondition) -> Op {
    Op::DeleteObject { bucket: bucket_id(bucket), key: key.to_owned(), marker: marker(), condition }
}

pub(crate) fn destroy(bucket: u8, key: &str, version_id: VersionId, bypass_governance: bool) -> Op {
    let (bucket, key) = (bucket_id(bucket), key.to_owned());
    Op::DeleteVersion { bucket, key, version_id, condition: WriteCondition::None, bypass_governance }
}

pub(crate) fn change(bucket: u8, key: &str, version_id: VersionId, change: VersionChange) -> Op {
    Op::ChangeVersion { bucket: bucket_id(bucket), key: key.to_owned(), version_id, wrap_version: DRAWN, change }
}

pub(crate) fn upload_id(n: u8) -> UploadId {
    UploadId::from_bytes([n; 16])
}

pub(crate) fn upload_row(n: u8) -> UploadRow {
    UploadRow {
        id: upload_id(n),
        wrap_version: DRAWN,
        object_uuid: ObjectUuid::from_bytes([4; 16]),
        mode: b'O',
        initiated_us: 4,
        owner: "owner".to_owned(),
        checksum: None,
        wrap: vec![1; 60],
        sealed_metadata: vec![2; 80],
        pending_keys: vec![3; 80],
        key_commitment: [6; 32],
        sealed_tags: Vec::new(),
        retention: None,
        legal_hold: None,
        acl: Vec::new(),
        storage_class: StorageClass::default(),
    }
}

pub(crate) fn create_upload(bucket: u8, key: &str, n: u8) -> Op {
    Op::CreateUpload { bucket: bucket_id(bucket), key: key.to_owned(), row: Box::new(upload_row(n)) }
}

pub(crate) fn put_part(bucket: u8, key: &str, upload: u8, part: PartRow) -> Op {
    Op::PutPart {
        bucket: bucket_id(bucket),
        key: key.to_owned(),
        upload: upload_id(upload),
        part: Box::new(part),
        missing: Vec::new(),
    }
}

pub(crate) fn complete(bucket: u8, key: &str, upload: u8, parts: Vec<PartRow>, condition: WriteCondition) -> Op {
    Op::CompleteUpload {
        bucket: bucket_id(bucket),
        key: key.to_owned(),
        upload: upload_id(upload),
        row: version("multi-2", parts),
        condition,
    }
}

pub(crate) fn abort(bucket: u8, key: &str, upload: u8) -> Op {
    Op::AbortUpload { bucket: bucket_id(bucket), key: key.to_owned(), upload: upload_id(upload) }
}

pub(crate) fn set_document(user: &str, before: &str, after: &str) -> Op {
    Op::SetUserDocument {
        user: user.to_owned(),
        expected_digest: *blake3::hash(before.as_bytes()).as_bytes(),
        document: after.as_bytes().to_vec(),
    }
}

pub(crate) fn rename(user: &str, new_name: &str, before: &str, after: &str) -> Op {
    Op::RenameUser {
        user: user.to_owned(),
        new_name: new_name.to_owned(),
        expected_digest: *blake3::hash(before.as_bytes()).as_bytes(),
        document: after.as_bytes().to_vec(),
    }
}

/// As [`user`], of a member of an account.
pub(crate) fn member(name: &str, id: &str, keys: &[&str], account: &str) -> Op {
    let Op::CreateUser(mut row) = user(name, id, keys, false) else { unreachable!("it makes a user") };
    row.account = account.to_owned();
    Op::CreateUser(row)
}

pub(crate) fn access_key(id: &str) -> AccessKeyRow {
    AccessKeyRow {
        access_key_id: id.to_owned(),
        sealed_secret: vec![8; 40],
        created_us: 5,
        disabled: false,
        expires_us: None,
    }
}

pub(crate) fn user(name: &str, id: &str, keys: &[&str], root: bool) -> Op {
    Op::CreateUser(Box::new(UserRow {
        id: id.to_owned(),
        name: name.to_owned(),
        display_name: name.to_uppercase(),
        email: String::new(),
        root,
        created_us: 6,
        access_keys: keys.iter().map(|id| access_key(id)).collect(),
        account: String::new(),
        document: Vec::new(),
    }))
}

/// The same command, by somebody whom events name.
pub(crate) fn by(cause: Cause, mut command: Command) -> Command {
    let (principal, source_ip) = ("AIDA".to_owned(), "192.0.2.1".to_owned());
    command.context.origin = Some(Box::new(Origin { cause, principal, source_ip }));
    command
}

/// A rule that tells `target` of `events` on keys that begin with `prefix`.
pub(crate) fn rule(target: &str, events: &[&str], prefix: &str) -> NotificationRule {
    NotificationRule {
        id: format!("rule-{target}"),
        destination: Destination::Queue,
        arn: format!("arn:aws:sqs:fr::{target}"),
        target: target.to_owned(),
        events: events.iter().map(|event| format!("s3:{event}")).collect(),
        prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
        suffix: None,
    }
}

pub(crate) fn notify(bucket: u8, rules: Vec<NotificationRule>, test_events: bool) -> Op {
    Op::SetNotifications { bucket: bucket_id(bucket), notifications: Notifications { rules }, test_events }
}

pub(crate) fn remove_events(target: &str, index: u64, number: u16, discard: bool) -> Op {
    Op::RemoveEvents { target: target.to_owned(), through: EventPlace { index, number }, discard }
}

/// A layout of 2+1 whose drives depend on `from`.
pub(crate) fn layout(version: u32, from: u8) -> Layout {
    let group: Vec<DriveId> = (from..from + 3).map(|n| DriveId::from_bytes([n; 16])).collect();
    Layout { version, k: 2, m: 1, groups: vec![group] }
}

/// Shards (stripe index, shard) of one run rebuilt; the last one also said to be healed already.
pub(crate) fn repair(run: &StripeRun, shards: &[(u32, u8)]) -> Op {
    let drive = DriveId::from_bytes([3; 16]);
    let stripes = shards.iter().map(|(stripe_index, shard_index)| StripeRepair {
        run: run.clone(),
        stripe_index: *stripe_index,
        shards: vec![RepairedShard {
            shard_index: *shard_index,
            drive,
            fault: [ShardFault::Missing, ShardFault::Damaged, ShardFault::Mismatched][usize::from(shard_index % 3)],
            bytes: 4096,
        }],
    });
    let healed =
        shards.last().map(|(index, shard)| MissingShard { stripe: run.first.nth(*index), shard_index: *shard });
    let file =
        FileRepair { kind: CorruptionKind::Superblock, drive: Some(drive), place: "superblock.a".to_owned(), bytes: 9 };
    let files = if shards.len() == 1 { vec![file] } else { Vec::new() };
    Op::RecordRepair(Box::new(Repair { stripes: stripes.collect(), files, healed: healed.into_iter().collect() }))
}

pub(crate) fn corruption(place_len: usize, on_drive: bool) -> Op {
    Op::RecordCorruption(Box::new(Corruption {
        kind: CorruptionKind::Shard,
        found_by: FoundBy::Scrub,
        drive: on_drive.then(|| DriveId::from_bytes([1; 16])),
        place: "p".repeat(place_len),
        count: 2,
        bytes: 70_000,
        shards: vec![MissingShard { stripe: run_of(5).first, shard_index: 2 }],
    }))
}

pub(crate) fn scrub_pass(drive: u8, time: u64) -> Op {
    Op::RecordScrub(Box::new(ScrubPass {
        scope: "drive".to_owned(),
        began_us: time,
        ended_us: time + 5,
        drives: vec![DriveId::from_bytes([drive; 16])],
        checked: ScrubCounts { segments: 1, records: 7, ..ScrubCounts::default() },
        found: vec![(CorruptionKind::Shard, 1)],
        repaired: 1,
        repaired_bytes: 4096,
        unrepaired: 0,
        complete: !time.is_multiple_of(3),
    }))
}

/// A table of the drives of [`layout`]`(_, from)`, all active, and before them `leaving`.
pub(crate) fn drives(version: u32, from: u8, leaving: &[(u8, DriveRole)]) -> DriveTable {
    let row = |n, role| DriveRow { id: DriveId::from_bytes([n; 16]), path: format!("/d{n}"), role, since_us: 9 };
    let gone = leaving.iter().map(|(n, role)| row(*n, *role));
    DriveTable {
        version,
        drives: gone.chain((from..from + 3).map(|n| row(n, DriveRole::Active))).collect(),
        settled: 0,
    }
}

/// A drive of those tables is online (0), read-only (1) or failed.
pub(crate) fn drive_health(drive: u8, health: u8, reason_len: usize) -> Op {
    let health = [DriveHealth::Online, DriveHealth::ReadOnly, DriveHealth::Failed][usize::from(health)];
    let now = DriveHealthRow { health, since_us: 5 + reason_len as u64, reason: "r".repeat(reason_len) };
    Op::RecordDriveHealth { drive: DriveId::from_bytes([drive; 16]), now }
}
