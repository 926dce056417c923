//! The commands that the log carries.
//!
//! Applying is deterministic: ids, times and random values are in the command. A precondition is
//! evaluated at apply, never before, so that of two racing commands exactly one holds.

mod applied;

use serde::{Deserialize, Serialize};

pub use applied::{Applied, Outcome, Refusal};

use super::bucket_config::BucketConfigKind;
use super::drive_health::DriveHealthRow;
use super::drives::DriveTable;
use super::integrity::{Corruption, Repair, ScrubPass};
use super::lock::{DefaultRetention, Retention, Versioning};
use super::notification::{EventPlace, Notifications, Origin};
use super::packs::PackRuns;
use super::rows::{AccountQuota, BucketRow, MarkerRow, PartRow, UploadRow, UserRow, VersionRow};
use crate::ids::{BucketId, DriveId, StripeId, UploadId, VersionId};

/// One change, with what its journal leaf says of who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Who, when and for which request.
    pub context: CommandContext,
    /// What to change.
    pub op: Op,
}

/// The common fields of a leaf that the state machine cannot know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandContext {
    /// Unix time in microseconds. A leaf's time never goes back: apply takes the later of this and the last leaf's.
    pub time_us: u64,
    /// The S3 request id.
    pub request_id: String,
    /// Pseudonym of the account: HMAC under a per-tenant, per-year key. Never the account itself.
    pub actor_pid: String,
    /// `root`, `user`, `system`.
    pub actor_role: String,
    /// How it proved itself: `sigv4`, `sigv4-presigned`, `post-policy`, `admin-token`, `internal`.
    pub actor_auth: String,
    /// What the events of the change say of it; `None` where nobody is told, or nobody asked.
    pub origin: Option<Box<Origin>>,
}

