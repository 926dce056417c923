//! `GET /bucket?publicAccessBlock`: GetPublicAccessBlock.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetPublicAccessBlock.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::access::documents::{PublicAccessBlock, StoredBlock};
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// Answers the four switches: all on for a bucket that nobody changed.
///
/// # Errors
/// `NoSuchPublicAccessBlockConfiguration` if it was removed.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let block = match app.bucket_config::<StoredBlock>(bucket.id)?.as_deref() {
        None => PublicAccessBlock::ALL,
        Some(StoredBlock(Some(block))) => *block,
        Some(StoredBlock(None)) => {
            return Err(S3Error::of(S3ErrorCode::NoSuchPublicAccessBlockConfiguration)
                .with_detail("BucketName", bucket.name.as_str()));
        }
    };
    let mut doc = XmlWriter::new();
    doc.open_root("PublicAccessBlockConfiguration");
    doc.value("BlockPublicAcls", block.block_public_acls);
    doc.value("IgnorePublicAcls", block.ignore_public_acls);
    doc.value("BlockPublicPolicy", block.block_public_policy);
    doc.value("RestrictPublicBuckets", block.restrict_public_buckets);
    doc.close("PublicAccessBlockConfiguration");
    Ok(xml(StatusCode::OK, doc.finish()))
}
