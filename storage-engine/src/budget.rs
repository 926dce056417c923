//! One bound on the memory of all transfers.
//!
//! Whoever wants a buffer waits until the buffers in use leave room for it: pressure stalls a
//! transfer and never fails it. Buffers come back to a free list, so that a busy server neither
//! zeroes nor maps memory for each stripe; those that lie idle are freed now and then. Writers and readers have a pool each: a copy, which
//! reads and writes at once, then cannot hold up its own other half.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError};

use bytes::BytesMut;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::sync::{Mutex, MutexGuard};

/// Permits count units of this size.
const UNIT_BYTES: usize = 4096;
/// Buffers above this are rounded up to a multiple of it, below it to a power of two.
const CLASS_STEP_BYTES: usize = 64 << 10;
/// The smallest buffer.
const CLASS_BYTES_MIN: usize = 8 << 10;

/// The memory of all transfers of one engine.
#[derive(Clone)]
pub struct Budget {
    writers: Arc<Pool>,
    readers: Arc<Pool>,
}

impl Budget {
    /// Shares `limit_bytes` between writers and readers.
    pub fn new(limit_bytes: usize) -> Self {
        // Whole stripes with parity on one side, a few rows of a stripe on the other.
        let writers = limit_bytes / 3 * 2;
        Self { writers: Pool::new(writers), readers: Pool::new(limit_bytes - writers) }
    }

    /// Buffers for stripes being written.
    pub fn writers(&self) -> &Arc<Pool> {
        &self.writers
    }

    /// Buffers for stripes being read.
    pub fn readers(&self) -> &Arc<Pool> {
        &self.readers
    }

    /// Frees the buffers that nobody wanted since the last call.
    pub fn free_idle(&self) {
        self.writers.free_idle();
        self.readers.free_idle();
    }

    /// Bytes of buffers in use now.
    pub fn used_bytes(&self) -> u64 {
        (self.writers.used_bytes() + self.readers.used_bytes()) as u64
    }
}

/// Buffers within one limit.
pub struct Pool {
    limit_bytes: usize,
    room: Arc<Semaphore>,
    free: Mutex<FreeList>,
}

#[derive(Default)]
struct FreeList {
    /// By length.
    buffers: BTreeMap<usize, Vec<BytesMut>>,
    kept_bytes: usize,
    /// The least that was kept at any time since the last look: so much was not needed.
    idle_bytes: usize,
}

impl Pool {
    /// A pool that lends `limit_bytes` at once.
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        let units = limit_bytes / UNIT_BYTES;
        let room = Arc::new(Semaphore::new(units));
        Arc::new(Self { limit_bytes: units * UNIT_BYTES, room, free: Mutex::default() })
    }

    /// Lends a buffer of at least `bytes`, waiting for room. Its contents are anything.
    ///
    /// One larger than the whole pool waits for all of it and is then lent. Cancel-safe.
    pub async fn take(self: &Arc<Self>, bytes: usize) -> PooledBytes {
        let class = class_bytes(bytes);
        let permit = self.room.clone().acquire_many_owned(self.units(class)).await;
        self.lend(class, permit.expect("the semaphore is never closed"))
    }

    /// Lends a buffer if there is room for it now.
    pub fn try_take(self: &Arc<Self>, bytes: usize) -> Option<PooledBytes> {
        let class = class_bytes(bytes);
        match self.room.clone().try_acquire_many_owned(self.units(class)) {
            Ok(permit) => Some(self.lend(class, permit)),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => None,
        }
    }

    /// Bytes that it lends at most.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Bytes lent now.
    pub fn used_bytes(&self) -> usize {
        self.limit_bytes - self.room.available_permits() * UNIT_BYTES
    }

    fn free_idle(&self) {
        let mut free = self.lock();
        let needed = free.kept_bytes - free.idle_bytes;
        free.shrink_to(needed);
        free.idle_bytes = free.kept_bytes;
    }

    fn units(&self, bytes: usize) -> u32 {
        bytes.min(self.limit_bytes).div_ceil(UNIT_BYTES) as u32
    }

    fn lend(self: &Arc<Self>, class: usize, permit: OwnedSemaphorePermit) -> PooledBytes {
        let kept = self.lock().pop(class);
        let bytes = kept.unwrap_or_else(|| {
            // Room for this buffer was granted; what is kept must leave it too.
            let spare = self.limit_bytes.saturating_sub(self.used_bytes());
            self.lock().shrink_to(spare);
            BytesMut::zeroed(class)
        });
        PooledBytes { bytes, class, loan: Some((self.clone(), permit)) }
    }

    fn lock(&self) -> MutexGuard<'_, FreeList> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FreeList {
    fn pop(&mut self, class: usize) -> Option<BytesMut> {
        let bytes = self.buffers.get_mut(&class)?.pop()?;
        self.forget(class);
        Some(bytes)
    }

    fn push(&mut self, class: usize, bytes: BytesMut) {
        self.kept_bytes += class;
        self.buffers.entry(class).or_default().push(bytes);
    }

    fn forget(&mut self, class: usize) {
        self.kept_bytes -= class;
        self.idle_bytes = self.idle_bytes.min(self.kept_bytes);
    }

    /// Frees buffers, the largest first, until at most `bytes` are kept.
    fn shrink_to(&mut self, bytes: usize) {
        while self.kept_bytes > bytes {
            let Some((&class, list)) = self.buffers.iter_mut().next_back() else { return };
            match list.pop() {
                Some(_) => self.forget(class),
                None => {
                    self.buffers.remove(&class);
                }
            }
        }
    }
}

