//! One binary for every story.
#![allow(clippy::unwrap_used)]

mod common;
mod memory;
mod refusals;
mod streams;
mod unseal;
mod vectors;
