//! What each command does to the rows. Deterministic: no clock, no randomness, no configuration.
//!
//! All preconditions are evaluated here, on the rows as the batch has left them so far. A refused
//! command changes nothing but, at most, the journal and the list of runs to free.

mod bucket_config;
mod buckets;
mod change;
mod drives;
mod events;
mod integrity;
mod objects;
mod packs;
mod quota;
mod removal;
mod system;
mod uploads;
mod users;

use chartrier_journal::Frontier;

use super::journal::{Event, EventType, append_leaf, build_leaf, object_target};
use super::keys;
use super::kv::prefix_end;
use super::overlay::Overlay;
use super::rows::{Aim, BucketStats, CurrentRow, DeadRun, HealRow, StateHead};
use crate::error::StateError;
use crate::ids::{BucketId, ObjectUuid, VersionId};
use crate::namespace::command::{
    Applied, Command, CommandContext, JournalIdentity, MissingShard, Op, Outcome, Refusal, WriteCondition,
};
use crate::namespace::encoding::VERSION_ROW_BYTES_MAX;
use crate::namespace::lock::UNTIL_US_MAX;
use crate::namespace::notification::{Cause, EventName, ORIGIN_TEXT_BYTES_MAX};
use crate::namespace::rows::{BlobRef, BucketRow, ObjectSummary, OwnerPlace, PartRow, RunOwner, StripeRun, VersionRow};

/// Longest object key in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// Highest part number of an upload.
pub const PART_NUMBER_MAX: u16 = 10_000;
/// Longest text in a command's context.
pub const CONTEXT_TEXT_BYTES_MAX: usize = 256;
/// Most access keys of one user.
pub const ACCESS_KEYS_MAX: usize = 64;
/// Longest row of a bucket, user, part or upload, encoded.
pub(super) const SMALL_ROW_BYTES_MAX: usize = 512 << 10;
/// Most bytes of the texts of a version that its row in `cur` repeats.
const SUMMARY_TEXT_BYTES_MAX: usize = 8 << 10;
/// Most bytes of a delete marker's owner and salt.
const MARKER_BYTES_MAX: usize = 4 << 10;

/// A run of commands over one overlay, and what is kept in memory beside the rows.
pub(crate) struct Transition<'a> {
    pub(crate) rows: Overlay<'a>,
    pub(crate) memory: Memory,
    /// Bucket names whose rows changed: cached copies are stale.
    pub(crate) touched_buckets: Vec<String>,
    /// Whether users or access keys changed.
    pub(crate) touched_users: bool,
    /// Whether a document of a bucket changed.
    pub(crate) touched_configs: bool,
    /// Whether events were queued or taken out.
    pub(crate) touched_events: bool,
}

/// What the state machine keeps decoded between batches. All of it is also in the rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) head: StateHead,
    pub(crate) journal: Option<JournalIdentity>,
    pub(crate) frontier: Frontier,
}

/// What one command has done so far.
struct Effects {
    outcome: Outcome,
    version_id: Option<VersionId>,
    leaf_index: Option<u64>,
    freed: Vec<StripeRun>,
}

impl Effects {
    fn done(leaf_index: Option<u64>) -> Self {
        Self { outcome: Outcome::Done, version_id: None, leaf_index, freed: Vec::new() }
    }

    fn refused(refusal: Refusal) -> Self {
        Self { outcome: Outcome::Refused(refusal), version_id: None, leaf_index: None, freed: Vec::new() }
    }

    fn with_leaf(self, leaf_index: Option<u64>) -> Self {
        Self { leaf_index, ..self }
    }

    fn with_freed(self, freed: Vec<StripeRun>) -> Self {
        Self { freed, ..self }
    }
}

/// One command with its place in the log.
#[derive(Clone, Copy)]
struct Entry<'c> {
    index: u64,
    context: &'c CommandContext,
}

