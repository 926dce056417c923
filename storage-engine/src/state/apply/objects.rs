//! Versions of objects: stored and rewrapped.

use super::super::journal::{Event, EventType, deposit_data, marker_data, metadata_change_data, object_target};
use super::super::keys;
use super::super::rows::{BucketStats, CurrentRow};
use super::events::About;
use super::{
    Cause, Effects, Entry, EventName, Name, Refusal, StateError, Transition, check_condition, is_locked, key_fits,
    version_fits,
};
use crate::ids::VersionId;
use crate::namespace::command::{Attempt, MissingShard, WriteCondition};
use crate::namespace::lock::Versioning;
use crate::namespace::rows::{BucketRow, OwnerPlace, PartRow, StripeRun, VersionRow};

/// Where a new version goes: its bucket is there, and nothing forbids it.
pub(super) struct Place {
    bucket: BucketRow,
    stats: BucketStats,
    current: Option<CurrentRow>,
    pub(super) version_id: VersionId,
    /// The version that it replaces: the null version, where versioning is not enabled.
    pub(super) replaced: Option<VersionRow>,
}

/// What is stored: an object or a delete marker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    /// An object that was uploaded in parts.
    Assembled,
    Marker,
}

impl Kind {
    fn event(self, entry: Entry<'_>) -> EventName {
        match (self, entry.cause()) {
            (Self::Marker, _) => entry.removal(true),
            (Self::Assembled, _) => EventName::CreatedMultipart,
            (Self::Object, Cause::Form) => EventName::CreatedPost,
            (Self::Object, Cause::Copy) => EventName::CreatedCopy,
            (Self::Object, Cause::Request | Cause::Lifecycle) => EventName::CreatedPut,
        }
    }
}

