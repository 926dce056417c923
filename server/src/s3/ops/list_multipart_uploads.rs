//! `GET /bucket?uploads`: ListMultipartUploads.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>.

use std::sync::Arc;

use chartrier_storage::ids::UploadId;
use chartrier_storage::namespace::query::{UploadEntry, UploadFrom, UploadPage, UploadQuery, common_prefix};
use http::StatusCode;

use super::listing::{ListingParams, Owners, bounded, common_prefixes, iso_time};
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::{Query, S3Request};
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// Answers one page of uploads in progress: by key, then in the order in which they began.
///
/// # Errors
/// `InvalidArgument` for a bad parameter; what authorising answers.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let params = ListingParams::parse(&request.query, "max-uploads")?;
    let markers = Markers::parse(&request.query)?;
    let page = if params.page_size == 0 {
        UploadPage { entries: Vec::new(), next: None }
    } else {
        let query = UploadQuery {
            bucket: bucket.id,
            prefix: params.prefix.clone(),
            delimiter: params.delimiter.clone(),
            after: markers.from(&params),
            limit: params.page_size,
        };
        app.engine.list_uploads(query).await?
    };

    let name = |text| params.encoding.encode(text);
    let mut doc = XmlWriter::new();
    doc.open_root("ListMultipartUploadsResult");
    doc.element("Bucket", &bucket.name);
    doc.element("KeyMarker", &name(markers.key));
    doc.element("UploadIdMarker", markers.upload_text());
    let (next_key, next_upload) = next_markers(page.next.as_ref());
    doc.element("NextKeyMarker", &name(&next_key));
    doc.element("NextUploadIdMarker", &next_upload);
    doc.element_if("Delimiter", params.delimiter.as_deref().map(name).as_deref());
    doc.element("Prefix", &name(&params.prefix));
    doc.element_if("EncodingType", params.encoding.element());
    doc.value("MaxUploads", params.page_size);
    doc.value("IsTruncated", page.next.is_some());
    let mut owners = Owners::new(app);
    let sole_owner = app.sole_owner(&bucket)?;
    for entry in &page.entries {
        if let UploadEntry::Upload { key, row } = entry {
            doc.open("Upload");
            doc.element("Key", &name(key));
            doc.value("UploadId", row.id);
            owners.write(&mut doc, "Initiator", &row.owner)?;
            owners.write(&mut doc, "Owner", sole_owner.unwrap_or(&row.owner))?;
            doc.element("StorageClass", row.storage_class.name());
            doc.element("Initiated", &iso_time(row.initiated_us));
            if let Some(checksum) = &row.checksum {
                doc.element("ChecksumAlgorithm", &checksum.algorithm);
                doc.element("ChecksumType", &checksum.kind);
            }
            doc.close("Upload");
        }
    }
    common_prefixes(&mut doc, params.encoding, prefixes(&page.entries));
    doc.close("ListMultipartUploadsResult");
    Ok(xml(StatusCode::OK, doc.finish()))
}

/// `key-marker` and `upload-id-marker`; the second counts only with the first.
pub(super) struct Markers<'q> {
    key: &'q str,
    upload: Option<(&'q str, UploadId)>,
}

impl<'q> Markers<'q> {
    pub(super) fn parse(query: &'q Query) -> Result<Self, S3Error> {
        let key = bounded(query, "key-marker")?.unwrap_or_default();
        let upload = match query.non_empty("upload-id-marker") {
            Some(text) if !key.is_empty() => {
                let id = text
                    .parse()
                    .map_err(|_| S3Error::invalid_argument("Invalid uploadId marker", "upload-id-marker", text))?;
                Some((text, id))
            }
            _ => None,
        };
        Ok(Self { key, upload })
    }

    fn upload_text(&self) -> &'q str {
        self.upload.map_or("", |(text, _)| text)
    }

    pub(super) fn from(&self, params: &ListingParams) -> Option<UploadFrom> {
        if self.key.is_empty() {
            return None;
        }
        let inside = self.key.starts_with(&params.prefix);
        let common = inside.then(|| common_prefix(self.key, &params.prefix, params.delimiter.as_deref())).flatten();
        Some(match (common, self.upload) {
            (Some(prefix), _) => UploadFrom::PastPrefix(prefix.to_owned()),
            (None, Some((_, id))) => UploadFrom::AfterUpload(self.key.to_owned(), id),
            (None, None) => UploadFrom::AfterKey(self.key.to_owned()),
        })
    }
}

fn next_markers(next: Option<&UploadFrom>) -> (String, String) {
    match next {
        None => (String::new(), String::new()),
        Some(UploadFrom::AfterKey(name) | UploadFrom::PastPrefix(name)) => (name.clone(), String::new()),
        Some(UploadFrom::AfterUpload(key, id)) => (key.clone(), id.to_string()),
    }
}

fn prefixes(entries: &[UploadEntry]) -> impl Iterator<Item = &str> {
    entries.iter().filter_map(|entry| match entry {
        UploadEntry::Prefix(prefix) => Some(prefix.as_str()),
        UploadEntry::Upload { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_marker_counts_only_with_a_key_marker() {
        let id = "0".repeat(32);
        let parse = |text: &str| {
            let query = Query::parse(text).unwrap();
            let params = ListingParams::parse(&query, "max-uploads").unwrap();
            Markers::parse(&query).map(|markers| markers.from(&params)).map_err(|error| error.code)
        };
        assert_eq!(parse(""), Ok(None));
        assert_eq!(parse(&format!("upload-id-marker={id}")), Ok(None));
        assert_eq!(parse("upload-id-marker=x"), Ok(None));
        assert_eq!(parse("key-marker=k"), Ok(Some(UploadFrom::AfterKey("k".into()))));
        assert_eq!(
            parse(&format!("key-marker=k&upload-id-marker={id}")),
            Ok(Some(UploadFrom::AfterUpload("k".into(), id.parse().unwrap())))
        );
        assert_eq!(parse("key-marker=a/b&delimiter=/"), Ok(Some(UploadFrom::PastPrefix("a/".into()))));
        assert!(parse("key-marker=k&upload-id-marker=x").is_err());
    }
}
