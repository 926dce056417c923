//! Writing a blob: fill a stripe, code each row while it is hot, hand the stripe to its drives.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::{Placement, StoreCore, below_quorum};
use crate::budget::PooledBytes;
use crate::codec::Geometry;
use crate::drive::{DataMetrics, Drive, DriveError, Durability, Segment};
use crate::error::StorageError;
use crate::ids::{DriveId, StripeId};
use crate::namespace::command::MissingShard;
use crate::namespace::rows::{BlobRef, StripeRun};
use crate::segment::header::SegmentClass;
use crate::segment::shape::{CELL_BYTES, ROWS_MAX, StripeShape};
use crate::segment::stripe::{EncodedStripe, encode_row, parity_bytes};

/// Stripes of one blob that are with the drives while the next is filled.
const STRIPES_IN_FLIGHT_MAX: usize = 2;
/// A drive that has not answered for this long is taken out of service.
const LATE_DRIVE_MAX: Duration = Duration::from_secs(10);
/// How long a write waits for its quorum, or for the last sync of a drive.
const DRIVE_ANSWER_MAX: Duration = Duration::from_secs(30);

/// A blob that is durable on the write quorum, and not yet named by any row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenBlob {
    /// Where it is.
    pub blob: BlobRef,
    /// Shards that the write did without.
    pub missing: Vec<MissingShard>,
    /// BLAKE3 of the sealed bytes in order.
    pub blake3: [u8; 32],
}

/// A blob being written.
///
/// Dropped before [`BlobWriter::finish`] has answered `Ok`, it forgets what it wrote.
pub struct BlobWriter {
    store: Arc<StoreCore>,
    geometry: Geometry,
    placement: Placement,
    first: StripeId,
    stripe_bytes: usize,
    /// Up to this many bytes it stays in memory, in the answer.
    inline_bytes_max: usize,
    /// Up to this many bytes it becomes whole copies.
    copies_bytes_max: usize,
    len_hint: Option<u64>,
    total_bytes: u64,
    hasher: blake3::Hasher,
    current: Option<Filling>,
    in_flight: VecDeque<InFlight>,
    stored: Vec<StoredStripe>,
    submitted: u32,
    finished: bool,
}

/// The stripe that is being filled.
struct Filling {
    buffer: PooledBytes,
    /// Data bytes that the buffer takes.
    capacity: usize,
    parity_at: usize,
    filled: usize,
    /// Rows encoded, and bytes hashed: both trail `filled`.
    rows_done: usize,
    hashed: usize,
    crcs: Vec<u64>,
}

type AppendAnswer = oneshot::Receiver<Result<Arc<Segment>, DriveError>>;

/// A stripe that its drives have not all answered for.
struct InFlight {
    /// One per shard; `None` once it answered, or if the drive is not there.
    answers: Vec<Option<AppendAnswer>>,
    begun: Instant,
    /// Where the shards that were answered for are.
    segments: Vec<Option<Arc<Segment>>>,
    errors: Vec<DriveError>,
}

impl InFlight {
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
struct StoredStripe {
    segments: Vec<Option<Arc<Segment>>>,
}

impl BlobWriter {
    pub(super) fn new(store: Arc<StoreCore>, len_hint: Option<u64>) -> Self {
        let (layouts, geometry) = store.layouts();
        let first_group = store.next_group(layouts.newest().groups.len());
        Self::on(store, geometry, Placement::new(layouts, first_group), len_hint)
    }

    /// A stripe however few bytes it gets, on the next group whose drives all take writes.
    pub(super) fn for_pack(store: Arc<StoreCore>, len: u64) -> Option<Self> {
        let (layouts, geometry) = store.layouts();
        let groups = layouts.newest().groups.len();
        let takes_writes = |id: &DriveId| {
            let drive = store.drive(*id);
            drive.is_some_and(|drive| drive.state().writes() && !drive.is_leaving())
        };
        let mut next = (0..groups).map(|_| store.next_group(groups));
        let whole = next.find(|group| layouts.newest().groups[*group as usize].iter().all(takes_writes))?;
        let mut writer = Self::on(store, geometry, Placement::new(layouts, whole), Some(len));
        (writer.inline_bytes_max, writer.copies_bytes_max) = (0, 0);
        Some(writer)
    }

