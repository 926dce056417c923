//! `PUT /bucket/key?tagging`: PutObjectTagging.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html>.

use std::sync::Arc;

use chartrier_storage::namespace::command::VersionChange;
use http::StatusCode;

use super::body::read_checked;
use super::version_change::change;
use crate::app::App;
use crate::s3::error::S3Error;
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
    change(app, &request, &bucket, StatusCode::OK, |row| {
        let place = TagPlace { bucket: bucket.id, key, wrap_version: row.wrap_version };
        VersionChange::Tags(tags.seal(&app.operator_key, &*app.random, place))
    })
    .await
}
