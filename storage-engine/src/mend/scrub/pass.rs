//! One pass: what it is to check, what it has seen so far, and its end.

use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::Mender;
use super::super::pace::Throttle;
use super::super::queue::Job;
use super::super::stripe::{ShardSet, StripeTask};
use super::super::tally::{Tally, Ticket};
use super::{NOTES_MAX, ScrubReport, ScrubScope};
use crate::drive::Drive;
use crate::engine::Engine;
use crate::error::chain;
use crate::ids::{DriveId, StripeId};
use crate::namespace::command::{MissingShard, Op};
use crate::namespace::integrity::{
    CORRUPTION_SHARDS_MAX, Corruption, CorruptionKind, FileRepair, FoundBy, PLACE_BYTES_MAX, ScrubPass,
};

/// How often waiters look again.
const POLL: Duration = Duration::from_millis(20);
/// How long one read of a pass makes room for clients on its drive, and in which steps.
const YIELD_MAX: Duration = Duration::from_millis(100);
const YIELD_STEP: Duration = Duration::from_millis(2);
/// A paced pass looks this often whether it is to stop.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// How fast a pass goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speed {
    /// As fast as clients leave room.
    Full,
    /// Bytes a second on each drive.
    Paced(u64),
}

/// One pass of scrub.
pub(crate) struct Pass {
    pub(super) mender: Arc<Mender>,
    engine: Weak<Engine>,
    pub(super) scope: ScrubScope,
    pub(super) speed: Speed,
    report: Mutex<ScrubReport>,
    tally: Arc<Tally>,
    /// Some of the scope was not checked.
    partial: AtomicBool,
}

impl Pass {
    pub(super) fn new(mender: Arc<Mender>, engine: &Arc<Engine>, scope: ScrubScope, speed: Speed) -> Arc<Self> {
        let began_us = engine.env().clock.now_us();
        let report = ScrubReport { id: began_us, scope: scope.word().to_owned(), began_us, ..ScrubReport::default() };
        Arc::new(Self {
            mender,
            engine: Arc::downgrade(engine),
            scope,
            speed,
            report: Mutex::new(report),
            tally: Arc::default(),
            partial: AtomicBool::new(false),
        })
    }

    pub(super) fn id(&self) -> u64 {
        self.lock().id
    }

    pub(super) fn began_us(&self) -> u64 {
        self.lock().began_us
    }

    /// What it has seen so far.
    pub(super) fn report(&self) -> ScrubReport {
        let mut report = self.lock().clone();
        let tallied = self.tally.now();
        report.repaired += tallied.repaired;
        report.repaired_bytes += tallied.bytes;
        report.unrepaired += tallied.failed;
        report
    }

    /// Checks all of its scope, waits for the repairs, and puts the end on record.
    pub(super) async fn run(self: &Arc<Self>) -> ScrubReport {
        self.to_its_end(self.check_scope()).await
    }

