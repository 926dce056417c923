//! What the committer, the keeper and the proposers tell one another beside the queue.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{OnceLock, PoisonError};

use crate::checkpoint::sync_parent;
use crate::log::MirroredLog;
use crate::namespace::command::Applied;
use crate::namespace::rows::StripeRun;
use crate::sync::{Mutex, MutexGuard};

/// Called with stripes that lost their owner. Idempotent: recovery may name them again.
pub type FreedHook = Box<dyn Fn(&[StripeRun]) + Send + Sync>;

pub(super) struct Health {
    poisoned: OnceLock<String>,
    /// Made when the index is damaged: the next start rebuilds it.
    damage_marker: PathBuf,
    freed_hook: OnceLock<FreedHook>,
    /// Why the index on the disk is not trusted, if so: no checkpoint is taken of it.
    suspected: Mutex<Option<String>>,
    few_mirrors: AtomicBool,
    checkpoint_due: AtomicBool,
    /// Bytes of log after which a checkpoint is due.
    checkpoint_log_bytes: u64,
    /// Bytes of log that there were at the start.
    behind: AtomicU64,
    /// The log's growth counter at the last checkpoint.
    checkpoint_at: AtomicU64,
}

impl Health {
    /// `behind` is how many bytes of log there are already; `due` asks for a checkpoint whatever they are.
    pub(super) fn new(damage_marker: PathBuf, checkpoint_log_bytes: u64, behind: u64, due: bool) -> Self {
        Self {
            poisoned: OnceLock::new(),
            damage_marker,
            freed_hook: OnceLock::new(),
            suspected: Mutex::new(None),
            few_mirrors: AtomicBool::new(false),
            checkpoint_due: AtomicBool::new(due || behind >= checkpoint_log_bytes),
            checkpoint_log_bytes,
            behind: AtomicU64::new(behind),
            checkpoint_at: AtomicU64::new(0),
        }
    }

    pub(super) fn poisoned(&self) -> Option<String> {
        self.poisoned.get().cloned()
    }

    pub(super) fn poison(&self, why: &str, index_is_damaged: bool) {
        // The first reason is the one to tell.
        let _ = self.poisoned.set(why.to_owned());
        if index_is_damaged {
            self.mark_damaged(why);
        }
    }

    /// Takes no checkpoint of the index any more, and has the next start rebuild it.
    pub(super) fn suspect_index(&self, why: &str) {
        *self.lock_suspected() = Some(why.to_owned());
        self.mark_damaged(why);
    }

    /// Durable: after a power cut, too, a damaged index must not be taken for a good one.
    fn mark_damaged(&self, why: &str) {
        let mark = || {
            let mut marker = File::create(&self.damage_marker)?;
            marker.write_all(why.as_bytes())?;
            marker.sync_all()?;
            sync_parent(&self.damage_marker)
        };
        if let Err(error) = mark() {
            tracing::error!(%error, "cannot mark the index for a rebuild");
        }
    }

    /// The index was mended and checked.
    pub(super) fn trust_index(&self) {
        *self.lock_suspected() = None;
        match std::fs::remove_file(&self.damage_marker) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the index stays marked for a rebuild");
            }
            _ => {}
        }
    }

    pub(super) fn suspected(&self) -> Option<String> {
        self.lock_suspected().clone()
    }

    fn lock_suspected(&self) -> MutexGuard<'_, Option<String>> {
        self.suspected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_freed_hook(&self, hook: FreedHook) -> bool {
        self.freed_hook.set(hook).is_ok()
    }

    pub(super) fn freed(&self, applied: &[Applied]) {
        let Some(hook) = self.freed_hook.get() else { return };
        applied.iter().filter(|applied| !applied.freed.is_empty()).for_each(|applied| hook(&applied.freed));
    }

    /// Takes note of the log after a batch; true when the keeper has something new to do.
    pub(super) fn note_log(&self, log: &MirroredLog) -> bool {
        let few = log.mirror_count() < log.config().mirrors_wanted();
        let grown = log.log_bytes().saturating_sub(self.checkpoint_at.load(Relaxed)) + self.behind.load(Relaxed);
        let due = grown >= self.checkpoint_log_bytes;
        let newly_few = few && !self.few_mirrors.swap(few, Relaxed);
        self.few_mirrors.store(few, Relaxed);
        let newly_due = due && !self.checkpoint_due.swap(true, Relaxed);
        newly_few || newly_due
    }

    pub(super) fn want_checkpoint(&self) {
        self.checkpoint_due.store(true, Relaxed);
    }

    pub(super) fn checkpoint_is_due(&self) -> bool {
        self.checkpoint_due.load(Relaxed)
    }

    pub(super) fn checkpoint_taken(&self, log_bytes: u64) {
        self.behind.store(0, Relaxed);
        self.checkpoint_at.store(log_bytes, Relaxed);
        self.checkpoint_due.store(false, Relaxed);
    }
}
