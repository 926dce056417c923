//! The disk as a mounted file system.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::disk::{Cut, Disk, DiskError, Stat};

/// How long the kernel may believe what it was told: nobody else changes the disk while it is mounted.
const TTL: Duration = Duration::from_secs(60);
/// What the file system says of its size, in blocks of 4 KiB: 64 GiB, all free.
const BLOCKS: u64 = 16 << 20;
const FALLOC_KEEP_SIZE: i32 = 1;
const FALLOC_PUNCH_HOLE: i32 = 2;
const FALLOC_ZERO_RANGE: i32 = 16;

/// A disk that is mounted until this is dropped.
pub struct Mounted {
    shown: Shown,
    at: PathBuf,
    session: Option<BackgroundSession>,
}

/// Mounts a disk. Needs the right to mount: root, or `fusermount`.
///
/// # Errors
/// If it cannot be mounted there.
pub fn mount(disk: Disk, at: &Path) -> io::Result<Mounted> {
    mount_as(disk, at, FopenFlags::empty())
}

/// Mounts a disk of which the kernel caches no bytes: every read and write comes to the disk, and may be made to wait
/// there ([`Mounted::set_delay`]).
///
/// # Errors
/// As [`mount`].
pub fn mount_uncached(disk: Disk, at: &Path) -> io::Result<Mounted> {
    mount_as(disk, at, FopenFlags::FOPEN_DIRECT_IO)
}

fn mount_as(disk: Disk, at: &Path, opened: FopenFlags) -> io::Result<Mounted> {
    std::fs::create_dir_all(at)?;
    let shown = Shown { disk: Arc::new(Mutex::new(disk)), delay_ms: Arc::default(), opened };
    let mut mounted = Mounted { shown, at: at.to_owned(), session: None };
    mounted.attach()?;
    Ok(mounted)
}

impl Mounted {
    /// Cuts the power of the disk, and mounts it again. No process may have a file of it open.
    ///
    /// # Errors
    /// If it cannot be unmounted or mounted.
    pub fn cut(&mut self, seed: u64) -> io::Result<Cut> {
        if let Some(session) = self.session.take() {
            match session.umount_and_join() {
                // A thread that was still reading requests: the connection ended under it, as it was to.
                Err(error) if error.kind() != io::ErrorKind::ConnectionAborted => return Err(error),
                _ => {}
            }
        }
        let cut = self.shown.lock().cut(seed);
        self.attach()?;
        Ok(cut)
    }

    /// From now on every read, write, sync and change of a name takes so much longer; those at once wait at once.
    pub fn set_delay(&self, delay: Duration) {
        self.shown.delay_ms.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    fn attach(&mut self) -> io::Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("chartrier-power".into()), MountOption::NoAtime];
        config.n_threads = Some(2);
        self.session = Some(fuser::spawn_mount(self.shown.clone(), &self.at, &config)?);
        Ok(())
    }
}

#[derive(Clone)]
struct Shown {
    disk: Arc<Mutex<Disk>>,
    delay_ms: Arc<AtomicU64>,
    /// What the kernel is told of every file that is opened.
    opened: FopenFlags,
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what takes long on a slow disk: on a thread of its own if it is one, so that it holds up nothing else.
    fn serve(&self, work: impl FnOnce(&mut Disk) + Send + 'static) {
        let delay = Duration::from_millis(self.delay_ms.load(Relaxed));
        if delay.is_zero() {
            return work(&mut self.lock());
        }
        let shown = self.clone();
        thread::spawn(move || {
            thread::sleep(delay);
            work(&mut shown.lock());
        });
    }
}

impl From<DiskError> for Errno {
    fn from(error: DiskError) -> Self {
        match error {
            DiskError::NotFound => Self::ENOENT,
            DiskError::Exists => Self::EEXIST,
            DiskError::IsDirectory => Self::EISDIR,
            DiskError::NotDirectory => Self::ENOTDIR,
            DiskError::NotEmpty => Self::ENOTEMPTY,
        }
    }
}

