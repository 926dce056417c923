//! The reference: the same commands on maps of structs, written for the reader and not for speed.
//!
//! It shares the rows and the leaf format with the state machine and nothing else, so that the two
//! check each other. It is also a double for unit tests of whoever proposes commands.

mod apply;
mod buckets;
mod drives;
mod events;
mod integrity;
mod leaves;
mod listing;
mod packs;
mod uploads;
mod users;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chartrier_journal::{Frontier, Leaf, leaf_hash};

use crate::error::{MetaError, StateError};
use crate::ids::{BucketId, DriveId, ObjectUuid, StripeId, UploadId, VersionId};
use crate::meta::{MetaEngine, MetaReads};
use crate::namespace::bucket_config::{BucketConfigKind, BucketConfigRow};
use crate::namespace::command::{Applied, Command, JournalIdentity, Layout, Op, Outcome};
use crate::namespace::drive_health::DriveHealthRow;
use crate::namespace::drives::DriveTable;
use crate::namespace::integrity::ScrubMark;
use crate::namespace::notification::{EventPlace, EventQueue, EventRow};
use crate::namespace::packs::{PackCounts, PackPlace};
use crate::namespace::query::{
    AccountUsage, BucketEntry, BucketPage, BucketQuery, BucketUsage, ListPage, ListQuery, UploadPage, UploadQuery,
    VersionPage, VersionQuery,
};
use crate::namespace::rows::{
    AccessKeyRow, AccountQuota, BucketRow, OwnedRun, OwnerPlace, PartRow, RunOwner, StripeRun, UploadRow, UserRow,
    VersionRow,
};

/// The whole namespace in memory.
#[derive(Debug, Default)]
pub struct Model {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    applied: u64,
    buckets: BTreeMap<String, BucketRow>,
    configs: BTreeMap<(BucketId, BucketConfigKind), BucketConfigRow>,
    /// Versions of each object, oldest first: the last is current.
    objects: BTreeMap<(BucketId, String), Vec<VersionRow>>,
    uploads: BTreeMap<(BucketId, String, UploadId), Upload>,
    users: BTreeMap<String, UserRow>,
    /// By canonical id of the account.
    quotas: BTreeMap<String, AccountQuota>,
    layouts: Vec<Layout>,
    drives: DriveTable,
    journal: Option<JournalIdentity>,
    leaves: Vec<Leaf>,
    signed: Option<(u64, String)>,
    /// Shards of owned runs that a write did without.
    heal: BTreeSet<(StripeId, u8)>,
    scrubs: BTreeMap<DriveId, ScrubMark>,
    healths: BTreeMap<DriveId, DriveHealthRow>,
    /// By the target's name.
    events: BTreeMap<String, events::Queue>,
    packs: packs::Packs,
    /// Within a Complete, whose parts the upload still owns.
    completing: bool,
}

#[derive(Debug)]
struct Upload {
    row: UploadRow,
    parts: BTreeMap<u16, PartRow>,
}

impl Model {
    /// An empty namespace.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies one command as entry `index` of the log.
    pub fn apply(&self, index: u64, command: &Command) -> Applied {
        let mut state = self.state();
        state.applied = index;
        state.apply(index, command)
    }

    /// All runs that something owns, in order.
    pub fn owned_runs(&self) -> Vec<OwnedRun> {
        self.state().owned_runs()
    }

    /// Shards that wait to be healed, in order.
    pub fn heal_queue(&self) -> Vec<(StripeId, u8)> {
        self.state().heal.iter().copied().collect()
    }

    /// What is packed, and what waits to be.
    pub fn pack_counts(&self) -> PackCounts {
        let state = self.state();
        state.packs.counts(&state.waiting_runs())
    }

    /// Where the bytes of a small run are, if it was ever packed.
    pub fn pack_place(&self, run: StripeId) -> Option<PackPlace> {
        self.state().packs.place(run)
    }

    /// Packs with much that is dead, in order.
    pub fn sparse_packs(&self) -> Vec<StripeId> {
        self.state().packs.sparse()
    }

    /// When each drive was last scrubbed.
    pub fn scrub_marks(&self) -> BTreeMap<DriveId, ScrubMark> {
        self.state().scrubs.clone()
    }

    /// What is known of the health of drives.
    pub fn drive_healths(&self) -> BTreeMap<DriveId, DriveHealthRow> {
        self.state().healths.clone()
    }

