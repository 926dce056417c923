//! Buckets: made, set to keep versions or to lock them, and removed when empty.

use std::collections::BTreeMap;

use chartrier_journal::Json;

use super::super::journal::{Event, EventType, bucket_target, default_retention_data};
use super::super::keys;
use super::super::rows::{BucketStats, OwnedBucketRow};
use super::{Effects, Entry, Refusal, SMALL_ROW_BYTES_MAX, StateError, Transition};
use crate::ids::BucketId;
use crate::namespace::lock::{DefaultRetention, ObjectLock, Versioning};
use crate::namespace::rows::BucketRow;

impl Transition<'_> {
    pub(super) fn create_bucket(&mut self, entry: Entry<'_>, row: &BucketRow) -> Result<Effects, StateError> {
        let name_key = keys::bucket_name(&row.name);
        if let Some(taken) = self.rows.row::<BucketRow>(keys::BKT, &name_key)? {
            return Ok(Effects::refused(Refusal::BucketExists { owner: taken.owner }));
        }
        if self.stats(row.id)?.is_some() {
            return Ok(Effects::refused(Refusal::BucketExists { owner: row.owner.clone() }));
        }
        if row.name.is_empty() || row.name.len() + row.owner.len() + row.region.len() > BUCKET_TEXT_BYTES_MAX {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        if row.object_lock.is_some() && row.versioning != Versioning::Enabled {
            return Ok(Effects::refused(Refusal::InvalidBucketState));
        }
        let mut data = [("class".to_owned(), "standard".into())].into();
        if let Some(lock) = &row.object_lock {
            default_retention_data(&mut data, lock.default_retention);
        }
        let event = Event { kind: EventType::BucketCreate, target: bucket_target(row.id), refused: None, data };
        let leaf = self.leaf(entry, event)?;
        self.rows.put_row(keys::BKT, name_key, row);
        let owned = OwnedBucketRow { created_us: row.created_us, region: row.region.clone() };
        self.rows.put_row(keys::BKT, keys::owned_bucket(&row.owner, &row.name), &owned);
        self.count_buckets(&row.owner, |count| count.saturating_add(1))?;
        self.put_stats(row.id, &BucketStats { name: row.name.clone(), versions: 0, bytes: 0, uploads: 0 });
        self.touched_buckets.push(row.name.clone());
        Ok(Effects::done(leaf))
    }

    pub(super) fn set_versioning(
        &mut self,
        entry: Entry<'_>,
        bucket: BucketId,
        versioning: Versioning,
    ) -> Result<Effects, StateError> {
        let Some((mut row, _)) = self.bucket(bucket)? else {
            return Ok(Effects::refused(Refusal::NoSuchBucket));
        };
        let status = match versioning {
            Versioning::Enabled => "enabled",
            Versioning::Suspended if row.object_lock.is_none() => "suspended",
            Versioning::Suspended | Versioning::Unversioned => {
                return Ok(Effects::refused(Refusal::InvalidBucketState));
            }
        };
        if row.versioning == versioning {
            return Ok(Effects::done(None));
        }
        row.versioning = versioning;
        let data = [("versioning".to_owned(), status.into())].into();
        self.put_bucket(entry, row, EventType::BucketVersioning, data)
    }

    pub(super) fn set_object_lock(
        &mut self,
        entry: Entry<'_>,
        bucket: BucketId,
        default_retention: Option<DefaultRetention>,
    ) -> Result<Effects, StateError> {
        let Some((mut row, _)) = self.bucket(bucket)? else {
            return Ok(Effects::refused(Refusal::NoSuchBucket));
        };
        if row.versioning != Versioning::Enabled {
            return Ok(Effects::refused(Refusal::InvalidBucketState));
        }
        row.object_lock = Some(ObjectLock { default_retention });
        let mut data = BTreeMap::new();
        default_retention_data(&mut data, default_retention);
        self.put_bucket(entry, row, EventType::BucketLock, data)
    }

    fn put_bucket(
        &mut self,
        entry: Entry<'_>,
        row: BucketRow,
        kind: EventType,
        data: BTreeMap<String, Json>,
    ) -> Result<Effects, StateError> {
        let leaf = self.leaf(entry, Event { kind, target: bucket_target(row.id), refused: None, data })?;
        self.rows.put_row(keys::BKT, keys::bucket_name(&row.name), &row);
        self.touched_buckets.push(row.name);
        Ok(Effects::done(leaf))
    }

    pub(super) fn delete_bucket(&mut self, entry: Entry<'_>, name: &str) -> Result<Effects, StateError> {
        let name_key = keys::bucket_name(name);
        let Some(row) = self.rows.row::<BucketRow>(keys::BKT, &name_key)? else {
            return Ok(Effects::refused(Refusal::NoSuchBucket));
        };
        let stats = self.stats(row.id)?.ok_or(StateError::Inconsistent { what: "a bucket has no counters" })?;
        if stats.versions != 0 || stats.uploads != 0 {
            return Ok(Effects::refused(Refusal::BucketNotEmpty));
        }
        let event = Event {
            kind: EventType::BucketDelete,
            target: bucket_target(row.id),
            refused: None,
            data: Default::default(),
        };
        let leaf = self.leaf(entry, event)?;
        self.rows.delete(keys::BKT, name_key);
        self.rows.delete(keys::BKT, keys::bucket_id(row.id));
        self.rows.delete(keys::BKT, keys::owned_bucket(&row.owner, &row.name));
        self.count_buckets(&row.owner, |count| count.saturating_sub(1))?;
        self.drop_bucket_configs(row.id)?;
        self.touched_buckets.push(row.name);
        Ok(Effects::done(leaf))
    }
}

/// Name, owner and region of a bucket together; its row stays far below its limit.
const BUCKET_TEXT_BYTES_MAX: usize = 4 << 10;
const _: () = assert!(BUCKET_TEXT_BYTES_MAX < SMALL_ROW_BYTES_MAX);
