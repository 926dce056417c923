//! What scrub fails to check whole: how often in a row, why, and when it is tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::DriveId;

/// After the first failure it is tried again so soon; after each further one in twice the time.
const RETRY_FIRST: Duration = Duration::from_secs(60);
/// It never waits longer: what made it fail may be mended by then.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(24 * 3600);

/// Something that scrub tried to check in the background and could not check whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubFailure {
    /// The drive; `None` is what is not data: the index, the log, the checkpoints, the places of shards.
    pub drive: Option<DriveId>,
    /// Passes that failed, one after the other.
    pub times: u32,
    /// When the first of them ended, Unix time in microseconds.
    pub since_us: u64,
    /// When the last of them ended.
    pub last_us: u64,
    /// When it is tried again.
    pub retry_us: u64,
    /// What the last one said.
    pub reason: String,
}

/// All that fails.
#[derive(Debug, Default)]
pub(super) struct Failing(BTreeMap<Option<DriveId>, ScrubFailure>);

impl Failing {
    /// A pass over it was not whole.
    pub(super) fn note(&mut self, drive: Option<DriveId>, now_us: u64, reason: String) -> &ScrubFailure {
        let first = ScrubFailure { drive, times: 0, since_us: now_us, last_us: now_us, retry_us: now_us, reason };
        let ScrubFailure { reason, .. } = first.clone();
        let failure = self.0.entry(drive).or_insert(first);
        failure.times = failure.times.saturating_add(1);
        failure.last_us = now_us;
        failure.retry_us = now_us.saturating_add(micros(wait(failure.times)));
        failure.reason = reason;
        failure
    }

    /// A pass over it was whole.
    pub(super) fn clear(&mut self, drive: Option<DriveId>) {
        self.0.remove(&drive);
    }

    /// Leaves out drives that are not in use any more.
    pub(super) fn retain(&mut self, in_use: impl Fn(DriveId) -> bool) {
        self.0.retain(|drive, _| drive.is_none_or(&in_use));
    }

    /// Whether its last pass failed: it is due again, whenever it was last checked whole.
    pub(super) fn has(&self, drive: Option<DriveId>) -> bool {
        self.0.contains_key(&drive)
    }

    /// Whether it may be tried now. A clock that was set back keeps nothing waiting.
    pub(super) fn may_try(&self, drive: Option<DriveId>, now_us: u64) -> bool {
        self.0.get(&drive).is_none_or(|failure| now_us >= failure.retry_us || now_us < failure.last_us)
    }

    pub(super) fn list(&self) -> Vec<ScrubFailure> {
        self.0.values().cloned().collect()
    }
}

fn wait(times: u32) -> Duration {
    RETRY_FIRST.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1))).min(RETRY_MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_US: u64 = 60 * 1_000_000;

    #[test]
    fn what_fails_again_and_again_waits_twice_as_long_up_to_a_day() {
        let drive = Some(DriveId::from_bytes([7; 16]));
        let mut failing = Failing::default();
        let (mut now_us, mut waits) = (1_000 * MINUTE_US, Vec::new());
        for _ in 0..14 {
            assert!(failing.may_try(drive, now_us));
            let failure = failing.note(drive, now_us, "a bug".to_owned()).clone();
            waits.push((failure.retry_us - now_us) / MINUTE_US);
            assert!(!failing.may_try(drive, failure.retry_us - 1) && failing.may_try(None, now_us));
            now_us = failure.retry_us;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1440, 1440, 1440]);
        let listed = failing.list();
        assert_eq!((listed[0].times, listed[0].since_us, listed.len()), (14, 1_000 * MINUTE_US, 1));
        assert!(failing.may_try(drive, listed[0].last_us - 1), "the clock was set back");
        assert_eq!(wait(u32::MAX), RETRY_MAX);

        failing.note(None, now_us, String::new());
        failing.clear(drive);
        failing.retain(|_| false);
        assert_eq!(failing.list().len(), 1);
        assert!(failing.may_try(drive, 0) && failing.has(None) && !failing.has(drive));
    }
}
