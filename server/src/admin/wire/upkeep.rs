//! Scrub, the giving back of space, and uploads that nobody ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// Whether all of the scope was checked; false while it runs.
    pub complete: bool,
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
