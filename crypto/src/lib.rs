//! Keys, wraps and sealed streams of Chartrier: the format SOV1, and the checking of others' signatures.
//!
//! ```text
//!  root key ──HKDF──▶ kek ──▶ wrap record            (one per version: wrap, unwrap, rewrap)
//!                              │ holds
//!                              ▼
//!                          object key ──HKDF──▶ part stream key   (PartSealer, PartOpener)
//!                                         ├───▶ metadata key      (MetadataKey)
//!                                         └───▶ manifest key      (ManifestKey)
//! ```
//!
//! It does no I/O, reads no clock and draws no randomness: random bytes are arguments. Only the
//! export container reads and writes, and then only through [`std::io::Read`] and
//! [`std::io::Write`]. Every byte of every structure is drawn in `docs/formats/sov1.md`.
//!
//! Key types have no `Debug` and no `Clone`, lie in memory that is locked and left out of core
//! dumps, and are wiped on drop. Errors say only that authentication failed.
//!
//! ```
//! use chartrier_crypto::*;
//!
//! let object_key = ObjectKey::generate([7; 32]); // from the caller's random source
//! let client_key = ClientKey::from_slice(&[1; 32])?;
//! let context = WrapContext {
//!     mode: Mode::C,
//!     bucket: &[2; 16],
//!     key_name: b"minutes/2026.pdf",
//!     version_id: &[0; 16],
//!     object_uuid: &[3; 16],
//! };
//! let record = wrap(RootKey::Client(&client_key), &object_key, &context, [4; 32]);
//!
//! let mut chunk = [0u8; 5 + TAG_LEN];
//! chunk[..5].copy_from_slice(b"hello");
//! let sealer = PartSealer::new(&object_key, Mode::C, [3; 16], 0, [5; 24]);
//! let header = *sealer.header();
//! sealer.seal_last(&mut chunk, 5)?;
//!
//! let object_key = unwrap(RootKey::Client(&client_key), &record, &context)?;
//! let opener = PartOpener::new(&object_key, &header)?;
//! let plain_len = opener.open_chunk_in_place(ChunkIndex(0), LastChunk::Yes, &mut chunk)?;
//! assert_eq!(&chunk[..plain_len], b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod base64;
mod encode;
mod epoch;
mod error;
pub mod export;
mod header;
mod keys;
mod locked;
mod manifest;
mod mode;
mod part;
mod primitives;
mod range;
mod sealed_box;
mod signature;
mod stream;
pub mod unseal;
mod wrap;

pub use epoch::{EpochKey, epoch_of, epoch_open, epoch_seal};
pub use error::{Base64KeyError, HeaderError, KeyLength, OpenError, SealError, UnwrapError};
pub use header::{HEADER_LEN, PartHeader};
pub use keys::{ClientKey, ManifestKey, MetadataKey, ObjectKey, OperatorKey};
pub use locked::{LockedMemory, locked_memory};
pub use manifest::{Manifest, ManifestPart};
pub use mode::{Mode, UnknownMode};
pub use part::{ChunkIndex, LastChunk, PartOpener, PartSealer};
pub use primitives::{HmacSha256, Sha256, Sha512, TAG_LEN, ct_eq, hmac_sha256, sha256, sha512};
pub use range::{CHUNK_PLAIN, CHUNK_SEALED, CHUNKS_MAX, SealedRange, plain_len, sealed_len, sealed_range};
pub use sealed_box::{BOX_OVERHEAD, METADATA_LABEL, part_label, pending_keys_open, pending_keys_seal};
pub use signature::{SignatureAlgorithm, SignerKey};
pub use stream::{FinishStep, OpenedRun, SealStep, StreamOpener, StreamSealer};
pub use wrap::{RootKey, WRAP_RECORD_LEN, WrapContext, rewrap, unwrap, wrap};
