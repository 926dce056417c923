//! Reading cells: from the page cache on the caller's thread, from the disk on the drive's own.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::sync::oneshot;

use super::DriveCore;
use super::error::DriveError;
use super::metrics::DataMetrics;
use crate::io::DriveFile;
use crate::segment::location::{ShardKey, ShardLocation};

/// One cell to be read: which row, and the buffer, as long as the cell.
#[derive(Debug)]
pub struct CellRead {
    /// Row in the stripe.
    pub row: usize,
    /// Filled when the read succeeds; not yet verified.
    pub bytes: BytesMut,
}

/// The cells of one column, on their way.
pub struct ColumnRead {
    done: Vec<(CellRead, Result<(), DriveError>)>,
    waiting: Option<oneshot::Receiver<CellResults>>,
}

type CellResults = Vec<(CellRead, Result<(), DriveError>)>;

impl ColumnRead {
    /// Whether every cell is here without waiting.
    pub fn is_ready(&self) -> bool {
        self.waiting.is_none()
    }

    /// Waits for all cells. Those whose drive stopped meanwhile are not among them.
    ///
    /// Cancel-safe: what was waited for is dropped with this.
    pub async fn finish(&mut self) -> CellResults {
        if let Some(waiting) = &mut self.waiting {
            let read = waiting.await.unwrap_or_default();
            self.waiting = None;
            self.done.extend(read);
        }
        std::mem::take(&mut self.done)
    }
}

pub(super) struct ReadJob {
    file: Arc<dyn DriveFile>,
    cells: Vec<(u64, CellRead)>,
    queued_us: u64,
    reply: oneshot::Sender<CellResults>,
}

pub(super) fn read_column(
    core: &DriveCore,
    key: &ShardKey,
    location: &ShardLocation,
    cells: Vec<CellRead>,
) -> ColumnRead {
    let (file, location) = match open_at(core, key, location) {
        Ok(found) => found,
        Err(error) => return failed(core, cells, &error),
    };
    let mut done = Vec::with_capacity(cells.len());
    let mut queued = Vec::new();
    for mut cell in cells {
        let offset = location.cell_offset(cell.row);
        // After one cell that is not cached the next are likely not either.
        if queued.is_empty() && matches!(file.try_read_cached(offset, &mut cell.bytes), Ok(true)) {
            done.push((cell, Ok(())));
        } else {
            queued.push((offset, cell));
        }
    }
    DataMetrics::add(&core.metrics.cells_cached, done.len() as u64);
    if queued.is_empty() {
        return ColumnRead { done, waiting: None };
    }
    DataMetrics::add(&core.metrics.cells_queued, queued.len() as u64);
    let (reply, waiting) = oneshot::channel();
    // A queue that is full or closed drops the job and its channel: the cells count as missing.
    let _ = core.reads.push(ReadJob { file, cells: queued, queued_us: core.env.clock.now_us(), reply });
    ColumnRead { done, waiting: Some(waiting) }
}

/// The file that holds a shard. Compaction may have moved it since it was located: then the file is gone,
/// and the index says where it is now. A file that was opened can be read even after it was removed.
fn open_at(
    core: &DriveCore,
    key: &ShardKey,
    location: &ShardLocation,
) -> io::Result<(Arc<dyn DriveFile>, ShardLocation)> {
    let mut location = location.clone();
    loop {
        let error = match core.segments.file(&*core.io, location.segment) {
            Ok(file) => return Ok((file, location)),
            Err(error) => error,
        };
        match core.index.shard(key) {
            // Each round follows one more move of the same shard.
            Ok(Some(now)) if error.kind() == io::ErrorKind::NotFound && now.segment != location.segment => {
                location = now;
            }
            _ => return Err(error),
        }
    }
}

fn failed(core: &DriveCore, cells: Vec<CellRead>, error: &std::io::Error) -> ColumnRead {
    core.counts.add_read_error();
    tracing::warn!(drive = %core.id, %error, "cannot open a segment");
    let again = |cell| (cell, Err(DriveError::from_io("open of a segment", error.kind().into())));
    ColumnRead { done: cells.into_iter().map(again).collect(), waiting: None }
}

/// Serves the queue until it is closed.
pub(super) fn run(core: &Arc<DriveCore>) {
    while let Some(job) = core.reads.pop() {
        if job.reply.is_closed() {
            continue;
        }
        let read = job.cells.into_iter().map(|(offset, mut cell)| {
            let result = job.file.read_at(offset, &mut cell.bytes).map_err(|error| {
                core.counts.add_read_error();
                tracing::warn!(drive = %core.id, %error, "cannot read a cell");
                DriveError::from_io("read of a cell", error)
            });
            (cell, result)
        });
        let read = read.collect();
        core.read_latency.note(core.env.clock.now_us().saturating_sub(job.queued_us));
        drop(job.reply.send(read));
    }
}
