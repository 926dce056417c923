//! Runs that lost their owner, from their death to the day when nobody needs to remember them.
//!
//! A dead run has a row in `dead`, in the same batch as the command that killed it. After a grace
//! for readers, and not while one holds it, its shards are freed. Only when every drive has durably
//! forgotten them does the row go: until then they are freed again. What is in memory here is only
//! the near end of the rows; what has no room is read from them later.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::Engine;
use crate::blob::BlobStore;
use crate::error::{StateError, StorageError, chain};
use crate::failpoint::{Step, failpoint};
use crate::ids::StripeId;
use crate::meta::MetaReads;
use crate::namespace::rows::StripeRun;
use crate::state::{DeadRun, StateMachine};

/// Runs kept in memory; those beyond are read from their rows.
const WAITING_MAX: usize = 1 << 16;
/// Rows read at once.
const PAGE_ROWS: usize = 8192;
/// Runs freed at once.
const BATCH_RUNS: usize = 64;
/// Rows forgotten at once, at the latest: each time the drives' indexes are flushed.
const FORGET_RUNS: usize = 16_384;
/// And at most this often when there are fewer.
const FORGET_EVERY_US: u64 = 30 * 1_000_000;
/// A run that is held by a reader is freed after this all the same.
const HELD_MAX_US: u64 = 60 * 60 * 1_000_000;
/// What could not be freed or forgotten is tried again after this.
const RETRY_EVERY_US: u64 = 60 * 1_000_000;

/// Dead runs on their way.
#[derive(Default)]
pub(in crate::engine) struct DeadRuns(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<DeadRun>,
    /// Freed on every drive that is there; their rows are to go.
    freed: Vec<StripeId>,
    /// Where the rows that are in neither begin.
    behind: Option<Rows>,
    /// Counts how often all rows were wanted: a page that was being read then is not the last word.
    wanted: u64,
    /// Something could not be freed or forgotten: all rows are read again then.
    retry_us: Option<u64>,
    forgotten_us: u64,
    runs_freed: u64,
}

impl State {
    /// Has all rows read again.
    fn want_all(&mut self) {
        self.behind = Some(Rows::All);
        self.wanted += 1;
    }
}

/// Rows still to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    All,
    After(StripeId),
}

/// Whether the grace is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Grace {
    /// Runs wait for it.
    Kept,
    /// It is over now: readers that hold their runs go on, others may fail.
    Ended,
}

impl DeadRuns {
    /// At the start: all rows are of runs that nobody reads.
    pub(in crate::engine) fn read_rows(&self) {
        self.lock().want_all();
    }

    /// Takes runs that a command has just killed.
    pub(in crate::engine) fn take(&self, runs: &[StripeRun], now_us: u64) {
        let mut state = self.lock();
        for run in runs {
            if state.waiting.len() < WAITING_MAX {
                state.waiting.push_back(DeadRun { run: run.clone(), died_us: now_us });
            } else {
                state.want_all();
            }
        }
    }

