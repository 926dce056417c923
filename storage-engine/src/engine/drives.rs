//! Opening the drives: fresh ones are formatted on the first start or when they are added, missing
//! ones are done without.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::EngineConfig;
use crate::drive::{DataMetrics, Drive, DriveConfig, DriveOpenError, IndexFactory, Site, Superblock};
use crate::env::Env;
use crate::error::{OpenError, chain};
use crate::ids::{ClusterId, DriveId};
use crate::io::{DriveIo, FileIo};
use crate::state::kv::KvError;

/// Whether directories may be made and formatted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fresh {
    /// The first start: every directory becomes a drive.
    Format,
    /// A directory that is not a drive is a lost drive: an empty mount point, say.
    Refuse,
}

/// What is said of an empty directory where a drive should be: it is never formatted by itself.
const NOT_A_DRIVE: &str =
    "the directory is not a drive: is its disk mounted? if the disk is new: chartrier admin drive replace";

/// One configured path and what was found there.
pub(super) struct Place {
    pub(super) path: PathBuf,
    found: Result<(Arc<dyn DriveIo>, Option<Superblock>), String>,
}

impl Place {
    /// The drive that the directory is, if it is one.
    pub(super) fn id(&self) -> Option<DriveId> {
        self.found.as_ref().ok()?.1.as_ref().map(|superblock| superblock.drive)
    }
}

/// Locks the directories that are there and reads their superblocks. Makes none.
pub(super) fn probe(paths: &[PathBuf]) -> Result<Vec<Place>, OpenError> {
    let place = |path: &PathBuf| Ok(Place { path: path.clone(), found: probe_one(path, Fresh::Refuse)? });
    paths.iter().map(place).collect()
}

/// Makes the directories that are not there: only for a first start.
pub(super) fn make_missing(places: &mut [Place]) -> Result<(), OpenError> {
    for place in places.iter_mut().filter(|place| place.found.is_err()) {
        place.found = probe_one(&place.path, Fresh::Format)?;
    }
    Ok(())
}

type Probed = Result<(Arc<dyn DriveIo>, Option<Superblock>), String>;

