//! The commands on the model, one arm each.

use chartrier_journal::EventType;

use super::State;
use super::leaves::{facts, object, text};
use crate::ids::{BucketId, VersionId};
use crate::namespace::bucket_config::BucketConfigKind;
use crate::namespace::command::{Applied, Attempt, Command, Op, Outcome, Refusal, WriteCondition};
use crate::namespace::lock::Versioning;
use crate::namespace::rows::{PartRow, StripeRun, VersionRow};

/// What a command comes to: how it ended, its leaf, the runs it leaves without an owner.
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    pub(super) version_id: Option<VersionId>,
    pub(super) leaf: Option<u64>,
    pub(super) freed: Vec<StripeRun>,
}

pub(super) fn done(leaf: Option<u64>) -> Verdict {
    Verdict { outcome: Outcome::Done, version_id: None, leaf, freed: Vec::new() }
}

pub(super) fn refused(refusal: Refusal) -> Verdict {
    Verdict { outcome: Outcome::Refused(refusal), version_id: None, leaf: None, freed: Vec::new() }
}

impl State {
    pub(super) fn apply(&mut self, index: u64, command: &Command) -> Applied {
        let verdict = match (&command.op, &self.journal) {
            (Op::SetJournal(_) | Op::SetLayout(_) | Op::SetDrives { .. }, _) | (_, Some(_)) => {
                self.decide(index, command)
            }
            (_, None) => refused(Refusal::JournalRefused),
        };
        self.follow_events(index, command, &verdict);
        let Verdict { outcome, version_id, leaf: leaf_index, mut freed } = verdict;
        if !matches!(command.op, Op::PackRuns(_)) {
            let named = self.named_runs();
            freed = self.packs.follow(freed, &named);
        }
        self.follow_heal(&command.op, &outcome);
        Applied { commit_index: index, leaf_index, outcome, version_id, freed }
    }

    fn decide(&mut self, index: u64, command: &Command) -> Verdict {
        match &command.op {
            Op::CreateBucket(row) => self.create_bucket(command, row),
            Op::DeleteBucket { name } => self.delete_bucket(command, name),
            Op::PutVersion { bucket, key, row, condition, .. } => {
                match self.put(index, command, *bucket, key, row, condition) {
                    Ok(verdict) => verdict,
                    Err(verdict) => Verdict { freed: self.unowned(&row.parts), ..verdict },
                }
            }
            Op::Rewrap { bucket, key, expected_commit_index, row, condition, keep_tags } => {
                self.rewrap(index, command, *bucket, key, *expected_commit_index, row, condition, *keep_tags)
            }
            Op::DeleteVersion { bucket, key, version_id, condition, bypass_governance } => {
                self.delete_version(command, *bucket, key, *version_id, condition, *bypass_governance)
            }
            Op::DeleteObject { bucket, key, marker, condition } => {
                self.delete_object(index, command, *bucket, key, marker.as_deref(), condition)
            }
            Op::SetVersioning { .. } | Op::SetObjectLock { .. } => self.decide_bucket(command),
            Op::ChangeVersion { bucket, key, version_id, wrap_version, change } => {
                self.change_version(command, *bucket, key, (*version_id, *wrap_version), change)
            }
            Op::CreateUpload { bucket, key, row } => self.create_upload(*bucket, key, row),
            Op::PutPart { bucket, key, upload, part, .. } => self.put_part(*bucket, key, *upload, part),
            Op::CompleteUpload { bucket, key, upload, row, condition } => {
                self.complete_upload(index, command, (*bucket, key.clone(), *upload), row, condition)
            }
            Op::AbortUpload { bucket, key, upload } => self.abort_upload(*bucket, key, *upload),
            Op::RecordRefusal { bucket, key, attempted, reason } => {
                self.record_refusal(command, *bucket, key, *attempted, reason)
            }
            Op::SetNotifications { bucket, notifications, test_events } => {
                self.set_notifications(index, command, *bucket, notifications, *test_events)
            }
            Op::RemoveEvents { target, through, discard } => self.remove_events(target, *through, *discard),
            Op::CreateUser(row) => self.create_user(command, row),
            Op::RemoveUser { name } => self.remove_user(command, name),
            Op::AddAccessKey { user, key } => self.add_access_key(command, user, key),
            Op::RemoveAccessKey { user, access_key_id } => self.remove_access_key(command, user, access_key_id),
            Op::SetUserDocument { user, expected_digest, document } => {
                self.set_user_document(command, user, expected_digest, document)
            }
            Op::RenameUser { user, new_name, expected_digest, document } => {
                self.rename_user(command, user, new_name, expected_digest, document)
            }
            Op::SetAccessKey { user, access_key_id, disabled, expires_us } => {
                self.set_access_key(command, user, access_key_id, *disabled, *expires_us)
            }
            Op::SetAccountQuota { user, quota } => self.set_account_quota(command, user, *quota),
            Op::SetBucketConfig { bucket, kind, document } => {
                if *kind == BucketConfigKind::Notification {
                    return refused(Refusal::TooLarge);
                }
                self.set_config(command, *bucket, *kind, document.clone())
            }
            op => self.decide_system(command, op),
        }
    }

