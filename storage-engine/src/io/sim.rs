//! A drive in memory that loses what a power cut would lose, and fails on request.
//!
//! All drives of a test share one [`SimWorld`]: it counts the calls that can make something
//! durable, cuts the power at a chosen one, and on restart decides, from a seed, which unsynced
//! writes reached the disk: each 512-byte sector for itself, so writes are torn and reordered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::{DriveFile, DriveIo, FileInfo, Fill, split_name};
use crate::env::SplitMix;

/// What reaches the disk of a power cut is decided per unit of this size.
const SECTOR_BYTES: usize = 512;

/// The power supply that the simulated drives of one test share.
pub struct SimWorld {
    power: Mutex<Power>,
}

struct Power {
    on: bool,
    /// Durability points (writes, syncs, changes of names) so far.
    points: u64,
    cut_at: Option<u64>,
    /// Grows at each restart: files opened before it are dead.
    generation: u64,
    drives: Vec<Weak<SimDrive>>,
}

impl SimWorld {
    /// A world with the power on.
    pub fn new() -> Arc<Self> {
        let power = Power { on: true, points: 0, cut_at: None, generation: 0, drives: Vec::new() };
        Arc::new(Self { power: Mutex::new(power) })
    }

    /// Durability points passed so far: writes, syncs and changes of names.
    pub fn points(&self) -> u64 {
        self.lock().points
    }

    /// Cuts the power at durability point `point`: it fails and has no effect, and so does all that follows.
    pub fn cut_at(&self, point: u64) {
        self.lock().cut_at = Some(point);
    }

    /// Cuts the power now.
    pub fn cut_now(&self) {
        self.lock().on = false;
    }

    /// Whether the power is on.
    pub fn is_on(&self) -> bool {
        self.lock().on
    }

    /// Decides from `seed` what the cut left on each drive, then turns the power on.
    pub fn restart(&self, seed: u64) {
        let mut power = self.lock();
        let mut random = SplitMix::new(seed);
        for drive in power.drives.iter().filter_map(Weak::upgrade) {
            drive.lock().settle(&mut random);
        }
        power.on = true;
        power.cut_at = None;
        power.generation += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Power> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn require_power(&self) -> io::Result<u64> {
        let power = self.lock();
        if power.on { Ok(power.generation) } else { Err(io::Error::other("simulated power cut")) }
    }

    /// Passes one durability point, or cuts the power there.
    fn pass_point(&self) -> io::Result<()> {
        let mut power = self.lock();
        if power.on && power.cut_at == Some(power.points) {
            power.on = false;
        }
        if !power.on {
            return Err(io::Error::other("simulated power cut"));
        }
        power.points += 1;
        Ok(())
    }
}

/// What a simulated drive does wrong from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SimFault {
    /// Reads fail.
    ReadEio,
    /// Writes fail.
    WriteEio,
    /// Syncs fail, and what they should have made durable never will be.
    SyncEio,
    /// The directory is gone: every call by name fails, open files still take writes.
    Removed,
}

struct SimDrive {
    state: Mutex<DriveState>,
}

#[derive(Default)]
struct DriveState {
    /// Names as a running process sees them.
    names: BTreeMap<String, Arc<Mutex<Inode>>>,
    dirs: BTreeSet<String>,
    /// Names as a power cut would leave them, but for `pending`.
    durable_names: BTreeMap<String, Arc<Mutex<Inode>>>,
    pending: Vec<NameChange>,
    faults: BTreeSet<SimFault>,
    capacity_bytes: Option<u64>,
    delay: Option<Duration>,
}

/// One change of names that no sync has covered yet.
enum NameChange {
    Add(String, Arc<Mutex<Inode>>),
    Rename(String, String),
    Remove(String),
}

#[derive(Default)]
struct Inode {
    /// What reads see.
    current: Vec<u8>,
    /// What a power cut leaves, but for `pending`.
    durable: Vec<u8>,
    pending: Vec<DataChange>,
    links: u32,
}

enum DataChange {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Inode {
    fn apply(bytes: &mut Vec<u8>, change: &DataChange) {
        match change {
            DataChange::Write(offset, data) => write_into(bytes, *offset as usize, data),
            DataChange::SetLen(len) => bytes.resize(*len as usize, 0),
        }
    }

