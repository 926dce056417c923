//! The thread that keeps checkpoints fresh and mirrors complete, beside the committer.
//!
//! Once a second, and when it is woken: drop mirrors whose drive is gone; give a lost mirror a
//! successor; take a checkpoint when the log has grown enough. A new mirror first gets a
//! checkpoint, then the log after it, and is attached by the committer between two batches.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::health::Health;
use super::machine::Machine;
use super::message::{AttachReply, KeeperMessage, Message};
use crate::checkpoint::{self, DigestCache, remove_dir};
use crate::drive::{Drive, DriveSet, DriveState};
use crate::error::chain;
use crate::failpoint::{Step, failpoint};
use crate::ids::DriveId;
use crate::io::is_full;
use crate::log::LogConfig;
use crate::log::copy::Candidate;
use crate::log::shared::{LogShared, LogView};
use crate::sync::mpsc::{self, Receiver, RecvTimeoutError};

/// How often drives are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Ticks before something that failed is tried again.
const RETRY_TICKS: u64 = 5;
/// Ticks before a drive that was dropped for a failed write may be a mirror again.
const DROPPED_TICKS: u64 = 30;
/// Rounds of copying after which a new mirror that cannot keep up is given up for now.
const COPY_ROUNDS_MAX: usize = 64;

pub(super) struct Keeper<M> {
    pub(super) machine: Arc<M>,
    pub(super) shared: Arc<LogShared>,
    pub(super) config: LogConfig,
    pub(super) drives: DriveSet,
    /// Beside the index, so that files can be hard-linked into it.
    pub(super) work_dir: PathBuf,
    /// The index itself.
    pub(super) index_dir: PathBuf,
    pub(super) digests: DigestCache,
    pub(super) health: Arc<Health>,
    pub(super) committer: UnboundedSender<Message>,
    pub(super) inbox: Receiver<KeeperMessage>,
    /// The last entry in the checkpoint that every mirror has; `None` if they differ.
    pub(super) checkpointed: Option<u64>,
    pub(super) now: u64,
    pub(super) checkpoint_not_before: u64,
    pub(super) candidate_not_before: HashMap<DriveId, u64>,
    /// Dropped mirrors that were taken note of.
    pub(super) drops_seen: u64,
}