    /// The journal, drives and layouts, and what the mender and packing report.
    fn decide_system(&mut self, command: &Command, op: &Op) -> Verdict {
        match op {
            Op::SignCheckpoint { size, root, note } => {
                let last = self.signed.as_ref().map_or(0, |(size, _)| *size);
                let origin = self.journal.as_ref().map_or("", |journal| &journal.origin);
                let claimed = chartrier_journal::Checkpoint::new(origin, *size, (*root).into());
                let says_it = claimed.is_ok_and(|text| note.starts_with(&format!("{}\n", text.text())));
                if *size < last || *size > self.leaves.len() as u64 || !says_it || self.root(*size) != *root {
                    return refused(Refusal::CheckpointRefused);
                }
                self.signed = Some((*size, note.clone()));
                done(None)
            }
            Op::SetLayout(layout) => {
                if !self.layout_is_next(layout) {
                    return refused(Refusal::LayoutRefused);
                }
                self.layouts.push(layout.clone());
                done(None)
            }
            Op::PackRuns(command) => self.pack_runs(command),
            Op::SetDrives { table, layout } => self.set_drives(command, table, layout.as_ref()),
            Op::RecordDriveHealth { drive, now } => self.record_drive_health(command, *drive, now),
            Op::SetJournal(identity) => {
                let named = chartrier_journal::Checkpoint::new(&identity.origin, 0, chartrier_journal::empty_root());
                if self.journal.is_some() || named.is_err() {
                    return refused(Refusal::JournalRefused);
                }
                self.journal = Some(identity.clone());
                done(None)
            }
            Op::RecordRepair(repair) => self.record_repair(command, repair),
            Op::RecordCorruption(found) => self.record_corruption(command, found),
            Op::RecordScrub(pass) => self.record_scrub(command, pass),
            _ => unreachable!("the caller decides on objects, buckets, uploads and users"),
        }
    }

