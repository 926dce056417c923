//! What the drives answer: a stripe counts when the write quorum has it, and at the end every drive that holds one has
//! synced. Drives that are late are left behind, counted, and what they missed is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::BlobWriter;
use crate::blob::{StoreCore, below_quorum};
use crate::drive::{DataMetrics, Drive, DriveError, Segment};
use crate::error::StorageError;
use crate::ids::DriveId;
use crate::namespace::command::MissingShard;

/// A drive that has not answered for this long is taken out of service.
const LATE_DRIVE_MAX: Duration = Duration::from_secs(10);
/// How long a write waits for its quorum, or for the last sync of a drive.
const DRIVE_ANSWER_MAX: Duration = Duration::from_secs(30);

type AppendAnswer = oneshot::Receiver<Result<Arc<Segment>, DriveError>>;

/// A stripe that its drives have not all answered for.
pub(super) struct InFlight {
    /// One per shard; `None` once it answered, or if the drive is not there.
    answers: Vec<Option<AppendAnswer>>,
    begun: Instant,
    /// Where the shards that were answered for are.
    segments: Vec<Option<Arc<Segment>>>,
    errors: Vec<DriveError>,
}

impl InFlight {
    /// A stripe that was queued just now.
    pub(super) fn new(answers: Vec<Option<AppendAnswer>>) -> Self {
        let segments = vec![None; answers.len()];
        Self { answers, begun: Instant::now(), segments, errors: Vec::new() }
    }

    /// Waits for the answers that are still out, until `deadline`. Cancel-safe.
    async fn collect(&mut self, deadline: Instant) {
        for (answer, segment) in self.answers.iter_mut().zip(&mut self.segments) {
            let Some(waiting) = answer else { continue };
            match timeout_at(deadline, waiting).await {
                Ok(Ok(Ok(written))) => *segment = Some(written),
                Ok(Ok(Err(error))) => self.errors.push(error),
                Ok(Err(_closed)) => {}
                Err(_elapsed) => continue,
            }
            *answer = None;
        }
    }

    fn stored(&self) -> usize {
        self.segments.iter().flatten().count()
    }
}

/// Where each shard of a stripe was written; `None` for one that the write does without.
pub(super) struct StoredStripe {
    segments: Vec<Option<Arc<Segment>>>,
}

impl BlobWriter {
    /// Waits until the drives have answered for the oldest stripe in flight.
    ///
    /// Cancel-safe: answers that came are kept with the stripe.
    pub(super) async fn await_oldest(&mut self) -> Result<(), StorageError> {
        let drives = self.placement.targets(self.stored.len() as u32).into_owned();
        let quorum = self.geometry.write_quorum();
        let Some(oldest) = self.in_flight.front_mut() else { return Ok(()) };
        oldest.collect(oldest.begun + self.store.patience.write()).await;
        if oldest.stored() < quorum || !self.store.may_hedge_write() {
            oldest.collect(oldest.begun + LATE_DRIVE_MAX).await;
        }
        if oldest.stored() < quorum {
            oldest.collect(oldest.begun + DRIVE_ANSWER_MAX).await;
        }
        let Some(answered) = self.in_flight.pop_front() else { return Ok(()) };
        let InFlight { answers, begun, segments, errors } = answered;
        let stored = segments.iter().flatten().count();
        self.stored.push(StoredStripe { segments });
        if stored < quorum {
            let error = below_quorum(stored, quorum, &errors);
            if matches!(error, StorageError::Full) {
                self.store.space_wanted.notify_one();
            }
            return Err(error);
        }
        // Others answered, so the late ones are to blame, and not the machine.
        for (answer, drive) in answers.into_iter().zip(drives) {
            if let (Some(answer), Some(drive)) = (answer, self.store.drive(drive)) {
                self.store.go_on_without(drive, begun, answer);
            }
        }
        Ok(())
    }

