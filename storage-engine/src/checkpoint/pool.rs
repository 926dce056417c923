//! The checkpoints of one drive: a pool of files named by their digest, and manifests that name them.
//!
//! A file enters the pool under its final name only when it is whole and synced, and a manifest is
//! written only when every file it names is there. So a checkpoint is published by one atomic
//! write, the files that two checkpoints share are stored once, and each file can be checked by its
//! name alone.

use std::collections::HashSet;
use std::io::{self, IoSlice, Read};
use std::sync::Arc;

use super::manifest::{FileDigest, MANIFEST_BYTES_MAX, Manifest, ManifestFile};
use super::scrub::BadCheckpoint;
use crate::failpoint::{Step, failpoint};
use crate::ids::ClusterId;
use crate::io::{DriveIo, Fill};

const MANIFEST_DIR: &str = "checkpoints";
const FILES_DIR: &str = "checkpoints/files";
const COPY_BYTES: usize = 1 << 20;

/// The checkpoints on one drive.
pub(crate) struct Pool {
    io: Arc<dyn DriveIo>,
    cluster: ClusterId,
}

impl Pool {
    pub(crate) fn new(io: Arc<dyn DriveIo>, cluster: ClusterId) -> Self {
        Self { io, cluster }
    }

    /// The manifests that are whole, newest first.
    pub(crate) fn manifests(&self) -> io::Result<Vec<Manifest>> {
        Ok(self.manifest_indexes()?.into_iter().filter_map(|applied| self.manifest(applied)).collect())
    }

    /// The last entries of the checkpoints whose manifests are there, whole or not, newest first.
    pub(super) fn manifest_indexes(&self) -> io::Result<Vec<u64>> {
        let mut indexes: Vec<u64> =
            self.io.list(MANIFEST_DIR)?.iter().filter_map(|file| manifest_index(&file.name)).collect();
        indexes.sort_unstable_by(|a, b| b.cmp(a));
        Ok(indexes)
    }

    /// Stores a file unless the pool has it. Returns the bytes written.
    ///
    /// # Errors
    /// Also when `source` is not what `file` says: it is never published under that name.
    pub(crate) fn add(&self, file: &ManifestFile, source: &mut dyn Read) -> io::Result<u64> {
        let name = file_name(&file.digest);
        if self.io.open(&name).and_then(|held| held.len()).is_ok_and(|len| len == file.len_bytes) {
            return Ok(0);
        }
        self.replace(file, source)
    }

    /// Stores a file, whatever the pool has under its name. Returns the bytes written.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(super) fn replace(&self, file: &ManifestFile, source: &mut dyn Read) -> io::Result<u64> {
        let name = file_name(&file.digest);
        let partial = format!("{name}.partial");
        match self.io.remove(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if let Err(error) = self.write(&partial, file, source) {
            // Best effort: the next attempt, or the next collection, removes what is left.
            let _ = self.io.remove(&partial);
            return Err(error);
        }
        failpoint(Step::CheckpointFileWritten);
        self.io.rename(&partial, &name)?;
        failpoint(Step::CheckpointFileNamed);
        Ok(file.len_bytes)
    }

    /// Makes a checkpoint visible. Every file of it was added.
    pub(crate) fn publish(&self, manifest: &Manifest) -> io::Result<()> {
        self.io.write_atomic(&manifest_name(manifest.applied), &manifest.encode())?;
        failpoint(Step::CheckpointPublished);
        self.io.check_alive()
    }

    /// Removes every manifest older than `applied`, and every file that no manifest names.
    pub(crate) fn collect(&self, applied: u64) -> io::Result<()> {
        for file in self.io.list(MANIFEST_DIR)? {
            if manifest_index(&file.name).is_some_and(|index| index < applied) {
                self.io.remove(&format!("{MANIFEST_DIR}/{}", file.name))?;
                failpoint(Step::CheckpointManifestRemoved);
            }
        }
        let named: HashSet<String> =
            self.manifests()?.iter().flat_map(|manifest| &manifest.files).map(|file| file.digest.to_string()).collect();
        for file in self.io.list(FILES_DIR)? {
            if !named.contains(&file.name) {
                self.io.remove(&format!("{FILES_DIR}/{}", file.name))?;
                failpoint(Step::CheckpointFileRemoved);
            }
        }
        Ok(())
    }

    /// Copies a file out, and says whether it is what its name promises.
    pub(crate) fn read(&self, file: &ManifestFile, out: &mut dyn io::Write) -> io::Result<bool> {
        let held = self.io.open(&file_name(&file.digest))?;
        held.forget_cached();
        if held.len()? != file.len_bytes {
            return Ok(false);
        }
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; COPY_BYTES];
        let mut offset = 0;
        while offset < file.len_bytes {
            let want = (file.len_bytes - offset).min(COPY_BYTES as u64) as usize;
            held.read_at(offset, &mut buffer[..want])?;
            hasher.update(&buffer[..want]);
            out.write_all(&buffer[..want])?;
            offset += want as u64;
        }
        Ok(*hasher.finalize().as_bytes() == file.digest.0)
    }

    /// Removes a manifest or a file.
    pub(super) fn discard(&self, bad: &BadCheckpoint) -> io::Result<()> {
        let name = match bad {
            BadCheckpoint::Manifest(applied) => manifest_name(*applied),
            BadCheckpoint::File(file) => file_name(&file.digest),
        };
        match self.io.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn manifest(&self, applied: u64) -> Option<Manifest> {
        let bytes = self.io.read_all(&manifest_name(applied), MANIFEST_BYTES_MAX).ok()?;
        Manifest::decode(&bytes, self.cluster).filter(|manifest| manifest.applied == applied)
    }

    fn write(&self, name: &str, file: &ManifestFile, source: &mut dyn Read) -> io::Result<()> {
        let target = self.io.create(name, file.len_bytes, Fill::Allocate)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; COPY_BYTES];
        let mut offset = 0;
        loop {
            let read = source.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            target.write_at(offset, &[IoSlice::new(&buffer[..read])])?;
            offset += read as u64;
        }
        if offset != file.len_bytes || *hasher.finalize().as_bytes() != file.digest.0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} changed while it was copied", file.name),
            ));
        }
        target.sync_data()
    }
}

fn manifest_name(applied: u64) -> String {
    format!("{MANIFEST_DIR}/{applied:016x}.manifest")
}

fn manifest_index(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".manifest")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

fn file_name(digest: &FileDigest) -> String {
    format!("{FILES_DIR}/{digest}")
}
