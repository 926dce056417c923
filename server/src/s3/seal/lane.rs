//! The digests of one upload: fast ones while the bytes are hot, slow ones beside the sealing.
//!
//! MD5 and the SHAs run at a tenth of AES-GCM's speed. Past [`BATCH_BYTES`] they go to the blocking
//! pool in batches, so that hashing one batch overlaps with receiving and sealing the next. Batches
//! share the body's buffers: nothing is copied.

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::s3::checksum::md5::{Md5Beside, Md5Stream};
use crate::s3::checksum::{ChecksumAlgorithm, ChecksumValue, Hasher};
use crate::s3::error::S3Error;

/// The running digests of one upload.
pub(super) struct DigestLanes {
    fast: Vec<Hasher>,
    slow: SlowLane,
}

/// Plaintext bytes in one batch of the slow lane; two batches are held at most.
const BATCH_BYTES: usize = 256 * 1024;

/// A rest of so many bytes goes there too: by itself it would cost more than beside others.
const REST_BYTES: usize = 64 * 1024;

/// Fragments in one batch: tiny fragments must not pile up.
const BATCH_FRAGMENTS: usize = 256;

impl DigestLanes {
    /// Lanes for these algorithms, each computed once.
    pub(super) fn new(algorithms: impl IntoIterator<Item = ChecksumAlgorithm>) -> Self {
        let mut wanted: Vec<_> = algorithms.into_iter().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let (slow, fast): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|algorithm| algorithm.is_slow());
        Self { fast: fast.into_iter().map(Hasher::new).collect(), slow: SlowLane::new(slow) }
    }

    /// Gives the slow algorithms the next fragment. Waits while a batch is still being hashed.
    pub(super) async fn push_slow(&mut self, fragment: &Bytes) -> Result<(), S3Error> {
        if self.slow.is_idle() {
            return Ok(());
        }
        self.slow.push(fragment.clone()).await
    }

    /// Gives the fast algorithms the next bytes, which are in the cache.
    pub(super) fn push_fast(&mut self, bytes: &[u8]) {
        self.fast.iter_mut().for_each(|hasher| hasher.update(bytes));
    }

    /// Every digest.
    pub(super) async fn finish(self) -> Result<Vec<ChecksumValue>, S3Error> {
        let slow = self.slow.finish().await?;
        Ok(self.fast.into_iter().chain(slow).map(Hasher::finish).collect())
    }
}

struct SlowLane {
    /// MD5 is hashed side by side with that of other uploads.
    md5: Option<Progress<Md5Stream, oneshot::Receiver<Md5Stream>>>,
    /// This upload among those.
    beside: Md5Beside,
    /// The others; `None` if none is wanted.
    others: Option<Progress<Vec<Hasher>, JoinHandle<Vec<Hasher>>>>,
    batch: Vec<Bytes>,
    batch_bytes: usize,
}

/// A state, or where it comes back from while a batch is being hashed.
enum Progress<S, R> {
    Here(S),
    Away(R),
}

impl<S, R, E> Progress<S, R>
where
    R: Future<Output = Result<S, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    async fn back(self) -> Result<S, S3Error> {
        match self {
            Self::Here(state) => Ok(state),
            Self::Away(running) => running.await.map_err(S3Error::internal),
        }
    }
}

impl SlowLane {
    fn new(mut algorithms: Vec<ChecksumAlgorithm>) -> Self {
        let md5 = algorithms.contains(&ChecksumAlgorithm::Md5).then(|| Progress::Here(Md5Stream::default()));
        algorithms.retain(|algorithm| *algorithm != ChecksumAlgorithm::Md5);
        let others: Vec<Hasher> = algorithms.into_iter().map(Hasher::new).collect();
        let others = (!others.is_empty()).then_some(Progress::Here(others));
        Self { md5, others, beside: Md5Beside::join(), batch: Vec::new(), batch_bytes: 0 }
    }

    fn is_idle(&self) -> bool {
        self.md5.is_none() && self.others.is_none()
    }

    async fn push(&mut self, fragment: Bytes) -> Result<(), S3Error> {
        self.batch_bytes += fragment.len();
        self.batch.push(fragment);
        if self.batch_bytes < BATCH_BYTES && self.batch.len() < BATCH_FRAGMENTS {
            return Ok(());
        }
        self.send().await
    }

    /// Sends the batch to the pool, once the one before it is back.
    async fn send(&mut self) -> Result<(), S3Error> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if let Some(others) = self.others.take() {
            let (mut hashers, batch) = (others.back().await?, batch.clone());
            self.others = Some(Progress::Away(tokio::task::spawn_blocking(move || {
                hash(&mut hashers, &batch);
                hashers
            })));
        }
        if let Some(md5) = self.md5.take() {
            self.md5 = Some(Progress::Away(self.beside.hash(md5.back().await?, batch)));
        }
        Ok(())
    }

    /// Hashes what remains: here, without a thread, unless it is much.
    async fn finish(mut self) -> Result<Vec<Hasher>, S3Error> {
        let began = matches!(self.md5, Some(Progress::Away(_)));
        if began && self.batch_bytes >= REST_BYTES {
            self.send().await?;
        }
        let mut hashers = match self.others {
            Some(others) => others.back().await?,
            None => Vec::new(),
        };
        if let Some(md5) = self.md5 {
            self.beside.hurry();
            hashers.push(Hasher::of_md5(md5.back().await?));
        }
        hash(&mut hashers, &self.batch);
        Ok(hashers)
    }
}

fn hash(hashers: &mut [Hasher], batch: &[Bytes]) {
    for fragment in batch {
        hashers.iter_mut().for_each(|hasher| hasher.update(fragment));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::checksum::digest;

    #[tokio::test]
    async fn lanes_agree_with_one_pass_whatever_the_fragments() {
        let bytes: Vec<u8> = (0..900_000u32).map(|n| (n * 13 % 241) as u8).collect();
        for fragment_len in [1000, 70_000, 900_000] {
            let mut lanes = DigestLanes::new(ChecksumAlgorithm::all().chain([ChecksumAlgorithm::Md5]));
            for fragment in bytes.chunks(fragment_len) {
                lanes.push_slow(&Bytes::copy_from_slice(fragment)).await.unwrap();
                lanes.push_fast(fragment);
            }
            let digests = lanes.finish().await.unwrap();
            assert_eq!(digests.len(), 10);
            for value in digests {
                assert_eq!(value, digest(value.algorithm(), &bytes), "{:?}", value.algorithm());
            }
        }
    }

    #[tokio::test]
    async fn nothing_pushed_is_the_digest_of_nothing() {
        let lanes = DigestLanes::new([ChecksumAlgorithm::Md5]);
        assert_eq!(lanes.finish().await.unwrap(), [digest(ChecksumAlgorithm::Md5, b"")]);
    }
}
