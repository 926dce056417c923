//! What was mended and what was found, on its way into the log: in batches, so that a rebuild of a
//! drive is not a commit for each stripe.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use super::Mender;
use crate::engine::Engine;
use crate::error::StorageError;
use crate::failpoint::{Step, failpoint};
use crate::ids::DriveId;
use crate::namespace::command::{MissingShard, Op};
use crate::namespace::integrity::{
    CORRUPTION_SHARDS_MAX, Corruption, CorruptionKind, FileRepair, FoundBy, REPAIR_FILES_MAX, REPAIR_HEALED_MAX,
    REPAIR_STRIPES_MAX, Repair, StripeRepair,
};

/// What kind of damage, who met it, and on which drive.
type Finding = (CorruptionKind, FoundBy, Option<DriveId>);

/// What one batch of work has to say.
#[derive(Default)]
pub(crate) struct Record {
    stripes: Vec<StripeRepair>,
    healed: Vec<MissingShard>,
    found: BTreeMap<Finding, (u64, Vec<MissingShard>)>,
}

impl Record {
    pub(crate) fn repaired(&mut self, repair: Option<StripeRepair>) {
        self.stripes.extend(repair);
    }

    pub(crate) fn healed(&mut self, shard: MissingShard) {
        self.healed.push(shard);
    }

    pub(crate) fn found(&mut self, finding: Finding, bytes: u64, shard: MissingShard) {
        let (total, shards) = self.found.entry(finding).or_default();
        *total += bytes;
        shards.push(shard);
    }

    /// Proposes it all: damage first, then its repair.
    pub(crate) async fn propose(self, engine: &Engine) -> Result<(), StorageError> {
        for ((kind, found_by, drive), (bytes, mut shards)) in self.found {
            let count = shards.len() as u64;
            shards.truncate(CORRUPTION_SHARDS_MAX);
            let found = Corruption { kind, found_by, drive, place: String::new(), count, bytes, shards };
            engine.record(Op::RecordCorruption(Box::new(found))).await?;
        }
        let mut healed = self.healed.chunks(REPAIR_HEALED_MAX).map(<[MissingShard]>::to_vec);
        for stripes in self.stripes.chunks(REPAIR_STRIPES_MAX) {
            failpoint(Step::RepairWritten);
            let healed = healed.next().unwrap_or_default();
            let repair = Repair { stripes: stripes.to_vec(), files: Vec::new(), healed };
            engine.record(Op::RecordRepair(Box::new(repair))).await?;
            failpoint(Step::RepairRecorded);
        }
        for healed in healed {
            engine.record(Op::RecordRepair(Box::new(Repair { healed, ..Repair::default() }))).await?;
        }
        Ok(())
    }
}

impl Mender {
    /// Records files that were written again.
    pub(crate) async fn record_files(&self, engine: &Engine, files: &[FileRepair]) -> Result<(), StorageError> {
        for files in files.chunks(REPAIR_FILES_MAX) {
            self.counts.files.fetch_add(files.len() as u64, Relaxed);
            let repair = Repair { files: files.to_vec(), ..Repair::default() };
            engine.record(Op::RecordRepair(Box::new(repair))).await?;
        }
        Ok(())
    }
}
