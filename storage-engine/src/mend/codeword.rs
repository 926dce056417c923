//! Shards that match their checksums and are not of one codeword: which of them is wrong.
//!
//! Any k of them make a whole stripe. The right one is known without a key: its bytes, with those of the
//! other stripes of its blob, hash to what the row of the blob says. So every choice of k is tried, those first that
//! agree with the most shards; where none hashes right, nothing is changed.

use std::collections::HashMap;

use crate::blob::{BlobStore, stripe_shape};
use crate::codec::CannotRebuild;
use crate::namespace::rows::{BlobRef, StripeRun};
use crate::segment::stripe::{encode_row, parity_bytes};

use super::columns::Columns;
use super::stripe::ShardSet;

/// Bytes that may be hashed to find the right stripe, for all that are tried: all choices of a short blob, and of a long
/// one those that agree with the most shards.
const HASHED_BYTES_MAX: u64 = 4 << 30;
/// Stripes that are tried in any case.
const CANDIDATES_MIN: u64 = 16;

/// A stripe that some k of the shards make.
struct Candidate {
    chosen: ShardSet,
    /// Shards that are of it.
    agree: usize,
}

impl Columns {
    /// The k shards to take the stripe from, so that its blob is the one that was written; `None` if no choice makes
    /// that, or the rest of the blob cannot be read. Every shard must have been read, as far as that is possible.
    pub(super) async fn resolve(&self, blobs: &BlobStore, run: &StripeRun, index: u32) -> Option<ShardSet> {
        let mut candidates = self.candidates().await;
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.agree));
        let tried = (HASHED_BYTES_MAX / run.len_bytes.max(1)).max(CANDIDATES_MIN);
        candidates.truncate(usize::try_from(tried).unwrap_or(usize::MAX));
        let blob = BlobRef::Stripes(run.clone());
        let start = u64::from(index) * u64::from(run.stripe_bytes);
        let len = stripe_shape(run, index)?.len_bytes();
        let mut before = vec![blake3::Hasher::new()];
        hash_range(blobs, &blob, 0..start, &mut before).await?;
        let before = before.pop()?;
        let mut hashers = Vec::with_capacity(candidates.len());
        for candidate in &candidates {
            let mut hasher = before.clone();
            hasher.update(self.data_from(candidate.chosen).ok()?.get(..len)?);
            hashers.push(hasher);
            tokio::task::yield_now().await;
        }
        hash_range(blobs, &blob, start + len as u64..run.len_bytes, &mut hashers).await?;
        let right = hashers.iter().position(|hasher| *hasher.finalize().as_bytes() == run.blake3)?;
        Some(candidates[right].chosen)
    }

    /// The different stripes that k of the shards make, each once.
    async fn candidates(&self) -> Vec<Candidate> {
        let good: Vec<u8> = self.read_well().shards().collect();
        let mut seen: HashMap<Vec<u64>, ()> = HashMap::new();
        let mut candidates = Vec::new();
        for mask in 0_u32..1 << good.len() {
            if mask.count_ones() as usize != self.shape.geometry().k() {
                continue;
            }
            let picked = good.iter().enumerate().filter(|(at, _)| mask & (1 << at) != 0);
            let chosen = picked.fold(ShardSet::NONE, |set, (_, shard)| set.with(ShardSet::one(*shard)));
            let Ok(crcs) = self.crcs_from(chosen) else { continue };
            if seen.insert(crcs.clone(), ()).is_none() {
                let agree = good.iter().filter(|shard| self.is_of(usize::from(**shard), &crcs)).count();
                candidates.push(Candidate { chosen, agree });
            }
            tokio::task::yield_now().await;
        }
        candidates
    }

    /// The checksums of all cells of the stripe that these shards make, row by row.
    fn crcs_from(&self, chosen: ShardSet) -> Result<Vec<u64>, CannotRebuild> {
        let mut buffer = self.data_from(chosen)?;
        let parity_at = buffer.len();
        buffer.resize(parity_at + parity_bytes(&self.shape), 0);
        let mut crcs = Vec::with_capacity(self.shape.rows() * self.shape.geometry().shards());
        for row in 0..self.shape.rows() {
            encode_row(self.id, &self.shape, row, &mut buffer, parity_at, &mut crcs);
        }
        Ok(crcs)
    }

    /// The data of the stripe that these shards make, padding included.
    fn data_from(&self, chosen: ShardSet) -> Result<Vec<u8>, CannotRebuild> {
        let mut data = vec![0; self.shape.padded_bytes()];
        self.fill_data(&mut data, chosen)?;
        Ok(data)
    }
}

/// Adds what a blob has in a range to each of the hashes.
async fn hash_range(
    blobs: &BlobStore,
    blob: &BlobRef,
    range: std::ops::Range<u64>,
    hashers: &mut [blake3::Hasher],
) -> Option<()> {
    let mut left = range.end.saturating_sub(range.start);
    let mut reader = blobs.reader(blob, range);
    while let Some(bytes) = reader.next().await.ok()? {
        for hasher in hashers.iter_mut() {
            hasher.update(bytes.as_slice());
        }
        left = left.checked_sub(bytes.as_slice().len() as u64)?;
    }
    (left == 0).then_some(())
}
