//! What listings ask and answer. Order is bytewise over the UTF-8 of keys, as S3's.

use super::rows::{AccountQuota, BucketRow, ObjectSummary, UploadRow};
use crate::ids::{BucketId, UploadId, VersionId};

/// A page of current objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// The bucket.
    pub bucket: BucketId,
    /// Only keys that start so; may be empty.
    pub prefix: String,
    /// Keys that hold it after the prefix are rolled up to one entry; never empty.
    pub delimiter: Option<String>,
    /// Where to begin; `None` is at the start.
    pub after: Option<ListFrom>,
    /// At most this many entries, objects and rolled-up prefixes together.
    pub limit: usize,
}

/// Where a listing begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFrom {
    /// After this key; a prefix that rolls up later keys is still listed.
    AfterKey(String),
    /// After all keys that start with this prefix: it was listed already.
    PastPrefix(String),
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListEntry {
    /// An object.
    Object {
        /// Its key.
        key: String,
        /// What is shown of it.
        summary: ObjectSummary,
    },
    /// A common prefix, delimiter included.
    Prefix(String),
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPage {
    /// In order.
    pub entries: Vec<ListEntry>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<ListFrom>,
}

/// A page of versions and delete markers: by key, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionQuery {
    /// The bucket.
    pub bucket: BucketId,
    /// Only keys that start so; may be empty.
    pub prefix: String,
    /// As in [`ListQuery`].
    pub delimiter: Option<String>,
    /// Where to begin; `None` is at the start.
    pub after: Option<VersionFrom>,
    /// At most this many entries.
    pub limit: usize,
}

/// Where a listing of versions begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionFrom {
    /// After all versions of this key.
    AfterKey(String),
    /// After this version of this key, which need not be there any more. If the `null` version is
    /// gone nobody knows where it was: the listing then begins again with the newest of the key.
    AfterVersion(String, VersionId),
    /// After all keys that start with this prefix.
    PastPrefix(String),
}

/// One line of a listing of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionEntry {
    /// A version or a delete marker.
    Version {
        /// Its key.
        key: String,
        /// Whether it is the current one.
        is_latest: bool,
        /// What is shown of it.
        summary: ObjectSummary,
    },
    /// A common prefix, delimiter included.
    Prefix(String),
}

/// A page of versions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionPage {
    /// In order.
    pub entries: Vec<VersionEntry>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<VersionFrom>,
}

impl VersionPage {
    /// Where a page that ended with its last entry goes on, if it was cut.
    pub(crate) fn cut(entries: Vec<VersionEntry>, truncated: bool) -> Self {
        let next = entries.last().filter(|_| truncated).map(|last| match last {
            VersionEntry::Version { key, summary, .. } => VersionFrom::AfterVersion(key.clone(), summary.version_id),
            VersionEntry::Prefix(prefix) => VersionFrom::PastPrefix(prefix.clone()),
        });
        Self { entries, next }
    }
}

/// A page of uploads in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadQuery {
    /// The bucket.
    pub bucket: BucketId,
    /// Only keys that start so; may be empty.
    pub prefix: String,
    /// As in [`ListQuery`].
    pub delimiter: Option<String>,
    /// Where to begin; `None` is at the start.
    pub after: Option<UploadFrom>,
    /// At most this many entries.
    pub limit: usize,
}

/// Where a listing of uploads begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadFrom {
    /// After all uploads of this key.
    AfterKey(String),
    /// After this upload of this key.
    AfterUpload(String, UploadId),
    /// After all keys that start with this prefix.
    PastPrefix(String),
}

/// One line of a listing of uploads: by key, then by upload id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadEntry {
    /// An upload in progress.
    Upload {
        /// The key that Complete will write.
        key: String,
        /// The upload.
        row: Box<UploadRow>,
    },
    /// A common prefix, delimiter included.
    Prefix(String),
}

/// A page of uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPage {
    /// In order.
    pub entries: Vec<UploadEntry>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<UploadFrom>,
}

/// A bucket with what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUsage {
    /// The bucket.
    pub bucket: BucketRow,
    /// Versions in it, delete markers among them.
    pub versions: u64,
    /// Their plaintext bytes.
    pub bytes: u64,
    /// Uploads in progress.
    pub uploads: u64,
}

/// Which page of buckets to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketQuery {
    /// Only those of this account, by canonical id.
    pub owner: Option<String>,
    /// What names start with.
    pub prefix: String,
    /// Only those of this region.
    pub region: Option<String>,
    /// Only names after this one.
    pub after: Option<String>,
    /// Most buckets of the page.
    pub limit: usize,
}

/// A page of buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketPage {
    /// By name.
    pub buckets: Vec<BucketEntry>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// One bucket of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketEntry {
    /// Its name.
    pub name: String,
    /// Unix time in microseconds.
    pub created_us: u64,
    /// As it was created.
    pub region: String,
}

/// What an account holds in all its buckets together, and what it may hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountUsage {
    /// Versions, delete markers among them.
    pub versions: u64,
    /// Their plaintext bytes.
    pub bytes: u64,
    /// What it may hold.
    pub quota: AccountQuota,
    /// Its buckets.
    pub buckets: u64,
}

/// The prefix that `key` is rolled up to, delimiter included; `None` if it is listed itself.
///
/// `key` must start with `prefix`.
pub fn common_prefix<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter?;
    let rest = key.get(prefix.len()..)?;
    let at = rest.find(delimiter)?;
    key.get(..prefix.len() + at + delimiter.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_roll_up_to_the_first_delimiter_after_the_prefix() {
        assert_eq!(common_prefix("a/b/c", "", Some("/")), Some("a/"));
        assert_eq!(common_prefix("a/b/c", "a/", Some("/")), Some("a/b/"));
        assert_eq!(common_prefix("a/b", "a/", Some("/")), None);
        assert_eq!(common_prefix("a/b", "a", Some("/")), Some("a/"));
        assert_eq!(common_prefix("xééy", "x", Some("éy")), Some("xééy"));
        assert_eq!(common_prefix("a/b", "", None), None);
    }
}
