//! Packs: stripes that hold many small blobs, each of which was kept as whole copies before.
//!
//! A run of copies, once packed, is a *member*: what names it goes on naming it by the id of its first stripe, and
//! a row says which bytes of which pack it is. Its copies are then dead. A pack has members that are live
//! and, as they are deleted, dead bytes; with too many of these what is live is packed again.

use serde::{Deserialize, Serialize};

use super::rows::StripeRun;
use crate::ids::StripeId;

/// Members of one pack at most.
pub const PACK_MEMBERS_MAX: usize = 1024;
/// A pack with more of its bytes dead than this share is to be packed again. State: a replay must judge alike.
pub const PACK_DEAD_PERCENT: u64 = 35;

/// Runs whose bytes were written, one behind the other, as one stripe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackRuns {
    /// The stripe: a run of one, and not of copies.
    pub pack: StripeRun,
    /// In order of their bytes.
    pub members: Vec<PackedRun>,
}

/// One member, as it was when its bytes were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedRun {
    /// The run that it is.
    pub first: StripeId,
    /// Where its bytes begin in the pack.
    pub offset: u32,
    /// How many they are.
    pub len_bytes: u32,
    /// Where they were read.
    pub from: MemberSource,
}

/// Where the bytes of a member were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberSource {
    /// In its copies.
    Copies(StripeRun),
    /// In another pack.
    Pack(StripeId),
}

/// Where the bytes of a member are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackPlace {
    /// The pack.
    pub pack: StripeRun,
    /// Where they begin in it.
    pub offset: u32,
    /// How many they are.
    pub len_bytes: u32,
}

/// What is packed, and what waits to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackCounts {
    /// Runs of copies.
    pub waiting_runs: u64,
    /// Their bytes, each counted once.
    pub waiting_bytes: u64,
    /// Packs.
    pub packs: u64,
    /// Bytes in them, parity left out.
    pub packed_bytes: u64,
    /// Live members of them.
    pub members: u64,
    /// Bytes of live members.
    pub live_bytes: u64,
}
