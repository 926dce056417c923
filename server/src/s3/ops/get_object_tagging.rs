//! `GET /bucket/key?tagging`: GetObjectTagging.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html>.

use std::sync::Arc;

use http::StatusCode;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::open::read::current;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::tags::TagSet;
use crate::s3::versioning::write_version;

/// The tags of a version; an empty set if it has none. Needs no SSE-C key.
///
/// # Errors
/// Those of finding the version.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let row = current(app, &bucket, &request)?;
    let tags = TagSet::of_row(&app.operator_key, bucket.id, request.object_key()?.as_str(), &row)?;
    let mut response = xml(StatusCode::OK, tags.document());
    write_version(response.headers_mut(), &bucket, row.version_id);
    Ok(response)
}
