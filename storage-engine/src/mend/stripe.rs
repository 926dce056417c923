//! One stripe: its shards looked for, read, checked, rebuilt and written where they belong.
//!
//! A shard is good when the drive where it belongs holds a record of the right shape whose cells
//! match their checksums. What is rebuilt comes from k good shards only; the parity is then computed
//! over the whole stripe again, so that every good shard that was read is compared with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use crate::blob::{BlobStore, Placement, stripe_shape};
use crate::codec::CannotRebuild;
use crate::drive::{CellRead, Drive, DriveError};
use crate::error::chain;
use crate::ids::{DriveId, StripeId};
use crate::namespace::integrity::{RepairedShard, ShardFault, StripeRepair};
use crate::namespace::rows::StripeRun;
use crate::segment::checksum::cell_crc64;
use crate::segment::header::SegmentClass;
use crate::segment::location::{ShardKey, ShardLocation};
use crate::segment::shape::StripeShape;
use crate::segment::stripe::{EncodedStripe, encode_row, parity_bytes};

/// How long one drive may take to give a column, or to make one durable.
const DRIVE_ANSWER_MAX: Duration = Duration::from_secs(30);

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
    let mut columns = Columns::locate(blobs, &task.run, task.index).ok_or(StripeError::Row)?;
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

/// The shards of a stripe, as far as is known.
pub(super) struct Columns {
    pub(super) id: StripeId,
    pub(super) shape: StripeShape,
    group: u32,
    /// The segments that its records go to.
    class: SegmentClass,
    columns: Vec<Column>,
    read_bytes: u64,
}

struct Column {
    /// Where it belongs; `None` if that drive is not open.
    target: Option<Arc<Drive>>,
    /// Where a record of the right shape is.
    found: Option<(Arc<Drive>, Arc<ShardLocation>)>,
    /// A drive that may hold it cannot be asked, or its index cannot be read.
    may_be_away: bool,
    /// The target's index names a record that cannot be of this stripe.
    misshapen: bool,
    read: bool,
    /// Its cells, one after the other, once they were read and matched their checksums.
    bytes: Option<Vec<BytesMut>>,
}

enum Fault {
    None,
    /// Its drive cannot be asked.
    Away,
    /// Its drive takes no writes.
    Waits(ShardFault),
    Here(ShardFault),
}

impl Column {
    fn locate(blobs: &BlobStore, placement: &Placement, index: u32, key: ShardKey, shape: &StripeShape) -> Self {
        let shard = usize::from(key.shard);
        let mut column =
            Self { target: None, found: None, may_be_away: false, misshapen: false, read: false, bytes: None };
        for (place, id) in placement.holders(index, shard).enumerate() {
            let drive = blobs.drive(id).filter(|drive| drive.state().reads());
            if place == 0 {
                column.target.clone_from(&drive);
            }
            let Some(drive) = drive else {
                column.may_be_away = true;
                continue;
            };
            match drive.locate(key.stripe, key.shard) {
                Ok(Some(location)) if location.fits(shape) => {
                    column.found = Some((drive, Arc::new(location)));
                    return column;
                }
                Ok(Some(_)) => column.misshapen |= place == 0,
                Ok(None) => {}
                // What its index holds will be known when it is rebuilt.
                Err(error) => {
                    tracing::debug!(drive = %drive.id(), error = chain(&error), "a shard cannot be located");
                    column.may_be_away = true;
                    if place == 0 {
                        column.target = None;
                    }
                }
            }
        }
        column
    }

    fn is_at_target(&self) -> bool {
        matches!((&self.found, &self.target), (Some((drive, _)), Some(target)) if drive.id() == target.id())
    }

    /// Whether the record may be gone after a power cut, because its sync failed.
    fn is_doubtful(&self) -> bool {
        self.found.as_ref().is_some_and(|(drive, location)| drive.is_doubtful(location.segment))
    }

    fn fault(&self, rewrite: bool) -> Fault {
        let Some(target) = &self.target else {
            return Fault::Away;
        };
        let fault = if self.is_at_target() && self.is_doubtful() {
            ShardFault::Missing
        } else if self.is_at_target() {
            if !rewrite && (!self.read || self.bytes.is_some()) {
                return Fault::None;
            }
            ShardFault::Damaged
        } else if self.misshapen {
            ShardFault::Damaged
        } else {
            ShardFault::Missing
        };
        if target.state().writes() { Fault::Here(fault) } else { Fault::Waits(fault) }
    }
}

