//! The admin API's JSON, shared by the server and by `chartrier admin`.
//!
//! Field names are a contract (docs/admin.md): fields may be added, none renamed or removed.

mod drives;
mod status;
mod upkeep;
mod users;

use serde::{Deserialize, Serialize};

pub use drives::{Drive, Drives, Moves, NewDrive};
pub use status::{
    JournalStatus, LogStatus, PackStatus, ReclaimStatus, RepairStatus, ScrubFailing, ScrubSummary, Status,
};
pub use upkeep::{Aborted, NewScrub, Reclaimed, ScrubBegun, ScrubReport, ScrubState, Upload, Uploads};
pub use users::{
    AccessKey, Account, Bucket, CreatedKey, CreatedUser, KeyChange, NewKey, NewUser, Quota, Removed, User, Users,
};

/// The prefix of every admin path.
pub const API_PREFIX: &str = "/chartrier/v1";

/// One target of `GET /events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTarget {
    /// Its name, the last part of its ARNs.
    pub name: String,
    /// Whether the configuration names it; without, its events wait.
    pub configured: bool,
    /// Events that wait.
    pub pending: u64,
    /// Bytes of their rows.
    pub pending_bytes: u64,
    /// Events that were never told, because the queue was full or they were discarded.
    pub dropped: u64,
    /// Events told since the server's start.
    pub delivered: u64,
    /// Attempts that failed since the server's start.
    pub failures: u64,
    /// Why the last attempt failed, if it did.
    pub trouble: Option<String>,
}

/// What `GET /events` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTargets {
    /// By name.
    pub targets: Vec<EventTarget>,
}

/// What `DELETE /events/{target}` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsDiscarded {
    /// The target.
    pub target: String,
    /// Events that it will never be told.
    pub discarded: u64,
}

/// What every error answers, beside its HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// A stable code and a message a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// `NoSuchUser`, `UserExists`, …
    pub code: String,
    /// In English.
    pub message: String,
}

/// What `GET /journal/cycle/proof` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The `.tlog-proof`, whole.
    pub proof: String,
    /// The leaf that it proves, byte for byte: canonical JSON.
    pub entry: String,
    /// Its index in the log.
    pub index: u64,
}

/// What an export of a journal answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalExport {
    /// The log's origin.
    pub origin: String,
    /// Leaves exported.
    pub leaves: u64,
}