impl Entry<'_> {
    fn cause(&self) -> Cause {
        self.context.origin.as_ref().map_or(Cause::Request, |origin| origin.cause)
    }

    /// The event of a version that is gone, or of a marker that hides one.
    fn removal(&self, marker: bool) -> EventName {
        match (self.cause(), marker) {
            (Cause::Lifecycle, false) => EventName::ExpirationDelete,
            (Cause::Lifecycle, true) => EventName::ExpirationMarker,
            (_, false) => EventName::RemovedDelete,
            (_, true) => EventName::RemovedMarker,
        }
    }
}

/// An object's name.
#[derive(Clone, Copy)]
struct Name<'c> {
    bucket: BucketId,
    key: &'c str,
}

impl<'a> Transition<'a> {
    pub(crate) fn new(rows: Overlay<'a>, memory: Memory) -> Self {
        Self {
            rows,
            memory,
            touched_buckets: Vec::new(),
            touched_users: false,
            touched_configs: false,
            touched_events: false,
        }
    }

    /// Applies one command. The caller gives entries in the order of the log.
    pub(crate) fn apply(&mut self, index: u64, command: &Command) -> Result<Applied, StateError> {
        let entry = Entry { index, context: &command.context };
        let effects = self.dispatch(entry, &command.op)?;
        for run in &effects.freed {
            let dead = DeadRun { run: run.clone(), died_us: command.context.time_us };
            self.rows.put_row(keys::DEAD, run.first.as_bytes().to_vec(), &dead);
        }
        Ok(Applied {
            commit_index: index,
            leaf_index: effects.leaf_index,
            outcome: effects.outcome,
            version_id: effects.version_id,
            freed: effects.freed,
        })
    }

