//! Which drives there are, what they are good for, and the leaves that say so.

use std::collections::BTreeMap;

use chartrier_journal::{JSON_NUMBER_MAX, Json, Target};

use super::super::journal::{Event, EventType};
use super::super::keys;
use super::{Effects, Entry, Refusal, StateError, Transition};
use crate::ids::DriveId;
use crate::namespace::command::Layout;
use crate::namespace::drive_health::{DriveHealth, DriveHealthRow, REASON_BYTES_MAX};
use crate::namespace::drives::DriveTable;

impl Transition<'_> {
    pub(super) fn set_drives(
        &mut self,
        entry: Entry<'_>,
        table: &DriveTable,
        layout: Option<&Layout>,
    ) -> Result<Effects, StateError> {
        if let Some(layout) = layout
            && !self.layout_follows(layout)?
        {
            return Ok(Effects::refused(Refusal::LayoutRefused));
        }
        let newest = match layout {
            Some(layout) => Some(layout.clone()),
            None => self.rows.row(keys::SYS, &keys::layout(self.memory.head.layout_version))?,
        };
        let before: DriveTable = self.rows.row(keys::SYS, keys::SYS_DRIVES)?.unwrap_or_default();
        let Some(newest) = newest.filter(|newest| before.may_become(table, newest)) else {
            return Ok(Effects::refused(Refusal::DrivesRefused));
        };
        self.rows.put_row(keys::SYS, keys::SYS_DRIVES.to_vec(), table);
        if let Some(layout) = layout {
            self.store_layout(layout);
        }
        // The first table makes the installation, maybe before its journal has a name.
        if before.version == 0 || self.memory.journal.is_none() {
            return Ok(Effects::done(None));
        }
        let drives = before.roles_changed(table).map(|(was, row)| {
            object([
                ("drive", row.id.to_string().into()),
                ("was", was.map_or(Json::Null, |was| was.word().into())),
                ("role", row.role.word().into()),
            ])
        });
        let data = [
            ("drives", Json::Array(drives.map(Json::Object).collect())),
            ("layout", u64::from(newest.version).into()),
            ("settled", u64::from(table.settled).into()),
        ];
        Ok(Effects::done(self.drives_leaf(entry, EventType::StorageDrives, object(data))?))
    }

    pub(super) fn record_drive_health(
        &mut self,
        entry: Entry<'_>,
        drive: DriveId,
        now: &DriveHealthRow,
    ) -> Result<Effects, StateError> {
        if now.reason.len() > REASON_BYTES_MAX || now.since_us > JSON_NUMBER_MAX {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let table: DriveTable = self.rows.row(keys::SYS, keys::SYS_DRIVES)?.unwrap_or_default();
        if table.row(drive).is_none() {
            return Ok(Effects::refused(Refusal::DrivesRefused));
        }
        let key = keys::drive_health(drive);
        let before: Option<DriveHealthRow> = self.rows.row(keys::SYS, &key)?;
        let before = before.map_or(DriveHealth::Online, |row| row.health);
        if before == now.health {
            return Ok(Effects::done(None));
        }
        self.rows.put_row(keys::SYS, key, now);
        let data = [
            ("drive", drive.to_string().into()),
            ("health", now.health.word().into()),
            ("was", before.word().into()),
            ("since_us", now.since_us.into()),
        ];
        Ok(Effects::done(self.drives_leaf(entry, EventType::StorageDriveHealth, object(data))?))
    }

    fn drives_leaf(
        &mut self,
        entry: Entry<'_>,
        kind: EventType,
        data: BTreeMap<String, Json>,
    ) -> Result<Option<u64>, StateError> {
        self.leaf(entry, Event { kind, target: Target::default(), refused: None, data })
    }
}

fn object<const N: usize>(members: [(&str, Json); N]) -> BTreeMap<String, Json> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
