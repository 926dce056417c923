//! Checking the checkpoints on their mirrors, and mending one from another.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::manifest::{Manifest, ManifestFile};
use super::pool::Pool;
use crate::drive::Drive;
use crate::ids::ClusterId;

/// Something of a checkpoint that one mirror does not hold as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadCheckpoint {
    /// The manifest of the checkpoint that ends with this entry.
    Manifest(u64),
    /// A file that a whole manifest names.
    File(ManifestFile),
}

/// What the check of one mirror read.
#[derive(Debug, Default)]
pub(crate) struct CheckpointCheck {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) bad: Vec<BadCheckpoint>,
}

/// Reads the manifests of a mirror, and every file that the newest one names. `newest` is the last entry of the
/// checkpoint that every mirror must have, as the others say.
pub(crate) fn check(
    drive: &Drive,
    cluster: ClusterId,
    newest: Option<u64>,
    pace: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> io::Result<CheckpointCheck> {
    let pool = Pool::new(drive.io().clone(), cluster);
    let mut check = CheckpointCheck { bad: pool.bad_manifests()?, ..CheckpointCheck::default() };
    let manifests = pool.manifests()?;
    check.files += (manifests.len() + check.bad.len()) as u64;
    if let Some(newest) = newest
        && !manifests.iter().any(|manifest| manifest.applied >= newest)
        && !check.bad.contains(&BadCheckpoint::Manifest(newest))
    {
        check.bad.push(BadCheckpoint::Manifest(newest));
    }
    for file in manifests.first().iter().flat_map(|manifest| &manifest.files) {
        check.files += 1;
        check.bytes += file.len_bytes;
        if !pool.read(file, &mut io::sink()).unwrap_or(false) {
            check.bad.push(BadCheckpoint::File(file.clone()));
        }
        if pace(file.len_bytes).is_break() {
            break;
        }
    }
    // A newer checkpoint may have taken the place of this one meanwhile, files and all.
    let still: Vec<Manifest> = pool.manifests()?;
    check.bad.retain(|bad| match bad {
        BadCheckpoint::Manifest(applied) => still.first().is_none_or(|manifest| manifest.applied <= *applied),
        BadCheckpoint::File(file) => still.iter().any(|manifest| manifest.files.contains(file)),
    });
    Ok(check)
}

/// Brings what is bad on `drive` from another mirror; answers the bytes written, `None` if no other has it.
pub(crate) fn mend(
    drive: &Drive,
    others: &[Arc<Drive>],
    cluster: ClusterId,
    bad: &BadCheckpoint,
) -> io::Result<Option<u64>> {
    let pool = Pool::new(drive.io().clone(), cluster);
    let others = others.iter().map(|other| Pool::new(other.io().clone(), cluster));
    for other in others {
        match bad {
            BadCheckpoint::Manifest(applied) => {
                if let Some(manifest) = other.manifest(*applied) {
                    pool.publish(&manifest)?;
                    return Ok(Some(manifest.encode().len() as u64));
                }
            }
            BadCheckpoint::File(file) => {
                if pool.take_from(&other, file)? {
                    return Ok(Some(file.len_bytes));
                }
            }
        }
    }
    Ok(None)
}

/// Removes what is bad, so that the next checkpoint writes it again.
pub(crate) fn discard(drive: &Drive, cluster: ClusterId, bad: &BadCheckpoint) -> io::Result<()> {
    Pool::new(drive.io().clone(), cluster).discard(bad)
}

/// Overwrites the blocks of a local file of the index that differ from what its checkpoint holds, if it is still
/// the file that the checkpoint was made from; answers the bytes written.
pub(crate) fn mend_local(
    path: &std::path::Path,
    drives: &[Arc<Drive>],
    cluster: ClusterId,
    file: &ManifestFile,
) -> io::Result<u64> {
    use std::os::unix::fs::{FileExt, MetadataExt};
    let local = match std::fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(local) => local,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let metadata = local.metadata()?;
    if metadata.ino() != file.source.inode || metadata.len() != file.len_bytes {
        return Ok(0);
    }
    let mut held = vec![0; usize::try_from(file.len_bytes).map_err(io::Error::other)?];
    local.read_exact_at(&mut held, 0)?;
    if *blake3::hash(&held).as_bytes() == file.digest.0 {
        return Ok(0);
    }
    for drive in drives {
        let mut good = Vec::with_capacity(held.len());
        if !Pool::new(drive.io().clone(), cluster).read(file, &mut good).unwrap_or(false) {
            continue;
        }
        let mut written = 0;
        for (number, (good, held)) in good.chunks(BLOCK_BYTES).zip(held.chunks(BLOCK_BYTES)).enumerate() {
            if good != held {
                local.write_all_at(good, (number * BLOCK_BYTES) as u64)?;
                written += good.len() as u64;
            }
        }
        local.sync_all()?;
        return Ok(written);
    }
    Err(io::Error::other(format!("{} is whole on no mirror", file.name)))
}

const BLOCK_BYTES: usize = 4096;

impl Pool {
    /// Manifests that are there under their name and are not whole.
    fn bad_manifests(&self) -> io::Result<Vec<BadCheckpoint>> {
        let bad = self.manifest_indexes()?.into_iter().filter(|applied| self.manifest(*applied).is_none());
        Ok(bad.map(BadCheckpoint::Manifest).collect())
    }

    /// Puts another pool's copy of a file in the place of this one's; false if that is not whole either.
    fn take_from(&self, other: &Self, file: &ManifestFile) -> io::Result<bool> {
        let mut bytes = Vec::new();
        if !other.read(file, &mut bytes).unwrap_or(false) {
            return Ok(false);
        }
        self.replace(file, &mut bytes.as_slice())?;
        Ok(true)
    }
}