    fn dispatch(&mut self, entry: Entry<'_>, op: &Op) -> Result<Effects, StateError> {
        let named =
            self.memory.journal.is_some() || matches!(op, Op::SetJournal(_) | Op::SetLayout(_) | Op::SetDrives { .. });
        if !named {
            // Without a name no leaf can be made, and no change goes without its leaf.
            return Ok(Effects::refused(Refusal::JournalRefused));
        }
        if !context_fits(entry.context) {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        match op {
            Op::CreateBucket(row) => self.create_bucket(entry, row),
            Op::DeleteBucket { name } => self.delete_bucket(entry, name),
            Op::PutVersion { bucket, key, row, condition, missing } => {
                self.put_version(entry, Name { bucket: *bucket, key }, row, condition, missing)
            }
            Op::Rewrap { bucket, key, expected_commit_index, row, condition, keep_tags } => {
                self.rewrap(entry, Name { bucket: *bucket, key }, *expected_commit_index, row, condition, *keep_tags)
            }
            Op::DeleteVersion { bucket, key, version_id, condition, bypass_governance } => {
                self.delete_version(entry, Name { bucket: *bucket, key }, *version_id, condition, *bypass_governance)
            }
            Op::RecordRefusal { bucket, key, attempted, reason } => {
                self.record_refusal(entry, Name { bucket: *bucket, key }, *attempted, reason)
            }
            Op::CreateUpload { bucket, key, row } => self.create_upload(Name { bucket: *bucket, key }, row),
            Op::PutPart { bucket, key, upload, part, missing } => {
                self.put_part(Name { bucket: *bucket, key }, *upload, part, missing)
            }
            Op::CompleteUpload { bucket, key, upload, row, condition } => {
                self.complete_upload(entry, Name { bucket: *bucket, key }, *upload, row, condition)
            }
            Op::AbortUpload { bucket, key, upload } => self.abort_upload(Name { bucket: *bucket, key }, *upload),
            Op::CreateUser(row) => self.create_user(entry, row),
            Op::RemoveUser { name } => self.remove_user(entry, name),
            Op::AddAccessKey { user, key } => self.add_access_key(entry, user, key),
            Op::RemoveAccessKey { user, access_key_id } => self.remove_access_key(entry, user, access_key_id),
            Op::SetUserDocument { user, expected_digest, document } => {
                self.set_user_document(entry, user, expected_digest, document)
            }
            Op::RenameUser { user, new_name, expected_digest, document } => {
                self.rename_user(entry, user, new_name, expected_digest, document)
            }
            Op::SetAccessKey { user, access_key_id, disabled, expires_us } => {
                self.set_access_key(entry, user, access_key_id, *disabled, *expires_us)
            }
            Op::SetAccountQuota { user, quota } => self.set_account_quota(entry, user, *quota),
            Op::SignCheckpoint { size, root, note } => self.sign_checkpoint(*size, root, note),
            Op::SetLayout(layout) => self.set_layout(layout),
            Op::SetJournal(identity) => self.set_journal(identity),
            Op::SetBucketConfig { bucket, kind, document } => {
                self.set_bucket_config(entry, *bucket, *kind, document.as_deref())
            }
            Op::RecordRepair(repair) => self.record_repair(entry, repair),
            Op::RecordCorruption(corruption) => self.record_corruption(entry, corruption),
            Op::RecordScrub(pass) => self.record_scrub(entry, pass),
            Op::DeleteObject { bucket, key, marker, condition } => {
                self.delete_object(entry, Name { bucket: *bucket, key }, marker.as_deref(), condition)
            }
            Op::SetVersioning { bucket, versioning } => self.set_versioning(entry, *bucket, *versioning),
            Op::SetObjectLock { bucket, default_retention } => self.set_object_lock(entry, *bucket, *default_retention),
            Op::ChangeVersion { bucket, key, version_id, wrap_version, change } => {
                self.change_version(entry, Name { bucket: *bucket, key }, *version_id, *wrap_version, change)
            }
            Op::SetDrives { table, layout } => self.set_drives(entry, table, layout.as_ref()),
            Op::RecordDriveHealth { drive, now } => self.record_drive_health(entry, *drive, now),
            Op::SetNotifications { bucket, notifications, test_events } => {
                self.set_notifications(entry, *bucket, notifications, *test_events)
            }
            Op::RemoveEvents { target, through, discard } => self.remove_events(target, *through, *discard),
            Op::PackRuns(command) => self.pack_runs(command),
        }
    }

    fn leaf(&mut self, entry: Entry<'_>, event: Event) -> Result<Option<u64>, StateError> {
        let identity = self.memory.journal.as_ref().expect("dispatch refuses commands of a nameless journal");
        let leaf = build_leaf(identity, &self.memory.head, entry.context, event);
        append_leaf(&mut self.rows, &mut self.memory.head, &mut self.memory.frontier, &leaf).map(Some)
    }

    /// Refuses a modification; if it was aimed at an existing object, the journal says so.
    fn refuse(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        aim: Option<Aim>,
        kind: EventType,
        refusal: Refusal,
    ) -> Result<Effects, StateError> {
        let leaf = match aim {
            Some(aim) => self.refusal_leaf(entry, name, aim, kind, reason(&refusal))?,
            None => None,
        };
        Ok(Effects::refused(refusal).with_leaf(leaf))
    }

    /// Leaf of a refused modification of an existing object.
    fn refusal_leaf(
        &mut self,
        entry: Entry<'_>,
        name: Name<'_>,
        (key_commitment, version_id): Aim,
        kind: EventType,
        reason: &str,
    ) -> Result<Option<u64>, StateError> {
        let target = object_target(name.bucket, &key_commitment, version_id);
        let event = Event { kind, target, refused: Some(reason.to_owned()), data: Default::default() };
        self.leaf(entry, event)
    }

    fn stats(&self, bucket: BucketId) -> Result<Option<BucketStats>, StateError> {
        self.rows.row(keys::BKT, &keys::bucket_id(bucket))
    }

    /// A bucket with its counters.
    fn bucket(&self, id: BucketId) -> Result<Option<(BucketRow, BucketStats)>, StateError> {
        let Some(stats) = self.stats(id)? else {
            return Ok(None);
        };
        let row = self.rows.row(keys::BKT, &keys::bucket_name(&stats.name))?;
        let row = row.ok_or(StateError::Inconsistent { what: "counters of a bucket that has no row" })?;
        Ok(Some((row, stats)))
    }

    /// The time of a command, or that of the last leaf if the clock went back since: what begins now
    /// never ends early.
    fn later_time(&self, entry: Entry<'_>) -> u64 {
        entry.context.time_us.max(self.memory.head.last_time_us)
    }

    fn put_stats(&mut self, bucket: BucketId, stats: &BucketStats) {
        self.rows.put_row(keys::BKT, keys::bucket_id(bucket), stats);
    }

    fn current(&self, name: Name<'_>) -> Result<Option<CurrentRow>, StateError> {
        self.rows.row(keys::CUR, &keys::current(name.bucket, name.key))
    }

    /// Records who owns the runs of these parts, and which of their shards are to be healed.
    fn own_runs(
        &mut self,
        name: Name<'_>,
        (object_uuid, place): (ObjectUuid, OwnerPlace),
        parts: &[PartRow],
        missing: &[MissingShard],
    ) -> Result<(), StateError> {
        for run in parts.iter().filter_map(|part| part.blob.stripes()) {
            let (bucket, key) = (name.bucket, name.key.to_owned());
            let owner = RunOwner { bucket, key, object_uuid, place, count: run.count };
            if self.own_member(run, &owner)? {
                continue;
            }
            self.await_packing(run)?;
            self.rows.put_row(keys::STP, run.first.as_bytes().to_vec(), &owner);
            // A late retry brings a dead run back to life: nobody may free it now.
            self.rows.delete(keys::DEAD, run.first.as_bytes().to_vec());
            for shard in missing.iter().filter(|shard| run_holds(run, shard)) {
                let key = keys::heal(&shard.stripe, shard.shard_index);
                // A retry of the same write names the same shards.
                self.memory.head.heal_rows += u64::from(!self.rows.contains(keys::HEAL, &key)?);
                self.rows.put_row(keys::HEAL, key, &HealRow { run: run.clone() });
            }
        }
        Ok(())
    }

    /// Takes the runs of `dying` from their owner, but for those that `kept` holds too.
    fn release_runs(&mut self, dying: &[PartRow], kept: &[PartRow]) -> Result<Vec<StripeRun>, StateError> {
        let mut freed = Vec::new();
        for run in dying.iter().filter_map(|part| part.blob.stripes()) {
            let stays = kept.iter().filter_map(|part| part.blob.stripes()).any(|other| other.first == run.first);
            if stays {
                continue;
            }
            if !self.release_member(run, &mut freed)? {
                self.release_stripes(run)?;
                freed.push(run.clone());
            }
        }
        Ok(freed)
    }

    /// The runs of a refused write, to be freed unless something owns them: a retry of a write that
    /// succeeded must not take its own bytes away.
    fn unowned_runs(&self, parts: &[PartRow]) -> Result<Vec<StripeRun>, StateError> {
        let mut unowned = Vec::new();
        for run in parts.iter().filter_map(|part| part.blob.stripes()) {
            if !self.is_owned(run)? {
                unowned.push(run.clone());
            }
        }
        Ok(unowned)
    }

    fn forget_heal(&mut self, run: &StripeRun) -> Result<(), StateError> {
        if self.memory.head.heal_rows == 0 {
            return Ok(());
        }
        let prefix = keys::run_prefix(&run.first);
        for key in self.rows.collect(keys::HEAL, prefix, prefix_end(prefix).as_deref())?.into_keys() {
            self.rows.delete(keys::HEAL, key);
            self.memory.head.heal_rows = self.memory.head.heal_rows.saturating_sub(1);
        }
        Ok(())
    }
}

/// Whether a condition holds on a version, which is no delete marker.
fn check_condition(condition: &WriteCondition, version: Option<&ObjectSummary>) -> Result<(), Refusal> {
    let (etag, modified_s, size_bytes) = match condition {
        WriteCondition::None => return Ok(()),
        WriteCondition::IfAbsent if version.is_some() => return Err(Refusal::PreconditionFailed),
        WriteCondition::IfAbsent => return Ok(()),
        WriteCondition::IfNotMatch(etag) if version.is_some_and(|version| *etag == version.etag) => {
            return Err(Refusal::PreconditionFailed);
        }
        WriteCondition::IfNotMatch(_) => return Ok(()),
        WriteCondition::IfPresent => (None, None, None),
        WriteCondition::IfMatch(etag) => (Some(etag), None, None),
        WriteCondition::IfIs { etag, modified_s, size_bytes } => (etag.as_ref(), *modified_s, *size_bytes),
    };
    let version = version.ok_or(Refusal::NoSuchKey)?;
    let holds = etag.is_none_or(|etag| *etag == version.etag)
        && modified_s.is_none_or(|modified_s| modified_s == version.modified_us / 1_000_000)
        && size_bytes.is_none_or(|size_bytes| size_bytes == version.size_bytes);
    if holds { Ok(()) } else { Err(Refusal::PreconditionFailed) }
}

/// Whether retention or a legal hold forbids to destroy a version.
///
/// Judged by the command's own time: a clock that went back holds what it had freed.
fn is_locked(row: &VersionRow, entry: Entry<'_>, bypass_governance: bool) -> bool {
    row.legal_hold == Some(true)
        || row.retention.is_some_and(|held| held.forbids_removal(entry.context.time_us, bypass_governance))
}

/// S3's code for a refusal that a leaf records.
fn reason(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::PreconditionFailed => "PreconditionFailed",
        Refusal::Locked => "AccessDenied",
        _ => "OperationAborted",
    }
}

