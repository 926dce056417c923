//! The server of Chartrier: the HTTP edge, S3 operations, keys of requests, administration.
//!
//! ```text
//! socket ─▶ edge (TLS or plain, limits) ─▶ auth (SigV4) ─▶ s3::router ─▶ s3::ops::… ─▶ storage engine
//!                                             │                             │
//!                                        identity (who)              crypto (seal, open)
//! ```
//!
//! Plaintext exists between `auth` and the sealing in `s3`, and nowhere below. A request's SSE-C key
//! leaves the header map for a locked slot before anything is logged.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access;
pub mod access_log;
pub mod admin;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod edge;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
pub mod iam;
pub mod identity;
pub mod lifecycle;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod policy;
pub mod process;
pub mod query_api;
pub mod random;
pub mod s3;
pub mod sts;
pub mod trust;
