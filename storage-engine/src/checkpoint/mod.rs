//! Checkpoints of the index, mirrored on the drives that mirror the log.
//!
//! The state machine makes a consistent copy of itself by hard links (take); each file goes into a
//! pool on each mirror, named by its digest, unless it is there already; a manifest is written last
//! (pool). Only when every mirror has it is the log before it recycled, so that a mirror always
//! holds a state and every entry after it. Restoring takes each file from any drive whose bytes
//! match the digest (restore). Formats: `docs/formats/checkpoint.md`.

pub(crate) mod manifest;
mod pool;
mod restore;
pub(crate) mod scrub;
mod take;

#[cfg(test)]
mod tests;

pub(crate) use restore::{Checkpoints, remove_dir, sync_parent};
pub(crate) use take::{DigestCache, collect, newest_on, publish};
