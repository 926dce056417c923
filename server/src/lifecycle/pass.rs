//! One pass over a bucket: pages of its listings, within a budget.

use std::sync::Arc;
use std::time::Duration;

use chartrier_storage::ids::VersionId;
use chartrier_storage::namespace::lock::Versioning;
use chartrier_storage::namespace::query::{ListEntry, ListQuery, UploadEntry, UploadQuery, VersionEntry, VersionQuery};
use chartrier_storage::namespace::rows::{BucketRow, ObjectSummary};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{remove, tags_of};
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::settings::lifecycle::{Facts, Lifecycle, NoncurrentAge};

/// Keys of one page.
const PAGE: usize = 500;
/// Removals proposed at once: few enough not to be felt among requests.
const CONCURRENT_MAX: usize = 16;

/// What a pass came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) seen: u64,
    pub(super) removed: u64,
}

/// Looks at every version and upload that a rule may be about, and removes what is due.
pub(super) async fn over_bucket(app: &Arc<App>, bucket: &BucketRow, rules: &Arc<Lifecycle>) -> Result<Done, S3Error> {
    let bucket = Arc::new(bucket.clone());
    let mut pass = Pass { app, bucket, rules, done: Done::default(), running: JoinSet::new() };
    for prefix in rules.prefixes() {
        if pass.bucket.versioning == Versioning::Unversioned {
            pass.over_objects(prefix).await?;
        } else {
            pass.over_versions(prefix).await?;
        }
        if rules.wants_uploads() {
            pass.over_uploads(prefix).await?;
        }
    }
    while !pass.running.is_empty() {
        pass.settle().await?;
    }
    Ok(pass.done)
}

struct Pass<'a> {
    app: &'a Arc<App>,
    bucket: Arc<BucketRow>,
    rules: &'a Arc<Lifecycle>,
    done: Done,
    running: JoinSet<Result<bool, S3Error>>,
}

/// Where a walk over versions is within one key.
struct Walk {
    key: String,
    /// When the version just seen was made: the next one ceased to be current then.
    newer_since_us: u64,
    /// Noncurrent versions seen.
    noncurrent: u32,
    /// A delete marker that is current, as long as nothing was seen below it.
    lone_marker: Option<ObjectSummary>,
}