/// The length of the buffer that is lent for a request of `bytes`.
fn class_bytes(bytes: usize) -> usize {
    if bytes <= CLASS_STEP_BYTES {
        bytes.next_power_of_two().max(CLASS_BYTES_MIN)
    } else {
        bytes.next_multiple_of(CLASS_STEP_BYTES)
    }
}

/// A buffer on loan; it goes back to its pool when dropped, as it is.
pub struct PooledBytes {
    bytes: BytesMut,
    class: usize,
    /// Where it goes back to, and the room it takes there; `None` for bytes that were never lent.
    loan: Option<(Arc<Pool>, OwnedSemaphorePermit)>,
}

impl PooledBytes {
    /// Bytes outside of any pool: small ones that were in memory already.
    pub(crate) fn unpooled(bytes: &[u8]) -> Self {
        Self { bytes: BytesMut::from(bytes), class: bytes.len(), loan: None }
    }

    /// Takes the bytes out, to be split among threads; the loan stays with `self`.
    pub(crate) fn take_bytes(&mut self) -> BytesMut {
        std::mem::take(&mut self.bytes)
    }

    /// Puts bytes back after [`PooledBytes::take_bytes`]: the same allocation or another.
    pub(crate) fn put_bytes(&mut self, bytes: BytesMut) {
        self.bytes = bytes;
    }
}

impl Deref for PooledBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for PooledBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for PooledBytes {
    fn drop(&mut self) {
        let Some((pool, permit)) = self.loan.take() else { return };
        // Something else than the buffer that was lent is simply freed.
        if self.bytes.len() == self.class {
            let bytes = std::mem::take(&mut self.bytes);
            pool.lock().push(self.class, bytes);
        }
        drop(permit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_bounded_and_buffers_come_back() {
        let pool = Pool::new(256 << 10);
        let first = pool.take(100 << 10).await;
        assert_eq!((first.len(), pool.used_bytes()), (128 << 10, 128 << 10));
        let second = pool.take(128 << 10).await;
        assert!(pool.try_take(1).is_none());
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { pool.take(1 << 20).await.len() }
        });
        tokio::task::yield_now().await;
        drop((first, second));
        assert_eq!(waiting.await.unwrap(), 1 << 20);
        assert_eq!(pool.used_bytes(), 0);
    }

    #[test]
    fn what_is_kept_leaves_room_for_what_is_lent() {
        let pool = Pool::new(1 << 20);
        let held: Vec<PooledBytes> = (0..16).map(|_| pool.try_take(64 << 10).unwrap()).collect();
        drop(held);
        assert_eq!(pool.lock().kept_bytes, 1 << 20);
        let large = pool.try_take(1 << 20).unwrap();
        assert_eq!(pool.lock().kept_bytes, 0);
        drop(large);
        assert_eq!(pool.lock().kept_bytes, 1 << 20);
    }

    #[test]
    fn what_nobody_wants_is_freed() {
        let pool = Pool::new(1 << 20);
        let take = |count: usize| (0..count).map(|_| pool.try_take(64 << 10).unwrap()).collect::<Vec<_>>();
        drop(take(16));
        // All were in use since the last look.
        pool.free_idle();
        assert_eq!(pool.lock().kept_bytes, 1 << 20);
        drop(take(4));
        pool.free_idle();
        assert_eq!(pool.lock().kept_bytes, 4 * (64 << 10));
        pool.free_idle();
        assert_eq!(pool.lock().kept_bytes, 0);
    }
}
