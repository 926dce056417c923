//! What travels between proposers, the committer and the keeper.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::scrub::{MendedFiles, MirrorDamage};
use crate::error::StorageError;
use crate::ids::DriveId;
use crate::log::LogError;
use crate::log::copy::Candidate;
use crate::namespace::command::{Applied, Command};
use crate::sync::mpsc;

/// To the committer.
pub(super) enum Message {
    /// Append and apply.
    Propose(Proposal),
    /// Copy the rest of the log to this drive and make it a mirror.
    Attach(Candidate, mpsc::Sender<AttachReply>),
    /// Drop this mirror: a checkpoint could not be written there.
    DropMirror(DriveId, std::io::Error),
    /// Drop the mirrors whose drive is gone.
    DropDead,
    /// Other drives are at hand than before: they are told who holds the log.
    DrivesChanged,
    /// No drive can become a mirror now: whoever waits for one is told so.
    NoCandidate,
    /// Finish what is queued and end.
    Stop,
}

/// One command on its way.
pub(super) struct Proposal {
    pub(super) command: Command,
    /// Encoded.
    pub(super) payload: Vec<u8>,
    pub(super) answer: oneshot::Sender<Result<Applied, StorageError>>,
    /// Gives the queue's bytes back when the proposal ends.
    pub(super) _room: OwnedSemaphorePermit,
}

/// What became of an attach.
pub(super) enum AttachReply {
    Attached,
    /// Too far behind to be copied between two batches: copy more first.
    Behind(Candidate),
    Failed(LogError),
}

/// To the keeper.
pub(super) enum KeeperMessage {
    /// There may be something to do.
    Wake,
    /// Take a checkpoint now and say how it went.
    Checkpoint(mpsc::Sender<Result<u64, String>>),
    /// Mend what a check found on one mirror, and say how many bytes that took.
    MendMirror(MirrorDamage, mpsc::Sender<Result<u64, String>>),
    /// Mend the files of the index from the newest checkpoint.
    MendIndex(mpsc::Sender<Result<MendedFiles, String>>),
    /// End.
    Stop,
}