    /// Stores a version, or says why not. On an error nothing changed but the journal.
    pub(super) fn put(
        &mut self,
        index: u64,
        command: &Command,
        bucket: BucketId,
        key: &str,
        row: &VersionRow,
        condition: &WriteCondition,
    ) -> Result<Verdict, Verdict> {
        if !self.bucket_is(bucket) {
            return Err(refused(Refusal::NoSuchBucket));
        }
        let ascending = row.parts.windows(2).all(|pair| pair[0].number < pair[1].number);
        if !(1..=1024).contains(&key.len()) || row.parts.is_empty() || !ascending || !can_be_listed(row) {
            return Err(refused(Refusal::TooLarge));
        }
        let locks = self.bucket_mut(bucket).is_some_and(|bucket| bucket.object_lock.is_some());
        if !locks && (row.retention.is_some() || row.legal_hold.is_some()) {
            return Err(refused(Refusal::NoObjectLock));
        }
        self.check(command, bucket, self.existing(bucket, key), condition, EventType::ObjectModifyRefused)?;
        self.store(index, command, bucket, key, row.clone(), EventType::ObjectModifyRefused)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one command")]
    fn rewrap(
        &mut self,
        index: u64,
        command: &Command,
        bucket: BucketId,
        key: &str,
        expected: u64,
        row: &VersionRow,
        condition: &WriteCondition,
        keep_tags: bool,
    ) -> Verdict {
        let Some(versioning) = self.bucket_mut(bucket).map(|bucket| bucket.versioning) else {
            return refused(Refusal::NoSuchBucket);
        };
        let existing = self.existing(bucket, key);
        if let Err(verdict) = self.check(command, bucket, existing.clone(), condition, EventType::ObjectModifyRefused) {
            return verdict;
        }
        let Some(old) = existing else {
            return refused(Refusal::NoSuchKey);
        };
        let is_null = old.version_id == VersionId::NULL && versioning != Versioning::Enabled;
        if old.commit_index != expected || !is_null {
            return refused(Refusal::Superseded);
        }
        let bytes = |row: &VersionRow| -> Vec<_> {
            row.parts.iter().map(|p| (p.number, p.plain_bytes, p.salt, p.commitment, p.blob.clone())).collect()
        };
        let names = |row: &VersionRow| (row.object_uuid, row.wrap_version, row.size_bytes);
        if bytes(&old) != bytes(row) || names(&old) != names(row) {
            return refused(Refusal::PartsChanged);
        }
        if !can_be_listed(row) {
            return refused(Refusal::TooLarge);
        }
        let digest = |bytes: &[u8]| text(blake3::hash(bytes).as_bytes());
        let mut data = facts(row);
        data.push(("deposit_leaf", old.leaf_index.into()));
        data.push(("metadata_before", digest(&old.sealed_metadata)));
        data.push(("metadata_after", digest(&row.sealed_metadata)));
        data.push(("wrap_before", digest(&old.wrap)));
        data.push(("wrap_after", digest(&row.wrap)));
        let mut stored = row.clone();
        stored.version_id = VersionId::NULL;
        let leaf = self.leaf(command, EventType::MetadataChange, object(bucket, &stored), None, data);
        (stored.retention, stored.legal_hold) = (old.retention, old.legal_hold);
        if keep_tags {
            stored.sealed_tags = old.sealed_tags;
        }
        stored.commit_index = index;
        stored.leaf_index = leaf.unwrap_or_default();
        if let Some(last) = self.objects.get_mut(&(bucket, key.to_owned())).and_then(|rows| rows.last_mut()) {
            *last = stored;
        }
        Verdict { version_id: Some(VersionId::NULL), ..done(leaf) }
    }

    fn record_refusal(
        &mut self,
        command: &Command,
        bucket: BucketId,
        key: &str,
        attempted: Attempt,
        reason: &str,
    ) -> Verdict {
        if reason.is_empty() || reason.len() > 256 {
            return refused(Refusal::TooLarge);
        }
        let event = match attempted {
            Attempt::Modify => EventType::ObjectModifyRefused,
            Attempt::Delete => EventType::DeleteRefused,
        };
        let existing = self.existing(bucket, key);
        done(existing.and_then(|row| self.leaf(command, event, object(bucket, &row), Some(reason.to_owned()), vec![])))
    }

    /// The condition on a version; a refusal on an existing object leaves its leaf.
    pub(super) fn check(
        &mut self,
        command: &Command,
        bucket: BucketId,
        existing: Option<VersionRow>,
        condition: &WriteCondition,
        event: EventType,
    ) -> Result<(), Verdict> {
        let refusal = match (condition, &existing) {
            (WriteCondition::IfIs { .. }, None) => Refusal::NoSuchKey,
            (WriteCondition::IfIs { etag, modified_s, size_bytes }, Some(row)) => {
                let is = [
                    etag.as_ref().map(|etag| *etag == row.etag),
                    modified_s.map(|modified_s| modified_s == row.modified_us / 1_000_000),
                    size_bytes.map(|size_bytes| size_bytes == row.size_bytes),
                ];
                if !is.contains(&Some(false)) {
                    return Ok(());
                }
                Refusal::PreconditionFailed
            }
            (WriteCondition::IfAbsent, Some(_)) => Refusal::PreconditionFailed,
            (WriteCondition::IfNotMatch(etag), Some(row)) if *etag == row.etag => Refusal::PreconditionFailed,
            (WriteCondition::IfMatch(etag), Some(row)) if *etag != row.etag => Refusal::PreconditionFailed,
            (WriteCondition::IfMatch(_) | WriteCondition::IfPresent, None) => Refusal::NoSuchKey,
            _ => return Ok(()),
        };
        let leaf = existing.and_then(|row| {
            self.leaf(command, event, object(bucket, &row), Some("PreconditionFailed".to_owned()), vec![])
        });
        Err(Verdict { leaf, ..refused(refusal) })
    }

    /// The current version, if it is not a delete marker.
    pub(super) fn existing(&self, bucket: BucketId, key: &str) -> Option<VersionRow> {
        self.objects.get(&(bucket, key.to_owned()))?.last().filter(|row| !row.delete_marker).cloned()
    }

    pub(super) fn owns_any(&self, runs: &[StripeRun]) -> bool {
        let owned = self.named_runs();
        runs.iter().any(|run| owned.iter().any(|owned| owned.first == run.first))
    }

    pub(super) fn unowned(&self, parts: &[PartRow]) -> Vec<StripeRun> {
        let owned = self.named_runs();
        let is_owned = |run: &StripeRun| owned.iter().any(|owned| owned.first == run.first);
        parts.iter().filter_map(|part| part.blob.stripes()).filter(|run| !is_owned(run)).cloned().collect()
    }
}

/// Whether the texts that listings repeat are short enough.
fn can_be_listed(row: &VersionRow) -> bool {
    let checksum = row.checksum.as_ref().map_or(0, |tag| tag.algorithm.len() + tag.kind.len());
    row.etag.len() + row.owner.len() + checksum <= 8 << 10
}

/// Runs of `old` that are not also in `new`.
pub(super) fn dropped(old: &[PartRow], new: &[PartRow]) -> Vec<StripeRun> {
    let kept: Vec<_> = new.iter().filter_map(|part| part.blob.stripes()).map(|run| run.first).collect();
    old.iter().filter_map(|part| part.blob.stripes()).filter(|run| !kept.contains(&run.first)).cloned().collect()
}