    /// Runs in memory that wait, and those freed since the start.
    pub(in crate::engine) fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        (state.waiting.len() as u64, state.runs_freed)
    }

    /// Takes up to a batch of runs whose time has come, from the front.
    fn due(&self, due: impl Fn(&DeadRun) -> bool) -> Vec<DeadRun> {
        let mut state = self.lock();
        let mut taken = Vec::new();
        let mut at = 0;
        while at < state.waiting.len() && taken.len() < BATCH_RUNS {
            if due(&state.waiting[at]) {
                taken.extend(state.waiting.swap_remove_back(at));
            } else {
                at += 1;
            }
        }
        taken
    }

    /// Reads more rows when there are none in memory; says whether there were any.
    fn refill(&self, machine: &StateMachine) -> Result<bool, StateError> {
        let Some((from, wanted)) = self.to_read() else { return Ok(false) };
        let after = match from {
            Rows::All => None,
            Rows::After(last) => Some(last),
        };
        let rows = machine.dead_runs(after, PAGE_ROWS)?;
        let any = !rows.is_empty();
        self.note_read(rows, wanted);
        Ok(any)
    }

    /// Where reading goes on, and how often all rows were wanted by now; `None` when all were read.
    fn to_read(&self) -> Option<(Rows, u64)> {
        let state = self.lock();
        Some((state.behind?, state.wanted))
    }

    /// Takes a page of rows. If all were wanted while it was read, reading begins anew after it.
    fn note_read(&self, rows: Vec<DeadRun>, wanted: u64) {
        let mut state = self.lock();
        if state.wanted == wanted {
            state.behind = rows.last().map(|row| Rows::After(row.run.first));
        }
        state.waiting.extend(rows);
    }

    fn note_freed(&self, runs: &[DeadRun], all: bool, now_us: u64) {
        let mut state = self.lock();
        if all {
            state.runs_freed += runs.len() as u64;
            state.freed.extend(runs.iter().map(|dead| dead.run.first));
        } else {
            state.retry_us.get_or_insert(now_us + RETRY_EVERY_US);
        }
    }

    /// The runs whose rows are to go now, if it is time.
    fn to_forget(&self, now_us: u64, at_once: bool) -> Vec<StripeId> {
        let mut state = self.lock();
        let drained = state.waiting.is_empty() && state.behind.is_some();
        let due = at_once
            || drained
            || state.freed.len() >= FORGET_RUNS
            || now_us >= state.forgotten_us.saturating_add(FORGET_EVERY_US);
        if state.freed.is_empty() || !due {
            return Vec::new();
        }
        state.forgotten_us = now_us;
        // They stay listed until it is done: a stop may come in between.
        state.freed.clone()
    }

    /// Their rows are gone, or are read again later.
    fn forgotten(&self, runs: &[StripeId]) {
        let runs: HashSet<&StripeId> = runs.iter().collect();
        self.lock().freed.retain(|run| !runs.contains(run));
    }

    fn retry_later(&self, now_us: u64) {
        self.lock().retry_us.get_or_insert(now_us + RETRY_EVERY_US);
    }

    fn retry_due(&self, now_us: u64, at_once: bool) {
        let mut state = self.lock();
        if state.retry_us.is_some_and(|at| at_once || at <= now_us) {
            state.retry_us = None;
            state.want_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads rows to tell which of the dead may go. Clones ask the same index.
#[derive(Clone)]
struct Gravedigger {
    dead: Arc<DeadRuns>,
    machine: Arc<StateMachine>,
    blobs: BlobStore,
    grace: Grace,
    grace_us: u64,
    /// What died before has no readers.
    opened_us: u64,
}

impl Gravedigger {
    /// Has rows read by a thread that serves nobody.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let ours = self.clone();
        let looked = tokio::task::spawn_blocking(move || work(&ours)).await;
        Ok(looked.map_err(|_| super::orphans::interrupted())??)
    }

    /// Up to a batch of runs whose time has come.
    async fn due(&self, now_us: u64) -> Result<Vec<DeadRun>, StorageError> {
        if self.dead.counts().0 == 0 {
            return Ok(Vec::new());
        }
        self.look(move |ours| Ok(ours.dead.due(|run| ours.may_go(run, now_us)))).await
    }

    /// Reads more rows if there are any.
    async fn refill(&self) -> Result<bool, StorageError> {
        if self.dead.to_read().is_none() {
            return Ok(false);
        }
        self.look(|ours| ours.dead.refill(&ours.machine)).await
    }

    /// Leaves out the runs that a late command gave an owner again. On an error all are looked at later.
    async fn unowned(&self, mut batch: Vec<DeadRun>) -> Result<Vec<DeadRun>, StorageError> {
        self.look(move |ours| {
            for at in (0..batch.len()).rev() {
                if ours.machine.run_owner(batch[at].run.first)?.is_some() {
                    batch.swap_remove(at);
                }
            }
            Ok(batch)
        })
        .await
    }

    fn may_go(&self, dead: &DeadRun, now_us: u64) -> bool {
        let age_us = match now_us.checked_sub(dead.died_us) {
            Some(age_us) => age_us,
            // It died after the clock was read, or the clock was put right by a little: it is young.
            None if dead.died_us - now_us <= self.grace_us => 0,
            // A clock that was set back far must not keep the dead for ever.
            None => u64::MAX,
        };
        let from_before = dead.died_us < self.opened_us;
        let over = self.grace == Grace::Ended || age_us >= self.grace_us || from_before;
        over && (age_us >= HELD_MAX_US || !self.is_held(&dead.run))
    }

    /// Whether somebody reads a run: by its own name, or as a pack by that of a run that was put into it.
    fn is_held(&self, run: &StripeRun) -> bool {
        let may_be_pack = run.count == 1 && !run.is_copies();
        self.blobs.is_read(run.first)
            || may_be_pack
                && match self.machine.put_into_pack(run.first) {
                    Ok(members) => members.into_iter().any(|member| self.blobs.is_read(member)),
                    Err(error) => {
                        tracing::warn!(error = chain(&error), "a dead pack waits: its members cannot be read");
                        true
                    }
                }
    }
}

impl Engine {
    /// Frees the runs whose time has come and forgets those that were freed; answers how many were freed.
    pub(in crate::engine) async fn bury(&self, grace: Grace) -> Result<u64, StorageError> {
        let dead = &self.reclaim.dead;
        let at_once = grace == Grace::Ended;
        // While a drive is away the rows stay in any case: what it holds is freed when it is back.
        if self.all_drives_online() {
            dead.retry_due(self.env.clock.now_us(), at_once);
        }
        let digger = self.gravedigger(grace);
        let before = dead.counts().1;
        loop {
            let now_us = self.env.clock.now_us();
            let batch = digger.due(now_us).await?;
            if !batch.is_empty() {
                self.free_batch(&digger, batch, now_us).await?;
                continue;
            }
            let nothing_waits = dead.counts().0 == 0;
            self.forget(dead.to_forget(now_us, at_once), now_us).await;
            if !nothing_waits || !digger.refill().await? {
                return Ok(dead.counts().1 - before);
            }
        }
    }

    fn gravedigger(&self, grace: Grace) -> Gravedigger {
        Gravedigger {
            dead: self.reclaim.dead.clone(),
            machine: self.machine.clone(),
            blobs: self.blobs.clone(),
            grace,
            grace_us: u64::try_from(self.reclaim.config.grace.as_micros()).unwrap_or(u64::MAX),
            opened_us: self.reclaim.opened_us,
        }
    }

    /// At the end: what was freed need not be freed again at the next start.
    pub(in crate::engine) async fn forget_freed(&self) {
        let now_us = self.env.clock.now_us();
        self.forget(self.reclaim.dead.to_forget(now_us, true), now_us).await;
    }

    /// Frees runs, but for one that has an owner again.
    async fn free_batch(&self, digger: &Gravedigger, batch: Vec<DeadRun>, now_us: u64) -> Result<(), StorageError> {
        let dead = &self.reclaim.dead;
        let batch = digger.unowned(batch).await.inspect_err(|_| dead.retry_later(now_us))?;
        let runs: Vec<StripeRun> = batch.iter().map(|dead| dead.run.clone()).collect();
        let all = self.blobs.free(&runs).await;
        failpoint(Step::DeadFreed);
        dead.note_freed(&batch, all, now_us);
        Ok(())
    }

    /// Removes the rows of freed runs once every drive's index says durably that they are gone. On any
    /// failure the rows stay, and the runs are freed again.
    async fn forget(&self, runs: Vec<StripeId>, now_us: u64) {
        if runs.is_empty() {
            return;
        }
        let mut forgotten = self.all_drives_online() && self.flush_drives().await;
        if forgotten {
            failpoint(Step::DeadFlushed);
        }
        if forgotten {
            let (machine, going) = (self.machine.clone(), runs.clone());
            let gone = tokio::task::spawn_blocking(move || machine.forget_dead(&going)).await;
            if let Err(error) = gone.map_err(|_| super::orphans::interrupted()).and_then(|gone| Ok(gone?)) {
                tracing::warn!(error = chain(&error), "dead stripes are remembered");
                forgotten = false;
            }
        }
        failpoint(Step::DeadForgotten);
        self.reclaim.dead.forgotten(&runs);
        if !forgotten {
            self.reclaim.dead.retry_later(now_us);
        }
    }

    async fn flush_drives(&self) -> bool {
        for drive in self.blobs.drives() {
            if let Err(error) = drive.flush_index().await {
                tracing::warn!(drive = %drive.id(), error = chain(&error), "dead stripes are remembered: a drive index was not flushed");
                return false;
            }
        }
        true
    }

    /// A drive that is away keeps its shards: the rows stay until it has been told.
    fn all_drives_online(&self) -> bool {
        self.roster.is_complete()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::suite::commands::run_of;

    /// A drive that came back while a page was read was once never told of the rows before the page.
    #[test]
    fn all_rows_that_are_wanted_while_a_page_is_read_are_read_again() {
        let dead = DeadRuns::default();
        dead.read_rows();
        let (from, wanted) = dead.to_read().unwrap();
        assert_eq!(from, Rows::All);
        let page = vec![DeadRun { run: run_of(1), died_us: 5 }];
        dead.note_read(page.clone(), wanted);
        let (from, wanted) = dead.to_read().unwrap();
        assert_eq!(from, Rows::After(run_of(1).first));
        dead.read_rows();
        dead.note_read(Vec::new(), wanted);
        let (from, wanted) = dead.to_read().unwrap();
        assert_eq!(from, Rows::All, "the end of the rows was not the end");
        dead.note_read(page, wanted);
        let (_, wanted) = dead.to_read().unwrap();
        dead.note_read(Vec::new(), wanted);
        assert_eq!(dead.to_read(), None);
    }
}
