//! `GET /bucket?ownershipControls`: GetBucketOwnershipControls.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketOwnershipControls.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::access::documents::{Ownership, StoredOwnership};
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// Answers the rule: `BucketOwnerEnforced` for a bucket that nobody changed.
///
/// # Errors
/// `OwnershipControlsNotFoundError` if it was removed.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let ownership = match app.bucket_config::<StoredOwnership>(bucket.id)?.as_deref() {
        None => Ownership::BucketOwnerEnforced,
        Some(StoredOwnership(Some(ownership))) => *ownership,
        Some(StoredOwnership(None)) => {
            return Err(
                S3Error::of(S3ErrorCode::OwnershipControlsNotFound).with_detail("BucketName", bucket.name.as_str())
            );
        }
    };
    let mut doc = XmlWriter::new();
    doc.open_root("OwnershipControls");
    doc.open("Rule");
    doc.element("ObjectOwnership", ownership.name());
    doc.close("Rule");
    doc.close("OwnershipControls");
    Ok(xml(StatusCode::OK, doc.finish()))
}
