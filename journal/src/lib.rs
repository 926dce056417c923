//! The journal of Chartrier: an append-only Merkle log that anyone can verify without us.
//!
//! Each change of the store is one **leaf**, a canonical JSON text. Leaves are hashed into an RFC 6962
//! tree; the tree is published as C2SP tlog-tiles; its head is a **checkpoint**, a signed note. A
//! proof that a leaf is in a signed tree fits in one small text file.
//!
//! ```text
//! Leaf --encode--> bytes --leaf_hash--> Frontier::push --> stored hashes
//!                    |                                        |
//!              entry bundle                      tiles, proofs, Checkpoint --sign--> note
//! ```
//!
//! It is not a database and does no I/O of its own beyond [`FolderSink`] and [`FolderReader`]: hashes
//! come from a [`HashReader`], time and keys are arguments. It reads no clock and draws no randomness.
//!
//! ```
//! use chartrier_journal::{Checkpoint, Frontier, Signer, leaf_hash};
//!
//! let mut tree = Frontier::new();
//! tree.push(leaf_hash(b"first leaf"));
//! let signer = Signer::new("example.org/cycle", &[7; 32])?;
//! let checkpoint = Checkpoint::new("example.org/cycle", tree.size(), tree.root())?;
//! let note = checkpoint.sign(&signer)?;
//! assert_eq!(Checkpoint::open(&note, &signer.verifier())?, checkpoint);
//! # Ok::<(), chartrier_journal::JournalError>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bundle;
mod checkpoint;
mod error;
mod export;
mod hash;
mod json;
mod leaf;
mod note;
mod primitives;
mod proof;
mod stored;
mod tile;
mod time;
mod tlog_proof;
mod verify;

pub use bundle::{ENTRY_LEN_MAX, bundle_contents, decode_bundle, encode_bundle};
pub use checkpoint::{Checkpoint, ORIGIN_LEN_MAX};
pub use error::JournalError;
pub use export::{ExportSink, FolderSink, write_export};
pub use hash::{HASH_LEN, Hash, commitment, empty_root, leaf_hash, node_hash};
pub use json::{JSON_DEPTH_MAX, JSON_NUMBER_MAX, Json, JsonError};
pub use leaf::{Actor, EventType, LEAF_VERSION, Leaf, LeafError, Outcome, Target};
pub use note::{NOTE_LEN_MAX, Note, NoteSignature, SIGNATURES_MAX, Signer, Verifier, open_note, sign_note};
pub use proof::{check_record, check_tree, prove_record, prove_tree};
pub use stored::{
    Frontier, HashReader, TREE_SIZE_MAX, split_stored_hash_index, stored_hash_count, stored_hash_index, stored_hashes,
    tree_hash,
};
pub use tile::{TILE_WIDTH, TileKind, TilePath, tile_contents, tree_paths};
pub use time::{TIME_US_MAX, format_time, parse_time};
pub use tlog_proof::{PROOF_LEN_MAX, Proof};
pub use verify::{ExportReader, FolderReader, VerifiedExport, VerifiedProof, VerifyError, verify_export, verify_proof};
