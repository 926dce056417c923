//! What the storage engine is opened with.

use std::time::Duration;

use chartrier_storage::drive::CompactionPolicy;
use chartrier_storage::engine::{EngineConfig, ORPHAN_AGE_MIN, PackConfig, ReclaimConfig};
use chartrier_storage::mend::MendConfig;
use serde::{Deserialize, Serialize};

/// What the storage engine is opened with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// Sealed bytes that still fit in a log entry.
    pub inline_limit_bytes: usize,
    /// Length of a data segment.
    pub segment_bytes: u64,
    /// Length of a log segment.
    pub log_segment_bytes: u64,
    /// Growth of the log after which a checkpoint of the index is taken.
    pub checkpoint_log_bytes: u64,
    /// Bytes that all transfers together may hold in buffers.
    pub memory_budget_bytes: usize,
    /// Bytes a second that repairs may read and write; 0 is no limit.
    pub repair_bytes_per_second: u64,
    /// Days within which scrub checks every drive whole; 0 is never.
    pub scrub_period_days: u64,
    /// Small blobs: which are kept as whole copies at first, and when they are packed.
    pub pack: PackSettings,
    /// Minutes after which a drive that is away is given up and rebuilt on the others, one that fails writes after
    /// one minute; 0 is never.
    pub evacuate_after_minutes: u64,
    /// When the space of what was deleted is given back.
    pub reclaim: ReclaimSettings,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            inline_limit_bytes: 8 << 10,
            segment_bytes: 256 << 20,
            log_segment_bytes: EngineConfig::default().log_segment_bytes,
            checkpoint_log_bytes: EngineConfig::default().checkpoint_log_bytes,
            memory_budget_bytes: 128 << 20,
            repair_bytes_per_second: MendConfig::default().repair_bytes_per_s,
            scrub_period_days: MendConfig::default().scrub_period_s / DAY_S,
            pack: PackSettings::default(),
            evacuate_after_minutes: MendConfig::default().evacuate_after_s / 60,
            reclaim: ReclaimSettings::default(),
        }
    }
}

/// When the space of what was deleted is given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReclaimSettings {
    /// How long the bytes of a deleted version stay for reads that are about to begin.
    pub grace_s: u64,
    /// From one look at the segments to the next.
    pub compaction_interval_s: u64,
    /// A segment with more dead than this share of its bytes is compacted.
    pub compact_dead_percent: u8,
    /// With less free than this share of a drive, whatever gives space back is compacted, at full speed.
    pub low_space_percent: u8,
    /// Bytes copied each second on one drive; 0 is no bound.
    pub compact_bytes_per_second: u64,
    /// Age from which shards that nobody owns are freed; at least an hour.
    pub orphan_age_s: u64,
    /// From one walk for such shards to the next.
    pub orphan_interval_s: u64,
}

impl Default for ReclaimSettings {
    fn default() -> Self {
        let ReclaimConfig { grace, orphan_age, orphan_interval, compaction_interval, compaction } =
            ReclaimConfig::default();
        Self {
            grace_s: grace.as_secs(),
            compaction_interval_s: compaction_interval.as_secs(),
            compact_dead_percent: compaction.dead_percent,
            low_space_percent: compaction.low_space_percent,
            compact_bytes_per_second: compaction.bytes_per_second,
            orphan_age_s: orphan_age.as_secs(),
            orphan_interval_s: orphan_interval.as_secs(),
        }
    }
}

impl ReclaimSettings {
    /// As the engine takes it.
    pub fn to_engine(&self) -> ReclaimConfig {
        ReclaimConfig {
            grace: Duration::from_secs(self.grace_s),
            orphan_age: Duration::from_secs(self.orphan_age_s),
            orphan_interval: Duration::from_secs(self.orphan_interval_s),
            compaction_interval: Duration::from_secs(self.compaction_interval_s),
            compaction: CompactionPolicy {
                dead_percent: self.compact_dead_percent,
                low_space_percent: self.low_space_percent,
                bytes_per_second: self.compact_bytes_per_second,
                eager: false,
            },
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if !(1..=99).contains(&self.compact_dead_percent) || self.low_space_percent > 90 {
            return Err("storage.reclaim: compact_dead_percent must be 1 to 99, low_space_percent 0 to 90".into());
        }
        if self.compaction_interval_s == 0 || self.orphan_interval_s < 60 {
            return Err("storage.reclaim: compaction_interval_s must be 1 or more, orphan_interval_s 60 or more".into());
        }
        if self.orphan_age_s < ORPHAN_AGE_MIN.as_secs() {
            return Err(format!("storage.reclaim: orphan_age_s must be {} or more", ORPHAN_AGE_MIN.as_secs()));
        }
        Ok(())
    }
}

pub(super) const DAY_S: u64 = 24 * 3600;

/// A year.
pub(super) const EVACUATE_AFTER_MINUTES_MAX: u64 = 366 * 24 * 60;
/// Ten years.
pub(super) const SCRUB_PERIOD_DAYS_MAX: u64 = 3650;

/// Small blobs: which are kept as whole copies at first, and when they are packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PackSettings {
    /// Blobs over the inline limit, up to this many sealed bytes; 0 is none, at most 1 MiB.
    pub limit_bytes: usize,
    /// Age from which they are packed, a stripe at a time.
    pub age_s: u64,
    /// Age from which they are packed though they do not fill a stripe.
    pub leftover_age_s: u64,
}

impl Default for PackSettings {
    fn default() -> Self {
        let PackConfig { limit_bytes, age, leftover_age } = PackConfig::default();
        Self { limit_bytes, age_s: age.as_secs(), leftover_age_s: leftover_age.as_secs() }
    }
}

impl PackSettings {
    /// As the engine takes it.
    pub fn to_engine(&self) -> PackConfig {
        PackConfig {
            limit_bytes: self.limit_bytes,
            age: Duration::from_secs(self.age_s),
            leftover_age: Duration::from_secs(self.leftover_age_s),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.limit_bytes > PACK_LIMIT_BYTES_MAX {
            return Err(format!("storage.pack: limit_bytes must be 0 to {PACK_LIMIT_BYTES_MAX}"));
        }
        Ok(())
    }
}

/// What one record can hold.
const PACK_LIMIT_BYTES_MAX: usize = 1 << 20;
