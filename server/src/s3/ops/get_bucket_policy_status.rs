//! `GET /bucket?policyStatus`: GetBucketPolicyStatus.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicyStatus.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::access::documents::PolicyDocument;
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// Says whether the bucket's policy is public.
///
/// # Errors
/// `NoSuchBucketPolicy`.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let document = app.bucket_config::<PolicyDocument>(bucket.id)?;
    let document = document
        .ok_or_else(|| S3Error::of(S3ErrorCode::NoSuchBucketPolicy).with_detail("BucketName", bucket.name.as_str()))?;
    let mut doc = XmlWriter::new();
    doc.open_root("PolicyStatus");
    // Lower case, whatever AWS's page shows: SDKs read every other word as false.
    doc.value("IsPublic", document.public);
    doc.close("PolicyStatus");
    Ok(xml(StatusCode::OK, doc.finish()))
}
