//! Reads of the namespace: point look-ups and short scans on the store.

use std::sync::Arc;

use super::keys;
use super::kv::{Family, ScanStep, prefix_end};
use super::list;
use super::list_buckets;
use super::machine::StateMachine;
use super::overlay::decode_row;
use super::rows::{AccountStats, BucketStats, CurrentRow, EventQueueRow, NameRow};
use super::runs::MALFORMED_RUN_KEY;
use crate::error::StateError;
use crate::ids::{BucketId, StripeId, UploadId, VersionId};
use crate::meta::MetaReads;
use crate::namespace::bucket_config::{BucketConfigKind, BucketConfigRow};
use crate::namespace::command::Layout;
use crate::namespace::drives::DriveTable;
use crate::namespace::encoding::Stored;
use crate::namespace::notification::{EventPlace, EventQueue, EventRow};
use crate::namespace::query::{
    AccountUsage, BucketPage, BucketQuery, BucketUsage, ListPage, ListQuery, UploadPage, UploadQuery, VersionPage,
    VersionQuery,
};
use crate::namespace::rows::{AccessKeyRow, BucketRow, OwnedRun, PartRow, RunOwner, UploadRow, UserRow, VersionRow};

impl StateMachine {
    /// All rows of a family whose keys start with `prefix`.
    fn rows_with_prefix<T: Stored>(&self, family: Family, prefix: &[u8]) -> Result<Vec<T>, StateError> {
        self.page_of_rows(family, (prefix, prefix_end(prefix).as_deref()), usize::MAX, |_, row| Ok(row))
    }
}

impl MetaReads for StateMachine {
    fn bucket(&self, name: &str) -> Result<Option<BucketRow>, StateError> {
        let began = match self.buckets.get(name) {
            Ok(row) => return Ok(Some((*row).clone())),
            Err(began) => began,
        };
        let row: Option<BucketRow> = self.row(keys::BKT, &keys::bucket_name(name))?;
        if let Some(row) = &row {
            self.buckets.keep(began, name, Arc::new(row.clone()));
        }
        Ok(row)
    }

    fn buckets(&self) -> Result<Vec<BucketRow>, StateError> {
        self.rows_with_prefix(keys::BKT, keys::BUCKET_NAMES)
    }

    fn list_buckets(&self, query: &BucketQuery) -> Result<BucketPage, StateError> {
        list_buckets::list_buckets(self.kv(), query)
    }

    fn bucket_usage(&self, name: &str) -> Result<Option<BucketUsage>, StateError> {
        let Some(bucket) = self.bucket(name)? else {
            return Ok(None);
        };
        let stats: Option<BucketStats> = self.row(keys::BKT, &keys::bucket_id(bucket.id))?;
        Ok(stats.map(|stats| BucketUsage {
            bucket,
            versions: stats.versions,
            bytes: stats.bytes,
            uploads: stats.uploads,
        }))
    }

    fn account_usage(&self, id: &str) -> Result<AccountUsage, StateError> {
        let stats: AccountStats = self.row(keys::USR, &keys::account(id))?.unwrap_or_default();
        let AccountStats { versions, bytes, quota, buckets } = stats;
        Ok(AccountUsage { versions, bytes, quota, buckets })
    }

    fn bucket_config(&self, bucket: BucketId, kind: BucketConfigKind) -> Result<Option<BucketConfigRow>, StateError> {
        self.row(keys::CFG, &keys::bucket_config(bucket, kind))
    }

    fn current(&self, bucket: BucketId, key: &str) -> Result<Option<VersionRow>, StateError> {
        // Two look-ups on a moving store: if the version named by `cur` is gone, `cur` has changed.
        // Each round needs another removal of the current version in between.
        for _ in 0..CURRENT_ROUNDS_MAX {
            let Some(current) = self.row::<CurrentRow>(keys::CUR, &keys::current(bucket, key))? else {
                return Ok(None);
            };
            if let Some(row) = self.version(bucket, key, current.summary.version_id)? {
                return Ok(Some(row));
            }
        }
        Err(StateError::Inconsistent { what: "a current object has no version row" })
    }

    fn version(&self, bucket: BucketId, key: &str, version: VersionId) -> Result<Option<VersionRow>, StateError> {
        self.row(keys::VER, &keys::version(bucket, key, version))
    }

    fn list_objects(&self, query: &ListQuery) -> Result<ListPage, StateError> {
        list::list_objects(self.kv(), query)
    }

    fn list_versions(&self, query: &VersionQuery) -> Result<VersionPage, StateError> {
        list::list_versions(self.kv(), query)
    }

    fn upload(&self, bucket: BucketId, key: &str, upload: UploadId) -> Result<Option<UploadRow>, StateError> {
        self.row(keys::UPL, &keys::upload(bucket, key, upload))
    }

