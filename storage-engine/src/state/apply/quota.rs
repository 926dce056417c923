//! What accounts hold and may hold: counted with each version that comes or goes, held against each
//! version that is made.
//!
//! A version counts for the owner of its bucket. Delete markers count and are never refused: who is at
//! its quota may still delete. Parts of an upload count once it is complete.

use std::collections::BTreeMap;

use chartrier_journal::{JSON_NUMBER_MAX, Json, Target};

use super::super::journal::{Event, EventType};
use super::super::keys;
use super::super::rows::{AccountStats, BucketStats};
use super::{Effects, Entry, Refusal, StateError, Transition};
use crate::namespace::rows::{AccountQuota, VersionRow};

impl Transition<'_> {
    pub(super) fn set_account_quota(
        &mut self,
        entry: Entry<'_>,
        user: &str,
        quota: AccountQuota,
    ) -> Result<Effects, StateError> {
        let Some(row) = self.user(user)?.filter(|row| row.account.is_empty()) else {
            return Ok(Effects::refused(Refusal::NoSuchUser));
        };
        let limits = [quota.max_bytes, quota.max_versions];
        if limits.into_iter().flatten().any(|limit| limit > JSON_NUMBER_MAX) {
            return Ok(Effects::refused(Refusal::TooLarge));
        }
        let limit = |limit: Option<u64>| limit.map_or(Json::Null, Json::from);
        let data = BTreeMap::from([
            ("changed".to_owned(), "quota".into()),
            ("max_bytes".to_owned(), limit(quota.max_bytes)),
            ("max_versions".to_owned(), limit(quota.max_versions)),
        ]);
        let target = Target { user: Some(row.id.clone()), ..Target::default() };
        let leaf = self.leaf(entry, Event { kind: EventType::UserChange, target, refused: None, data })?;
        let stats = AccountStats { quota, ..self.account(&row.id)? };
        self.put_account(&row.id, &stats);
        Ok(Effects::done(leaf))
    }

    /// Counts what became of a bucket for its owner.
    pub(super) fn count(&mut self, owner: &str, before: &BucketStats, after: &BucketStats) -> Result<(), StateError> {
        let mut stats = self.account(owner)?;
        stats.versions = stats.versions.saturating_sub(before.versions) + after.versions;
        stats.bytes = stats.bytes.saturating_sub(before.bytes) + after.bytes;
        self.put_account(owner, &stats);
        Ok(())
    }

    /// Counts a bucket that its owner has or has no more.
    pub(super) fn count_buckets(&mut self, owner: &str, change: impl FnOnce(u64) -> u64) -> Result<(), StateError> {
        let stats = self.account(owner)?;
        self.put_account(owner, &AccountStats { buckets: change(stats.buckets), ..stats });
        Ok(())
    }

    /// Whether a version would bring the owner of its bucket over its quota. What takes no more than
    /// what it replaces is never over.
    pub(super) fn is_over_quota(
        &self,
        owner: &str,
        row: &VersionRow,
        replaced: Option<&VersionRow>,
    ) -> Result<bool, StateError> {
        let AccountStats { versions, bytes, quota, .. } = self.account(owner)?;
        let over = |held: u64, added: u64, limit: Option<u64>| {
            added > 0 && limit.is_some_and(|limit| held.saturating_add(added) > limit)
        };
        let more_bytes = row.size_bytes.saturating_sub(replaced.map_or(0, |row| row.size_bytes));
        let more_versions = u64::from(replaced.is_none());
        Ok(over(bytes, more_bytes, quota.max_bytes) || over(versions, more_versions, quota.max_versions))
    }

    pub(super) fn account(&self, id: &str) -> Result<AccountStats, StateError> {
        Ok(self.rows.row(keys::USR, &keys::account(id))?.unwrap_or_default())
    }

    fn put_account(&mut self, id: &str, stats: &AccountStats) {
        match *stats == AccountStats::default() {
            true => self.rows.delete(keys::USR, keys::account(id)),
            false => self.rows.put_row(keys::USR, keys::account(id), stats),
        }
    }
}
