//! `GET /bucket`: ListObjects, version 1.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html>.

use std::sync::Arc;

use chartrier_storage::namespace::query::{ListEntry, ListFrom, ListPage};
use http::StatusCode;

use super::listing::{ListingParams, after_marker, bounded, contents, last_name, page_fields, read_page};
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// Answers one page of names.
///
/// # Errors
/// `InvalidArgument` for a bad parameter; what authorising answers.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let params = ListingParams::parse(&request.query, "max-keys")?;
    let marker = bounded(&request.query, "marker")?.unwrap_or_default();
    let after = after_marker(marker, &params);
    let ListPage { entries, next } = read_page(app, bucket.id, &params, after).await?;

    let name = |text| params.encoding.encode(text);
    let mut doc = XmlWriter::new();
    doc.open_root("ListBucketResult");
    doc.element("Name", &bucket.name);
    doc.element("Prefix", &params.encoding.encode_sparsely(&params.prefix));
    doc.element("Marker", &name(marker));
    // AWS gives the next marker only with a delimiter; without one it is the last key of the page,
    // unless the page ended within what was deleted.
    if let Some(next) = next.as_ref().filter(|next| params.delimiter.is_some() || !ends_with(&entries, next)) {
        doc.element("NextMarker", &name(last_name(next)));
    }
    page_fields(&mut doc, &params, next.is_some());
    contents(&mut doc, app, &bucket, &params, &entries, true)?;
    doc.close("ListBucketResult");
    Ok(xml(StatusCode::OK, doc.finish()))
}

fn ends_with(entries: &[ListEntry], next: &ListFrom) -> bool {
    matches!((entries.last(), next), (Some(ListEntry::Object { key, .. }), ListFrom::AfterKey(after)) if key == after)
}
