//! The open drives of a machine, shared by all who use them: blobs, log, checkpoints.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Drive;
use crate::ids::DriveId;

/// The open drives of a machine. Clones share the set; drives come and go while it runs.
#[derive(Clone, Default)]
pub struct DriveSet(Arc<RwLock<Vec<Arc<Drive>>>>);

impl From<Vec<Arc<Drive>>> for DriveSet {
    fn from(drives: Vec<Arc<Drive>>) -> Self {
        Self(Arc::new(RwLock::new(drives)))
    }
}

impl DriveSet {
    /// One drive.
    pub fn get(&self, id: DriveId) -> Option<Arc<Drive>> {
        self.read().iter().find(|drive| drive.id() == id).cloned()
    }

    /// All drives, in the order in which they came.
    pub fn all(&self) -> Vec<Arc<Drive>> {
        self.read().clone()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// Adds a drive, or puts it in the place of one of the same id.
    pub fn insert(&self, drive: Arc<Drive>) {
        let mut drives = self.write();
        match drives.iter_mut().find(|other| other.id() == drive.id()) {
            Some(place) => *place = drive,
            None => drives.push(drive),
        }
    }

    /// Takes a drive out; whoever still holds it may finish.
    pub fn remove(&self, id: DriveId) -> Option<Arc<Drive>> {
        let mut drives = self.write();
        let at = drives.iter().position(|drive| drive.id() == id)?;
        Some(drives.remove(at))
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Arc<Drive>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Arc<Drive>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
