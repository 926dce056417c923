//! `GET /bucket/key`: GetObject.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>.

use std::sync::Arc;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::open::read::{PreparedRead, prepare};
use crate::s3::request::S3Request;
use crate::s3::response::{ResponseBody, S3Response};

/// Reads an object, a range or a part of it. Each byte is verified before it leaves.
///
/// # Errors
/// Those of [`prepare`], and a failure before the first byte; a later one cuts the connection.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let PreparedRead { status, headers, body } = prepare(app, &mut request)?;
    let body = match body {
        None => ResponseBody::empty(),
        Some((object, range)) => object.into_stream(app.engine.clone(), range).into_body().await?,
    };
    let mut response = S3Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}
