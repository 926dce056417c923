//! Documents of a bucket: set, replaced, removed.

use std::collections::BTreeMap;

use chartrier_journal::Json;

use super::super::journal::{Event, EventType, bucket_target, hex};
use super::super::keys;
use super::super::kv::prefix_end;
use super::{Effects, Entry, Refusal, StateError, Transition};
use crate::ids::BucketId;
use crate::namespace::bucket_config::{BucketConfigKind, BucketConfigRow};

impl Transition<'_> {
    pub(super) fn set_bucket_config(
        &mut self,
        entry: Entry<'_>,
        bucket: BucketId,
        kind: BucketConfigKind,
        document: Option<&[u8]>,
    ) -> Result<Effects, StateError> {
        if kind == BucketConfigKind::Notification {
            // Rules that apply itself reads come by a command of their own.
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        self.store_bucket_config(entry, bucket, kind, document)
    }

    /// Replaces or removes a document, and leaves its leaf.
    pub(super) fn store_bucket_config(
        &mut self,
        entry: Entry<'_>,
        bucket: BucketId,
        kind: BucketConfigKind,
        document: Option<&[u8]>,
    ) -> Result<Effects, StateError> {
        if self.stats(bucket)?.is_none() {
            return Ok(Effects::refused(Refusal::NoSuchBucket));
        }
        if document.is_some_and(|document| document.len() > kind.document_bytes_max()) {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let key = keys::bucket_config(bucket, kind);
        let before: Option<BucketConfigRow> = self.rows.row(keys::CFG, &key)?;
        if before.is_none() && document.is_none() {
            return Ok(Effects::done(None));
        }
        let before = before.map(|row| row.document);
        let data = config_data(kind, before.as_deref(), document);
        let event = Event { kind: EventType::BucketConfig, target: bucket_target(bucket), refused: None, data };
        let leaf = self.leaf(entry, event)?;
        match document {
            None => self.rows.delete(keys::CFG, key),
            Some(document) => {
                let row = BucketConfigRow {
                    document: document.to_vec(),
                    changed_us: entry.context.time_us,
                    commit_index: entry.index,
                };
                self.rows.put_row(keys::CFG, key, &row);
            }
        }
        self.touched_configs = true;
        if kind == BucketConfigKind::Notification {
            let (were, are) = (u64::from(before.is_some()), u64::from(document.is_some()));
            self.memory.head.notifying = (self.memory.head.notifying + are).saturating_sub(were);
        }
        Ok(Effects::done(leaf))
    }

    /// A bucket's documents go with it.
    pub(super) fn drop_bucket_configs(&mut self, bucket: BucketId) -> Result<(), StateError> {
        let prefix = bucket.as_bytes();
        for key in self.rows.collect(keys::CFG, prefix, prefix_end(prefix).as_deref())?.into_keys() {
            if key.last() == Some(&BucketConfigKind::Notification.byte()) {
                self.memory.head.notifying = self.memory.head.notifying.saturating_sub(1);
            }
            self.rows.delete(keys::CFG, key);
            self.touched_configs = true;
        }
        Ok(())
    }
}

/// `data` of `bucket.config`: which kind, and digests of the documents before and after, null for none.
fn config_data(kind: BucketConfigKind, before: Option<&[u8]>, after: Option<&[u8]>) -> BTreeMap<String, Json> {
    let digest =
        |document: Option<&[u8]>| document.map_or(Json::Null, |bytes| hex(blake3::hash(bytes).as_bytes()).into());
    BTreeMap::from([
        ("config".to_owned(), kind.name().into()),
        ("digest_before".to_owned(), digest(before)),
        ("digest_after".to_owned(), digest(after)),
    ])
}
