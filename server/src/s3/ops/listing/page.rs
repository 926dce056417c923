//! One page of a bucket's names: where it starts, and reading it from the engine.

use std::sync::Arc;

use chartrier_storage::ids::BucketId;
use chartrier_storage::namespace::query::{ListEntry, ListFrom, ListPage, ListQuery, common_prefix};

use super::params::ListingParams;
use crate::app::App;
use crate::s3::error::S3Error;

/// Where a marker that the client chose starts a page; an empty one is none.
///
/// A marker inside a common prefix skips all of that prefix, as AWS does: the marker is how a
/// client says that it has seen the prefix.
pub fn after_marker(marker: &str, params: &ListingParams) -> Option<ListFrom> {
    if marker.is_empty() {
        return None;
    }
    let inside = marker.starts_with(&params.prefix);
    let common = inside.then(|| common_prefix(marker, &params.prefix, params.delimiter.as_deref())).flatten();
    Some(match common {
        Some(prefix) => ListFrom::PastPrefix(prefix.to_owned()),
        None => ListFrom::AfterKey(marker.to_owned()),
    })
}

/// The name that a page ended with, as `NextMarker` shows it.
pub fn last_name(from: &ListFrom) -> &str {
    match from {
        ListFrom::AfterKey(name) | ListFrom::PastPrefix(name) => name,
    }
}

/// Reads one page of current versions.
///
/// A page of size 0 is empty and complete, as on AWS.
///
/// # Errors
/// The engine's.
pub async fn read_page(
    app: &Arc<App>,
    bucket: BucketId,
    params: &ListingParams,
    after: Option<ListFrom>,
) -> Result<ListPage, S3Error> {
    if params.page_size == 0 {
        return Ok(ListPage { entries: Vec::new(), next: None });
    }
    let query = ListQuery {
        bucket,
        prefix: params.prefix.clone(),
        delimiter: params.delimiter.clone(),
        after,
        limit: params.page_size,
    };
    Ok(app.engine.list_objects(query).await?)
}

/// The common prefixes of a page.
pub fn prefixes(entries: &[ListEntry]) -> impl Iterator<Item = &str> {
    entries.iter().filter_map(|entry| match entry {
        ListEntry::Prefix(prefix) => Some(prefix.as_str()),
        ListEntry::Object { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::ops::listing::NameEncoding;

    fn after(marker: &str, prefix: &str, delimiter: Option<&str>) -> Option<ListFrom> {
        let params = ListingParams {
            prefix: prefix.into(),
            delimiter: delimiter.map(str::to_owned),
            page_size: 1,
            encoding: NameEncoding::Plain,
        };
        after_marker(marker, &params)
    }

    #[test]
    fn a_marker_inside_a_common_prefix_skips_it() {
        let prefix = |text: &str| Some(ListFrom::PastPrefix(text.into()));
        let key = |text: &str| Some(ListFrom::AfterKey(text.into()));
        assert_eq!(after("", "", Some("/")), None);
        assert_eq!(after("folder/a/file", "folder/", Some("/")), prefix("folder/a/"));
        assert_eq!(after("folder/a/", "folder/", Some("/")), prefix("folder/a/"));
        assert_eq!(after("folder/a", "folder/", Some("/")), key("folder/a"));
        assert_eq!(after("folder/a/file", "folder/", None), key("folder/a/file"));
        assert_eq!(after("other/x", "folder/", Some("/")), key("other/x"));
        assert_eq!(after("é--x", "", Some("--")), prefix("é--"));
    }
}
