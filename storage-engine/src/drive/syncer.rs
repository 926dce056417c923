//! The thread that makes records durable: one `fdatasync` for all that wait on a segment.
//!
//! While it waits for the disk the appender goes on, so that the next sync covers all that came
//! meanwhile. A failed sync is never retried: the segment is poisoned, its waiters fail.

use std::io::IoSlice;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::DriveCore;
use super::error::DriveError;
use super::health::Health;
use super::index::IndexBatch;
use super::metrics::DataMetrics;
use super::segments::Segment;
use crate::failpoint::{Step, failpoint};
use crate::segment::footer::{DirectoryEntry, encode_footer};

/// Jobs taken at once.
const BATCH_JOBS_MAX: usize = 4096;

pub(super) enum SyncJob {
    /// Makes a segment durable.
    Sync(Arc<Segment>, SyncReply),
    /// Answers when all that was queued before is done.
    Barrier(SyncReply),
    /// Closes a segment with a footer and makes it durable.
    Seal(SealJob),
    /// Flushes the index and answers.
    Close(oneshot::Sender<Result<(), DriveError>>),
}

pub(super) enum SyncReply {
    /// Since when it waits, in microseconds.
    Append(u64, oneshot::Sender<Result<Arc<Segment>, DriveError>>),
    /// Since when it waits, in microseconds.
    Sync(u64, oneshot::Sender<Result<(), DriveError>>),
    /// Of work in the background, whose time says nothing.
    Plain(oneshot::Sender<Result<(), DriveError>>),
    Nobody,
}

pub(super) struct SealJob {
    pub(super) segment: Arc<Segment>,
    pub(super) records_end: u64,
    pub(super) directory: Vec<DirectoryEntry>,
    pub(super) headers_hash: [u8; 32],
}

impl SyncReply {
    /// Since when a client's write waits.
    fn queued_us(&self) -> Option<u64> {
        match self {
            Self::Append(queued_us, _) | Self::Sync(queued_us, _) => Some(*queued_us),
            Self::Plain(_) | Self::Nobody => None,
        }
    }

    fn send(self, segment: Option<Arc<Segment>>, result: Result<(), DriveError>) {
        match self {
            Self::Append(_, reply) => {
                let segment = segment.ok_or(DriveError::Poisoned);
                drop(reply.send(result.and(segment)));
            }
            Self::Sync(_, reply) | Self::Plain(reply) => drop(reply.send(result)),
            Self::Nobody => {}
        }
    }
}

impl SyncJob {
    pub(super) fn refuse(self, health: &Health) {
        match self {
            Self::Sync(segment, reply) => {
                segment.poison();
                reply.send(None, Err(health.offline()));
            }
            Self::Barrier(reply) => reply.send(None, Err(health.offline())),
            Self::Seal(job) => job.segment.poison(),
            Self::Close(reply) => drop(reply.send(Err(health.offline()))),
        }
    }

    fn segment(&self) -> Option<&Arc<Segment>> {
        match self {
            Self::Sync(segment, _) => Some(segment),
            Self::Seal(job) => Some(&job.segment),
            Self::Barrier(_) | Self::Close(_) => None,
        }
    }
}

/// Serves the queue until it is closed.
pub(super) fn run(core: &Arc<DriveCore>) {
    loop {
        let jobs = core.syncs.pop_batch(BATCH_JOBS_MAX);
        if jobs.is_empty() {
            return;
        }
        make_durable(core, &jobs);
        for job in jobs {
            answer(core, job);
        }
    }
}

/// Syncs each segment of a batch once, in the order in which they were left.
fn make_durable(core: &DriveCore, jobs: &[SyncJob]) {
    let mut segments: Vec<&Arc<Segment>> = Vec::new();
    for segment in jobs.iter().filter_map(SyncJob::segment) {
        if !segments.iter().any(|seen| Arc::ptr_eq(seen, segment)) {
            segments.push(segment);
        }
    }
    for segment in segments.into_iter().filter(|segment| !segment.is_poisoned()) {
        let seal = jobs.iter().find_map(|job| match job {
            SyncJob::Seal(seal) if Arc::ptr_eq(&seal.segment, segment) => Some(seal),
            _ => None,
        });
        if let Err(error) = sync_segment(core, segment, seal) {
            segment.poison();
            core.segments.note_poisoned(segment.id);
            if core.check_alive().is_ok() && !crate::io::is_full(&error) {
                core.note_write_error("sync of a segment", &error);
            }
        }
    }
    // Syncs of a removed directory succeed: nobody may believe them.
    if core.check_alive().is_err() {
        jobs.iter().filter_map(SyncJob::segment).for_each(|segment| segment.poison());
    }
}

fn sync_segment(core: &DriveCore, segment: &Segment, seal: Option<&SealJob>) -> std::io::Result<()> {
    let sealed = seal.is_some_and(|seal| match write_footer(core, seal) {
        Ok(()) => true,
        Err(error) => {
            // Without a footer the segment is searched at the next start: no loss.
            tracing::warn!(drive = %core.id, segment = %segment.id, %error, "segment left without footer");
            false
        }
    });
    DataMetrics::add(&core.metrics.syncs, 1);
    failpoint(Step::SegmentUnsynced);
    segment.file.sync_data()?;
    failpoint(Step::SegmentSynced);
    if !segment.file.is_linked()? {
        core.fail("a segment was removed under the server");
        return Err(std::io::ErrorKind::NotFound.into());
    }
    if sealed {
        DataMetrics::add(&core.metrics.segments_sealed, 1);
        let mut batch = IndexBatch::default();
        let _rows = core.index.lock_rows();
        batch.put_segment(segment.id, &core.segments.seal(segment.id, core.env.clock.now_us()));
        if let Err(error) = core.index.write(batch) {
            tracing::warn!(drive = %core.id, %error, "sealed segment is read again at the next start");
        }
        failpoint(Step::SegmentSealed);
    }
    Ok(())
}

fn write_footer(core: &DriveCore, seal: &SealJob) -> std::io::Result<()> {
    let footer = encode_footer(seal.segment.id, seal.records_end, &seal.directory, seal.headers_hash);
    seal.segment.file.write_at(seal.records_end, &[IoSlice::new(&footer)])?;
    DataMetrics::add(&core.metrics.bytes_written, footer.len() as u64);
    // Gives back what was reserved and not used; the trailer is then the last block.
    seal.segment.file.set_len(seal.records_end + footer.len() as u64)?;
    failpoint(Step::FooterWritten);
    Ok(())
}

fn answer(core: &DriveCore, job: SyncJob) {
    if let SyncJob::Sync(_, reply) = &job
        && let Some(queued_us) = reply.queued_us()
    {
        core.write_latency.note(core.env.clock.now_us().saturating_sub(queued_us));
    }
    match job {
        SyncJob::Sync(segment, reply) => {
            DataMetrics::add(&core.metrics.sync_waiters, u64::from(!matches!(reply, SyncReply::Nobody)));
            let result = if segment.is_poisoned() { Err(DriveError::Poisoned) } else { Ok(()) };
            reply.send(Some(segment), result);
        }
        SyncJob::Barrier(reply) => {
            let result = if core.health.state().reads() { Ok(()) } else { Err(core.health.offline()) };
            reply.send(None, result);
        }
        SyncJob::Seal(_) => {}
        SyncJob::Close(reply) => {
            let flushed = core.index.flush().map_err(DriveError::from);
            drop(reply.send(flushed));
        }
    }
}
