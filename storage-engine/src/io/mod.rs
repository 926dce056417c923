//! Files of one drive: what the engine asks of a disk, on real files and simulated.
//!
//! A drive is one directory. Names are relative to it and `/`-separated. Everything above this
//! module is generic over [`DriveIo`], so the same code runs on [`FileIo`] and, with crashes and
//! faults, on [`SimIo`].

mod file;
mod sim;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use file::FileIo;
pub use sim::{SimFault, SimIo, SimWorld};

/// What a new file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Nothing: its length is 0, whatever `len` says.
    Empty,
    /// `len` bytes reserved on the disk and reading as zero, not yet written.
    Allocate,
    /// `len` bytes written as zero and synced, so that a later sync changes no metadata.
    Zero,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// Name inside the listed directory, without a path.
    pub name: String,
    /// Length in bytes; 0 for a directory.
    pub len: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// The directory of one drive.
///
/// A call that adds, renames or removes a name returns after the directory, and every parent it
/// had to create, is synced: the change survives a power cut. The contents of a file are durable
/// only after [`DriveFile::sync_data`].
pub trait DriveIo: Send + Sync + 'static {
    /// Creates a file of `len` bytes. Fails with `AlreadyExists` if the name is taken.
    ///
    /// On an error (a full disk, say) the name is removed again. A crash in the middle may leave
    /// a shorter file under the name.
    fn create(&self, name: &str, len: u64, fill: Fill) -> io::Result<Arc<dyn DriveFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DriveFile>>;

    /// Entries of a directory, in order of name; none if the directory does not exist.
    ///
    /// # Errors
    /// Also when the whole drive directory is gone: it is never shown as empty.
    fn list(&self, dir: &str) -> io::Result<Vec<FileInfo>>;

    /// Renames a file over whatever had the name `to`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Removes a directory and all below it; nothing if it does not exist.
    fn remove_tree(&self, dir: &str) -> io::Result<()>;

    /// Gives the file `from` a second name.
    fn hard_link(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes the names in a directory durable. `""` is the drive directory itself.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Bytes that can still be allocated.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Whether the directory is still the one that was opened: same path, not removed, not moved.
    ///
    /// Writes to files of a removed directory succeed and vanish, so whoever acknowledges a sync
    /// asks this first. Cheap: no disk access.
    fn check_alive(&self) -> io::Result<()>;

    /// Replaces a file as a whole: temporary file, sync, rename, sync of the directory.
    fn write_atomic(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// The directory, if it exists in the operating system's file tree.
    fn os_path(&self) -> Option<PathBuf>;

    /// What logs and status call this drive's place.
    fn label(&self) -> String;

    /// Reads a whole file of at most `limit_bytes`.
    fn read_all(&self, name: &str, limit_bytes: u64) -> io::Result<Vec<u8>> {
        let file = self.open(name)?;
        let len = file.len()?;
        if len > limit_bytes {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{name} is {len} bytes, over {limit_bytes}"),
            ));
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    }
}

/// One open file. Offsets are bytes from its start; any number of threads may use it at once.
pub trait DriveFile: Send + Sync {
    /// Writes the buffers one after the other at `offset`; all of them or an error.
    fn write_at(&self, offset: u64, bufs: &[io::IoSlice<'_>]) -> io::Result<()>;

    /// Fills `buf` from `offset`. `UnexpectedEof` if the file ends before.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Fills `buf` if it can be done without waiting for the disk; `false` otherwise, and then
    /// `buf` holds anything.
    fn try_read_cached(&self, offset: u64, buf: &mut [u8]) -> io::Result<bool>;

    /// Drops what the system keeps of the file in memory, as far as it can, so that the next reads are of the disk.
    fn forget_cached(&self) {}

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// After an error nothing written since the last success is known to be durable, and a
    /// second call may succeed without the data: never retry, write elsewhere.
    fn sync_data(&self) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has length 0.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts or extends the file. Durable after [`DriveFile::sync_data`].
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Whether the file still has a name: false once it, or its directory, was removed.
    fn is_linked(&self) -> io::Result<bool>;
}

/// Whether an error says that the disk or the quota is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Splits a name into its directory (`""` at the top) and its last part.
fn split_name(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}
