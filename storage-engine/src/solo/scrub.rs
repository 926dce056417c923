//! Checking what the namespace is rebuilt from, and mending it: the log and the checkpoints on their mirrors, and the
//! files of the index itself.
//!
//! Checks run on the caller's thread. Repairs run on the keeper's, so that no segment is recycled
//! and no checkpoint collected under them.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::keeper::Keeper;
use super::machine::Machine;
use super::message::KeeperMessage;
use super::{Solo, checkpoint};
use crate::checkpoint::scrub::{BadCheckpoint, check, discard, mend, mend_local};
use crate::drive::Drive;
use crate::error::{StorageError, chain};
use crate::ids::DriveId;
use crate::log::scrub::{is_whole, mend_segment, needed_segments, place_of};
use crate::namespace::integrity::CorruptionKind;
use crate::sync::mpsc;

/// What a check of the mirrors read, and what was bad.
#[derive(Debug, Default)]
pub struct MirrorCheck {
    /// Log segments, one for each mirror.
    pub log_segments: u64,
    /// Manifests and files, for each mirror.
    pub checkpoint_files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// To be given to [`Solo::mend_mirror`].
    pub damaged: Vec<MirrorDamage>,
}

/// Something that one mirror does not hold as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorDamage {
    drive: DriveId,
    what: BadPart,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum BadPart {
    LogSegment(u64),
    Checkpoint(BadCheckpoint),
}

/// Files of the index that were mended, with the bytes written.
pub type MendedFiles = Vec<(String, u64)>;

impl MirrorDamage {
    /// What kind of thing it is.
    pub fn kind(&self) -> CorruptionKind {
        match self.what {
            BadPart::LogSegment(_) => CorruptionKind::LogSegment,
            BadPart::Checkpoint(_) => CorruptionKind::Checkpoint,
        }
    }

    /// The drive of the mirror.
    pub fn drive(&self) -> DriveId {
        self.drive
    }

    /// The file on that drive.
    pub fn place(&self) -> String {
        match &self.what {
            BadPart::LogSegment(sequence) => place_of(*sequence),
            BadPart::Checkpoint(BadCheckpoint::Manifest(applied)) => format!("checkpoints/{applied:016x}.manifest"),
            BadPart::Checkpoint(BadCheckpoint::File(file)) => format!("checkpoints/files/{}", file.digest),
        }
    }
}

impl<M: Machine> Solo<M> {
    /// Reads the log up to its durable end, and the newest checkpoint, on every mirror or on one drive. Blocking.
    pub fn check_mirrors(&self, only: Option<DriveId>, pace: &mut dyn FnMut(u64) -> ControlFlow<()>) -> MirrorCheck {
        let cluster = self.config.log.cluster;
        let view = self.shared.view();
        let mirrors: Vec<Arc<Drive>> = view.mirrors.iter().map(|(drive, _)| drive.clone()).collect();
        let newest =
            checkpoint::newest_on(&mirrors, cluster).into_iter().flatten().map(|manifest| manifest.applied).max();
        let mut found = MirrorCheck::default();
        for drive in mirrors.iter().filter(|drive| only.is_none_or(|only| only == drive.id())) {
            for span in needed_segments(&view) {
                found.log_segments += 1;
                found.bytes += span.end;
                let still_needed =
                    || needed_segments(&self.shared.view()).iter().any(|now| now.sequence == span.sequence);
                if !is_whole(drive, cluster, &span) && still_needed() {
                    found.damaged.push(MirrorDamage { drive: drive.id(), what: BadPart::LogSegment(span.sequence) });
                }
                if pace(span.end).is_break() {
                    return found;
                }
            }
            match check(drive, cluster, newest, pace) {
                Ok(check) => {
                    found.checkpoint_files += check.files;
                    found.bytes += check.bytes;
                    let damage = |bad| MirrorDamage { drive: drive.id(), what: BadPart::Checkpoint(bad) };
                    found.damaged.extend(check.bad.into_iter().map(damage));
                }
                Err(error) => tracing::warn!(drive = %drive.id(), %error, "the checkpoints cannot be checked"),
            }
        }
        found
    }

