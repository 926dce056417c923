//! What other threads than the committer see of the log.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use super::files::MirrorFiles;
use super::status::LogCounts;
use crate::drive::{Drive, LogMembership};
use crate::failpoint::{Step, failpoint};
use crate::ids::DriveId;
use crate::sync::{Mutex, MutexGuard, mpsc, thread};

/// A drive that is silent for this long has failed.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Dropped mirrors that are remembered.
const DROPPED_MAX: usize = 64;

/// What other threads see of the log.
pub(crate) struct LogShared {
    view: Mutex<LogView>,
    pub(crate) counts: LogCounts,
}

/// Where the log is, for recycling, copying and status.
#[derive(Clone)]
pub(crate) struct LogView {
    /// Oldest first; the last is being written.
    pub(crate) segments: Vec<SegmentSpan>,
    pub(crate) mirrors: Vec<(Arc<Drive>, Arc<MirrorFiles>)>,
    pub(crate) durable: u64,
    pub(crate) epoch: u64,
    pub(crate) term: u64,
    /// Drives dropped since the start, with why.
    pub(crate) dropped: Vec<Dropped>,
    /// How many there were.
    pub(crate) drops: u64,
}

/// A mirror that was dropped.
#[derive(Debug, Clone)]
pub(crate) struct Dropped {
    pub(crate) drive: DriveId,
    /// The drive as it was then: opened again, it is another.
    pub(crate) was: Weak<Drive>,
    pub(crate) why: String,
    /// It had no space left, and may come back when it has.
    pub(crate) full: bool,
    /// It did not answer: a thread may be stuck in a write to it.
    pub(crate) silent: bool,
}

impl LogView {
    /// Remembers a dropped mirror; of many, the last ones.
    pub(crate) fn note_dropped(&mut self, dropped: Dropped) {
        if self.dropped.len() >= DROPPED_MAX {
            self.dropped.remove(0);
        }
        self.dropped.push(dropped);
        self.drops += 1;
    }
}

/// One segment of the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentSpan {
    pub(crate) sequence: u64,
    pub(crate) first_index: u64,
    /// Durable up to this offset.
    pub(crate) end: u64,
    /// Index after the last durable entry.
    pub(crate) end_index: u64,
}

impl LogShared {
    pub(crate) fn new(segments: Vec<SegmentSpan>, durable: u64, membership: &LogMembership) -> Self {
        let view = LogView {
            segments,
            mirrors: Vec::new(),
            durable,
            epoch: membership.epoch,
            term: membership.term,
            dropped: Vec::new(),
            drops: 0,
        };
        Self { view: Mutex::new(view), counts: LogCounts::default() }
    }

    pub(crate) fn view(&self) -> LogView {
        self.lock().clone()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, LogView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the segments that only hold entries up to `index`, and recycles their files.
    ///
    /// A mirror where that fails keeps a file that the next start puts away.
    pub(crate) fn recycle_up_to(&self, index: u64) {
        let (old, mirrors) = {
            let mut view = self.lock();
            let needed = view.segments.windows(2).take_while(|pair| pair[1].first_index <= index + 1).count();
            (view.segments.drain(..needed).collect::<Vec<_>>(), view.mirrors.clone())
        };
        for span in old {
            for (drive, files) in &mirrors {
                if let Err(error) = files.recycle(span.sequence) {
                    tracing::warn!(drive = %drive.id(), segment = span.sequence, %error, "cannot recycle a log segment");
                }
                failpoint(Step::LogSegmentRecycled);
            }
        }
    }
}

/// A thread that makes the next segment's file on each mirror while the current one fills.
///
/// Dropping it waits for the thread: a file made after the log was opened again would be a segment lost.
pub(crate) struct Preparer {
    wanted: Option<mpsc::Sender<u64>>,
    /// Disconnects when the thread ends.
    ended: mpsc::Receiver<()>,
}

impl Preparer {
    pub(crate) fn start(shared: Arc<LogShared>) -> Self {
        let (wanted, sequences) = mpsc::channel::<u64>();
        let (alive, ended) = mpsc::channel();
        let work = move || {
            let _alive: mpsc::Sender<()> = alive;
            while let Ok(sequence) = sequences.recv() {
                for (drive, files) in shared.view().mirrors {
                    if let Err(error) = files.prepare(sequence) {
                        tracing::warn!(drive = %drive.id(), %error, "cannot prepare the next log segment");
                    }
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("log-prepare".into()).spawn(work) {
            tracing::warn!(%error, "no thread to prepare log segments");
        }
        Self { wanted: Some(wanted), ended }
    }

    /// Asks for segment `sequence`. If the thread is gone the segment is made when it is needed.
    pub(crate) fn want(&self, sequence: u64) {
        let _ = self.wanted.as_ref().map(|wanted| wanted.send(sequence));
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.wanted = None;
        // Not for ever: a drive may be stuck.
        let _ = self.ended.recv_timeout(SILENCE_MAX);
    }
}
