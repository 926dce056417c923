//! Whether a drive takes writes and reads, and why not.

use std::io;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::error::DriveError;
use super::{Drive, DriveCore};
use crate::ids::DriveId;
use crate::sync::{Mutex, MutexGuard};

/// Failed writes or syncs after which a drive takes no more writes.
const WRITE_ERRORS_MAX: u64 = 2;

/// So many late answers in so many microseconds make a drive slow, and for how long it is spared then.
const LATE_MAX: usize = 5;
const LATE_WINDOW_US: u64 = 60 * 1_000_000;
const SPARED_US: u64 = 60 * 1_000_000;
/// Back from that, so many late answers make it slow again, each time for twice as long, up to this; one that has been
/// in time for as long as it was spared last begins anew.
const LATE_AGAIN_MAX: usize = 2;
const SPARED_MAX_US: u64 = 60 * 60 * 1_000_000;

/// What a drive is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriveState {
    /// Reads and writes.
    Online,
    /// Asked last, for a while, to read and to write: its answers to writes come much later than those of other drives.
    Slow,
    /// Reads only: writes failed twice.
    ReadOnly,
    /// Nothing: its directory is gone, or it does not answer.
    Failed,
}

impl DriveState {
    /// Whether shards are written to it; to one that is slow only where the others are not enough.
    pub fn writes(self) -> bool {
        self == Self::Online
    }

    /// Whether shards may be read from it.
    pub fn reads(self) -> bool {
        self != Self::Failed
    }

    /// Whether a record that is asked for is written: by one that is slow too.
    pub(super) fn takes_appends(self) -> bool {
        matches!(self, Self::Online | Self::Slow)
    }

    /// Whether its queues are served.
    pub(super) fn takes_jobs(self) -> bool {
        self.reads()
    }

    /// One word for status and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Slow => "slow",
            Self::ReadOnly => "read-only",
            Self::Failed => "failed",
        }
    }
}

/// One drive as status shows it.
#[derive(Debug, Clone)]
pub struct DriveStatus {
    /// Its id.
    pub id: DriveId,
    /// Its directory.
    pub path: String,
    /// What it is good for.
    pub state: DriveState,
    /// Why it is not online.
    pub reason: Option<String>,
    /// Bytes that can still be allocated; `None` if it does not say.
    pub free_bytes: Option<u64>,
    /// Bytes of records in segments, dead ones included.
    pub stored_bytes: u64,
    /// Bytes of records whose stripe was freed.
    pub dead_bytes: u64,
    /// Segments that hold records.
    pub segments: u64,
    /// Segments that cannot be compacted until a damaged record of theirs is rebuilt.
    pub blocked_segments: u64,
    /// Failed writes and syncs since the start.
    pub write_errors: u64,
    /// Failed reads since the start.
    pub read_errors: u64,
    /// Cells that did not match their checksum since the start.
    pub crc_failures: u64,
    /// Readers ask other drives first.
    pub spared: bool,
    /// Within this many microseconds 95 of 100 reads from the disk were answered lately, if it is known.
    pub read_p95_us: Option<u64>,
    /// Within this many microseconds 99 of 100 durable writes were answered lately, if it is known.
    pub write_p99_us: Option<u64>,
}

/// The state of a drive, behind its own locks.
pub(super) struct Health {
    state: Mutex<(DriveState, Option<String>)>,
    late: Mutex<Late>,
    late_reads: Mutex<Late>,
    /// Readers ask other drives first.
    spared_in_reads: AtomicBool,
}

/// Late answers of the last while, in microseconds, and until when the drive is spared.
#[derive(Default)]
struct Late {
    at_us: Vec<u64>,
    spared_until_us: u64,
    /// How long it was spared last; 0 if never, or long ago.
    spared_us: u64,
}

impl Late {
    /// Counts a late answer. True if that makes too many.
    fn note(&mut self, now_us: u64) -> bool {
        self.at_us.retain(|at| at.saturating_add(LATE_WINDOW_US) > now_us);
        if now_us > self.spared_until_us.saturating_add(self.spared_us) {
            self.spared_us = 0;
        }
        if self.at_us.len() < LATE_MAX {
            self.at_us.push(now_us);
        }
        self.at_us.len() >= if self.spared_us == 0 { LATE_MAX } else { LATE_AGAIN_MAX }
    }

    fn spare(&mut self, now_us: u64) {
        self.at_us.clear();
        self.spared_us =
            if self.spared_us == 0 { SPARED_US } else { self.spared_us.saturating_mul(2).min(SPARED_MAX_US) };
        self.spared_until_us = now_us.saturating_add(self.spared_us);
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            state: Mutex::new((DriveState::Online, None)),
            late: Mutex::default(),
            late_reads: Mutex::default(),
            spared_in_reads: AtomicBool::new(false),
        }
    }
}

