//! Multipart uploads: begun, filled, completed or aborted.

use super::super::keys;
use super::super::kv::prefix_end;
use super::super::overlay::decode_row;
use super::objects::Kind;
use super::{Effects, Entry, Name, Refusal, SMALL_ROW_BYTES_MAX, StateError, Transition, key_fits, part_fits};
use crate::ids::UploadId;
use crate::namespace::command::{MissingShard, WriteCondition};
use crate::namespace::rows::{OwnerPlace, PartRow, UploadRow, VersionRow};

impl Transition<'_> {
    pub(super) fn create_upload(&mut self, name: Name<'_>, row: &UploadRow) -> Result<Effects, StateError> {
        let Some(mut stats) = self.stats(name.bucket)? else {
            return Ok(Effects::refused(Refusal::NoSuchBucket));
        };
        let opaque = row.wrap.len() + row.sealed_metadata.len() + row.pending_keys.len() + row.owner.len();
        let opaque = opaque + row.sealed_tags.len() + row.acl.len();
        if !key_fits(name.key) || opaque > SMALL_ROW_BYTES_MAX {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let upload_key = keys::upload(name.bucket, name.key, row.id);
        if self.rows.contains(keys::UPL, &upload_key)? {
            return Ok(Effects::refused(Refusal::Superseded));
        }
        self.rows.put_row(keys::UPL, upload_key, row);
        stats.uploads += 1;
        self.put_stats(name.bucket, &stats);
        Ok(Effects::done(None))
    }

    pub(super) fn put_part(
        &mut self,
        name: Name<'_>,
        upload: UploadId,
        part: &PartRow,
        missing: &[MissingShard],
    ) -> Result<Effects, StateError> {
        let row: Option<UploadRow> = self.rows.row(keys::UPL, &keys::upload(name.bucket, name.key, upload))?;
        let refusal = match &row {
            None => Some(Refusal::NoSuchUpload),
            Some(_) if !part_fits(part) => Some(Refusal::TooLarge),
            Some(_) if self.was_packed(std::slice::from_ref(part))? => Some(Refusal::Superseded),
            Some(_) => None,
        };
        let (Some(row), None) = (row, &refusal) else {
            let refusal = refusal.unwrap_or(Refusal::NoSuchUpload);
            return Ok(Effects::refused(refusal).with_freed(self.unowned_runs(std::slice::from_ref(part))?));
        };
        let part_key = keys::part(name.bucket, name.key, upload, part.number);
        let replaced: Option<PartRow> = self.rows.row(keys::PRT, &part_key)?;
        let freed = self.release_runs(replaced.as_slice(), std::slice::from_ref(part))?;
        let place = OwnerPlace::Part { upload, number: part.number };
        self.own_runs(name, (row.object_uuid, place), std::slice::from_ref(part), missing)?;
        self.rows.put_row(keys::PRT, part_key, part);
        Ok(Effects::done(None).with_freed(freed))
    }

    pub(super) fn complete_upload(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        upload: UploadId,
        row: &VersionRow,
        condition: &WriteCondition,
    ) -> Result<Effects, StateError> {
        if !self.rows.contains(keys::UPL, &keys::upload(name.bucket, name.key, upload))? {
            return Ok(Effects::refused(Refusal::NoSuchUpload));
        }
        let stored = self.upload_parts(name, upload)?;
        let unchanged = row.parts.iter().all(|part| {
            stored.binary_search_by_key(&part.number, |stored| stored.number).is_ok_and(|at| stored[at] == *part)
        });
        if !unchanged || row.parts.is_empty() {
            return Ok(Effects::refused(Refusal::PartsChanged));
        }
        let place = match self.admit(entry, name, row, condition)? {
            Ok(place) => place,
            Err(refused) => return Ok(refused),
        };
        let version_id = place.version_id;
        let mut effects = self.store_version(entry, name, row.clone(), place, Kind::Assembled)?;
        self.own_runs(name, (row.object_uuid, OwnerPlace::Version(version_id)), &row.parts, &[])?;
        effects.freed.extend(self.drop_upload(name, upload, &stored, &row.parts)?);
        Ok(effects)
    }

    pub(super) fn abort_upload(&mut self, name: Name<'_>, upload: UploadId) -> Result<Effects, StateError> {
        if !self.rows.contains(keys::UPL, &keys::upload(name.bucket, name.key, upload))? {
            return Ok(Effects::refused(Refusal::NoSuchUpload));
        }
        let stored = self.upload_parts(name, upload)?;
        let freed = self.drop_upload(name, upload, &stored, &[])?;
        Ok(Effects::done(None).with_freed(freed))
    }

    /// The parts of an upload, by number: at most 10,000.
    fn upload_parts(&self, name: Name<'_>, upload: UploadId) -> Result<Vec<PartRow>, StateError> {
        let prefix = keys::upload(name.bucket, name.key, upload);
        let rows = self.rows.collect(keys::PRT, &prefix, prefix_end(&prefix).as_deref())?;
        rows.values().map(|bytes| decode_row(keys::PRT, bytes)).collect()
    }

    /// Removes the upload and its part rows; frees the runs of parts that are not in `kept`.
    fn drop_upload(
        &mut self,
        name: Name<'_>,
        upload: UploadId,
        stored: &[PartRow],
        kept: &[PartRow],
    ) -> Result<Vec<crate::namespace::rows::StripeRun>, StateError> {
        let dying: Vec<PartRow> = stored
            .iter()
            .filter(|part| kept.binary_search_by_key(&part.number, |kept| kept.number).is_err())
            .cloned()
            .collect();
        let freed = self.release_runs(&dying, &[])?;
        for part in stored {
            self.rows.delete(keys::PRT, keys::part(name.bucket, name.key, upload, part.number));
        }
        self.rows.delete(keys::UPL, keys::upload(name.bucket, name.key, upload));
        if let Some(mut stats) = self.stats(name.bucket)? {
            stats.uploads = stats.uploads.saturating_sub(1);
            self.put_stats(name.bucket, &stats);
        }
        Ok(freed)
    }
}
