//! `GET /bucket?encryption`: GetBucketEncryption.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketEncryption.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::settings::encryption::EncryptionRule;

/// Answers the rule in force: every bucket has one, as on AWS.
///
/// # Errors
/// What authorising answers.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let rule = app.bucket_config::<EncryptionRule>(bucket.id)?.map_or_else(EncryptionRule::default, |rule| *rule);
    Ok(xml(StatusCode::OK, rule.write(app.config.sse_c)))
}
