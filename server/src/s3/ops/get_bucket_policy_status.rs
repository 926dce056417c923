//! `GET /bucket?policyStatus`: GetBucketPolicyStatus.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicyStatus.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::access::documents::PolicyDocument;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// Says whether the bucket's policy is public. A bucket without a policy is public by its ACL, or not at all: AWS
/// answers that with an error, for which nobody can have a use.
///
/// # Errors
/// What authorisation answers.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let document = app.bucket_config::<PolicyDocument>(bucket.id)?;
    let public = match document {
        Some(document) => document.public,
        None => app.is_public_by_acl(&bucket)?,
    };
    let mut doc = XmlWriter::new();
    doc.open_root("PolicyStatus");
    // Lower case, whatever AWS's page shows: SDKs read every other word as false.
    doc.value("IsPublic", public);
    doc.close("PolicyStatus");
    Ok(xml(StatusCode::OK, doc.finish()))
}
