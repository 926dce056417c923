//! Opening: index or checkpoint, then log, then replay.
//!
//! The index directory is a convenience: if it is missing, damaged or older than the newest
//! checkpoint it is put aside and rebuilt from the drives. It is deleted only when its successor works.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::machine::Machine;
use crate::checkpoint::{Checkpoints, remove_dir, sync_parent};
use crate::drive::Drive;
use crate::error::{OpenError, StateError, chain};
use crate::failpoint::{Step, failpoint};
use crate::log::{KnownState, LogConfig, LogError, Replay};
use crate::namespace::command::Command;
use crate::namespace::encoding;
use crate::namespace::rows::StripeRun;
use crate::state::kv::KvError;

/// Entries applied at once while replaying, and their bytes.
const REPLAY_ENTRIES: usize = 1024;
const REPLAY_BYTES: usize = 8 << 20;

/// Where the index and what belongs to it lie.
pub(super) struct Places {
    pub(super) index: PathBuf,
}

impl Places {
    /// Its presence tells the next start that the index is damaged.
    pub(super) fn damage_marker(&self) -> PathBuf {
        self.index.with_extension("damaged")
    }

    /// Where the state machine makes its hard-linked copies.
    pub(super) fn checkpoint_work(&self) -> PathBuf {
        self.index.with_extension("checkpoint")
    }

    fn set_aside(&self) -> PathBuf {
        self.index.with_extension("old")
    }
}

/// A state machine and where it came from.
pub(super) struct OpenedMachine<M> {
    pub(super) machine: Arc<M>,
    pub(super) known: KnownState,
    pub(super) rebuilt: bool,
}

/// Opens the index, or restores it from the newest checkpoint at hand, or begins an empty one.
pub(super) fn open_machine<M: Machine>(
    places: &Places,
    drives: &[Arc<Drive>],
    config: &LogConfig,
    open: &impl Fn(&Path) -> Result<Arc<M>, StateError>,
) -> Result<OpenedMachine<M>, OpenError> {
    let io_error = |op| move |source| OpenError::Io { op, path: places.index.clone(), source };
    remove_dir(&places.checkpoint_work()).map_err(io_error("clean up beside"))?;
    let checkpoints = Checkpoints::find(drives, config.cluster);
    let checkpoint = checkpoints.newest().map_or(0, |manifest| manifest.applied);
    if let Some(machine) = open_index(places, checkpoint, open)? {
        let known = KnownState { applied: machine.applied_index(), checkpoint };
        return Ok(OpenedMachine { machine, known, rebuilt: false });
    }
    let had_index = put_aside(places).map_err(io_error("put aside"))?;
    let restored = checkpoints.restore(&places.index).map_err(io_error("restore"))?;
    if restored.is_none() && checkpoints.newest().is_some() {
        return Err(OpenError::Recovery(
            "every checkpoint is damaged on every drive at hand: bring back a missing drive".into(),
        ));
    }
    let machine = open(&places.index)
        .map_err(|error| OpenError::Recovery(format!("the index does not open: {}", chain(&error))))?;
    let known = KnownState { applied: machine.applied_index(), checkpoint: restored.unwrap_or(0) };
    Ok(OpenedMachine { machine, known, rebuilt: had_index || restored.is_some() })
}

/// Removes what a rebuild left, once the rebuilt index is in use.
pub(super) fn forget_old_index(places: &Places) {
    let removed = remove_dir(&places.set_aside()).and_then(|()| {
        failpoint(Step::OldIndexForgotten);
        remove_file(&places.damage_marker())
    });
    if let Err(error) = removed {
        tracing::warn!(%error, "cannot remove the old index");
    }
}

/// Replays the log into the machine; returns how many entries, and the stripes they freed.
pub(super) fn replay<M: Machine>(machine: &M, replay: &Replay) -> Result<(u64, Vec<StripeRun>), OpenError> {
    let mut freed = Vec::new();
    let mut batch: Vec<(u64, Command)> = Vec::new();
    let mut batch_bytes = 0;
    let mut count = 0;
    let mut flush = |batch: &mut Vec<(u64, Command)>| -> Result<(), ReplayError> {
        if !batch.is_empty() {
            freed.extend(machine.apply_batch(batch)?.into_iter().flat_map(|applied| applied.freed));
            batch.clear();
            failpoint(Step::ReplayBatch);
        }
        Ok(())
    };
    let replayed = replay
        .for_each(|index, payload| {
            let command = encoding::decode(payload).map_err(|source| ReplayError::Undecodable { index, source })?;
            batch.push((index, command));
            batch_bytes += payload.len();
            count += 1;
            if batch.len() >= REPLAY_ENTRIES || batch_bytes >= REPLAY_BYTES {
                batch_bytes = 0;
                flush(&mut batch)?;
            }
            Ok(())
        })
        .and_then(|()| flush(&mut batch));
    replayed.map_err(|error: ReplayError| OpenError::Recovery(chain(&error)))?;
    Ok((count, freed))
}

#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("cannot apply the log")]
    State(#[from] StateError),
    #[error("log entry {index} does not decode, was it written by a newer program?")]
    Undecodable { index: u64, source: encoding::DecodeError },
}

/// The index as it lies there, unless it is missing, damaged or behind the newest checkpoint.
fn open_index<M: Machine>(
    places: &Places,
    checkpoint: u64,
    open: &impl Fn(&Path) -> Result<Arc<M>, StateError>,
) -> Result<Option<Arc<M>>, OpenError> {
    if !places.index.exists() || places.damage_marker().exists() {
        return Ok(None);
    }
    match open(&places.index) {
        Ok(machine) if machine.applied_index() >= checkpoint => Ok(Some(machine)),
        Ok(machine) => {
            tracing::warn!(
                applied = machine.applied_index(),
                checkpoint,
                "the index is older than the newest checkpoint: rebuilding"
            );
            Ok(None)
        }
        Err(StateError::NewerFormat { found, known }) => {
            Err(OpenError::NewerFormat { path: places.index.clone(), found, known })
        }
        // Nor would a rebuild help: checkpoints are of that format too.
        Err(StateError::OlderFormat { found, known }) => {
            Err(OpenError::OlderFormat { path: places.index.clone(), found, known })
        }
        // It is whole, and somebody writes to it: put aside, it would go on under him.
        Err(StateError::Kv(KvError::Locked { path })) => Err(OpenError::InUse { path }),
        Err(error) => {
            tracing::error!(error = chain(&error), "the index does not open: rebuilding it from the drives");
            Ok(None)
        }
    }
}

/// Moves the index out of the way; keeps the first one put aside if a rebuild is repeated.
fn put_aside(places: &Places) -> io::Result<bool> {
    if !places.index.exists() {
        return Ok(false);
    }
    if places.set_aside().exists() {
        remove_dir(&places.index)?;
    } else {
        fs::rename(&places.index, places.set_aside())?;
    }
    sync_parent(&places.index)?;
    failpoint(Step::IndexPutAside);
    Ok(true)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
