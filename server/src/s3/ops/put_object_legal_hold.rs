//! `PUT /bucket/key?legal-hold`: PutObjectLegalHold.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLegalHold.html>.

use std::sync::Arc;

use chartrier_storage::namespace::command::VersionChange;
use http::StatusCode;

use super::settings;
use super::version_change::change;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::lock::{LOCK_DOCUMENT_BYTES_MAX, needs_lock, parse_legal_hold};
use crate::s3::open::read::current;
use crate::s3::request::S3Request;
use crate::s3::response::S3Response;

/// Places or releases the legal hold of a version. Durable when it answers.
///
/// # Errors
/// `MalformedXML`; `InvalidRequest` on a bucket without object lock.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    needs_lock(&bucket)?;
    current(app, &bucket, &request)?;
    let on = parse_legal_hold(&settings::read(&mut request, LOCK_DOCUMENT_BYTES_MAX).await?)?;
    change(app, &request, &bucket, StatusCode::OK, |_| VersionChange::LegalHold(on)).await
}
