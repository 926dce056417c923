//! Versions of objects: stored, rewrapped, removed.

use super::super::journal::{Event, EventType, deposit_data, metadata_change_data, object_data, object_target};
use super::super::keys;
use super::super::kv::prefix_end;
use super::super::overlay::decode_row;
use super::super::rows::{BucketStats, CurrentRow};
use super::{
    Effects, Entry, Name, Outcome, Refusal, StateError, Transition, check_condition, key_fits, reason, version_fits,
};
use crate::ids::VersionId;
use crate::namespace::command::{Attempt, MissingShard, WriteCondition};
use crate::namespace::rows::{OwnerPlace, PartRow, StripeRun, VersionRow};

/// A version that may be stored: its bucket is there and its condition holds.
pub(super) struct Admitted {
    stats: BucketStats,
    current: Option<CurrentRow>,
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
        match self.admit(entry, name, row, condition)? {
            Ok(admitted) => {
                let (leaf, freed) = self.store_version(entry, name, row, admitted)?;
                let place = OwnerPlace::Version(row.version_id);
                self.own_runs(name, (row.object_uuid, place), &row.parts, missing)?;
                Ok(Effects::done(leaf).with_freed(freed))
            }
            Err(refused) => Ok(refused.with_freed(self.unowned_runs(&row.parts)?)),
        }
    }

    /// Checks all that a new version needs. A condition that fails on an existing object leaves its leaf.
    pub(super) fn admit(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        row: &VersionRow,
        condition: &WriteCondition,
    ) -> Result<Result<Admitted, Effects>, StateError> {
        let Some(stats) = self.stats(name.bucket)? else {
            return Ok(Err(Effects::refused(Refusal::NoSuchBucket)));
        };
        if !key_fits(name.key) || !version_fits(row) {
            return Ok(Err(Effects::refused(Refusal::TooLarge)));
        }
        let current = self.current(name)?;
        match check_condition(condition, current.as_ref()) {
            Ok(()) => Ok(Ok(Admitted { stats, current })),
            Err(refusal) => {
                let kind = EventType::ObjectModifyRefused;
                self.refuse(entry, name, current.as_ref(), kind, refusal).map(Err)
            }
        }
    }

    /// Writes the rows of an admitted version and its leaf; answers the runs of the one it replaces.
    pub(super) fn store_version(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        row: &VersionRow,
        admitted: Admitted,
    ) -> Result<(Option<u64>, Vec<StripeRun>), StateError> {
        let Admitted { mut stats, current } = admitted;
        let version_key = keys::version(name.bucket, name.key, row.version_id);
        let replaced: Option<VersionRow> = match &current {
            Some(current) if current.versions > 1 || current.summary.version_id == row.version_id => {
                self.rows.row(keys::VER, &version_key)?
            }
            _ => None,
        };

        let event = Event {
            kind: EventType::ObjectDeposit,
            target: object_target(name.bucket, &row.key_commitment, row.version_id),
            refused: None,
            data: deposit_data(row, replaced.as_ref()),
        };
        let leaf = self.leaf(entry, event)?;
        let mut stored = row.clone();
        stored.commit_index = entry.index;
        stored.leaf_index = leaf.expect("a deposit has a leaf");

        let replaced_parts: &[PartRow] = replaced.as_ref().map_or(&[], |row| &row.parts);
        let freed = self.release_runs(replaced_parts, &row.parts)?;
        let versions = current.map_or(0, |current| current.versions) + u32::from(replaced.is_none());
        stats.versions += u64::from(replaced.is_none());
        stats.bytes = stats.bytes.saturating_sub(replaced.map_or(0, |row| row.size_bytes)) + row.size_bytes;
        self.put_stats(name.bucket, &stats);
        self.rows.put_row(keys::CUR, keys::current(name.bucket, name.key), &CurrentRow::of(&stored, versions));
        self.rows.put_row(keys::VER, version_key, &stored);
        Ok((leaf, freed))
    }

    pub(super) fn rewrap(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        expected_commit_index: u64,
        row: &VersionRow,
        condition: &WriteCondition,
    ) -> Result<Effects, StateError> {
        let Some(mut stats) = self.stats(name.bucket)? else {
            return Ok(Effects::refused(Refusal::NoSuchBucket));
        };
        let current = self.current(name)?;
        if let Err(refusal) = check_condition(condition, current.as_ref()) {
            return self.refuse(entry, name, current.as_ref(), EventType::ObjectModifyRefused, refusal);
        }
        let Some(current) = current else {
            return Ok(Effects::refused(Refusal::NoSuchKey));
        };
        if current.commit_index != expected_commit_index || current.summary.version_id != row.version_id {
            return Ok(Effects::refused(Refusal::Superseded));
        }
        let version_key = keys::version(name.bucket, name.key, row.version_id);
        let before: VersionRow = self.existing_version(&version_key)?;
        if !same_data(&before, row) {
            return Ok(Effects::refused(Refusal::PartsChanged));
        }
        if !version_fits(row) {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let event = Event {
            kind: EventType::MetadataChange,
            target: object_target(name.bucket, &row.key_commitment, row.version_id),
            refused: None,
            data: metadata_change_data(&before, row),
        };
        let leaf = self.leaf(entry, event)?;
        let mut stored = row.clone();
        stored.commit_index = entry.index;
        stored.leaf_index = leaf.expect("a change of metadata has a leaf");
        stats.bytes = stats.bytes.saturating_sub(before.size_bytes) + row.size_bytes;
        self.put_stats(name.bucket, &stats);
        let current = CurrentRow::of(&stored, current.versions);
        self.rows.put_row(keys::CUR, keys::current(name.bucket, name.key), &current);
        self.rows.put_row(keys::VER, version_key, &stored);
        Ok(Effects::done(leaf))
    }

    pub(super) fn delete_version(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        version_id: Option<VersionId>,
        condition: &WriteCondition,
    ) -> Result<Effects, StateError> {
        let Some(mut stats) = self.stats(name.bucket)? else {
            return Ok(Effects::refused(Refusal::NoSuchBucket));
        };
        let current = self.current(name)?;
        if let Err(refusal) = check_condition(condition, current.as_ref()) {
            return self.refuse(entry, name, current.as_ref(), EventType::DeleteRefused, refusal);
        }
        let absent = Effects { outcome: Outcome::Deleted { existed: false }, ..Effects::done(None) };
        let Some(current) = current else {
            return Ok(absent);
        };
        let version_id = version_id.unwrap_or(current.summary.version_id);
        let version_key = keys::version(name.bucket, name.key, version_id);
        let row: VersionRow = match self.rows.row(keys::VER, &version_key)? {
            Some(row) => row,
            None if version_id == current.summary.version_id => {
                return Err(StateError::Inconsistent { what: "a current object has no version row" });
            }
            None => return Ok(absent),
        };

        let mut data = object_data(&row);
        data.insert("deposit_leaf".to_owned(), row.leaf_index.into());
        let event = Event {
            kind: EventType::ObjectDelete,
            target: object_target(name.bucket, &row.key_commitment, version_id),
            refused: None,
            data,
        };
        let leaf = self.leaf(entry, event)?;
        let freed = self.release_runs(&row.parts, &[])?;
        self.rows.delete(keys::VER, version_key);
        stats.versions = stats.versions.saturating_sub(1);
        stats.bytes = stats.bytes.saturating_sub(row.size_bytes);
        self.put_stats(name.bucket, &stats);
        self.elect_current(name, &current, version_id)?;
        Ok(Effects { outcome: Outcome::Deleted { existed: true }, ..Effects::done(leaf).with_freed(freed) })
    }

    /// After `removed` is gone: the newest version that is left becomes current, if there is one.
    fn elect_current(&mut self, name: Name<'_>, before: &CurrentRow, removed: VersionId) -> Result<(), StateError> {
        let current_key = keys::current(name.bucket, name.key);
        let left = before.versions.saturating_sub(1);
        if left == 0 {
            self.rows.delete(keys::CUR, current_key);
            return Ok(());
        }
        let current = if removed == before.summary.version_id {
            let prefix = keys::object(name.bucket, name.key);
            let rows = self.rows.collect(keys::VER, &prefix, prefix_end(&prefix).as_deref())?;
            let mut newest: Option<VersionRow> = None;
            for bytes in rows.values() {
                let row: VersionRow = decode_row(keys::VER, bytes)?;
                if newest.as_ref().is_none_or(|newest| newest.commit_index < row.commit_index) {
                    newest = Some(row);
                }
            }
            let newest =
                newest.ok_or(StateError::Inconsistent { what: "an object counts versions that it has not" })?;
            CurrentRow::of(&newest, left)
        } else {
            CurrentRow { versions: left, ..before.clone() }
        };
        self.rows.put_row(keys::CUR, current_key, &current);
        Ok(())
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
        let Some(current) = self.current(name)? else {
            return Ok(Effects::done(None));
        };
        let kind = match attempted {
            Attempt::Modify => EventType::ObjectModifyRefused,
            Attempt::Delete => EventType::DeleteRefused,
        };
        Ok(Effects::done(self.refusal_leaf(entry, name, &current, kind, reason)?))
    }

    /// Refuses a modification; if it was aimed at an existing object, the journal says so.
    fn refuse(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        existing: Option<&CurrentRow>,
        kind: EventType,
        refusal: Refusal,
    ) -> Result<Effects, StateError> {
        let leaf = match existing {
            Some(existing) => self.refusal_leaf(entry, name, existing, kind, reason(&refusal))?,
            None => None,
        };
        Ok(Effects::refused(refusal).with_leaf(leaf))
    }

    fn existing_version(&self, version_key: &[u8]) -> Result<VersionRow, StateError> {
        self.rows
            .row(keys::VER, version_key)?
            .ok_or(StateError::Inconsistent { what: "a current object has no version row" })
    }
}

/// Whether a rewrapped row has the lineage and the sealed bytes of the version it replaces.
fn same_data(before: &VersionRow, after: &VersionRow) -> bool {
    let data = |part: &PartRow| (part.number, part.plain_bytes, part.salt, part.commitment);
    before.object_uuid == after.object_uuid
        && before.size_bytes == after.size_bytes
        && before.parts.len() == after.parts.len()
        && before.parts.iter().zip(&after.parts).all(|(a, b)| data(a) == data(b) && a.blob == b.blob)
}
