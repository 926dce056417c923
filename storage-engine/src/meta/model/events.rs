//! Events on the model: told from what a command was and how it ended, not where the rows change.

use super::State;
use super::apply::{Verdict, done, refused};
use crate::ids::{BucketId, VersionId};
use crate::namespace::bucket_config::BucketConfigKind;
use crate::namespace::command::{Command, Op, Outcome, Refusal, VersionChange};
use crate::namespace::encoding::{decode, encode};
use crate::namespace::lock::Versioning;
use crate::namespace::notification::{
    Cause, EventName, EventPlace, EventQueue, EventRow, NotificationRule, Notifications, QUEUE_BYTES_MAX,
    QUEUE_ROWS_MAX, REMOVED_ROWS_MAX, RULES_MAX,
};
use crate::namespace::rows::VersionRow;

/// Events of one target, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) events: Vec<(EventPlace, EventRow)>,
    pub(super) dropped: u64,
}

impl Queue {
    pub(super) fn summary(&self, target: &str) -> EventQueue {
        EventQueue {
            target: target.to_owned(),
            rows: self.events.len() as u64,
            bytes: self.bytes(),
            dropped: self.dropped,
        }
    }

    fn bytes(&self) -> u64 {
        self.events.iter().map(|(_, row)| encode(row).len() as u64).sum()
    }

    fn push(&mut self, place: EventPlace, row: EventRow) {
        self.events.push((place, row));
        while self.events.len() as u64 > QUEUE_ROWS_MAX || self.bytes() > QUEUE_BYTES_MAX {
            self.events.remove(0);
            self.dropped += 1;
        }
    }
}

impl State {
    /// Tells what a command did, once it is done.
    pub(super) fn follow_events(&mut self, index: u64, command: &Command, verdict: &Verdict) {
        let cause = command.context.origin.as_ref().map_or(Cause::Request, |origin| origin.cause);
        let expired = cause == Cause::Lifecycle;
        let (bucket, key, event) = match (&command.op, &verdict.outcome) {
            (Op::PutVersion { bucket, key, .. }, Outcome::Done) => {
                let event = match cause {
                    Cause::Form => EventName::CreatedPost,
                    Cause::Copy => EventName::CreatedCopy,
                    _ => EventName::CreatedPut,
                };
                (*bucket, key, event)
            }
            (Op::CompleteUpload { bucket, key, .. }, Outcome::Done) => (*bucket, key, EventName::CreatedMultipart),
            (Op::Rewrap { bucket, key, .. }, Outcome::Done) => (*bucket, key, EventName::CreatedCopy),
            (Op::DeleteObject { bucket, key, .. }, Outcome::Deleted { .. }) if verdict.version_id.is_some() => {
                (*bucket, key, if expired { EventName::ExpirationMarker } else { EventName::RemovedMarker })
            }
            (
                Op::DeleteObject { bucket, key, .. } | Op::DeleteVersion { bucket, key, .. },
                Outcome::Deleted { existed: true, .. },
            ) => (*bucket, key, if expired { EventName::ExpirationDelete } else { EventName::RemovedDelete }),
            (Op::ChangeVersion { bucket, key, change, .. }, Outcome::Done) => match change {
                VersionChange::Tags(tags) if tags.is_empty() => (*bucket, key, EventName::TaggingDelete),
                VersionChange::Tags(_) => (*bucket, key, EventName::TaggingPut),
                VersionChange::Acl(_) => (*bucket, key, EventName::AclPut),
                _ => return,
            },
            _ => return,
        };
        let version_id = match &command.op {
            Op::DeleteVersion { version_id, .. } | Op::ChangeVersion { version_id, .. } => *version_id,
            _ => verdict.version_id.unwrap_or(VersionId::NULL),
        };
        let rows = self.objects.get(&(bucket, key.clone()));
        let row = rows.and_then(|rows| rows.iter().find(|row| row.version_id == version_id && !row.delete_marker));
        let row = row.cloned();
        let Some(notifications) = self.notifications(bucket) else { return };
        for (number, rule) in notifications.rules.iter().enumerate() {
            let name = format!("s3:{}", event.as_str());
            let group = name.split(':').take(2).collect::<Vec<_>>().join(":");
            let named = rule.events.iter().any(|pattern| *pattern == name || *pattern == format!("{group}:*"));
            let fits = key.starts_with(rule.prefix.as_deref().unwrap_or_default())
                && key.ends_with(rule.suffix.as_deref().unwrap_or_default());
            if named && fits {
                self.tell((index, number), command, bucket, rule, event, (key, version_id, row.as_ref()));
            }
        }
    }

    pub(super) fn set_notifications(
        &mut self,
        index: u64,
        command: &Command,
        bucket: BucketId,
        notifications: &Notifications,
        test_events: bool,
    ) -> Verdict {
        if !self.bucket_is(bucket) {
            return refused(Refusal::NoSuchBucket);
        }
        let is_odd = |rule: &NotificationRule| rule.target.is_empty() || rule.target.contains('/');
        if notifications.rules.len() > RULES_MAX || notifications.rules.iter().any(is_odd) {
            return refused(Refusal::TooLarge);
        }
        let document = (!notifications.rules.is_empty()).then(|| encode(notifications));
        let verdict = self.set_config(command, bucket, BucketConfigKind::Notification, document);
        let mut told: Vec<&str> = Vec::new();
        for (number, rule) in notifications.rules.iter().enumerate() {
            if test_events && !told.contains(&rule.target.as_str()) {
                told.push(&rule.target);
                let nothing = ("", VersionId::NULL, None);
                self.tell((index, number), command, bucket, rule, EventName::Test, nothing);
            }
        }
        verdict
    }

    pub(super) fn remove_events(&mut self, target: &str, through: EventPlace, discard: bool) -> Verdict {
        if let Some(queue) = self.events.get_mut(target) {
            let gone = queue.events.iter().take_while(|(place, _)| *place <= through).count().min(REMOVED_ROWS_MAX);
            queue.events.drain(..gone);
            queue.dropped += if discard { gone as u64 } else { 0 };
        }
        done(None)
    }

    fn notifications(&self, bucket: BucketId) -> Option<Notifications> {
        let row = self.configs.get(&(bucket, BucketConfigKind::Notification))?;
        decode(&row.document).ok()
    }

    fn tell(
        &mut self,
        (index, number): (u64, usize),
        command: &Command,
        bucket: BucketId,
        rule: &NotificationRule,
        event: EventName,
        (key, version_id, row): (&str, VersionId, Option<&VersionRow>),
    ) {
        let Some(bucket) = self.bucket_mut(bucket).cloned() else { return };
        let event = EventRow {
            event,
            time_us: command.context.time_us,
            request_id: command.context.request_id.clone(),
            origin: command.context.origin.as_deref().cloned().unwrap_or_default(),
            rule_id: rule.id.clone(),
            bucket: bucket.name,
            bucket_owner: bucket.owner,
            key: key.to_owned(),
            size_bytes: row.map(|row| row.size_bytes),
            etag: row.map(|row| row.etag.clone()),
            version_id: Some(version_id)
                .filter(|_| event != EventName::Test && bucket.versioning != Versioning::Unversioned),
        };
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        self.events.entry(rule.target.clone()).or_default().push(EventPlace { index, number }, event);
    }
}