    /// Syncs the drives that hold a stripe but got no sync with the last one.
    pub(super) async fn sync_other_drives(&mut self) {
        let last = self.stored.len() as u32;
        let ended_short = !self.total_bytes.is_multiple_of(self.stripe_bytes as u64);
        let synced: Vec<DriveId> = match self.stored.last() {
            Some(stripe) if ended_short => {
                let drives = self.placement.targets(last - 1);
                drives.iter().zip(&stripe.segments).filter_map(|(drive, held)| held.as_ref().map(|_| *drive)).collect()
            }
            _ => Vec::new(),
        };
        let mut syncs: HashMap<DriveId, oneshot::Receiver<Result<(), DriveError>>> = HashMap::new();
        for (index, stripe) in self.stored.iter().enumerate() {
            for (drive, held) in self.placement.targets(index as u32).iter().zip(&stripe.segments) {
                if held.is_some()
                    && !synced.contains(drive)
                    && !syncs.contains_key(drive)
                    && let Some(open) = self.store.drive(*drive)
                {
                    syncs.insert(*drive, Drive::sync(&open));
                }
            }
        }
        let begun = Instant::now();
        let patience = begun + self.store.patience.write();
        let mut late = Vec::new();
        for (drive, mut answer) in syncs {
            match timeout_at(patience, &mut answer).await {
                Ok(Ok(Ok(()))) => {}
                Ok(_) => self.forget_drive(drive),
                Err(_elapsed) => late.push((drive, answer)),
            }
        }
        let hedge = self.has_quorum_without(&late) && self.store.may_hedge_write();
        for (drive, mut answer) in late {
            if hedge {
                self.forget_drive(drive);
                if let Some(drive) = self.store.drive(drive) {
                    self.store.go_on_without(drive, begun, answer);
                }
            } else if !matches!(timeout_at(begun + DRIVE_ANSWER_MAX, &mut answer).await, Ok(Ok(Ok(())))) {
                self.forget_drive(drive);
            }
        }
    }

    /// Whether every stripe is on enough drives besides those that are late.
    fn has_quorum_without<T>(&self, late: &[(DriveId, T)]) -> bool {
        let is_late = |drive: &DriveId| late.iter().any(|(other, _)| other == drive);
        self.stored.iter().enumerate().all(|(index, stripe)| {
            let drives = self.placement.targets(index as u32);
            let drives = drives.iter().zip(&stripe.segments);
            drives.filter(|(drive, held)| held.is_some() && !is_late(drive)).count() >= self.geometry.write_quorum()
        })
    }

    /// Nothing on this drive is known to be durable.
    fn forget_drive(&mut self, drive: DriveId) {
        for (index, stripe) in self.stored.iter_mut().enumerate() {
            for (holder, held) in self.placement.targets(index as u32).iter().zip(&mut stripe.segments) {
                if *holder == drive {
                    *held = None;
                }
            }
        }
    }

    /// Counts what is durable now that every drive has synced; lists what is missing.
    pub(super) fn settle(&self) -> Result<Vec<MissingShard>, StorageError> {
        let quorum = self.geometry.write_quorum();
        let mut missing = Vec::new();
        for (index, stripe) in self.stored.iter().enumerate() {
            let durable = |held: &Option<Arc<Segment>>| held.as_ref().is_some_and(|segment| !segment.is_poisoned());
            let stored = stripe.segments.iter().filter(|held| durable(held)).count();
            if stored < quorum {
                return Err(below_quorum(stored, quorum, &[DriveError::Poisoned]));
            }
            let lost = stripe.segments.iter().enumerate().filter(|(_, held)| !durable(held));
            missing.extend(
                lost.map(|(shard, _)| MissingShard { stripe: self.first.nth(index as u32), shard_index: shard as u8 }),
            );
        }
        Ok(missing)
    }
}

impl StoreCore {
    /// Leaves a late drive behind: it is counted, and taken out of service if the answer never comes.
    fn go_on_without<T: Send + 'static>(
        &self,
        drive: Arc<Drive>,
        begun: Instant,
        answer: oneshot::Receiver<Result<T, DriveError>>,
    ) {
        DataMetrics::add(&self.metrics.writes_hedged, 1);
        drive.note_late();
        tokio::spawn(async move {
            if timeout_at(begun + LATE_DRIVE_MAX, answer).await.is_err() {
                drive.fail(&format!("no answer to a write within {} s", LATE_DRIVE_MAX.as_secs()));
            }
        });
    }
}
