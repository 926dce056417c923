//! Fetching the cells of one stripe that a range needs, and rebuilding those that are not good.
//!
//! The buffer is cut into cells that travel to reader threads as owned pieces and are joined
//! again afterwards: no copy, and no two threads on one piece. A cell is bad when its drive is
//! gone, its record is not indexed, the read fails, or the checksum does not match; then other
//! cells of its row are read until k are good. So they are when its drive is late; a drive that is late
//! again and again is asked only when the others do not suffice.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, timeout, timeout_at};

use super::reader::ReadBuf;
use super::{DamagedShard, Placement, StoreCore};
use crate::budget::PooledBytes;
use crate::drive::{CellRead, ColumnRead, DataMetrics, Drive};
use crate::error::{StorageError, chain};
use crate::ids::StripeId;
use crate::namespace::integrity::FoundBy;
use crate::segment::checksum::cell_crc64;
use crate::segment::location::{ShardKey, ShardLocation};
use crate::segment::shape::StripeShape;

/// Without another to read from, this is how long a drive may take.
const READ_ANSWER_MAX: Duration = Duration::from_secs(30);

/// Which bytes of which stripe.
pub(super) struct FetchPlan {
    pub(super) stripe: StripeId,
    pub(super) shape: StripeShape,
    /// Where its shards may lie.
    pub(super) placement: Placement,
    /// Which stripe of the blob it is.
    pub(super) index: u32,
    /// Bytes of the stripe; not empty.
    pub(super) wanted: Range<usize>,
    /// What is known of the stripe's columns from the rows before; one per shard.
    pub(super) columns: Vec<Column>,
}

impl FetchPlan {
    /// Bytes that the reader gets.
    pub(super) fn len_bytes(&self) -> usize {
        self.wanted.len()
    }

    /// Bytes of the cells that hold them.
    pub(super) fn buffer_bytes(&self) -> usize {
        let cells = self.cells();
        cells.end - cells.start
    }

    /// The bytes of the stripe that those cells span.
    fn cells(&self) -> Range<usize> {
        let (first_row, first_column) = self.shape.cell_of(self.wanted.start);
        let (last_row, last_column) = self.shape.cell_of(self.wanted.end - 1);
        let start = self.shape.cell_start(first_row, first_column);
        start..self.shape.cell_start(last_row, last_column) + self.shape.cell_bytes(last_row)
    }
}

/// A stripe whose cells are being read.
pub(super) struct StripeFetch {
    store: Arc<StoreCore>,
    plan: FetchPlan,
    /// Holds the loan while the bytes are in pieces.
    buffer: PooledBytes,
    /// What the buffer has past the cells.
    tail: BytesMut,
    /// Rows by shards.
    cells: Vec<Cell>,
    columns: Vec<Column>,
    reads: Vec<Reading>,
    /// Reads that were not waited for any longer.
    late: Vec<(usize, ColumnRead)>,
    offline: bool,
}

/// Cells of one shard that a drive was asked for.
struct Reading {
    shard: usize,
    cells: u64,
    read: ColumnRead,
    /// When the drive was asked, if there is something to wait for.
    begun: Option<Instant>,
}

enum Cell {
    /// Not asked for.
    Unread,
    /// Wanted, and not asked for while others suffice: its drive is slow. With its piece of the buffer.
    Spared(BytesMut),
    /// With a reader.
    Pending,
    Good(BytesMut),
    /// With the piece of the buffer that it should have filled, unless a late reader has that.
    Bad(Option<BytesMut>),
}

/// What is known of one shard.
#[derive(Clone)]
pub(super) enum Column {
    Unknown,
    /// Its drive, and where its record lies.
    At(Arc<Drive>, Arc<ShardLocation>),
    Lost,
}

impl StripeFetch {
    /// Cuts the buffer into cells and begins to read them. Does not wait for any disk.
    pub(super) fn begin(store: Arc<StoreCore>, mut plan: FetchPlan, mut buffer: PooledBytes) -> Self {
        let shards = plan.shape.geometry().shards();
        let mut bytes = buffer.take_bytes();
        let tail = bytes.split_off(plan.buffer_bytes());
        let mut fetch = Self {
            cells: (0..plan.shape.rows() * shards).map(|_| Cell::Unread).collect(),
            columns: std::mem::take(&mut plan.columns),
            reads: Vec::new(),
            late: Vec::new(),
            offline: false,
            store,
            buffer,
            tail,
            plan,
        };
        let mut wanted: Vec<Vec<CellRead>> = (0..fetch.k()).map(|_| Vec::new()).collect();
        for (row, column) in fetch.wanted_cells() {
            let piece = bytes.split_to(fetch.plan.shape.cell_bytes(row));
            wanted[column].push(CellRead { row, bytes: piece });
        }
        let mut spared = false;
        for (column, cells) in wanted.into_iter().enumerate().filter(|(_, cells)| !cells.is_empty()) {
            if fetch.is_spared(column) {
                spared = true;
                cells.into_iter().for_each(|cell| *fetch.cell(cell.row, column) = Cell::Spared(cell.bytes));
            } else {
                fetch.read(column, cells);
            }
        }
        if spared {
            // What replaces them is asked for at once. Where others do not suffice, finish() asks for them.
            if let Ok(more) = fetch.cells_to_rebuild_from() {
                fetch.read_more(more);
            }
        }
        fetch
    }

