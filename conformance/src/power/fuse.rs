//! The disk as a mounted file system.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
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
    disk: Arc<Mutex<Disk>>,
    at: PathBuf,
    session: Option<BackgroundSession>,
}

/// Mounts a disk. Needs the right to mount: root, or `fusermount`.
///
/// # Errors
/// If it cannot be mounted there.
pub fn mount(disk: Disk, at: &Path) -> io::Result<Mounted> {
    std::fs::create_dir_all(at)?;
    let mut mounted = Mounted { disk: Arc::new(Mutex::new(disk)), at: at.to_owned(), session: None };
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
        let cut = lock(&self.disk).cut(seed);
        self.attach()?;
        Ok(cut)
    }

    fn attach(&mut self) -> io::Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("chartrier-power".into()), MountOption::NoAtime];
        config.n_threads = Some(2);
        self.session = Some(fuser::spawn_mount(Shown(Arc::clone(&self.disk)), &self.at, &config)?);
        Ok(())
    }
}

struct Shown(Arc<Mutex<Disk>>);

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
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
        entry(lock(&self.0).lookup(parent.0, name), request, reply);
    }

    fn getattr(&self, request: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match lock(&self.0).stat(ino.0) {
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
        let mut disk = lock(&self.0);
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
        entry(lock(&self.0).create(parent.0, name, mode(bits, umask), true), request, reply);
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(lock(&self.0).remove(parent.0, name, false), reply);
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(lock(&self.0).remove(parent.0, name, true), reply);
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
        empty(lock(&self.0).rename((parent.0, name), (newparent.0, newname), replace), reply);
    }

    fn link(&self, request: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        entry(lock(&self.0).link(ino.0, newparent.0, newname), request, reply);
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
        match lock(&self.0).create(parent.0, name, mode(bits, umask), false) {
            Ok(stat) => {
                reply.created(&TTL, &attr(&stat, request), Generation(0), FileHandle(0), FopenFlags::empty());
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
        match lock(&self.0).file(ino.0) {
            Ok(file) => reply.data(&file.read(offset, size as usize)),
            Err(error) => reply.error(error.into()),
        }
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
        match lock(&self.0).file(ino.0) {
            Ok(file) => {
                file.write(offset, data);
                reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX));
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn flush(&self, _request: &Request, _ino: INodeNo, _fh: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _request: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        empty(lock(&self.0).sync_file(ino.0), reply);
    }

    fn fsyncdir(&self, _request: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        empty(lock(&self.0).sync_directory(ino.0), reply);
    }

    fn readdir(&self, _request: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let names = match lock(&self.0).list(ino.0) {
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
        let mut disk = lock(&self.0);
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
    }
}
