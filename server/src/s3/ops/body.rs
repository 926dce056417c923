//! Small request bodies: read whole, and held against what the headers promise of them.

use bytes::Bytes;
use http::HeaderMap;

use crate::s3::checksum::{ExpectedChecksums, digest};
use crate::s3::error::S3Error;
use crate::s3::request::S3Request;

/// Reads a body of at most `limit` bytes and verifies `Content-MD5` and `x-amz-checksum-*`.
///
/// # Errors
/// `BadDigest`, `InvalidDigest`, `InvalidRequest`, and what reading answers.
pub(super) async fn read_checked(request: &mut S3Request, limit: usize) -> Result<Bytes, S3Error> {
    let expected = ExpectedChecksums::from_headers(&request.headers)?;
    read_expecting(request, &expected, limit).await
}

/// As [`read_checked`], for Complete, whose `x-amz-checksum-*` headers speak of the object: of the
/// body only `Content-MD5` is verified.
///
/// # Errors
/// As [`read_checked`].
pub(super) async fn read_md5_checked(request: &mut S3Request, limit: usize) -> Result<Bytes, S3Error> {
    let mut headers = HeaderMap::new();
    if let Some(value) = request.headers.get("content-md5") {
        headers.insert("content-md5", value.clone());
    }
    let expected = ExpectedChecksums::from_headers(&headers)?;
    read_expecting(request, &expected, limit).await
}

async fn read_expecting(request: &mut S3Request, expected: &ExpectedChecksums, limit: usize) -> Result<Bytes, S3Error> {
    let body = request.body.read_to_limit(limit).await?;
    let computed: Vec<_> = expected.needed().map(|algorithm| digest(algorithm, &body)).collect();
    expected.verify(&computed, request.body.trailers())?;
    Ok(body)
}