impl Transition<'_> {
    pub(super) fn put_version(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        row: &VersionRow,
        condition: &WriteCondition,
        missing: &[MissingShard],
    ) -> Result<Effects, StateError> {
        let place = match self.admit(entry, name, row, condition)? {
            Ok(place) => place,
            Err(refused) => return Ok(refused.with_freed(self.unowned_runs(&row.parts)?)),
        };
        let replaced: &[PartRow] = place.replaced.as_ref().map_or(&[], |row| &row.parts);
        if self.another_owns(&row.parts, replaced)? || self.was_packed(&row.parts)? {
            // The same write again, after a version of it was made: a run has one owner.
            return Ok(Effects::refused(Refusal::Superseded).with_freed(self.unowned_runs(&row.parts)?));
        }
        let owner = (row.object_uuid, OwnerPlace::Version(place.version_id));
        let effects = self.store_version(entry, name, row.clone(), place, Kind::Object)?;
        self.own_runs(name, owner, &row.parts, missing)?;
        Ok(effects)
    }

    /// Checks all that a new version needs. What fails on an existing object leaves its leaf.
    pub(super) fn admit(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        row: &VersionRow,
        condition: &WriteCondition,
    ) -> Result<Result<Place, Effects>, StateError> {
        let Some((bucket, stats)) = self.bucket(name.bucket)? else {
            return Ok(Err(Effects::refused(Refusal::NoSuchBucket)));
        };
        if !key_fits(name.key) || !version_fits(row) {
            return Ok(Err(Effects::refused(Refusal::TooLarge)));
        }
        if bucket.object_lock.is_none() && (row.retention.is_some() || row.legal_hold.is_some()) {
            return Ok(Err(Effects::refused(Refusal::NoObjectLock)));
        }
        let current = self.current(name)?;
        let live = current.as_ref().filter(|current| !current.summary.delete_marker);
        let kind = EventType::ObjectModifyRefused;
        if let Err(refusal) = check_condition(condition, live.map(|live| &live.summary)) {
            return self.refuse(entry, name, live.map(CurrentRow::aim), kind, refusal).map(Err);
        }
        let place = self.place(entry, name, bucket, stats, current, row.wrap_version)?;
        match &place.replaced {
            Some(replaced) if is_locked(replaced, entry, false) => {
                let aim = (replaced.key_commitment, replaced.version_id);
                self.refuse(entry, name, Some(aim), kind, Refusal::Locked).map(Err)
            }
            replaced if self.is_over_quota(&place.bucket.owner, row, replaced.as_ref())? => {
                Ok(Err(Effects::refused(Refusal::QuotaExceeded)))
            }
            _ => Ok(Ok(place)),
        }
    }

    /// Where a version made now goes, and what it replaces.
    pub(super) fn place(
        &self,
        entry: Entry<'_>,
        name: Name<'_>,
        bucket: BucketRow,
        stats: BucketStats,
        current: Option<CurrentRow>,
        drawn: VersionId,
    ) -> Result<Place, StateError> {
        let version_id = match bucket.versioning {
            Versioning::Enabled => VersionId::of_commit(entry.index, drawn),
            Versioning::Unversioned | Versioning::Suspended => VersionId::NULL,
        };
        let replaced = match &current {
            Some(current) if current.versions > 1 || current.summary.version_id == version_id => {
                self.rows.row(keys::VER, &keys::version(name.bucket, name.key, version_id))?
            }
            _ => None,
        };
        Ok(Place { bucket, stats, current, version_id, replaced })
    }

    /// Writes the rows of a version that has its place, and its leaf; frees the runs of the one it replaces.
    pub(super) fn store_version(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        mut row: VersionRow,
        place: Place,
        kind: Kind,
    ) -> Result<Effects, StateError> {
        let Place { bucket, mut stats, current, version_id, replaced } = place;
        row.version_id = version_id;
        row.commit_index = entry.index;
        let lock = bucket.object_lock.filter(|_| kind != Kind::Marker && row.retention.is_none());
        if let Some(default) = lock.and_then(|lock| lock.default_retention) {
            row.retention = Some(default.from_time(self.later_time(entry)));
        }
        let (event, data) = match kind {
            Kind::Object | Kind::Assembled => (EventType::ObjectDeposit, deposit_data(&row, replaced.as_ref())),
            Kind::Marker => (EventType::ObjectMarker, marker_data(replaced.as_ref())),
        };
        let target = object_target(name.bucket, &row.key_commitment, version_id);
        let leaf = self.leaf(entry, Event { kind: event, target, refused: None, data })?;
        row.leaf_index = leaf.expect("a new version has a leaf");

        let replaced_parts: &[PartRow] = replaced.as_ref().map_or(&[], |row| &row.parts);
        let freed: Vec<StripeRun> = self.release_runs(replaced_parts, &row.parts)?;
        let versions = current.as_ref().map_or(0, |current| current.versions) + u32::from(replaced.is_none());
        let before = stats.clone();
        stats.versions += u64::from(replaced.is_none());
        stats.bytes = stats.bytes.saturating_sub(replaced.as_ref().map_or(0, |row| row.size_bytes)) + row.size_bytes;
        self.put_stats(name.bucket, &stats);
        self.count(&bucket.owner, &before, &stats)?;
        if let Some(current) = current.filter(|current| current.summary.version_id != version_id) {
            if let Some(replaced) = &replaced {
                self.rows.delete(keys::OLD, keys::noncurrent(name.bucket, name.key, replaced.commit_index));
            }
            let old_key = keys::noncurrent(name.bucket, name.key, current.commit_index);
            self.rows.put_row(keys::OLD, old_key, &CurrentRow { versions: 0, ..current });
        }
        self.rows.put_row(keys::CUR, keys::current(name.bucket, name.key), &CurrentRow::of(&row, versions));
        self.rows.put_row(keys::VER, keys::version(name.bucket, name.key, version_id), &row);
        let about = About { key: name.key, version_id, row: Some(&row).filter(|_| kind != Kind::Marker) };
        self.notify(entry, &bucket, kind.event(entry), &about)?;
        Ok(Effects { version_id: Some(version_id), ..Effects::done(leaf).with_freed(freed) })
    }

    pub(super) fn rewrap(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        expected_commit_index: u64,
        row: &VersionRow,
        condition: &WriteCondition,
        keep_tags: bool,
    ) -> Result<Effects, StateError> {
        let Some((bucket, mut stats)) = self.bucket(name.bucket)? else {
            return Ok(Effects::refused(Refusal::NoSuchBucket));
        };
        let current = self.current(name)?.filter(|current| !current.summary.delete_marker);
        if let Err(refusal) = check_condition(condition, current.as_ref().map(|current| &current.summary)) {
            let aim = current.as_ref().map(CurrentRow::aim);
            return self.refuse(entry, name, aim, EventType::ObjectModifyRefused, refusal);
        }
        let Some(current) = current else {
            return Ok(Effects::refused(Refusal::NoSuchKey));
        };
        if bucket.versioning == Versioning::Enabled
            || current.commit_index != expected_commit_index
            || current.summary.version_id != VersionId::NULL
        {
            return Ok(Effects::refused(Refusal::Superseded));
        }
        let version_key = keys::version(name.bucket, name.key, VersionId::NULL);
        let before: VersionRow = self.existing_version(&version_key)?;
        if !same_data(&before, row) {
            return Ok(Effects::refused(Refusal::PartsChanged));
        }
        let mut stored = VersionRow {
            version_id: VersionId::NULL,
            commit_index: entry.index,
            retention: before.retention,
            legal_hold: before.legal_hold,
            ..row.clone()
        };
        if keep_tags {
            stored.sealed_tags = before.sealed_tags.clone();
        }
        if !version_fits(&stored) {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let event = Event {
            kind: EventType::MetadataChange,
            target: object_target(name.bucket, &row.key_commitment, VersionId::NULL),
            refused: None,
            data: metadata_change_data(&before, &stored),
        };
        let leaf = self.leaf(entry, event)?;
        stored.leaf_index = leaf.expect("a change of metadata has a leaf");
        let counted = stats.clone();
        stats.bytes = stats.bytes.saturating_sub(before.size_bytes) + row.size_bytes;
        self.put_stats(name.bucket, &stats);
        self.count(&bucket.owner, &counted, &stats)?;
        let current = CurrentRow::of(&stored, current.versions);
        self.rows.put_row(keys::CUR, keys::current(name.bucket, name.key), &current);
        self.rows.put_row(keys::VER, version_key, &stored);
        let about = About { key: name.key, version_id: VersionId::NULL, row: Some(&stored) };
        self.notify(entry, &bucket, EventName::CreatedCopy, &about)?;
        Ok(Effects { version_id: Some(VersionId::NULL), ..Effects::done(leaf) })
    }

    pub(super) fn record_refusal(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        attempted: Attempt,
        reason: &str,
    ) -> Result<Effects, StateError> {
        if reason.is_empty() || reason.len() > super::CONTEXT_TEXT_BYTES_MAX {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let Some(current) = self.current(name)?.filter(|current| !current.summary.delete_marker) else {
            return Ok(Effects::done(None));
        };
        let kind = match attempted {
            Attempt::Modify => EventType::ObjectModifyRefused,
            Attempt::Delete => EventType::DeleteRefused,
        };
        Ok(Effects::done(self.refusal_leaf(entry, name, current.aim(), kind, reason)?))
    }

    pub(super) fn existing_version(&self, version_key: &[u8]) -> Result<VersionRow, StateError> {
        self.rows
            .row(keys::VER, version_key)?
            .ok_or(StateError::Inconsistent { what: "a current object has no version row" })
    }

    /// Whether something else than `replaced` owns a run of these parts.
    fn another_owns(&self, parts: &[PartRow], replaced: &[PartRow]) -> Result<bool, StateError> {
        for run in parts.iter().filter_map(|part| part.blob.stripes()) {
            let stays = replaced.iter().filter_map(|part| part.blob.stripes()).any(|other| other.first == run.first);
            if !stays && self.is_owned(run)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether a rewrapped row has the lineage, the binding and the sealed bytes of the version it replaces.
fn same_data(before: &VersionRow, after: &VersionRow) -> bool {
    let data = |part: &PartRow| (part.number, part.plain_bytes, part.salt, part.commitment);
    before.object_uuid == after.object_uuid
        && before.wrap_version == after.wrap_version
        && before.size_bytes == after.size_bytes
        && before.parts.len() == after.parts.len()
        && before.parts.iter().zip(&after.parts).all(|(a, b)| data(a) == data(b) && a.blob == b.blob)
}