impl Pass<'_> {
    async fn over_objects(&mut self, prefix: &str) -> Result<(), S3Error> {
        let mut after = None;
        loop {
            let began = Instant::now();
            let prefix = prefix.to_owned();
            let query = ListQuery { bucket: self.bucket.id, prefix, delimiter: None, after, limit: PAGE };
            let page = self.app.engine.list_objects(query).await?;
            let seen = page.entries.len();
            for entry in page.entries {
                if let ListEntry::Object { key, summary } = entry {
                    self.expire_if_due(&key, summary).await?;
                }
            }
            self.rest(began, seen).await;
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn over_versions(&mut self, prefix: &str) -> Result<(), S3Error> {
        let mut walk: Option<Walk> = None;
        let mut after = None;
        loop {
            let began = Instant::now();
            let prefix = prefix.to_owned();
            let query = VersionQuery { bucket: self.bucket.id, prefix, delimiter: None, after, limit: PAGE };
            let page = self.app.engine.list_versions(query).await?;
            let seen = page.entries.len();
            for entry in page.entries {
                let VersionEntry::Version { key, is_latest, summary } = entry else { continue };
                if is_latest || walk.as_ref().is_none_or(|walk| walk.key != key) {
                    self.end_of_key(walk.take()).await?;
                    walk = Some(self.newest_of_key(key, summary).await?);
                } else if let Some(walk) = &mut walk {
                    self.older_of_key(walk, summary).await?;
                }
            }
            self.rest(began, seen).await;
            after = page.next;
            if after.is_none() {
                return self.end_of_key(walk).await;
            }
        }
    }

    /// The current version or marker of a key.
    async fn newest_of_key(&mut self, key: String, summary: ObjectSummary) -> Result<Walk, S3Error> {
        let newer_since_us = summary.modified_us;
        let lone_marker = summary.delete_marker.then(|| summary.clone());
        if !summary.delete_marker {
            self.expire_if_due(&key, summary).await?;
        }
        Ok(Walk { key, newer_since_us, noncurrent: 0, lone_marker })
    }

    /// A version or marker that is current no more.
    async fn older_of_key(&mut self, walk: &mut Walk, summary: ObjectSummary) -> Result<(), S3Error> {
        walk.lone_marker = None;
        let age = NoncurrentAge { since_us: walk.newer_since_us, newer: walk.noncurrent };
        walk.newer_since_us = summary.modified_us;
        walk.noncurrent += 1;
        let tags = self.tags(&walk.key, &summary)?;
        let facts = Facts { key: &walk.key, size_bytes: summary.size_bytes, tags: &tags };
        let clockwork = self.app.config.lifecycle.clockwork();
        if self.rules.noncurrent_is_due(&facts, age, clockwork, self.app.now_us()) {
            self.destroy(walk.key.clone(), summary.version_id).await?;
        }
        Ok(())
    }

    async fn end_of_key(&mut self, walk: Option<Walk>) -> Result<(), S3Error> {
        let Some(Walk { key, lone_marker: Some(marker), .. }) = walk else { return Ok(()) };
        let clockwork = self.app.config.lifecycle.clockwork();
        if self.rules.lone_marker_is_due(&key, marker.modified_us, clockwork, self.app.now_us()) {
            self.destroy(key, marker.version_id).await?;
        }
        Ok(())
    }

    async fn destroy(&mut self, key: String, version: VersionId) -> Result<(), S3Error> {
        let (app, bucket) = (Arc::clone(self.app), Arc::clone(&self.bucket));
        self.start(async move { remove::version(&app, &bucket, key, version).await }).await
    }

    async fn expire_if_due(&mut self, key: &str, summary: ObjectSummary) -> Result<(), S3Error> {
        let tags = self.tags(key, &summary)?;
        let facts = Facts { key, size_bytes: summary.size_bytes, tags: &tags };
        let expiry = self.rules.expiry(&facts, summary.modified_us, self.app.config.lifecycle.clockwork());
        if expiry.is_none_or(|expiry| expiry.at_s > self.app.now_us() / 1_000_000) {
            return Ok(());
        }
        let (app, bucket, key) = (Arc::clone(self.app), Arc::clone(&self.bucket), key.to_owned());
        self.start(async move { remove::current(&app, &bucket, key, summary).await }).await
    }

    /// The tags of a version, if a rule that may be about it asks for them.
    fn tags(&self, key: &str, summary: &ObjectSummary) -> Result<Vec<(String, String)>, S3Error> {
        if !self.rules.wants_tags_of(key, summary.size_bytes) {
            return Ok(Vec::new());
        }
        let row = self.app.engine.version(self.bucket.id, key, summary.version_id)?;
        row.map_or(Ok(Vec::new()), |row| tags_of(self.app, self.bucket.id, key, &row))
    }

    async fn over_uploads(&mut self, prefix: &str) -> Result<(), S3Error> {
        let clockwork = self.app.config.lifecycle.clockwork();
        let mut after = None;
        loop {
            let began = Instant::now();
            let prefix = prefix.to_owned();
            let query = UploadQuery { bucket: self.bucket.id, prefix, delimiter: None, after, limit: PAGE };
            let page = self.app.engine.list_uploads(query).await?;
            let seen = page.entries.len();
            let now_s = self.app.now_us() / 1_000_000;
            for entry in page.entries {
                let UploadEntry::Upload { key, row } = entry else { continue };
                let due = self.rules.abort_at(&key, row.initiated_us, clockwork);
                if due.is_some_and(|due| due.at_s <= now_s) {
                    let (app, bucket) = (Arc::clone(self.app), Arc::clone(&self.bucket));
                    self.start(async move { remove::upload(&app, &bucket, key, row.id).await }).await?;
                }
            }
            self.rest(began, seen).await;
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Runs a removal beside at most a few others.
    async fn start(
        &mut self,
        removal: impl Future<Output = Result<bool, S3Error>> + Send + 'static,
    ) -> Result<(), S3Error> {
        if self.running.len() >= CONCURRENT_MAX {
            self.settle().await?;
        }
        self.running.spawn(removal);
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), S3Error> {
        if let Some(joined) = self.running.join_next().await
            && joined.map_err(S3Error::internal)??
        {
            self.done.removed += 1;
            self.app.metrics.lifecycle_removed.inc();
        }
        Ok(())
    }

    /// Waits so long that no more keys are looked at in a second than the configuration allows.
    async fn rest(&mut self, began: Instant, seen: usize) {
        self.done.seen += seen as u64;
        let rate = self.app.config.lifecycle.keys_per_second.max(1);
        let due = Duration::from_micros((seen as u64).saturating_mul(1_000_000) / rate);
        tokio::time::sleep_until(began + due).await;
    }
}
