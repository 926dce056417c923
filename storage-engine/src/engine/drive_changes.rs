//! Adding, replacing, draining and removing drives while the engine runs.
//!
//! Each change is one entry of the log: the table and the layout together. The order around it: a
//! new drive is formatted; `engine.json` names it; the entry; `engine.json` says what holds. A crash
//! anywhere leaves either the old set, with a formatted drive that nobody uses and that may be added
//! again, or the new one, whose moves go on at the next start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::balance::{Candidate, balance, candidates, hand_over};
use super::config::DRIVES_MAX;
use super::data_dir::DescribedDrive;
use super::moves::MoveProgress;
use super::open::absolute;
use crate::drive::{Drive, DriveState, DriveStatus};
use crate::error::{StorageError, chain};
use crate::failpoint::{Step, failpoint};
use crate::ids::DriveId;
use crate::meta::MetaReads;
use crate::namespace::command::{Layout, Outcome};
use crate::namespace::drives::{DriveRole, DriveRow, DriveTable, Then};

/// Where drives are made when no directory is named.
const DRIVES_DIR: &str = "drives";
/// How often, and how many times, a directory is tried again that a failed drive has just left.
const LET_GO_POLL: Duration = Duration::from_millis(100);
const LET_GO_POLLS: u32 = 100;
/// Digits of an id that are enough to name a drive.
const ID_PREFIX_DIGITS_MIN: usize = 4;

/// Why the set of drives was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveChangeError {
    /// Nothing is called that.
    #[error("there is no drive {0}: name it by its id, the first digits of it, or its directory")]
    NoSuchDrive(String),
    /// Several are called that.
    #[error("{0} is not one drive: give more digits of its id, or its whole path")]
    Ambiguous(String),
    /// The directory cannot be made a drive; nothing in it was changed.
    #[error("{path} cannot become a drive: {why}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Fewer drives than a stripe has shards would be left.
    #[error("{active} drives are in use and {needed} are needed: add one, or replace this one, instead")]
    TooFew {
        /// Drives with places.
        active: usize,
        /// k+m.
        needed: usize,
    },
    /// More drives than one machine may have.
    #[error("{0} drives are the most of one machine")]
    TooMany(usize),
    /// The drive is what it is asked to become, or on its way to it.
    #[error("drive {id} is {role} already")]
    Already {
        /// The drive.
        id: DriveId,
        /// Its role.
        role: &'static str,
    },
    /// The state changed in between, or did not take it.
    #[error("the change was refused ({0}): look at the drives and try again")]
    Refused(String),
    /// The engine failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// One drive of the table, as it is now.
#[derive(Debug, Clone)]
pub struct DriveReport {
    /// Its row.
    pub row: DriveRow,
    /// State, space and errors, if it is open.
    pub status: Option<DriveStatus>,
    /// Why it is not open, if it is not.
    pub absent: Option<String>,
    /// Places that it holds in the newest layout.
    pub places: usize,
    /// Whether it mirrors the log.
    pub mirrors_log: bool,
}

impl Engine {
    /// All drives that are or were, in the order in which they came.
    pub fn drive_reports(&self) -> Result<Vec<DriveReport>, StorageError> {
        let layout = self.read(MetaReads::layout)?;
        let lost = self.roster.lost();
        let mirrors = self.solo.status().mirrors;
        let report = |row: &DriveRow| {
            let places = layout.iter().flat_map(|layout| layout.groups.iter().flatten());
            DriveReport {
                row: row.clone(),
                status: self.roster.drives.get(row.id).map(|drive| drive.status()),
                absent: lost.iter().find(|drive| drive.id == row.id).map(|drive| drive.reason.clone()),
                places: places.filter(|drive| **drive == row.id).count(),
                mirrors_log: mirrors.contains(&row.id),
            }
        };
        Ok(self.roster.table().drives.iter().map(report).collect())
    }

    /// How far the shards have followed the last change of drives; `None` if there was none since the start.
    pub fn move_progress(&self) -> Option<MoveProgress> {
        self.moves.progress()
    }

    /// Whether every shard is known to be where the newest layout wants it.
    pub fn is_settled(&self) -> bool {
        let newest = self.machine.layout().ok().flatten().map_or(0, |layout| layout.version);
        let table = self.roster.table();
        newest <= table.settled.max(1) && !table.drives.iter().any(|row| matches!(row.role, DriveRole::Leaving(_)))
    }

    /// Adds a drive in an empty or new directory; without one, in the next folder beside the first ones.
    ///
    /// When it answers the drive is in use, also after a crash; shards move to it in the background.
    ///
    /// # Errors
    /// [`DriveChangeError`]; the drives are as they were.
    pub async fn add_drive(self: &Arc<Self>, path: Option<PathBuf>) -> Result<DriveRow, DriveChangeError> {
        let _changing = self.roster.changing.lock().await;
        let table = (*self.roster.table()).clone();
        if table.in_use().count() >= DRIVES_MAX {
            return Err(DriveChangeError::TooMany(DRIVES_MAX));
        }
        let path = path.map_or_else(|| self.next_folder(&table), |path| absolute(&path));
        let drive = self.make_drive(&path, &table).await?;
        let row = self.new_row(&drive, &path);
        let next = with_row(table, row.clone());
        let layout = self.rebalanced(&next, Some(&drive))?;
        self.put_to_use(drive, next, layout).await?;
        Ok(row)
    }

