//! A drive on real files: positioned reads and writes relative to one directory descriptor.

use std::collections::HashSet;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{self, AtFlags, FallocateFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::{DriveFile, DriveIo, FileInfo, Fill, split_name};

/// Name of the file whose lock says that a process uses the drive.
const LOCK_NAME: &str = "lock";
/// Buffers that one `pwritev` takes (`IOV_MAX` on Linux).
const IOV_COUNT_MAX: usize = 1024;
/// Zeros are written in pieces of this size.
const ZERO_CHUNK_BYTES: usize = 1 << 20;
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const DIR_MODE: Mode = Mode::from_raw_mode(0o700);

/// The directory of one drive, locked for this process.
pub struct FileIo {
    path: PathBuf,
    dir: OwnedFd,
    /// Held for its lock only.
    _lock: OwnedFd,
    /// Directories that this process has synced into their parents. A directory that a killed
    /// process made may not be durable, so existing ones are synced once too.
    durable_dirs: Mutex<HashSet<String>>,
}

impl FileIo {
    /// Opens the directory at `path`, creating it and its parents, and locks it.
    ///
    /// # Errors
    /// `WouldBlock` if another process holds the lock: two servers on one directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        create_dir_durable(path)?;
        Self::open_existing(path)
    }

    /// Opens the directory at `path` and locks it. Makes no directory: where a disk is not mounted, what is
    /// written would go to the disk below.
    ///
    /// # Errors
    /// `NotFound` if it is not there, `WouldBlock` if another process holds the lock.
    pub fn open_existing(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let dir = fs::open(&path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let lock = fs::openat(&dir, LOCK_NAME, OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC, FILE_MODE)?;
        match fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    format!("{} is in use by another process", path.display()),
                ));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Self { path, dir, _lock: lock, durable_dirs: Mutex::new(HashSet::new()) })
    }

    fn open_dir(&self, dir: &str) -> io::Result<OwnedFd> {
        let name = if dir.is_empty() { "." } else { dir };
        Ok(fs::openat(&self.dir, name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Creates `dir` and its parents, each durable in its own parent.
    fn ensure_dir(&self, dir: &str) -> io::Result<()> {
        if dir.is_empty() || self.durable_dirs.lock().unwrap_or_else(PoisonError::into_inner).contains(dir) {
            return Ok(());
        }
        let (parent, _) = split_name(dir);
        self.ensure_dir(parent)?;
        match fs::mkdirat(&self.dir, dir, DIR_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.sync_dir(parent)?;
        self.durable_dirs.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.to_owned());
        Ok(())
    }

    fn open_with(&self, name: &str, flags: OFlags) -> io::Result<OsFile> {
        let flags = flags | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(OsFile { fd: fs::openat(&self.dir, name, flags, FILE_MODE)? })
    }

    fn remove_below(&self, dir: &str) -> io::Result<()> {
        for entry in self.list(dir)? {
            let name = format!("{dir}/{}", entry.name);
            if entry.is_dir {
                self.remove_below(&name)?;
            } else {
                fs::unlinkat(&self.dir, name.as_str(), AtFlags::empty())?;
            }
        }
        match fs::unlinkat(&self.dir, dir, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl DriveIo for FileIo {
    fn create(&self, name: &str, len: u64, fill: Fill) -> io::Result<Arc<dyn DriveFile>> {
        let (dir, _) = split_name(name);
        self.ensure_dir(dir)?;
        let file = self.open_with(name, OFlags::CREATE | OFlags::EXCL)?;
        let filled = file.fill(len, fill).and_then(|()| self.sync_dir(dir));
        if let Err(error) = filled {
            // The error that matters is the first one.
            let _ = fs::unlinkat(&self.dir, name, AtFlags::empty());
            return Err(error);
        }
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DriveFile>> {
        Ok(Arc::new(self.open_with(name, OFlags::empty())?))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<FileInfo>> {
        let fd = match self.open_dir(dir) {
            Ok(fd) => fd,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.check_alive()?;
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        for entry in fs::Dir::read_from(&fd)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let stat = match fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let len = if is_dir { 0 } else { u64::try_from(stat.st_size).unwrap_or(0) };
            entries.push(FileInfo { name: name.to_owned(), len, is_dir });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let ((from_dir, _), (to_dir, _)) = (split_name(from), split_name(to));
        self.ensure_dir(to_dir)?;
        fs::renameat(&self.dir, from, &self.dir, to)?;
        self.sync_dir(to_dir)?;
        if from_dir == to_dir { Ok(()) } else { self.sync_dir(from_dir) }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::unlinkat(&self.dir, name, AtFlags::empty())?;
        self.sync_dir(split_name(name).0)
    }

    fn remove_tree(&self, dir: &str) -> io::Result<()> {
        self.remove_below(dir)?;
        let mut durable = self.durable_dirs.lock().unwrap_or_else(PoisonError::into_inner);
        durable.retain(|known| known != dir && !known.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/')));
        drop(durable);
        match self.sync_dir(split_name(dir).0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn hard_link(&self, from: &str, to: &str) -> io::Result<()> {
        let (dir, _) = split_name(to);
        self.ensure_dir(dir)?;
        fs::linkat(&self.dir, from, &self.dir, to, AtFlags::empty())?;
        self.sync_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        Ok(fs::fsync(self.open_dir(dir)?)?)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = fs::fstatvfs(&self.dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn check_alive(&self) -> io::Result<()> {
        let opened = fs::fstat(&self.dir)?;
        let named = fs::stat(&self.path)?;
        // The descriptor keeps the inode number from being given to another directory.
        if opened.st_nlink > 0 && (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino) {
            return Ok(());
        }
        let gone = format!("{} is no longer the directory that was opened", self.path.display());
        Err(io::Error::new(io::ErrorKind::NotFound, gone))
    }

    fn write_atomic(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.ensure_dir(split_name(name).0)?;
        let temporary = format!("{name}.tmp");
        let file = self.open_with(&temporary, OFlags::CREATE | OFlags::TRUNC)?;
        file.write_at(0, &[IoSlice::new(bytes)])?;
        file.sync_data()?;
        self.rename(&temporary, name)
    }

    fn os_path(&self) -> Option<PathBuf> {
        Some(self.path.clone())
    }

    fn label(&self) -> String {
        self.path.display().to_string()
    }
}

/// Creates a directory with its parents and syncs each new one into its parent.
fn create_dir_durable(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_dir_durable(parent)?;
    match fs::mkdir(path, DIR_MODE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(fs::fsync(fs::open(parent, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)?)
}

struct OsFile {
    fd: OwnedFd,
}

impl OsFile {
    fn fill(&self, len: u64, fill: Fill) -> io::Result<()> {
        match fill {
            Fill::Empty => Ok(()),
            // The system call refuses to reserve nothing.
            Fill::Allocate if len == 0 => Ok(()),
            Fill::Allocate => loop {
                match fs::fallocate(&self.fd, FallocateFlags::empty(), 0, len) {
                    Err(Errno::INTR) => {}
                    // A file system that cannot reserve still works; it may run full later.
                    Err(Errno::OPNOTSUPP) => return self.set_len(len),
                    other => return Ok(other?),
                }
            },
            Fill::Zero => {
                let zeros = vec![0; ZERO_CHUNK_BYTES];
                let mut offset = 0;
                while offset < len {
                    let take = usize::try_from(len - offset).unwrap_or(usize::MAX).min(zeros.len());
                    self.write_at(offset, &[IoSlice::new(&zeros[..take])])?;
                    offset += take as u64;
                }
                self.sync_data()
            }
        }
    }
}

impl DriveFile for OsFile {
    fn write_at(&self, offset: u64, bufs: &[IoSlice<'_>]) -> io::Result<()> {
        let mut offset = offset;
        for group in bufs.chunks(IOV_COUNT_MAX) {
            let want: usize = group.iter().map(|buf| buf.len()).sum();
            let done = retry_interrupted(|| rustix::io::pwritev(&self.fd, group, offset))?;
            if done < want {
                self.write_rest(offset, group, done)?;
            }
            offset += want as u64;
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match retry_interrupted(|| rustix::io::pread(&self.fd, &mut buf[done..], offset + done as u64))? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => done += count,
            }
        }
        Ok(())
    }

    fn try_read_cached(&self, offset: u64, buf: &mut [u8]) -> io::Result<bool> {
        let want = buf.len();
        let read = rustix::io::preadv2(&self.fd, &mut [IoSliceMut::new(buf)], offset, ReadWriteFlags::NOWAIT);
        match read {
            Ok(count) => Ok(count == want),
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn forget_cached(&self) {
        // A hint: a file system that does not take it gives what it has in memory.
        let _ = fs::fadvise(&self.fd, 0, None, fs::Advice::DontNeed);
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(fs::fdatasync(&self.fd)?)
    }

    fn len(&self) -> io::Result<u64> {
        u64::try_from(fs::fstat(&self.fd)?.st_size).map_err(io::Error::other)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Ok(fs::ftruncate(&self.fd, len)?)
    }

    fn is_linked(&self) -> io::Result<bool> {
        Ok(fs::fstat(&self.fd)?.st_nlink > 0)
    }
}

impl OsFile {
    /// Ends a write that the system cut after `done` bytes of `bufs`.
    fn write_rest(&self, offset: u64, bufs: &[IoSlice<'_>], done: usize) -> io::Result<()> {
        let mut start = 0;
        for buf in bufs {
            let mut from = done.saturating_sub(start).min(buf.len());
            while from < buf.len() {
                let at = offset + (start + from) as u64;
                match retry_interrupted(|| rustix::io::pwrite(&self.fd, &buf[from..], at))? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    count => from += count,
                }
            }
            start += buf.len();
        }
        Ok(())
    }
}

fn retry_interrupted<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, FileIo) {
        let dir = tempfile::tempdir().unwrap();
        let io = FileIo::open(&dir.path().join("a/b")).unwrap();
        (dir, io)
    }

    #[test]
    fn a_second_process_is_refused() {
        let (dir, _io) = fresh();
        let again = FileIo::open(&dir.path().join("a/b")).err().unwrap();
        assert_eq!(again.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_directory_that_should_be_there_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert_eq!(FileIo::open_existing(&path).err().unwrap().kind(), io::ErrorKind::NotFound);
        assert!(!dir.path().join("a").exists());
        drop(FileIo::open(&path).unwrap());
        FileIo::open_existing(&path).unwrap();
    }

    #[test]
    fn a_removed_a_moved_and_a_replaced_directory_are_noticed() {
        let (dir, io) = fresh();
        io.check_alive().unwrap();
        let path = dir.path().join("a/b");
        std::fs::rename(&path, dir.path().join("c")).unwrap();
        assert!(io.check_alive().is_err());
        assert!(io.list("segments").is_err(), "a lost drive is never an empty one");
        std::fs::create_dir(&path).unwrap();
        assert!(io.check_alive().is_err());
        std::fs::remove_dir(&path).unwrap();
        std::fs::rename(dir.path().join("c"), &path).unwrap();
        io.check_alive().unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        assert!(io.check_alive().is_err());
    }

    #[test]
    fn files_are_made_filled_renamed_and_removed() {
        let (_dir, io) = fresh();
        let file = io.create("x/y/one", 8192, Fill::Zero).unwrap();
        file.write_at(4094, &[IoSlice::new(b"abc"), IoSlice::new(b"def")]).unwrap();
        let mut back = [0; 6];
        file.read_at(4094, &mut back).unwrap();
        assert_eq!(&back, b"abcdef");
        assert!(file.read_at(8190, &mut back).is_err());
        assert!(io.create("x/y/one", 0, Fill::Empty).is_err());
        io.rename("x/y/one", "z").unwrap();
        assert!(io.list("x/y").unwrap().is_empty());
        io.write_atomic("z", b"new").unwrap();
        assert_eq!(io.read_all("z", 10).unwrap(), b"new");
        assert!(io.read_all("z", 2).is_err());
        assert!(!file.is_linked().unwrap());
        io.remove_tree("x").unwrap();
        io.remove_tree("x").unwrap();
        io.remove("z").unwrap();
        assert_eq!(io.create("x/y/two", 5000, Fill::Allocate).unwrap().len().unwrap(), 5000);
        assert_eq!(io.create("x/y/none", 0, Fill::Allocate).unwrap().len().unwrap(), 0);
    }
}
