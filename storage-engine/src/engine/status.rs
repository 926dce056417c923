//! One page of health.

use std::path::PathBuf;

use super::reclaim::ReclaimStatus;
use super::{Engine, MoveProgress, PackStatus};
use crate::drive::DriveStatus;
use crate::ids::{ClusterId, DriveId};
use crate::log::LogStatus;
use crate::meta::MetaReads;
use crate::namespace::drives::DriveRole;

/// A drive of the installation that is not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostDrive {
    /// Which.
    pub id: DriveId,
    /// What it is for.
    pub role: DriveRole,
    /// Where it was last.
    pub path: PathBuf,
    /// Why it is not used.
    pub reason: String,
}

/// Health of an installation at one moment.
#[derive(Debug, Clone)]
pub struct Status {
    /// The installation.
    pub cluster: ClusterId,
    /// Data columns.
    pub k: u8,
    /// Parity columns.
    pub m: u8,
    /// The drives in use.
    pub drives: Vec<DriveStatus>,
    /// The drives that are not open.
    pub lost_drives: Vec<LostDrive>,
    /// Whether every shard is known to be where the newest layout wants it.
    pub is_settled: bool,
    /// How far the shards have followed the last change of drives.
    pub moves: Option<MoveProgress>,
    /// The commit log.
    pub log: LogStatus,
    /// Why writes are refused until the next start, if they are.
    pub poisoned: Option<String>,
    /// Last log entry that readers see.
    pub applied_index: u64,
    /// Leaves in the journal.
    pub journal_leaves: u64,
    /// Shards that degraded writes left to be healed.
    pub shards_to_heal: u64,
    /// Where the giving back of space stands.
    pub reclaim: ReclaimStatus,
    /// What is packed, and what waits to be.
    pub packing: PackStatus,
}

impl Status {
    pub(super) fn of(engine: &Engine) -> Self {
        let layout = engine.machine.layout().ok().flatten();
        let (k, m) = layout.map_or((0, 0), |layout| (layout.k, layout.m));
        Self {
            cluster: engine.cluster,
            k,
            m,
            drives: engine.blobs.status(),
            lost_drives: engine.roster.lost(),
            is_settled: engine.is_settled(),
            moves: engine.move_progress(),
            log: engine.solo.status(),
            poisoned: engine.solo.poisoned(),
            applied_index: engine.machine.applied_index(),
            journal_leaves: engine.machine.journal_size(),
            shards_to_heal: engine.machine.heal_queue_len(),
            reclaim: engine.reclaim.status(),
            packing: engine.pack_status(),
        }
    }

    /// Whether writes are taken and nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.poisoned.is_none()
            && !self.lost_drives.iter().any(|drive| drive.role == DriveRole::Active)
            && self.is_settled
            && self.drives.iter().all(|drive| drive.state.writes())
            && self.log.mirrors.len() >= self.log.mirrors_wanted
    }
}
