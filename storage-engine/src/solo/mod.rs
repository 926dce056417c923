//! The metadata engine of one machine: mirrored log, state machine, mirrored checkpoints.
//!
//! ```text
//! propose ─▶ queue ─▶ committer ──▶ log mirrors (one fdatasync each per batch)
//!    ▲                   │ apply
//!    └────── answer ─────┘            keeper: checkpoints, recycling, new mirrors
//! ```
//!
//! A command is answered when it is durable on every live mirror and applied. Nothing is visible
//! to readers before it is durable.

mod committer;
mod health;
mod keeper;
mod machine;
mod message;
mod open;
mod scrub;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};

use self::committer::Committer;
pub use self::health::FreedHook;
use self::health::Health;
use self::keeper::Keeper;
pub use self::machine::Machine;
use self::message::{KeeperMessage, Message, Proposal};
use self::open::{Places, forget_old_index, open_machine, replay};
pub use self::scrub::{MendedFiles, MirrorCheck, MirrorDamage};
use crate::checkpoint::{self, DigestCache};
use crate::drive::{Drive, DriveSet};
use crate::error::{MetaError, OpenError, StateError, StorageError, chain};
use crate::log::shared::LogShared;
use crate::log::{LogConfig, LogStatus, MirroredLog};
use crate::meta::MetaEngine;
use crate::namespace::command::{Applied, Command};
use crate::namespace::encoding;
use crate::namespace::rows::StripeRun;
use crate::state::StateMachine;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Mutex, MutexGuard, mpsc};

/// Bytes of encoded commands that may wait for the committer; more proposers wait their turn.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// The queue's bytes are counted in units of this.
const QUEUE_UNIT_BYTES: usize = 1 << 10;
/// What a queued command costs beside its payload.
const PROPOSAL_BYTES: usize = 1 << 10;

/// How a [`Solo`] is opened.
#[derive(Debug, Clone)]
pub struct SoloConfig {
    /// Directory of the index; rebuilt from the drives if it is missing or damaged.
    pub index_dir: PathBuf,
    /// The log.
    pub log: LogConfig,
    /// Growth of the log after which a checkpoint is taken.
    pub checkpoint_log_bytes: u64,
}

impl SoloConfig {
    /// Growth of the log after which a checkpoint is taken, unless configured.
    pub const CHECKPOINT_LOG_BYTES_DEFAULT: u64 = 64 << 20;
}

/// An open engine, and what opening it did.
pub struct Opened<M: Machine> {
    /// The engine.
    pub solo: Solo<M>,
    /// Stripes that replayed commands freed; freeing them again does no harm.
    pub freed: Vec<StripeRun>,
    /// Entries replayed into the index.
    pub replayed: u64,
    /// Whether the index was rebuilt from the drives.
    pub rebuilt: bool,
}

/// Orders, logs and applies commands on one machine. Reads go to the machine itself.
///
/// Dropping it ends its threads without a checkpoint, as a crash would; see [`close`](Self::close).
pub struct Solo<M: Machine> {
    machine: Arc<M>,
    shared: Arc<LogShared>,
    config: SoloConfig,
    health: Arc<Health>,
    queue: UnboundedSender<Message>,
    room: Arc<Semaphore>,
    keeper: mpsc::Sender<KeeperMessage>,
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    committer: Option<JoinHandle<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl<M: Machine> std::fmt::Debug for Solo<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Solo").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<M: Machine> Solo<M> {
    /// Recovers index and log, replays, and starts. `drives` are all usable drives of the machine, in
    /// their order; `open` opens or makes the state in a directory. Blocking.
    ///
    /// # Errors
    /// [`OpenError::Recovery`] with one line for the operator; nothing acknowledged is discarded.
    pub fn open(
        drives: impl Into<DriveSet>,
        config: SoloConfig,
        open: impl Fn(&Path) -> Result<Arc<M>, StateError>,
    ) -> Result<Opened<M>, OpenError> {
        let drives = drives.into();
        let places = Places { index: config.index_dir.clone() };
        let opened = open_machine(&places, &drives.all(), &config.log, &open)?;
        let recovered = MirroredLog::recover(drives.clone(), config.log.clone(), opened.known)
            .map_err(|error| OpenError::Recovery(chain(&error)))?;
        let (replayed, freed) = replay(&*opened.machine, &recovered.replay)?;
        forget_old_index(&places);
        let from_index = recovered.replay.is_from_state();
        let solo =
            Self::start(recovered.log, opened.machine, drives, config, &places, opened.known.checkpoint, from_index)?;
        Ok(Opened { solo, freed, replayed, rebuilt: opened.rebuilt })
    }

