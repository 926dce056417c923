//! `GET /bucket?versions`: ListObjectVersions.
//!
//! Buckets have no versioning yet: each object has one version, `null`, and no delete marker.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>.

use std::sync::Arc;

use chartrier_storage::ids::VersionId;
use chartrier_storage::namespace::query::{ListEntry, ListFrom, ListPage};
use http::StatusCode;

use super::listing::{
    ListingParams, Owners, after_marker, bounded, common_prefixes, last_name, object_fields, prefixes, read_page,
};
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::{Query, S3Request};
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// Answers one page of versions.
///
/// # Errors
/// `InvalidArgument` for a bad parameter; what authorising answers.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let params = ListingParams::parse(&request.query, "max-keys")?;
    let key_marker = bounded(&request.query, "key-marker")?.unwrap_or_default();
    let version_id_marker = version_id_marker(&request.query, key_marker)?;
    // With one version a key, "after this version of the key" and "after the key" are one place.
    let after = after_marker(key_marker, &params);
    let ListPage { entries, next } = read_page(app, bucket.id, &params, after).await?;

    let name = |text| params.encoding.encode(text);
    let mut doc = XmlWriter::new();
    doc.open_root("ListVersionsResult");
    doc.element("Name", &bucket.name);
    doc.element("Prefix", &name(&params.prefix));
    doc.element("KeyMarker", &name(key_marker));
    doc.element("VersionIdMarker", version_id_marker);
    if let Some(next) = &next {
        doc.element("NextKeyMarker", &name(last_name(next)));
        if let ListFrom::AfterKey(_) = next {
            doc.element("NextVersionIdMarker", NULL_VERSION);
        }
    }
    doc.value("MaxKeys", params.page_size);
    doc.element_if("Delimiter", params.delimiter.as_deref().map(name).as_deref());
    doc.element_if("EncodingType", params.encoding.element());
    doc.value("IsTruncated", next.is_some());
    let mut owners = Owners::new(app);
    let sole_owner = app.sole_owner(&bucket)?;
    for entry in &entries {
        if let ListEntry::Object { key, summary } = entry {
            doc.open("Version");
            doc.element("Key", &name(key));
            doc.element("VersionId", &version_text(summary.version_id));
            doc.value("IsLatest", true);
            object_fields(&mut doc, summary);
            owners.write(&mut doc, "Owner", sole_owner.unwrap_or(&summary.owner))?;
            doc.close("Version");
        }
    }
    common_prefixes(&mut doc, params.encoding, prefixes(&entries));
    doc.close("ListVersionsResult");
    Ok(xml(StatusCode::OK, doc.finish()))
}

const NULL_VERSION: &str = "null";

fn version_text(id: VersionId) -> String {
    if id == VersionId::NULL { NULL_VERSION.to_owned() } else { id.to_string() }
}

fn version_id_marker<'q>(query: &'q Query, key_marker: &str) -> Result<&'q str, S3Error> {
    let refused = |message| Err(S3Error::invalid_argument(message, "version-id-marker", ""));
    match query.get("version-id-marker") {
        None => Ok(""),
        Some(_) if key_marker.is_empty() => refused("A version-id marker cannot be specified without a key marker."),
        Some("") => refused("A version-id marker cannot be empty."),
        Some(text) if text == NULL_VERSION || text.parse::<VersionId>().is_ok() => Ok(text),
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
        assert!(marker("version-id-marker=", "k").is_err());
        assert!(marker("version-id-marker=x", "k").is_err());
    }
}
