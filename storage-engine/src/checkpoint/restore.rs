//! Bringing the index back from the drives' checkpoints.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::manifest::{Manifest, ManifestFile};
use super::pool::Pool;
use crate::drive::Drive;
use crate::failpoint::{Step, failpoint};
use crate::ids::ClusterId;

/// The checkpoints of all drives at hand.
pub(crate) struct Checkpoints {
    pools: Vec<Pool>,
    /// By the last entry in it; any drive's copy will do, they are all the same state.
    manifests: BTreeMap<u64, Vec<Manifest>>,
}

impl Checkpoints {
    /// Reads the manifests. A drive that cannot be read has none.
    pub(crate) fn find(drives: &[Arc<Drive>], cluster: ClusterId) -> Self {
        let pools: Vec<Pool> = drives.iter().map(|drive| Pool::new(drive.io().clone(), cluster)).collect();
        let mut manifests: BTreeMap<u64, Vec<Manifest>> = BTreeMap::new();
        for (pool, drive) in pools.iter().zip(drives) {
            match pool.manifests() {
                Ok(found) => {
                    for manifest in found {
                        let same_index = manifests.entry(manifest.applied).or_default();
                        if !same_index.contains(&manifest) {
                            same_index.push(manifest);
                        }
                    }
                }
                Err(error) => tracing::warn!(drive = %drive.id(), %error, "cannot read the checkpoints"),
            }
        }
        Self { pools, manifests }
    }

    /// The newest manifest of any drive.
    pub(crate) fn newest(&self) -> Option<&Manifest> {
        self.manifests.values().next_back().and_then(|same_index| same_index.first())
    }

    /// Writes the newest checkpoint that is whole into `target`, which must not exist. Returns its last entry.
    ///
    /// Each file comes from whichever drive has it with the right digest. `target` appears whole
    /// and synced or not at all. `None` when no checkpoint can be had.
    pub(crate) fn restore(&self, target: &Path) -> io::Result<Option<u64>> {
        let partial = target.with_extension("restoring");
        for manifest in self.manifests.values().rev().flatten() {
            remove_dir(&partial)?;
            fs::create_dir_all(&partial)?;
            if self.restore_files(manifest, &partial)? {
                File::open(&partial)?.sync_all()?;
                fs::rename(&partial, target)?;
                failpoint(Step::RestoreNamed);
                sync_parent(target)?;
                return Ok(Some(manifest.applied));
            }
            tracing::error!(applied = manifest.applied, "a checkpoint is damaged on every drive at hand");
        }
        remove_dir(&partial)?;
        Ok(None)
    }

    fn restore_files(&self, manifest: &Manifest, into: &Path) -> io::Result<bool> {
        for file in &manifest.files {
            if !self.restore_file(file, &into.join(&file.name))? {
                return Ok(false);
            }
            failpoint(Step::RestoreFile);
        }
        Ok(true)
    }

    fn restore_file(&self, file: &ManifestFile, path: &Path) -> io::Result<bool> {
        for pool in &self.pools {
            let mut out = File::create(path)?;
            let whole = pool.read(file, &mut out).unwrap_or(false);
            if whole {
                out.flush()?;
                out.sync_all()?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Removes a directory if it exists.
pub(crate) fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the name of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