impl Columns {
    /// Reads shards until k are good: first those that are read already, then the others in their order. Answers
    /// how many are.
    async fn read_enough(&mut self) -> Result<usize, StripeError> {
        let needed = self.shape.geometry().k();
        for shard in 0..self.columns.len() {
            if self.good() >= needed {
                break;
            }
            self.read(shard).await;
        }
        let good = self.good();
        if good >= needed {
            return Ok(good);
        }
        let away = self.columns.iter().filter(|column| column.may_be_away).count();
        if good + away >= needed {
            return Err(StripeError::Away { good, needed, away });
        }
        let bad = (0..).zip(&self.columns).filter(|(_, column)| column.bytes.is_none()).map(|(shard, _)| shard);
        Err(StripeError::Lost { good, needed, bad: bad.collect() })
    }

    /// Has the shards that differ from a stripe, which is known to be right, written again.
    fn replace_wrong(
        &self,
        right: &EncodedStripe,
        targets: &mut Vec<(usize, ShardFault)>,
        outcome: &mut StripeOutcome,
    ) {
        for wrong in self.mismatched(right) {
            let shard = usize::from(wrong);
            let Some(target) = &self.columns[shard].target else { continue };
            outcome.present = outcome.present.without(ShardSet::one(wrong));
            if !target.state().writes() {
                outcome.waiting.push((wrong, ShardFault::Mismatched));
            } else if !targets.iter().any(|(other, _)| *other == shard) {
                targets.push((shard, ShardFault::Mismatched));
            }
        }
        outcome.mismatched = Vec::new();
    }

    fn locate(blobs: &BlobStore, run: &StripeRun, index: u32) -> Option<Self> {
        let shape = stripe_shape(run, index)?;
        let placement = blobs.placement(run)?;
        if placement.targets(index).len() != shape.geometry().shards() {
            return None;
        }
        let id = run.first.nth(index);
        let column = |shard| Column::locate(blobs, &placement, index, ShardKey { stripe: id, shard }, &shape);
        let columns = (0..shape.geometry().shards() as u8).map(column).collect();
        let class = if run.is_copies() { SegmentClass::Copies } else { SegmentClass::Data };
        Some(Self { id, shape, group: placement.group(index), class, columns, read_bytes: 0 })
    }

    fn good(&self) -> usize {
        self.columns.iter().filter(|column| column.bytes.is_some()).count()
    }

    /// Reads all cells of a shard, once, and keeps them if they are good.
    async fn read(&mut self, shard: usize) {
        if self.columns[shard].read {
            return;
        }
        self.columns[shard].read = true;
        let Some((drive, location)) = self.columns[shard].found.clone() else { return };
        let rows = self.shape.rows();
        let cells = (0..rows).map(|row| CellRead { row, bytes: BytesMut::zeroed(self.shape.cell_bytes(row)) });
        let key = ShardKey { stripe: self.id, shard: shard as u8 };
        let mut reading = drive.read_column(&key, &location, cells.collect());
        let Ok(mut cells) = timeout(DRIVE_ANSWER_MAX, reading.finish()).await else { return };
        self.read_bytes += self.shape.column_bytes() as u64;
        cells.sort_by_key(|(cell, _)| cell.row);
        let mut good = Vec::with_capacity(rows);
        for (cell, result) in cells {
            let matches = location.crcs[cell.row] == cell_crc64(self.id, shard as u8, cell.row as u8, &cell.bytes);
            if result.is_ok() && matches {
                good.push(cell.bytes);
            } else if result.is_ok() {
                drive.note_crc_failure(self.id, shard as u8, cell.row);
            }
        }
        if good.len() == rows {
            self.columns[shard].bytes = Some(good);
        } else if !drive.state().reads() {
            // It went away under the read: nothing is known of the shard.
            self.columns[shard].may_be_away = true;
            self.columns[shard].target = None;
        }
    }

    /// The shards that were read and match their checksums.
    pub(super) fn read_well(&self) -> ShardSet {
        let good = self.columns.iter().enumerate().filter(|(_, column)| column.bytes.is_some());
        good.fold(ShardSet::NONE, |set, (shard, _)| set.with(ShardSet::one(shard as u8)))
    }

    /// The whole stripe from shards that were read.
    async fn encode(
        &self,
        blobs: &BlobStore,
        place: (u32, u32),
        from: ShardSet,
    ) -> Result<EncodedStripe, CannotRebuild> {
        let parity_at = self.shape.padded_bytes();
        let bytes = parity_at + parity_bytes(&self.shape);
        let mut buffer = blobs.budget().writers().take(bytes).await;
        let mut crcs = Vec::with_capacity(self.shape.rows() * self.columns.len());
        self.fill_data(&mut buffer, from)?;
        for row in 0..self.shape.rows() {
            encode_row(self.id, &self.shape, row, &mut buffer, parity_at, &mut crcs);
        }
        Ok(EncodedStripe::new(self.id, self.shape, place, (buffer, parity_at), crcs).of_class(self.class))
    }

