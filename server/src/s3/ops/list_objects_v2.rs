//! `GET /bucket?list-type=2`: ListObjectsV2.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.

use std::sync::Arc;

use chartrier_storage::namespace::query::{ListEntry, ListPage};
use http::StatusCode;

use super::listing::{
    ListingParams, Owners, after_marker, bounded, common_prefixes, object_fields, prefixes, read_page, token,
};
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// Answers one page of names.
///
/// # Errors
/// `InvalidArgument` for a bad parameter or continuation token; what authorising answers.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let params = ListingParams::parse(&request.query, "max-keys")?;
    let start_after = bounded(&request.query, "start-after")?.filter(|text| !text.is_empty());
    let sent_token = request.query.get("continuation-token");
    let with_owner = request.query.get("fetch-owner").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    // A token wins over start-after, which clients repeat on every page.
    let after = match sent_token.filter(|text| !text.is_empty()) {
        Some(text) => Some(token::decode(text)?),
        None => start_after.and_then(|marker| after_marker(marker, &params)),
    };
    let ListPage { entries, next } = read_page(app, bucket.id, &params, after).await?;

    let name = |text| params.encoding.encode(text);
    let mut doc = XmlWriter::new();
    doc.open_root("ListBucketResult");
    doc.element("Name", &bucket.name);
    doc.element("Prefix", &name(&params.prefix));
    doc.element_if("StartAfter", start_after.map(name).as_deref());
    // Also an empty one, which asks for the first page.
    doc.element_if("ContinuationToken", sent_token);
    doc.element_if("NextContinuationToken", next.as_ref().map(token::encode).as_deref());
    doc.value("KeyCount", entries.len());
    doc.value("MaxKeys", params.page_size);
    doc.element_if("Delimiter", params.delimiter.as_deref().map(name).as_deref());
    doc.element_if("EncodingType", params.encoding.element());
    doc.value("IsTruncated", next.is_some());
    let mut owners = Owners::new(app);
    let sole_owner = app.sole_owner(&bucket)?;
    for entry in &entries {
        if let ListEntry::Object { key, summary } = entry {
            doc.open("Contents");
            doc.element("Key", &name(key));
            object_fields(&mut doc, summary);
            if with_owner {
                owners.write(&mut doc, "Owner", sole_owner.unwrap_or(&summary.owner))?;
            }
            doc.close("Contents");
        }
    }
    common_prefixes(&mut doc, params.encoding, prefixes(&entries));
    doc.close("ListBucketResult");
    Ok(xml(StatusCode::OK, doc.finish()))
}