    fn parts(
        &self,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> Result<(Vec<PartRow>, bool), StateError> {
        let whole = keys::upload(bucket, key, upload);
        let Some(first) = after.checked_add(1) else {
            return Ok((Vec::new(), false));
        };
        let from = keys::part(bucket, key, upload, first);
        let mut parts = Vec::new();
        let mut more = false;
        self.scan_rows(keys::PRT, &from, prefix_end(&whole).as_deref(), |_, row| {
            if parts.len() == limit {
                more = true;
                return Ok(ScanStep::Stop);
            }
            parts.push(row);
            Ok(ScanStep::Next)
        })?;
        Ok((parts, more))
    }

    fn list_uploads(&self, query: &UploadQuery) -> Result<UploadPage, StateError> {
        list::list_uploads(self.kv(), query)
    }

    fn run_owner(&self, stripe: StripeId) -> Result<Option<OwnedRun>, StateError> {
        let Some((key, value)) = self.kv().last_at_or_before(keys::STP, stripe.as_bytes())? else {
            return Ok(None);
        };
        let first = keys::stripe_of(&key).ok_or(MALFORMED_RUN_KEY)?;
        let owner: RunOwner = decode_row(keys::STP, &value)?;
        Ok(stripe.is_in_run(first, owner.count).then_some(OwnedRun { first, owner }))
    }

    fn event_queues(&self) -> Result<Vec<EventQueue>, StateError> {
        let until = prefix_end(keys::EVENT_QUEUES);
        self.page_of_rows(keys::EVT, (keys::EVENT_QUEUES, until.as_deref()), usize::MAX, |key, row| {
            let EventQueueRow { rows, bytes, dropped, .. } = row;
            let target = std::str::from_utf8(&key[keys::EVENT_QUEUES.len()..])
                .map_err(|_| StateError::Inconsistent { what: "the queue of a target has no name" })?;
            Ok(EventQueue { target: target.to_owned(), rows, bytes, dropped })
        })
    }

    fn events(
        &self,
        target: &str,
        after: Option<EventPlace>,
        limit: usize,
    ) -> Result<Vec<(EventPlace, EventRow)>, StateError> {
        let queue: EventQueueRow = self.row(keys::EVT, &keys::event_queue(target))?.unwrap_or_default();
        // Past what was taken out, which the store may still have to step over.
        let floor = queue.floor.max(after.unwrap_or_default());
        let from = [&keys::event(target, floor)[..], &[0]].concat();
        let until = prefix_end(&keys::events(target));
        self.page_of_rows(keys::EVT, (&from, until.as_deref()), limit, |key, row| {
            let place = keys::place_of_event(key);
            Ok((place.ok_or(StateError::Inconsistent { what: "the key of an event is malformed" })?, row))
        })
    }

    fn users(&self) -> Result<Vec<UserRow>, StateError> {
        self.rows_with_prefix(keys::USR, keys::USER_NAMES)
    }

    fn user(&self, name: &str) -> Result<Option<UserRow>, StateError> {
        self.row(keys::USR, &keys::user_name(name))
    }

    fn user_by_access_key(&self, access_key_id: &str) -> Result<Option<(UserRow, AccessKeyRow)>, StateError> {
        let began = match self.access_keys.get(access_key_id) {
            Ok(found) => return Ok(Some((*found).clone())),
            Err(began) => began,
        };
        let Some(NameRow(name)) = self.row(keys::USR, &keys::access_key(access_key_id))? else {
            return Ok(None);
        };
        // The user may go between the two look-ups: then the key is gone too.
        let Some(user) = self.user(&name)? else {
            return Ok(None);
        };
        let key = user.access_keys.iter().find(|key| key.access_key_id == access_key_id).cloned();
        let found = key.map(|key| (user, key));
        if let Some(found) = &found {
            self.access_keys.keep(began, access_key_id, Arc::new(found.clone()));
        }
        Ok(found)
    }

    fn drive_table(&self) -> Result<DriveTable, StateError> {
        StateMachine::drive_table(self)
    }

    fn layout(&self) -> Result<Option<Layout>, StateError> {
        self.layout_version(self.newest_layout_version())
    }

    fn journal_size(&self) -> u64 {
        self.leaf_count()
    }

    fn leaf(&self, index: u64) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.kv().get(keys::JRN, &index.to_be_bytes())?)
    }

    fn latest_checkpoint(&self) -> Result<Option<String>, StateError> {
        let Some(bytes) = self.kv().get(keys::SYS, keys::SYS_CHECKPOINT)? else {
            return Ok(None);
        };
        let note = String::from_utf8(bytes)
            .map_err(|_| StateError::Inconsistent { what: "the signed checkpoint is not text" })?;
        Ok(Some(note))
    }
}

/// How often `current` looks again when the version it was told of is gone.
const CURRENT_ROUNDS_MAX: usize = 100;
