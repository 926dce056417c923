//! Drives, and how shards follow when drives change.

use serde::{Deserialize, Serialize};

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
