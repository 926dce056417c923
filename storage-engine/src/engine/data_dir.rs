//! The data directory: its lock, and `engine.json`, which says whose it is.
//!
//! `engine.json` can be lost with its disk: the drives' superblocks name the installation too. It
//! is no authority on which drives there are: that is state. It says where to look for them before
//! the state is open, and so it names at least those that the state has.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::OpenError;
use crate::failpoint::{Step, failpoint};
use crate::ids::{ClusterId, DriveId};

/// Newest format of a data directory that this program knows.
pub(super) const DATA_DIR_FORMAT: u32 = 1;
const LOCK_NAME: &str = "lock";
const DESCRIPTION_NAME: &str = "engine.json";
/// A fiftieth of the file system is kept free, within these bounds.
const RESERVE_BYTES_MIN: u64 = 16 << 20;
const RESERVE_BYTES_MAX: u64 = 256 << 20;
/// `engine.json` names at most 36 drives.
const DESCRIPTION_BYTES_MAX: u64 = 64 << 10;

/// Keeps other servers out of a data directory for as long as it lives.
pub(super) struct DataDirLock {
    file: File,
}

impl DataDirLock {
    /// Whether so little room is left on the file system that it is kept for removals and for the
    /// index. One system call; a file system that does not say is taken to have room.
    pub(super) fn is_nearly_full(&self) -> bool {
        let Ok(room) = rustix::fs::fstatvfs(&self.file) else { return false };
        let (free, total) = (room.f_bavail.saturating_mul(room.f_frsize), room.f_blocks.saturating_mul(room.f_frsize));
        free < (total / 50).clamp(RESERVE_BYTES_MIN, RESERVE_BYTES_MAX)
    }
}

/// What `engine.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(super) format: u32,
    cluster: String,
    pub(super) k: u8,
    pub(super) m: u8,
    /// The drives, in the order in which they came. Empty until the first ones are all formatted.
    pub(super) drives: Vec<DescribedDrive>,
}

/// One drive in `engine.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DescribedDrive {
    id: String,
    /// Where it was last.
    pub(super) path: String,
    /// Whether it has places in the layout: it counts when too many are missing.
    pub(super) active: bool,
}

impl DescribedDrive {
    pub(super) fn new(id: DriveId, path: &str, active: bool) -> Self {
        Self { id: id.to_string(), path: path.to_owned(), active }
    }
}

/// A drive that `engine.json` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownDrive {
    pub(super) id: DriveId,
    pub(super) path: PathBuf,
    pub(super) active: bool,
}

impl Description {
    pub(super) fn new(cluster: ClusterId, k: u8, m: u8, drives: Vec<DescribedDrive>) -> Self {
        Self { format: DATA_DIR_FORMAT, cluster: cluster.to_string(), k, m, drives }
    }

    /// The installation, and its drives once they are all formatted.
    pub(crate) fn ids(&self, dir: &Path) -> Result<(ClusterId, Vec<KnownDrive>), OpenError> {
        let bad = || OpenError::Mismatch(format!("{} holds an id that is none", dir.join(DESCRIPTION_NAME).display()));
        let cluster = self.cluster.parse().map_err(|_| bad())?;
        let known = |drive: &DescribedDrive| {
            let id = drive.id.parse().map_err(|_| bad())?;
            Ok(KnownDrive { id, path: PathBuf::from(&drive.path), active: drive.active })
        };
        Ok((cluster, self.drives.iter().map(known).collect::<Result<_, _>>()?))
    }
}

/// Makes the directory if it is not there, and locks it.
pub(super) fn lock(dir: &Path) -> Result<DataDirLock, OpenError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error("create", dir))?;
    let path = dir.join(LOCK_NAME);
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(DataDirLock { file }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse { path: dir.to_path_buf() }),
        Err(error) => Err(OpenError::Io { op: "lock", path, source: error.into() }),
    }
}

/// Reads `engine.json`; `None` if the directory has none.
pub(super) fn read_description(dir: &Path) -> Result<Option<Description>, OpenError> {
    let path = dir.join(DESCRIPTION_NAME);
    let bytes = match fs::metadata(&path) {
        Ok(metadata) if metadata.len() <= DESCRIPTION_BYTES_MAX => fs::read(&path).map_err(io_error("read", &path))?,
        Ok(_) => return Err(OpenError::Mismatch(format!("{} is too long to be ours", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { op: "read", path, source }),
    };
    parse_description(dir, &bytes).map(Some)
}

/// Reads the text of `engine.json` of a directory.
pub(crate) fn parse_description(dir: &Path, bytes: &[u8]) -> Result<Description, OpenError> {
    let path = dir.join(DESCRIPTION_NAME);
    // The format first: a newer one may have other fields.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let malformed = |error: serde_json::Error| {
        OpenError::Mismatch(format!("{} is damaged ({error}); move it away to have it made anew", path.display()))
    };
    let Format { format } = serde_json::from_slice(bytes).map_err(malformed)?;
    if format > DATA_DIR_FORMAT {
        return Err(OpenError::NewerFormat { path: dir.to_path_buf(), found: format, known: DATA_DIR_FORMAT });
    }
    serde_json::from_slice(bytes).map_err(malformed)
}

/// Replaces `engine.json` durably: temporary file, sync, rename, sync of the directory.
pub(super) fn write_description(dir: &Path, description: &Description) -> Result<(), OpenError> {
    let path = dir.join(DESCRIPTION_NAME);
    let temporary = dir.join("engine.json.new");
    let mut text = serde_json::to_vec_pretty(description).expect("strings and numbers are always JSON");
    text.push(b'\n');
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        failpoint(Step::DescriptionWritten);
        fs::rename(&temporary, &path)?;
        failpoint(Step::DescriptionNamed);
        File::open(dir)?.sync_all()
    };
    write().map_err(io_error("write", &path))
}

fn io_error(op: &'static str, path: &Path) -> impl Fn(io::Error) -> OpenError {
    let path: PathBuf = path.to_path_buf();
    move |source| OpenError::Io { op, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_comes_back_and_a_newer_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_description(dir.path()).unwrap(), None);
        let (one, two) = (DriveId::from_bytes([1; 16]), DriveId::from_bytes([2; 16]));
        let drives = vec![DescribedDrive::new(one, "/d1", true), DescribedDrive::new(two, "/d2", false)];
        write_description(dir.path(), &Description::new(ClusterId::from_bytes([3; 16]), 1, 1, drives)).unwrap();
        let (cluster, known) = read_description(dir.path()).unwrap().unwrap().ids(dir.path()).unwrap();
        assert_eq!(cluster, ClusterId::from_bytes([3; 16]));
        let known_drive = |id, path: &str, active| KnownDrive { id, path: path.into(), active };
        assert_eq!(known, [known_drive(one, "/d1", true), known_drive(two, "/d2", false)]);

        fs::write(dir.path().join(DESCRIPTION_NAME), br#"{"format": 2, "other": true}"#).unwrap();
        assert!(matches!(read_description(dir.path()), Err(OpenError::NewerFormat { found: 2, known: 1, .. })));
        fs::write(dir.path().join(DESCRIPTION_NAME), b"{").unwrap();
        assert!(matches!(read_description(dir.path()), Err(OpenError::Mismatch(_))));
    }

    #[test]
    fn two_servers_on_one_directory_refuse() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        assert!(matches!(lock(dir.path()), Err(OpenError::InUse { .. })));
        drop(held);
        lock(dir.path()).unwrap();
    }
}
