//! Listings: one scan in key order that seeks past what is rolled up, so that the cost follows the
//! entries returned and not the keys below them.

use super::keys;
use super::kv::{Kv, KvView, ScanStep, ScanVisitor, prefix_end, try_scan};
use super::overlay::decode_row;
use super::rows::CurrentRow;
use crate::error::StateError;
use crate::ids::VersionId;
use crate::namespace::query::{
    ListEntry, ListFrom, ListPage, ListQuery, UploadEntry, UploadFrom, UploadPage, UploadQuery, VersionEntry,
    VersionFrom, VersionPage, VersionQuery, common_prefix,
};
use crate::namespace::rows::VersionRow;

/// Most entries of one page, whatever the query says.
pub const PAGE_ENTRIES_MAX: usize = 10_000;

/// Most delete markers that one page steps over. A bucket whose objects were deleted may have nothing
/// else: such a page ends early, with fewer entries than asked for, and says where to go on.
pub(crate) const MARKERS_PASSED_MAX: usize = 20_000;

/// A page of current objects.
pub(crate) fn list_objects(kv: &dyn Kv, query: &ListQuery) -> Result<ListPage, StateError> {
    let whole = keys::current(query.bucket, &query.prefix);
    let from = match &query.after {
        None => whole.clone(),
        Some(ListFrom::AfterKey(key)) => after(keys::current(query.bucket, key)),
        Some(ListFrom::PastPrefix(prefix)) => past(keys::current(query.bucket, prefix)),
    };
    let limit = query.limit.min(PAGE_ENTRIES_MAX);
    let mut entries: Vec<ListEntry> = Vec::new();
    let mut truncated = false;
    let (mut markers, mut ended_at) = (0, None);
    let until = prefix_end(&whole);
    let scan = |visit: &mut ScanVisitor<'_>| kv.scan(keys::CUR, &from.max(whole), until.as_deref(), visit);
    try_scan(scan, |row_key, value| {
        let (key, row) = current_of(row_key, value)?;
        // A prefix is listed for what is there, not for what was deleted.
        if row.summary.delete_marker {
            markers += 1;
            if markers < MARKERS_PASSED_MAX {
                return Ok(ScanStep::Next);
            }
            ended_at = Some(ListFrom::AfterKey(key.to_owned()));
            return Ok(ScanStep::Stop);
        }
        if entries.len() == limit {
            truncated = limit > 0;
            return Ok(ScanStep::Stop);
        }
        if let Some(common) = common_prefix(key, &query.prefix, query.delimiter.as_deref()) {
            entries.push(ListEntry::Prefix(common.to_owned()));
            return Ok(ScanStep::Seek(past(keys::current(query.bucket, common))));
        }
        entries.push(ListEntry::Object { key: key.to_owned(), summary: row.summary });
        Ok::<_, StateError>(ScanStep::Next)
    })?;
    let next = entries.last().filter(|_| truncated).map(|last| match last {
        ListEntry::Object { key, .. } => ListFrom::AfterKey(key.clone()),
        ListEntry::Prefix(prefix) => ListFrom::PastPrefix(prefix.clone()),
    });
    Ok(ListPage { entries, next: ended_at.or(next) })
}

/// The key and the row of a pair of `cur`.
fn current_of<'k>(row_key: &'k [u8], value: &[u8]) -> Result<(&'k str, CurrentRow), StateError> {
    let key = keys::key_of_current(row_key);
    let key = key.ok_or(StateError::Inconsistent { what: "a key of `cur` is not UTF-8" })?;
    Ok((key, decode_row(keys::CUR, value)?))
}

/// A page of versions and delete markers, all of one moment.
///
/// Current ones come from `cur`; those of keys that have more, from `old`, whose rows follow in order.
pub(crate) fn list_versions(kv: &dyn Kv, query: &VersionQuery) -> Result<VersionPage, StateError> {
    let mut page = Ok(VersionPage::default());
    kv.view(&mut |view| page = versions_of(view, query));
    page
}

fn versions_of(view: &dyn KvView, query: &VersionQuery) -> Result<VersionPage, StateError> {
    let whole = keys::current(query.bucket, &query.prefix);
    let from = match &query.after {
        None => whole.clone(),
        Some(VersionFrom::AfterKey(key)) => after(keys::current(query.bucket, key)),
        Some(VersionFrom::AfterVersion(key, _)) => keys::current(query.bucket, key),
        Some(VersionFrom::PastPrefix(prefix)) => past(keys::current(query.bucket, prefix)),
    };
    let mut page = VersionsInProgress { limit: query.limit.min(PAGE_ENTRIES_MAX), entries: Vec::new(), full: false };
    let until = prefix_end(&whole);
    let scan = |visit: &mut ScanVisitor<'_>| view.scan(keys::CUR, &from.max(whole), until.as_deref(), visit);
    try_scan(scan, |row_key, value| {
        let (key, row) = current_of(row_key, value)?;
        let next = if let Some(common) = common_prefix(key, &query.prefix, query.delimiter.as_deref()) {
            page.push(VersionEntry::Prefix(common.to_owned()));
            ScanStep::Seek(past(keys::current(query.bucket, common)))
        } else {
            let older_than = match &query.after {
                Some(VersionFrom::AfterVersion(at, version)) if at == key => match version.commit_index() {
                    Some(commit_index) => Some(commit_index),
                    None => null_commit(view, query, key)?,
                },
                _ => None,
            };
            page.take_key(view, query, key, row, older_than)?;
            ScanStep::Next
        };
        Ok::<_, StateError>(if page.full { ScanStep::Stop } else { next })
    })?;
    Ok(VersionPage::cut(page.entries, page.full && page.limit > 0))
}

