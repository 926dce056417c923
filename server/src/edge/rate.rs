//! Rate limits, per access key and per source address: off unless configured.
//!
//! Each key has a bucket that fills at the configured rate and holds the configured burst (GCRA: one
//! time stamp says how full it is). A request over the rate is answered 503 `SlowDown` before
//! anything is looked up for it; SDKs wait and try again.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::RateLimits;
use crate::s3::error::{S3Error, S3ErrorCode};

/// Most keys or sources remembered; those that are idle are forgotten first.
const TRACKED_MAX: usize = 65_536;
const SECOND_US: u64 = 1_000_000;

/// The limits of one server.
pub struct RateLimiter {
    by_key: Option<Gate<Arc<str>>>,
    by_source: Option<Gate<IpAddr>>,
}

impl RateLimiter {
    /// Limits as configured.
    pub fn new(limits: &RateLimits) -> Self {
        Self {
            by_key: Gate::new(limits.requests_per_second_of_key, limits.burst_seconds),
            by_source: Gate::new(limits.requests_per_second_of_source, limits.burst_seconds),
        }
    }

    /// Counts a request of a source.
    ///
    /// # Errors
    /// `SlowDown` if it is over the rate.
    pub fn admit_source(&self, source: IpAddr, now_us: u64) -> Result<(), S3Error> {
        match &self.by_source {
            Some(gate) => gate.admit(network(source), now_us),
            None => Ok(()),
        }
    }

    /// Counts a request of an access key that has proved itself.
    ///
    /// # Errors
    /// `SlowDown` if it is over the rate.
    pub fn admit_key(&self, access_key_id: &Arc<str>, now_us: u64) -> Result<(), S3Error> {
        match &self.by_key {
            Some(gate) => gate.admit(Arc::clone(access_key_id), now_us),
            None => Ok(()),
        }
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let bits = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        v4 => v4,
    }
}

struct Gate<K> {
    /// Between two requests at the configured rate.
    interval_us: u64,
    /// How far ahead of the rate a burst may run.
    burst_us: u64,
    /// When the bucket of each will be full again.
    full_at: Mutex<HashMap<K, u64>>,
}

impl<K: Hash + Eq> Gate<K> {
    fn new(per_second: u64, burst_seconds: u64) -> Option<Self> {
        let interval_us = SECOND_US.checked_div(per_second)?.max(1);
        let burst_us = burst_seconds.max(1).saturating_mul(SECOND_US);
        Some(Self { interval_us, burst_us, full_at: Mutex::new(HashMap::new()) })
    }

    fn admit(&self, key: K, now_us: u64) -> Result<(), S3Error> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= TRACKED_MAX && !full_at.contains_key(&key) {
            full_at.retain(|_, at| *at > now_us);
            if full_at.len() >= TRACKED_MAX {
                full_at.clear();
            }
        }
        let at = full_at.entry(key).or_insert(now_us);
        let next = (*at).max(now_us) + self.interval_us;
        if next > now_us + self.burst_us {
            return Err(S3Error::of(S3ErrorCode::SlowDown));
        }
        *at = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(of_key: u64, of_source: u64) -> RateLimiter {
        RateLimiter::new(&RateLimits {
            requests_per_second_of_key: of_key,
            requests_per_second_of_source: of_source,
            burst_seconds: 2,
        })
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let limiter = limiter(10, 0);
        let key: Arc<str> = "AK".into();
        let admitted =
            |from_us: u64, count: u64| (0..count).filter(|n| limiter.admit_key(&key, from_us + n).is_ok()).count();
        assert_eq!(admitted(SECOND_US, 100), 20);
        assert_eq!(admitted(2 * SECOND_US, 100), 10);
        assert_eq!(admitted(60 * SECOND_US, 100), 20);
        assert!(limiter.admit_key(&"other".into(), SECOND_US).is_ok());
        assert!(limiter.admit_source(IpAddr::from([127, 0, 0, 1]), 0).is_ok());
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let limiter = limiter(0, 1);
        let admit = |text: &str| limiter.admit_source(text.parse().unwrap(), SECOND_US).is_ok();
        assert!(admit("2001:db8::1") && admit("2001:db8::ffff") && !admit("2001:db8::2"));
        assert!(admit("2001:db8:0:1::1"));
        assert!(admit("192.0.2.1") && admit("::ffff:192.0.2.1") && !admit("192.0.2.1"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let gate: Gate<u64> = Gate::new(1, 1).unwrap();
        for n in 0..3 * TRACKED_MAX as u64 {
            let _ = gate.admit(n, 0);
        }
        assert!(gate.full_at.lock().unwrap().len() <= TRACKED_MAX);
    }
}