    /// Mends one finding from another mirror, or by a new checkpoint; answers the bytes written. Blocking.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] says why not.
    pub fn mend_mirror(&self, damage: MirrorDamage) -> Result<u64, StorageError> {
        self.ask_keeper(|reply| KeeperMessage::MendMirror(damage, reply))
    }

    /// Writes back, from the newest checkpoint, the blocks of index files that differ from it. Blocking.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`]: a file is whole nowhere, or no checkpoint holds it.
    pub fn mend_index(&self) -> Result<MendedFiles, StorageError> {
        self.ask_keeper(KeeperMessage::MendIndex)
    }

    /// Has the next start rebuild the index from checkpoint and log; until then no checkpoint is taken.
    pub fn rebuild_at_next_start(&self, why: &str) {
        self.health.suspect_index(why);
    }

    /// Whether the index on the disk was found damaged, and is neither mended nor rebuilt yet.
    pub fn index_is_suspected(&self) -> bool {
        self.health.suspected().is_some()
    }

    /// The index was checked whole after a repair.
    pub fn index_is_good_again(&self) {
        self.health.trust_index();
    }

    fn ask_keeper<T>(
        &self,
        message: impl FnOnce(mpsc::Sender<Result<T, String>>) -> KeeperMessage,
    ) -> Result<T, StorageError> {
        let (reply, answer) = mpsc::channel();
        self.keeper.send(message(reply)).map_err(|_| StorageError::Closed)?;
        answer.recv().map_err(|_| StorageError::Closed)?.map_err(|why| StorageError::Unavailable { why })
    }
}

impl<M: Machine> Keeper<M> {
    pub(super) fn mend_mirror(&mut self, damage: &MirrorDamage) -> Result<u64, String> {
        let view = self.shared.view();
        let cluster = self.config.cluster;
        let mirrors: Vec<Arc<Drive>> = view.mirrors.iter().map(|(drive, _)| drive.clone()).collect();
        let Some(drive) = mirrors.iter().find(|drive| drive.id() == damage.drive) else {
            return Err("the drive is no mirror any more".to_owned());
        };
        let bad = match &damage.what {
            BadPart::LogSegment(sequence) => {
                return mend_segment(&view, cluster, damage.drive, *sequence).map_err(|error| error.to_string());
            }
            BadPart::Checkpoint(bad) => bad,
        };
        let others: Vec<Arc<Drive>> = mirrors.iter().filter(|other| other.id() != damage.drive).cloned().collect();
        if let Some(bytes) = mend(drive, &others, cluster, bad).map_err(|error| error.to_string())? {
            return Ok(bytes);
        }
        // Whole nowhere: a new checkpoint holds it again.
        discard(drive, cluster, bad).map_err(|error| error.to_string())?;
        self.checkpointed = None;
        self.checkpoint(None).map_err(|error| chain(&error))?;
        Ok(match bad {
            BadCheckpoint::Manifest(_) => 0,
            BadCheckpoint::File(file) => file.len_bytes,
        })
    }

    pub(super) fn mend_index(&self) -> Result<MendedFiles, String> {
        let mirrors: Vec<Arc<Drive>> = self.shared.view().mirrors.into_iter().map(|(drive, _)| drive).collect();
        let newest = checkpoint::newest_on(&mirrors, self.config.cluster).into_iter().flatten();
        let Some(manifest) = newest.max_by_key(|manifest| manifest.applied) else {
            return Err("there is no checkpoint".to_owned());
        };
        let mut mended = Vec::new();
        for file in &manifest.files {
            let path = self.index_dir.join(&file.name);
            match mend_local(&path, &mirrors, self.config.cluster, file) {
                Ok(0) => {}
                Ok(bytes) => mended.push((file.name.clone(), bytes)),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(mended)
    }
}
