//! Reading a range of a blob, one stripe at a time, with the next one under way.

use std::ops::Range;
use std::sync::Arc;

use super::fetch::{Column, FetchPlan, StripeFetch};
use super::{ReadLease, StoreCore};
use crate::budget::PooledBytes;
use crate::codec::Geometry;
use crate::drive::DataMetrics;
use crate::error::StorageError;
use crate::ids::StripeId;
use crate::namespace::rows::{BlobRef, StripeRun};
use crate::segment::shape::{CELL_BYTES, ROWS_MAX, StripeShape};

/// Bytes that are read, verified and opened at a time: they stay in the processor's cache, and many
/// readers share the memory budget.
const READ_BYTES_AIM: usize = 512 << 10;

/// Reads the sealed bytes of a range in order.
pub struct BlobReader {
    store: Arc<StoreCore>,
    source: Source,
    /// What is still to be given.
    rest: Range<u64>,
    /// The next rows, when the last ones had to wait for a disk.
    ahead: Option<StripeFetch>,
    /// Keeps the stripes from being freed.
    _lease: ReadLease,
    /// The stripe being read, and where its columns lie.
    located: Option<(StripeId, Vec<Column>)>,
    /// Of a small blob: its own run, and where it is read.
    small: Option<Small>,
}

struct Small {
    run: StripeRun,
    /// Where its bytes begin in what is read now, its copies or a pack.
    begins: u64,
    /// Whether it is known where it is.
    found: bool,
}

enum Source {
    Inline(Vec<u8>),
    Stripes(StripeRun),
}

impl BlobReader {
    pub(super) fn new(store: Arc<StoreCore>, blob: &BlobRef, sealed: Range<u64>) -> Self {
        let end = sealed.end.min(blob.len_bytes());
        let start = sealed.start.min(end);
        let source = match blob {
            BlobRef::Inline(bytes) => Source::Inline(bytes[start as usize..end as usize].to_vec()),
            BlobRef::Stripes(run) => Source::Stripes(run.clone()),
        };
        let small = blob.stripes().filter(|run| run.is_copies());
        let small = small.map(|run| Small { run: run.clone(), begins: 0, found: false });
        let lease = ReadLease::new(store.clone(), blob.stripes().into_iter().map(|run| run.first));
        Self { store, source, rest: start..end, ahead: None, _lease: lease, located: None, small }
    }

    /// The next sealed bytes, a few rows of a stripe; `None` after the last.
    ///
    /// Every cell they come from matched its checksum, or was rebuilt from cells that did. Waits
    /// for memory and drives. Cancelled, it loses its place: the reader must be dropped.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] with too few drives, [`StorageError::Corrupted`] when no k cells
    /// of a row are good.
    pub async fn next(&mut self) -> Result<Option<ReadBuf>, StorageError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        if let Source::Inline(bytes) = &self.source {
            self.rest.start = self.rest.end;
            DataMetrics::add(&self.store.metrics.bytes_read, bytes.len() as u64);
            return Ok(Some(ReadBuf::inline(bytes)));
        }
        if self.small.as_ref().is_some_and(|small| !small.found) {
            self.find()?;
        }
        loop {
            let before = self.rest.clone();
            let failed = match self.next_of_stripes().await {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) => error,
            };
            // It may have been packed, or packed again, since it was looked for.
            self.rest = before;
            if self.small.is_none() || !self.find()? {
                return Err(failed);
            }
        }
    }

    /// Looks where a small blob is now, and goes on there; says whether that is elsewhere than before.
    ///
    /// The lease is older than the look: what is found is kept until it is dropped, be it copies or a pack.
    fn find(&mut self) -> Result<bool, StorageError> {
        let Some(small) = &mut self.small else { return Ok(false) };
        small.found = true;
        let (run, begins) = match self.store.pack_place(&small.run)? {
            Some(place) if u64::from(place.len_bytes) == small.run.len_bytes => (place.pack, u64::from(place.offset)),
            Some(_) => return Err(StorageError::Corrupted { what: format!("the place of {:?}", small.run.first) }),
            None => (small.run.clone(), 0),
        };
        if matches!(&self.source, Source::Stripes(now) if now.first == run.first) {
            return Ok(false);
        }
        let moved = |at: u64| at - small.begins + begins;
        self.rest = moved(self.rest.start)..moved(self.rest.end);
        small.begins = begins;
        self.source = Source::Stripes(run);
        (self.ahead, self.located) = (None, None);
        Ok(true)
    }

    async fn next_of_stripes(&mut self) -> Result<ReadBuf, StorageError> {
        let Source::Stripes(run) = &self.source else { unreachable!("the caller has seen to it") };
        let run = run.clone();
        let plan = self.plan(&run)?;
        let taken = plan.len_bytes() as u64;
        let fetch = match self.ahead.take() {
            Some(fetch) => fetch,
            None => {
                let buffer = self.store.budget.readers().take(plan.buffer_bytes()).await;
                self.begin(plan, buffer)
            }
        };
        // Cells that came from the page cache need no reading ahead.
        let waits = fetch.waits();
        self.rest.start += taken;
        if waits && !self.rest.is_empty() {
            let next = self.plan(&run)?;
            // Only with memory that nobody waits for.
            let buffer = self.store.budget.readers().try_take(next.buffer_bytes());
            self.ahead = buffer.map(|buffer| self.begin(next, buffer));
        }
        let bytes = fetch.finish().await?;
        DataMetrics::add(&self.store.metrics.bytes_read, taken);
        Ok(bytes)
    }

    fn begin(&mut self, plan: FetchPlan, buffer: PooledBytes) -> StripeFetch {
        let fetch = StripeFetch::begin(self.store.clone(), plan, buffer);
        self.located = Some(fetch.columns());
        fetch
    }

    /// What to fetch next, with what is known of its stripe already.
    fn plan(&self, run: &StripeRun) -> Result<FetchPlan, StorageError> {
        let mut plan = plan_of(&self.store, run, &self.rest)?;
        if let Some((stripe, columns)) = &self.located
            && *stripe == plan.stripe
        {
            plan.columns.clone_from(columns);
        }
        Ok(plan)
    }
}

