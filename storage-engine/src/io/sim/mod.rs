//! A drive in memory that loses what a power cut would lose, and fails on request.
//!
//! All drives of a test share one [`SimWorld`]: it counts the calls that can make something
//! durable, cuts the power at a chosen one, and on restart decides, from a seed, which unsynced
//! writes reached the disk: each 512-byte sector for itself, so writes are torn and reordered.

mod file;
mod state;
#[cfg(test)]
mod tests;
mod world;

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{DriveFile, DriveIo, FileInfo, Fill, split_name};
use file::SimFile;
use state::{DataChange, DriveState, Inode, NameChange, SimDrive, lock_inode};
pub use world::SimWorld;

/// What a simulated drive does wrong from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SimFault {
    /// Reads fail.
    ReadEio,
    /// Writes fail.
    WriteEio,
    /// Syncs fail, and what they should have made durable never will be.
    SyncEio,
    /// As [`SimFault::SyncEio`], for the contents of files only: names can still be changed.
    DataSyncEio,
    /// The directory is gone: every call by name fails, open files still take writes.
    Removed,
}

/// One simulated drive. Clones are the same drive; a clone survives the power cut as a disk does.
#[derive(Clone)]
pub struct SimIo {
    world: Arc<SimWorld>,
    drive: Arc<SimDrive>,
    label: Arc<str>,
}

impl SimIo {
    /// An empty drive on the power supply of `world`.
    pub fn new(world: &Arc<SimWorld>, label: &str) -> Self {
        let drive = Arc::new(SimDrive { state: Mutex::new(DriveState::default()) });
        world.add(&drive);
        Self { world: world.clone(), drive, label: label.into() }
    }

    /// Turns a fault on or off.
    pub fn set_fault(&self, fault: SimFault, on: bool) {
        let mut state = self.drive.lock();
        if on {
            state.faults.insert(fault);
        } else {
            state.faults.remove(&fault);
        }
    }

    /// Bounds the sum of the lengths of all files; more is `StorageFull`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.drive.lock().capacity_bytes = bytes;
    }

    /// Makes every read, write and sync take this long more.
    pub fn set_delay(&self, delay: Option<Duration>) {
        self.drive.lock().delay = delay;
    }

    /// Changes a stored byte by XOR, as a failing disk would.
    ///
    /// # Panics
    /// If there is no such byte: a mistake in the test.
    pub fn flip(&self, name: &str, offset: u64, mask: u8) {
        let inode = self.drive.lock().find(name).expect("a file to flip a byte of");
        let mut inode = lock_inode(&inode);
        inode.current[offset as usize] ^= mask;
        if let Some(byte) = inode.durable.get_mut(offset as usize) {
            *byte ^= mask;
        }
    }

    /// Names and lengths of all files.
    pub fn files(&self) -> Vec<(String, u64)> {
        let state = self.drive.lock();
        state.names.iter().map(|(name, inode)| (name.clone(), lock_inode(inode).current.len() as u64)).collect()
    }

    /// Forgets everything on the drive: a new disk in the same slot.
    pub fn wipe(&self) {
        let mut state = self.drive.lock();
        *state = DriveState::default();
    }

    /// Changes names: checked, seen at once, durable when this returns unless the power goes.
    fn change_names(&self, change: impl FnOnce(&mut DriveState) -> io::Result<Vec<NameChange>>) -> io::Result<()> {
        self.world.pass_point()?;
        self.drive.check(SimFault::WriteEio)?;
        {
            let mut state = self.drive.lock();
            state.require_present()?;
            let changes = change(&mut state)?;
            state.pending.extend(changes);
        }
        // Between the two points lies the crash that leaves the change to chance.
        self.world.pass_point()?;
        self.drive.check(SimFault::SyncEio)?;
        let mut state = self.drive.lock();
        for change in std::mem::take(&mut state.pending) {
            state.make_durable(change);
        }
        Ok(())
    }
}