    /// Fills in the data of the stripe, from shards that were read.
    pub(super) fn fill_data(&self, buffer: &mut [u8], from: ShardSet) -> Result<(), CannotRebuild> {
        let geometry = self.shape.geometry();
        let cells_of = |shard: usize| self.columns[shard].bytes.as_ref().filter(|_| from.has(shard));
        let present: Vec<bool> = (0..self.columns.len()).map(|shard| cells_of(shard).is_some()).collect();
        let lost: Vec<usize> = (0..geometry.k()).filter(|shard| !present[*shard]).collect();
        let plan = if lost.is_empty() { None } else { Some(geometry.codec().plan(&present, &lost)?) };
        for row in 0..self.shape.rows() {
            let cell_bytes = self.shape.cell_bytes(row);
            let cells: Vec<Option<&[u8]>> =
                (0..self.columns.len()).map(|shard| cells_of(shard).map(|rows| &rows[row][..])).collect();
            for (shard, cell) in cells.iter().take(geometry.k()).enumerate() {
                if let Some(cell) = cell {
                    let start = self.shape.cell_start(row, shard);
                    buffer[start..start + cell_bytes].copy_from_slice(cell);
                }
            }
            let Some(plan) = &plan else { continue };
            let mut rebuilt = vec![vec![0; cell_bytes]; lost.len()];
            let mut out: Vec<&mut [u8]> = rebuilt.iter_mut().map(|cell| &mut cell[..]).collect();
            plan.rebuild(&cells, &mut out)?;
            for (shard, cell) in lost.iter().zip(&rebuilt) {
                let start = self.shape.cell_start(row, *shard);
                buffer[start..start + cell_bytes].copy_from_slice(cell);
            }
        }
        Ok(())
    }

    /// Whether a shard that was read is of the stripe with these checksums of all cells, row by row.
    pub(super) fn is_of(&self, shard: usize, crcs: &[u64]) -> bool {
        let Some((_, location)) = &self.columns[shard].found else { return false };
        let ours = crcs.iter().skip(shard).step_by(self.columns.len()).copied();
        ours.eq(location.crcs.iter().copied())
    }

    /// Good shards that were read and are not of this stripe.
    fn mismatched(&self, encoded: &EncodedStripe) -> Vec<u8> {
        let differs = |shard: &usize| {
            let column = &self.columns[*shard];
            let (Some(_), Some((_, location))) = (&column.bytes, &column.found) else { return false };
            !encoded.column_crcs(*shard).eq(location.crcs.iter().copied())
        };
        (0..self.columns.len()).filter(differs).map(|shard| shard as u8).collect()
    }

    /// Writes the shards that are missing or damaged, all drives at once, and waits until they are durable.
    async fn write(
        &self,
        encoded: &Arc<EncodedStripe>,
        targets: Vec<(usize, ShardFault)>,
        outcome: &mut StripeOutcome,
    ) {
        let bytes = self.shape.column_bytes();
        let started: Vec<_> = targets
            .into_iter()
            .filter_map(|(shard, fault)| {
                let target = self.columns[shard].target.clone()?;
                let answer = target.replace(encoded.clone(), shard as u8);
                Some((shard, fault, target, answer))
            })
            .collect();
        for (shard, fault, target, answer) in started {
            let written = match timeout(DRIVE_ANSWER_MAX, answer).await {
                Ok(Ok(Ok(segment))) if !segment.is_poisoned() => Ok(()),
                Ok(Ok(Err(error))) => Err(error),
                _ => Err(DriveError::Busy),
            };
            let shard_index = shard as u8;
            match written {
                Ok(()) => {
                    let drive = target.id();
                    outcome.repaired.push(RepairedShard { shard_index, drive, fault, bytes: bytes as u32 });
                    outcome.present = outcome.present.with(ShardSet::one(shard_index));
                    outcome.moved_bytes += bytes as u64;
                    if let Some((old, _)) = self.columns[shard].found.as_ref().filter(|(old, _)| old.id() != drive) {
                        outcome.stale.push((old.id(), ShardKey { stripe: self.id, shard: shard_index }));
                    }
                }
                Err(error) => {
                    tracing::warn!(drive = %target.id(), stripe = ?self.id, shard, error = chain(&error), "a rebuilt shard was not stored");
                    outcome.waiting.push((shard_index, fault));
                }
            }
        }
    }
}