fn key_fits(key: &str) -> bool {
    (1..=KEY_BYTES_MAX).contains(&key.len())
}

fn context_fits(context: &CommandContext) -> bool {
    [&context.request_id, &context.actor_pid, &context.actor_role, &context.actor_auth]
        .iter()
        .all(|text| text.len() <= CONTEXT_TEXT_BYTES_MAX)
        && context.origin.as_ref().is_none_or(|origin| {
            origin.principal.len() <= ORIGIN_TEXT_BYTES_MAX && origin.source_ip.len() <= ORIGIN_TEXT_BYTES_MAX
        })
}

/// Whether the row is within its limits, so that neither its encoding nor its leaf can fail.
fn version_fits(row: &VersionRow) -> bool {
    let inline: usize = row.parts.iter().map(part_bytes).sum();
    let numbers_ascend = row.parts.windows(2).all(|pair| pair[0].number < pair[1].number);
    row.size_bytes <= chartrier_journal::JSON_NUMBER_MAX
        && (1..=usize::from(PART_NUMBER_MAX)).contains(&row.parts.len())
        && numbers_ascend
        && opaque_bytes(row) <= SMALL_ROW_BYTES_MAX
        && summary_text_bytes(row) <= SUMMARY_TEXT_BYTES_MAX
        && row.retention.is_none_or(|retention| retention.until_us <= UNTIL_US_MAX)
        && inline <= VERSION_ROW_BYTES_MAX - (1 << 20)
}

