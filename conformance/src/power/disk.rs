//! The disk: files and names together.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use super::file::{File, Luck};
use super::names::{Directory, Inode, Names};

/// The directory at the top.
pub(super) const ROOT: Inode = 1;

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskError {
    /// No such name or file.
    NotFound,
    /// The name is taken.
    Exists,
    /// A directory where a file is needed.
    IsDirectory,
    /// A file where a directory is needed.
    NotDirectory,
    /// The directory has names in it.
    NotEmpty,
}

/// Small, seeded, good enough to vary power cuts.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// What a power cut did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Unsynced pages that were lost or torn.
    pub pages_lost: u64,
    /// Unsynced changes of names that were lost.
    pub names_lost: u64,
}

/// See the module.
#[derive(Default)]
pub struct Disk {
    names: Names,
    files: HashMap<Inode, File>,
    modes: HashMap<Inode, u16>,
    last: Inode,
    /// Says that it synced, and did not.
    lies: bool,
}

/// What a look at a file or directory tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) inode: Inode,
    pub(super) len: u64,
    pub(super) directory: bool,
    pub(super) mode: u16,
    pub(super) links: u32,
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Self {
        let mut disk = Self { last: ROOT, ..Self::default() };
        disk.names.directories.insert(ROOT, Directory::default());
        disk.modes.insert(ROOT, 0o755);
        disk
    }

    /// A disk that acknowledges syncs and ignores them: what runs on it must be seen to lose something.
    pub fn lying() -> Self {
        Self { lies: true, ..Self::new() }
    }

    /// Power fails, and comes back: what was not synced is lost but for what luck keeps.
    ///
    /// Nothing may have a file open.
    pub fn cut(&mut self, seed: u64) -> Cut {
        let mut random = Random(seed);
        let pending = self.names.pending();
        let kept = match random.below(4) {
            0 => 0,
            1 => pending,
            _ => usize::try_from(random.below(pending as u64 + 1)).unwrap_or(pending),
        };
        self.names.cut(kept);
        let luck = match random.below(4) {
            0 => Luck::None,
            1 => Luck::All,
            _ => Luck::Some,
        };
        let reachable = self.names.reachable(ROOT);
        self.files.retain(|inode, _| reachable.contains(inode));
        self.modes.retain(|inode, _| reachable.contains(inode));
        self.names.directories.retain(|inode, _| reachable.contains(inode));
        let mut inodes: Vec<Inode> = self.files.keys().copied().collect();
        inodes.sort_unstable();
        let mut pages_lost = 0;
        for inode in inodes {
            if let Some(file) = self.files.get_mut(&inode) {
                pages_lost += file.cut(luck, &mut random);
            }
        }
        Cut { pages_lost, names_lost: (pending - kept) as u64 }
    }

    pub(super) fn stat(&self, inode: Inode) -> Result<Stat, DiskError> {
        let mode = *self.modes.get(&inode).ok_or(DiskError::NotFound)?;
        let file = self.files.get(&inode);
        Ok(Stat {
            inode,
            len: file.map_or(4096, File::len),
            directory: file.is_none(),
            mode,
            links: if file.is_some() { self.names.links(inode) } else { 2 },
        })
    }

    pub(super) fn lookup(&self, parent: Inode, name: &OsStr) -> Result<Stat, DiskError> {
        let inode = self.directory(parent)?.now.get(name).ok_or(DiskError::NotFound)?;
        self.stat(*inode)
    }

    pub(super) fn list(&self, directory: Inode) -> Result<Vec<(Inode, bool, OsString)>, DiskError> {
        let names = &self.directory(directory)?.now;
        Ok(names.iter().map(|(name, inode)| (*inode, !self.files.contains_key(inode), name.clone())).collect())
    }

    pub(super) fn create(
        &mut self,
        parent: Inode,
        name: &OsStr,
        mode: u16,
        directory: bool,
    ) -> Result<Stat, DiskError> {
        if self.directory(parent)?.now.contains_key(name) {
            return Err(DiskError::Exists);
        }
        self.last += 1;
        let inode = self.last;
        self.modes.insert(inode, mode & 0o7777);
        if directory {
            self.names.directories.insert(inode, Directory::default());
        } else {
            self.files.insert(inode, File::default());
        }
        self.names.change(vec![(parent, name.to_owned(), Some(inode))]);
        self.stat(inode)
    }

    pub(super) fn remove(&mut self, parent: Inode, name: &OsStr, directory: bool) -> Result<(), DiskError> {
        let stat = self.lookup(parent, name)?;
        match (stat.directory, directory) {
            (true, false) => return Err(DiskError::IsDirectory),
            (false, true) => return Err(DiskError::NotDirectory),
            (true, true) if !self.directory(stat.inode)?.now.is_empty() => return Err(DiskError::NotEmpty),
            _ => {}
        }
        self.names.change(vec![(parent, name.to_owned(), None)]);
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        from: (Inode, &OsStr),
        to: (Inode, &OsStr),
        replace: bool,
    ) -> Result<(), DiskError> {
        let stat = self.lookup(from.0, from.1)?;
        match self.lookup(to.0, to.1) {
            Ok(_) if !replace => return Err(DiskError::Exists),
            Ok(old) if old.directory && !self.directory(old.inode)?.now.is_empty() => return Err(DiskError::NotEmpty),
            Ok(_) | Err(DiskError::NotFound) => {}
            Err(error) => return Err(error),
        }
        let (gone, named) = ((from.0, from.1.to_owned(), None), (to.0, to.1.to_owned(), Some(stat.inode)));
        self.names.change(vec![gone, named]);
        Ok(())
    }

    pub(super) fn link(&mut self, inode: Inode, parent: Inode, name: &OsStr) -> Result<Stat, DiskError> {
        if self.directory(parent)?.now.contains_key(name) {
            return Err(DiskError::Exists);
        }
        self.names.change(vec![(parent, name.to_owned(), Some(inode))]);
        self.stat(inode)
    }

    pub(super) fn set_mode(&mut self, inode: Inode, mode: u16) -> Result<(), DiskError> {
        *self.modes.get_mut(&inode).ok_or(DiskError::NotFound)? = mode & 0o7777;
        Ok(())
    }

    pub(super) fn file(&mut self, inode: Inode) -> Result<&mut File, DiskError> {
        self.files.get_mut(&inode).ok_or(DiskError::IsDirectory)
    }

    pub(super) fn sync_file(&mut self, inode: Inode) -> Result<(), DiskError> {
        let lies = self.lies;
        let file = self.file(inode)?;
        if !lies {
            file.sync();
        }
        Ok(())
    }

    pub(super) fn sync_directory(&mut self, inode: Inode) -> Result<(), DiskError> {
        self.directory(inode)?;
        if !self.lies {
            self.names.sync(inode);
        }
        Ok(())
    }

    fn directory(&self, inode: Inode) -> Result<&Directory, DiskError> {
        self.names.directories.get(&inode).ok_or(DiskError::NotDirectory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(disk: &mut Disk, name: &str) -> Inode {
        disk.create(ROOT, name.as_ref(), 0o600, false).unwrap().inode
    }

    #[test]
    fn what_is_synced_survives_every_cut() {
        for seed in 0..200 {
            let mut disk = Disk::new();
            let inode = created(&mut disk, "kept");
            disk.file(inode).unwrap().write(100, &[7; 9000]);
            disk.sync_file(inode).unwrap();
            disk.sync_directory(ROOT).unwrap();
            disk.file(inode).unwrap().write(20_000, &[8; 5]);
            disk.cut(seed);
            let kept = disk.lookup(ROOT, "kept".as_ref()).unwrap();
            let bytes = disk.file(kept.inode).unwrap().read(0, 9100);
            assert!(bytes[..100].iter().all(|&b| b == 0) && bytes[100..].iter().all(|&b| b == 7));
        }
    }

    #[test]
    fn what_is_not_synced_is_lost_torn_or_kept() {
        let (mut lost, mut torn, mut kept, mut unnamed) = (0, 0, 0, 0);
        for seed in 0..400 {
            let mut disk = Disk::new();
            let inode = created(&mut disk, "named");
            disk.file(inode).unwrap().set_len(4096);
            disk.sync_file(inode).unwrap();
            disk.sync_directory(ROOT).unwrap();
            created(&mut disk, "unnamed");
            disk.file(inode).unwrap().write(0, &[1; 4096]);
            disk.cut(seed);
            unnamed += usize::from(disk.lookup(ROOT, "unnamed".as_ref()).is_err());
            match disk.file(inode).unwrap().read(0, 4096).iter().filter(|&&b| b == 1).count() {
                0 => lost += 1,
                4096 => kept += 1,
                _ => torn += 1,
            }
        }
        assert!(lost > 20 && torn > 20 && kept > 20 && unnamed > 20, "{lost} {torn} {kept} {unnamed}");
    }

    #[test]
    fn a_rename_is_whole_or_not_at_all() {
        for seed in 0..200 {
            let mut disk = Disk::new();
            let folder = disk.create(ROOT, "d".as_ref(), 0o700, true).unwrap().inode;
            created(&mut disk, "a");
            disk.sync_directory(ROOT).unwrap();
            disk.rename((ROOT, "a".as_ref()), (folder, "b".as_ref()), true).unwrap();
            if seed % 2 == 0 {
                disk.sync_directory(folder).unwrap();
            }
            disk.cut(seed);
            let (old, new) = (disk.lookup(ROOT, "a".as_ref()), disk.lookup(folder, "b".as_ref()));
            assert!(old.is_ok() != new.is_ok());
            assert!(seed % 2 != 0 || new.is_ok());
        }
    }

    #[test]
    fn a_shorter_file_has_zeros_when_it_grows_again() {
        let mut disk = Disk::new();
        let inode = created(&mut disk, "f");
        let file = disk.file(inode).unwrap();
        file.write(0, &[1; 10_000]);
        file.sync();
        file.set_len(5000);
        file.set_len(10_000);
        file.sync();
        let bytes = file.read(0, 10_000);
        assert!(bytes[..5000].iter().all(|&b| b == 1) && bytes[5000..].iter().all(|&b| b == 0));
    }
}