/// What a command changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Creates a bucket. Refused if the name is taken. Leaf `bucket.create`.
    CreateBucket(BucketRow),
    /// Removes an empty bucket (no version, no upload). Leaf `bucket.delete`.
    DeleteBucket {
        /// Its name.
        name: String,
    },
    /// Makes a version current; what it replaces dies in the same entry: nothing where versioning is
    /// enabled, else the null version. Leaf `object.deposit`, or `object.modify.refused` when the
    /// condition fails on an existing object or a lock protects what would be replaced.
    PutVersion {
        /// The bucket; refused if it is gone.
        bucket: BucketId,
        /// 1..=1024 bytes of UTF-8.
        key: String,
        /// The row to store.
        row: Box<VersionRow>,
        /// Evaluated at apply.
        condition: WriteCondition,
        /// Shards that were not durable when the blob was committed, to be healed.
        missing: Vec<MissingShard>,
    },
    /// Replaces metadata and wrap of the current null version and keeps its stripes, its retention and
    /// its hold. Refused where versioning is enabled. Leaf `metadata.change`.
    Rewrap {
        /// The bucket.
        bucket: BucketId,
        /// The object.
        key: String,
        /// The `commit_index` of the version that was read; refused if another is current.
        expected_commit_index: u64,
        /// The row to store; its parts must be those of the version that was read.
        row: Box<VersionRow>,
        /// Evaluated at apply.
        condition: WriteCondition,
        /// Keeps the tags that the version has at apply, whatever the row says.
        keep_tags: bool,
    },
    /// Destroys one version or marker; the newest that is left becomes current. Leaf `object.delete`;
    /// none if there was nothing; `delete.refused` when the condition fails on it or a lock protects it.
    DeleteVersion {
        /// The bucket.
        bucket: BucketId,
        /// The object.
        key: String,
        /// Which version.
        version_id: VersionId,
        /// Evaluated at apply, on this version.
        condition: WriteCondition,
        /// Governance retention does not hold it back: the caller may bypass it and said so.
        bypass_governance: bool,
    },
    /// Begins a multipart upload. No leaf.
    CreateUpload {
        /// The bucket.
        bucket: BucketId,
        /// The object.
        key: String,
        /// The row to store.
        row: Box<UploadRow>,
    },
    /// Stores or replaces a part; a replaced part's stripes die in the same entry. No leaf.
    PutPart {
        /// The bucket.
        bucket: BucketId,
        /// The object.
        key: String,
        /// The upload; refused if it is gone.
        upload: UploadId,
        /// The part.
        part: Box<PartRow>,
        /// Shards to be healed.
        missing: Vec<MissingShard>,
    },
    /// Turns an upload into a version; parts left out die in the same entry. Leaf as for `PutVersion`.
    ///
    /// Refused with [`Refusal::PartsChanged`] unless each part of `row` is, to the byte, the part stored
    /// in the upload; `row.parts` may number them as stored.
    CompleteUpload {
        /// The bucket.
        bucket: BucketId,
        /// The object.
        key: String,
        /// The upload; refused if it is gone.
        upload: UploadId,
        /// The row to store.
        row: Box<VersionRow>,
        /// Evaluated at apply.
        condition: WriteCondition,
    },
    /// Drops an upload and its parts. No leaf.
    AbortUpload {
        /// The bucket.
        bucket: BucketId,
        /// The object.
        key: String,
        /// The upload; refused if it is gone.
        upload: UploadId,
    },
    /// Records a modification that was refused before it reached the log (access denied, say).
    /// Leaf `object.modify.refused` or `delete.refused`, only if the object exists.
    RecordRefusal {
        /// The bucket.
        bucket: BucketId,
        /// The object.
        key: String,
        /// What was attempted.
        attempted: Attempt,
        /// S3's error code.
        reason: String,
    },
    /// Adds a user. Refused if the name or an access key id is taken. Leaf `user.create`.
    CreateUser(Box<UserRow>),
    /// Removes a user and its keys; refused for root and while it owns buckets. Leaf `user.remove`.
    RemoveUser {
        /// Its name.
        name: String,
    },
    /// Adds an access key to a user. Leaf `user.key.add`.
    AddAccessKey {
        /// The user's name.
        user: String,
        /// The key.
        key: super::rows::AccessKeyRow,
    },
    /// Removes an access key. Leaf `user.key.remove`.
    RemoveAccessKey {
        /// The user's name.
        user: String,
        /// The key's public half.
        access_key_id: String,
    },
    /// Stores a signed checkpoint before it is published. Refused unless it extends the last one and
    /// equals the tree of that size: a log never signs two trees. No leaf.
    SignCheckpoint {
        /// Leaves in the tree.
        size: u64,
        /// Its root.
        root: [u8; 32],
        /// The signed note, whole.
        note: String,
    },
    /// Sets the table of placement groups. No leaf.
    SetLayout(Layout),
    /// Names the journal. The first command of an installation; refused once it is named. No leaf.
    SetJournal(JournalIdentity),
    /// Sets, replaces or removes one document of a bucket. Leaf `bucket.config`; none if there was
    /// nothing to remove.
    SetBucketConfig {
        /// The bucket; refused if it is gone.
        bucket: BucketId,
        /// Which document.
        kind: BucketConfigKind,
        /// The document; `None` removes it. Refused with [`Refusal::TooLarge`] over the limit of its kind.
        document: Option<Vec<u8>>,
    },
    /// Records what was rebuilt, and clears heal rows. A run that lost its owner meanwhile is freed instead:
    /// a repair never brings back what was removed. Leaf `storage.repair` if something owned is in it.
    RecordRepair(Box<Repair>),
    /// Records damage that was met. Leaf `storage.corruption`.
    RecordCorruption(Box<Corruption>),
    /// Records a pass of scrub that came to its end, and when each drive was checked. Leaf `storage.scrub`.
    RecordScrub(Box<ScrubPass>),
    /// S3's delete without a version: where there was never versioning the object goes, with leaf
    /// `object.delete`; elsewhere a delete marker becomes current, with leaf `object.marker`, in place
    /// of the null version if versioning is suspended. `delete.refused` as for `DeleteVersion`.
    DeleteObject {
        /// The bucket.
        bucket: BucketId,
        /// The object.
        key: String,
        /// The marker to make. Without one, a bucket that needs it answers [`Refusal::VersioningChanged`].
        marker: Option<Box<MarkerRow>>,
        /// Evaluated at apply, on the current version.
        condition: WriteCondition,
    },
    /// Enables or suspends versioning. Refused with [`Refusal::InvalidBucketState`] if object lock
    /// needs it enabled, and for [`Versioning::Unversioned`]. Leaf `bucket.versioning`, if it changes.
    SetVersioning {
        /// The bucket.
        bucket: BucketId,
        /// What it becomes.
        versioning: Versioning,
    },
    /// Enables object lock, or replaces its default retention. Refused with
    /// [`Refusal::InvalidBucketState`] unless versioning is enabled. Leaf `bucket.lock`.
    SetObjectLock {
        /// The bucket.
        bucket: BucketId,
        /// For versions that name none.
        default_retention: Option<DefaultRetention>,
    },
    /// Changes what goes with a version and leaves its data: `metadata.change`, `retention.set`,
    /// `hold.place`, `hold.release`; `retention.refused` when the retention in force forbids it.
    ChangeVersion {
        /// The bucket.
        bucket: BucketId,
        /// The object.
        key: String,
        /// The version, as it was read.
        version_id: VersionId,
        /// Its `wrap_version`: another `null` version is refused with [`Refusal::Superseded`].
        wrap_version: VersionId,
        /// What changes.
        change: VersionChange,
    },
    /// Changes which drives there are, and with them, if it says so, the layout: the one that follows
    /// the newest. Refused unless the table follows the present one and the layout names active drives
    /// only. Leaf `storage.drives`, but for the first table.
    SetDrives {
        /// The whole table.
        table: DriveTable,
        /// The next layout, if it changes.
        layout: Option<Layout>,
    },
    /// Replaces the document of a user. Refused with [`Refusal::Superseded`] if it is another than was
    /// read. Leaf `user.change`.
    SetUserDocument {
        /// The user's name.
        user: String,
        /// BLAKE3 of the document that was read.
        expected_digest: [u8; 32],
        /// The document to store.
        #[serde(with = "serde_bytes")]
        document: Vec<u8>,
    },
    /// Disables, enables or dates an access key. Leaf `user.change`.
    SetAccessKey {
        /// The user's name.
        user: String,
        /// The key's public half.
        access_key_id: String,
        /// As in its row.
        disabled: bool,
        /// As in its row.
        expires_us: Option<u64>,
    },
    /// Replaces what a bucket tells of its changes; no rule at all is none. Refused with
    /// [`Refusal::TooLarge`] over a limit of the rules. Leaf `bucket.config`; none if there was nothing
    /// to remove.
    SetNotifications {
        /// The bucket; refused if it is gone.
        bucket: BucketId,
        /// The rules, in the server's own order.
        notifications: Notifications,
        /// Sends each target a test event.
        test_events: bool,
    },
    /// Takes events that were delivered, or are given up, out of the queue of a target: up to
    /// [`REMOVED_ROWS_MAX`](super::notification::REMOVED_ROWS_MAX) of them. No leaf.
    RemoveEvents {
        /// The target's name.
        target: String,
        /// The last to be taken out.
        through: EventPlace,
        /// They were never delivered: the queue counts them as dropped.
        discard: bool,
    },
    /// Sets what an account may hold in all its buckets; without limits the quota is removed. Refused with
    /// [`Refusal::NoSuchUser`] for a member of an account. Leaf `user.change`.
    SetAccountQuota {
        /// The user's name.
        user: String,
        /// What it may hold.
        quota: AccountQuota,
    },
    /// Makes small runs members of a pack: a compare-and-set for each, on where its bytes were read. Their copies, and
    /// packs that lose their last member, die in the same entry. No leaf: what is stored stays the same.
    PackRuns(Box<PackRuns>),
    /// Records that a drive failed, takes no more writes, or is back. Refused if it is not in the table. Leaf
    /// `storage.drive-health`, if it changes.
    RecordDriveHealth {
        /// The drive.
        drive: DriveId,
        /// What it is from now on.
        now: DriveHealthRow,
    },
    /// Gives a member of an account another name, and replaces its document. Its id, keys and creation stay. Refused with
    /// [`Refusal::NoSuchUser`] for an account, [`Refusal::UserExists`] if the name is another's, and
    /// [`Refusal::Superseded`] if the document is another than was read. Leaf `user.change`.
    RenameUser {
        /// The user's name.
        user: String,
        /// What it becomes.
        new_name: String,
        /// BLAKE3 of the document that was read.
        expected_digest: [u8; 32],
        /// The document to store.
        #[serde(with = "serde_bytes")]
        document: Vec<u8>,
    },
}

