//! `GET /bucket?policy`: GetBucketPolicy.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicy.html>.

use std::sync::Arc;

use http::{HeaderValue, header};

use crate::access::documents::PolicyDocument;
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::{ResponseBody, S3Response};

/// Answers the policy as its author wrote it, but for users and roles that are called otherwise since.
///
/// # Errors
/// `NoSuchBucketPolicy`.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let document = app.bucket_config::<PolicyDocument>(bucket.id)?;
    let document = document
        .ok_or_else(|| S3Error::of(S3ErrorCode::NoSuchBucketPolicy).with_detail("BucketName", bucket.name.as_str()))?;
    let mut response =
        S3Response::new(ResponseBody::full(app.identities.with_names_of_now(&document.text, &document.ids)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
