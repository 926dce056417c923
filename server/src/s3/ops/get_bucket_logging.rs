//! `GET /bucket?logging`: GetBucketLogging.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLogging.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// Answers where the access log is delivered; an empty document if it is not kept.
///
/// # Errors
/// What authorising and the engine answer.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    if let Some(row) = app.engine.bucket_config(bucket.id, BucketConfigKind::Logging)? {
        return Ok(xml(StatusCode::OK, row.document));
    }
    let mut doc = XmlWriter::new();
    doc.open_root("BucketLoggingStatus");
    doc.close("BucketLoggingStatus");
    Ok(xml(StatusCode::OK, doc.finish()))
}
