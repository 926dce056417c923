//! The journal from outside: vectors, properties, attacks, and verification by a program that is not ours.
#![allow(clippy::unwrap_used, missing_docs)]

mod binary;
mod documented;
mod export_attacks;
mod export_streams;
mod go_verifies;
mod hostile_input;
mod leaves;
mod log;
mod notes;
mod proof_files;
mod tree;
