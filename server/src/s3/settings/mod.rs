//! Settings of buckets: each document as it is parsed, validated, written back and asked.
//!
//! The document that the engine stores is the XML that the GET operation answers, so that what a
//! client reads is what was stored, to the byte.

pub mod cors;
pub mod encryption;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
pub mod lifecycle;
pub mod logging;
pub mod notification;
pub mod quota;
