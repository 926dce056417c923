//! What the multipart operations share: finding the upload, its keys, its checksums, its rules.

pub mod agreed;
pub mod assemble;
pub mod finished;
pub mod keys;
pub mod put_part;
pub mod request;
pub mod rules;
pub mod upload;

pub use agreed::AgreedChecksum;
pub use upload::{Upload, find, new_upload_id, no_such_upload, stored_parts, upload_id};