    fn on(store: Arc<StoreCore>, geometry: Geometry, placement: Placement, len_hint: Option<u64>) -> Self {
        let first = StripeId::first(store.env.now_ms(), store.env.random_bytes());
        store.leases.begin_write(first);
        Self {
            geometry,
            placement,
            first,
            stripe_bytes: store.stripe_bytes(geometry),
            inline_bytes_max: store.config.inline_bytes,
            copies_bytes_max: store.copies_bytes_max(geometry),
            len_hint,
            total_bytes: 0,
            hasher: blake3::Hasher::new(),
            current: None,
            in_flight: VecDeque::new(),
            stored: Vec::new(),
            submitted: 0,
            finished: false,
            store,
        }
    }

    /// The rest of the current stripe, never empty: the caller fills it from the front and then
    /// calls [`BlobWriter::advance`]. It stays where it is until it is used up.
    ///
    /// Waits for memory and for earlier stripes. Cancel-safe.
    ///
    /// # Errors
    /// [`StorageError::Full`] or [`StorageError::Unavailable`] when earlier stripes missed the quorum.
    pub async fn spare(&mut self) -> Result<&mut [u8], StorageError> {
        if self.current.is_none() {
            while self.in_flight.len() >= STRIPES_IN_FLIGHT_MAX {
                self.await_oldest().await?;
            }
            let expected = self.len_hint.map(|hint| hint.saturating_sub(self.total_bytes));
            self.current = Some(self.take_stripe(expected).await);
        }
        if self.current.as_ref().is_some_and(|stripe| stripe.filled == stripe.capacity) {
            self.grow().await;
        }
        let stripe = self.current.as_mut().expect("made above");
        Ok(&mut stripe.buffer[stripe.filled..stripe.capacity])
    }

    /// Takes the first `count` bytes of the window as written: they no longer change.
    ///
    /// # Panics
    /// If the window is shorter: a bug in the caller.
    pub fn advance(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let stripe = self.current.as_mut().expect("advance follows spare");
        assert!(count <= stripe.capacity - stripe.filled, "advanced past the window");
        stripe.filled += count;
        self.total_bytes += count as u64;
        let row_bytes = self.geometry.k() * CELL_BYTES;
        let full = StripeShape::new(self.geometry, self.stripe_bytes).expect("a full stripe has a shape");
        let id = self.first.nth(self.submitted);
        // What is announced to be so small will need no parity.
        let to_be_copies = self.len_hint.is_some_and(|hint| hint <= self.copies_bytes_max as u64);
        while !to_be_copies && (stripe.rows_done + 1) * row_bytes <= stripe.filled {
            stripe.finish_row(id, &full, &mut self.hasher);
        }
        if stripe.filled == self.stripe_bytes {
            self.submit(full, Durability::Written);
        }
    }

    /// Makes the blob durable: what remains is coded and written, then each drive syncs once.
    ///
    /// A blob of at most the inline limit stays in memory, in the answer.
    ///
    /// # Errors
    /// [`StorageError::Full`] or [`StorageError::Unavailable`] below the write quorum: the blob is
    /// forgotten.
    pub async fn finish(mut self) -> Result<WrittenBlob, StorageError> {
        if self.submitted == 0 && self.total_bytes <= self.inline_bytes_max as u64 {
            let bytes = self.current.as_ref().map_or(&[][..], |stripe| &stripe.buffer[..stripe.filled]);
            let blake3 = *blake3::hash(bytes).as_bytes();
            let blob = BlobRef::Inline(bytes.to_vec());
            return Ok(WrittenBlob { blob, missing: Vec::new(), blake3 });
        }
        if self.submitted == 0 && self.total_bytes <= self.copies_bytes_max as u64 {
            self.submit_copies();
        } else {
            self.submit_rest();
        }
        while !self.in_flight.is_empty() {
            self.await_oldest().await?;
        }
        self.sync_other_drives().await;
        let missing = self.settle()?;
        let blake3 = *self.hasher.finalize().as_bytes();
        DataMetrics::add(&self.store.metrics.bytes_stored, self.total_bytes);
        DataMetrics::add(&self.store.metrics.shards_missed, missing.len() as u64);
        let run = StripeRun { len_bytes: self.total_bytes, blake3, ..self.run() };
        self.finished = true;
        self.store.leases.end_write(self.first);
        Ok(WrittenBlob { blob: BlobRef::Stripes(run), missing, blake3 })
    }

