//! The loop that takes stripes from the queue and mends them.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Mender;
use super::journal::Record;
use super::later::Later;
use super::queue::Job;
use super::stripe::{ShardSet, StripeError, StripeOutcome, StripeTask, mend_stripe, stripe_cost_bytes, survey_stripe};
use crate::engine::Engine;
use crate::error::{StateError, chain};
use crate::ids::{DriveId, StripeId};
use crate::meta::MetaReads;
use crate::namespace::command::MissingShard;
use crate::namespace::integrity::{CorruptionKind, FoundBy, ShardFault};
use crate::namespace::rows::StripeRun;
use crate::segment::location::ShardKey;

/// Stripes mended at once: their syncs are shared, their memory is bounded.
const JOBS_AT_ONCE: usize = 8;
/// How often there is a look for work that nobody announced.
const TICK: Duration = Duration::from_secs(1);
/// Before the rows of degraded writes are read again after they could not be.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Stripes that are known to be lost: each is recorded once.
const LOST_MAX: usize = 4096;
/// Heal rows looked at in one step.
const HEAL_PAGE: usize = 1024;
/// A round over the heal rows is at most this share of the time.
const HEAL_ROUND_SHARE: u32 = 10;

/// Where the walk over the rows of degraded writes is.
#[derive(Default)]
pub(super) struct Heals {
    after: Option<MissingShard>,
    walking: bool,
    /// What the last round began with: with the same drives and no more rows another finds the same.
    drives: BTreeSet<DriveId>,
    rows: u64,
    /// Some row could not be mended, though its drive takes writes.
    failed: bool,
    began: Option<Instant>,
    not_before: Option<Instant>,
}

/// What the loop keeps beside the queue.
#[derive(Default)]
struct Kept {
    later: Later,
    lost: HashSet<StripeId>,
}

/// Works until the engine is gone. While it waits it keeps neither engine nor drives open.
pub(super) async fn run(mender: Weak<Mender>, engine: Weak<Engine>) {
    let mut kept = Kept::default();
    let Some((reports, wake)) = mender.upgrade().map(|mender| (mender.blobs.damage().arrived(), mender.wake.clone()))
    else {
        return;
    };
    loop {
        // A report wakes it; without one it looks for rows and for repairs whose time has come.
        tokio::select! {
            () = reports.notified() => {}
            () = wake.notified() => {}
            () = sleep(TICK) => {}
        }
        let Some(mender) = mender.upgrade().filter(|mender| !mender.is_stopped()) else { return };
        let nobodys = mender.look(Mender::take_reports).await.unwrap_or_default();
        if !nobodys.is_empty()
            && let Some(engine) = engine.upgrade()
            && let Err(error) = engine.free_torn(nobodys).await
        {
            tracing::warn!(error = chain(&error), "records of nobody that are damaged stay for now");
        }
        mender.take_heal_rows().await;
        mender.take_due(&mut kept.later);
        loop {
            let Some(engine) = engine.upgrade() else { return };
            if !engine.takes_commands() || !mender.work(&engine, &mut kept).await {
                break;
            }
            mender.take_heal_rows().await;
            mender.take_due(&mut kept.later);
        }
    }
}

