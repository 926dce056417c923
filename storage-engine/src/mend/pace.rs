//! How fast background work may go: a budget of bytes per second, and room for clients.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Work that was paid for in advance is at most what this much time gives.
const BURST: Duration = Duration::from_secs(1);

/// A budget of bytes per second. The sum of all takers keeps within it.
pub(crate) struct Throttle {
    bytes_per_s: AtomicU64,
    /// When the bytes taken so far are paid for.
    paid_until: Mutex<Option<Instant>>,
}

impl Throttle {
    /// A budget of `bytes_per_s`; 0 is no limit.
    pub(crate) fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s: AtomicU64::new(bytes_per_s), paid_until: Mutex::new(None) }
    }

    pub(crate) fn set(&self, bytes_per_s: u64) {
        self.bytes_per_s.store(bytes_per_s, Relaxed);
    }

    /// Books `bytes`, and says how long to wait before they may be moved.
    pub(crate) fn book(&self, bytes: u64, now: Instant) -> Duration {
        let rate = self.bytes_per_s.load(Relaxed);
        if rate == 0 {
            return Duration::ZERO;
        }
        let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = paid_until.map_or(earliest, |until| until.max(earliest));
        let micros = u128::from(bytes) * 1_000_000 / u128::from(rate);
        let until = from + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX / 2));
        *paid_until = Some(until);
        until.saturating_duration_since(now)
    }

    /// Waits until `bytes` may be moved.
    pub(crate) async fn take(&self, bytes: u64) {
        let wait = self.book(bytes, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_keeps_within_the_rate() {
        let throttle = Throttle::new(1_000_000);
        let now = Instant::now();
        assert_eq!(throttle.book(1_000_000, now), Duration::ZERO, "a second's worth is there at the start");
        assert_eq!(throttle.book(500_000, now), Duration::from_millis(500));
        assert_eq!(throttle.book(500_000, now), Duration::from_secs(1));
        assert_eq!(throttle.book(500_000, now + Duration::from_secs(10)), Duration::ZERO, "idle time is not saved up");
        assert_eq!(throttle.book(1_000_000, now + Duration::from_secs(10)), Duration::from_millis(500));
        throttle.set(0);
        assert_eq!(throttle.book(u64::MAX, now), Duration::ZERO);
    }
}
