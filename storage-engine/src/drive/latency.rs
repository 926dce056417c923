//! How long a drive takes to answer, from its own recent past: a small histogram that forgets.
//!
//! Lock-free and approximate: threads that count at once may lose a few of each other's halvings. It
//! decides whom to wait for, never what is true.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Upper bound of the first bucket, in microseconds; each bucket ends at 1.5 or 1.33 times the one before.
const FIRST_US: u64 = 64;
/// Two buckets an octave, up to 64 µs * 2^20: more than a minute.
const BUCKETS: usize = 41;
/// When so many answers are counted all counts are halved: what was half a thousand answers ago weighs half.
const HALVE_AT: u32 = 512;
/// Answers below which nothing is said.
const SAMPLES_MIN: u32 = 32;

/// Answer times of one drive.
#[derive(Debug)]
pub(super) struct Latency {
    counts: [AtomicU32; BUCKETS],
    total: AtomicU32,
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: [const { AtomicU32::new(0) }; BUCKETS], total: AtomicU32::new(0) }
    }
}

impl Latency {
    /// Counts an answer that took so long.
    pub(super) fn note(&self, took_us: u64) {
        self.counts[bucket_of(took_us)].fetch_add(1, Relaxed);
        if self.total.fetch_add(1, Relaxed) + 1 >= HALVE_AT {
            let mut left = 0;
            for count in &self.counts {
                let half = count.load(Relaxed) / 2;
                count.store(half, Relaxed);
                left += half;
            }
            self.total.store(left, Relaxed);
        }
    }

    /// The time within which so many of a hundred answers came, in microseconds, at most half too long; `None`
    /// before there are enough of them.
    pub(super) fn percentile_us(&self, percent: u32) -> Option<u64> {
        let counts: Vec<u32> = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        let total: u32 = counts.iter().sum();
        if total < SAMPLES_MIN {
            return None;
        }
        let wanted = (u64::from(total) * u64::from(percent)).div_ceil(100);
        let mut seen = 0;
        let at = counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        });
        at.map(bound_us)
    }
}

/// Upper bound of a bucket: 64, 96, 128, 192, 256, …
fn bound_us(bucket: usize) -> u64 {
    let octave = FIRST_US << (bucket / 2);
    if bucket.is_multiple_of(2) { octave } else { octave + octave / 2 }
}

fn bucket_of(took_us: u64) -> usize {
    (0..BUCKETS - 1).find(|bucket| took_us <= bound_us(*bucket)).unwrap_or(BUCKETS - 1)
}

/// How long to wait for one of several drives that do the same work: `times` what the drive in the middle
/// takes, within bounds. One slow drive does not raise it, one fast drive does not lower it.
///
/// `None` while fewer than half of the drives have answered often enough.
pub(crate) fn patience_us(mut answers_us: Vec<Option<u64>>, times: u64, bounds_us: (u64, u64)) -> Option<u64> {
    let drives = answers_us.len();
    answers_us.retain(Option::is_some);
    let mut known: Vec<u64> = answers_us.into_iter().flatten().collect();
    if known.is_empty() || known.len() * 2 < drives {
        return None;
    }
    known.sort_unstable();
    let middle = known[(known.len() - 1) / 2];
    Some(middle.saturating_mul(times).clamp(bounds_us.0, bounds_us.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_most_answers_took_and_forgets() {
        let latency = Latency::default();
        (0..31).for_each(|_| latency.note(100));
        assert_eq!(latency.percentile_us(95), None, "too few to say");
        (0..64).for_each(|_| latency.note(100));
        latency.note(5_000_000);
        assert_eq!(latency.percentile_us(95), Some(128));
        let last = latency.percentile_us(100).unwrap();
        assert!((5_000_000..=7_500_000).contains(&last), "{last}");
        // It became slow: within some hundred answers that is what it says.
        (0..600).for_each(|_| latency.note(40_000));
        let now = latency.percentile_us(50).unwrap();
        assert!((40_000..=60_000).contains(&now), "{now}");
        assert_eq!(latency.percentile_us(95), Some(now));
    }

    #[test]
    fn every_time_has_a_bucket_that_is_at_most_half_too_long() {
        for us in [0, 1, 64, 65, 96, 97, 1000, 30_000_000] {
            let bound = bound_us(bucket_of(us));
            assert!(us <= bound && bound <= (us * 3 / 2).max(64) + 1, "{us}: {bound}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        // Threads at once: nothing panics, and what is left is what was noted.
        let latency = Latency::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5000).for_each(|_| latency.note(1000)));
            }
        });
        assert_eq!(latency.percentile_us(99), Some(1024));
    }

    #[test]
    fn patience_follows_the_drive_in_the_middle() {
        let bounds = (20_000, 1_000_000);
        assert_eq!(patience_us(vec![Some(30_000), Some(30_000), Some(500_000)], 2, bounds), Some(60_000));
        assert_eq!(patience_us(vec![Some(100), Some(100), Some(100)], 2, bounds), Some(20_000));
        assert_eq!(patience_us(vec![Some(9_000_000); 3], 2, bounds), Some(1_000_000));
        assert_eq!(patience_us(vec![None, None, Some(30_000)], 2, bounds), None);
        assert_eq!(patience_us(vec![None, Some(30_000)], 2, bounds), Some(60_000));
        assert_eq!(patience_us(Vec::new(), 2, bounds), None);
    }
}
