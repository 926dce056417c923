//! The state machine: what the commands of the log make of the namespace, on an ordered store.

pub mod kv;
pub mod rocks;
