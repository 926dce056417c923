//! Versioning and object lock on the model: what is destroyed, hidden, held or changed.

use chartrier_journal::{EventType, Json, Target};

use super::State;
use super::apply::{Verdict, done, dropped, refused};
use super::leaves::{Data, digest_of_parts, facts, object, text};
use crate::ids::{BucketId, VersionId};
use crate::namespace::command::{Command, Op, Outcome, Refusal, VersionChange, WriteCondition};
use crate::namespace::lock::{
    DefaultRetention, ObjectLock, Retention, RetentionMode, RetentionPeriod, UNTIL_US_MAX, Versioning,
};
use crate::namespace::query::AccountUsage;
use crate::namespace::rows::{BucketRow, MarkerRow, PartRow, VersionRow};

/// Changes a bucket and answers what its leaf says: nothing if nothing changed, `None` if it may not.
type BucketChange = dyn Fn(&mut BucketRow) -> Option<Data>;

impl State {
    pub(super) fn bucket_mut(&mut self, id: BucketId) -> Option<&mut BucketRow> {
        self.buckets.values_mut().find(|bucket| bucket.id == id)
    }

    pub(super) fn decide_bucket(&mut self, command: &Command) -> Verdict {
        let (id, kind, change): (_, _, Box<BucketChange>) = match &command.op {
            Op::SetVersioning { bucket, versioning } => {
                let versioning = *versioning;
                let change = move |row: &mut BucketRow| {
                    let status = match versioning {
                        Versioning::Enabled => "enabled",
                        Versioning::Suspended if row.object_lock.is_none() => "suspended",
                        _ => return None,
                    };
                    if row.versioning == versioning {
                        return Some(vec![]);
                    }
                    row.versioning = versioning;
                    Some(vec![("versioning", status.into())])
                };
                (*bucket, EventType::BucketVersioning, Box::new(change))
            }
            Op::SetObjectLock { bucket, default_retention } => {
                let default_retention = *default_retention;
                let change = move |row: &mut BucketRow| {
                    if row.versioning != Versioning::Enabled {
                        return None;
                    }
                    row.object_lock = Some(ObjectLock { default_retention });
                    Some(lock_facts(default_retention))
                };
                (*bucket, EventType::BucketLock, Box::new(change))
            }
            _ => unreachable!("the caller gives these two"),
        };
        let Some(row) = self.bucket_mut(id) else {
            return refused(Refusal::NoSuchBucket);
        };
        match change(row) {
            None => refused(Refusal::InvalidBucketState),
            Some(data) if data.is_empty() => done(None),
            Some(data) => {
                let target = Target { bucket: Some(id.to_string()), ..Target::default() };
                done(self.leaf(command, kind, target, None, data))
            }
        }
    }

    pub(super) fn delete_version(
        &mut self,
        command: &Command,
        bucket: BucketId,
        key: &str,
        version_id: VersionId,
        condition: &WriteCondition,
        bypass: bool,
    ) -> Verdict {
        if !self.bucket_is(bucket) {
            return refused(Refusal::NoSuchBucket);
        }
        let place = (bucket, key.to_owned());
        let rows = self.objects.get(&place).cloned().unwrap_or_default();
        let at = rows.iter().position(|row| row.version_id == version_id);
        let found = at.map(|at| rows[at].clone());
        let judged = found.clone().filter(|row| !row.delete_marker);
        if let Err(verdict) = self.check(command, bucket, judged, condition, EventType::DeleteRefused) {
            return verdict;
        }
        let (Some(at), Some(row)) = (at, found) else {
            return Verdict { outcome: Outcome::Deleted { existed: false, marker: None }, ..done(None) };
        };
        if locked(&row, command.context.time_us, bypass) {
            return self.refuse_locked(command, bucket, &row, EventType::DeleteRefused);
        }
        self.destroy(command, place, at)
    }

    pub(super) fn delete_object(
        &mut self,
        index: u64,
        command: &Command,
        bucket: BucketId,
        key: &str,
        marker: Option<&MarkerRow>,
        condition: &WriteCondition,
    ) -> Verdict {
        let Some(versioning) = self.bucket_mut(bucket).map(|bucket| bucket.versioning) else {
            return refused(Refusal::NoSuchBucket);
        };
        let live = self.existing(bucket, key);
        if let Err(verdict) = self.check(command, bucket, live.clone(), condition, EventType::DeleteRefused) {
            return verdict;
        }
        let place = (bucket, key.to_owned());
        if versioning == Versioning::Unversioned {
            return match self.objects.get(&place).map(Vec::len) {
                Some(count) => self.destroy(command, place, count - 1),
                None => Verdict { outcome: Outcome::Deleted { existed: false, marker: None }, ..done(None) },
            };
        }
        let Some(marker) = marker else {
            return refused(Refusal::VersioningChanged);
        };
        if !(1..=1024).contains(&key.len()) {
            return refused(Refusal::TooLarge);
        }
        let row = marker.to_version();
        match self.store(index, command, bucket, key, row, EventType::DeleteRefused) {
            Err(verdict) => verdict,
            Ok(verdict) => {
                let outcome = Outcome::Deleted { existed: live.is_some(), marker: verdict.version_id };
                Verdict { outcome, ..verdict }
            }
        }
    }

