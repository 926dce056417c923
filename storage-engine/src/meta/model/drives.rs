//! Which drives there are, and their health, on the model.

use chartrier_journal::{EventType, Json, Target};

use super::State;
use super::apply::{Verdict, done, refused};
use super::leaves::json_object;
use crate::ids::DriveId;
use crate::namespace::command::{Command, Layout, Refusal};
use crate::namespace::drive_health::{DriveHealth, DriveHealthRow};
use crate::namespace::drives::{DriveRole, DriveTable};

impl State {
    pub(super) fn set_drives(&mut self, command: &Command, table: &DriveTable, layout: Option<&Layout>) -> Verdict {
        if layout.is_some_and(|layout| !self.layout_is_next(layout)) {
            return refused(Refusal::LayoutRefused);
        }
        let newest = layout.or(self.layouts.last());
        if newest.is_none_or(|newest| !self.drives_are_next(table, newest)) {
            return refused(Refusal::DrivesRefused);
        }
        let before = std::mem::replace(&mut self.drives, table.clone());
        self.layouts.extend(layout.cloned());
        if before.version == 0 || self.journal.is_none() {
            return done(None);
        }
        let mut changed = Vec::new();
        for row in &table.drives {
            let was = before.drives.iter().find(|old| old.id == row.id).map(|old| old.role);
            if was != Some(row.role) {
                changed.push(json_object([
                    ("drive", row.id.to_string().into()),
                    ("role", row.role.word().into()),
                    ("was", was.map_or(Json::Null, |was| was.word().into())),
                ]));
            }
        }
        let newest = self.layouts.last().map_or(0, |layout| layout.version);
        let data = vec![
            ("drives", Json::Array(changed)),
            ("layout", u64::from(newest).into()),
            ("settled", u64::from(table.settled).into()),
        ];
        done(self.leaf(command, EventType::StorageDrives, Target::default(), None, data))
    }

    pub(super) fn record_drive_health(&mut self, command: &Command, drive: DriveId, now: &DriveHealthRow) -> Verdict {
        if now.reason.len() > 256 || now.since_us >= 1 << 53 {
            return refused(Refusal::TooLarge);
        }
        if !self.drives.drives.iter().any(|row| row.id == drive) {
            return refused(Refusal::DrivesRefused);
        }
        let was = self.healths.get(&drive).map_or(DriveHealth::Online, |row| row.health);
        if was == now.health {
            return done(None);
        }
        self.healths.insert(drive, now.clone());
        let data = vec![
            ("drive", drive.to_string().into()),
            ("health", now.health.word().into()),
            ("since_us", now.since_us.into()),
            ("was", was.word().into()),
        ];
        done(self.leaf(command, EventType::StorageDriveHealth, Target::default(), None, data))
    }

    /// Whether a layout is the next version, each group of distinct drives, and of the shape of the last.
    pub(super) fn layout_is_next(&self, layout: &Layout) -> bool {
        let width = usize::from(layout.k) + usize::from(layout.m);
        let fits = layout.k > 0
            && !layout.groups.is_empty()
            && layout.groups.iter().all(|group| {
                let mut drives = group.clone();
                drives.sort();
                drives.dedup();
                drives.len() == width && group.len() == width
            });
        let shape = |layout: &Layout| (layout.k, layout.m, layout.groups.len());
        let reshapes = self.layouts.last().is_some_and(|last| shape(last) != shape(layout));
        layout.version == self.layouts.len() as u32 + 1 && fits && !reshapes
    }

    /// Written anew from the rules: ids once, nobody forgotten, no way back from retirement or while
    /// leaving, only an emptied drive is drained or retired, and only active drives have places.
    fn drives_are_next(&self, table: &DriveTable, newest: &Layout) -> bool {
        for (at, row) in table.drives.iter().enumerate() {
            if table.drives[..at].iter().any(|other| other.id == row.id) {
                return false;
            }
            let before = self.drives.drives.iter().find(|old| old.id == row.id).map(|old| old.role);
            let good = match before {
                None => row.role == DriveRole::Active,
                Some(DriveRole::Active) => matches!(row.role, DriveRole::Active | DriveRole::Leaving(_)),
                Some(DriveRole::Leaving(_)) => row.role != DriveRole::Active,
                Some(DriveRole::Drained) => true,
                Some(DriveRole::Retired) => row.role == DriveRole::Retired,
            };
            if !good {
                return false;
            }
        }
        let known = |id| table.drives.iter().find(|row| row.id == id);
        table.version == self.drives.version + 1
            && self.drives.drives.iter().all(|old| known(old.id).is_some())
            && newest.groups.iter().flatten().all(|id| known(*id).is_some_and(|row| row.role == DriveRole::Active))
    }
}