impl DriveIo for SimIo {
    fn create(&self, name: &str, len: u64, fill: Fill) -> io::Result<Arc<dyn DriveFile>> {
        let len = if fill == Fill::Empty { 0 } else { len };
        let mut made = None;
        self.change_names(|state| {
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.require_space(len)?;
            let mut inode = Inode { links: 1, ..Inode::default() };
            inode.change(DataChange::SetLen(len));
            if fill != Fill::Empty {
                // Allocation and zeroing are synced before the name is.
                inode.durable = inode.current.clone();
                inode.pending.clear();
            }
            let inode = Arc::new(Mutex::new(inode));
            state.add_parents(name);
            state.names.insert(name.to_owned(), inode.clone());
            made = Some(inode.clone());
            Ok(vec![NameChange::Add(name.to_owned(), inode)])
        })?;
        let inode = made.expect("the closure ran and succeeded");
        Ok(Arc::new(SimFile { io: self.clone(), inode, generation: self.world.require_power()? }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DriveFile>> {
        let generation = self.world.require_power()?;
        let state = self.drive.lock();
        state.require_present()?;
        let inode = state.find(name)?;
        Ok(Arc::new(SimFile { io: self.clone(), inode, generation }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<FileInfo>> {
        self.world.require_power()?;
        let state = self.drive.lock();
        state.require_present()?;
        let mut entries = BTreeMap::new();
        for name in state.dirs.iter().filter(|name| split_name(name).0 == dir) {
            let name = split_name(name).1.to_owned();
            entries.insert(name.clone(), FileInfo { name, len: 0, is_dir: true });
        }
        for (name, inode) in state.names.iter().filter(|(name, _)| split_name(name).0 == dir) {
            let (name, len) = (split_name(name).1.to_owned(), lock_inode(inode).current.len() as u64);
            entries.insert(name.clone(), FileInfo { name, len, is_dir: false });
        }
        Ok(entries.into_values().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change_names(|state| {
            let inode = state.find(from)?;
            state.unlink(to);
            state.names.remove(from);
            state.add_parents(to);
            state.names.insert(to.to_owned(), inode);
            Ok(vec![NameChange::Rename(from.to_owned(), to.to_owned())])
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change_names(|state| {
            state.find(name)?;
            state.unlink(name);
            Ok(vec![NameChange::Remove(name.to_owned())])
        })
    }

    fn remove_tree(&self, dir: &str) -> io::Result<()> {
        self.change_names(|state| {
            let below = format!("{dir}/");
            let names: Vec<String> = state.names.keys().filter(|name| name.starts_with(&below)).cloned().collect();
            names.iter().for_each(|name| state.unlink(name));
            state.dirs.retain(|known| known != dir && !known.starts_with(&below));
            Ok(names.into_iter().map(NameChange::Remove).collect())
        })
    }

    fn hard_link(&self, from: &str, to: &str) -> io::Result<()> {
        self.change_names(|state| {
            let inode = state.find(from)?;
            if state.names.contains_key(to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            lock_inode(&inode).links += 1;
            state.add_parents(to);
            state.names.insert(to.to_owned(), inode.clone());
            Ok(vec![NameChange::Add(to.to_owned(), inode)])
        })
    }

    fn sync_dir(&self, _dir: &str) -> io::Result<()> {
        self.change_names(|_| Ok(Vec::new()))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.world.require_power()?;
        let state = self.drive.lock();
        state.require_present()?;
        Ok(state.capacity_bytes.map_or(1 << 40, |capacity| capacity.saturating_sub(state.used_bytes())))
    }

    fn check_alive(&self) -> io::Result<()> {
        self.world.require_power()?;
        self.drive.lock().require_present()
    }

    fn write_atomic(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = format!("{name}.tmp");
        match self.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.create(&temporary, 0, Fill::Empty)?;
        file.write_at(0, &[IoSlice::new(bytes)])?;
        file.sync_data()?;
        self.rename(&temporary, name)
    }

    fn os_path(&self) -> Option<PathBuf> {
        None
    }

    fn label(&self) -> String {
        self.label.to_string()
    }
}
