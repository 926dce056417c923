//! Reads of the namespace, as the server asks for them.
//!
//! Cheap ones are plain functions; those that may scan are async and run beside the runtime's threads. All fail with
//! the index's errors only, and one that finds the index damaged has it mended.

use std::sync::Arc;

use tokio::sync::watch;

use super::Engine;
use crate::error::{StateError, StorageError, chain};
use crate::ids::{BucketId, StripeId, UploadId, VersionId};
use crate::meta::MetaReads;
use crate::namespace::bucket_config::{BucketConfigKind, BucketConfigRow};
use crate::namespace::notification::{EventPlace, EventQueue, EventRow};
use crate::namespace::query::{
    AccountUsage, BucketPage, BucketQuery, BucketUsage, ListPage, ListQuery, UploadPage, UploadQuery, VersionPage,
    VersionQuery,
};
use crate::namespace::rows::{AccessKeyRow, BucketRow, OwnedRun, PartRow, UploadRow, UserRow, VersionRow};
use crate::state::kv::KvError;
use crate::state::{StaleUpload, StateMachine};

impl Engine {
    /// A bucket by name.
    pub fn bucket(&self, name: &str) -> Result<Option<BucketRow>, StorageError> {
        self.read(|rows| rows.bucket(name))
    }

    /// All buckets, by name.
    pub fn buckets(&self) -> Result<Vec<BucketRow>, StorageError> {
        self.read(MetaReads::buckets)
    }

    /// A page of buckets, of one owner or of all: it costs what it returns.
    ///
    /// # Errors
    /// The index's.
    pub fn list_buckets(&self, query: &BucketQuery) -> Result<BucketPage, StorageError> {
        self.read(|rows| rows.list_buckets(query))
    }

    /// What an account holds in all its buckets, and what it may hold, by canonical id.
    ///
    /// # Errors
    /// The index's.
    pub fn account_usage(&self, id: &str) -> Result<AccountUsage, StorageError> {
        self.read(|rows| rows.account_usage(id))
    }

    /// What a bucket holds.
    pub fn bucket_usage(&self, name: &str) -> Result<Option<BucketUsage>, StorageError> {
        self.read(|rows| rows.bucket_usage(name))
    }

    /// A document of a bucket: one point look-up.
    pub fn bucket_config(
        &self,
        bucket: BucketId,
        kind: BucketConfigKind,
    ) -> Result<Option<BucketConfigRow>, StorageError> {
        self.read(|rows| rows.bucket_config(bucket, kind))
    }

    /// Counts up whenever a document of any bucket changed: what was read since this number was taken
    /// is current as long as the number stays.
    pub fn bucket_config_changes(&self) -> u64 {
        self.machine.config_changes()
    }

    /// What waits for each target of notifications that ever had an event.
    pub fn event_queues(&self) -> Result<Vec<EventQueue>, StorageError> {
        self.read(|rows| rows.event_queues())
    }

    /// Events that wait for a target, oldest first, after a place; at most `limit`.
    pub fn events(
        &self,
        target: &str,
        after: Option<EventPlace>,
        limit: usize,
    ) -> Result<Vec<(EventPlace, EventRow)>, StorageError> {
        self.read(|rows| rows.events(target, after, limit))
    }

    /// Changes whenever events were queued or taken out, once that can be read.
    pub fn event_changes(&self) -> watch::Receiver<u64> {
        self.machine.event_changes()
    }

    /// The current version of an object: two point look-ups. It may be a delete marker: then there is no object.
    pub fn current(&self, bucket: BucketId, key: &str) -> Result<Option<VersionRow>, StorageError> {
        self.read(|rows| rows.current(bucket, key))
    }

    /// One version of an object.
    pub fn version(&self, bucket: BucketId, key: &str, id: VersionId) -> Result<Option<VersionRow>, StorageError> {
        self.read(|rows| rows.version(bucket, key, id))
    }

    /// A page of current objects.
    pub async fn list_objects(self: &Arc<Self>, query: ListQuery) -> Result<ListPage, StorageError> {
        self.scan(move |rows| rows.list_objects(&query)).await
    }

    /// A page of versions and delete markers, all of one moment.
    pub async fn list_versions(self: &Arc<Self>, query: VersionQuery) -> Result<VersionPage, StorageError> {
        self.scan(move |rows| rows.list_versions(&query)).await
    }

    /// An upload in progress.
    pub fn upload(&self, bucket: BucketId, key: &str, upload: UploadId) -> Result<Option<UploadRow>, StorageError> {
        self.read(|rows| rows.upload(bucket, key, upload))
    }

    /// Parts of an upload with a number over `after`, and whether there are more than `limit`.
    pub async fn parts(
        self: &Arc<Self>,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> Result<(Vec<PartRow>, bool), StorageError> {
        let key = key.to_owned();
        self.scan(move |rows| rows.parts(bucket, &key, upload, after, limit)).await
    }

    /// A page of uploads in progress.
    pub async fn list_uploads(self: &Arc<Self>, query: UploadQuery) -> Result<UploadPage, StorageError> {
        self.scan(move |rows| rows.list_uploads(&query)).await
    }

    /// The run that a stripe belongs to and who owns it; `None` only when nobody does.
    ///
    /// # Errors
    /// Whatever keeps it from telling: what cannot be read is never "nobody".
    pub fn run_owner(&self, stripe: StripeId) -> Result<Option<OwnedRun>, StorageError> {
        self.read(|rows| rows.run_owner(stripe))
    }

    /// Up to `limit` uploads of all buckets that were begun at or before `until_us` (Unix time in
    /// microseconds), with what they hold; true if there are more.
    pub async fn uploads_begun_until(
        self: &Arc<Self>,
        until_us: u64,
        limit: usize,
    ) -> Result<(Vec<StaleUpload>, bool), StorageError> {
        self.scan(move |rows| rows.uploads_begun_until(until_us, limit)).await
    }

    /// All users, by name.
    pub fn users(&self) -> Result<Vec<UserRow>, StorageError> {
        self.read(MetaReads::users)
    }

    /// A user by name.
    pub fn user(&self, name: &str) -> Result<Option<UserRow>, StorageError> {
        self.read(|rows| rows.user(name))
    }

    /// The user who has an access key, and the key.
    pub fn user_by_access_key(&self, id: &str) -> Result<Option<(UserRow, AccessKeyRow)>, StorageError> {
        self.read(|rows| rows.user_by_access_key(id))
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&StateMachine) -> Result<T, StateError>) -> Result<T, StorageError> {
        read(&self.machine).map_err(|error| self.note(error))
    }

    async fn scan<T: Send + 'static>(
        self: &Arc<Self>,
        scan: impl FnOnce(&StateMachine) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let engine = self.clone();
        let joined = tokio::task::spawn_blocking(move || engine.read(scan)).await;
        joined.map_err(|error| StorageError::Unavailable { why: format!("a listing was interrupted: {error}") })?
    }

    /// An index whose files are damaged is mended from the checkpoint, or rebuilt at the next start; no checkpoint
    /// is taken of it meanwhile. One that contradicts itself stops writes at once.
    fn note(&self, error: StateError) -> StorageError {
        match &error {
            StateError::Kv(KvError::Corruption { detail, .. }) => {
                tracing::error!(detail, "the index is damaged");
                self.solo.rebuild_at_next_start(detail);
                self.mender.index_is_damaged();
            }
            other if other.is_corruption() => {
                tracing::error!(error = chain(other), "the index is damaged");
                self.solo.index_is_damaged(&chain(other));
            }
            _ => {}
        }
        error.into()
    }
}
