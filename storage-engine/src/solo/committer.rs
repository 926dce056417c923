//! The thread that orders, logs and applies commands.
//!
//! A batch grows while the one before it is being synced: proposals queue, and when the sync ends
//! all that fit are taken at once. While the mirrors sync a batch, the committer applies the one
//! before and answers its proposers. So a command costs two hand-overs and a share of one sync.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use super::health::Health;
use super::machine::Machine;
use super::message::{AttachReply, KeeperMessage, Message, Proposal};
use crate::error::{StorageError, chain};
use crate::failpoint::{Step, failpoint};
use crate::log::copy::Candidate;
use crate::log::{LogError, MirroredLog};
use crate::namespace::command::{Applied, Command};
use crate::sync::block_on;
use crate::sync::mpsc::Sender;

/// The most entries in one batch.
const BATCH_ENTRIES_MAX: usize = 4096;
/// The most that the committer copies to a new mirror between two batches.
const ATTACH_BYTES_MAX: u64 = 4 << 20;

pub(super) struct Committer<M> {
    log: MirroredLog,
    machine: Arc<M>,
    inbox: UnboundedReceiver<Message>,
    /// Taken from the queue, but too large for the batch at hand.
    carried: Option<Proposal>,
    /// Taken from the queue while a batch was gathered: its turn is after that batch.
    deferred: Option<Message>,
    keeper: Sender<KeeperMessage>,
    health: Arc<Health>,
    /// On the mirrors that are left, but too few: waits for another mirror.
    in_doubt: Option<Batch>,
}

/// Proposals that are one batch of the log.
struct Batch {
    /// In order; answered when applied, unless the proposer was told otherwise before.
    proposals: Vec<Proposal>,
    /// Index of the first.
    first: u64,
}

/// Whether the committer goes on after a message.
#[derive(PartialEq, Eq)]
enum Flow {
    GoOn,
    Stop,
}

/// What the queue holds next.
enum Next {
    Batch(Vec<Proposal>),
    Other(Box<Message>),
    Nothing,
}

impl<M: Machine> Committer<M> {
    pub(super) fn new(
        log: MirroredLog,
        machine: Arc<M>,
        inbox: UnboundedReceiver<Message>,
        keeper: Sender<KeeperMessage>,
        health: Arc<Health>,
    ) -> Self {
        Self { log, machine, inbox, carried: None, deferred: None, keeper, health, in_doubt: None }
    }

    /// Runs until it is told to stop or nobody can propose any more.
    pub(super) fn run(mut self) {
        let mut durable: Option<Batch> = None;
        loop {
            let next = self.next(durable.is_some());
            match next {
                Next::Batch(proposals) => {
                    let submitted = self.submit(proposals);
                    self.apply(durable.take());
                    durable = submitted.and_then(|batch| self.wait(batch));
                }
                Next::Nothing => self.apply(durable.take()),
                Next::Other(message) => {
                    self.apply(durable.take());
                    if self.handle(*message) == Flow::Stop {
                        break;
                    }
                }
            }
        }
        self.refuse_the_rest();
    }

    /// The next batch or message; with `busy` set, `Nothing` instead of waiting.
    fn next(&mut self, busy: bool) -> Next {
        let first = match self.carried.take() {
            Some(proposal) => proposal,
            None => match self.receive(busy) {
                Some(Message::Propose(proposal)) => proposal,
                Some(other) => return Next::Other(Box::new(other)),
                None if busy => return Next::Nothing,
                None => return Next::Other(Box::new(Message::Stop)),
            },
        };
        self.gather(first)
    }

    fn receive(&mut self, busy: bool) -> Option<Message> {
        if let Some(message) = self.deferred.take() {
            return Some(message);
        }
        if !busy {
            return block_on(self.inbox.recv());
        }
        self.inbox.try_recv().ok()
    }