    /// A buffer for the next stripe: whole, or just large enough for what is announced.
    async fn take_stripe(&self, expected: Option<u64>) -> Filling {
        let expected = expected.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(self.stripe_bytes);
        let shape = StripeShape::new(self.geometry, expected.clamp(1, self.stripe_bytes));
        let shape = shape.expect("between one byte and a stripe");
        let capacity = shape.padded_bytes().min(self.stripe_bytes);
        let buffer = self.store.budget.writers().take(capacity + parity_bytes(&shape)).await;
        Filling { buffer, capacity, parity_at: capacity, filled: 0, rows_done: 0, hashed: 0, crcs: Vec::new() }
    }

    /// More came than was announced: moves the stripe to a buffer for a whole one.
    async fn grow(&mut self) {
        let stripe = self.current.as_ref().expect("the caller has one");
        // The small buffer goes back first: holding one while waiting for another could wait forever.
        let (bytes, hashed) = (stripe.buffer[..stripe.filled].to_vec(), stripe.hashed);
        self.len_hint = None;
        self.current = None;
        let mut larger = self.take_stripe(None).await;
        larger.buffer[..bytes.len()].copy_from_slice(&bytes);
        larger.filled = bytes.len();
        larger.hashed = hashed;
        DataMetrics::add(&self.store.metrics.bytes_copied, 2 * bytes.len() as u64);
        let full = StripeShape::new(self.geometry, self.stripe_bytes).expect("a full stripe has a shape");
        let id = self.first.nth(self.submitted);
        while (larger.rows_done + 1) * self.geometry.k() * CELL_BYTES <= larger.filled {
            larger.finish_row(id, &full, &mut self.hasher);
        }
        self.current = Some(larger);
    }

    /// Codes the short row at the end and hands the last stripe over, with a sync.
    fn submit_rest(&mut self) {
        let Some(stripe) = self.current.as_mut().filter(|stripe| stripe.filled > 0) else {
            self.current = None;
            return;
        };
        let shape = StripeShape::new(self.geometry, stripe.filled).expect("between one byte and a stripe");
        stripe.buffer[stripe.filled..shape.padded_bytes()].fill(0);
        while stripe.rows_done < shape.rows() {
            stripe.finish_row(self.first.nth(self.submitted), &shape, &mut self.hasher);
        }
        self.submit(shape, Durability::Synced);
    }

    /// Hands over the whole blob as copies, with a sync.
    fn submit_copies(&mut self) {
        let Some(stripe) = self.current.as_mut().filter(|stripe| stripe.filled > 0) else { return };
        self.hasher.update(&stripe.buffer[stripe.hashed..stripe.filled]);
        self.geometry = self.geometry.copies();
        self.stripe_bytes = ROWS_MAX * CELL_BYTES;
        let shape = StripeShape::new(self.geometry, stripe.filled).expect("at most what a record can hold");
        stripe.buffer[stripe.filled..shape.padded_bytes()].fill(0);
        stripe.crcs.clear();
        for row in 0..shape.rows() {
            encode_row(self.first, &shape, row, &mut stripe.buffer, stripe.parity_at, &mut stripe.crcs);
        }
        let places = self.store.places_for_copies(&self.placement, self.first, self.geometry.shards());
        self.placement = self.placement.clone().on_places(places);
        DataMetrics::add(&self.store.metrics.blobs_in_copies, 1);
        self.submit(shape, Durability::Synced);
    }

