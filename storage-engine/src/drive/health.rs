//! Whether a drive takes writes and reads, and why not.

use std::sync::{Mutex, PoisonError};

use super::DriveCore;
use super::error::DriveError;
use crate::ids::DriveId;

/// Failed writes or syncs after which a drive takes no more writes.
pub(super) const WRITE_ERRORS_MAX: u64 = 2;

/// What a drive is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriveState {
    /// Reads and writes.
    Online,
    /// Reads only: writes failed twice.
    ReadOnly,
    /// Nothing: its directory is gone, or it does not answer.
    Failed,
}

impl DriveState {
    /// Whether shards may be written to it.
    pub fn writes(self) -> bool {
        self == Self::Online
    }

    /// Whether shards may be read from it.
    pub fn reads(self) -> bool {
        self != Self::Failed
    }

    /// Whether its queues are served.
    pub(super) fn takes_jobs(self) -> bool {
        self.reads()
    }

    /// One word for status and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
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
    /// Failed writes and syncs since the start.
    pub write_errors: u64,
    /// Failed reads since the start.
    pub read_errors: u64,
    /// Cells that did not match their checksum since the start.
    pub crc_failures: u64,
}

/// The state of a drive, behind its own lock.
pub(super) struct Health(Mutex<(DriveState, Option<String>)>);

impl Default for Health {
    fn default() -> Self {
        Self(Mutex::new((DriveState::Online, None)))
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

    /// True if this call changed it.
    pub(super) fn make_read_only(&self, reason: &str) -> bool {
        let mut health = self.lock();
        if health.0 != DriveState::Online {
            return false;
        }
        *health = (DriveState::ReadOnly, Some(format!("{reason} failed {WRITE_ERRORS_MAX} times")));
        true
    }

    /// The error of a drive that cannot do what was asked in its present state.
    pub(super) fn offline(&self) -> DriveError {
        match &*self.lock() {
            (DriveState::Online, _) => DriveError::Busy,
            (DriveState::ReadOnly, reason) => DriveError::ReadOnly { reason: reason.clone().unwrap_or_default() },
            (DriveState::Failed, reason) => DriveError::Offline { reason: reason.clone().unwrap_or_default() },
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (DriveState, Option<String>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DriveCore {
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
            write_errors: self.counts.write_errors(),
            read_errors: self.counts.read_errors(),
            crc_failures: self.counts.crc_failures(),
        }
    }
}
