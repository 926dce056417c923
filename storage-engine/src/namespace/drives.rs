//! Which drives an installation has: the table in the state, and the rules of its changes.
//!
//! The table is the authority. `engine.json` and the configuration only say where to look for
//! drives before the state is open; a superblock says which drive a directory is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::command::Layout;
use crate::ids::DriveId;

/// Most drives of a table, retired ones included.
pub const DRIVE_ROWS_MAX: usize = 4096;
/// Drives whose role one change may change: its leaf lists them.
pub const DRIVE_CHANGES_MAX: usize = 256;
/// Longest path of a drive, in bytes: Linux's.
pub const DRIVE_PATH_BYTES_MAX: usize = 4096;

/// All drives that an installation has or ever had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveTable {
    /// Counts up from 1.
    pub version: u32,
    /// In the order in which they came. A drive never leaves the table, so that no id is used again.
    pub drives: Vec<DriveRow>,
    /// Version of the newest layout under which every shard was seen where it belongs; 0 before any.
    pub settled: u32,
}

/// One drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveRow {
    /// Who it is.
    pub id: DriveId,
    /// Where it was last.
    pub path: String,
    /// What it is for.
    pub role: DriveRole,
    /// Since when, in microseconds of the Unix epoch.
    pub since_us: u64,
}

/// What a drive is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriveRole {
    /// It has places in the layout.
    Active,
    /// It has none any more; what it still holds is read until it is elsewhere.
    Leaving(Then),
    /// It holds nothing that is needed, and stays known.
    Drained,
    /// It is out for good: a directory that says it is this drive is not used.
    Retired,
}

/// What becomes of a drive that has nothing left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// [`DriveRole::Drained`].
    Drain,
    /// [`DriveRole::Retired`].
    Retire,
}

impl DriveRole {
    /// Whether a drive may go from one role to another.
    fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Retired, next) => next == Self::Retired,
            (Self::Active, Self::Drained | Self::Retired) => false,
            // An empty drive may come back; one that is being emptied goes on.
            (Self::Leaving(_), Self::Active) => false,
            _ => true,
        }
    }

    /// One word for status.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Leaving(Then::Drain) => "draining",
            Self::Leaving(Then::Retire) => "leaving",
            Self::Drained => "drained",
            Self::Retired => "retired",
        }
    }
}

impl DriveTable {
    /// The row of a drive.
    pub fn row(&self, id: DriveId) -> Option<&DriveRow> {
        self.drives.iter().find(|row| row.id == id)
    }

    /// The drives with places in the layout.
    pub fn active(&self) -> impl Iterator<Item = &DriveRow> {
        self.drives.iter().filter(|row| row.role == DriveRole::Active)
    }

    /// The drives that are used in some way.
    pub fn in_use(&self) -> impl Iterator<Item = &DriveRow> {
        self.drives.iter().filter(|row| row.role != DriveRole::Retired)
    }

    /// The rows of `next` that are new or have another role, each with the role before.
    pub fn roles_changed<'a>(&'a self, next: &'a Self) -> impl Iterator<Item = (Option<DriveRole>, &'a DriveRow)> {
        let roles: BTreeMap<DriveId, DriveRole> = self.drives.iter().map(|row| (row.id, row.role)).collect();
        next.drives
            .iter()
            .map(move |row| (roles.get(&row.id).copied(), row))
            .filter(|(was, row)| *was != Some(row.role))
    }

    /// Whether `next` may follow this table: no drive is forgotten or comes back from retirement, and
    /// `layout`, the newest from then on, names active drives and no others.
    pub fn may_become(&self, next: &Self, layout: &Layout) -> bool {
        let rows: BTreeMap<DriveId, &DriveRow> = next.drives.iter().map(|row| (row.id, row)).collect();
        let fits = rows.len() == next.drives.len()
            && rows.len() <= DRIVE_ROWS_MAX
            && next.drives.iter().all(|row| row.path.len() <= DRIVE_PATH_BYTES_MAX);
        let kept = self.drives.iter().all(|row| rows.get(&row.id).is_some_and(|next| row.role.may_become(next.role)));
        let new_are_active = next.drives.iter().all(|row| self.row(row.id).is_some() || row.role == DriveRole::Active);
        let active: BTreeSet<DriveId> = next.active().map(|row| row.id).collect();
        let placed: BTreeSet<DriveId> = layout.groups.iter().flatten().copied().collect();
        let changed = self.roles_changed(next).count();
        fits && kept
            && (self.version == 0 || changed <= DRIVE_CHANGES_MAX)
            && new_are_active
            && next.version == self.version + 1
            && placed.is_subset(&active)
    }
}
