//! Chartrier's storage engine: drives, segments, stripes, the commit log and the namespace.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod blob;
pub mod budget;
pub(crate) mod checkpoint;
pub mod codec;
pub mod drive;
pub mod engine;
pub mod env;
pub mod error;
pub(crate) mod failpoint;
#[cfg(test)]
mod fuzz;
pub mod ids;
#[cfg(all(test, feature = "shuttle"))]
mod interleavings;
pub mod io;
pub mod log;
pub mod mend;
pub mod meta;
pub mod metrics;
pub mod namespace;
pub mod segment;
pub mod solo;
pub mod state;
pub(crate) mod sync;
