//! One stripe: its shards looked for, read, checked, rebuilt and written where they belong.
//!
//! A shard is good when the drive where it belongs holds a record of the right shape whose cells
//! match their checksums. What is rebuilt comes from k good shards only; the parity is then computed
//! over the whole stripe again, so that every good shard that was read is compared with it.

use std::sync::Arc;

use super::columns::{Columns, Fault};
use crate::blob::{BlobStore, stripe_shape};
use crate::codec::CannotRebuild;
use crate::ids::{DriveId, StripeId};
use crate::namespace::integrity::{RepairedShard, ShardFault, StripeRepair};
use crate::namespace::rows::StripeRun;
use crate::segment::location::ShardKey;

/// A set of shards of one stripe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ShardSet(u16);

impl ShardSet {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ALL: Self = Self(u16::MAX);

    pub(crate) fn one(shard: u8) -> Self {
        Self(1 << (shard & 15))
    }

    pub(crate) fn has(self, shard: usize) -> bool {
        self.0 & (1 << shard) != 0
    }

    #[must_use]
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn shards(self) -> impl Iterator<Item = u8> {
        (0..16).filter(move |shard| self.has(usize::from(*shard)))
    }
}

/// What to do with a stripe.
#[derive(Debug, Clone)]
pub(crate) struct StripeTask {
    pub(crate) run: StripeRun,
    pub(crate) index: u32,
    /// Shards whose cells are read, even if nothing is missing.
    pub(crate) check: ShardSet,
    /// Shards whose record is written again though its cells may be good: its header is damaged.
    pub(crate) rewrite: ShardSet,
}

impl StripeTask {
    pub(crate) fn id(&self) -> StripeId {
        self.run.first.nth(self.index)
    }
}

/// What became of a stripe.
#[derive(Debug, Default)]
pub(crate) struct StripeOutcome {
    /// What was wrong and is mended; durable where it belongs.
    pub(crate) repaired: Vec<RepairedShard>,
    /// What was wrong and could not be mended now: the drive takes no writes, or is full.
    pub(crate) waiting: Vec<(u8, ShardFault)>,
    /// Shards of the stripe that cannot be asked for: their drive is away.
    pub(crate) away: usize,
    /// Shards that are where they belong, as far as was looked.
    pub(crate) present: ShardSet,
    /// Copies that a layout change left behind and that nobody needs any more.
    pub(crate) stale: Vec<(DriveId, ShardKey)>,
    /// Shards that match their checksums and are not of one stripe, when it is not known which of them are wrong.
    pub(crate) mismatched: Vec<u8>,
    /// Bytes read and written.
    pub(crate) moved_bytes: u64,
}

impl StripeOutcome {
    pub(crate) fn repair(&self, task: &StripeTask) -> Option<StripeRepair> {
        (!self.repaired.is_empty()).then(|| StripeRepair {
            run: task.run.clone(),
            stripe_index: task.index,
            shards: self.repaired.clone(),
        })
    }
}

/// Why a stripe could not be looked after.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StripeError {
    #[error("the row of the run contradicts itself, or names an unknown layout")]
    Row,
    #[error("{good} good shards at hand, {needed} are needed: {away} are on drives that are away")]
    Away { good: usize, needed: usize, away: usize },
    #[error("the look for its shards broke off")]
    BrokeOff,
    #[error("{good} good shards are left, {needed} are needed")]
    Lost { good: usize, needed: usize, bad: Vec<u8> },
}

/// Bytes of the cells of one stripe, parity included: what a look at all of it costs.
pub(crate) fn stripe_cost_bytes(task: &StripeTask) -> u64 {
    stripe_shape(&task.run, task.index).map_or(0, |shape| (shape.column_bytes() * shape.geometry().shards()) as u64)
}

