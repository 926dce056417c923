//! Scrub in the background: every drive within the period, one after its own pace.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::Mender;
use super::ScrubScope;
use super::pass::{Pass, Speed};
use crate::drive::Drive;
use crate::engine::Engine;
use crate::error::chain;
use crate::ids::DriveId;

/// How often there is a look for what is due.
const TICK: Duration = Duration::from_secs(30);
/// After a start, clients come first.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// What is not data is checked this often, or once a period if that is less.
const INDEX_EVERY_S: u64 = 24 * 3600;
/// No pass is slower: a small store is not worth days.
const BYTES_PER_S_MIN: u64 = 1 << 20;
/// How fast the index, the log and the checkpoints are read.
const INDEX_BYTES_PER_S: u64 = 64 << 20;
/// Of a period, a drive rests this share after a pass and is read in three quarters of it: the rest is slack, for
/// what a stop takes.
const REST_SHARE: u64 = 8;

/// Runs until the engine is gone. While it waits it keeps neither engine nor drives open.
pub(in super::super) async fn run(mender: Weak<Mender>, engine: Weak<Engine>) {
    let mut index_due = Instant::now() + FIRST_AFTER;
    let drives_due = index_due;
    let mut was_suspected = false;
    let Some(index_damaged) = mender.upgrade().map(|mender| mender.index_damaged.clone()) else { return };
    loop {
        tokio::select! {
            () = sleep(TICK) => {}
            () = index_damaged.notified() => {}
        }
        let Some(mender) = mender.upgrade().filter(|mender| !mender.is_stopped()) else { return };
        let period_s = mender.scrub_period_s.load(Relaxed);
        let Some(strong) = engine.upgrade() else { return };
        let now = Instant::now();
        if period_s > 0 && now >= drives_due {
            begin_due_drives(&mender, &strong, period_s);
        }
        // Once for each suspicion: what cannot be mended now waits for the next start.
        let suspected = strong.index_is_suspected();
        let newly = suspected && !std::mem::replace(&mut was_suspected, suspected);
        let again = {
            let state = mender.lock_scrub();
            state.failing.has(None) && state.failing.may_try(None, strong.env().clock.now_us())
        };
        if newly || (period_s > 0 && (again || now >= index_due)) {
            index_due = now + Duration::from_secs(INDEX_EVERY_S.min(period_s.max(1)));
            let pass = Pass::new(mender.clone(), &strong, ScrubScope::Index, Speed::Paced(INDEX_BYTES_PER_S));
            drop(strong);
            pass.run().await;
            was_suspected = engine.upgrade().is_some_and(|engine| engine.index_is_suspected());
        }
    }
}

/// Begins a pass on each drive whose last one is long enough ago.
fn begin_due_drives(mender: &Arc<Mender>, engine: &Arc<Engine>, period_s: u64) {
    let marks = match mender.machine.scrub_marks() {
        Ok(marks) => marks,
        Err(error) => return tracing::warn!(error = chain(&error), "when drives were scrubbed cannot be read"),
    };
    let now_us = engine.env().clock.now_us();
    let drives = mender.blobs.drives();
    mender.lock_scrub().failing.retain(|id| drives.iter().any(|drive| drive.id() == id));
    for drive in drives {
        let ended_us = marks.get(&drive.id()).map_or(0, |mark| mark.ended_us);
        let rested = now_us.saturating_sub(ended_us) / 1_000_000 >= period_s / REST_SHARE;
        if drive.state().reads() && mender.claim(drive.id(), rested, now_us) {
            begin(mender, engine, &drive, period_s);
        }
    }
}

impl Mender {
    /// Takes a drive for a pass in the background, if it is due: it has rested long enough, or its last pass failed
    /// and is to be tried again now.
    pub(super) fn claim(&self, drive: DriveId, rested: bool, now_us: u64) -> bool {
        let mut state = self.lock_scrub();
        let due = (rested || state.failing.has(Some(drive))) && state.failing.may_try(Some(drive), now_us);
        let claimed = due && !state.on_drives.contains(&drive);
        if claimed {
            state.on_drives.push(drive);
        }
        claimed
    }
}

fn begin(mender: &Arc<Mender>, engine: &Arc<Engine>, drive: &Arc<Drive>, period_s: u64) {
    let used = drive.status().stored_bytes;
    let speed = Speed::Paced((used / (period_s * 3 / 4).max(1)).max(BYTES_PER_S_MIN));
    let pass = Pass::new(mender.clone(), engine, ScrubScope::Drive(drive.id()), speed);
    let (mender, id) = (mender.clone(), drive.id());
    mender.clone().spawn(async move {
        let report = pass.run().await;
        tracing::info!(drive = %id, records = report.checked.records, found = report.found.len(), "drive scrubbed");
        mender.lock_scrub().on_drives.retain(|other| *other != id);
    });
}