    /// The stripe, and what is known of its columns, for the rows that follow.
    pub(super) fn columns(&self) -> (StripeId, Vec<Column>) {
        (self.plan.stripe, self.columns.clone())
    }

    /// Whether some cell is with a reader thread.
    pub(super) fn waits(&self) -> bool {
        self.reads.iter().any(|reading| !reading.read.is_ready())
    }

    /// Waits for the cells, reads others of their rows where some are bad, rebuilds, and joins.
    pub(super) async fn finish(mut self) -> Result<ReadBuf, StorageError> {
        loop {
            self.collect().await;
            let more = match self.cells_to_rebuild_from() {
                // The others do not suffice: the slow drives are asked after all.
                Err(_) if self.ask_spared() => continue,
                // What was to replace a late read is not there: the late one is needed after all.
                Err(_) if !self.late.is_empty() => {
                    self.await_late().await;
                    continue;
                }
                other => other?,
            };
            if more.is_empty() {
                break;
            }
            self.read_more(more);
        }
        self.rebuild()?;
        Ok(self.join())
    }

    /// Begins to read cells that others are to be rebuilt from.
    fn read_more(&mut self, more: Vec<(usize, Vec<usize>)>) {
        for (shard, rows) in more {
            let cells =
                rows.into_iter().map(|row| CellRead { row, bytes: BytesMut::zeroed(self.plan.shape.cell_bytes(row)) });
            let cells = cells.collect();
            self.read(shard, cells);
        }
    }

    /// Begins to read the cells of slow drives that were spared. False if there is none.
    fn ask_spared(&mut self) -> bool {
        let mut any = false;
        for shard in 0..self.shards() {
            let mut cells = Vec::new();
            for row in 0..self.plan.shape.rows() {
                let cell = self.cell(row, shard);
                if matches!(cell, Cell::Spared(_))
                    && let Cell::Spared(bytes) = std::mem::replace(cell, Cell::Unread)
                {
                    cells.push(CellRead { row, bytes });
                }
            }
            if !cells.is_empty() {
                any = true;
                self.read(shard, cells);
            }
        }
        any
    }

    /// Whether the drive where a shard belongs is asked last.
    fn is_spared(&self, shard: usize) -> bool {
        if !self.store.patience.some_spared() {
            return false;
        }
        let drive = match &self.columns[shard] {
            Column::At(drive, _) => Some(drive.clone()),
            Column::Unknown | Column::Lost => {
                self.plan.placement.holders(self.plan.index, shard).next().and_then(|id| self.store.drive(id))
            }
        };
        drive.is_some_and(|drive| drive.is_spared())
    }

    fn k(&self) -> usize {
        self.plan.shape.geometry().k()
    }

    fn shards(&self) -> usize {
        self.plan.shape.geometry().shards()
    }

    fn cell(&mut self, row: usize, shard: usize) -> &mut Cell {
        let at = row * self.shards() + shard;
        &mut self.cells[at]
    }

    fn row(&self, row: usize) -> &[Cell] {
        &self.cells[row * self.shards()..][..self.shards()]
    }

    /// The data cells that the range needs, in order: (row, column).
    fn wanted_cells(&self) -> Vec<(usize, usize)> {
        let (first, last) = (self.plan.wanted.start, self.plan.wanted.end - 1);
        let linear = |(row, column): (usize, usize)| row * self.k() + column;
        let cells = linear(self.plan.shape.cell_of(first))..=linear(self.plan.shape.cell_of(last));
        cells.map(|cell| (cell / self.k(), cell % self.k())).collect()
    }

    /// Begins to read cells of one shard.
    fn read(&mut self, shard: usize, cells: Vec<CellRead>) {
        self.locate(shard);
        match &self.columns[shard] {
            Column::At(drive, location) => {
                let rows: Vec<usize> = cells.iter().map(|cell| cell.row).collect();
                let key = ShardKey { stripe: self.plan.stripe, shard: shard as u8 };
                let read = drive.read_column(&key, location, cells);
                let begun = (!read.is_ready()).then(Instant::now);
                let cells = rows.len() as u64;
                rows.into_iter().for_each(|row| *self.cell(row, shard) = Cell::Pending);
                self.reads.push(Reading { shard, cells, read, begun });
            }
            Column::Unknown | Column::Lost => {
                DataMetrics::add(&self.store.metrics.cells_missing, cells.len() as u64);
                for cell in cells {
                    *self.cell(cell.row, shard) = Cell::Bad(Some(cell.bytes));
                }
            }
        }
    }

