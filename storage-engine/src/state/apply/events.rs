//! Events: queued in the entry of the change that they tell of, taken out once they were told.

use std::collections::BTreeSet;

use super::super::keys;
use super::super::kv::prefix_end;
use super::super::overlay::decode_row;
use super::super::rows::EventQueueRow;
use super::{Effects, Entry, Refusal, StateError, Transition};
use crate::ids::{BucketId, VersionId};
use crate::namespace::bucket_config::{BucketConfigKind, BucketConfigRow};
use crate::namespace::encoding::encode;
use crate::namespace::lock::Versioning;
use crate::namespace::notification::{
    EventName, EventPlace, EventRow, NotificationRule, Notifications, QUEUE_BYTES_MAX, QUEUE_ROWS_MAX,
    REMOVED_ROWS_MAX, RULES_MAX, is_target_name,
};
use crate::namespace::rows::{BucketRow, VersionRow};

/// Longest ETag that an event carries: S3's own have 38 bytes at most.
const ETAG_BYTES_MAX: usize = 128;
/// Longest id of a rule in bytes.
const RULE_ID_BYTES_MAX: usize = 1024;

/// What an event says of its object.
pub(super) struct About<'c> {
    pub(super) key: &'c str,
    pub(super) version_id: VersionId,
    /// The object, where there is one now.
    pub(super) row: Option<&'c VersionRow>,
}

impl Transition<'_> {
    /// Queues an event for each rule of the bucket that is about it.
    pub(super) fn notify(
        &mut self,
        entry: Entry<'_>,
        bucket: &BucketRow,
        event: EventName,
        about: &About<'_>,
    ) -> Result<(), StateError> {
        if self.memory.head.notifying == 0 {
            return Ok(());
        }
        let Some(notifications) = self.notifications(bucket.id)? else { return Ok(()) };
        for (number, rule) in (0..).zip(&notifications.rules) {
            if rule.is_about(event, about.key) {
                let row = event_row(entry, bucket, rule, event, about);
                self.queue_event(&rule.target, EventPlace { index: entry.index, number }, &row)?;
            }
        }
        Ok(())
    }

    pub(super) fn set_notifications(
        &mut self,
        entry: Entry<'_>,
        bucket: BucketId,
        notifications: &Notifications,
        test_events: bool,
    ) -> Result<Effects, StateError> {
        let Some((row, _)) = self.bucket(bucket)? else {
            return Ok(Effects::refused(Refusal::NoSuchBucket));
        };
        let fit = |rule: &NotificationRule| is_target_name(&rule.target) && rule.id.len() <= RULE_ID_BYTES_MAX;
        let document = encode(notifications);
        if notifications.rules.len() > RULES_MAX
            || document.len() > BucketConfigKind::Notification.document_bytes_max()
            || !notifications.rules.iter().all(fit)
        {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let document = (!notifications.rules.is_empty()).then_some(document);
        let effects = self.store_bucket_config(entry, bucket, BucketConfigKind::Notification, document.as_deref())?;
        if test_events {
            let mut told = BTreeSet::new();
            let about = About { key: "", version_id: VersionId::NULL, row: None };
            for (number, rule) in (0..).zip(&notifications.rules) {
                if told.insert(&rule.target) {
                    let event = event_row(entry, &row, rule, EventName::Test, &about);
                    self.queue_event(&rule.target, EventPlace { index: entry.index, number }, &event)?;
                }
            }
        }
        Ok(effects)
    }

    pub(super) fn remove_events(
        &mut self,
        target: &str,
        through: EventPlace,
        discard: bool,
    ) -> Result<Effects, StateError> {
        let mut queue = self.event_queue(target)?;
        let mut removed = 0;
        while removed < REMOVED_ROWS_MAX && self.take_oldest(target, &mut queue, through)? {
            removed += 1;
        }
        if removed > 0 {
            queue.dropped += if discard { removed as u64 } else { 0 };
            self.rows.put_row(keys::EVT, keys::event_queue(target), &queue);
            self.touched_events = true;
        }
        Ok(Effects::done(None))
    }

    fn notifications(&self, bucket: BucketId) -> Result<Option<Notifications>, StateError> {
        let key = keys::bucket_config(bucket, BucketConfigKind::Notification);
        let row: Option<BucketConfigRow> = self.rows.row(keys::CFG, &key)?;
        row.map(|row| decode_row(keys::CFG, &row.document)).transpose()
    }

    fn event_queue(&self, target: &str) -> Result<EventQueueRow, StateError> {
        Ok(self.rows.row(keys::EVT, &keys::event_queue(target))?.unwrap_or_default())
    }

    /// Puts an event at the end of a queue. Of a queue that is full the oldest goes: a target that is
    /// dead for long costs its own events, never room without bound and never a write.
    fn queue_event(&mut self, target: &str, place: EventPlace, row: &EventRow) -> Result<(), StateError> {
        let mut queue = self.event_queue(target)?;
        let (key, value) = (keys::event(target, place), encode(row));
        queue.rows += 1;
        queue.bytes += value.len() as u64;
        self.rows.put(keys::EVT, key, value);
        while queue.rows > QUEUE_ROWS_MAX || queue.bytes > QUEUE_BYTES_MAX {
            if !self.take_oldest(target, &mut queue, place)? {
                return Err(StateError::Inconsistent { what: "a queue counts events that it has not" });
            }
            queue.dropped += 1;
        }
        self.rows.put_row(keys::EVT, keys::event_queue(target), &queue);
        self.touched_events = true;
        Ok(())
    }

    /// Takes the oldest event out of a queue, if it is not after `through`; false if there is none.
    fn take_oldest(
        &mut self,
        target: &str,
        queue: &mut EventQueueRow,
        through: EventPlace,
    ) -> Result<bool, StateError> {
        if queue.rows == 0 {
            return Ok(false);
        }
        let from = keys::event(target, queue.floor);
        let until = prefix_end(&keys::events(target));
        let Some((key, value)) = self.rows.first(keys::EVT, &from, until.as_deref())? else { return Ok(false) };
        let malformed = StateError::Inconsistent { what: "the key of an event is malformed" };
        let place = keys::place_of_event(&key).ok_or(malformed)?;
        if place > through {
            return Ok(false);
        }
        queue.rows -= 1;
        queue.bytes = queue.bytes.saturating_sub(value.len() as u64);
        queue.floor = place;
        self.rows.delete(keys::EVT, key);
        Ok(true)
    }
}

fn event_row(
    entry: Entry<'_>,
    bucket: &BucketRow,
    rule: &NotificationRule,
    event: EventName,
    about: &About<'_>,
) -> EventRow {
    let versioned = event != EventName::Test && bucket.versioning != Versioning::Unversioned;
    EventRow {
        event,
        time_us: entry.context.time_us,
        request_id: entry.context.request_id.clone(),
        origin: entry.context.origin.as_deref().cloned().unwrap_or_default(),
        rule_id: rule.id.clone(),
        bucket: bucket.name.clone(),
        bucket_owner: bucket.owner.clone(),
        key: about.key.to_owned(),
        size_bytes: about.row.map(|row| row.size_bytes),
        etag: about.row.map(|row| row.etag.clone()).filter(|etag| etag.len() <= ETAG_BYTES_MAX),
        version_id: versioned.then_some(about.version_id),
    }
}
