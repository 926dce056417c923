//! The admin API's JSON, shared by the server and by `chartrier admin`.
//!
//! Field names are a contract (docs/admin.md): fields may be added, none renamed or removed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The prefix of every admin path.
pub const API_PREFIX: &str = "/chartrier/v1";

/// `POST /users`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Unique in the tenant.
    pub name: String,
    /// Shown in S3 answers; the name when absent.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Empty when absent.
    #[serde(default)]
    pub email: Option<String>,
}

/// What `POST /users` answers: the only time that the secret is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedUser {
    /// As asked for.
    pub name: String,
    /// Canonical owner id that S3 answers show.
    pub user_id: String,
    /// As asked for, or the name.
    pub display_name: String,
    /// As asked for, or empty.
    pub email: String,
    /// The public half of the first access key.
    pub access_key_id: String,
    /// The secret half; it cannot be read again.
    pub secret_access_key: String,
}

/// What `POST /users/{name}/keys` answers: the only time that the secret is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedKey {
    /// The user's name.
    pub name: String,
    /// The public half.
    pub access_key_id: String,
    /// The secret half; it cannot be read again.
    pub secret_access_key: String,
}

/// One user, as `GET /users` lists it: no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Unique in the tenant.
    pub name: String,
    /// Canonical owner id.
    pub user_id: String,
    /// Shown in S3 answers.
    pub display_name: String,
    /// May be empty.
    pub email: String,
    /// True for the first administrator.
    pub root: bool,
    /// RFC 3339, UTC.
    pub created: String,
    /// Public halves of the user's keys.
    pub access_key_ids: Vec<String>,
    /// The same keys, and whether they sign.
    #[serde(default)]
    pub access_keys: Vec<AccessKey>,
}

/// One access key of a user: no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// The public half.
    pub access_key_id: String,
    /// RFC 3339, UTC.
    pub created: String,
    /// Requests that it signs are refused.
    pub disabled: bool,
    /// RFC 3339, UTC: from then on requests that it signs are refused. Null for a key that does not end.
    pub expires: Option<String>,
    /// Whether that time is over.
    pub expired: bool,
}

/// `POST /users/{name}/keys`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// RFC 3339: when the key ends; it does not when absent.
    #[serde(default)]
    pub expires: Option<String>,
}

/// `POST /users/{name}/keys/{id}`: what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// Whether requests that it signs are refused.
    #[serde(default)]
    pub disabled: Option<bool>,
    /// RFC 3339: when it ends; `never` for a key that does not.
    #[serde(default)]
    pub expires: Option<String>,
}

/// What `GET /users/{name}` and `POST /users/{name}/quota` answer: an account, over all its buckets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user's name.
    pub name: String,
    /// Canonical owner id.
    pub user_id: String,
    /// The number by which ARNs name it.
    pub account: String,
    /// Plaintext bytes of all versions in its buckets.
    pub bytes: u64,
    /// Versions.
    pub objects: u64,
    /// The quota, if there is one.
    pub max_bytes: Option<u64>,
    /// The quota, if there is one.
    pub max_objects: Option<u64>,
    /// Its keys.
    pub access_keys: Vec<AccessKey>,
}

/// What `GET /users` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// By name.
    pub users: Vec<User>,
}

/// `POST /buckets/{name}/quota` and `POST /users/{name}/quota`: a limit that is absent or null does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Plaintext bytes of all versions.
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// Versions.
    #[serde(default)]
    pub max_objects: Option<u64>,
}

/// What `GET /buckets/{name}` and `POST /buckets/{name}/quota` answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Canonical id of its owner.
    pub owner: String,
    /// Plaintext bytes of all versions.
    pub bytes: u64,
    /// Versions.
    pub objects: u64,
    /// Uploads in progress.
    pub uploads: u64,
    /// The quota, if there is one.
    pub max_bytes: Option<u64>,
    /// The quota, if there is one.
    pub max_objects: Option<u64>,
}

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

/// What a removal answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The user's name or the access key's id.
    pub removed: String,
}

/// One drive of `GET /drives` and `GET /status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drive {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its directory.
    pub path: String,
    /// `online`, `slow`, `read-only`, `failed`, or `missing` when it is not open.
    pub state: String,
    /// Why it is not online.
    pub reason: Option<String>,
    /// `active`; `draining` or `leaving` while it is emptied; `drained` when it is.
    pub role: String,
    /// Places in the layout: its share of what is written.
    pub places: usize,
    /// Whether it holds a mirror of the commit log.
    pub log_mirror: bool,
    /// Bytes that can still be allocated, if it says.
    pub free_bytes: Option<u64>,
    /// Bytes of records, dead ones included.
    pub stored_bytes: u64,
    /// Bytes of records whose object is gone.
    pub dead_bytes: u64,
    /// Failed writes and syncs since the start.
    pub write_errors: u64,
    /// Failed reads since the start.
    pub read_errors: u64,
    /// Cells that did not match their checksum since the start.
    pub crc_failures: u64,
    /// Readers ask other drives first: it reads slowly beyond its peers.
    pub spared: bool,
    /// Within this many microseconds 95 of 100 reads from the disk were answered lately, once enough were.
    pub read_p95_us: Option<u64>,
    /// Within this many microseconds 99 of 100 durable writes were answered lately, once enough were.
    pub write_p99_us: Option<u64>,
    /// What follows by itself, or why nothing does, when the drive is out.
    pub care: Option<String>,
}

