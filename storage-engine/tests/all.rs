//! The engine as its callers see it, on real directories. One binary; one module per story.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine;
