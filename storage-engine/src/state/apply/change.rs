//! What goes with a version and may change while its data stays: tags, retention, legal hold, grants.

use std::collections::BTreeMap;

use chartrier_journal::Json;

use super::super::journal::{Event, EventType, hex, lock_data, object_data, object_target};
use super::super::keys;
use super::events::About;
use super::{Effects, Entry, EventName, Name, Refusal, StateError, Transition, version_fits};
use crate::ids::VersionId;
use crate::namespace::command::VersionChange;
use crate::namespace::rows::VersionRow;

impl Transition<'_> {
    pub(super) fn change_version(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        version_id: VersionId,
        wrap_version: VersionId,
        change: &VersionChange,
    ) -> Result<Effects, StateError> {
        let Some((bucket, _)) = self.bucket(name.bucket)? else {
            return Ok(Effects::refused(Refusal::NoSuchBucket));
        };
        let version_key = keys::version(name.bucket, name.key, version_id);
        let Some(before) = self.rows.row::<VersionRow>(keys::VER, &version_key)? else {
            return Ok(Effects::refused(Refusal::NoSuchVersion));
        };
        if before.wrap_version != wrap_version {
            return Ok(Effects::refused(Refusal::Superseded));
        }
        if before.delete_marker {
            return Ok(Effects::refused(Refusal::IsDeleteMarker));
        }
        let of_lock = matches!(change, VersionChange::Retention { .. } | VersionChange::LegalHold(_));
        if of_lock && bucket.object_lock.is_none() {
            return Ok(Effects::refused(Refusal::NoObjectLock));
        }
        if let VersionChange::Retention { retention, bypass_governance } = change
            && let Some(held) = before.retention
            && !held.allows_change(*retention, entry.context.time_us, *bypass_governance)
        {
            let aim = (before.key_commitment, version_id);
            return self.refuse(entry, name, Some(aim), EventType::RetentionRefused, Refusal::Locked);
        }
        let mut after = before.clone();
        let (kind, mut data) = make(&mut after, change);
        if !version_fits(&after) {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        if matches!(change, VersionChange::Retention { .. }) {
            lock_data(&mut data, "before_", before.retention, None);
        }
        data.append(&mut object_data(&after));
        data.insert("deposit_leaf".to_owned(), before.leaf_index.into());
        let target = object_target(name.bucket, &after.key_commitment, version_id);
        let leaf = self.leaf(entry, Event { kind, target, refused: None, data })?;
        self.rows.put_row(keys::VER, version_key, &after);
        let event = match change {
            VersionChange::Tags(sealed) if sealed.is_empty() => Some(EventName::TaggingDelete),
            VersionChange::Tags(_) => Some(EventName::TaggingPut),
            VersionChange::Acl(_) => Some(EventName::AclPut),
            VersionChange::Retention { .. } | VersionChange::LegalHold(_) => None,
        };
        if let Some(event) = event {
            self.notify(entry, &bucket, event, &About { key: name.key, version_id, row: Some(&after) })?;
        }
        Ok(Effects { version_id: Some(version_id), ..Effects::done(leaf) })
    }
}

/// Makes the change; answers the type and the own fields of its leaf.
fn make(row: &mut VersionRow, change: &VersionChange) -> (EventType, BTreeMap<String, Json>) {
    let mut data = BTreeMap::new();
    let kind = match change {
        VersionChange::Tags(sealed) => {
            let digest = |bytes: &[u8]| -> Json { hex(blake3::hash(bytes).as_bytes()).as_str().into() };
            data.insert("tags_before".to_owned(), digest(&row.sealed_tags));
            data.insert("tags_after".to_owned(), digest(sealed));
            row.sealed_tags.clone_from(sealed);
            EventType::MetadataChange
        }
        VersionChange::Acl(acl) => {
            // Grants are in clear: a digest of them could be guessed.
            data.insert("changed".to_owned(), "acl".into());
            row.acl.clone_from(acl);
            EventType::MetadataChange
        }
        VersionChange::Retention { retention, .. } => {
            lock_data(&mut data, "", *retention, None);
            row.retention = *retention;
            EventType::RetentionSet
        }
        VersionChange::LegalHold(on) => {
            row.legal_hold = Some(*on);
            if *on { EventType::HoldPlace } else { EventType::HoldRelease }
        }
    };
    (kind, data)
}
