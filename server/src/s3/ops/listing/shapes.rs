//! XML pieces that several answers share.

use std::collections::HashMap;
use std::sync::Arc;

use chartrier_storage::namespace::query::ListEntry;
use chartrier_storage::namespace::rows::{BucketRow, ObjectSummary};

use super::page::prefixes;
use super::params::{ListingParams, NameEncoding};
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::xml::XmlWriter;

/// A time as S3's documents write it: `2026-11-22T05:03:00.000Z`, in whole seconds like
/// `Last-Modified`, so that both compare equal.
pub fn iso_time(time_us: u64) -> String {
    let seconds_us = time_us / 1_000_000 * 1_000_000;
    match chartrier_journal::format_time(seconds_us) {
        Some(text) => text[..23].to_owned() + "Z",
        None => "9999-12-31T23:59:59.000Z".to_owned(),
    }
}

/// Display names of owners, looked up once each.
pub struct Owners<'a> {
    app: &'a App,
    names: HashMap<String, String>,
}

impl<'a> Owners<'a> {
    /// Knows nobody yet.
    pub fn new(app: &'a Arc<App>) -> Self {
        Self { app, names: HashMap::new() }
    }

    /// Writes `<Owner>` (or `<Initiator>`) with id and display name.
    ///
    /// # Errors
    /// The engine's.
    pub fn write(&mut self, xml: &mut XmlWriter, element: &str, id: &str) -> Result<(), S3Error> {
        if !self.names.contains_key(id) {
            let name = self.app.identities.display_name(id).unwrap_or_default();
            self.names.insert(id.to_owned(), name);
        }
        xml.open(element);
        xml.element("ID", id);
        xml.element("DisplayName", &self.names[id]);
        xml.close(element);
        Ok(())
    }
}

/// The fields that `Contents` and `Version` share, in AWS's order: date, ETag, checksum, size.
pub fn object_fields(xml: &mut XmlWriter, object: &ObjectSummary) {
    xml.element("LastModified", &iso_time(object.modified_us));
    xml.element("ETag", &format!("\"{}\"", object.etag));
    if let Some(checksum) = &object.checksum {
        xml.element("ChecksumAlgorithm", &checksum.algorithm);
        xml.element("ChecksumType", &checksum.kind);
    }
    xml.value("Size", object.size_bytes);
    xml.element("StorageClass", object.storage_class.name());
}

/// What a page of objects says of itself: its size, the delimiter, the encoding, whether there is more.
pub fn page_fields(xml: &mut XmlWriter, params: &ListingParams, truncated: bool) {
    xml.value("MaxKeys", params.page_size);
    let delimiter = params.delimiter.as_deref().map(|text| params.encoding.encode(text));
    xml.element_if("Delimiter", delimiter.as_deref());
    xml.element_if("EncodingType", params.encoding.element());
    xml.value("IsTruncated", truncated);
}

/// `<Contents>` of each object, with its owner if that is asked for, then the common prefixes.
///
/// # Errors
/// The engine's.
pub fn contents(
    xml: &mut XmlWriter,
    app: &Arc<App>,
    bucket: &BucketRow,
    params: &ListingParams,
    entries: &[ListEntry],
    with_owner: bool,
) -> Result<(), S3Error> {
    let mut owners = Owners::new(app);
    let sole_owner = app.sole_owner(bucket)?;
    for entry in entries {
        if let ListEntry::Object { key, summary } = entry {
            xml.open("Contents");
            xml.element("Key", &params.encoding.encode(key));
            object_fields(xml, summary);
            if with_owner {
                owners.write(xml, "Owner", sole_owner.unwrap_or(&summary.owner))?;
            }
            xml.close("Contents");
        }
    }
    common_prefixes(xml, params.encoding, prefixes(entries));
    Ok(())
}

/// `<CommonPrefixes>`, one element a prefix.
pub fn common_prefixes<'p>(xml: &mut XmlWriter, encoding: NameEncoding, prefixes: impl Iterator<Item = &'p str>) {
    for prefix in prefixes {
        xml.open("CommonPrefixes");
        xml.element("Prefix", &encoding.encode(prefix));
        xml.close("CommonPrefixes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds_with_three_zeros() {
        assert_eq!(iso_time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_time(1_700_000_000_999_999), "2023-11-14T22:13:20.000Z");
        assert!(iso_time(u64::MAX).starts_with("9999"));
    }
}
