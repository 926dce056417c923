//! The administration of a running server: an HTTP API on the admin port, and its client.
//!
//! ```text
//! chartrier admin … ──▶ client ──HTTP, bearer token──▶ handle ──▶ users, keys │ drives │ journal │ export │ status
//! ```
//!
//! Every path is under [`wire::API_PREFIX`] and needs the token of `DATA/run/admin.json`. Answers are
//! JSON but for checkpoints, tiles and exports, which are their own formats. docs/admin.md lists all.

pub mod answer;
pub mod buckets;
pub mod client;
pub mod drives;
pub mod events;
pub mod export_journal;
pub mod journal;
pub mod object_export;
pub mod reclaim;
pub mod run_file;
pub mod scrub;
pub mod service;
pub mod status;
pub mod users;
pub mod wire;

pub use service::handle;