/// What `GET /drives` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drives {
    /// Those of the installation, by directory.
    pub drives: Vec<Drive>,
    /// Whether every shard is known to be on the drive where it belongs.
    pub settled: bool,
    /// Shards that degraded writes left to be healed.
    pub shards_to_heal: u64,
    /// What is or was moved because of the last change of drives since the start.
    pub moves: Option<Moves>,
}

/// How far shards have followed a change of drives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moves {
    /// The layout that they follow.
    pub layout: u32,
    /// RFC 3339, UTC.
    pub began: String,
    /// Milliseconds since, or until it was done.
    pub took_ms: u64,
    /// Shards that were not where they belong.
    pub missing: u64,
    /// Those that are there now.
    pub moved: u64,
    /// Those that are to be tried again.
    pub failed: u64,
    /// Bytes written for them.
    pub bytes: u64,
    /// Whether every stripe was looked at and every shard tried.
    pub done: bool,
}

/// `POST /drives` and `POST /drives/{which}/replace`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDrive {
    /// The directory, absolute: empty, or to be made. Absent: the next folder of `DATA/drives`, or the place
    /// of the drive that is replaced.
    #[serde(default)]
    pub path: Option<String>,
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

/// What `GET /status` answers: one page of health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `ready`, `degraded` while something that was there is missing, or `read-only` after a failed sync.
    pub state: String,
    /// Why writes are refused, if they are.
    pub reason: Option<String>,
    /// The program's.
    pub version: String,
    /// The installation's id.
    pub cluster: String,
    /// As configured.
    pub tenant: String,
    /// As configured.
    pub node: String,
    /// As configured.
    pub region: String,
    /// Data and parity columns, `4+2`.
    pub erasure: String,
    /// How many there are.
    pub buckets: usize,
    /// How many there are, root included.
    pub users: usize,
    /// The `cycle` log.
    pub journal: JournalStatus,
    /// The commit log.
    pub log: LogStatus,
    /// Shards that degraded writes left to be healed.
    pub shards_to_heal: u64,
    /// What is being repaired, and what was since the start.
    pub repair: RepairStatus,
    /// Where scrub stands.
    pub scrub: ScrubSummary,
    /// Whether every shard is known to be on the drive where it belongs.
    pub settled: bool,
    /// As `GET /drives`.
    pub moves: Option<Moves>,
    /// The space of what was deleted.
    pub reclaim: ReclaimStatus,
    /// Small objects and parts, which are packed together.
    pub packing: PackStatus,
    /// As `GET /drives`.
    pub drives: Vec<Drive>,
}

/// The part of [`Status`] that tells of space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReclaimStatus {
    /// Data segments on all drives.
    pub segments: u64,
    /// Bytes of records that something owns.
    pub live_bytes: u64,
    /// Bytes of records that nothing owns any more.
    pub dead_bytes: u64,
    /// Runs of deleted versions that wait for readers.
    pub waiting_runs: u64,
    /// Bytes that removed segments gave back since the start.
    pub reclaimed_bytes: u64,
    /// Bytes that compaction copied since the start.
    pub compacted_bytes: u64,
    /// Bytes of shards that nobody owned, freed since the start.
    pub orphan_bytes: u64,
    /// Segments kept for a damaged record until it is rebuilt.
    pub blocked_segments: u64,
    /// End of the last look at the segments, RFC 3339; none before the first.
    pub compacted: Option<String>,
    /// End of the last walk for orphans, RFC 3339; none before the first.
    pub walked: Option<String>,
}

/// The part of [`Status`] that tells of small objects and parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackStatus {
    /// Kept as whole copies until they are packed.
    pub waiting: u64,
    /// Their sealed bytes, each counted once.
    pub waiting_bytes: u64,
    /// Packs.
    pub packs: u64,
    /// Bytes in them, parity left out.
    pub packed_bytes: u64,
    /// Objects and parts in them that something names.
    pub members: u64,
    /// Their sealed bytes.
    pub live_bytes: u64,
    /// Put into packs since the start.
    pub packed_since_start: u64,
}