/// What [`Op::ChangeVersion`] replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VersionChange {
    /// Its tags, sealed; empty removes them.
    Tags(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Its retention; `None` removes it.
    Retention {
        /// What it becomes.
        retention: Option<Retention>,
        /// The caller may bypass governance retention and said so.
        bypass_governance: bool,
    },
    /// Its legal hold.
    LegalHold(bool),
    /// Its grants; empty is the default.
    Acl(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// What every leaf of the `cycle` log says of where it was made.
///
/// It is state and not configuration: a replayed entry must give the leaf that was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalIdentity {
    /// Origin of the log, as its checkpoints name it.
    pub origin: String,
    /// The tenant.
    pub tenant: String,
    /// The node that takes the requests.
    pub node: String,
}

/// A condition on the current version, evaluated at apply. A delete marker is no version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteCondition {
    /// Always holds.
    None,
    /// `If-None-Match: *`: there is no current version.
    IfAbsent,
    /// `If-Match: "etag"`: there is one, with this ETag (without quotes).
    IfMatch(String),
    /// `If-Match: *`: there is one.
    IfPresent,
    /// There is one, and each of these that is named is so.
    IfIs {
        /// Without quotes.
        etag: Option<String>,
        /// Whole seconds of Unix time.
        modified_s: Option<u64>,
        /// Plaintext bytes.
        size_bytes: Option<u64>,
    },
    /// `If-None-Match: "etag"`: there is none with this ETag (without quotes).
    IfNotMatch(String),
}

/// What a refused modification tried to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attempt {
    /// A write over the object.
    Modify,
    /// A removal.
    Delete,
}

/// A shard that a degraded write left to be healed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingShard {
    /// The stripe.
    pub stripe: StripeId,
    /// 0..k+m.
    pub shard_index: u8,
}

/// The table of placement groups: each an ordered list of k+m drives, shard `i` on the `i`-th.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Counts up from 1.
    pub version: u32,
    /// Data columns.
    pub k: u8,
    /// Parity columns.
    pub m: u8,
    /// At least one group.
    pub groups: Vec<Vec<DriveId>>,
}
