//! Rows that only the state machine reads: heads, counters, and the short form of a version.

use serde::{Deserialize, Serialize};

use crate::ids::{StripeId, VersionId};
use crate::namespace::encoding::Stored;
use crate::namespace::notification::EventPlace;
use crate::namespace::packs::PackCounts;
use crate::namespace::rows::{AccountQuota, ObjectSummary, RunOwner, StripeRun, VersionRow};

/// Where the journal and the heal queue stand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct StateHead {
    /// Leaves in the `cycle` log.
    pub(crate) leaves: u64,
    /// Time of the last leaf: the next is never earlier.
    pub(crate) last_time_us: u64,
    /// Size and root of the last signed checkpoint.
    pub(crate) signed: Option<(u64, [u8; 32])>,
    /// Rows in `heal`, so that freeing looks there only when there is something.
    pub(crate) heal_rows: u64,
    /// The newest layout; 0 before the first.
    pub(crate) layout_version: u32,
    /// Buckets with notification rules, so that changes look for rules only when there are some.
    pub(crate) notifying: u64,
    /// Sums of the rows of `pak`.
    pub(crate) packs: PackCounts,
}

/// Counters of a bucket, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BucketStats {
    /// Its name.
    pub(crate) name: String,
    /// Versions in it.
    pub(crate) versions: u64,
    /// Their plaintext bytes.
    pub(crate) bytes: u64,
    /// Uploads in progress.
    pub(crate) uploads: u64,
}

/// A bucket among those of its owner: what listings show, which never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwnedBucketRow {
    /// As in its row.
    pub(crate) created_us: u64,
    /// As in its row.
    pub(crate) region: String,
}

/// Counters of an account over all its buckets, and its quota. There is none for one without either.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountStats {
    /// Versions in its buckets.
    pub(crate) versions: u64,
    /// Their plaintext bytes.
    pub(crate) bytes: u64,
    /// What it may hold.
    pub(crate) quota: AccountQuota,
    /// Buckets.
    pub(crate) buckets: u64,
}

/// A version of an object without its parts: what conditions and listings need. In `cur` that of the
/// current version, in `old` those of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CurrentRow {
    /// As in the version row.
    pub(crate) commit_index: u64,
    /// As in the version row.
    pub(crate) key_commitment: [u8; 32],
    /// Versions and markers that the key has, this one included; 0 in `old`.
    pub(crate) versions: u32,
    /// What listings show.
    pub(crate) summary: ObjectSummary,
}

/// What a leaf on an existing version is aimed at: the commitment of its key, and its id.
pub(crate) type Aim = ([u8; 32], VersionId);

impl CurrentRow {
    pub(crate) fn aim(&self) -> Aim {
        (self.key_commitment, self.summary.version_id)
    }

    pub(crate) fn of(row: &VersionRow, versions: u32) -> Self {
        Self { commit_index: row.commit_index, key_commitment: row.key_commitment, versions, summary: row.summary() }
    }
}

/// A shard to be healed: the run that its stripe belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HealRow {
    pub(crate) run: StripeRun,
}

/// A run that lost its owner and that drives may still hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadRun {
    /// The run.
    pub run: StripeRun,
    /// When the command that killed it was proposed, Unix time in microseconds.
    pub died_us: u64,
}

/// What the queue of one target comes to, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct EventQueueRow {
    /// Events that wait.
    pub(crate) rows: u64,
    /// Bytes of their rows.
    pub(crate) bytes: u64,
    /// Events dropped or discarded.
    pub(crate) dropped: u64,
    /// No event waits at or before this place: looking begins after it, past what was taken out.
    pub(crate) floor: EventPlace,
}

/// A small run whose bytes are in a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberRow {
    /// Who owns it; `None` once it was removed.
    pub(crate) owner: Option<RunOwner>,
    /// The pack that has its bytes.
    pub(crate) pack: StripeRun,
    /// Where they begin in it.
    pub(crate) offset: u32,
    /// How many they are.
    pub(crate) len_bytes: u32,
}

/// A pack that something in it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackRow {
    /// Its stripe.
    pub(crate) run: StripeRun,
    /// Members that are live and not in another pack.
    pub(crate) members: u32,
    /// Their bytes.
    pub(crate) live_bytes: u64,
}

/// The runs that were put into a pack, live or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackMembers(pub(crate) Vec<StripeId>);

/// A user's name, where it is found by another of its marks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NameRow(pub(crate) String);

macro_rules! stored {
    ($($type:ty, $name:literal;)*) => {
        $(impl Stored for $type {
            const NAME: &'static str = $name;
            const LEN_MAX: usize = 16 << 10;
        })*
    };
}

stored! {
    StateHead, "state head";
    AccountStats, "account counters";
    BucketStats, "bucket counters";
    OwnedBucketRow, "bucket of an owner";
    CurrentRow, "current row";
    RunOwner, "run owner";
    HealRow, "heal row";
    DeadRun, "dead run";
    NameRow, "name row";
    EventQueueRow, "event queue";
    MemberRow, "pack member";
    PackRow, "pack row";
}

impl Stored for PackMembers {
    const NAME: &'static str = "list of pack members";
    const LEN_MAX: usize = 32 << 10;
}