    /// The report of `work`; if that panics, what this pass has seen so far, as one that failed: no drive counts as
    /// checked by it.
    pub(super) async fn to_its_end(&self, work: impl Future<Output = ScrubReport>) -> ScrubReport {
        let mut work = pin!(work);
        let watched = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            // Not polled again. Locks that it held are taken over, as everywhere.
            Err(_panic) => Poll::Ready(None),
        });
        if let Some(report) = watched.await {
            return report;
        }
        tracing::error!(scope = self.scope.word(), "a pass of scrub broke off: this is a bug");
        self.unmended("the pass broke off, for a bug: what it did not reach was not checked".to_owned());
        self.leave_out();
        self.end(Vec::new()).await
    }

    /// The same, but for a panic in a check.
    pub(super) async fn check_scope(self: &Arc<Self>) -> ScrubReport {
        let whole = match self.scope.clone() {
            // The index first: all else asks it.
            ScrubScope::All => {
                self.index().await;
                let drives = self.drives(self.mender.blobs.drives()).await;
                self.mirrors(None).await;
                self.runs(None).await;
                drives
            }
            ScrubScope::Drive(id) => {
                let drives = self.drives(self.mender.blobs.drive(id).into_iter().collect()).await;
                self.mirrors(Some(id)).await;
                self.runs(Some(id)).await;
                drives
            }
            ScrubScope::Index => {
                self.index().await;
                self.mirrors(None).await;
                self.runs(None).await;
                Vec::new()
            }
            ScrubScope::Bucket(bucket) => self.objects(bucket, None).await,
            ScrubScope::Object(bucket, key) => self.objects(bucket, Some(key)).await,
        };
        while !self.tally.is_settled() && !self.is_stopped() {
            if !self.engine().is_some_and(|engine| engine.takes_commands()) {
                self.unmended("the server takes no writes until it is restarted: repairs wait for that".to_owned());
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        self.end(whole).await
    }

    /// Checks drives, all at once; answers those that were checked whole.
    async fn drives(self: &Arc<Self>, drives: Vec<Arc<Drive>>) -> Vec<DriveId> {
        let mut checking = JoinSet::new();
        for drive in drives {
            let pass = self.clone();
            checking.spawn(async move {
                let whole = pass.drive(&drive).await;
                (drive.id(), whole)
            });
        }
        let (mut whole, asked) = (Vec::new(), checking.len());
        while let Some(checked) = checking.join_next().await {
            match checked {
                Ok((id, true)) => whole.push(id),
                Ok((_, false)) => {}
                Err(error) => self.unmended(format!("the check of a drive broke off: {}", chain(&error))),
            }
        }
        // One that was asked for and is not there was not checked either.
        if whole.len() < asked.max(1) {
            self.leave_out();
        }
        whole.sort();
        whole
    }

    /// Puts the end on record.
    async fn end(&self, drives: Vec<DriveId>) -> ScrubReport {
        let Some(engine) = self.engine.upgrade() else { return self.report() };
        let mut report = self.report();
        report.ended_us = engine.env().clock.now_us().max(report.began_us);
        if self.is_stopped() {
            return report;
        }
        report.complete = !self.partial.load(Relaxed);
        self.mender.note_ended(&report, &self.scope, &drives);
        let pass = ScrubPass {
            scope: report.scope.clone(),
            began_us: report.began_us,
            ended_us: report.ended_us,
            drives,
            checked: report.checked,
            found: report.found.iter().map(|(kind, count)| (*kind, *count)).collect(),
            repaired: report.repaired,
            repaired_bytes: report.repaired_bytes,
            unrepaired: report.unrepaired,
            complete: report.complete,
        };
        if let Err(error) = engine.record(Op::RecordScrub(Box::new(pass))).await {
            report.notes.push(format!("the end of the pass is not in the journal: {}", chain(&error)));
        }
        report
    }

    /// Counts a finding and puts it on record.
    pub(super) async fn found(
        &self,
        kind: CorruptionKind,
        drive: Option<DriveId>,
        place: &str,
        (count, bytes): (u64, u64),
        shards: &[MissingShard],
    ) {
        tracing::warn!(kind = kind.word(), ?drive, place, count, bytes, "scrub found damage");
        *self.lock().found.entry(kind).or_default() += count;
        *self.mender.lock_scrub().found.entry(kind).or_default() += count;
        let place = place.get(..PLACE_BYTES_MAX).unwrap_or(place).to_owned();
        let chunks = shards.chunks(CORRUPTION_SHARDS_MAX);
        let listed: Vec<&[MissingShard]> = if shards.is_empty() { vec![&[]] } else { chunks.collect() };
        let leaves = listed.len() as u64;
        for shards in listed {
            // Each leaf of a long list speaks of its own part.
            let count = if leaves > 1 { shards.len() as u64 } else { count };
            let found = Corruption {
                kind,
                found_by: FoundBy::Scrub,
                drive,
                place: place.clone(),
                count,
                bytes: bytes / leaves,
                shards: shards.to_vec(),
            };
            self.record(Op::RecordCorruption(Box::new(found))).await;
        }
    }

    /// Puts a command of this pass on record.
    pub(super) async fn record(&self, op: Op) {
        let Some(engine) = self.engine.upgrade() else { return };
        if let Err(error) = engine.record(op).await {
            self.note(format!("a finding is not in the journal: {}", chain(&error)));
        }
    }

    /// Counts files that were written again and puts them on record.
    pub(super) async fn mended(&self, files: Vec<FileRepair>) {
        let Some(engine) = self.engine.upgrade() else { return };
        {
            let mut report = self.lock();
            report.repaired += files.len() as u64;
            report.repaired_bytes += files.iter().map(|file| file.bytes).sum::<u64>();
        }
        if let Err(error) = self.mender.record_files(&engine, &files).await {
            self.note(format!("a repair is not in the journal: {}", chain(&error)));
        }
    }

    /// Something stays as it is.
    pub(super) fn unmended(&self, note: String) {
        self.lock().unrepaired += 1;
        self.note(note);
    }

    /// Something of the scope was not checked, and why.
    pub(super) fn unchecked(&self, note: String) {
        self.leave_out();
        self.note(note);
    }

    /// Something of the scope was not checked: the pass is not complete.
    pub(super) fn leave_out(&self) {
        self.partial.store(true, Relaxed);
    }

    pub(super) fn note(&self, note: String) {
        tracing::warn!(note, "scrub");
        let mut report = self.lock();
        if report.notes.len() < NOTES_MAX {
            report.notes.push(note);
        }
    }

    pub(super) fn count(&self, add: impl FnOnce(&mut crate::namespace::integrity::ScrubCounts)) {
        add(&mut self.lock().checked);
    }

    pub(super) fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.upgrade()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.mender.is_stopped()
    }

    /// Hands a stripe to the mender, waiting for room in its queue.
    pub(super) async fn push(
        &self,
        task: StripeTask,
        spare: i32,
        found_by: Option<FoundBy>,
        expect: (Option<DriveId>, u64),
    ) {
        while !self.mender.lock_queue().has_room() && !self.is_stopped() {
            tokio::time::sleep(POLL).await;
        }
        let tickets = vec![Ticket::new(&self.tally, expect.0, expect.1)];
        let redundancy = spare.clamp(0, 255) as u8;
        self.mender.push(Job { task, redundancy, heal: ShardSet::NONE, found_by, tickets });
        self.mender.wake.notify_one();
    }

    /// Hands shards of one drive to the mender, to be written again. Those that nobody owns are left out:
    /// answers the others.
    pub(super) async fn push_shards(&self, drive: DriveId, shards: Vec<(StripeId, u8)>) -> Vec<MissingShard> {
        let mender = self.mender.clone();
        let looked = self.blocking(move || {
            let look = |(stripe, shard)| {
                let task = mender.task_for(stripe);
                let spare = |task: StripeTask| (i32::from(mender.redundancy(&task.run, task.index, 1)), task);
                (stripe, shard, task.map(|task| task.map(spare)))
            };
            shards.into_iter().map(look).collect::<Vec<_>>()
        });
        let mut owned = Vec::new();
        for (stripe, shard, task) in looked.await.unwrap_or_default() {
            match task {
                Ok(Some((spare, task))) => {
                    let set = ShardSet::one(shard);
                    let task = StripeTask { check: set, rewrite: set, ..task };
                    self.push(task, spare, None, (Some(drive), 1)).await;
                    owned.push(MissingShard { stripe, shard_index: shard });
                }
                Ok(None) => {}
                Err(error) => self.unmended(format!("the owner of a stripe cannot be looked up: {}", chain(&error))),
            }
        }
        owned
    }

    /// The outcome of a blocking part. One that panicked has none, and counts as something that is not mended.
    pub(super) async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => Some(done),
            Err(error) => {
                self.leave_out();
                self.unmended(format!("a part of the pass broke off, for a bug: {}", chain(&error)));
                None
            }
        }
    }

    /// What a blocking part of the pass tells of the bytes that it reads on a drive.
    pub(super) fn pacer(&self, drive: Option<Arc<Drive>>) -> impl FnMut(u64) -> ControlFlow<()> + Send + 'static {
        let mender = self.mender.clone();
        let rate = match self.speed {
            Speed::Full => 0,
            Speed::Paced(bytes_per_s) => bytes_per_s.max(1),
        };
        let throttle = Throttle::new(rate);
        move |bytes| {
            let mut wait = throttle.book(bytes, Instant::now());
            while !wait.is_zero() && !mender.is_stopped() {
                let step = wait.min(SLEEP_MAX);
                std::thread::sleep(step);
                wait -= step;
            }
            let began = Instant::now();
            while drive.as_ref().is_some_and(|drive| drive.is_busy()) && began.elapsed() < YIELD_MAX {
                std::thread::sleep(YIELD_STEP);
            }
            if mender.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    fn lock(&self) -> MutexGuard<'_, ScrubReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