fn probe_one(path: &Path, fresh: Fresh) -> Result<Probed, OpenError> {
    if fresh == Fresh::Refuse && !path.is_dir() {
        return Ok(Err("the directory is not there".to_owned()));
    }
    let opened = match fresh {
        Fresh::Format => FileIo::open(path),
        Fresh::Refuse => FileIo::open_existing(path),
    };
    let io: Arc<dyn DriveIo> = match opened {
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

/// The drives that open, and the paths where none did, with why.
pub(super) struct OpenDrives {
    pub(super) drives: Vec<Arc<Drive>>,
    pub(super) lost: Vec<(PathBuf, String)>,
}

/// Opens drives of one installation, at the start and while it runs.
#[derive(Clone)]
pub(super) struct DriveOpener {
    config: DriveConfig,
    env: Env,
    metrics: Arc<DataMetrics>,
}

impl DriveOpener {
    pub(super) fn new(
        cluster: ClusterId,
        config: &EngineConfig,
        index: IndexFactory,
        env: &Env,
        metrics: &Arc<DataMetrics>,
    ) -> Result<Self, OpenError> {
        let site: Site =
            config.site.parse().map_err(|error: crate::drive::UnknownSite| OpenError::Config(error.to_string()))?;
        let config = DriveConfig { cluster, site, segment_bytes: config.segment_bytes, index };
        Ok(Self { config, env: env.clone(), metrics: metrics.clone() })
    }

    /// Opens a drive that is known, if it is at `path`. Blocking.
    ///
    /// # Errors
    /// Why it is not used, for status.
    pub(super) fn open_known(&self, path: &Path, id: DriveId) -> Result<Arc<Drive>, String> {
        let place = probe_one(path, Fresh::Refuse).map_err(|error| chain(&error))?;
        let place = Place { path: path.to_path_buf(), found: place };
        match place.id() {
            Some(found) if found != id => Err(format!("the directory holds drive {found}")),
            _ => match open_one(place, Fresh::Refuse, self) {
                Ok(Ok(drive)) => Ok(drive),
                Ok(Err((_, reason))) => Err(reason),
                Err(error) => Err(chain(&error)),
            },
        }
    }

    /// Makes a drive of a directory that is empty or not there, or takes one that this installation
    /// formatted and never used: `known` says which ids it has used. Blocking.
    ///
    /// # Errors
    /// Why the directory cannot be used; nothing in it was changed.
    pub(super) fn make(&self, path: &Path, known: impl Fn(DriveId) -> bool) -> Result<Arc<Drive>, String> {
        let made = !path.exists();
        let place = probe_one(path, Fresh::Format).map_err(|error| chain(&error))?;
        let place = Place { path: path.to_path_buf(), found: place };
        match &place.found {
            Err(reason) => return Err(reason.clone()),
            Ok((_, Some(superblock))) if superblock.cluster != self.config.cluster => {
                return Err(format!("the directory is a drive of installation {}: empty it first", superblock.cluster));
            }
            Ok((_, Some(superblock))) if known(superblock.drive) => {
                return Err(format!(
                    "the directory holds drive {} of this installation: empty it first to use it as a new drive",
                    superblock.drive
                ));
            }
            Ok((_, None)) if !made && !is_blank(path) => {
                return Err("the directory is neither empty nor a drive".to_owned());
            }
            Ok((io, _)) => {
                Drive::forget_index(&**io).map_err(|error| format!("its old index cannot be removed: {error}"))?;
            }
        }
        match open_one(place, Fresh::Format, self) {
            Ok(Ok(drive)) => Ok(drive),
            Ok(Err((_, reason))) => Err(reason),
            Err(error) => Err(chain(&error)),
        }
    }
}

/// Whether a directory holds nothing but what a new file system, or our own lock, puts there.
fn is_blank(path: &Path) -> bool {
    let ours = |name: &std::ffi::OsStr| name == "lost+found" || name == "lock" || name == ".lock";
    std::fs::read_dir(path)
        .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|entry| ours(&entry.file_name()))))
}

/// Opens all drives at once: each may have segments to read back.
pub(super) fn open_all(places: Vec<Place>, fresh: Fresh, opener: &DriveOpener) -> Result<OpenDrives, OpenError> {
    let opened: Vec<Result<Opened, OpenError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = places.into_iter().map(|place| scope.spawn(|| open_one(place, fresh, opener))).collect();
        let panicked = || Err(OpenError::Recovery("opening a drive panicked".to_owned()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
    });
    let mut all = OpenDrives { drives: Vec::new(), lost: Vec::new() };
    for drive in opened {
        match drive? {
            Ok(drive) => all.drives.push(drive),
            Err((path, reason)) => {
                tracing::warn!(path = %path.display(), reason, "starting without a drive");
                all.lost.push((path, reason));
            }
        }
    }
    refuse_duplicates(&all.drives)?;
    Ok(all)
}

/// A drive, or the path where there is none and why.
type Opened = Result<Arc<Drive>, (PathBuf, String)>;

fn open_one(place: Place, fresh: Fresh, opener: &DriveOpener) -> Result<Opened, OpenError> {
    let Place { path, found } = place;
    let lost = |reason: String| (path.clone(), reason);
    let (io, superblock) = match found {
        Ok(found) => found,
        Err(reason) => return Ok(Err(lost(reason))),
    };
    if superblock.is_none() && fresh == Fresh::Refuse {
        return Ok(Err(lost(NOT_A_DRIVE.to_owned())));
    }
    match Drive::open_or_format(io, &opener.config, &opener.env, opener.metrics.clone()) {
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
        DriveOpenError::Index(KvError::Locked { path }) => Err(OpenError::InUse { path }),
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