    /// Finds out where a shard lies: on its target, or where a move has yet to fetch it.
    fn locate(&mut self, shard: usize) {
        if !matches!(self.columns[shard], Column::Unknown) {
            return;
        }
        self.columns[shard] = Column::Lost;
        let mut asked = true;
        for id in self.plan.placement.holders(self.plan.index, shard) {
            let Some(drive) = self.store.drive(id) else {
                self.offline = true;
                asked = false;
                continue;
            };
            match drive.locate(self.plan.stripe, shard as u8) {
                Ok(Some(location)) if location.fits(&self.plan.shape) => {
                    self.columns[shard] = Column::At(drive, Arc::new(location));
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    self.offline |= !drive.state().reads();
                    asked &= drive.state().reads();
                    tracing::debug!(drive = %drive.id(), error = chain(&error), "a shard cannot be located");
                }
            }
        }
        if asked {
            self.report(shard);
        }
    }

    /// Tells the mender of a shard that its drive should give and does not.
    fn report(&self, shard: usize) {
        let report =
            DamagedShard { stripe: self.plan.stripe, shard: shard as u8, found_by: FoundBy::Read, drive: None };
        self.store.damage.add(report);
    }

    /// Takes in what the readers bring, leaving late ones behind while others can replace them.
    async fn collect(&mut self) {
        let patience = self.store.patience.read();
        for Reading { shard, cells, mut read, begun } in std::mem::take(&mut self.reads) {
            let answered = match begun {
                None => Some(read.finish().await),
                Some(begun) => match timeout_at(begun + patience, read.finish()).await {
                    Ok(answer) => Some(answer),
                    Err(_) if self.has_spare_shard() => {
                        self.note_late(shard);
                        let hedge = self.store.may_hedge_read(cells);
                        if hedge { None } else { timeout_at(begun + READ_ANSWER_MAX, read.finish()).await.ok() }
                    }
                    Err(_) => timeout_at(begun + READ_ANSWER_MAX, read.finish()).await.ok(),
                },
            };
            match answered {
                Some(cells) => cells.into_iter().for_each(|(cell, result)| self.take_in(shard, cell, result.is_ok())),
                None => {
                    self.store.note_hedged_read(cells);
                    self.late.push((shard, read));
                }
            }
            // What did not come back, late or dropped, is missing.
            for row in 0..self.plan.shape.rows() {
                if matches!(self.cell(row, shard), Cell::Pending) {
                    DataMetrics::add(&self.store.metrics.cells_missing, 1);
                    *self.cell(row, shard) = Cell::Bad(None);
                }
            }
        }
    }

    /// Takes in what comes of the reads that were given up for others.
    async fn await_late(&mut self) {
        for (shard, mut read) in std::mem::take(&mut self.late) {
            let cells = timeout(READ_ANSWER_MAX, read.finish()).await.unwrap_or_default();
            cells.into_iter().for_each(|(cell, result)| self.take_in(shard, cell, result.is_ok()));
        }
    }

    fn take_in(&mut self, shard: usize, cell: CellRead, read: bool) {
        let Column::At(drive, location) = &self.columns[shard] else { return };
        let CellRead { row, bytes } = cell;
        let good = read && location.crcs[row] == cell_crc64(self.plan.stripe, shard as u8, row as u8, &bytes);
        if !read {
            DataMetrics::add(&self.store.metrics.cells_missing, 1);
        } else if !good {
            drive.note_crc_failure(self.plan.stripe, shard as u8, row);
        }
        if !good && drive.state().reads() {
            self.report(shard);
        }
        *self.cell(row, shard) = if good { Cell::Good(bytes) } else { Cell::Bad(Some(bytes)) };
    }

    /// Counts a late answer against a drive, unless its peers are late with it.
    fn note_late(&self, shard: usize) {
        let Column::At(drive, _) = &self.columns[shard] else { return };
        let late = self.late.len() + 1;
        if late <= self.shards() - self.k() {
            self.store.patience.note_late_read(drive);
        }
    }

    /// Whether some shard that nothing was read of is likely to be there.
    fn has_spare_shard(&self) -> bool {
        (0..self.shards()).any(|shard| {
            let unread = (0..self.plan.shape.rows()).any(|row| matches!(self.row(row)[shard], Cell::Unread));
            let reads =
                |drive| self.store.drive(drive).is_some_and(|drive| drive.state().reads() && !drive.is_spared());
            let mut holders = self.plan.placement.holders(self.plan.index, shard);
            unread && !matches!(self.columns[shard], Column::Lost) && holders.any(reads)
        })
    }

