//! The engine as the server holds it: drives, blobs, log and namespace behind one door.
//!
//! ```text
//!            Engine
//!    reads ┌───┴────────────┐ propose
//!   StateMachine ◀── Solo (mirrored log) ── freed ──▶ BlobStore ──▶ Drives
//! ```
//!
//! What lies where: `DATA/lock`, `DATA/engine.json` (which installation, which drives), `DATA/index`
//! (the namespace; rebuilt from the drives if it is lost), and the drives themselves.

mod balance;
mod config;
mod data_dir;
mod drive_changes;
mod drives;
mod evacuate;
mod journal_view;
mod moves;
mod open;
mod packing;
mod reads;
mod reclaim;
mod roster;
mod status;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chartrier_journal::{Checkpoint, Signer};
use tokio::task::JoinHandle;

pub use config::EngineConfig;
pub use drive_changes::{DriveChangeError, DriveReport};
pub use evacuate::{Care, CarePlan};
pub use journal_view::JournalView;
pub use moves::MoveProgress;
pub use packing::{PackConfig, PackReport, PackStatus};
pub use reclaim::{ORPHAN_AGE_MIN, OrphanReport, ReclaimConfig, ReclaimReport, ReclaimStatus};
pub use status::{LostDrive, Status};

use self::data_dir::DataDirLock;
#[cfg(test)]
pub(crate) use self::data_dir::parse_description;
use self::evacuate::Watch;
use self::moves::Moves;
use self::packing::Packing;
use self::reclaim::{Grace, Reclaim};
use self::roster::Roster;
use crate::blob::BlobStore;
use crate::env::Env;
use crate::error::{OpenError, StorageError, chain};
use crate::ids::{ClusterId, DriveId};
use crate::mend::Mender;
use crate::meta::MetaReads;
use crate::metrics::EngineMetricsSnapshot;
use crate::namespace::command::{Applied, Command, CommandContext, Op, Outcome};
use crate::solo::{MendedFiles, MirrorCheck, MirrorDamage, Solo};
use crate::state::StateMachine;

/// How often drives are looked at and stripes whose time has come are freed.
const TICK: Duration = Duration::from_secs(1);
/// Every so many of these, drives that are away are looked for.
const LOOK_FOR_DRIVES_TICKS: u64 = 5;
/// Every so many of these, buffers of transfers that lay idle since are freed.
const FREE_BUFFERS_TICKS: u64 = 10;
/// So long an opening waits for a server that still holds a directory: one that was killed or stopped a moment
/// ago is gone by then.
const IN_USE_WAIT: Duration = Duration::from_secs(10);
/// How often it looks.
const IN_USE_LOOK: Duration = Duration::from_millis(50);

/// One open installation on one machine.
pub struct Engine {
    cluster: ClusterId,
    solo: Solo<StateMachine>,
    machine: Arc<StateMachine>,
    blobs: BlobStore,
    reclaim: Reclaim,
    packing: Packing,
    mender: Arc<Mender>,
    roster: Roster,
    moves: Moves,
    watch: Watch,
    evacuate_after_s: u64,
    env: Env,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Released when the engine is dropped.
    lock: DataDirLock,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.mender.stop_soon();
        // The log's thread may wait for room, and it is joined next.
        self.machine.wait_for_space(false);
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens an installation, or makes one in fresh directories.
    ///
    /// Recovers what a crash left: drives are read back, the log is replayed, stripes that nobody
    /// owns any more are freed. Up to m drives may be missing. A directory that another server holds is
    /// waited for, ten seconds at most.
    ///
    /// # Errors
    /// [`OpenError`], in one line for the operator. Nothing acknowledged was discarded.
    pub async fn open(config: EngineConfig, env: Env) -> Result<Arc<Self>, OpenError> {
        let config = Arc::new(config);
        let (engine, first) = open_when_free(&config, &env).await?;
        let engine = Arc::new(engine);
        engine.name_journal_and_drives(&config, first).await?;
        *engine.tasks.lock().unwrap_or_else(PoisonError::into_inner) = vec![
            tokio::spawn(tick(Arc::downgrade(&engine))),
            tokio::spawn(evacuate::keep_watch(Arc::downgrade(&engine))),
            tokio::spawn(reclaim::keep_compacting(Arc::downgrade(&engine))),
            tokio::spawn(reclaim::keep_walking(Arc::downgrade(&engine))),
            tokio::spawn(packing::keep_packing(Arc::downgrade(&engine))),
        ];
        engine.mender.start(Arc::downgrade(&engine));
        Ok(engine)
    }

