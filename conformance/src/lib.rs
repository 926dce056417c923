//! Judges any S3 server over HTTP.
//!
//! This crate knows no product crate: it speaks HTTP/1.1 and signs with its own small signer, so
//! that what it finds is what a stranger's client would find.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admin;
pub mod client;
pub mod http;
pub mod linear;
pub mod power;
pub mod process;
pub mod random;
pub mod sign;
pub mod site;
pub mod suite;