    /// Puts a new drive in the places of another, which is then left: what it still gives is read, the rest
    /// is rebuilt. Without a directory the new drive takes that of the old one, which must be gone from it.
    ///
    /// # Errors
    /// [`DriveChangeError`]; the drives are as they were.
    pub async fn replace_drive(
        self: &Arc<Self>,
        which: &str,
        path: Option<PathBuf>,
    ) -> Result<DriveRow, DriveChangeError> {
        let _changing = self.roster.changing.lock().await;
        let table = (*self.roster.table()).clone();
        let old = self.find(&table, which)?;
        if old.role != DriveRole::Active {
            return Err(DriveChangeError::Already { id: old.id, role: old.role.word() });
        }
        let path = path.map_or_else(|| PathBuf::from(&old.path), |path| absolute(&path));
        self.let_go_of_failed(old.id);
        let drive = self.make_drive(&path, &table).await?;
        let row = self.new_row(&drive, &path);
        let layout = self.newest_layout()?;
        let layout = hand_over(&layout, old.id, drive.id())
            .ok_or_else(|| DriveChangeError::Refused("the new drive holds places already".to_owned()))?;
        let mut next = with_row(table, row.clone());
        set_role(&mut next, old.id, DriveRole::Leaving(Then::Retire), row.since_us);
        self.put_to_use(drive, next, layout).await?;
        Ok(row)
    }

    /// Moves everything off a drive; it then stays known, empty.
    ///
    /// # Errors
    /// [`DriveChangeError`]; [`DriveChangeError::TooFew`] if a stripe would find no place for a shard.
    pub async fn drain_drive(self: &Arc<Self>, which: &str) -> Result<DriveRow, DriveChangeError> {
        self.leave(which, Then::Drain).await
    }

    /// Moves everything off a drive and forgets it: its id and its content are never used again.
    ///
    /// # Errors
    /// As [`Engine::drain_drive`].
    pub async fn remove_drive(self: &Arc<Self>, which: &str) -> Result<DriveRow, DriveChangeError> {
        self.leave(which, Then::Retire).await
    }

    async fn leave(self: &Arc<Self>, which: &str, then: Then) -> Result<DriveRow, DriveChangeError> {
        let _changing = self.roster.changing.lock().await;
        let mut table = (*self.roster.table()).clone();
        let row = self.find(&table, which)?;
        let now_us = self.env.clock.now_us();
        let (role, layout) = match (row.role, then) {
            (DriveRole::Active, then) => {
                set_role(&mut table, row.id, DriveRole::Leaving(then), now_us);
                (DriveRole::Leaving(then), Some(self.rebalanced(&table, None)?))
            }
            (DriveRole::Leaving(Then::Drain), Then::Retire) => (DriveRole::Leaving(Then::Retire), None),
            (DriveRole::Drained, Then::Retire) => (DriveRole::Retired, None),
            (role, _) => return Err(DriveChangeError::Already { id: row.id, role: role.word() }),
        };
        set_role(&mut table, row.id, role, now_us);
        table.version += 1;
        let row = table.row(row.id).cloned().unwrap_or(row);
        self.commit(table, layout).await?;
        Ok(row)
    }

    /// Makes `engine.json` name the new drive, opens it to the engine and commits the change.
    async fn put_to_use(
        self: &Arc<Self>,
        drive: Arc<Drive>,
        table: DriveTable,
        layout: Layout,
    ) -> Result<(), DriveChangeError> {
        let row = table.row(drive.id()).cloned();
        let joining = row.map(|row| DescribedDrive::new(row.id, &row.path, false));
        let engine = self.clone();
        let described =
            tokio::task::spawn_blocking(move || engine.roster.describe(&engine.roster.table(), joining.as_slice()));
        let described = described.await.map_err(|error| DriveChangeError::Refused(error.to_string()))?;
        described.map_err(|error| DriveChangeError::Refused(chain(&error)))?;
        let id = drive.id();
        // Open before the layout names it: the next write may go to it.
        self.roster.drives.insert(drive);
        let committed = self.commit(table, Some(layout)).await;
        if matches!(committed, Err(DriveChangeError::Refused(_))) {
            self.roster.drives.remove(id);
        }
        committed
    }

    async fn commit(self: &Arc<Self>, table: DriveTable, layout: Option<Layout>) -> Result<(), DriveChangeError> {
        match self.change_drives(table, layout).await? {
            Outcome::Refused(refusal) => Err(DriveChangeError::Refused(format!("{refusal:?}"))),
            Outcome::Done | Outcome::Deleted { .. } => {
                self.moves.wake();
                Ok(())
            }
        }
    }