    /// Finishes what was proposed, flushes and takes a checkpoint, so that the next start is quick.
    ///
    /// Commands proposed later are refused. Reads still work. The second call does nothing. No task of the
    /// engine holds it afterwards: its directories are free once its users have dropped it.
    ///
    /// # Errors
    /// Nothing acknowledged depends on it: an engine that did not close cleanly replays more.
    pub async fn close(self: &Arc<Self>) -> Result<(), StorageError> {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(JoinHandle::abort);
        for task in tasks {
            // Aborted, or it panicked: it is over.
            let _ = task.await;
        }
        self.mender.stop().await;
        // A full disk is not waited for any more: what the log has is applied at the next start.
        self.machine.wait_for_space(false);
        let engine = self.clone();
        let closed = tokio::task::spawn_blocking(move || engine.solo.close()).await;
        self.forget_freed().await;
        self.blobs.close().await;
        let engine = self.clone();
        let flushed = tokio::task::spawn_blocking(move || engine.machine.flush()).await;
        let panicked = |error| StorageError::Poisoned { why: format!("closing panicked: {error}") };
        closed.map_err(panicked)??;
        flushed.map_err(panicked)?.map_err(StorageError::from)
    }

    /// Makes a command durable on the log's mirrors, applies it, and answers what it did.
    ///
    /// On `Ok` every later read sees it. Stripes that it freed are on their way to the drives.
    /// Dropping the future does not take the command back.
    ///
    /// # Errors
    /// [`StorageError::Full`] and [`StorageError::TooLarge`]: nothing was written. After any other the
    /// command may or may not hold: what it names must not be freed.
    pub async fn propose(&self, command: Command) -> Result<Applied, StorageError> {
        if grows(&command.op) && (self.machine.is_waiting_for_space() || self.lock.is_nearly_full()) {
            self.blobs.space_wanted().notify_one();
            return Err(StorageError::Full);
        }
        let named = reclaim::runs_named(&command.op);
        let applied = self.solo.propose(command).await?;
        // After an error the command may hold: its runs stay protected for a while.
        named.into_iter().for_each(|first| self.blobs.settle(first));
        Ok(applied)
    }

    /// The blobs on the drives.
    pub fn blobs(&self) -> &BlobStore {
        &self.blobs
    }

    /// What restores lost redundancy.
    pub fn mender(&self) -> &Arc<Mender> {
        &self.mender
    }

    /// The `cycle` log: leaves, hashes, the last signed checkpoint.
    pub fn journal(&self) -> JournalView<'_> {
        JournalView::new(&self.machine)
    }

    /// Signs a checkpoint if there are leaves that the last one does not cover, or if there is none.
    ///
    /// The signed checkpoint is durable, and checked against the tree, before any reader sees it.
    /// Answers whether a new one was signed.
    ///
    /// # Errors
    /// As [`Engine::propose`]; [`StorageError::Journal`] if the signer is not of this log.
    pub async fn sign_due_checkpoint(&self, signer: &Signer) -> Result<bool, StorageError> {
        let (size, root, signed) = self.machine.journal_head();
        let Some(identity) = self.machine.journal_identity() else {
            return Ok(false);
        };
        if signed == Some(size) {
            return Ok(false);
        }
        let note = Checkpoint::new(&identity.origin, size, root)?.sign(signer)?;
        let op = Op::SignCheckpoint { size, root: root.to_bytes(), note };
        // Refused: another call signed a later one meanwhile.
        Ok(self.propose(self.internal(op)).await?.outcome == Outcome::Done)
    }

    /// Health of drives, log and index.
    pub fn status(&self) -> Status {
        Status::of(self)
    }

    /// Counters since the start.
    pub fn metrics(&self) -> EngineMetricsSnapshot {
        EngineMetricsSnapshot {
            data: self.blobs.metrics().snapshot(),
            log: self.solo.status(),
            drives: self.blobs.status(),
            lost_drives: self.roster.lost().len() as u64,
            transfer_bytes: self.blobs.budget().used_bytes(),
            index_memory_bytes: self.machine.memory_bytes(),
            journal_leaves: self.machine.journal_size(),
            shards_to_heal: self.machine.heal_queue_len(),
            reclaim: self.reclaim.status(),
            packing: self.pack_status(),
        }
    }

    /// The installation.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// What the engine was given for time and randomness.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Proposes a command of the engine itself.
    pub(crate) async fn record(&self, op: Op) -> Result<Applied, StorageError> {
        self.propose(self.internal(op)).await
    }

    /// Whether commands are still applied.
    pub(crate) fn takes_commands(&self) -> bool {
        self.solo.poisoned().is_none()
    }

    /// Checks the log and the checkpoints on their mirrors. Blocking.
    pub(crate) fn check_mirrors(
        &self,
        only: Option<DriveId>,
        pace: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> MirrorCheck {
        self.solo.check_mirrors(only, pace)
    }

    /// Mends one finding of [`Engine::check_mirrors`]. Blocking.
    pub(crate) fn mend_mirror(&self, damage: MirrorDamage) -> Result<u64, StorageError> {
        self.solo.mend_mirror(damage)
    }

    /// Mends files of the index from the newest checkpoint. Blocking.
    pub(crate) fn mend_index(&self) -> Result<MendedFiles, StorageError> {
        self.solo.mend_index()
    }

    /// Whether the index on the disk was found damaged and is not mended.
    pub(crate) fn index_is_suspected(&self) -> bool {
        self.solo.index_is_suspected()
    }

    /// The index on the disk was checked whole.
    pub(crate) fn index_is_good_again(&self) {
        self.solo.index_is_good_again();
    }

    /// Has the next start rebuild the index; until then no checkpoint is taken of it.
    pub(crate) fn rebuild_index_at_next_start(&self, why: &str) {
        self.solo.rebuild_at_next_start(why);
    }

    /// A command of the engine itself.
    fn internal(&self, op: Op) -> Command {
        let context = CommandContext {
            time_us: self.env.clock.now_us(),
            request_id: "internal".to_owned(),
            actor_pid: "system".to_owned(),
            actor_role: "system".to_owned(),
            actor_auth: "internal".to_owned(),
            origin: None,
        };
        Command { context, op }
    }
}

