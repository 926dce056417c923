//! `GET /bucket/key?legal-hold`: GetObjectLegalHold.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLegalHold.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::lock::{legal_hold_document, needs_lock};
use crate::s3::open::read::current;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};

/// The legal hold of a version.
///
/// # Errors
/// `InvalidRequest` on a bucket without object lock; `NoSuchObjectLockConfiguration` if none was ever set.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    needs_lock(&bucket)?;
    let row = current(app, &bucket, &request)?;
    let on = row.legal_hold.ok_or_else(|| S3Error::of(S3ErrorCode::NoSuchObjectLockConfiguration))?;
    Ok(xml(StatusCode::OK, legal_hold_document(on)))
}