    fn change(&mut self, change: DataChange) {
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

fn lock_inode(inode: &Mutex<Inode>) -> MutexGuard<'_, Inode> {
    inode.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDrive {
    fn lock(&self) -> MutexGuard<'_, DriveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, fault: SimFault) -> io::Result<()> {
        let state = self.lock();
        if state.faults.contains(&fault) { Err(eio()) } else { Ok(()) }
    }

    fn wait(&self) {
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
    fn used_bytes(&self) -> u64 {
        self.names.values().map(|inode| lock_inode(inode).current.len() as u64).sum()
    }

    fn require_space(&self, more: u64) -> io::Result<()> {
        match self.capacity_bytes {
            Some(capacity) if self.used_bytes() + more > capacity => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn require_present(&self) -> io::Result<()> {
        if self.faults.contains(&SimFault::Removed) { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    }

    /// Applies one change to the names that survive a power cut.
    fn make_durable(&mut self, change: NameChange) {
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

    fn settle(&mut self, random: &mut SplitMix) {
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

    fn find(&self, name: &str) -> io::Result<Arc<Mutex<Inode>>> {
        self.names.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Drops what `name` stands for, if anything.
    fn unlink(&mut self, name: &str) {
        if let Some(inode) = self.names.remove(name) {
            lock_inode(&inode).links -= 1;
        }
    }

    fn add_parents(&mut self, name: &str) {
        let mut dir = split_name(name).0;
        while !dir.is_empty() {
            self.dirs.insert(dir.to_owned());
            dir = split_name(dir).0;
        }
    }
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
        world.lock().drives.push(Arc::downgrade(&drive));
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

struct SimFile {
    io: SimIo,
    inode: Arc<Mutex<Inode>>,
    /// The boot in which it was opened.
    generation: u64,
}

impl SimFile {
    fn require_power(&self) -> io::Result<()> {
        if self.io.world.require_power()? == self.generation {
            return Ok(());
        }
        Err(io::Error::other("a file opened before the simulated power cut"))
    }
}

impl DriveFile for SimFile {
    fn write_at(&self, offset: u64, bufs: &[IoSlice<'_>]) -> io::Result<()> {
        self.require_power()?;
        self.io.world.pass_point()?;
        self.io.drive.check(SimFault::WriteEio)?;
        self.io.drive.wait();
        let data: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        let end = offset + data.len() as u64;
        let have = lock_inode(&self.inode).current.len() as u64;
        if end > have {
            self.io.drive.lock().require_space(end - have)?;
        }
        lock_inode(&self.inode).change(DataChange::Write(offset, data));
        Ok(())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.require_power()?;
        self.io.drive.check(SimFault::ReadEio)?;
        self.io.drive.wait();
        let inode = lock_inode(&self.inode);
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        match inode.current.get(start..).and_then(|rest| rest.get(..buf.len())) {
            Some(bytes) => buf.copy_from_slice(bytes),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    fn try_read_cached(&self, _offset: u64, _buf: &mut [u8]) -> io::Result<bool> {
        self.require_power()?;
        Ok(false)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.require_power()?;
        self.io.world.pass_point()?;
        self.io.drive.wait();
        let failed = self.io.drive.check(SimFault::SyncEio);
        let mut inode = lock_inode(&self.inode);
        let changes = std::mem::take(&mut inode.pending);
        // As Linux does, a failed sync forgets what was not written: the next one succeeds without it.
        failed?;
        for change in &changes {
            Inode::apply(&mut inode.durable, change);
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.require_power()?;
        Ok(lock_inode(&self.inode).current.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.require_power()?;
        self.io.world.pass_point()?;
        self.io.drive.check(SimFault::WriteEio)?;
        lock_inode(&self.inode).change(DataChange::SetLen(len));
        Ok(())
    }

    fn is_linked(&self) -> io::Result<bool> {
        self.require_power()?;
        let present = self.io.drive.lock().require_present().is_ok();
        Ok(present && lock_inode(&self.inode).links > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsynced_sectors_may_be_lost_and_synced_ones_never() {
        let mut lost = 0;
        for seed in 0..40 {
            let world = SimWorld::new();
            let io = SimIo::new(&world, "d1");
            let file = io.create("f", 4096, Fill::Zero).unwrap();
            file.write_at(0, &[IoSlice::new(&[1; 1024])]).unwrap();
            file.sync_data().unwrap();
            file.write_at(1024, &[IoSlice::new(&[2; 2048])]).unwrap();
            world.cut_now();
            assert!(file.sync_data().is_err());
            world.restart(seed);
            assert!(file.len().is_err(), "a handle of the last boot is dead");
            let bytes = io.read_all("f", 4096).unwrap();
            assert!(bytes[..1024].iter().all(|byte| *byte == 1));
            lost += bytes[1024..3072].chunks(512).filter(|sector| sector[0] == 0).count();
        }
        assert!((20..140).contains(&lost), "{lost} of 160 sectors lost");
    }

    #[test]
    fn a_cut_between_change_and_sync_leaves_the_name_to_chance() {
        let outcomes: BTreeSet<bool> = (0..20)
            .map(|seed| {
                let world = SimWorld::new();
                let io = SimIo::new(&world, "d1");
                world.cut_at(1);
                assert!(io.create("f", 10, Fill::Allocate).is_err());
                world.restart(seed);
                io.open("f").is_ok()
            })
            .collect();
        assert_eq!(outcomes.len(), 2);
    }

    #[test]
    fn a_failed_sync_loses_data_behind_a_later_success() {
        let world = SimWorld::new();
        let io = SimIo::new(&world, "d1");
        let file = io.create("f", 512, Fill::Zero).unwrap();
        io.set_fault(SimFault::SyncEio, true);
        file.write_at(0, &[IoSlice::new(&[7; 512])]).unwrap();
        assert!(file.sync_data().is_err());
        io.set_fault(SimFault::SyncEio, false);
        file.sync_data().unwrap();
        world.cut_now();
        world.restart(1);
        assert_eq!(io.read_all("f", 512).unwrap(), vec![0; 512]);
    }

    #[test]
    fn a_full_drive_says_so_and_goes_on_when_space_returns() {
        let world = SimWorld::new();
        let io = SimIo::new(&world, "d1");
        io.set_capacity(Some(1000));
        assert!(super::super::is_full(&io.create("f", 2000, Fill::Allocate).err().unwrap()));
        io.create("g", 900, Fill::Allocate).unwrap();
        assert_eq!(io.free_bytes().unwrap(), 100);
        io.remove("g").unwrap();
        io.create("f", 1000, Fill::Allocate).unwrap();
    }
}