impl Mender {
    /// Has indexes read by a thread that serves nobody; `None` if that broke off.
    async fn look<T: Send + 'static>(self: &Arc<Self>, work: fn(&Self) -> T) -> Option<T> {
        let mender = self.clone();
        let looked = tokio::task::spawn_blocking(move || work(&mender)).await;
        looked.inspect_err(|error| tracing::error!(%error, "a look for what to mend broke off")).ok()
    }

    /// Turns reports into jobs; answers the damaged records whose stripe has no owner. Blocking.
    fn take_reports(&self) -> Vec<(DriveId, ShardKey)> {
        let mut nobodys = Vec::new();
        for report in self.blobs.damage().take() {
            match self.task_for(report.stripe) {
                Ok(Some(task)) => {
                    if report.found_by == FoundBy::Compaction {
                        let (stripe, shard, drive) = (report.stripe, report.shard, report.drive);
                        tracing::error!(
                            ?stripe,
                            shard,
                            ?drive,
                            "a damaged shard keeps its segment until it is rebuilt"
                        );
                    }
                    let task = StripeTask { check: ShardSet::one(report.shard), ..task };
                    let redundancy = self.redundancy(&task.run, task.index, 1);
                    let found_by = Some(report.found_by);
                    self.push(Job { task, redundancy, heal: ShardSet::NONE, found_by, tickets: Vec::new() });
                }
                Ok(None) => {
                    let key = ShardKey { stripe: report.stripe, shard: report.shard };
                    nobodys.extend(report.drive.map(|drive| (drive, key)));
                }
                Err(error) => tracing::warn!(error = chain(&error), "a damaged shard cannot be looked up"),
            }
        }
        nobodys
    }

    /// What to do about a stripe, if something owns it: nothing yet.
    pub(super) fn task_for(&self, stripe: StripeId) -> Result<Option<StripeTask>, StateError> {
        let Some(owned) = self.machine.run_owner(stripe)? else { return Ok(None) };
        let Some(run) = self.machine.owned_run(&owned)? else { return Ok(None) };
        let index = stripe.index_in_run(run.first).filter(|index| *index < run.count);
        let task = |index| StripeTask { run, index, check: ShardSet::NONE, rewrite: ShardSet::NONE };
        Ok(index.map(task))
    }

    /// Shards that a stripe can still lose, if `suspects` of those at hand are bad.
    pub(super) fn redundancy(&self, run: &StripeRun, index: u32, suspects: i32) -> u8 {
        let survey = survey_stripe(&self.blobs, run, index);
        survey.map_or(0, |survey| (survey.spare - suspects).clamp(0, 255) as u8)
    }

    /// Loads the next rows of degraded writes, when there may be something to do about them.
    async fn take_heal_rows(self: &Arc<Self>) {
        if self.may_heal() {
            self.look(Self::read_heal_rows).await;
        }
    }

    /// Whether a walk over the rows of degraded writes is under way, or begins now.
    fn may_heal(&self) -> bool {
        let rows = self.machine.heal_queue_len();
        let mut heals = self.heals.lock().unwrap_or_else(PoisonError::into_inner);
        if rows == 0 {
            *heals = Heals::default();
            return false;
        }
        if !heals.walking {
            let now = Instant::now();
            let drives: BTreeSet<DriveId> =
                self.blobs.drives().iter().filter(|drive| drive.state().writes()).map(|drive| drive.id()).collect();
            let due = heals.not_before.is_none_or(|at| at <= now);
            if !due || (drives == heals.drives && rows <= heals.rows && !heals.failed) {
                return false;
            }
            *heals = Heals { walking: true, drives, rows, began: Some(now), ..Heals::default() };
        }
        true
    }

    /// Reads rows of degraded writes as long as the queue has room. Blocking.
    fn read_heal_rows(&self) {
        let mut heals = self.heals.lock().unwrap_or_else(PoisonError::into_inner);
        while heals.walking && self.lock_queue().has_room() {
            let page = match self.machine.heal_queue(heals.after, HEAL_PAGE) {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "the shards to be healed cannot be read");
                    heals.walking = false;
                    heals.not_before = Some(Instant::now() + RETRY_AFTER);
                    return;
                }
            };
            heals.after = page.last().map(|(shard, _)| *shard);
            if page.is_empty() {
                let took = heals.began.map_or(Duration::ZERO, |began| began.elapsed());
                heals.walking = false;
                heals.not_before = Some(Instant::now() + (took * HEAL_ROUND_SHARE).max(2 * TICK));
            }
            for (shard, run) in page {
                self.push_heal(shard, run, &heals.drives);
            }
        }
    }

    fn push_heal(&self, shard: MissingShard, run: StripeRun, writable: &BTreeSet<DriveId>) {
        let Some(index) = shard.stripe.index_in_run(run.first) else { return };
        let target = self
            .blobs
            .placement(&run)
            .and_then(|placement| placement.targets(index).get(usize::from(shard.shard_index)).copied());
        if !target.is_some_and(|target| writable.contains(&target)) {
            return;
        }
        let redundancy = self.redundancy(&run, index, 0);
        let task = StripeTask { run, index, check: ShardSet::NONE, rewrite: ShardSet::NONE };
        self.push(Job {
            task,
            redundancy,
            heal: ShardSet::one(shard.shard_index),
            found_by: None,
            tickets: Vec::new(),
        });
    }

    fn take_due(&self, later: &mut Later) {
        let drives = self.blobs.drives();
        let there = drives.iter().map(|drive| (drive.id(), drive.state())).filter(|(_, state)| state.reads());
        for job in later.take_due(Instant::now(), there.map(|(id, state)| (id, state.writes())).collect()) {
            self.push(job);
        }
        self.counts.waiting.store(later.len() as u64, Relaxed);
    }

    /// Mends the most urgent stripes. False when none waits.
    async fn work(&self, engine: &Engine, kept: &mut Kept) -> bool {
        let jobs: Vec<Job> = {
            let mut queue = self.lock_queue();
            let jobs: Vec<Job> = std::iter::from_fn(|| queue.pop()).take(JOBS_AT_ONCE).collect();
            self.counts.in_hand.store(jobs.len() as u64, Relaxed);
            jobs
        };
        if jobs.is_empty() {
            return false;
        }
        let urgent = jobs.iter().any(|job| job.redundancy == 0);
        let cost = jobs.iter().filter(|job| job.redundancy > 0).map(|job| stripe_cost_bytes(&job.task)).sum();
        if !urgent {
            self.throttle.take(cost).await;
            self.blobs.make_room_for_clients().await;
        }
        let mut mending = JoinSet::new();
        for job in jobs {
            let (blobs, machine, id) = (self.blobs.clone(), self.machine.clone(), job.task.id());
            mending.spawn(async move {
                let owned = tokio::task::spawn_blocking(move || machine.run_owner(id)).await;
                let unknown = || Some(Err(StripeError::Away { good: 0, needed: 0, away: 0 }));
                let outcome = match owned {
                    Ok(Ok(Some(_))) => Some(mend_stripe(&blobs, &job.task).await),
                    Ok(Ok(None)) => None,
                    Ok(Err(error)) => {
                        tracing::warn!(error = chain(&error), "the owner of a stripe cannot be looked up");
                        unknown()
                    }
                    Err(error) => {
                        tracing::error!(%error, "the look for the owner of a stripe broke off");
                        unknown()
                    }
                };
                (job, outcome)
            });
        }
        let mut settled = Vec::new();
        while let Some(joined) = mending.join_next().await {
            match joined {
                Ok(done) => settled.push(done),
                Err(error) => tracing::error!(%error, "the repair of a stripe broke off"),
            }
        }
        self.settle(engine, settled, kept).await;
        self.counts.in_hand.store(0, Relaxed);
        true
    }

    async fn settle(
        &self,
        engine: &Engine,
        settled: Vec<(Job, Option<Result<StripeOutcome, StripeError>>)>,
        kept: &mut Kept,
    ) {
        let mut record = Record::default();
        let mut stale = Vec::new();
        let mut retry = Vec::new();
        for (job, outcome) in settled {
            match outcome {
                // Nobody owns it any more: nothing is left to do.
                None => {
                    kept.later.settle(job.task.id());
                    job.tickets.into_iter().for_each(|ticket| ticket.settle(0, 0, 0));
                }
                Some(Ok(outcome)) => {
                    self.note(&job, &outcome, &mut record, kept);
                    stale.extend(outcome.stale.iter().copied());
                    let unmended = !outcome.waiting.is_empty();
                    if !unmended {
                        kept.later.settle(job.task.id());
                    }
                    self.settle_tickets(job, &outcome, unmended, &mut retry);
                }
                Some(Err(StripeError::Lost { good, needed, bad })) => {
                    self.note_lost(&job, (good, needed), &bad, &mut record, kept);
                }
                Some(Err(error)) => {
                    tracing::warn!(stripe = ?job.task.id(), error = chain(&error), "a stripe cannot be mended now");
                    retry.push(job);
                }
            }
        }
        if let Err(error) = record.propose(engine).await {
            // The shards are where they belong. The rows stay, and are cleared by the next round.
            tracing::warn!(error = chain(&error), "a repair is not in the journal");
            self.heals.lock().unwrap_or_else(PoisonError::into_inner).failed = true;
            stale.clear();
        }
        for (drive, key) in stale {
            if let Some(drive) = self.blobs.drive(drive) {
                // Not freed, the walk for orphans finds it.
                drop(drive.free(vec![key]));
            }
        }
        for job in retry {
            if job.heal != ShardSet::NONE {
                self.heals.lock().unwrap_or_else(PoisonError::into_inner).failed = true;
            } else {
                kept.later.push(job, Instant::now());
            }
        }
        self.counts.waiting.store(kept.later.len() as u64, Relaxed);
    }

    fn note(&self, job: &Job, outcome: &StripeOutcome, record: &mut Record, kept: &mut Kept) {
        let stripe = job.task.id();
        record.repaired(outcome.repair(&job.task));
        for shard_index in job.heal.shards().filter(|shard| outcome.present.has(usize::from(*shard))) {
            record.healed(MissingShard { stripe, shard_index });
        }
        if let Some(found_by) = job.found_by {
            for shard in &outcome.repaired {
                let (kind, at) = (kind_of(shard.fault), MissingShard { stripe, shard_index: shard.shard_index });
                record.found((kind, found_by, Some(shard.drive)), shard.bytes.into(), at);
            }
        } else {
            // Whoever queued it did not know of this.
            for shard in outcome.repaired.iter().filter(|shard| shard.fault == ShardFault::Mismatched) {
                let at = MissingShard { stripe, shard_index: shard.shard_index };
                let found = (CorruptionKind::Parity, FoundBy::Repair, Some(shard.drive));
                record.found(found, shard.bytes.into(), at);
            }
        }
        if !outcome.mismatched.is_empty() && kept.lost.len() < LOST_MAX && kept.lost.insert(stripe) {
            tracing::error!(?stripe, shards = ?outcome.mismatched, "shards of a stripe do not belong together, and it is not known which are wrong");
            let found_by = job.found_by.unwrap_or(FoundBy::Repair);
            for shard_index in &outcome.mismatched {
                let at = MissingShard { stripe, shard_index: *shard_index };
                record.found((CorruptionKind::Parity, found_by, None), 0, at);
            }
        }
        self.counts.shards.fetch_add(outcome.repaired.len() as u64, Relaxed);
        let bytes = outcome.repaired.iter().map(|shard| u64::from(shard.bytes)).sum();
        self.counts.bytes.fetch_add(bytes, Relaxed);
    }

    fn settle_tickets(&self, mut job: Job, outcome: &StripeOutcome, unmended: bool, retry: &mut Vec<Job>) {
        for ticket in std::mem::take(&mut job.tickets) {
            let here = outcome.repaired.iter().filter(|shard| ticket.is_for(shard.drive));
            let (repaired, bytes) = (here.clone().count() as u64, here.map(|shard| u64::from(shard.bytes)).sum());
            // A shard that is there without a repair was healed by somebody else meanwhile.
            ticket.settle((outcome.waiting.len() + outcome.mismatched.len()) as u64, repaired, bytes);
        }
        if unmended {
            retry.push(job);
        }
    }

    fn note_lost(&self, job: &Job, (good, needed): (usize, usize), bad: &[u8], record: &mut Record, kept: &mut Kept) {
        let stripe = job.task.id();
        if kept.lost.len() >= LOST_MAX || !kept.lost.insert(stripe) {
            return;
        }
        tracing::error!(
            ?stripe,
            good,
            needed,
            ?bad,
            "a stripe has too few good shards: its object is damaged beyond repair"
        );
        self.counts.lost_stripes.fetch_add(1, Relaxed);
        let found_by = job.found_by.unwrap_or(FoundBy::Repair);
        for shard_index in bad {
            let at = MissingShard { stripe, shard_index: *shard_index };
            record.found((CorruptionKind::StripeLost, found_by, None), 0, at);
        }
    }
}

fn kind_of(fault: ShardFault) -> CorruptionKind {
    match fault {
        ShardFault::Missing => CorruptionKind::ShardMissing,
        ShardFault::Damaged => CorruptionKind::Shard,
        ShardFault::Mismatched => CorruptionKind::Parity,
    }
}
