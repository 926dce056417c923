//! The commit log: the only write-ahead log, mirrored on m+1 drives.
//!
//! ```text
//! payloads ─▶ MirroredLog::append_batch ─▶ one buffer, one entry per payload
//!                  │ one job per mirror          (entry, segment)
//!                  ▼
//!   mirror threads: pwrite, fdatasync, "is the drive still there?"   (mirror, files)
//!                  │ failed mirrors: new epoch in every superblock   (membership)
//!                  ▼
//!               durable
//! ```
//!
//! An entry chains to the one before it by BLAKE3, and says up to where the log was durable when it
//! was written. Recovery (recover: scan, choose, repair) takes the longest valid chain of the
//! highest term over the mirrors of the newest epoch, so that a torn tail ends the log, while
//! damage to what was acknowledged is mended from a mirror or refused. Formats:
//! `docs/formats/log.md`.
//!
//! It knows nothing of commands, state or checkpoints: see `solo` and `checkpoint`.

pub(crate) mod choose;
mod config;
pub(crate) mod copy;
pub(crate) mod entry;
mod error;
mod files;
mod membership;
mod mirror;
mod mirrored;
mod recover;
mod repair;
pub(crate) mod scan;
pub(crate) mod scrub;
pub(crate) mod segment;
pub(crate) mod shared;
mod status;

#[cfg(test)]
pub(crate) mod tests;

pub use config::LogConfig;
pub use error::LogError;
pub use mirrored::MirroredLog;
pub use recover::{KnownState, Recovered, Replay};
pub use status::{BATCH_ENTRY_BOUNDS, LogStatus};
