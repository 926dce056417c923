//! Runs that somebody reads or writes now: nobody frees them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::StoreCore;
use crate::ids::StripeId;
use crate::sync::{Mutex, MutexGuard};

/// How long a blob that was written may wait for the command that names it.
const UNNAMED_MAX: Duration = Duration::from_secs(60 * 60);
/// Blobs that wait so at most; beyond that the oldest of them are forgotten.
const UNNAMED_COUNT_MAX: usize = 1 << 20;

/// What all stripes of one blob share.
type BlobPrefix = [u8; 12];

/// Readers and writers, by blob.
#[derive(Default)]
pub(crate) struct Leases {
    readers: Mutex<HashMap<BlobPrefix, u32>>,
    writers: Mutex<HashMap<BlobPrefix, Writing>>,
}

#[derive(Debug, Clone, Copy)]
enum Writing {
    Now,
    /// Written whole, and not yet named by a row as far as is known here.
    Unnamed(Instant),
}

impl Leases {
    pub(crate) fn begin_write(&self, first: StripeId) {
        self.writers().insert(first.blob_prefix(), Writing::Now);
    }

    /// The blob was written whole: a command is to name it.
    pub(crate) fn end_write(&self, first: StripeId) {
        let mut writers = self.writers();
        if writers.len() >= UNNAMED_COUNT_MAX {
            forget_unnamed(&mut writers, UNNAMED_MAX / 60);
        }
        writers.insert(first.blob_prefix(), Writing::Unnamed(Instant::now()));
    }

    /// A command named the blob, or it was given up.
    pub(crate) fn settle(&self, first: StripeId) {
        self.writers().remove(&first.blob_prefix());
    }

    /// Whether the blob of a stripe is being written, or waits for the command that names it.
    pub(crate) fn is_written(&self, stripe: StripeId) -> bool {
        let mut writers = self.writers();
        match writers.get(&stripe.blob_prefix()) {
            None => false,
            Some(Writing::Unnamed(since)) if since.elapsed() > UNNAMED_MAX => {
                forget_unnamed(&mut writers, UNNAMED_MAX);
                false
            }
            Some(_) => true,
        }
    }

    /// Whether somebody holds the blob of a stripe for reading.
    pub(crate) fn is_read(&self, stripe: StripeId) -> bool {
        self.readers().contains_key(&stripe.blob_prefix())
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<BlobPrefix, u32>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writers(&self) -> MutexGuard<'_, HashMap<BlobPrefix, Writing>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_unnamed(writers: &mut HashMap<BlobPrefix, Writing>, older: Duration) {
    writers.retain(|_, writing| !matches!(writing, Writing::Unnamed(since) if since.elapsed() > older));
}

/// Keeps runs from being freed while it lives, though their owner is gone.
pub struct ReadLease {
    store: Arc<StoreCore>,
    blobs: Vec<BlobPrefix>,
}

impl ReadLease {
    pub(super) fn new(store: Arc<StoreCore>, firsts: impl Iterator<Item = StripeId>) -> Self {
        let blobs: Vec<BlobPrefix> = firsts.map(|first| first.blob_prefix()).collect();
        {
            let mut readers = store.leases.readers();
            for blob in &blobs {
                *readers.entry(*blob).or_default() += 1;
            }
        }
        Self { store, blobs }
    }
}

impl Drop for ReadLease {
    fn drop(&mut self) {
        let mut readers = self.store.leases.readers();
        for blob in &self.blobs {
            if let Some(count) = readers.get_mut(blob) {
                *count -= 1;
                if *count == 0 {
                    readers.remove(blob);
                }
            }
        }
    }
}
