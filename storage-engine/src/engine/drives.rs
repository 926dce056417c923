//! Opening the drives: fresh ones are formatted on the first start, missing ones are done without.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::EngineConfig;
use super::status::LostDrive;
use crate::drive::{DataMetrics, Drive, DriveConfig, DriveOpenError, IndexFactory, Site, Superblock};
use crate::env::Env;
use crate::error::OpenError;
use crate::ids::{ClusterId, DriveId};
use crate::io::{DriveIo, FileIo};

/// Whether directories may be made and formatted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fresh {
    /// The first start: every directory becomes a drive.
    Format,
    /// A directory that is not a drive is a lost drive: an empty mount point, say.
    Refuse,
}

/// One configured path and what was found there.
pub(super) struct Place {
    path: PathBuf,
    found: Result<(Arc<dyn DriveIo>, Option<Superblock>), String>,
}

/// Locks the directories and reads their superblocks. Makes directories only if `fresh` says so.
pub(super) fn probe(paths: &[PathBuf], fresh: Fresh) -> Result<Vec<Place>, OpenError> {
    paths.iter().map(|path| Ok(Place { path: path.clone(), found: probe_one(path, fresh)? })).collect()
}

type Probed = Result<(Arc<dyn DriveIo>, Option<Superblock>), String>;

fn probe_one(path: &Path, fresh: Fresh) -> Result<Probed, OpenError> {
    if fresh == Fresh::Refuse && !path.is_dir() {
        return Ok(Err("the directory is not there".to_owned()));
    }
    let io: Arc<dyn DriveIo> = match FileIo::open(path) {
        Ok(io) => Arc::new(io),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            return Err(OpenError::InUse { path: path.to_path_buf() });
        }
        Err(source) if fresh == Fresh::Format => {
            return Err(OpenError::Io { op: "open drive", path: path.to_path_buf(), source });
        }
        Err(error) => return Ok(Err(format!("the directory cannot be opened: {error}"))),
    };
    match Drive::probe(&*io) {
        Ok(superblock) => Ok(Ok((io, superblock))),
        Err(error) => fatal_or_lost(path, error).map(Err),
    }
}

/// The installation that the superblocks name; `None` if every drive is blank.
///
/// # Errors
/// [`OpenError::Mismatch`] if they name several.
pub(super) fn cluster_of(places: &[Place]) -> Result<Option<ClusterId>, OpenError> {
    let mut named: Option<(&Path, ClusterId)> = None;
    for place in places {
        let Ok((_, Some(superblock))) = &place.found else { continue };
        match named {
            Some((first, cluster)) if cluster != superblock.cluster => {
                return Err(OpenError::Mismatch(format!(
                    "drive {} belongs to installation {}, but drive {} to {cluster}",
                    place.path.display(),
                    superblock.cluster,
                    first.display()
                )));
            }
            _ => named = Some((&place.path, superblock.cluster)),
        }
    }
    Ok(named.map(|(_, cluster)| cluster))
}

/// The drives that open, and those that do not.
pub(super) struct OpenDrives {
    pub(super) drives: Vec<Arc<Drive>>,
    pub(super) lost: Vec<LostDrive>,
}

/// Opens all drives at once: each may have segments to read back.
pub(super) fn open_all(
    places: Vec<Place>,
    fresh: Fresh,
    cluster: ClusterId,
    config: &EngineConfig,
    index: &IndexFactory,
    env: &Env,
    metrics: &Arc<DataMetrics>,
) -> Result<OpenDrives, OpenError> {
    let site: Site =
        config.site.parse().map_err(|error: crate::drive::UnknownSite| OpenError::Config(error.to_string()))?;
    let drive_config = DriveConfig { cluster, site, segment_bytes: config.segment_bytes, index: index.clone() };
    let opened: Vec<Result<Result<Arc<Drive>, LostDrive>, OpenError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = places
            .into_iter()
            .map(|place| scope.spawn(|| open_one(place, fresh, &drive_config, env, metrics)))
            .collect();
        let panicked = || Err(OpenError::Recovery("opening a drive panicked".to_owned()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
    });
    let mut all = OpenDrives { drives: Vec::new(), lost: Vec::new() };
    for drive in opened {
        match drive? {
            Ok(drive) => all.drives.push(drive),
            Err(lost) => {
                tracing::warn!(path = %lost.path.display(), reason = lost.reason, "starting without a drive");
                all.lost.push(lost);
            }
        }
    }
    refuse_duplicates(&all.drives)?;
    Ok(all)
}

fn open_one(
    place: Place,
    fresh: Fresh,
    config: &DriveConfig,
    env: &Env,
    metrics: &Arc<DataMetrics>,
) -> Result<Result<Arc<Drive>, LostDrive>, OpenError> {
    let Place { path, found } = place;
    let lost = |reason: String| LostDrive { path: path.clone(), reason };
    let (io, superblock) = match found {
        Ok(found) => found,
        Err(reason) => return Ok(Err(lost(reason))),
    };
    if superblock.is_none() && fresh == Fresh::Refuse {
        return Ok(Err(lost("the directory is not a drive: is its disk mounted?".to_owned())));
    }
    match Drive::open_or_format(io, config, env, metrics.clone()) {
        Ok(drive) => Ok(Ok(drive)),
        Err(error) => Ok(Err(lost(fatal_or_lost(&path, error)?))),
    }
}

/// Errors that stop the start, and those after which the drive is done without.
fn fatal_or_lost(path: &Path, error: DriveOpenError) -> Result<String, OpenError> {
    match error {
        DriveOpenError::NewerFormat { found, known } => {
            Err(OpenError::NewerFormat { path: path.to_path_buf(), found, known })
        }
        DriveOpenError::OtherCluster { .. } | DriveOpenError::OtherSite { .. } => {
            Err(OpenError::Mismatch(format!("{}: {error}", path.display())))
        }
        DriveOpenError::SegmentTooSmall { .. } => Err(OpenError::Config(error.to_string())),
        other => Ok(chain(&other)),
    }
}

fn refuse_duplicates(drives: &[Arc<Drive>]) -> Result<(), OpenError> {
    let mut ids: Vec<DriveId> = drives.iter().map(|drive| drive.id()).collect();
    ids.sort();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(OpenError::Mismatch(format!("drive {} is there twice: was a directory copied?", pair[0]))),
        None => Ok(()),
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