    pub(super) fn change_version(
        &mut self,
        command: &Command,
        bucket: BucketId,
        key: &str,
        (version_id, wrap_version): (VersionId, VersionId),
        change: &VersionChange,
    ) -> Verdict {
        let Some(has_lock) = self.bucket_mut(bucket).map(|bucket| bucket.object_lock.is_some()) else {
            return refused(Refusal::NoSuchBucket);
        };
        let rows = self.objects.get(&(bucket, key.to_owned()));
        let Some(before) = rows.and_then(|rows| rows.iter().find(|row| row.version_id == version_id)).cloned() else {
            return refused(Refusal::NoSuchVersion);
        };
        if before.wrap_version != wrap_version {
            return refused(Refusal::Superseded);
        }
        if before.delete_marker {
            return refused(Refusal::IsDeleteMarker);
        }
        let mut after = before.clone();
        let mut data = facts(&before);
        data.push(("deposit_leaf", before.leaf_index.into()));
        let kind = match change {
            VersionChange::Tags(sealed) => {
                data.push(("tags_before", text(blake3::hash(&before.sealed_tags).as_bytes())));
                data.push(("tags_after", text(blake3::hash(sealed).as_bytes())));
                after.sealed_tags = sealed.clone();
                EventType::MetadataChange
            }
            VersionChange::Acl(acl) => {
                data.push(("changed", "acl".into()));
                after.acl = acl.clone();
                EventType::MetadataChange
            }
            VersionChange::Retention { .. } | VersionChange::LegalHold(_) if !has_lock => {
                return refused(Refusal::NoObjectLock);
            }
            VersionChange::LegalHold(on) => {
                after.legal_hold = Some(*on);
                if *on { EventType::HoldPlace } else { EventType::HoldRelease }
            }
            VersionChange::Retention { retention, bypass_governance } => {
                if let Some(held) = before.retention.filter(|held| command.context.time_us < held.until_us) {
                    let longer = retention.is_some_and(|new| new.mode == held.mode && new.until_us >= held.until_us);
                    if !longer && (held.mode == RetentionMode::Compliance || !bypass_governance) {
                        return self.refuse_locked(command, bucket, &before, EventType::RetentionRefused);
                    }
                }
                if retention.is_some_and(|retention| retention.until_us > UNTIL_US_MAX) {
                    return refused(Refusal::TooLarge);
                }
                for (names, retention) in
                    [(["lock_mode", "until"], retention), (["before_lock_mode", "before_until"], &before.retention)]
                {
                    if let Some(retention) = retention {
                        data.extend(names.into_iter().zip(retention_facts(*retention)));
                    }
                }
                after.retention = *retention;
                EventType::RetentionSet
            }
        };
        let leaf = self.leaf(command, kind, object(bucket, &before), None, data);
        for row in self.objects.get_mut(&(bucket, key.to_owned())).into_iter().flatten() {
            if row.version_id == version_id {
                *row = after.clone();
            }
        }
        Verdict { version_id: Some(version_id), ..done(leaf) }
    }

