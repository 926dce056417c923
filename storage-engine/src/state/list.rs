//! Listings: one scan in key order that seeks past what is rolled up, so that the cost follows the
//! entries returned and not the keys below them.

use super::keys;
use super::kv::{Kv, ScanStep, prefix_end};
use super::overlay::decode_row;
use super::rows::CurrentRow;
use crate::error::StateError;
use crate::namespace::query::{
    ListEntry, ListFrom, ListPage, ListQuery, UploadEntry, UploadFrom, UploadPage, UploadQuery, common_prefix,
};

/// Most entries of one page, whatever the query says.
pub const PAGE_ENTRIES_MAX: usize = 10_000;

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
    let mut failed = None;
    let until = prefix_end(&whole);
    kv.scan(keys::CUR, from.max(whole).as_slice(), until.as_deref(), &mut |row_key, value| {
        if entries.len() == limit {
            truncated = limit > 0;
            return ScanStep::Stop;
        }
        let Some(key) = keys::key_of_current(row_key) else {
            failed = Some(StateError::Inconsistent { what: "a key of `cur` is not UTF-8" });
            return ScanStep::Stop;
        };
        if let Some(common) = common_prefix(key, &query.prefix, query.delimiter.as_deref()) {
            entries.push(ListEntry::Prefix(common.to_owned()));
            return ScanStep::Seek(past(keys::current(query.bucket, common)));
        }
        match decode_row::<CurrentRow>(keys::CUR, value) {
            Ok(row) => {
                entries.push(ListEntry::Object { key: key.to_owned(), summary: row.summary });
                ScanStep::Next
            }
            Err(error) => {
                failed = Some(error);
                ScanStep::Stop
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    let next = entries.last().filter(|_| truncated).map(|last| match last {
        ListEntry::Object { key, .. } => ListFrom::AfterKey(key.clone()),
        ListEntry::Prefix(prefix) => ListFrom::PastPrefix(prefix.clone()),
    });
    Ok(ListPage { entries, next })
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
    let mut failed = None;
    let until = prefix_end(&whole);
    kv.scan(keys::UPL, from.max(whole).as_slice(), until.as_deref(), &mut |row_key, value| {
        if entries.len() == limit {
            truncated = limit > 0;
            return ScanStep::Stop;
        }
        let Some(key) = keys::key_of_object_row(row_key) else {
            failed = Some(StateError::Inconsistent { what: "a key of `upl` is malformed" });
            return ScanStep::Stop;
        };
        if let Some(common) = common_prefix(&key, &query.prefix, query.delimiter.as_deref()) {
            entries.push(UploadEntry::Prefix(common.to_owned()));
            return ScanStep::Seek(past(keys::key_prefix(query.bucket, common)));
        }
        match decode_row(keys::UPL, value) {
            Ok(row) => {
                entries.push(UploadEntry::Upload { key, row: Box::new(row) });
                ScanStep::Next
            }
            Err(error) => {
                failed = Some(error);
                ScanStep::Stop
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
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