    /// Queues a stripe on its drives. Does not wait.
    fn submit(&mut self, shape: StripeShape, durability: Durability) {
        let stripe = self.current.take().expect("the caller filled one");
        let index = self.submitted;
        self.submitted += 1;
        let place = (self.placement.layout_version(), self.placement.group(index));
        let id = self.first.nth(index);
        let encoded = EncodedStripe::new(id, shape, place, (stripe.buffer, stripe.parity_at), stripe.crcs);
        let class = if self.placement.places() == 0 { SegmentClass::Data } else { SegmentClass::Copies };
        let encoded = Arc::new(encoded.of_class(class));
        let drives = self.placement.targets(index);
        let answers = drives.iter().enumerate().map(|(shard, drive)| {
            let drive = self.store.drive(*drive)?;
            Some(drive.append(encoded.clone(), shard as u8, durability))
        });
        let answers = answers.collect();
        let segments = vec![None; self.geometry.shards()];
        self.in_flight.push_back(InFlight { answers, begun: Instant::now(), segments, errors: Vec::new() });
    }

    /// Waits until the drives have answered for the oldest stripe in flight.
    ///
    /// Cancel-safe: answers that came are kept with the stripe.
    async fn await_oldest(&mut self) -> Result<(), StorageError> {
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
    async fn sync_other_drives(&mut self) {
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
    fn settle(&self) -> Result<Vec<MissingShard>, StorageError> {
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

    /// The run of the stripes so far, without length and hash.
    fn run(&self) -> StripeRun {
        StripeRun {
            first: self.first,
            count: self.submitted,
            stripe_bytes: self.stripe_bytes as u32,
            len_bytes: 0,
            k: self.geometry.k() as u8,
            m: self.geometry.m() as u8,
            layout_version: self.placement.layout_version(),
            first_group: self.placement.first_group(),
            blake3: [0; 32],
            places: self.placement.places(),
        }
    }
}

impl StoreCore {
    /// The places of a blob's group that take its copies: from one that its id chooses on, so that all are loaded
    /// alike, and those whose drives take no writes only for want of others.
    fn places_for_copies(&self, placement: &Placement, first: StripeId, copies: usize) -> u16 {
        let drives = placement.group_drives(0);
        let start = usize::from(first.as_bytes()[11]) % drives.len();
        let takes_writes = |place: &usize| {
            let drive = self.drive(drives[*place]);
            drive.is_some_and(|drive| drive.state().writes() && !drive.is_leaving())
        };
        let (ready, others): (Vec<usize>, Vec<usize>) =
            (0..drives.len()).map(|step| (start + step) % drives.len()).partition(takes_writes);
        ready.into_iter().chain(others).take(copies).fold(0, |places, place| places | 1 << place)
    }

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

impl Filling {
    /// Hashes and codes the next row.
    fn finish_row(&mut self, id: StripeId, shape: &StripeShape, hasher: &mut blake3::Hasher) {
        let row_end = shape.cell_start(self.rows_done, 0) + shape.geometry().k() * shape.cell_bytes(self.rows_done);
        let hash_end = row_end.min(self.filled);
        if self.hashed < hash_end {
            hasher.update(&self.buffer[self.hashed..hash_end]);
            self.hashed = hash_end;
        }
        encode_row(id, shape, self.rows_done, &mut self.buffer, self.parity_at, &mut self.crcs);
        self.rows_done += 1;
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        // An unfinished window may hold plaintext that was not yet sealed.
        if let Some(stripe) = &mut self.current {
            stripe.buffer[stripe.filled..stripe.capacity].fill(0);
        }
        if !self.finished {
            if self.submitted > 0 {
                self.store.give_up(&self.run());
            }
            self.store.leases.settle(self.first);
        }
    }
}
