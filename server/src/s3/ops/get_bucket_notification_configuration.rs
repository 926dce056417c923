//! `GET /bucket?notification`: GetBucketNotificationConfiguration.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html>.

use std::sync::Arc;

use chartrier_storage::namespace::notification::Notifications;
use http::StatusCode;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::settings::notification::{BucketNotifications, write};

/// Answers the rules; an empty document if there are none.
///
/// # Errors
/// What authorising and the engine answer.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let none = Notifications::default();
    let stored = app.bucket_config::<BucketNotifications>(bucket.id)?;
    Ok(xml(StatusCode::OK, write(stored.as_deref().map_or(&none, |stored| &stored.0))))
}
