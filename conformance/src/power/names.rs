//! The names in directories, and which of their changes the disk has.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;

/// A file or directory.
pub(super) type Inode = u64;

/// One directory: its names now, and on the disk.
#[derive(Default)]
pub(super) struct Directory {
    pub(super) now: BTreeMap<OsString, Inode>,
    durable: BTreeMap<OsString, Inode>,
}

/// Names that change together: one for most calls, two for a rename.
struct Change(Vec<(Inode, OsString, Option<Inode>)>);

impl Change {
    fn touches(&self, directories: &HashSet<Inode>) -> bool {
        self.0.iter().any(|(directory, _, _)| directories.contains(directory))
    }
}

/// All directories, and the changes that are not durable, oldest first.
#[derive(Default)]
pub(super) struct Names {
    pub(super) directories: HashMap<Inode, Directory>,
    pending: Vec<Change>,
}

impl Names {
    /// Sets or removes names, all or nothing across a power cut.
    pub(super) fn change(&mut self, names: Vec<(Inode, OsString, Option<Inode>)>) {
        for (directory, name, inode) in &names {
            let now = &mut self.directories.entry(*directory).or_default().now;
            match inode {
                Some(inode) => now.insert(name.clone(), *inode),
                None => now.remove(name),
            };
        }
        self.pending.push(Change(names));
    }

    /// Makes a directory's names durable, with the older changes that they build on.
    pub(super) fn sync(&mut self, directory: Inode) {
        let mut directories = HashSet::from([directory]);
        let mut taken = vec![false; self.pending.len()];
        for (index, change) in self.pending.iter().enumerate().rev() {
            if change.touches(&directories) {
                directories.extend(change.0.iter().map(|(directory, _, _)| *directory));
                taken[index] = true;
            }
        }
        let mut taken = taken.into_iter();
        let (durable, pending): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|_| taken.next().unwrap_or(false));
        self.pending = pending;
        for change in durable {
            self.write(change);
        }
    }

    /// How many changes are not durable.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Keeps the oldest `kept` of the pending changes; what the disk has is now what there is.
    pub(super) fn cut(&mut self, kept: usize) {
        let pending = std::mem::take(&mut self.pending);
        for change in pending.into_iter().take(kept) {
            self.write(change);
        }
        for directory in self.directories.values_mut() {
            directory.now = directory.durable.clone();
        }
    }

    fn write(&mut self, change: Change) {
        for (directory, name, inode) in change.0 {
            let durable = &mut self.directories.entry(directory).or_default().durable;
            match inode {
                Some(inode) => durable.insert(name, inode),
                None => durable.remove(&name),
            };
        }
    }

    /// What can be reached from `root` by the names of now.
    pub(super) fn reachable(&self, root: Inode) -> HashSet<Inode> {
        let mut reached = HashSet::from([root]);
        let mut open = vec![root];
        while let Some(inode) = open.pop() {
            for &child in self.directories.get(&inode).iter().flat_map(|directory| directory.now.values()) {
                if reached.insert(child) {
                    open.push(child);
                }
            }
        }
        reached
    }

    /// How many names a file has.
    pub(super) fn links(&self, inode: Inode) -> u32 {
        let all = self.directories.values().flat_map(|directory| directory.now.values());
        u32::try_from(all.filter(|&&named| named == inode).count()).unwrap_or(u32::MAX)
    }
}