    /// Root of the journal's tree at `size`.
    pub fn journal_root(&self, size: u64) -> [u8; 32] {
        self.state().root(size)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counted anew each time.
    fn usage_of(&self, account: &str) -> AccountUsage {
        let owned: Vec<_> = self.buckets.values().filter(|bucket| bucket.owner == account).map(|row| row.id).collect();
        let versions: Vec<_> =
            self.objects.iter().filter(|((id, _), _)| owned.contains(id)).flat_map(|(_, rows)| rows).collect();
        AccountUsage {
            versions: versions.len() as u64,
            bytes: versions.iter().map(|row| row.size_bytes).sum(),
            quota: self.quotas.get(account).copied().unwrap_or_default(),
            buckets: owned.len() as u64,
        }
    }

    fn bucket_is(&self, id: BucketId) -> bool {
        self.buckets.values().any(|bucket| bucket.id == id)
    }

    /// Runs that versions and parts name, wherever their bytes are.
    fn named_runs(&self) -> Vec<OwnedRun> {
        let mut runs = Vec::new();
        for ((bucket, key), rows) in &self.objects {
            for row in rows {
                let place = OwnerPlace::Version(row.version_id);
                runs.extend(row.parts.iter().filter_map(|part| owned(*bucket, key, row.object_uuid, place, part)));
            }
        }
        for ((bucket, key, id), upload) in &self.uploads {
            for part in upload.parts.values() {
                let place = OwnerPlace::Part { upload: *id, number: part.number };
                runs.extend(owned(*bucket, key, upload.row.object_uuid, place, part));
            }
        }
        runs.sort_by_key(|run| run.first);
        runs
    }

    /// Runs of which drives hold shards that something needs.
    fn owned_runs(&self) -> Vec<OwnedRun> {
        let mut runs = self.named_runs();
        runs.retain(|run| !self.packs.is_live_member(run.first));
        runs.extend(self.packs.owners());
        runs.sort_by_key(|run| run.first);
        runs
    }

    /// Runs of copies that drives hold and something names.
    fn waiting_runs(&self) -> Vec<StripeRun> {
        let of_uploads = self.uploads.values().flat_map(|upload| upload.parts.values());
        let parts = self.objects.values().flatten().flat_map(|row| &row.parts).chain(of_uploads);
        let runs = parts.filter_map(|part| part.blob.stripes());
        runs.filter(|run| run.places != 0 && !self.packs.is_live_member(run.first)).cloned().collect()
    }

    /// Who owns the run that begins with `first`, if something does.
    fn owner_of(&self, first: StripeId) -> Option<RunOwner> {
        self.owned_runs().into_iter().find(|run| run.first == first).map(|run| run.owner)
    }

    /// A write that holds leaves its missing shards to be healed; those of runs that nobody owns are forgotten.
    fn follow_heal(&mut self, op: &Op, outcome: &Outcome) {
        if *outcome == Outcome::Done {
            let (parts, missing): (&[PartRow], _) = match op {
                Op::PutVersion { row, missing, .. } => (&row.parts, missing.as_slice()),
                Op::PutPart { part, missing, .. } => (std::slice::from_ref(part), missing.as_slice()),
                _ => (&[], &[]),
            };
            for run in parts.iter().filter_map(|part| part.blob.stripes()) {
                let stripes: Vec<StripeId> = (0..run.count).map(|index| run.first.nth(index)).collect();
                let of_run = missing.iter().filter(|shard| stripes.contains(&shard.stripe));
                self.heal.extend(of_run.map(|shard| (shard.stripe, shard.shard_index)));
            }
        }
        if !self.heal.is_empty() {
            let owned = self.owned_runs();
            self.heal
                .retain(|(stripe, _)| owned.iter().any(|run| run.first.as_bytes()[..12] == stripe.as_bytes()[..12]));
        }
    }

    fn root(&self, size: u64) -> [u8; 32] {
        let mut tree = Frontier::new();
        for leaf in self.leaves.iter().take(usize::try_from(size).unwrap_or(usize::MAX)) {
            tree.push(leaf_hash(&leaf.encode().unwrap_or_default()));
        }
        tree.root().to_bytes()
    }
}

/// The run of a part, if it has one, under the name of its owner.
fn owned(bucket: BucketId, key: &str, object_uuid: ObjectUuid, place: OwnerPlace, part: &PartRow) -> Option<OwnedRun> {
    let run = part.blob.stripes()?;
    let owner = RunOwner { bucket, key: key.to_owned(), object_uuid, place, count: run.count };
    Some(OwnedRun { first: run.first, owner })
}

impl MetaEngine for Model {
    type Reads = Self;

    async fn propose(&self, command: Command) -> Result<Applied, MetaError> {
        let mut state = self.state();
        state.applied += 1;
        let index = state.applied;
        Ok(state.apply(index, &command))
    }

    fn reads(&self) -> &Self {
        self
    }
}

impl MetaReads for Model {
    fn bucket(&self, name: &str) -> Result<Option<BucketRow>, StateError> {
        Ok(self.state().buckets.get(name).cloned())
    }

    fn buckets(&self) -> Result<Vec<BucketRow>, StateError> {
        Ok(self.state().buckets.values().cloned().collect())
    }

    fn list_buckets(&self, query: &BucketQuery) -> Result<BucketPage, StateError> {
        let state = self.state();
        let wanted = state.buckets.values().filter(|row| {
            query.owner.as_ref().is_none_or(|owner| row.owner == *owner)
                && query.region.as_ref().is_none_or(|region| row.region == *region)
                && query.after.as_ref().is_none_or(|after| row.name > *after)
                && row.name.starts_with(&query.prefix)
        });
        let mut buckets: Vec<_> = wanted
            .map(|row| BucketEntry { name: row.name.clone(), created_us: row.created_us, region: row.region.clone() })
            .collect();
        let more = buckets.len() > query.limit;
        buckets.truncate(query.limit);
        Ok(BucketPage { buckets, more })
    }

