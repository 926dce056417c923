//! Listings of the model: all names in order, rolled up, then cut to the page.

use super::State;
use crate::namespace::query::{
    ListEntry, ListFrom, ListPage, ListQuery, UploadEntry, UploadFrom, UploadPage, UploadQuery, VersionEntry,
    VersionFrom, VersionPage, VersionQuery, common_prefix,
};

impl State {
    pub(super) fn list_objects(&self, query: &ListQuery) -> ListPage {
        let mut entries: Vec<ListEntry> = Vec::new();
        for ((bucket, key), rows) in &self.objects {
            let begun = match &query.after {
                None => true,
                Some(ListFrom::AfterKey(after)) => key > after,
                Some(ListFrom::PastPrefix(past)) => key > past && !key.starts_with(past),
            };
            let deleted = rows.last().is_none_or(|row| row.delete_marker);
            if *bucket != query.bucket || !key.starts_with(&query.prefix) || !begun || deleted {
                continue;
            }
            let entry = match common_prefix(key, &query.prefix, query.delimiter.as_deref()) {
                Some(common) => ListEntry::Prefix(common.to_owned()),
                None => {
                    let Some(row) = rows.last() else { continue };
                    ListEntry::Object { key: key.clone(), summary: row.summary() }
                }
            };
            if entries.last() != Some(&entry) {
                entries.push(entry);
            }
        }
        let truncated = query.limit > 0 && entries.len() > query.limit;
        entries.truncate(query.limit);
        let next = entries.last().filter(|_| truncated).map(|last| match last {
            ListEntry::Object { key, .. } => ListFrom::AfterKey(key.clone()),
            ListEntry::Prefix(prefix) => ListFrom::PastPrefix(prefix.clone()),
        });
        ListPage { entries, next }
    }

    pub(super) fn list_versions(&self, query: &VersionQuery) -> VersionPage {
        let mut entries: Vec<VersionEntry> = Vec::new();
        for ((bucket, key), rows) in &self.objects {
            if *bucket != query.bucket || !key.starts_with(&query.prefix) {
                continue;
            }
            let common = common_prefix(key, &query.prefix, query.delimiter.as_deref());
            // Where the key is the marker's, versions older than the marker; an unknown null is no marker.
            let older_than = match &query.after {
                Some(VersionFrom::AfterKey(after)) if key <= after => continue,
                Some(VersionFrom::PastPrefix(past)) if key <= past || key.starts_with(past) => continue,
                Some(VersionFrom::AfterVersion(after, _)) if key < after => continue,
                Some(VersionFrom::AfterVersion(after, id)) if key == after => id
                    .commit_index()
                    .or_else(|| rows.iter().find(|row| row.version_id == *id).map(|row| row.commit_index)),
                _ => None,
            };
            if let Some(common) = common {
                let entry = VersionEntry::Prefix(common.to_owned());
                if entries.last() != Some(&entry) {
                    entries.push(entry);
                }
                continue;
            }
            for (age, row) in rows.iter().rev().enumerate() {
                if older_than.is_none_or(|older_than| row.commit_index < older_than) {
                    entries.push(VersionEntry::Version {
                        key: key.clone(),
                        is_latest: age == 0,
                        summary: row.summary(),
                    });
                }
            }
        }
        let truncated = query.limit > 0 && entries.len() > query.limit;
        entries.truncate(query.limit);
        VersionPage::cut(entries, truncated)
    }

    pub(super) fn list_uploads(&self, query: &UploadQuery) -> UploadPage {
        let mut entries: Vec<UploadEntry> = Vec::new();
        for ((bucket, key, id), upload) in &self.uploads {
            let begun = match &query.after {
                None => true,
                Some(UploadFrom::AfterKey(after)) => key > after,
                Some(UploadFrom::AfterUpload(after, last)) => (key, id) > (after, last),
                Some(UploadFrom::PastPrefix(past)) => key > past && !key.starts_with(past),
            };
            if *bucket != query.bucket || !key.starts_with(&query.prefix) || !begun {
                continue;
            }
            let entry = match common_prefix(key, &query.prefix, query.delimiter.as_deref()) {
                Some(common) => UploadEntry::Prefix(common.to_owned()),
                None => UploadEntry::Upload { key: key.clone(), row: Box::new(upload.row.clone()) },
            };
            if entries.last() != Some(&entry) {
                entries.push(entry);
            }
        }
        let truncated = query.limit > 0 && entries.len() > query.limit;
        entries.truncate(query.limit);
        let next = entries.last().filter(|_| truncated).map(|last| match last {
            UploadEntry::Upload { key, row } => UploadFrom::AfterUpload(key.clone(), row.id),
            UploadEntry::Prefix(prefix) => UploadFrom::PastPrefix(prefix.clone()),
        });
        UploadPage { entries, next }
    }
}