impl Health {
    pub(super) fn state(&self) -> DriveState {
        self.lock().0
    }

    pub(super) fn reason(&self) -> Option<String> {
        self.lock().1.clone()
    }

    /// True if this call changed it.
    pub(super) fn fail(&self, reason: &str) -> bool {
        let mut health = self.lock();
        if health.0 == DriveState::Failed {
            return false;
        }
        *health = (DriveState::Failed, Some(reason.to_owned()));
        true
    }

    /// Counts an answer that came late while other drives answered in time. True if the drive is slow from now on.
    pub(super) fn note_late(&self, now_us: u64) -> bool {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = late.note(now_us);
        let mut health = self.lock();
        if !enough || health.0 != DriveState::Online {
            return false;
        }
        late.spare(now_us);
        *health = (DriveState::Slow, Some(format!("{LATE_MAX} late answers within a minute")));
        true
    }

    /// Counts a read that came late while other drives answered in time. True if the drive is asked last from now on.
    pub(super) fn note_late_read(&self, now_us: u64) -> bool {
        let mut late = self.late_reads.lock().unwrap_or_else(PoisonError::into_inner);
        if !late.note(now_us) {
            return false;
        }
        late.spare(now_us);
        !self.spared_in_reads.swap(true, Relaxed)
    }

    pub(super) fn is_spared_in_reads(&self) -> bool {
        self.spared_in_reads.load(Relaxed)
    }

    /// Has a drive that read slowly asked like the others again when its time has come.
    pub(super) fn forgive_reads(&self, now_us: u64) {
        if self.is_spared_in_reads() {
            let late = self.late_reads.lock().unwrap_or_else(PoisonError::into_inner);
            if now_us >= late.spared_until_us {
                self.spared_in_reads.store(false, Relaxed);
            }
        }
    }

    /// Gives a slow drive another chance when its time has come. True if this call did.
    pub(super) fn forgive(&self, now_us: u64) -> bool {
        let late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let mut health = self.lock();
        let due = health.0 == DriveState::Slow && now_us >= late.spared_until_us;
        if due {
            *health = (DriveState::Online, None);
        }
        due
    }

    /// True if this call changed it.
    pub(super) fn make_read_only(&self, reason: &str) -> bool {
        let mut health = self.lock();
        if !matches!(health.0, DriveState::Online | DriveState::Slow) {
            return false;
        }
        *health = (DriveState::ReadOnly, Some(format!("{reason} failed {WRITE_ERRORS_MAX} times")));
        true
    }

    /// The error of a drive that cannot do what was asked in its present state.
    pub(super) fn offline(&self) -> DriveError {
        match &*self.lock() {
            (DriveState::Online | DriveState::Slow, _) => DriveError::Busy,
            (DriveState::ReadOnly, reason) => DriveError::ReadOnly { reason: reason.clone().unwrap_or_default() },
            (DriveState::Failed, reason) => DriveError::Offline { reason: reason.clone().unwrap_or_default() },
        }
    }

    fn lock(&self) -> MutexGuard<'_, (DriveState, Option<String>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drive {
    /// Whether it takes writes and reads.
    pub fn state(&self) -> DriveState {
        self.core.health.state()
    }

    /// Whether the drive is to give up what it holds: nothing new is begun on it, the log's mirror moves.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    /// Whether it failed because its directory went away: when that is back the drive can be opened again.
    pub fn was_gone(&self) -> bool {
        self.state() == DriveState::Failed && self.core.gone.load(Relaxed)
    }

    /// Says whether the drive is to give up what it holds.
    pub fn set_leaving(&self, leaving: bool) {
        self.leaving.store(leaving, Relaxed);
    }

    /// Counts an answer that came late while other drives answered in time; several in a short time make the
    /// drive slow: it takes no writes for a while.
    pub fn note_late(&self) {
        if self.core.health.note_late(self.core.env.clock.now_us()) {
            tracing::warn!(drive = %self.id(), path = %self.core.io.label(), "drive is slow beyond its peers: it takes no writes for a while");
        }
    }

    /// Counts a read that came late while other drives answered in time; several in a short time make readers
    /// ask this drive last, for a while.
    pub fn note_late_read(&self) {
        if self.core.health.note_late_read(self.core.env.clock.now_us()) {
            tracing::warn!(drive = %self.id(), path = %self.core.io.label(), "drive reads slowly beyond its peers: it is asked last for a while");
        }
    }

    /// Whether readers ask other drives first: it is slow beyond its peers.
    pub fn is_spared(&self) -> bool {
        self.core.health.is_spared_in_reads() || self.state() == DriveState::Slow
    }

    /// The time within which 95 of 100 reads from the disk were answered lately, in microseconds.
    pub fn read_p95_us(&self) -> Option<u64> {
        self.core.read_latency.percentile_us(95)
    }