    /// Logs and applies a command.
    ///
    /// On `Ok` it is durable on every live mirror and visible to readers. Cancel safe in that
    /// dropping the future harms nothing, but the command may hold all the same.
    ///
    /// # Errors
    /// [`StorageError::Full`] and [`StorageError::TooLarge`]: nothing was written. Any other error: the
    /// command may or may not hold later, so what it refers to must not be freed.
    pub async fn propose(&self, command: Command) -> Result<Applied, StorageError> {
        let payload = encoding::encode(&command);
        if payload.len() > self.config.log.payload_bytes_max() {
            return Err(StorageError::TooLarge { len_bytes: payload.len() });
        }
        let units = ((payload.len() + PROPOSAL_BYTES) / QUEUE_UNIT_BYTES + 1) as u32;
        let room = self.room.clone().acquire_many_owned(units).await.map_err(|_| StorageError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let proposal = Proposal { command, payload, answer, _room: room };
        self.queue.send(Message::Propose(proposal)).map_err(|_| StorageError::Closed)?;
        answered.await.unwrap_or(Err(StorageError::Closed))
    }

    /// The state machine, for reads.
    pub fn machine(&self) -> &Arc<M> {
        &self.machine
    }

    /// The log's health and counters.
    pub fn status(&self) -> LogStatus {
        LogStatus::of(&self.shared, &self.config.log)
    }

    /// Why no command is taken any more, if so.
    pub fn poisoned(&self) -> Option<String> {
        self.health.poisoned()
    }

    /// Marks the index as damaged: a read met corruption. Writes end, and the next start rebuilds it.
    pub fn index_is_damaged(&self, why: &str) {
        self.health.poison(&format!("the index is damaged: {why}"), true);
    }

    /// Calls `hook` with the stripes that each command freed, also when its proposer went away.
    /// Only the first hook counts; says whether this was it.
    pub fn on_freed(&self, hook: FreedHook) -> bool {
        self.health.set_freed_hook(hook)
    }

    /// Says that drives were added to the set, left it, or are to be left: the log's mirrors follow.
    pub fn drives_changed(&self) {
        // Whoever is gone was told to stop.
        let _ = self.queue.send(Message::DrivesChanged);
        let _ = self.keeper.send(KeeperMessage::Wake);
    }

    /// Takes a checkpoint now and returns the last entry in it. Blocking.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] says what failed; the log is kept until a checkpoint succeeds.
    pub fn checkpoint(&self) -> Result<u64, StorageError> {
        let (reply, taken) = mpsc::channel();
        self.keeper.send(KeeperMessage::Checkpoint(reply)).map_err(|_| StorageError::Closed)?;
        taken.recv().map_err(|_| StorageError::Closed)?.map_err(|why| StorageError::Unavailable { why })
    }

    /// Finishes what is queued, takes a checkpoint and ends. Blocking; the second call does nothing.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint). Everything acknowledged is safe in the log all the same.
    pub fn close(&self) -> Result<(), StorageError> {
        self.room.close();
        // A committer that is gone has nothing left to finish.
        let _ = self.queue.send(Message::Stop);
        join(self.threads().committer.take());
        let checkpoint = if self.threads().keeper.is_some() { self.checkpoint() } else { Ok(0) };
        let _ = self.keeper.send(KeeperMessage::Stop);
        join(self.threads().keeper.take());
        checkpoint.map(drop)
    }

    fn start(
        log: MirroredLog,
        machine: Arc<M>,
        drives: DriveSet,
        config: SoloConfig,
        places: &Places,
        checkpoint: u64,
        checkpoint_now: bool,
    ) -> Result<Self, OpenError> {
        let shared = log.shared();
        let view = shared.view();
        let behind = view.segments.iter().map(|span| span.end).sum();
        let mirrors: Vec<Arc<Drive>> = view.mirrors.iter().map(|(drive, _)| drive.clone()).collect();
        let newest = checkpoint::newest_on(&mirrors, config.log.cluster);
        let everywhere = newest.iter().all(|found| found.as_ref().map_or(0, |manifest| manifest.applied) == checkpoint);
        let due = checkpoint_now || !everywhere;
        let health = Arc::new(Health::new(places.damage_marker(), config.checkpoint_log_bytes, behind, due));
        let digests = newest
            .into_iter()
            .flatten()
            .next()
            .map_or_else(DigestCache::default, |found| DigestCache::from_manifest(&found));
        let (queue, inbox) = unbounded_channel();
        let (keeper_sender, keeper_inbox) = mpsc::channel();
        let mut keeper = Keeper {
            machine: machine.clone(),
            shared: shared.clone(),
            config: config.log.clone(),
            drives,
            work_dir: places.checkpoint_work(),
            index_dir: places.index.clone(),
            digests,
            health: health.clone(),
            committer: queue.clone(),
            inbox: keeper_inbox,
            checkpointed: None,
            now: 0,
            checkpoint_not_before: 0,
            candidate_not_before: std::collections::HashMap::new(),
            drops_seen: 0,
        };
        let committer = Committer::new(log, machine.clone(), inbox, keeper_sender.clone(), health.clone());
        let committer = spawn("log-committer", move || committer.run())?;
        keeper.reach_needed_mirrors();
        let keeper = spawn("log-keeper", move || keeper.run())?;
        let _ = keeper_sender.send(KeeperMessage::Wake);
        let threads = Mutex::new(Threads { committer: Some(committer), keeper: Some(keeper) });
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX / QUEUE_UNIT_BYTES));
        Ok(Self { machine, shared, config, health, queue, room, keeper: keeper_sender, threads })
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetaEngine for Solo<StateMachine> {
    type Reads = StateMachine;

    fn propose(&self, command: Command) -> impl Future<Output = Result<Applied, MetaError>> + Send {
        Solo::propose(self, command)
    }

    fn reads(&self) -> &StateMachine {
        &self.machine
    }
}

impl<M: Machine> Drop for Solo<M> {
    fn drop(&mut self) {
        let _ = self.queue.send(Message::Stop);
        let _ = self.keeper.send(KeeperMessage::Stop);
        let mut threads = std::mem::take(&mut *self.threads());
        join(threads.committer.take());
        join(threads.keeper.take());
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    let spawned = thread::Builder::new().name(name.into()).spawn(work);
    spawned.map_err(|error| OpenError::Recovery(format!("cannot start a thread: {error}")))
}

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread
        && thread.join().is_err()
    {
        tracing::error!("a thread of the log panicked");
    }
}
