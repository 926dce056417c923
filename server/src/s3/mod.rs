//! S3: the operation table, requests, answers, errors, and one file per operation.

pub mod error;
pub mod names;
pub mod ops;
pub mod request;
pub mod response;
pub mod router;
pub mod table;
pub mod xml;