/// What `POST /reclaim` answers, when the pass is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reclaimed {
    /// Bytes given back to the file systems.
    pub reclaimed_bytes: u64,
    /// Runs of deleted versions, and copies of what was packed, that were freed.
    pub runs_freed: u64,
    /// Small objects and parts that were packed.
    pub packed: u64,
    /// Shards that nobody owned and that were old enough, freed.
    pub orphans: u64,
    /// Bytes of their records.
    pub orphan_bytes: u64,
    /// Segments removed.
    pub segments_removed: u64,
    /// Bytes of records that were copied.
    pub copied_bytes: u64,
    /// Damaged records met: they keep their segments.
    pub damaged: u64,
    /// Drives whose pass failed; the server's log says why.
    pub drives_failed: u64,
}

/// One upload of `GET /uploads`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The bucket's name.
    pub bucket: String,
    /// The object that it would make.
    pub key: String,
    /// As S3 shows it.
    pub upload_id: String,
    /// RFC 3339, UTC.
    pub initiated: String,
    /// Seconds since then.
    pub age_s: u64,
    /// The canonical id of the user who began it.
    pub owner: String,
    /// Parts stored.
    pub parts: u64,
    /// Their sealed bytes, before parity.
    pub bytes: u64,
}

/// What `GET /uploads` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploads {
    /// In order of bucket and key.
    pub uploads: Vec<Upload>,
    /// Whether there are more than are shown.
    pub more: bool,
}

/// What the abort of an upload answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aborted {
    /// The upload that is gone.
    pub aborted: String,
}

/// The journal's part of [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStatus {
    /// The log's name.
    pub origin: String,
    /// Leaves in it.
    pub leaves: u64,
    /// Leaves under the last signed checkpoint.
    pub signed_leaves: u64,
}

/// The commit log's part of [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStatus {
    /// Grows at each change of the mirrors.
    pub epoch: u64,
    /// Grows at each start.
    pub term: u64,
    /// Last entry durable on every live mirror.
    pub durable_index: u64,
    /// Live mirrors.
    pub mirrors: usize,
    /// Mirrors aimed for.
    pub mirrors_wanted: usize,
    /// Bytes that a restart would read from each mirror.
    pub live_bytes: u64,
}

/// Repair's part of [`Status`]; all but what waits counts from the start of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairStatus {
    /// Stripes in the queue.
    pub queued_stripes: u64,
    /// Those by the shards that they could still lose when they were queued: 0, 1, 2, 3, and more.
    pub queued_by_redundancy: [u64; 5],
    /// Stripes whose repair failed and is tried again: a drive is full or takes no writes.
    pub waiting_stripes: u64,
    /// Shards rebuilt.
    pub repaired_shards: u64,
    /// Bytes of their cells.
    pub repaired_bytes: u64,
    /// Files, or parts of files, written again.
    pub repaired_files: u64,
    /// Stripes found with too few good shards: their objects are damaged beyond repair.
    pub lost_stripes: u64,
}

/// Scrub's part of [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubSummary {
    /// Findings since the start, by kind.
    pub found: BTreeMap<String, u64>,
    /// When each drive was last checked whole, RFC 3339; drives that never were are left out.
    pub drives: BTreeMap<String, String>,
    /// Stripes by the shards that they can still lose, by the last walk over all of them: unreadable, 0, 1, 2, 3, and
    /// more. All zero before the first walk.
    pub stripes_by_redundancy: [u64; 6],
}

/// `POST /scrub`: what to check; nothing given is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewScrub {
    /// One drive, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drive: Option<String>,
    /// One bucket, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// One key of that bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What `POST /scrub` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubBegun {
    /// Names the pass in `GET /scrub`.
    pub id: u64,
}

/// What `GET /scrub` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubState {
    /// The pass that was asked for and runs.
    pub running: Option<ScrubReport>,
    /// The last pass that was asked for and ended.
    pub last: Option<ScrubReport>,
}

/// One pass of scrub: of a running one, so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Names the pass.
    pub id: u64,
    /// `all`, `drive`, `bucket`, `object`.
    pub scope: String,
    /// RFC 3339, UTC.
    pub began: String,
    /// RFC 3339, UTC; absent while it runs.
    pub ended: Option<String>,
    /// What was checked: `segments`, `records`, `bytes`, `unowned_records`, `stripes`, `parity_stripes`,
    /// `log_segments`, `checkpoint_files`, `superblocks`, `index_rows`.
    pub checked: BTreeMap<String, u64>,
    /// Findings by kind; none when all is well.
    pub found: BTreeMap<String, u64>,
    /// Shards and files written again.
    pub repaired: u64,
    /// Their bytes.
    pub repaired_bytes: u64,
    /// Findings that are not mended.
    pub unrepaired: u64,
    /// What could not be checked or mended, and what to do about it.
    pub notes: Vec<String>,
}
