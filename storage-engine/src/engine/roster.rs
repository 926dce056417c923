//! Which drives there are while the engine runs, and which of them are open.
//!
//! The table in the state is the authority. A drive of the table that is not open is looked for
//! where it was last; one whose directory went away and came back is opened again. A directory
//! that says it is a drive of this installation and is not in the table, or is retired there, is not used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use super::Engine;
use super::data_dir::{self, DescribedDrive, Description};
use super::drives::DriveOpener;
use super::open::absolute;
use super::status::LostDrive;
use crate::drive::{Drive, DriveSet, DriveState};
use crate::error::OpenError;
use crate::ids::{ClusterId, DriveId};
use crate::namespace::drives::{DriveRole, DriveRow, DriveTable};

/// The drives of a running engine.
pub(super) struct Roster {
    pub(super) drives: DriveSet,
    pub(super) opener: DriveOpener,
    pub(super) data_dir: PathBuf,
    cluster: ClusterId,
    geometry: (u8, u8),
    table: RwLock<Arc<DriveTable>>,
    /// Why drives of the table are not open.
    absent: Mutex<HashMap<DriveId, String>>,
    /// Drives that were closed and that somebody still works with.
    let_go: Mutex<Vec<(PathBuf, Weak<()>)>>,
    /// One change of the table at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
}

impl Roster {
    pub(super) fn new(
        drives: DriveSet,
        opener: DriveOpener,
        data_dir: PathBuf,
        cluster: ClusterId,
        geometry: (u8, u8),
    ) -> Self {
        Self {
            drives,
            opener,
            data_dir,
            cluster,
            geometry,
            table: RwLock::default(),
            absent: Mutex::default(),
            let_go: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn table(&self) -> Arc<DriveTable> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows a change of the table: which drives are to be left, and which are out.
    pub(super) fn set_table(&self, table: DriveTable) {
        for drive in self.drives.all() {
            match table.row(drive.id()).map(|row| row.role) {
                Some(DriveRole::Active) => drive.set_leaving(false),
                Some(DriveRole::Leaving(_) | DriveRole::Drained) => drive.set_leaving(true),
                Some(DriveRole::Retired) | None => {
                    tracing::warn!(drive = %drive.id(), path = %drive.io().label(), "the drive is not one of this installation's any more");
                    self.drives.remove(drive.id());
                }
            }
        }
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    }

    /// Opens drives of the table that are not open; answers those that it opened. Blocking.
    ///
    /// A drive that failed because its directory went away is let go first, so that it can be opened again.
    pub(super) fn open_absent(&self) -> Vec<Arc<Drive>> {
        let mut opened = Vec::new();
        for row in self.table().in_use() {
            let open = self.drives.get(row.id);
            if let Some(drive) = &open
                && !drive.was_gone()
            {
                continue;
            }
            if let Some(gone) = open {
                let reason = gone.status().reason.unwrap_or_default();
                self.note_absent(row.id, reason);
                self.let_go(row.id);
            }
            if self.is_another_drives(&row.path) {
                self.note_absent(row.id, "another drive is in its directory".to_owned());
                continue;
            }
            match self.opener.open_known(Path::new(&row.path), row.id) {
                Ok(drive) => {
                    tracing::info!(drive = %row.id, path = row.path, "drive opened");
                    drive.set_leaving(row.role != DriveRole::Active);
                    self.drives.insert(drive.clone());
                    self.lock_absent().remove(&row.id);
                    opened.push(drive);
                }
                Err(reason) => self.note_absent(row.id, reason),
            }
        }
        opened
    }

    /// Takes a drive out of the set; its files are closed when nobody works with it any more.
    pub(super) fn let_go(&self, id: DriveId) {
        let Some(drive) = self.drives.remove(id) else { return };
        let mut let_go = self.let_go.lock().unwrap_or_else(PoisonError::into_inner);
        let_go.retain(|(_, in_use)| in_use.strong_count() > 0);
        let_go.push((absolute(Path::new(&drive.io().label())), drive.in_use()));
    }

    /// Whether somebody still works with a drive that had this directory.
    pub(super) fn is_being_let_go(&self, path: &Path) -> bool {
        let let_go = self.let_go.lock().unwrap_or_else(PoisonError::into_inner);
        let_go.iter().any(|(of, in_use)| of == path && in_use.strong_count() > 0)
    }

    /// Whether a drive that is at work has this directory.
    fn is_another_drives(&self, path: &str) -> bool {
        self.drives.all().iter().any(|drive| absolute(Path::new(&drive.io().label())) == Path::new(path))
    }

    pub(super) fn note_absent(&self, id: DriveId, reason: String) {
        self.lock_absent().insert(id, reason);
    }

    /// Drives of the table that are not open.
    pub(super) fn lost(&self) -> Vec<LostDrive> {
        let absent = self.lock_absent();
        let table = self.table();
        let lost = |row: &&DriveRow| self.drives.get(row.id).is_none();
        let told = |row: &DriveRow| LostDrive {
            id: row.id,
            path: PathBuf::from(&row.path),
            role: row.role,
            reason: absent.get(&row.id).cloned().unwrap_or_else(|| "the directory is not there".to_owned()),
        };
        table.in_use().filter(lost).map(told).collect()
    }

    /// Whether every drive that a place belongs to is at work: then nobody needs to be remembered
    /// for a drive that is away. Drives that are being left do not count: they will not come back into use.
    pub(super) fn is_complete(&self) -> bool {
        let online = |row: &DriveRow| {
            self.drives.get(row.id).is_some_and(|drive| matches!(drive.state(), DriveState::Online | DriveState::Slow))
        };
        self.table().active().all(online)
    }

    /// Writes where the drives of `table`, and of those that are about to join, are to be looked for.
    pub(super) fn describe(&self, table: &DriveTable, joining: &[DescribedDrive]) -> Result<(), OpenError> {
        let known = table.in_use().map(|row| DescribedDrive::new(row.id, &row.path, row.role == DriveRole::Active));
        let drives = known.chain(joining.iter().cloned()).collect();
        let (k, m) = self.geometry;
        data_dir::write_description(&self.data_dir, &Description::new(self.cluster, k, m, drives))
    }

    fn lock_absent(&self) -> MutexGuard<'_, HashMap<DriveId, String>> {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Opens drives that were away and are back, tells them what died meanwhile, and fills what they missed.
    pub(super) async fn look_for_drives(self: &Arc<Self>) {
        let absent = self.roster.table().in_use().any(|row| {
            let open = self.roster.drives.get(row.id);
            open.is_none_or(|drive| drive.was_gone())
        });
        // A change under way may be about to give the directory to another drive.
        let Ok(_changing) = self.roster.changing.try_lock() else { return };
        if !absent {
            return;
        }
        let engine = self.clone();
        let opened = tokio::task::spawn_blocking(move || engine.roster.open_absent()).await.unwrap_or_default();
        if opened.is_empty() {
            return;
        }
        self.solo.drives_changed();
        // What died while it was away, it still holds.
        self.reclaim.dead.read_rows();
        for drive in opened.iter().filter(|drive| !drive.is_leaving()) {
            self.mender.rebuild_drive(drive.id());
        }
    }
}
