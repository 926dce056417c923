//! What applying a command answers.

use crate::ids::VersionId;
use crate::namespace::rows::StripeRun;

/// What applying a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The log entry that carried it.
    pub commit_index: u64,
    /// The leaf it made in the `cycle` log, if it made one.
    pub leaf_index: Option<u64>,
    /// What happened.
    pub outcome: Outcome,
    /// The version or marker that it made.
    pub version_id: Option<VersionId>,
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
        /// The delete marker that was made, or that was the version removed.
        marker: Option<VersionId>,
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
    /// The owner of the bucket would hold more than it may.
    QuotaExceeded,
    /// The checkpoint is not of the tree, or is older than the last.
    CheckpointRefused,
    /// The layout is not the next version, or is not well formed.
    LayoutRefused,
    /// The table of drives is not the next one, or breaks a rule: read it again.
    DrivesRefused,
    /// The journal has a name already, or the name is not that of a log.
    JournalRefused,
    /// There is no such version.
    NoSuchVersion,
    /// It is a delete marker, which has nothing to change.
    IsDeleteMarker,
    /// A retention or a legal hold forbids it.
    Locked,
    /// The bucket has no object lock.
    NoObjectLock,
    /// Object lock needs versioning enabled.
    InvalidBucketState,
    /// Versioning was enabled since the bucket was read: ask again with a marker.
    VersioningChanged,
}