/// The shape of one stripe of a run; `None` if the row of the run contradicts itself, or has no such stripe.
pub(crate) fn stripe_shape(run: &StripeRun, index: u32) -> Option<StripeShape> {
    let geometry = Geometry::of_stripe(run.k, run.m).ok()?;
    let copies_fit = !run.is_copies() || (run.k == 1 && run.places.count_ones() as usize == geometry.shards());
    let stripe_bytes = u64::from(run.stripe_bytes);
    let row_bytes = (geometry.k() * CELL_BYTES) as u64;
    let whole = copies_fit
        && stripe_bytes > 0
        && stripe_bytes.is_multiple_of(row_bytes)
        && stripe_bytes <= ROWS_MAX as u64 * row_bytes
        && run.len_bytes.div_ceil(stripe_bytes) == u64::from(run.count);
    if !whole || index >= run.count {
        return None;
    }
    let len = (run.len_bytes - u64::from(index) * stripe_bytes).min(stripe_bytes);
    StripeShape::new(geometry, len as usize)
}

/// What to fetch for the first bytes of `rest`: a few rows of one stripe.
fn plan_of(store: &StoreCore, run: &StripeRun, rest: &Range<u64>) -> Result<FetchPlan, StorageError> {
    let damaged = || StorageError::Corrupted { what: format!("the row of a blob at {:?}", run.first) };
    let index = (rest.start / u64::from(run.stripe_bytes.max(1))) as u32;
    let shape = stripe_shape(run, index).ok_or_else(damaged)?;
    let geometry = shape.geometry();
    let row_bytes = (geometry.k() * CELL_BYTES) as u64;
    let stripe_start = u64::from(index) * u64::from(run.stripe_bytes);
    let stripe_len = shape.len_bytes() as u64;
    let placement = store
        .placement(run)
        .ok_or_else(|| StorageError::Unavailable { why: format!("layout {} is not known", run.layout_version) })?;
    if placement.targets(index).len() != geometry.shards() {
        return Err(damaged());
    }
    let start = (rest.start - stripe_start) as usize;
    let rows = (READ_BYTES_AIM / row_bytes as usize).max(1);
    let end = (start / row_bytes as usize + rows) * row_bytes as usize;
    let end = end.min((rest.end - stripe_start).min(stripe_len) as usize);
    Ok(FetchPlan {
        stripe: run.first.nth(index),
        shape,
        placement,
        index,
        wanted: start..end,
        columns: vec![Column::Unknown; geometry.shards()],
    })
}

/// Sealed bytes, owned, to be opened where they lie.
///
/// When they were opened (see [`ReadBuf::as_mut_slice`]) they are wiped on drop: the memory goes
/// to other readers.
pub struct ReadBuf {
    buffer: PooledBytes,
    range: Range<usize>,
    touched: bool,
}

impl ReadBuf {
    pub(super) fn new(buffer: PooledBytes, range: Range<usize>) -> Self {
        Self { buffer, range, touched: false }
    }

    fn inline(bytes: &[u8]) -> Self {
        Self::new(PooledBytes::unpooled(bytes), 0..bytes.len())
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }

    /// The bytes, to be opened in place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.touched = true;
        &mut self.buffer[self.range.clone()]
    }
}

impl AsRef<[u8]> for ReadBuf {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Drop for ReadBuf {
    fn drop(&mut self) {
        if self.touched {
            self.buffer[self.range.clone()].fill(0);
        }
    }
}