    /// Stores a version or a marker whose condition holds, unless a lock protects what it would replace.
    pub(super) fn store(
        &mut self,
        index: u64,
        command: &Command,
        bucket: BucketId,
        key: &str,
        mut row: VersionRow,
        refusal: EventType,
    ) -> Result<Verdict, Verdict> {
        let now = command.context.time_us;
        let later = self.leaves.last().map_or(0, |leaf| leaf.time_us).max(now);
        let (versioning, lock) = match self.bucket_mut(bucket) {
            Some(bucket) => (bucket.versioning, bucket.object_lock),
            None => return Err(refused(Refusal::NoSuchBucket)),
        };
        row.version_id = if versioning == Versioning::Enabled {
            let mut id = index.to_be_bytes().to_vec();
            id.extend(&row.wrap_version.as_bytes()[8..]);
            VersionId::from_bytes(id.try_into().unwrap_or_default())
        } else {
            VersionId::NULL
        };
        let rows = self.objects.get(&(bucket, key.to_owned()));
        let old = rows.and_then(|rows| rows.iter().find(|old| old.version_id == row.version_id)).cloned();
        if let Some(old) = old.as_ref().filter(|old| locked(old, now, false)) {
            return Err(self.refuse_locked(command, bucket, old, refusal));
        }
        let owner = self.buckets.values().find(|row| row.id == bucket).map(|row| row.owner.clone()).unwrap_or_default();
        let AccountUsage { versions, bytes, quota, .. } = self.usage_of(&owner);
        let grows = old.as_ref().is_none_or(|old| old.size_bytes < row.size_bytes);
        let bytes = bytes + row.size_bytes - old.as_ref().map_or(0, |old| old.size_bytes.min(bytes));
        let too_many = old.is_none() && quota.max_versions.is_some_and(|max| versions >= max);
        let too_large = grows && row.size_bytes > 0 && quota.max_bytes.is_some_and(|max| bytes > max);
        if !row.delete_marker && (too_many || too_large) {
            return Err(refused(Refusal::QuotaExceeded));
        }
        let mine = old.as_ref().map(|old| old.parts.clone()).unwrap_or_default();
        let again = |part: &PartRow| part.blob.stripes().is_some_and(|run| self.packs.was_member(run.first));
        let taken = self.owns_any(&dropped(&row.parts, &mine)) || row.parts.iter().any(again);
        if refusal != EventType::DeleteRefused && !self.completing && taken {
            return Err(refused(Refusal::Superseded));
        }
        if row.retention.is_none() && !row.delete_marker {
            let default = lock.and_then(|lock| lock.default_retention);
            row.retention = default.map(|default| default.from_time(later));
        }
        let mut data = Vec::new();
        if !row.delete_marker {
            data = facts(&row);
            data.push(("ciphertext_blake3", text(&digest_of_parts(&row.parts))));
            data.push(("parts", (row.parts.len() as u64).into()));
            data.extend(
                row.retention
                    .map(|held| ["lock_mode", "until"].into_iter().zip(retention_facts(held)))
                    .into_iter()
                    .flatten(),
            );
            data.extend(row.legal_hold.map(|on| ("hold", on.into())));
        }
        if let Some(old) = &old {
            data.push(("replaces_leaf", old.leaf_index.into()));
        }
        let event = if row.delete_marker { EventType::ObjectMarker } else { EventType::ObjectDeposit };
        let leaf = self.leaf(command, event, object(bucket, &row), None, data);
        row.commit_index = index;
        row.leaf_index = leaf.unwrap_or_default();
        let (version_id, freed) = (Some(row.version_id), dropped(&mine, &row.parts));
        let rows = self.objects.entry((bucket, key.to_owned())).or_default();
        rows.retain(|old| old.version_id != row.version_id);
        rows.push(row);
        Ok(Verdict { version_id, freed, ..done(leaf) })
    }

    fn destroy(&mut self, command: &Command, place: (BucketId, String), at: usize) -> Verdict {
        let rows = self.objects.get_mut(&place).expect("the caller found it");
        let row = rows.remove(at);
        if rows.is_empty() {
            self.objects.remove(&place);
        }
        let mut data = if row.delete_marker { vec![("marker", true.into())] } else { facts(&row) };
        data.push(("deposit_leaf", row.leaf_index.into()));
        let leaf = self.leaf(command, EventType::ObjectDelete, object(place.0, &row), None, data);
        let outcome = Outcome::Deleted { existed: true, marker: row.delete_marker.then_some(row.version_id) };
        Verdict { outcome, freed: dropped(&row.parts, &[]), ..done(leaf) }
    }

    fn refuse_locked(&mut self, command: &Command, bucket: BucketId, row: &VersionRow, event: EventType) -> Verdict {
        let leaf = self.leaf(command, event, object(bucket, row), Some("AccessDenied".to_owned()), vec![]);
        Verdict { leaf, ..refused(Refusal::Locked) }
    }
}

pub(super) fn lock_facts(default: Option<DefaultRetention>) -> Data {
    let mut data: Data = vec![("object_lock", true.into())];
    if let Some(default) = default {
        data.push(("lock_mode", default.mode.name().into()));
        data.push(match default.period {
            RetentionPeriod::Days(days) => ("days", u64::from(days).into()),
            RetentionPeriod::Years(years) => ("years", u64::from(years).into()),
        });
    }
    data
}

fn retention_facts(retention: Retention) -> [Json; 2] {
    let until = chartrier_journal::format_time(retention.until_us).unwrap_or_default();
    [retention.mode.name().into(), until.as_str().into()]
}

fn locked(row: &VersionRow, now: u64, bypass: bool) -> bool {
    let held = row.retention.filter(|held| now < held.until_us);
    row.legal_hold == Some(true) || held.is_some_and(|held| held.mode == RetentionMode::Compliance || !bypass)
}