    async fn make_drive(self: &Arc<Self>, path: &Path, table: &DriveTable) -> Result<Arc<Drive>, DriveChangeError> {
        let known: Vec<DriveId> = table.drives.iter().map(|row| row.id).collect();
        let (engine, directory) = (self.clone(), path.to_path_buf());
        let make = move || {
            // Readers of a drive that was there before, and the log, are on their way out of it. Before that its
            // index may still write files, by their path: into the new drive's.
            for _ in 0..LET_GO_POLLS {
                if !engine.roster.is_being_let_go(&directory) {
                    return engine.roster.opener.make(&directory, |id| known.contains(&id));
                }
                std::thread::sleep(LET_GO_POLL);
            }
            Err("the drive that was there is still being read from: try again in a moment".to_owned())
        };
        let made = tokio::task::spawn_blocking(make).await.unwrap_or_else(|error| Err(error.to_string()));
        failpoint(Step::DriveMade);
        made.map_err(|why| DriveChangeError::Directory { path: path.to_path_buf(), why })
    }

    /// A drive whose directory went away is closed, so that another may take its place.
    fn let_go_of_failed(&self, id: DriveId) {
        let Some(open) = self.roster.drives.get(id) else { return };
        open.check();
        if open.state() == DriveState::Failed {
            self.roster.note_absent(id, open.status().reason.unwrap_or_default());
            self.roster.let_go(id);
            self.solo.drives_changed();
        }
    }

    fn new_row(&self, drive: &Drive, path: &Path) -> DriveRow {
        let since_us = self.env.clock.now_us();
        DriveRow { id: drive.id(), path: path.display().to_string(), role: DriveRole::Active, since_us }
    }

    pub(super) fn newest_layout(&self) -> Result<Layout, DriveChangeError> {
        self.read(MetaReads::layout)?.ok_or_else(|| DriveChangeError::Refused("there is no layout yet".to_owned()))
    }

    /// The next layout over the active drives of a table, one of which may not be in use yet.
    fn rebalanced(&self, table: &DriveTable, joining: Option<&Arc<Drive>>) -> Result<Layout, DriveChangeError> {
        let layout = self.newest_layout()?;
        let drives = self.candidates(table, joining);
        let needed = usize::from(layout.k) + usize::from(layout.m);
        balance(&layout, &drives).ok_or(DriveChangeError::TooFew { active: drives.len() + 1, needed })
    }

    /// The active drives of a table with their capacities.
    pub(super) fn candidates(&self, table: &DriveTable, joining: Option<&Arc<Drive>>) -> Vec<Candidate> {
        let open = |id| joining.filter(|drive| drive.id() == id).cloned().or_else(|| self.roster.drives.get(id));
        candidates(table.active().map(|row| row.id), open)
    }

    /// The drive that an operator names: by id, by the first digits of it, by its path or the folder's name.
    fn find(&self, table: &DriveTable, which: &str) -> Result<DriveRow, DriveChangeError> {
        let in_use: Vec<&DriveRow> = table.in_use().collect();
        let wanted = absolute(Path::new(which)).display().to_string();
        let by_folder = |row: &DriveRow| Path::new(&row.path).file_name().is_some_and(|name| name == which);
        let by_digits = |row: &DriveRow| which.len() >= ID_PREFIX_DIGITS_MIN && row.id.to_string().starts_with(which);
        let ways: [&dyn Fn(&DriveRow) -> bool; 3] = [&|row| row.path == wanted, &by_folder, &by_digits];
        for way in ways {
            let mut found: Vec<&&DriveRow> = in_use.iter().filter(|row| way(row)).collect();
            // The one in use, of those that had a directory one after the other.
            let one_directory = found.windows(2).all(|pair| pair[0].path == pair[1].path);
            if one_directory && found.iter().any(|row| row.role == DriveRole::Active) {
                found.retain(|row| row.role == DriveRole::Active);
            }
            match found.as_slice() {
                [] => {}
                [row] => return Ok((**row).clone()),
                _ => return Err(DriveChangeError::Ambiguous(which.to_owned())),
            }
        }
        Err(DriveChangeError::NoSuchDrive(which.to_owned()))
    }

    /// `DATA/drives/d7` after `d6`: a number that no drive has had.
    fn next_folder(&self, table: &DriveTable) -> PathBuf {
        let folder = absolute(&self.roster.data_dir.join(DRIVES_DIR));
        let number = |row: &DriveRow| {
            let path = Path::new(&row.path);
            let name = path.file_name()?.to_str()?.strip_prefix('d')?;
            (path.parent() == Some(&folder)).then(|| name.parse::<u32>().ok()).flatten()
        };
        let last = table.drives.iter().filter_map(number).max().unwrap_or(0);
        let mut next = last + 1;
        while folder.join(format!("d{next}")).exists() {
            next += 1;
        }
        folder.join(format!("d{next}"))
    }
}

fn with_row(mut table: DriveTable, row: DriveRow) -> DriveTable {
    table.drives.push(row);
    table.version += 1;
    table
}

pub(super) fn set_role(table: &mut DriveTable, id: DriveId, role: DriveRole, now_us: u64) {
    for row in table.drives.iter_mut().filter(|row| row.id == id) {
        (row.role, row.since_us) = (role, now_us);
    }
}
