//! Which drives hold the log, as every drive's superblock says.
//!
//! The newest epoch that any drive at hand knows is the truth. It is written to every usable
//! drive, mirror or not, before anything is acknowledged under it: a mirror that was dropped and
//! comes back is then known to be stale as long as one other drive is there.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::shared::SILENCE_MAX;
use crate::drive::{Drive, DriveState, LogMembership};
use crate::ids::DriveId;
use crate::sync::{mpsc, thread};

/// The newest membership on any of the drives; epoch 0 when the log was never begun.
pub(crate) fn newest(drives: &[Arc<Drive>]) -> LogMembership {
    drives.iter().map(|drive| drive.log_membership()).max_by_key(|found| found.epoch).unwrap_or_default()
}

/// A drive that is slow beyond its peers, and no mirror, is waited for no longer than this: it is told beside the rest.
const SLOW_ANSWER_MAX: Duration = Duration::from_millis(100);

/// Tells drives who holds the log, and waits for none that hangs: a disk that answers nothing must not
/// stop the log, and a write to its superblock would.
pub(crate) struct Herald {
    /// A drive that is silent for this long has failed.
    silence_max: Duration,
    hanging: Vec<Hanging>,
}

/// A drive that did not answer. Opened again it is another, and told again.
struct Hanging {
    drive: Weak<Drive>,
    /// Of the thread that is in its superblock; `None` while there is none.
    answer: Option<mpsc::Receiver<io::Result<()>>>,
}

impl Default for Herald {
    fn default() -> Self {
        Self { silence_max: SILENCE_MAX, hanging: Vec::new() }
    }
}

impl Herald {
    pub(crate) fn silence_max(&self) -> Duration {
        self.silence_max
    }

    /// Waits less long for drives that hang.
    #[cfg(test)]
    pub(crate) fn set_silence_max(&mut self, silence_max: Duration) {
        self.silence_max = silence_max;
    }

    /// A drive is known to hang: it is told, and its answer not waited for.
    pub(crate) fn note_silent(&mut self, drive: &Arc<Drive>) {
        self.hanging.push(Hanging { drive: Arc::downgrade(drive), answer: None });
    }

    /// Writes a membership to every drive that still works, one after the other; says where it failed.
    pub(crate) fn publish(&mut self, drives: &[Arc<Drive>], membership: &LogMembership) -> Vec<(DriveId, io::Error)> {
        self.hanging.retain(|hanging| hanging.drive.strong_count() > 0);
        let mut refused = Vec::new();
        for drive in drives {
            if let Err(error) = self.tell(drive, membership) {
                tracing::warn!(drive = %drive.id(), epoch = membership.epoch, %error, "the drive does not know the log's mirrors");
                refused.push((drive.id(), error));
            }
        }
        refused
    }

    fn tell(&mut self, drive: &Arc<Drive>, membership: &LogMembership) -> io::Result<()> {
        let silent = || io::Error::new(io::ErrorKind::TimedOut, "the drive does not answer");
        let was = Arc::downgrade(drive);
        let known = self.hanging.iter().position(|hanging| hanging.drive.ptr_eq(&was));
        let spared = drive.state() == DriveState::Slow && !membership.mirrors.contains(&drive.id());
        let mut wait = if spared { SLOW_ANSWER_MAX.min(self.silence_max) } else { self.silence_max };
        if let Some(at) = known {
            let answer = self.hanging[at].answer.as_ref();
            // One write at a time: an older epoch must not come after a newer one.
            if answer.is_some_and(|answer| matches!(answer.try_recv(), Err(mpsc::TryRecvError::Empty))) {
                return Err(silent());
            }
            if self.hanging.swap_remove(at).answer.is_none() {
                wait = Duration::ZERO;
            }
        }
        let (done, answer) = mpsc::channel();
        let (told, news) = (drive.clone(), membership.clone());
        let write = move || {
            let written = told.io().check_alive().and_then(|()| told.set_log_membership(&news));
            drop(told);
            // Nobody may wait for it any more.
            let _ = done.send(written);
        };
        thread::Builder::new().name("log-membership".into()).spawn(write)?;
        match answer.recv_timeout(wait) {
            Ok(written) => written,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.hanging.push(Hanging { drive: was, answer: Some(answer) });
                Err(silent())
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(io::Error::other("the write of the superblock panicked")),
        }
    }
}
