//! `GET /bucket?versions`: ListObjectVersions.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>.

use std::sync::Arc;

use chartrier_storage::namespace::query::{ListFrom, VersionEntry, VersionFrom, VersionPage, VersionQuery};
use http::StatusCode;

use super::listing::{
    ListingParams, Owners, after_marker, bounded, common_prefixes, iso_time, object_fields, page_fields,
};
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::open::read::parse_version;
use crate::s3::request::{Query, S3Request};
use crate::s3::response::{S3Response, xml};
use crate::s3::versioning::version_text;
use crate::s3::xml::XmlWriter;

/// Answers one page of versions and delete markers: by key, newest first.
///
/// # Errors
/// `InvalidArgument` for a bad parameter; what authorising answers.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let params = ListingParams::parse(&request.query, "max-keys")?;
    let key_marker = bounded(&request.query, "key-marker")?.unwrap_or_default();
    let version_id_marker = version_id_marker(&request.query, key_marker)?;
    let after = after(key_marker, version_id_marker, &params)?;
    let VersionPage { entries, next } = match params.page_size {
        0 => VersionPage::default(),
        limit => {
            let (prefix, delimiter) = (params.prefix.clone(), params.delimiter.clone());
            app.engine.list_versions(VersionQuery { bucket: bucket.id, prefix, delimiter, after, limit }).await?
        }
    };

    let name = |text| params.encoding.encode(text);
    let mut doc = XmlWriter::new();
    doc.open_root("ListVersionsResult");
    doc.element("Name", &bucket.name);
    doc.element("Prefix", &name(&params.prefix));
    doc.element("KeyMarker", &name(key_marker));
    doc.element("VersionIdMarker", version_id_marker);
    match &next {
        None => {}
        Some(VersionFrom::AfterVersion(key, version)) => {
            doc.element("NextKeyMarker", &name(key));
            doc.element("NextVersionIdMarker", &version_text(*version));
        }
        Some(VersionFrom::AfterKey(last) | VersionFrom::PastPrefix(last)) => doc.element("NextKeyMarker", &name(last)),
    }
    page_fields(&mut doc, &params, next.is_some());
    let mut owners = Owners::new(app);
    let sole_owner = app.sole_owner(&bucket)?;
    for entry in &entries {
        if let VersionEntry::Version { key, is_latest, summary } = entry {
            let element = if summary.delete_marker { "DeleteMarker" } else { "Version" };
            doc.open(element);
            doc.element("Key", &name(key));
            doc.element("VersionId", &version_text(summary.version_id));
            doc.value("IsLatest", is_latest);
            if summary.delete_marker {
                doc.element("LastModified", &iso_time(summary.modified_us));
            } else {
                object_fields(&mut doc, summary);
            }
            owners.write(&mut doc, "Owner", sole_owner.unwrap_or(&summary.owner))?;
            doc.close(element);
        }
    }
    let prefixes = entries.iter().filter_map(|entry| match entry {
        VersionEntry::Prefix(prefix) => Some(prefix.as_str()),
        VersionEntry::Version { .. } => None,
    });
    common_prefixes(&mut doc, params.encoding, prefixes);
    doc.close("ListVersionsResult");
    Ok(xml(StatusCode::OK, doc.finish()))
}

/// Where a page begins. A marker inside a common prefix skips it, whatever version it names.
pub(super) fn after(
    key_marker: &str,
    version_id_marker: &str,
    params: &ListingParams,
) -> Result<Option<VersionFrom>, S3Error> {
    Ok(match after_marker(key_marker, params) {
        None => None,
        Some(ListFrom::PastPrefix(prefix)) => Some(VersionFrom::PastPrefix(prefix)),
        Some(ListFrom::AfterKey(key)) if version_id_marker.is_empty() => Some(VersionFrom::AfterKey(key)),
        Some(ListFrom::AfterKey(key)) => Some(VersionFrom::AfterVersion(key, parse_version(version_id_marker)?)),
    })
}

pub(super) fn version_id_marker<'q>(query: &'q Query, key_marker: &str) -> Result<&'q str, S3Error> {
    let refused = |message| Err(S3Error::invalid_argument(message, "version-id-marker", ""));
    // Clients that page by hand send both markers empty with the first page.
    match query.non_empty("version-id-marker") {
        None => Ok(""),
        Some(_) if key_marker.is_empty() => refused("A version-id marker cannot be specified without a key marker."),
        Some(text) if parse_version(text).is_ok() => Ok(text),
        Some(_) => refused("Invalid version id specified"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_marker_needs_a_key_marker_and_a_version() {
        let marker = |query: &str, key: &str| version_id_marker(&Query::parse(query).unwrap(), key).map(str::to_owned);
        assert_eq!(marker("", "").unwrap(), "");
        assert_eq!(marker("version-id-marker=null", "k").unwrap(), "null");
        assert!(marker("version-id-marker=null", "").is_err());
        assert_eq!(marker("version-id-marker=", "k").unwrap(), "");
        assert_eq!(marker("version-id-marker=", "").unwrap(), "");
        assert!(marker("version-id-marker=x", "k").is_err());
    }
}