    /// The time within which 99 of 100 durable writes were answered lately, in microseconds.
    pub fn write_p99_us(&self) -> Option<u64> {
        self.core.write_latency.percentile_us(99)
    }

    /// Counts a failed write or sync outside of the segments; the second one makes the drive read-only.
    pub fn note_write_error(&self, what: &str, error: &io::Error) {
        self.core.note_write_error(what, error);
    }

    /// Takes the drive out of service: queued work fails, nothing is sent to it any more.
    pub fn fail(&self, reason: &str) {
        self.core.fail(reason);
    }

    /// Looks whether the directory is still there, and fails the drive if not. No disk access.
    ///
    /// A drive that was slow gets another chance when its time has come.
    pub fn check(&self) -> bool {
        self.core.health.forgive_reads(self.core.env.clock.now_us());
        if self.state() == DriveState::Slow && self.core.health.forgive(self.core.env.clock.now_us()) {
            tracing::info!(drive = %self.id(), "slow drive takes writes again");
        }
        self.core.check_alive().is_ok()
    }

    /// State, space and error counts.
    pub fn status(&self) -> DriveStatus {
        self.core.status()
    }
}

impl DriveCore {
    pub(super) fn fail(&self, reason: &str) {
        if self.health.fail(reason) {
            tracing::error!(drive = %self.id, path = %self.io.label(), reason, "drive taken out of service");
        }
        for job in self.jobs.purge() {
            job.refuse(&self.health);
        }
        for job in self.syncs.purge() {
            job.refuse(&self.health);
        }
        self.reads.purge();
        self.compactions.purge();
    }

    pub(super) fn check_alive(&self) -> Result<(), DriveError> {
        self.io.check_alive().map_err(|error| {
            self.gone.store(true, Relaxed);
            self.fail(&format!("the directory is gone: {error}"));
            self.health.offline()
        })
    }

    /// Counts a failed write or sync; the second one makes the drive read-only.
    pub(super) fn note_write_error(&self, what: &str, error: &io::Error) {
        self.counts.add_write_error();
        tracing::error!(drive = %self.id, path = %self.io.label(), %error, "{what} failed");
        if self.counts.write_errors() >= WRITE_ERRORS_MAX && self.health.make_read_only(what) {
            tracing::error!(drive = %self.id, path = %self.io.label(), "drive is read-only from now on");
        }
    }

    pub(super) fn status(&self) -> DriveStatus {
        let usage = self.segments.usage();
        DriveStatus {
            id: self.id,
            path: self.io.label(),
            state: self.health.state(),
            reason: self.health.reason(),
            free_bytes: self.io.free_bytes().ok(),
            stored_bytes: usage.stored_bytes,
            dead_bytes: usage.dead_bytes,
            segments: self.segments.count(),
            blocked_segments: self.lock_blocked().len() as u64,
            write_errors: self.counts.write_errors(),
            read_errors: self.counts.read_errors(),
            crc_failures: self.counts.crc_failures(),
            spared: self.health.is_spared_in_reads(),
            read_p95_us: self.read_latency.percentile_us(95),
            write_p99_us: self.write_latency.percentile_us(99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_that_reads_late_is_spared_for_a_while_and_no_longer() {
        let health = Health::default();
        let minute = 60 * 1_000_000;
        // Late now and then is no reason.
        for n in 0..20 {
            assert!(!health.note_late_read(n * minute));
        }
        let now = 100 * minute;
        assert!((0..4).all(|n| !health.note_late_read(now + n)));
        assert!(health.note_late_read(now + 4));
        assert!(health.is_spared_in_reads() && health.state() == DriveState::Online);
        health.forgive_reads(now + minute / 2);
        assert!(health.is_spared_in_reads());
        health.forgive_reads(now + 2 * minute);
        assert!(!health.is_spared_in_reads());
    }

    #[test]
    fn one_that_is_slow_again_is_spared_for_twice_as_long_and_found_out_sooner() {
        let (mut late, minute) = (Late::default(), 60 * 1_000_000);
        let mut now = 100 * minute;
        let mut spells = Vec::new();
        for _ in 0..9 {
            let mut answers = 1;
            while !late.note(now) {
                (now, answers) = (now + 1, answers + 1);
            }
            late.spare(now);
            spells.push((answers, (late.spared_until_us - now) / minute));
            now = late.spared_until_us;
        }
        assert_eq!(spells, [(5, 1), (2, 2), (2, 4), (2, 8), (2, 16), (2, 32), (2, 60), (2, 60), (2, 60)]);
        now += 61 * minute;
        assert!((0..4).all(|n| !late.note(now + n)) && late.note(now + 4), "it was in time for an hour");
    }
}
