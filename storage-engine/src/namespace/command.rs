//! The commands that the log carries, and what applying one answers.
//!
//! Applying is deterministic: ids, times and random values are in the command. A precondition is
//! evaluated at apply, never before, so that of two racing commands exactly one holds.

use serde::{Deserialize, Serialize};

use super::bucket_config::BucketConfigKind;
use super::integrity::{Corruption, Repair, ScrubPass};
use super::rows::{BucketRow, PartRow, StripeRun, UploadRow, UserRow, VersionRow};
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
    /// Makes a version current; what it replaces dies in the same entry. Leaf `object.deposit`,
    /// or `object.modify.refused` when the condition fails on an existing object.
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
    /// Replaces metadata and wrap of the current version and keeps its stripes. Leaf `metadata.change`.
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
    },
    /// Removes a version. Leaf `object.delete`; none if there was nothing; `delete.refused` when the
    /// condition fails on an existing object.
    DeleteVersion {
        /// The bucket.
        bucket: BucketId,
        /// The object.
        key: String,
        /// Which version; `None` is the current one.
        version_id: Option<VersionId>,
        /// Evaluated at apply.
        condition: WriteCondition,
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
    CreateUser(UserRow),
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

/// A condition on the current version, evaluated at apply.
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

/// What applying a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The log entry that carried it.
    pub commit_index: u64,
    /// The leaf it made in the `cycle` log, if it made one.
    pub leaf_index: Option<u64>,
    /// What happened.
    pub outcome: Outcome,
    /// Stripes that lost their owner by this command: the caller frees them (idempotent, replayable).
    /// Those of a refused `PutVersion` or `PutPart` are among them, unless something owns them already.
    pub freed: Vec<StripeRun>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The change holds.
    Done,
    /// A version was removed, or there was none.
    Deleted {
        /// Whether there was one.
        existed: bool,
    },
    /// Nothing changed but the journal.
    Refused(Refusal),
}

/// Why apply refused a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The bucket is gone.
    NoSuchBucket,
    /// The name is taken by a bucket of this owner.
    BucketExists {
        /// Its owner.
        owner: String,
    },
    /// It still holds a version or an upload.
    BucketNotEmpty,
    /// There is no such object to rewrap or to match.
    NoSuchKey,
    /// The condition does not hold.
    PreconditionFailed,
    /// The version that was read is no longer current: read again and retry.
    Superseded,
    /// The upload is gone: completed or aborted.
    NoSuchUpload,
    /// A part changed since it was read: read again and retry.
    PartsChanged,
    /// A key, a part number or the row is over a limit.
    TooLarge,
    /// The user does not exist.
    NoSuchUser,
    /// The user name or access key id is taken.
    UserExists,
    /// The user is root, or owns buckets.
    UserInUse,
    /// The access key does not exist.
    NoSuchAccessKey,
    /// The checkpoint is not of the tree, or is older than the last.
    CheckpointRefused,
    /// The layout is not the next version, or is not well formed.
    LayoutRefused,
    /// The journal has a name already, or the name is not that of a log.
    JournalRefused,
}