fn opaque_bytes(row: &VersionRow) -> usize {
    row.sealed_metadata.len()
        + row.wrap.len()
        + row.etag.len()
        + row.owner.len()
        + row.sealed_tags.len()
        + row.acl.len()
}

fn summary_text_bytes(row: &VersionRow) -> usize {
    let checksum = row.checksum.as_ref().map_or(0, |tag| tag.algorithm.len() + tag.kind.len());
    row.etag.len() + row.owner.len() + checksum
}

fn part_fits(part: &PartRow) -> bool {
    (1..=PART_NUMBER_MAX).contains(&part.number) && part_bytes(part) <= SMALL_ROW_BYTES_MAX
}

/// Upper bound of a part's encoded length.
fn part_bytes(part: &PartRow) -> usize {
    let blob = match &part.blob {
        BlobRef::Inline(bytes) => bytes.len(),
        BlobRef::Stripes(_) => 96,
    };
    128 + blob + part.etag.len() + part.sealed_checksums.len()
}

fn run_holds(run: &StripeRun, shard: &MissingShard) -> bool {
    let stripe = &shard.stripe;
    keys::run_prefix(stripe) == keys::run_prefix(&run.first)
        && *stripe >= run.first
        && run.count > 0
        && *stripe <= run.first.nth(run.count - 1)
}
