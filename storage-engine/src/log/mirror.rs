//! One mirror at work: a thread that writes and syncs what it is given, in order.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::files::MirrorFiles;
use crate::drive::Drive;
use crate::failpoint::{Step, failpoint};
use crate::io::DriveFile;
use crate::sync::{mpsc, thread};

/// One batch, for one mirror.
pub(crate) struct WriteJob {
    pub(crate) batch: u64,
    /// Begin this segment first, with this header block.
    pub(crate) begin: Option<(u64, Arc<Vec<u8>>)>,
    pub(crate) offset: u64,
    pub(crate) bytes: Arc<Vec<u8>>,
}

/// What became of a batch on one mirror.
pub(crate) struct WriteDone {
    pub(crate) mirror: usize,
    pub(crate) batch: u64,
    pub(crate) result: io::Result<()>,
    /// How long the write and its sync took.
    pub(crate) took: Duration,
}

/// A live mirror, as the committer holds it. Dropping it ends its thread; a thread with no job at hand is
/// waited for.
pub(crate) struct Mirror {
    /// Stable for as long as the log is open; completions name it.
    pub(crate) number: usize,
    pub(crate) drive: Arc<Drive>,
    pub(crate) files: Arc<MirrorFiles>,
    jobs: Option<mpsc::Sender<WriteJob>>,
    thread: Option<thread::JoinHandle<()>>,
    /// It did not answer: its thread may be stuck for ever.
    pub(crate) silent: bool,
}

impl Mirror {
    /// Starts the thread; `file` is the open segment.
    pub(crate) fn start(
        number: usize,
        drive: Arc<Drive>,
        files: Arc<MirrorFiles>,
        file: Arc<dyn DriveFile>,
        done: mpsc::Sender<WriteDone>,
    ) -> io::Result<Self> {
        let (jobs, received) = mpsc::channel::<WriteJob>();
        let mut writer = Writer { files: files.clone(), file };
        let thread = thread::Builder::new().name(format!("log-mirror-{number}")).spawn(move || {
            while let Ok(job) = received.recv() {
                let (batch, begun) = (job.batch, Instant::now());
                let result = writer.write(&job);
                let took = begun.elapsed();
                // The buffer is the committer's again before it hears of the end.
                drop(job);
                if done.send(WriteDone { mirror: number, batch, result, took }).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { number, drive, files, jobs: Some(jobs), thread: Some(thread), silent: false })
    }

    /// Hands over a batch. At most one is outstanding, so the channel needs no bound.
    pub(crate) fn submit(&self, job: WriteJob) -> io::Result<()> {
        let sent = self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok());
        sent.ok_or_else(|| io::Error::other("the mirror's thread ended"))
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take().filter(|_| !self.silent)
            && thread.join().is_err()
        {
            tracing::error!(drive = %self.drive.id(), "a log mirror's thread panicked");
        }
    }
}

struct Writer {
    files: Arc<MirrorFiles>,
    file: Arc<dyn DriveFile>,
}

impl Writer {
    /// Returns once the batch is durable in a directory that still exists.
    fn write(&mut self, job: &WriteJob) -> io::Result<()> {
        match &job.begin {
            Some((sequence, header)) => {
                self.file = self.files.take_prepared(*sequence)?;
                // The first batch follows the header block: one write, one sync.
                self.file.write_at(0, &[IoSlice::new(header), IoSlice::new(&job.bytes)])?;
            }
            None => self.file.write_at(job.offset, &[IoSlice::new(&job.bytes)])?,
        }
        failpoint(Step::LogWritten);
        self.file.sync_data()?;
        failpoint(Step::LogSynced);
        // A write to a removed file succeeds and vanishes.
        if !self.file.is_linked()? {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the log segment was removed"));
        }
        self.files.io().check_alive()
    }
}