/// What the drives' indexes say of one stripe.
pub(crate) struct StripeSurvey {
    /// Shards that can still be lost before the stripe is; negative when it cannot be read now.
    pub(crate) spare: i32,
    /// Shards that are not where they belong, with that drive, which can be asked.
    pub(crate) missing: Vec<(u8, DriveId)>,
    /// Shards whose drive cannot be asked.
    pub(crate) away: usize,
}

/// Looks up all shards of a stripe; reads none. Blocking.
pub(crate) fn survey_stripe(blobs: &BlobStore, run: &StripeRun, index: u32) -> Option<StripeSurvey> {
    let columns = Columns::locate(blobs, run, index)?;
    let k = columns.shape.geometry().k();
    let mut survey = StripeSurvey { spare: -(k as i32), missing: Vec::new(), away: 0 };
    for (shard, column) in columns.columns.iter().enumerate() {
        let lies = column.found.as_ref().is_some_and(|(drive, location)| drive.has_segment(location.segment));
        survey.spare += i32::from(lies);
        match &column.target {
            None => survey.away += 1,
            Some(target) if !lies || !column.is_at_target() || column.is_doubtful() => {
                survey.missing.push((shard as u8, target.id()))
            }
            Some(_) => {}
        }
    }
    Some(survey)
}

/// Looks after one stripe. Frees nothing: the caller does when the repair is in the log.
pub(crate) async fn mend_stripe(blobs: &BlobStore, task: &StripeTask) -> Result<StripeOutcome, StripeError> {
    let (store, run, index) = (blobs.clone(), task.run.clone(), task.index);
    // An index that is not in memory is read from its disk: not on a thread that serves.
    let located = tokio::task::spawn_blocking(move || Columns::locate(&store, &run, index)).await;
    let mut columns = located.map_err(|_| StripeError::BrokeOff)?.ok_or(StripeError::Row)?;
    let shards = columns.columns.len();
    let k = columns.shape.geometry().k();
    for shard in 0..shards {
        if task.check.has(shard) || task.rewrite.has(shard) {
            columns.read(shard).await;
        }
    }
    let mut outcome = StripeOutcome::default();
    let mut targets: Vec<(usize, ShardFault)> = Vec::new();
    for shard in 0..shards {
        match columns.columns[shard].fault(task.rewrite.has(shard)) {
            Fault::None => outcome.present = outcome.present.with(ShardSet::one(shard as u8)),
            Fault::Away => outcome.away += 1,
            Fault::Waits(fault) => outcome.waiting.push((shard as u8, fault)),
            Fault::Here(fault) => targets.push((shard, fault)),
        }
    }
    if targets.is_empty() && task.check != ShardSet::ALL {
        outcome.moved_bytes = columns.read_bytes;
        return Ok(outcome);
    }
    let good = columns.read_enough().await?;
    // Reading for the rebuild may have met more that is bad.
    for shard in 0..shards {
        let known = targets.iter().any(|(other, _)| *other == shard);
        if !known && let Fault::Here(fault) = columns.columns[shard].fault(task.rewrite.has(shard)) {
            targets.push((shard, fault));
        }
    }
    let place = (task.run.layout_version, columns.group);
    let lost = |CannotRebuild| StripeError::Lost { good, needed: k, bad: Vec::new() };
    let mut encoded = columns.encode(blobs, place, columns.read_well()).await.map_err(lost)?;
    outcome.mismatched = columns.mismatched(&encoded);
    if !outcome.mismatched.is_empty() {
        drop(encoded);
        for shard in 0..shards {
            columns.read(shard).await;
        }
        let Some(chosen) = columns.resolve(blobs, &task.run, task.index).await else {
            outcome.moved_bytes += columns.read_bytes;
            return Ok(outcome);
        };
        encoded = columns.encode(blobs, place, chosen).await.map_err(lost)?;
        columns.replace_wrong(&encoded, &mut targets, &mut outcome);
    }
    columns.write(&Arc::new(encoded), targets, &mut outcome).await;
    outcome.moved_bytes += columns.read_bytes;
    Ok(outcome)
}