/// When the null version of a key was made, if it is there.
fn null_commit(view: &dyn KvView, query: &VersionQuery, key: &str) -> Result<Option<u64>, StateError> {
    let bytes = view.get(keys::VER, &keys::version(query.bucket, key, VersionId::NULL))?;
    let row = bytes.map(|bytes| decode_row::<VersionRow>(keys::VER, &bytes)).transpose()?;
    Ok(row.map(|row| row.commit_index))
}

struct VersionsInProgress {
    limit: usize,
    entries: Vec<VersionEntry>,
    /// Something did not fit: the page is cut.
    full: bool,
}

impl VersionsInProgress {
    fn push(&mut self, entry: VersionEntry) {
        if self.entries.len() == self.limit {
            self.full = true;
        } else {
            self.entries.push(entry);
        }
    }

    /// Takes the versions of a key that are older than a commit, newest first.
    fn take_key(
        &mut self,
        view: &dyn KvView,
        query: &VersionQuery,
        key: &str,
        current: CurrentRow,
        older_than: Option<u64>,
    ) -> Result<(), StateError> {
        if older_than.is_none_or(|commit_index| current.commit_index < commit_index) {
            let (key, summary) = (key.to_owned(), current.summary);
            self.push(VersionEntry::Version { key, is_latest: true, summary });
        }
        if current.versions <= 1 || self.full {
            return Ok(());
        }
        let newest = older_than.map_or(current.commit_index, |older_than| older_than.min(current.commit_index));
        let from = after(keys::noncurrent(query.bucket, key, newest));
        let until = prefix_end(&keys::object(query.bucket, key));
        let scan = |visit: &mut ScanVisitor<'_>| view.scan(keys::OLD, &from, until.as_deref(), visit);
        try_scan(scan, |_, value| {
            let CurrentRow { summary, .. } = decode_row(keys::OLD, value)?;
            self.push(VersionEntry::Version { key: key.to_owned(), is_latest: false, summary });
            Ok(if self.full { ScanStep::Stop } else { ScanStep::Next })
        })
    }
}

/// A page of uploads in progress.
pub(crate) fn list_uploads(kv: &dyn Kv, query: &UploadQuery) -> Result<UploadPage, StateError> {
    let whole = keys::key_prefix(query.bucket, &query.prefix);
    let from = match &query.after {
        None => whole.clone(),
        Some(UploadFrom::AfterKey(key)) => past(keys::object(query.bucket, key)),
        Some(UploadFrom::AfterUpload(key, id)) => after(keys::upload(query.bucket, key, *id)),
        Some(UploadFrom::PastPrefix(prefix)) => past(keys::key_prefix(query.bucket, prefix)),
    };
    let limit = query.limit.min(PAGE_ENTRIES_MAX);
    let mut entries: Vec<UploadEntry> = Vec::new();
    let mut truncated = false;
    let until = prefix_end(&whole);
    let scan = |visit: &mut ScanVisitor<'_>| kv.scan(keys::UPL, &from.max(whole), until.as_deref(), visit);
    try_scan(scan, |row_key, value| {
        if entries.len() == limit {
            truncated = limit > 0;
            return Ok(ScanStep::Stop);
        }
        let key =
            keys::key_of_object_row(row_key).ok_or(StateError::Inconsistent { what: "a key of `upl` is malformed" })?;
        if let Some(common) = common_prefix(&key, &query.prefix, query.delimiter.as_deref()) {
            entries.push(UploadEntry::Prefix(common.to_owned()));
            return Ok(ScanStep::Seek(past(keys::key_prefix(query.bucket, common))));
        }
        entries.push(UploadEntry::Upload { key, row: Box::new(decode_row(keys::UPL, value)?) });
        Ok::<_, StateError>(ScanStep::Next)
    })?;
    let next = entries.last().filter(|_| truncated).map(|last| match last {
        UploadEntry::Upload { key, row } => UploadFrom::AfterUpload(key.clone(), row.id),
        UploadEntry::Prefix(prefix) => UploadFrom::PastPrefix(prefix.clone()),
    });
    Ok(UploadPage { entries, next })
}

/// The first key after this one.
fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// The first key after all that start with this one. A key begins with a bucket id and a prefix is
/// UTF-8, so that there is one unless the bucket id is all ones and the prefix empty.
fn past(prefix: Vec<u8>) -> Vec<u8> {
    prefix_end(&prefix).unwrap_or_else(|| after([0xff; 17].to_vec()))
}

#[cfg(test)]
#[path = "list_cost_tests.rs"]
mod cost_tests;
