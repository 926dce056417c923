//! `PUT /bucket?notification`: PutBucketNotificationConfiguration.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html>.

use std::sync::Arc;

use http::StatusCode;

use super::body::read_checked;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::xml::Element;

/// Longest document: only an empty one can be honoured.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;

/// Accepts an empty document, which says what holds; nothing is stored.
///
/// # Errors
/// `NotImplemented` for a document that asks for something; `MalformedXML`.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    app.authorise_bucket(&request)?;
    let body = read_checked(&mut request, DOCUMENT_BYTES_MAX).await?;
    if Element::parse(&body, "NotificationConfiguration")?.children.is_empty() {
        return Ok(empty(StatusCode::OK));
    }
    Err(S3Error::not_implemented("Event notification"))
}
