//! A disk that loses power: what was not synced is lost, torn, or by luck kept.
//!
//! [`Disk`] is the model, in memory; [`mount`] shows it as a file system, so that an unchanged server,
//! RocksDB included, runs on it. A real `kill -9` cannot test this: the kernel keeps what was written.
//!
//! The model is POSIX's, strictly: `fsync` makes a file's bytes and length durable and nothing else;
//! names are durable after `fsync` of their directory. A power cut keeps of the unsynced bytes of each
//! file any pages, some of them torn at a sector, and of the unsynced changes of names a prefix.
//!
//! The same disk can be slow: each operation takes so much longer, and is right.

mod disk;
mod file;
mod fuse;
mod names;

pub use disk::{Cut, Disk, DiskError};
pub use fuse::{Mounted, mount, mount_uncached};
