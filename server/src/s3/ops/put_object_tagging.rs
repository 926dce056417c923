//! `PUT /bucket/key?tagging`: PutObjectTagging.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html>.

use std::sync::Arc;

use chartrier_storage::namespace::command::VersionChange;
use chartrier_storage::namespace::rows::BucketRow;
use http::StatusCode;

use super::body::read_checked;
use super::version_change::change;
use crate::access::{Asked, Decision};
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::open::read::current;
use crate::s3::request::S3Request;
use crate::s3::response::S3Response;
use crate::s3::tags::{TAGGING_BYTES_MAX, TagPlace, TagSet, Tagged};

/// Replaces the tags of a version. Durable when it answers.
///
/// # Errors
/// `MalformedXML`, `InvalidTag`, `BadRequest` for more than ten; those of finding the version.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    current(app, &bucket, &request)?;
    let tags = TagSet::parse(&read_checked(&mut request, TAGGING_BYTES_MAX).await?, Tagged::Object)?;
    let key = request.object_key()?.as_str();
    may_give(app, &request, &bucket, key, &tags)?;
    change(app, &request, &bucket, StatusCode::OK, |row| {
        let place = TagPlace { bucket: bucket.id, key, wrap_version: row.wrap_version };
        VersionChange::Tags(tags.seal(&app.operator_key, &*app.random, place))
    })
    .await
}

/// Asks once more, now that the tags are known: a policy may say which ones may be given.
fn may_give(app: &App, request: &S3Request, bucket: &BucketRow, key: &str, tags: &TagSet) -> Result<(), S3Error> {
    let tags: Vec<_> = tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let version = request.query.get("versionId");
    let action = if version.is_some() { "s3:PutObjectVersionTagging" } else { "s3:PutObjectTagging" };
    let (bucket_name, bucket) = (bucket.name.as_str(), Some(bucket));
    let asked = Asked { action, bucket, bucket_name, key: Some(key), version, request_tags: Some(&tags), sought: None };
    match app.may(request, asked)? {
        Decision::Allowed => Ok(()),
        Decision::NotGranted | Decision::Denied => Err(S3Error::of(S3ErrorCode::AccessDenied)),
    }
}