    fn bucket_usage(&self, name: &str) -> Result<Option<BucketUsage>, StateError> {
        let state = self.state();
        let Some(bucket) = state.buckets.get(name).cloned() else {
            return Ok(None);
        };
        let versions: Vec<_> =
            state.objects.iter().filter(|((id, _), _)| *id == bucket.id).flat_map(|(_, rows)| rows).collect();
        Ok(Some(BucketUsage {
            versions: versions.len() as u64,
            bytes: versions.iter().map(|row| row.size_bytes).sum(),
            uploads: state.uploads.keys().filter(|(id, ..)| *id == bucket.id).count() as u64,
            bucket,
        }))
    }

    fn account_usage(&self, id: &str) -> Result<AccountUsage, StateError> {
        Ok(self.state().usage_of(id))
    }

    fn bucket_config(&self, bucket: BucketId, kind: BucketConfigKind) -> Result<Option<BucketConfigRow>, StateError> {
        Ok(self.state().configs.get(&(bucket, kind)).cloned())
    }

    fn current(&self, bucket: BucketId, key: &str) -> Result<Option<VersionRow>, StateError> {
        Ok(self.state().objects.get(&(bucket, key.to_owned())).and_then(|rows| rows.last()).cloned())
    }

    fn version(&self, bucket: BucketId, key: &str, version: VersionId) -> Result<Option<VersionRow>, StateError> {
        let state = self.state();
        let rows = state.objects.get(&(bucket, key.to_owned()));
        Ok(rows.and_then(|rows| rows.iter().find(|row| row.version_id == version)).cloned())
    }

    fn list_objects(&self, query: &ListQuery) -> Result<ListPage, StateError> {
        Ok(self.state().list_objects(query))
    }

    fn list_versions(&self, query: &VersionQuery) -> Result<VersionPage, StateError> {
        Ok(self.state().list_versions(query))
    }

    fn upload(&self, bucket: BucketId, key: &str, upload: UploadId) -> Result<Option<UploadRow>, StateError> {
        Ok(self.state().uploads.get(&(bucket, key.to_owned(), upload)).map(|upload| upload.row.clone()))
    }

    fn parts(
        &self,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> Result<(Vec<PartRow>, bool), StateError> {
        let state = self.state();
        let Some(upload) = state.uploads.get(&(bucket, key.to_owned(), upload)) else {
            return Ok((Vec::new(), false));
        };
        let later: Vec<_> = upload.parts.values().filter(|part| part.number > after).cloned().collect();
        let more = later.len() > limit;
        Ok((later.into_iter().take(limit).collect(), more))
    }

    fn list_uploads(&self, query: &UploadQuery) -> Result<UploadPage, StateError> {
        Ok(self.state().list_uploads(query))
    }

    fn run_owner(&self, stripe: StripeId) -> Result<Option<OwnedRun>, StateError> {
        let runs = self.state().owned_runs();
        Ok(runs.into_iter().find(|run| (0..run.owner.count).any(|index| run.first.nth(index) == stripe)))
    }

    fn event_queues(&self) -> Result<Vec<EventQueue>, StateError> {
        Ok(self.state().events.iter().map(|(target, queue)| queue.summary(target)).collect())
    }

    fn events(
        &self,
        target: &str,
        after: Option<EventPlace>,
        limit: usize,
    ) -> Result<Vec<(EventPlace, EventRow)>, StateError> {
        let state = self.state();
        let events = state.events.get(target).map_or(&[][..], |queue| &queue.events);
        let later = events.iter().filter(|(place, _)| after.is_none_or(|after| *place > after));
        Ok(later.take(limit).cloned().collect())
    }

    fn users(&self) -> Result<Vec<UserRow>, StateError> {
        Ok(self.state().users.values().cloned().collect())
    }

    fn user(&self, name: &str) -> Result<Option<UserRow>, StateError> {
        Ok(self.state().users.get(name).cloned())
    }

    fn user_by_access_key(&self, access_key_id: &str) -> Result<Option<(UserRow, AccessKeyRow)>, StateError> {
        let state = self.state();
        Ok(state.users.values().find_map(|user| {
            let key = user.access_keys.iter().find(|key| key.access_key_id == access_key_id)?;
            Some((user.clone(), key.clone()))
        }))
    }

    fn drive_table(&self) -> Result<DriveTable, StateError> {
        Ok(self.state().drives.clone())
    }

    fn layout(&self) -> Result<Option<Layout>, StateError> {
        Ok(self.state().layouts.last().cloned())
    }

    fn journal_size(&self) -> u64 {
        self.state().leaves.len() as u64
    }

    fn leaf(&self, index: u64) -> Result<Option<Vec<u8>>, StateError> {
        let state = self.state();
        let leaf = usize::try_from(index).ok().and_then(|index| state.leaves.get(index));
        Ok(leaf.map(Leaf::encode).transpose()?)
    }

    fn latest_checkpoint(&self) -> Result<Option<String>, StateError> {
        Ok(self.state().signed.as_ref().map(|(_, note)| note.clone()))
    }
}
