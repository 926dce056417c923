//! What a simulated drive holds: as a running process sees it, and as a power cut leaves it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::SimFault;
use crate::env::SplitMix;
use crate::io::split_name;

/// What reaches the disk of a power cut is decided per unit of this size.
const SECTOR_BYTES: usize = 512;

pub(super) struct SimDrive {
    pub(super) state: Mutex<DriveState>,
}

#[derive(Default)]
pub(super) struct DriveState {
    /// Names as a running process sees them.
    pub(super) names: BTreeMap<String, Arc<Mutex<Inode>>>,
    pub(super) dirs: BTreeSet<String>,
    /// Names as a power cut would leave them, but for `pending`.
    durable_names: BTreeMap<String, Arc<Mutex<Inode>>>,
    pub(super) pending: Vec<NameChange>,
    pub(super) faults: BTreeSet<SimFault>,
    pub(super) capacity_bytes: Option<u64>,
    pub(super) delay: Option<Duration>,
}

/// One change of names that no sync has covered yet.
pub(super) enum NameChange {
    Add(String, Arc<Mutex<Inode>>),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
pub(super) struct Inode {
    /// What reads see.
    pub(super) current: Vec<u8>,
    /// What a power cut leaves, but for `pending`.
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<DataChange>,
    pub(super) links: u32,
}

pub(super) enum DataChange {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Inode {
    pub(super) fn apply(bytes: &mut Vec<u8>, change: &DataChange) {
        match change {
            DataChange::Write(offset, data) => write_into(bytes, *offset as usize, data),
            DataChange::SetLen(len) => bytes.resize(*len as usize, 0),
        }
    }

    pub(super) fn change(&mut self, change: DataChange) {
        Self::apply(&mut self.current, &change);
        self.pending.push(change);
    }

    fn settle(&mut self, random: &mut SplitMix) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                DataChange::Write(offset, data) => settle_write(&mut self.durable, offset as usize, &data, random),
                DataChange::SetLen(_) if random.coin() => Self::apply(&mut self.durable, &change),
                DataChange::SetLen(_) => {}
            }
        }
        self.current = self.durable.clone();
    }
}

/// Lets each sector of a write reach the disk or not.
fn settle_write(durable: &mut Vec<u8>, offset: usize, data: &[u8], random: &mut SplitMix) {
    // One write in three is lost whole and one in three is whole, so that long records are
    // not always torn.
    let fate = random.below(3);
    let mut at = 0;
    while at < data.len() {
        let take = (SECTOR_BYTES - (offset + at) % SECTOR_BYTES).min(data.len() - at);
        if fate == 0 || (fate == 1 && random.coin()) {
            write_into(durable, offset + at, &data[at..at + take]);
        }
        at += take;
    }
}

fn write_into(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if bytes.len() < offset + data.len() {
        bytes.resize(offset + data.len(), 0);
    }
    bytes[offset..offset + data.len()].copy_from_slice(data);
}

pub(super) fn lock_inode(inode: &Mutex<Inode>) -> MutexGuard<'_, Inode> {
    inode.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDrive {
    pub(super) fn lock(&self) -> MutexGuard<'_, DriveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn check(&self, fault: SimFault) -> io::Result<()> {
        let state = self.lock();
        if state.faults.contains(&fault) { Err(eio()) } else { Ok(()) }
    }

    pub(super) fn wait(&self) {
        let delay = self.lock().delay;
        if let Some(delay) = delay {
            std::thread::sleep(delay);
        }
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl DriveState {
    pub(super) fn used_bytes(&self) -> u64 {
        self.names.values().map(|inode| lock_inode(inode).current.len() as u64).sum()
    }

    pub(super) fn require_space(&self, more: u64) -> io::Result<()> {
        match self.capacity_bytes {
            Some(capacity) if self.used_bytes() + more > capacity => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn require_present(&self) -> io::Result<()> {
        if self.faults.contains(&SimFault::Removed) { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    }

    /// Applies one change to the names that survive a power cut.
    pub(super) fn make_durable(&mut self, change: NameChange) {
        match change {
            NameChange::Add(name, inode) => {
                self.durable_names.insert(name, inode);
            }
            NameChange::Rename(from, to) => {
                if let Some(inode) = self.durable_names.remove(&from) {
                    self.durable_names.insert(to, inode);
                }
            }
            NameChange::Remove(name) => {
                self.durable_names.remove(&name);
            }
        }
    }

    pub(super) fn settle(&mut self, random: &mut SplitMix) {
        for change in std::mem::take(&mut self.pending) {
            if random.coin() {
                self.make_durable(change);
            }
        }
        self.names = self.durable_names.clone();
        let mut settled = Vec::new();
        for inode in self.names.values() {
            if !settled.iter().any(|seen| Arc::ptr_eq(seen, inode)) {
                lock_inode(inode).settle(random);
                lock_inode(inode).links = 0;
                settled.push(inode.clone());
            }
        }
        // A name that was removed may be back.
        for inode in self.names.values() {
            lock_inode(inode).links += 1;
        }
    }

    pub(super) fn find(&self, name: &str) -> io::Result<Arc<Mutex<Inode>>> {
        self.names.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Drops what `name` stands for, if anything.
    pub(super) fn unlink(&mut self, name: &str) {
        if let Some(inode) = self.names.remove(name) {
            lock_inode(&inode).links -= 1;
        }
    }

    pub(super) fn add_parents(&mut self, name: &str) {
        let mut dir = split_name(name).0;
        while !dir.is_empty() {
            self.dirs.insert(dir.to_owned());
            dir = split_name(dir).0;
        }
    }
}
