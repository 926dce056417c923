//! `PUT /bucket?requestPayment`: PutBucketRequestPayment.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketRequestPayment.html>.

use std::sync::Arc;

use http::StatusCode;

use super::body::read_checked;
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::xml::Element;

/// Accepts `BucketOwner`, which is what holds; nothing is stored.
///
/// # Errors
/// `NotImplemented` for `Requester`; `MalformedXML`.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    app.authorise_bucket(&request)?;
    let body = read_checked(&mut request, DOCUMENT_BYTES_MAX).await?;
    match Element::parse(&body, "RequestPaymentConfiguration")?.child_text("Payer") {
        Some("BucketOwner") => Ok(empty(StatusCode::OK)),
        Some("Requester") => Err(S3Error::not_implemented("A bucket whose requesters pay")),
        _ => Err(S3Error::of(S3ErrorCode::MalformedXml)),
    }
}

/// Longest document: it has one element.
const DOCUMENT_BYTES_MAX: usize = 4 << 10;
