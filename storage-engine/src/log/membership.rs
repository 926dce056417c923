//! Which drives hold the log, as every drive's superblock says.
//!
//! The newest epoch that any drive at hand knows is the truth. It is written to every usable
//! drive, mirror or not, before anything is acknowledged under it: a mirror that was dropped and
//! comes back is then known to be stale as long as one other drive is there.

use std::io;
use std::sync::Arc;

use crate::drive::{Drive, LogMembership};
use crate::ids::DriveId;

/// The newest membership on any of the drives; epoch 0 when the log was never begun.
pub(crate) fn newest(drives: &[Arc<Drive>]) -> LogMembership {
    drives.iter().map(|drive| drive.log_membership()).max_by_key(|found| found.epoch).unwrap_or_default()
}

/// Writes a membership to every drive that still works; says where it failed.
pub(crate) fn publish(drives: &[Arc<Drive>], membership: &LogMembership) -> Vec<(DriveId, io::Error)> {
    let write = |drive: &Arc<Drive>| {
        let error = drive.io().check_alive().and_then(|()| drive.set_log_membership(membership)).err()?;
        tracing::warn!(drive = %drive.id(), epoch = membership.epoch, %error, "the drive does not know the log's mirrors");
        Some((drive.id(), error))
    };
    drives.iter().filter_map(write).collect()
}
