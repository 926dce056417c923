//! Versions destroyed, delete markers made, and what becomes current then.

use super::super::journal::{Event, EventType, object_data, object_target};
use super::super::keys;
use super::super::kv::prefix_end;
use super::super::overlay::decode_row;
use super::super::rows::{BucketStats, CurrentRow};
use super::events::About;
use super::objects::Kind;
use super::{
    Effects, Entry, MARKER_BYTES_MAX, Name, Outcome, Refusal, StateError, Transition, check_condition, is_locked,
    key_fits,
};
use crate::ids::VersionId;
use crate::namespace::command::WriteCondition;
use crate::namespace::lock::Versioning;
use crate::namespace::rows::{BucketRow, MarkerRow, VersionRow};

impl Transition<'_> {
    pub(super) fn delete_version(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        version_id: VersionId,
        condition: &WriteCondition,
        bypass_governance: bool,
    ) -> Result<Effects, StateError> {
        let Some((bucket, stats)) = self.bucket(name.bucket)? else {
            return Ok(Effects::refused(Refusal::NoSuchBucket));
        };
        let version_key = keys::version(name.bucket, name.key, version_id);
        let row: Option<VersionRow> = self.rows.row(keys::VER, &version_key)?;
        let aim = row.as_ref().map(|row| (row.key_commitment, row.version_id));
        let judged = row.as_ref().filter(|row| !row.delete_marker).map(VersionRow::summary);
        if let Err(refusal) = check_condition(condition, judged.as_ref()) {
            let aim = aim.filter(|_| judged.is_some());
            return self.refuse(entry, name, aim, EventType::DeleteRefused, refusal);
        }
        let Some(row) = row else {
            return Ok(nothing_there());
        };
        if is_locked(&row, entry, bypass_governance) {
            return self.refuse(entry, name, aim, EventType::DeleteRefused, Refusal::Locked);
        }
        let current = self.current(name)?;
        let current = current.ok_or(StateError::Inconsistent { what: "an object has versions and no current one" })?;
        self.destroy(entry, name, (&bucket, stats), &current, row)
    }

    pub(super) fn delete_object(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        marker: Option<&MarkerRow>,
        condition: &WriteCondition,
    ) -> Result<Effects, StateError> {
        let Some((bucket, stats)) = self.bucket(name.bucket)? else {
            return Ok(Effects::refused(Refusal::NoSuchBucket));
        };
        let current = self.current(name)?;
        let live = current.as_ref().filter(|current| !current.summary.delete_marker);
        let kind = EventType::DeleteRefused;
        if let Err(refusal) = check_condition(condition, live.map(|live| &live.summary)) {
            return self.refuse(entry, name, live.map(CurrentRow::aim), kind, refusal);
        }
        if bucket.versioning == Versioning::Unversioned {
            let Some(current) = current else {
                return Ok(nothing_there());
            };
            let row = self.existing_version(&keys::version(name.bucket, name.key, current.summary.version_id))?;
            return self.destroy(entry, name, (&bucket, stats), &current, row);
        }
        let Some(marker) = marker else {
            return Ok(Effects::refused(Refusal::VersioningChanged));
        };
        if !key_fits(name.key) || marker.owner.len() + marker.sealed_salt.len() > MARKER_BYTES_MAX {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let existed = live.is_some();
        let place = self.place(entry, name, bucket, stats, current, marker.wrap_version)?;
        if let Some(replaced) = place.replaced.as_ref().filter(|replaced| is_locked(replaced, entry, false)) {
            let aim = (replaced.key_commitment, replaced.version_id);
            return self.refuse(entry, name, Some(aim), kind, Refusal::Locked);
        }
        let made = self.store_version(entry, name, marker.to_version(), place, Kind::Marker)?;
        Ok(Effects { outcome: Outcome::Deleted { existed, marker: made.version_id }, ..made })
    }

    /// Removes the rows of a version; its runs lose their owner.
    fn destroy(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        (bucket, mut stats): (&BucketRow, BucketStats),
        current: &CurrentRow,
        row: VersionRow,
    ) -> Result<Effects, StateError> {
        let mut data = if row.delete_marker { [("marker".to_owned(), true.into())].into() } else { object_data(&row) };
        data.insert("deposit_leaf".to_owned(), row.leaf_index.into());
        let target = object_target(name.bucket, &row.key_commitment, row.version_id);
        let leaf = self.leaf(entry, Event { kind: EventType::ObjectDelete, target, refused: None, data })?;
        let freed = self.release_runs(&row.parts, &[])?;
        self.rows.delete(keys::VER, keys::version(name.bucket, name.key, row.version_id));
        let before = stats.clone();
        stats.versions = stats.versions.saturating_sub(1);
        stats.bytes = stats.bytes.saturating_sub(row.size_bytes);
        self.put_stats(name.bucket, &stats);
        self.count(&bucket.owner, &before, &stats)?;
        self.elect_current(name, current, &row)?;
        let about = About { key: name.key, version_id: row.version_id, row: None };
        self.notify(entry, bucket, entry.removal(false), &about)?;
        let outcome = Outcome::Deleted { existed: true, marker: row.delete_marker.then_some(row.version_id) };
        Ok(Effects { outcome, ..Effects::done(leaf).with_freed(freed) })
    }

    /// After `removed` is gone: the newest version that is left becomes current, if there is one.
    ///
    /// One seek. It begins at the commit of the one removed, past those that were newer and went before.
    fn elect_current(&mut self, name: Name<'_>, before: &CurrentRow, removed: &VersionRow) -> Result<(), StateError> {
        let current_key = keys::current(name.bucket, name.key);
        let left = before.versions.saturating_sub(1);
        if left == 0 {
            self.rows.delete(keys::CUR, current_key);
            return Ok(());
        }
        if removed.version_id != before.summary.version_id {
            self.rows.delete(keys::OLD, keys::noncurrent(name.bucket, name.key, removed.commit_index));
            self.rows.put_row(keys::CUR, current_key, &CurrentRow { versions: left, ..before.clone() });
            return Ok(());
        }
        let from = keys::noncurrent(name.bucket, name.key, before.commit_index);
        let until = prefix_end(&keys::object(name.bucket, name.key));
        let newest = self.rows.first(keys::OLD, &from, until.as_deref())?;
        let (old_key, bytes) =
            newest.ok_or(StateError::Inconsistent { what: "an object counts versions that it has not" })?;
        let newest: CurrentRow = decode_row(keys::OLD, &bytes)?;
        self.rows.delete(keys::OLD, old_key);
        self.rows.put_row(keys::CUR, current_key, &CurrentRow { versions: left, ..newest });
        Ok(())
    }
}

fn nothing_there() -> Effects {
    Effects { outcome: Outcome::Deleted { existed: false, marker: None }, ..Effects::done(None) }
}
