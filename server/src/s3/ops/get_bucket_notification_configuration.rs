//! `GET /bucket?notification`: GetBucketNotificationConfiguration.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// Answers an empty document: a bucket cannot have any here.
///
/// # Errors
/// What authorising answers.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    app.authorise_bucket(&request)?;
    let mut doc = XmlWriter::new();
    doc.open_root("NotificationConfiguration");
    doc.close("NotificationConfiguration");
    Ok(xml(StatusCode::OK, doc.finish()))
}
