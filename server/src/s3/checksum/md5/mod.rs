//! MD5, several uploads at a time.
//!
//! An ETag is an MD5, and MD5 is the slowest thing that a large upload passes: each step waits for the
//! one before, so one stream leaves most of a core idle. Streams of different uploads do not wait for
//! each other: [`Md5Beside`] hashes up to sixteen in one vector. RFC 1321; the tests' oracle is `md-5`.

mod block;
mod pool;
mod stream;

pub use pool::Md5Beside;
pub use stream::Md5Stream;
