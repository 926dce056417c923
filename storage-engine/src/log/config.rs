//! Sizes and redundancy of the log, with their limits.

use super::entry::{PAYLOAD_BYTES_MAX, segment_bytes_min};
use super::segment::SEGMENT_HEADER_BYTES;
use crate::ids::ClusterId;

/// The most that one batch carries, if a segment can hold it.
const BATCH_BYTES_MAX: u64 = 32 << 20;

/// Sizes and redundancy of a log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Whose log it is.
    pub cluster: ClusterId,
    /// Drives that may be lost; the log has one mirror more.
    pub parity: usize,
    /// Length of a segment file.
    pub segment_bytes: u64,
}

impl LogConfig {
    /// Length of a segment unless configured.
    pub const SEGMENT_BYTES_DEFAULT: u64 = 32 << 20;

    /// Mirrors that the log aims for.
    pub fn mirrors_wanted(&self) -> usize {
        self.parity + 1
    }

    /// Mirrors without which nothing is acknowledged.
    pub fn mirrors_needed(&self) -> usize {
        self.parity.max(1)
    }

    /// The largest payload that an entry can carry.
    pub fn payload_bytes_max(&self) -> usize {
        let fits = self.segment_bytes.saturating_sub(segment_bytes_min(0)) as usize;
        fits.min(PAYLOAD_BYTES_MAX)
    }

    /// The most that one batch can carry, as `MirroredLog::encoded_bytes` counts.
    pub fn batch_bytes_max(&self) -> u64 {
        (self.segment_bytes - SEGMENT_HEADER_BYTES).min(BATCH_BYTES_MAX)
    }
}
