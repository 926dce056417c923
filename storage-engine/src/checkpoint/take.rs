//! Taking a checkpoint: from the state machine's own hard links to every mirror.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::manifest::{FileDigest, Manifest, ManifestFile, SourceStamp, is_plain_name};
use super::pool::Pool;
use crate::drive::Drive;
use crate::ids::{ClusterId, DriveId};

/// Digests of local files, so that a file that did not change is hashed once.
#[derive(Debug, Default)]
pub(crate) struct DigestCache {
    known: HashMap<(String, u64, SourceStamp), FileDigest>,
    /// Files that are written once and never change: (name, length, inode).
    fixed: HashMap<(String, u64, u64), FileDigest>,
}

/// Where a checkpoint was published.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) drives: Vec<DriveId>,
    pub(crate) failed: Vec<(DriveId, io::Error)>,
    pub(crate) bytes_written: u64,
}

impl DigestCache {
    /// Starts from what a drive's newest manifest says of the local files.
    pub(crate) fn from_manifest(manifest: &Manifest) -> Self {
        let known = manifest.files.iter().map(|file| ((file.name.clone(), file.len_bytes, file.source), file.digest));
        let fixed = manifest.files.iter().filter(|file| is_written_once(&file.name));
        let fixed = fixed.map(|file| ((file.name.clone(), file.len_bytes, file.source.inode), file.digest));
        Self { known: known.collect(), fixed: fixed.collect() }
    }

    /// Describes the files of `dir`, a checkpoint that the state machine just made.
    pub(crate) fn describe(&mut self, dir: &Path, cluster: ClusterId, applied: u64) -> io::Result<Manifest> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let name = entry.file_name().into_string().ok().filter(|name| metadata.is_file() && is_plain_name(name));
            let name =
                name.ok_or_else(|| io::Error::other(format!("unexpected in a checkpoint: {:?}", entry.file_name())))?;
            files.push(self.describe_file(&entry.path(), name, &metadata)?);
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let manifest = Manifest { cluster, applied, files };
        *self = Self::from_manifest(&manifest);
        Ok(manifest)
    }

    fn describe_file(&self, path: &Path, name: String, metadata: &fs::Metadata) -> io::Result<ManifestFile> {
        let modified_ns = metadata
            .mtime()
            .unsigned_abs()
            .saturating_mul(1_000_000_000)
            .saturating_add(metadata.mtime_nsec().unsigned_abs());
        let source = SourceStamp { inode: metadata.ino(), modified_ns };
        let len_bytes = metadata.len();
        let digest = match self.known.get(&(name.clone(), len_bytes, source)) {
            Some(digest) => *digest,
            None => FileDigest(*blake3::Hasher::new().update_reader(File::open(path)?)?.finalize().as_bytes()),
        };
        let before = self.fixed.get(&(name.clone(), len_bytes, source.inode));
        if before.is_some_and(|before| *before != digest) {
            // A checkpoint of it would take the place of the good one.
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{name} changed on the disk: it is damaged"),
            ));
        }
        Ok(ManifestFile { name, len_bytes, digest, source })
    }
}

/// Tables and blobs of the index: another content is another name.
fn is_written_once(name: &str) -> bool {
    name.ends_with(".sst") || name.ends_with(".blob")
}

/// Copies the checkpoint in `dir` to each drive, all at once, and publishes it there.
///
/// On a drive where that fails, its previous checkpoint stays.
pub(crate) fn publish(dir: &Path, manifest: &Manifest, drives: &[Arc<Drive>]) -> Published {
    let results: Vec<_> = std::thread::scope(|scope| {
        let copies: Vec<_> = drives.iter().map(|drive| scope.spawn(|| publish_on(dir, manifest, drive))).collect();
        copies
            .into_iter()
            .map(|copy| copy.join().unwrap_or_else(|_| Err(io::Error::other("the copy panicked"))))
            .collect()
    });
    let mut published = Published::default();
    for (drive, result) in drives.iter().zip(results) {
        match result {
            Ok(bytes) => {
                published.bytes_written += bytes;
                published.drives.push(drive.id());
            }
            Err(error) => published.failed.push((drive.id(), error)),
        }
    }
    published
}

/// Removes from the drives what only older checkpoints use.
pub(crate) fn collect(drives: &[Arc<Drive>], cluster: ClusterId, applied: u64) {
    for drive in drives {
        if let Err(error) = Pool::new(drive.io().clone(), cluster).collect(applied) {
            tracing::warn!(drive = %drive.id(), %error, "cannot remove old checkpoints");
        }
    }
}

/// The newest manifest on each drive.
pub(crate) fn newest_on(drives: &[Arc<Drive>], cluster: ClusterId) -> Vec<Option<Manifest>> {
    let newest = |drive: &Arc<Drive>| Pool::new(drive.io().clone(), cluster).manifests().ok()?.into_iter().next();
    drives.iter().map(newest).collect()
}

fn publish_on(dir: &Path, manifest: &Manifest, drive: &Drive) -> io::Result<u64> {
    let pool = Pool::new(drive.io().clone(), manifest.cluster);
    let mut bytes = 0;
    for file in &manifest.files {
        bytes += pool.add(file, &mut File::open(dir.join(&file.name))?)?;
    }
    pool.publish(manifest)?;
    Ok(bytes)
}
