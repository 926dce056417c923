//! What the log keeps of a drive's health: that it failed, or takes no more writes, and that it is back.

use serde::{Deserialize, Serialize};

/// Longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 256;

/// What a drive is good for, as the log knows it. One that is only slow is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriveHealth {
    /// It reads and writes.
    Online,
    /// It reads; its writes failed.
    ReadOnly,
    /// It is not there, or does not answer.
    Failed,
}

impl DriveHealth {
    /// One word for leaves.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::ReadOnly => "read-only",
            Self::Failed => "failed",
        }
    }
}

/// The health of a drive, since when, and why. A drive without such a row was never seen to fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveHealthRow {
    /// What it is good for.
    pub health: DriveHealth,
    /// Since when, in microseconds of the Unix epoch.
    pub since_us: u64,
    /// Why it is not online, at most [`REASON_BYTES_MAX`] bytes; empty when it is.
    pub reason: String,
}
