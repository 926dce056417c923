//! The state machine: what the commands of the log make of the namespace, on an ordered store.

mod apply;
mod cache;
mod journal;
pub(crate) mod keys;
pub mod kv;
mod list;
mod list_buckets;
mod machine;
mod overlay;
mod packs;
mod reads;
pub mod rocks;
pub(crate) mod rows;
mod runs;
mod stale_uploads;

pub use apply::{ACCESS_KEYS_MAX, CONTEXT_TEXT_BYTES_MAX, KEY_BYTES_MAX, PART_NUMBER_MAX};
pub use list::PAGE_ENTRIES_MAX;
pub use machine::{STATE_FORMAT, StateConfig, StateMachine};
pub use rows::DeadRun;
pub use stale_uploads::StaleUpload;
