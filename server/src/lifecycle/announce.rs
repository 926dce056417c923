//! What answers say of rules: when an object expires, when an upload is aborted.

use chartrier_storage::namespace::rows::BucketRow;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::tags_of;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::settings::lifecycle::{Clockwork, Facts, Lifecycle};

/// Adds `x-amz-expiration` to an answer about the current version of an object, if a rule is about it. It counts in
/// days as clients know them, even where `lifecycle.day_s` makes those of the passes shorter for tests.
///
/// # Errors
/// What the engine answers.
pub fn announce(app: &App, bucket: &str, key: &str, headers: &mut HeaderMap) -> Result<(), S3Error> {
    let Some(bucket) = app.engine.bucket(bucket)? else { return Ok(()) };
    let Some(rules) = app.bucket_config::<Lifecycle>(bucket.id)? else { return Ok(()) };
    let Some(row) = app.engine.current(bucket.id, key)? else { return Ok(()) };
    if row.delete_marker {
        return Ok(());
    }
    let wants_tags = rules.wants_tags_of(key, row.size_bytes);
    let tags = if wants_tags { tags_of(app, bucket.id, key, &row)? } else { Vec::new() };
    let facts = Facts { key, size_bytes: row.size_bytes, tags: &tags };
    if let Some(expiry) = rules.expiry(&facts, row.modified_us, Clockwork::of_whole_days())
        && let Ok(value) = HeaderValue::from_str(&expiry.header())
    {
        headers.insert(HeaderName::from_static("x-amz-expiration"), value);
    }
    Ok(())
}

/// Adds `x-amz-abort-date` and `x-amz-abort-rule-id` to an answer about an upload in progress.
///
/// # Errors
/// What the engine answers.
pub fn announce_upload(
    app: &App,
    bucket: &BucketRow,
    key: &str,
    initiated_us: u64,
    headers: &mut HeaderMap,
) -> Result<(), S3Error> {
    let Some(rules) = app.bucket_config::<Lifecycle>(bucket.id)? else { return Ok(()) };
    let Some(due) = rules.abort_at(key, initiated_us, app.config.lifecycle.clockwork()) else { return Ok(()) };
    if let Ok(date) = HeaderValue::from_str(&due.date()) {
        headers.insert(HeaderName::from_static("x-amz-abort-date"), date);
    }
    if let Ok(rule) = HeaderValue::from_str(&due.rule_id()) {
        headers.insert(HeaderName::from_static("x-amz-abort-rule-id"), rule);
    }
    Ok(())
}
