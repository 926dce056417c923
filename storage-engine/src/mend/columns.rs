//! The shards of one stripe: where each is and belongs, its cells read, checked, coded again and written.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use super::stripe::{ShardSet, StripeError, StripeOutcome};
use crate::blob::{BlobStore, Placement, stripe_shape};
use crate::codec::CannotRebuild;
use crate::drive::{CellRead, Drive, DriveError};
use crate::error::chain;
use crate::ids::StripeId;
use crate::namespace::integrity::{RepairedShard, ShardFault};
use crate::namespace::rows::StripeRun;
use crate::segment::checksum::cell_crc64;
use crate::segment::header::SegmentClass;
use crate::segment::location::{ShardKey, ShardLocation};
use crate::segment::shape::StripeShape;
use crate::segment::stripe::{EncodedStripe, encode_row, parity_bytes};

/// How long one drive may take to give a column, or to make one durable.
const DRIVE_ANSWER_MAX: Duration = Duration::from_secs(30);

/// The shards of a stripe, as far as is known.
pub(super) struct Columns {
    pub(super) id: StripeId,
    pub(super) shape: StripeShape,
    pub(super) group: u32,
    /// The segments that its records go to.
    class: SegmentClass,
    pub(super) columns: Vec<Column>,
    pub(super) read_bytes: u64,
}

/// One shard of it.
pub(super) struct Column {
    /// Where it belongs; `None` if that drive is not open.
    pub(super) target: Option<Arc<Drive>>,
    /// Where a record of the right shape is.
    pub(super) found: Option<(Arc<Drive>, Arc<ShardLocation>)>,
    /// A drive that may hold it cannot be asked, or its index cannot be read.
    may_be_away: bool,
    /// The target's index names a record that cannot be of this stripe.
    misshapen: bool,
    read: bool,
    /// Its cells, one after the other, once they were read and matched their checksums.
    bytes: Option<Vec<BytesMut>>,
}

/// What is wrong with a shard, and whether it can be mended now.
pub(super) enum Fault {
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

    pub(super) fn is_at_target(&self) -> bool {
        matches!((&self.found, &self.target), (Some((drive, _)), Some(target)) if drive.id() == target.id())
    }

    /// Whether the record may be gone after a power cut, because its sync failed.
    pub(super) fn is_doubtful(&self) -> bool {
        self.found.as_ref().is_some_and(|(drive, location)| drive.is_doubtful(location.segment))
    }

    pub(super) fn fault(&self, rewrite: bool) -> Fault {
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
    pub(super) async fn read_enough(&mut self) -> Result<usize, StripeError> {
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
    pub(super) fn replace_wrong(
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

    /// Looks up all shards in the drives' indexes; `None` if the row contradicts itself, or its layout is not known.
    /// Blocking.
    pub(super) fn locate(blobs: &BlobStore, run: &StripeRun, index: u32) -> Option<Self> {
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
    pub(super) async fn read(&mut self, shard: usize) {
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
    pub(super) async fn encode(
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
    pub(super) fn mismatched(&self, encoded: &EncodedStripe) -> Vec<u8> {
        let differs = |shard: &usize| {
            let column = &self.columns[*shard];
            let (Some(_), Some((_, location))) = (&column.bytes, &column.found) else { return false };
            !encoded.column_crcs(*shard).eq(location.crcs.iter().copied())
        };
        (0..self.columns.len()).filter(differs).map(|shard| shard as u8).collect()
    }

    /// Writes the shards that are missing or damaged, all drives at once, and waits until they are durable.
    pub(super) async fn write(
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
