//! S3: the operation table, requests, answers, errors, and one file per operation.

pub mod bucket_config;
pub mod checksum;
pub mod conditions;
pub mod error;
pub mod form;
pub mod lock;
pub mod metadata;
pub mod names;
pub mod open;
pub mod ops;
pub mod range;
mod refusal;
pub mod request;
pub mod response;
pub mod router;
pub mod seal;
pub mod settings;
pub mod sse;
pub mod table;
pub mod tags;
pub mod versioning;
pub mod xml;
