//! `PUT /bucket/key?retention`: PutObjectRetention.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html>.

use std::sync::Arc;

use chartrier_storage::namespace::command::VersionChange;
use http::StatusCode;

use super::settings;
use super::version_change::change;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::lock::{LOCK_DOCUMENT_BYTES_MAX, bypasses_governance, needs_lock, parse_retention};
use crate::s3::open::read::current;
use crate::s3::request::S3Request;
use crate::s3::response::S3Response;

/// Sets, lengthens or, where its mode allows, shortens or removes the retention of a version.
///
/// # Errors
/// `MalformedXML`; `InvalidRequest` on a bucket without object lock; `AccessDenied`, decided at apply,
/// for what the retention in force forbids.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    needs_lock(&bucket)?;
    current(app, &bucket, &request)?;
    let body = settings::read(&mut request, LOCK_DOCUMENT_BYTES_MAX).await?;
    let retention = parse_retention(&body, app.now_us())?;
    let bypass_governance = bypasses_governance(&request);
    change(app, &request, &bucket, StatusCode::OK, |_| VersionChange::Retention { retention, bypass_governance }).await
}