    /// Takes what is queued, as much as one batch holds.
    fn gather(&mut self, first: Proposal) -> Next {
        let room = self.log.config().batch_bytes_max();
        let mut bytes = MirroredLog::encoded_bytes(first.payload.len());
        let mut proposals = vec![first];
        while proposals.len() < BATCH_ENTRIES_MAX {
            match self.inbox.try_recv() {
                Ok(Message::Propose(proposal)) => {
                    let more = MirroredLog::encoded_bytes(proposal.payload.len());
                    if bytes + more > room {
                        self.carried = Some(proposal);
                        break;
                    }
                    bytes += more;
                    proposals.push(proposal);
                }
                Ok(other) => {
                    self.deferred = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        Next::Batch(proposals)
    }

    /// Hands a batch to the mirrors; refuses it if that cannot be.
    fn submit(&mut self, proposals: Vec<Proposal>) -> Option<Batch> {
        if let Some(why) = self.health.poisoned() {
            refuse(proposals, || StorageError::Poisoned { why: why.clone() });
            return None;
        }
        let payloads: Vec<&[u8]> = proposals.iter().map(|proposal| proposal.payload.as_slice()).collect();
        let first = self.log.next_index();
        match self.log.submit(&payloads) {
            Ok(()) => Some(Batch { proposals, first }),
            Err(error) => {
                if matches!(error, LogError::Full) {
                    // A checkpoint gives segments back.
                    self.health.want_checkpoint();
                }
                self.wake_keeper();
                refuse(proposals, || refusal(&error));
                None
            }
        }
    }

    /// Waits for the batch at the mirrors; answers it once it is durable.
    fn wait(&mut self, batch: Batch) -> Option<Batch> {
        let waited = self.log.wait();
        if self.health.note_log(&self.log) {
            self.wake_keeper();
        }
        match waited {
            Ok(_) => Some(batch),
            Err(error) => {
                tracing::error!(error = chain(&error), first = batch.first, "a batch waits for another log mirror");
                self.in_doubt = Some(batch);
                self.wake_keeper();
                None
            }
        }
    }

    /// Applies a durable batch and answers its proposers.
    fn apply(&mut self, batch: Option<Batch>) {
        let Some(Batch { proposals, first }) = batch else { return };
        let (mut entries, mut answers) = (Vec::with_capacity(proposals.len()), Vec::with_capacity(proposals.len()));
        for (index, Proposal { command, answer, _room: room, .. }) in (first..).zip(proposals) {
            entries.push((index, command));
            answers.push((answer, room));
        }
        match self.try_apply(&entries) {
            Ok(applied) => {
                self.health.freed(&applied);
                for ((answer, _room), applied) in answers.into_iter().zip(applied) {
                    // A proposer that went away does not hear of it; the command holds.
                    let _ = answer.send(Ok(applied));
                    failpoint(Step::Answered);
                }
            }
            Err(why) => {
                for (answer, _room) in answers {
                    let _ = answer.send(Err(StorageError::Poisoned { why: why.clone() }));
                }
            }
        }
    }

    /// Once a batch could not be applied no later one is: the state must not skip an entry.
    fn try_apply(&self, entries: &[(u64, Command)]) -> Result<Vec<Applied>, String> {
        if let Some(why) = self.health.poisoned() {
            return Err(why);
        }
        failpoint(Step::ApplyBegun);
        let applied = self.machine.apply_batch(entries);
        failpoint(Step::ApplyDone);
        applied.map_err(|error| {
            let cause = chain(&error);
            let why = format!("the index could not follow the log: {cause}");
            tracing::error!(error = cause, first = entries.first().map(|(index, _)| index), "cannot apply a batch");
            self.health.poison(&why, error.is_corruption());
            why
        })
    }

    fn handle(&mut self, message: Message) -> Flow {
        match message {
            Message::Attach(candidate, reply) => {
                let answer = self.attach(candidate);
                // The keeper waits for it, unless it was told to stop.
                let _ = reply.send(answer);
                self.settle();
            }
            Message::DropMirror(drive, error) => self.log.drop_mirror(drive, error),
            Message::DropDead => {
                self.log.drop_dead_mirrors();
            }
            Message::DrivesChanged => self.log.drives_changed(),
            Message::NoCandidate => self.tell_waiting(),
            // Proposals are gathered into batches before they get here.
            Message::Propose(proposal) => self.carried = Some(proposal),
            Message::Stop => return Flow::Stop,
        }
        if self.health.note_log(&self.log) {
            self.wake_keeper();
        }
        Flow::GoOn
    }

    fn attach(&mut self, mut candidate: Candidate) -> AttachReply {
        let view = self.log.shared().view();
        if candidate.behind(&view, self.log.position()) > ATTACH_BYTES_MAX {
            return AttachReply::Behind(candidate);
        }
        let drive = candidate.drive.id();
        let copied = candidate.copy_to(&view, self.log.position()).and_then(|()| candidate.ready());
        let attached = copied
            .map_err(|source| LogError::Io { op: "copy the log", drive, source })
            .and_then(|ready| self.log.attach(ready));
        match attached {
            Ok(()) => AttachReply::Attached,
            Err(error) => AttachReply::Failed(error),
        }
    }

    /// Applies the batch in doubt once there are mirrors enough again.
    fn settle(&mut self) {
        let Some(batch) = self.in_doubt.take() else { return };
        match self.log.settle() {
            Ok(_) => {
                tracing::info!(first = batch.first, "the batch in doubt is durable");
                self.apply(Some(batch));
            }
            Err(_) => self.in_doubt = Some(batch),
        }
    }

    /// Answers the proposers of the batch in doubt; their commands hold if a mirror comes.
    fn tell_waiting(&mut self) {
        let Some(batch) = &mut self.in_doubt else { return };
        let why = "too few log mirrors are left to confirm the write; it may hold later";
        for proposal in &mut batch.proposals {
            let (nobody, _) = tokio::sync::oneshot::channel();
            let answer = std::mem::replace(&mut proposal.answer, nobody);
            let _ = answer.send(Err(StorageError::Unavailable { why: why.into() }));
        }
    }

    fn wake_keeper(&self) {
        // A keeper that is gone was told to stop.
        let _ = self.keeper.send(KeeperMessage::Wake);
    }

    fn refuse_the_rest(&mut self) {
        self.tell_waiting();
        self.inbox.close();
        let mut rest: Vec<Proposal> = self.carried.take().into_iter().collect();
        while let Ok(message) = self.inbox.try_recv() {
            if let Message::Propose(proposal) = message {
                rest.push(proposal);
            }
        }
        refuse(rest, || StorageError::Closed);
    }
}

fn refuse(proposals: Vec<Proposal>, error: impl Fn() -> StorageError) {
    for proposal in proposals {
        let _ = proposal.answer.send(Err(error()));
    }
}

/// What a proposer hears of a batch of which nothing was written.
fn refusal(error: &LogError) -> StorageError {
    match error {
        LogError::Full => StorageError::Full,
        LogError::TooLarge { len_bytes, .. } => StorageError::TooLarge { len_bytes: *len_bytes },
        other => StorageError::Unavailable { why: chain(other) },
    }
}
