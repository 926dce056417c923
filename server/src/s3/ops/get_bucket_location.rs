//! `GET /bucket?location`: GetBucketLocation.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// Answers the region that the bucket was created in; S3 writes `us-east-1` as an empty element.
///
/// # Errors
/// What authorising answers.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let mut doc = XmlWriter::new();
    doc.open_root("LocationConstraint");
    if bucket.region != "us-east-1" {
        doc.text(&bucket.region);
    }
    doc.close("LocationConstraint");
    Ok(xml(StatusCode::OK, doc.finish()))
}