/// Why a checkpoint was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckpointError {
    #[error("the index gives no checkpoint")]
    State(#[from] crate::error::StateError),
    #[error("cannot read the index's checkpoint")]
    Local(#[from] io::Error),
    #[error("cannot store the checkpoint on drive {0}: {1}")]
    Drive(DriveId, String),
    #[error("the state is poisoned")]
    Poisoned,
    #[error("the index is damaged, and is mended or rebuilt first: {0}")]
    Damaged(String),
}

impl CheckpointError {
    /// Whether it says that the index on the disk is not what was written.
    fn is_damage(&self) -> bool {
        match self {
            Self::State(error) => error.is_corruption(),
            Self::Local(error) => error.kind() == io::ErrorKind::InvalidData,
            Self::Damaged(_) => true,
            Self::Drive(..) | Self::Poisoned => false,
        }
    }
}

impl<M: Machine> Keeper<M> {
    /// Runs until it is told to stop, or the committer and all proposers are gone.
    pub(super) fn run(mut self) {
        loop {
            match self.inbox.recv_timeout(TICK) {
                Ok(KeeperMessage::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(KeeperMessage::Checkpoint(reply)) => {
                    let taken = self.checkpoint(None).map_err(|error| chain(&error));
                    // Who asked may be gone.
                    let _ = reply.send(taken);
                    continue;
                }
                Ok(KeeperMessage::MendMirror(damage, reply)) => {
                    let _ = reply.send(self.mend_mirror(&damage));
                    continue;
                }
                Ok(KeeperMessage::MendIndex(reply)) => {
                    let _ = reply.send(self.mend_index());
                    continue;
                }
                Ok(KeeperMessage::Wake) => {}
                Err(RecvTimeoutError::Timeout) => self.now += 1,
            }
            self.look_after_mirrors();
            if self.health.checkpoint_is_due() && self.now >= self.checkpoint_not_before {
                self.take_due_checkpoint();
            }
        }
    }

    /// Adds mirrors until there are enough to acknowledge, or no drive is left to try.
    pub(super) fn reach_needed_mirrors(&mut self) {
        for _ in 0..self.drives.len() {
            if self.shared.view().mirrors.len() >= self.config.mirrors_needed() {
                return;
            }
            self.look_after_mirrors();
        }
    }

    fn look_after_mirrors(&mut self) {
        let view = self.shared.view();
        if view.mirrors.iter().any(|(drive, _)| drive.io().check_alive().is_err()) {
            self.tell_committer(Message::DropDead);
        }
        self.note_drops(&view);
        let (staying, going): (Vec<_>, Vec<_>) =
            view.mirrors.iter().partition(|(drive, _)| !drive.is_leaving() && drive.state().writes());
        if staying.len() >= self.config.mirrors_wanted() {
            // Each has its successor already.
            for (drive, _) in going {
                let why = if drive.is_leaving() { "the drive is to be left" } else { "the drive takes no writes" };
                self.tell_committer(Message::DropMirror(drive.id(), io::Error::other(why)));
            }
            return;
        }
        for (drive, _) in going.iter().filter(|(drive, _)| drive.state() == DriveState::Failed) {
            let why = io::Error::other("the drive failed");
            self.tell_committer(Message::DropMirror(drive.id(), why));
        }
        // With no mirror left there is nothing to copy from: only a restart finds a mirror again.
        let candidate = if view.mirrors.is_empty() { None } else { self.pick(&view) };
        let Some(drive) = candidate else {
            self.tell_committer(Message::NoCandidate);
            return;
        };
        let id = drive.id();
        match self.add_mirror(drive) {
            Ok(()) => tracing::info!(drive = %id, "log mirror added"),
            Err(error) => {
                tracing::warn!(drive = %id, %error, "the drive did not become a log mirror");
                self.candidate_not_before.insert(id, self.now + RETRY_TICKS);
                self.tell_committer(Message::NoCandidate);
            }
        }
    }

    /// Drives whose mirror was dropped wait a while before they are tried again.
    fn note_drops(&mut self, view: &LogView) {
        let new = view.drops.saturating_sub(self.drops_seen) as usize;
        for dropped in view.dropped.iter().rev().take(new) {
            let wait = if dropped.full { RETRY_TICKS } else { DROPPED_TICKS };
            self.candidate_not_before.insert(dropped.drive, self.now + wait);
        }
        self.drops_seen = view.drops;
    }

    /// A drive that is not a mirror and can become one: best one that never failed as a mirror.
    ///
    /// One that did not answer is left alone until it is opened again: a thread of the old mirror may
    /// still be stuck in a write to it.
    fn pick(&self, view: &LogView) -> Option<Arc<Drive>> {
        let is_mirror = |id| view.mirrors.iter().any(|(drive, _)| drive.id() == id);
        let drops = |drive: &Arc<Drive>| {
            let was = Arc::downgrade(drive);
            view.dropped.iter().filter(move |dropped| dropped.was.ptr_eq(&was) && !dropped.full).collect::<Vec<_>>()
        };
        let room = 3 * self.config.segment_bytes;
        let fit = |drive: &Arc<Drive>| {
            let id = drive.id();
            let waits = self.candidate_not_before.get(&id).is_some_and(|&from| self.now < from);
            !is_mirror(id)
                && !drops(drive).iter().any(|dropped| dropped.silent)
                && !waits
                && !drive.is_leaving()
                && drive.state().writes()
                && drive.io().check_alive().is_ok()
                && drive.io().free_bytes().is_ok_and(|free| free >= room)
        };
        self.drives.all().into_iter().filter(fit).min_by_key(|drive| drops(drive).len())
    }

    fn add_mirror(&mut self, drive: Arc<Drive>) -> Result<(), String> {
        let mut candidate = Candidate::new(drive.clone(), self.config.clone()).map_err(|error| error.to_string())?;
        self.checkpoint(Some(&drive)).map_err(|error| chain(&error))?;
        for _ in 0..COPY_ROUNDS_MAX {
            candidate.copy_durable(&self.shared.view()).map_err(|error| error.to_string())?;
            let (reply, answer) = mpsc::channel();
            self.tell_committer(Message::Attach(candidate, reply));
            match answer.recv() {
                Ok(AttachReply::Attached) => return Ok(()),
                Ok(AttachReply::Behind(again)) => candidate = again,
                Ok(AttachReply::Failed(error)) => return Err(chain(&error)),
                Err(mpsc::RecvError) => return Err("the log is closing".into()),
            }
        }
        Err("the log grows faster than the drive can copy it".into())
    }

    fn take_due_checkpoint(&mut self) {
        match self.checkpoint(None) {
            Ok(applied) => tracing::debug!(applied, "checkpoint taken"),
            Err(error) => {
                tracing::warn!(error = chain(&error), "checkpoint failed; the log grows until one succeeds");
                self.checkpoint_not_before = self.now + RETRY_TICKS;
            }
        }
    }

    /// Takes a checkpoint to every mirror, and to `extra`; recycles the log before it when all have it.
    pub(super) fn checkpoint(&mut self, extra: Option<&Arc<Drive>>) -> Result<u64, CheckpointError> {
        if self.health.poisoned().is_some() {
            return Err(CheckpointError::Poisoned);
        }
        if let Some(why) = self.health.suspected() {
            return Err(CheckpointError::Damaged(why));
        }
        let log_bytes = self.shared.counts.log_bytes();
        if extra.is_none() && self.checkpointed == Some(self.machine.applied_index()) {
            self.health.checkpoint_taken(log_bytes);
            return Ok(self.machine.applied_index());
        }
        remove_dir(&self.work_dir)?;
        let applied = self.machine.checkpoint_to(&self.work_dir)?;
        failpoint(Step::CheckpointCopied);
        let described = self
            .machine
            .check_copy(&self.work_dir)
            .map_err(CheckpointError::from)
            .and_then(|()| Ok(self.digests.describe(&self.work_dir, self.config.cluster, applied)?));
        let manifest = match described {
            Err(error) if error.is_damage() => {
                // Published, it would take the place of a good one.
                remove_dir(&self.work_dir)?;
                let why = chain(&error);
                tracing::error!(error = why, "the index is damaged on the disk: no checkpoint is taken of it");
                self.health.suspect_index(&why);
                return Err(error);
            }
            other => other?,
        };
        let mirrors = self.shared.view().mirrors.into_iter().map(|(drive, _)| drive);
        // A successor is not kept waiting by the slow mirror that it is to relieve.
        let awaited = |drive: &Arc<Drive>| extra.is_none() || drive.state() != DriveState::Slow;
        let mut targets: Vec<Arc<Drive>> = mirrors.filter(awaited).collect();
        targets.extend(extra.cloned());
        let published = checkpoint::publish(&self.work_dir, &manifest, &targets);
        remove_dir(&self.work_dir)?;
        tracing::debug!(applied, bytes = published.bytes_written, "checkpoint published");
        let mut failure = None;
        for (drive, error) in published.failed {
            failure = Some(CheckpointError::Drive(drive, error.to_string()));
            if !is_full(&error) {
                self.tell_committer(Message::DropMirror(drive, error));
            }
        }
        // A mirror attached or dropped meanwhile changes who must have it.
        let complete = self.shared.view().mirrors.iter().all(|(drive, _)| published.drives.contains(&drive.id()));
        self.checkpointed = complete.then_some(applied);
        match failure {
            Some(error) => Err(error),
            None if !complete => Ok(applied),
            None => {
                failpoint(Step::CheckpointComplete);
                self.health.checkpoint_taken(log_bytes);
                self.shared.recycle_up_to(applied);
                checkpoint::collect(&targets, self.config.cluster, applied);
                Ok(applied)
            }
        }
    }

    fn tell_committer(&self, message: Message) {
        // A committer that is gone was told to stop; the keeper hears of it next.
        let _ = self.committer.send(message);
    }
}