/// Opens the engine as soon as no other holds its directories.
async fn open_when_free(config: &Arc<EngineConfig>, env: &Env) -> Result<(Engine, open::First), OpenError> {
    let end = tokio::time::Instant::now() + IN_USE_WAIT;
    let mut told = false;
    loop {
        let (opening, env) = (config.clone(), env.clone());
        let joined = tokio::task::spawn_blocking(move || open::open(&opening, env)).await;
        match joined.map_err(|error| OpenError::Recovery(format!("opening panicked: {error}")))? {
            Err(OpenError::InUse { path }) if tokio::time::Instant::now() < end => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(path = %path.display(), "another server still holds the directory: waiting for it");
                }
                tokio::time::sleep(IN_USE_LOOK).await;
            }
            opened => return opened,
        }
    }
}

/// Whether a command adds to what is stored. On a nearly full disk only others are taken: what they
/// need is kept free for them, and for the index to flush and compact.
fn grows(op: &Op) -> bool {
    match op {
        Op::CreateBucket(_)
        | Op::PutVersion { .. }
        | Op::CreateUpload { .. }
        | Op::PutPart { .. }
        | Op::CreateUser(_)
        | Op::AddAccessKey { .. }
        | Op::SetUserDocument { .. }
        | Op::RenameUser { .. }
        | Op::SetBucketConfig { document: Some(_), .. }
        | Op::SetNotifications { .. } => true,
        Op::DeleteBucket { .. }
        | Op::Rewrap { .. }
        | Op::DeleteVersion { .. }
        | Op::DeleteObject { .. }
        | Op::SetVersioning { .. }
        | Op::SetObjectLock { .. }
        | Op::ChangeVersion { .. }
        | Op::CompleteUpload { .. }
        | Op::AbortUpload { .. }
        | Op::RecordRefusal { .. }
        | Op::RemoveUser { .. }
        | Op::RemoveAccessKey { .. }
        | Op::SetAccessKey { .. }
        | Op::SetAccountQuota { .. }
        | Op::SignCheckpoint { .. }
        | Op::SetLayout(_)
        | Op::SetJournal(_)
        | Op::SetBucketConfig { document: None, .. }
        | Op::RecordRepair(_)
        | Op::RecordCorruption(_)
        | Op::RecordScrub(_)
        | Op::RecordDriveHealth { .. }
        | Op::SetDrives { .. }
        | Op::RemoveEvents { .. }
        | Op::PackRuns(_) => false,
    }
}

/// Looks after drives and dead stripes until the engine is gone.
async fn tick(engine: std::sync::Weak<Engine>) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for count in 1_u64.. {
        ticks.tick().await;
        let Some(engine) = engine.upgrade() else {
            return;
        };
        engine.blobs.tick();
        if let Err(error) = engine.bury(Grace::Kept).await {
            tracing::warn!(error = chain(&error), "dead stripes wait: the index cannot be read");
        }
        engine.follow_layout().await;
        if count.is_multiple_of(LOOK_FOR_DRIVES_TICKS) {
            engine.look_for_drives().await;
        }
        if count.is_multiple_of(FREE_BUFFERS_TICKS) {
            engine.blobs.budget().free_idle();
        }
    }
}