    /// For rows with a bad or spared cell: which others to read so that k are good, those of slow drives last.
    fn cells_to_rebuild_from(&self) -> Result<Vec<(usize, Vec<usize>)>, StorageError> {
        let mut more: Vec<(usize, Vec<usize>)> = (0..self.shards()).map(|shard| (shard, Vec::new())).collect();
        let mut order: Vec<usize> = (0..self.shards()).collect();
        if self.store.patience.some_spared() {
            order.sort_by_cached_key(|shard| self.is_spared(*shard));
        }
        for row in 0..self.plan.shape.rows() {
            let cells = self.row(row);
            if !cells.iter().any(|cell| matches!(cell, Cell::Bad(_) | Cell::Spared(_))) {
                continue;
            }
            // Those that are asked for are taken for good until they come.
            let good = cells.iter().filter(|cell| matches!(cell, Cell::Good(_) | Cell::Pending)).count();
            let unread = order.iter().copied().filter(|shard| matches!(cells[*shard], Cell::Unread));
            let mut lacking = self.k().saturating_sub(good);
            for shard in unread.take(lacking) {
                more[shard].1.push(row);
                lacking -= 1;
            }
            if lacking > 0 {
                return Err(self.beyond_repair());
            }
        }
        more.retain(|(_, rows)| !rows.is_empty());
        Ok(more)
    }

    fn beyond_repair(&self) -> StorageError {
        if self.offline {
            StorageError::Unavailable { why: format!("too few drives hold stripe {:?}", self.plan.stripe) }
        } else {
            StorageError::Corrupted { what: format!("stripe {:?}", self.plan.stripe) }
        }
    }

    /// Rebuilds the wanted cells that are bad; each of their rows has k good ones.
    fn rebuild(&mut self) -> Result<(), StorageError> {
        let wanted = self.wanted_cells();
        for row in 0..self.plan.shape.rows() {
            let in_row = wanted.iter().filter(|(at, _)| *at == row).map(|(_, column)| *column);
            let lost = in_row.filter(|column| matches!(self.row(row)[*column], Cell::Bad(_) | Cell::Spared(_)));
            let lost: Vec<usize> = lost.collect();
            if lost.is_empty() {
                continue;
            }
            let cell_bytes = self.plan.shape.cell_bytes(row);
            let mut spared = 0;
            let mut rebuilt: Vec<BytesMut> = lost
                .iter()
                .map(|column| match std::mem::replace(self.cell(row, *column), Cell::Bad(None)) {
                    Cell::Spared(piece) => {
                        spared += 1;
                        piece
                    }
                    Cell::Bad(Some(piece)) => piece,
                    _ => BytesMut::zeroed(cell_bytes),
                })
                .collect();
            self.rebuild_row(row, &lost, &mut rebuilt)?;
            DataMetrics::add(&self.store.metrics.cells_rebuilt, lost.len() as u64);
            DataMetrics::add(&self.store.metrics.cells_spared, spared);
            for (column, bytes) in lost.into_iter().zip(rebuilt) {
                *self.cell(row, column) = Cell::Good(bytes);
            }
        }
        Ok(())
    }

    fn rebuild_row(&self, row: usize, lost: &[usize], rebuilt: &mut [BytesMut]) -> Result<(), StorageError> {
        let shards: Vec<Option<&[u8]>> = self.row(row).iter().map(Cell::good).collect();
        let present: Vec<bool> = shards.iter().map(Option::is_some).collect();
        let mut out: Vec<&mut [u8]> = rebuilt.iter_mut().map(|cell| &mut cell[..]).collect();
        let plan = self.plan.shape.geometry().codec().plan(&present, lost);
        plan.and_then(|plan| plan.rebuild(&shards, &mut out)).map_err(|_| self.beyond_repair())
    }

    /// Joins the wanted cells into the buffer they were cut from.
    fn join(mut self) -> ReadBuf {
        let mut bytes = BytesMut::new();
        for (row, column) in self.wanted_cells() {
            let cell = std::mem::replace(self.cell(row, column), Cell::Unread);
            match cell {
                // Copies only if a late reader kept a piece and another took its place.
                Cell::Good(piece) => bytes.unsplit(piece),
                _ => unreachable!("every wanted cell is good or was rebuilt"),
            }
        }
        bytes.unsplit(std::mem::take(&mut self.tail));
        self.buffer.put_bytes(bytes);
        let start = self.plan.wanted.start - self.plan.cells().start;
        ReadBuf::new(self.buffer, start..start + self.plan.wanted.len())
    }
}

impl Cell {
    fn good(&self) -> Option<&[u8]> {
        match self {
            Self::Good(bytes) => Some(bytes),
            _ => None,
        }
    }
}
