//! `PUT /bucket/key?partNumber&uploadId`: UploadPart.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html>.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};

use super::multipart::AgreedChecksum;
use super::multipart::put_part::{OpenedUpload, algorithms, kept, store};
use crate::app::App;
use crate::s3::checksum::ExpectedChecksums;
use crate::s3::error::S3Error;
use crate::s3::lock::LockRequest;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::seal::{SealedUpload, announced_length};
use crate::s3::settings::quota::{self, Added};

/// Seals and stores one part under a fresh salt. Durable when it answers.
///
/// # Errors
/// `NoSuchUpload`, `InvalidArgument` for the number, `InvalidRequest` for another encryption or
/// checksum than Create's or for a locked part without a digest, `BadDigest`, and what the body answers. Nothing is stored then.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let OpenedUpload { number, upload, lineage, encryption } = OpenedUpload::open(app, &mut request)?;
    let announced = announced_length(&request)?;
    quota::check(app, &upload.bucket, Added { bytes: announced.unwrap_or(0), objects: 1 })?;
    let expected = ExpectedChecksums::from_headers(&request.headers)?;
    let agreed = AgreedChecksum::of_upload(&upload.row);
    agreed.check_part(&expected)?;
    LockRequest::of_upload(&upload.row).needs_digest(&upload.bucket, &expected)?;

    let wanted = algorithms(&agreed, &lineage, &expected);
    let sealing =
        SealedUpload::begin(app.engine.blobs(), &*app.random, &lineage, number.get(), announced, wanted).await;
    let received = sealing.receive(&mut request.body, &expected).await?;
    if announced.is_none() {
        quota::check(app, &upload.bucket, Added { bytes: received.plain_bytes(), objects: 1 })?;
    }
    let part = received.finish().await?;
    let kept = kept(&agreed, expected.algorithm(), &part.digests);
    let who = (&request.caller, request.request_id);
    let row = store(app, who, &upload, &lineage, number, part, &kept).await?;

    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    let etag = HeaderValue::from_str(&format!("\"{}\"", row.etag)).map_err(S3Error::internal)?;
    headers.insert(header::ETAG, etag);
    let shown = expected.algorithm().or(agreed.asked.then_some(agreed.algorithm));
    for value in kept.iter().filter(|value| Some(value.algorithm()) == shown) {
        let text = HeaderValue::from_str(&value.to_base64()).map_err(S3Error::internal)?;
        headers.insert(value.algorithm().header(), text);
    }
    encryption.write_to(headers);
    Ok(response)
}
