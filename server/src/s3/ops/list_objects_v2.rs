//! `GET /bucket?list-type=2`: ListObjectsV2.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.

use std::sync::Arc;

use chartrier_storage::namespace::query::ListPage;
use http::StatusCode;

use super::listing::{ListingParams, after_marker, bounded, contents, page_fields, read_page, token};
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
    page_fields(&mut doc, &params, next.is_some());
    contents(&mut doc, app, &bucket, &params, &entries, with_owner)?;
    doc.close("ListBucketResult");
    Ok(xml(StatusCode::OK, doc.finish()))
}
