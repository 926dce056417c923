//! The metadata plane: commands go in, in one order, and rows are read back.
//!
//! Two engines: `Solo` (mirrored log and state machine) and [`model::Model`] (maps in memory, the
//! reference). One suite, `meta/suite.rs`, holds for both.

pub mod model;
#[cfg(test)]
pub(crate) mod suite;

use std::future::Future;

use crate::error::{MetaError, StateError};
use crate::ids::{BucketId, StripeId, UploadId, VersionId};
use crate::namespace::bucket_config::{BucketConfigKind, BucketConfigRow};
use crate::namespace::command::{Applied, Command, Layout};
use crate::namespace::drives::DriveTable;
use crate::namespace::notification::{EventPlace, EventQueue, EventRow};
use crate::namespace::query::{
    AccountUsage, BucketPage, BucketQuery, BucketUsage, ListPage, ListQuery, UploadPage, UploadQuery, VersionPage,
    VersionQuery,
};
use crate::namespace::rows::{AccessKeyRow, BucketRow, OwnedRun, PartRow, UploadRow, UserRow, VersionRow};

/// An engine that orders and applies commands.
pub trait MetaEngine: Send + Sync {
    /// Its rows.
    type Reads: MetaReads;

    /// Makes a command durable, applies it, and answers what it did.
    ///
    /// When this returns `Ok`, every later read sees the change and it survives a crash. On an
    /// error the command may or may not hold after the next start; dropping the future does not
    /// take it back.
    fn propose(&self, command: Command) -> impl Future<Output = Result<Applied, MetaError>> + Send;

    /// The rows as of the last command that was answered, or later.
    fn reads(&self) -> &Self::Reads;
}

/// Reads of the namespace.
pub trait MetaReads: Send + Sync {
    /// A bucket by name.
    fn bucket(&self, name: &str) -> Result<Option<BucketRow>, StateError>;
    /// All buckets, by name.
    fn buckets(&self) -> Result<Vec<BucketRow>, StateError>;
    /// A page of buckets.
    fn list_buckets(&self, query: &BucketQuery) -> Result<BucketPage, StateError>;
    /// What a bucket holds.
    fn bucket_usage(&self, name: &str) -> Result<Option<BucketUsage>, StateError>;
    /// What an account holds in all its buckets, by canonical id: one point look-up.
    fn account_usage(&self, id: &str) -> Result<AccountUsage, StateError>;
    /// A document of a bucket: one point look-up.
    fn bucket_config(&self, bucket: BucketId, kind: BucketConfigKind) -> Result<Option<BucketConfigRow>, StateError>;
    /// The current version of an object. It may be a delete marker: then there is no object.
    fn current(&self, bucket: BucketId, key: &str) -> Result<Option<VersionRow>, StateError>;
    /// One version of an object.
    fn version(&self, bucket: BucketId, key: &str, version: VersionId) -> Result<Option<VersionRow>, StateError>;
    /// A page of current objects.
    fn list_objects(&self, query: &ListQuery) -> Result<ListPage, StateError>;
    /// A page of versions and delete markers.
    fn list_versions(&self, query: &VersionQuery) -> Result<VersionPage, StateError>;
    /// An upload in progress.
    fn upload(&self, bucket: BucketId, key: &str, upload: UploadId) -> Result<Option<UploadRow>, StateError>;
    /// Parts of an upload with a number over `after`, and whether there are more than `limit`.
    fn parts(
        &self,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> Result<(Vec<PartRow>, bool), StateError>;
    /// A page of uploads in progress.
    fn list_uploads(&self, query: &UploadQuery) -> Result<UploadPage, StateError>;
    /// The run that a stripe belongs to and who owns it; `None` only when nobody does.
    ///
    /// # Errors
    /// Whatever keeps it from telling: what cannot be read is never "nobody".
    fn run_owner(&self, stripe: StripeId) -> Result<Option<OwnedRun>, StateError>;
    /// What waits for each target that ever had an event, by name.
    fn event_queues(&self) -> Result<Vec<EventQueue>, StateError>;
    /// Events that wait for a target, oldest first, after a place; at most `limit`.
    fn events(
        &self,
        target: &str,
        after: Option<EventPlace>,
        limit: usize,
    ) -> Result<Vec<(EventPlace, EventRow)>, StateError>;
    /// All users, by name.
    fn users(&self) -> Result<Vec<UserRow>, StateError>;
    /// A user by name.
    fn user(&self, name: &str) -> Result<Option<UserRow>, StateError>;
    /// The user who has an access key, and the key.
    fn user_by_access_key(&self, access_key_id: &str) -> Result<Option<(UserRow, AccessKeyRow)>, StateError>;
    /// Which drives there are; version 0 before the first table.
    fn drive_table(&self) -> Result<DriveTable, StateError>;
    /// The newest layout.
    fn layout(&self) -> Result<Option<Layout>, StateError>;
    /// Leaves in the `cycle` log.
    fn journal_size(&self) -> u64;
    /// One encoded leaf.
    fn leaf(&self, index: u64) -> Result<Option<Vec<u8>>, StateError>;
    /// The last signed checkpoint.
    fn latest_checkpoint(&self) -> Result<Option<String>, StateError>;
}