fn attr(stat: &Stat, request: &Request) -> FileAttr {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(UNIX_EPOCH, |now| UNIX_EPOCH + now);
    FileAttr {
        ino: INodeNo(stat.inode),
        size: stat.len,
        blocks: stat.len.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: if stat.directory { FileType::Directory } else { FileType::RegularFile },
        perm: stat.mode,
        nlink: stat.links,
        uid: request.uid(),
        gid: request.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn entry(stat: Result<Stat, DiskError>, request: &Request, reply: ReplyEntry) {
    match stat {
        Ok(stat) => reply.entry(&TTL, &attr(&stat, request), Generation(0)),
        Err(error) => reply.error(error.into()),
    }
}

fn empty(result: Result<(), DiskError>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error.into()),
    }
}

fn mode(mode: u32, umask: u32) -> u16 {
    (mode & !umask & 0o7777) as u16
}

impl Filesystem for Shown {
    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(self.lock().lookup(parent.0, name), request, reply);
    }

    fn getattr(&self, request: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.lock().stat(ino.0) {
            Ok(stat) => reply.attr(&TTL, &attr(&stat, request)),
            Err(error) => reply.error(error.into()),
        }
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.lock();
        let changed = (|| {
            if let Some(mode) = mode {
                disk.set_mode(ino.0, (mode & 0o7777) as u16)?;
            }
            if let Some(size) = size {
                disk.file(ino.0)?.set_len(size);
            }
            disk.stat(ino.0)
        })();
        match changed {
            Ok(stat) => reply.attr(&TTL, &attr(&stat, request)),
            Err(error) => reply.error(error.into()),
        }
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, bits: u32, umask: u32, reply: ReplyEntry) {
        entry(self.lock().create(parent.0, name, mode(bits, umask), true), request, reply);
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = name.to_owned();
        self.serve(move |disk| empty(disk.remove(parent.0, &name, false), reply));
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.lock().remove(parent.0, name, true), reply);
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.intersects(RenameFlags::RENAME_EXCHANGE | RenameFlags::RENAME_WHITEOUT) {
            return reply.error(Errno::EINVAL);
        }
        let replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        let (name, newname) = (name.to_owned(), newname.to_owned());
        self.serve(move |disk| empty(disk.rename((parent.0, &name), (newparent.0, &newname), replace), reply));
    }

    fn link(&self, request: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        entry(self.lock().link(ino.0, newparent.0, newname), request, reply);
    }

    fn open(&self, _request: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), self.opened);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        bits: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.lock().create(parent.0, name, mode(bits, umask), false) {
            Ok(stat) => {
                reply.created(&TTL, &attr(&stat, request), Generation(0), FileHandle(0), self.opened);
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn read(
        &self,
        _request: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.serve(move |disk| match disk.file(ino.0) {
            Ok(file) => reply.data(&file.read(offset, size as usize)),
            Err(error) => reply.error(error.into()),
        });
    }

    fn write(
        &self,
        _request: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let data = data.to_vec();
        self.serve(move |disk| match disk.file(ino.0) {
            Ok(file) => {
                file.write(offset, &data);
                reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX));
            }
            Err(error) => reply.error(error.into()),
        });
    }

    fn flush(&self, _request: &Request, _ino: INodeNo, _fh: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _request: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.serve(move |disk| empty(disk.sync_file(ino.0), reply));
    }

    fn fsyncdir(&self, _request: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.serve(move |disk| empty(disk.sync_directory(ino.0), reply));
    }

    fn readdir(&self, _request: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let names = match self.lock().list(ino.0) {
            Ok(names) => names,
            Err(error) => return reply.error(error.into()),
        };
        let dots = [(ino.0, true, ".".into()), (ino.0, true, "..".into())];
        for (index, (inode, directory, name)) in dots.into_iter().chain(names).enumerate().skip(offset as usize) {
            let kind = if directory { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(inode), index as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _request: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, 1 << 20, 1 << 20, 4096, 255, 4096);
    }

    fn fallocate(
        &self,
        _request: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        self.serve(move |disk| {
            let file = match disk.file(ino.0) {
                Ok(file) => file,
                Err(error) => return reply.error(error.into()),
            };
            if mode & (FALLOC_PUNCH_HOLE | FALLOC_ZERO_RANGE) != 0 {
                file.punch(offset, length);
            }
            let end = offset.saturating_add(length);
            if mode & FALLOC_KEEP_SIZE == 0 && end > file.len() {
                file.set_len(end);
            }
            reply.ok();
        });
    }
}
