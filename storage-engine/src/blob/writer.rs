//! Writing a blob: fill a stripe, code each row while it is hot, hand the stripe to its drives.

mod answers;
mod copies;
mod filling;

use std::collections::VecDeque;
use std::sync::Arc;

use self::answers::{InFlight, StoredStripe};
use self::filling::Filling;
use super::{Placement, StoreCore};
use crate::codec::Geometry;
use crate::drive::{DataMetrics, Drive, DriveState, Durability};
use crate::error::StorageError;
use crate::ids::StripeId;
use crate::namespace::command::MissingShard;
use crate::namespace::rows::{BlobRef, StripeRun};
use crate::segment::header::SegmentClass;
use crate::segment::shape::{CELL_BYTES, StripeShape};
use crate::segment::stripe::{EncodedStripe, parity_bytes};

/// Stripes of one blob that are with the drives while the next is filled.
const STRIPES_IN_FLIGHT_MAX: usize = 2;
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

impl BlobWriter {
    pub(super) fn new(store: Arc<StoreCore>, len_hint: Option<u64>) -> Self {
        let (layouts, geometry) = store.layouts();
        let first_group = store.next_group(layouts.newest());
        Self::on(store, geometry, Placement::new(layouts, first_group), len_hint)
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

    /// Adds bytes, as many windows as they take.
    ///
    /// Waits as [`BlobWriter::spare`] does. Not cancel-safe: who gives it up gives up the blob.
    ///
    /// # Errors
    /// Those of [`BlobWriter::spare`].
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), StorageError> {
        while !bytes.is_empty() {
            let window = self.spare().await?;
            let (now, rest) = bytes.split_at(window.len().min(bytes.len()));
            window[..now.len()].copy_from_slice(now);
            self.advance(now.len());
            bytes = rest;
        }
        Ok(())
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
        let drives: Vec<Option<Arc<Drive>>> = drives.iter().map(|drive| self.store.drive(*drive)).collect();
        let keep_up = drives.iter().flatten().filter(|drive| drive.state().writes()).count();
        // One that is slow beyond its peers is left out only where the others are enough.
        let spare_slow = keep_up >= self.geometry.write_quorum();
        let answers = drives.into_iter().enumerate().map(|(shard, drive)| {
            let drive = drive.filter(|drive| !spare_slow || drive.state() != DriveState::Slow)?;
            Some(drive.append(encoded.clone(), shard as u8, durability))
        });
        self.in_flight.push_back(InFlight::new(answers.collect()));
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
