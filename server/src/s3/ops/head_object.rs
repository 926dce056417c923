//! `HEAD /bucket/key`: HeadObject.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>.

use std::sync::Arc;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::open::read::{PreparedRead, prepare};
use crate::s3::request::S3Request;
use crate::s3::response::{ResponseBody, S3Response};

/// The head that GetObject would answer, `Range` and `partNumber` included. No data is read.
///
/// # Errors
/// Those of [`prepare`]; on the wire they are bare statuses.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let PreparedRead { status, headers, .. } = prepare(app, &mut request)?;
    let mut response = S3Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}
