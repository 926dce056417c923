//! `PUT /bucket?notification`: PutBucketNotificationConfiguration.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html>.

use std::sync::Arc;

use chartrier_storage::namespace::command::{Op, Outcome};
use chartrier_storage::namespace::notification::Notifications;
use http::StatusCode;

use super::body::read_checked;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::refusal::refused;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::settings::notification::{DOCUMENT_BYTES_MAX, Destinations, parse};

/// Replaces what a bucket tells of its changes; a document without rules ends it. Durable when it
/// answers: every change acknowledged from then on is told. Each target is sent `s3:TestEvent`, as any
/// other event: whether it can be reached the answer does not say.
///
/// # Errors
/// What [`parse`] says.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let skips = request.header("x-amz-skip-destination-validation")?;
    let test_events = !skips.is_some_and(|skips| skips.eq_ignore_ascii_case("true"));
    let body = read_checked(&mut request, DOCUMENT_BYTES_MAX).await?;
    let notifications = read(app, &body)?;
    let op = Op::SetNotifications { bucket: bucket.id, notifications, test_events };
    match app.propose(&request.caller, request.request_id, op).await?.outcome {
        Outcome::Done | Outcome::Deleted { .. } => Ok(empty(StatusCode::OK)),
        Outcome::Refused(refusal) => Err(refused(refusal)),
    }
}

fn read(app: &App, document: &[u8]) -> Result<Notifications, S3Error> {
    let aliases = app.config.region_aliases.iter().map(String::as_str);
    let regions: Vec<&str> = aliases.chain([app.config.region.as_str()]).collect();
    let destinations = Destinations { regions: &regions, knows: &|name| app.notifier.knows(name) };
    parse(document, &destinations, || hex::encode(app.random_bytes::<16>()))
}
