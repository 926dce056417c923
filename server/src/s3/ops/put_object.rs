//! `PUT /bucket/key`: PutObject.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>.

use std::sync::Arc;

use chartrier_storage::namespace::notification::Cause;
use chartrier_storage::namespace::rows::BucketRow;
use http::StatusCode;

use crate::app::App;
use crate::s3::checksum::{ChecksumAlgorithm, ExpectedChecksums};
use crate::s3::conditions::write_condition;
use crate::s3::error::S3Error;
use crate::s3::lock::LockRequest;
use crate::s3::metadata::{ObjectMetadata, refuse_unbuilt, storage_class};
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::seal::{Committed, Lineage, SingleWrite, announced_length, random_bytes, write_checksum, write_etag};
use crate::s3::settings::encryption::refuse_blocked;
use crate::s3::settings::quota::{self, Added};
use crate::s3::sse;
use crate::s3::tags::TagSet;
use crate::s3::versioning::write_new_version;

/// Stores an object: sealed, durable on the write quorum, its leaf in the journal when it answers.
///
/// # Errors
/// What the headers break, before the first body poll; what the body breaks, before anything is
/// visible; `PreconditionFailed` as decided when it would become visible.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let expected = ExpectedChecksums::from_headers(&request.headers)?;
    let announced = announced_length(&request)?;
    let write = plan(app, bucket, &mut request, &expected)?;

    let upload = write.begin(app, announced, expected.needed()).await;
    let received = upload.receive(&mut request.body, &expected).await?;
    if announced.is_none() {
        quota::check(app, &write.bucket, Added { bytes: received.plain_bytes(), objects: 1 })?;
    }
    let part = received.finish().await?;
    let mut response = empty(StatusCode::OK);
    write.encryption.write_to(response.headers_mut());
    let Committed { etag, checksum, version_id, .. } = write.commit(app, part).await?;
    write_new_version(response.headers_mut(), version_id);
    write_etag(response.headers_mut(), &etag);
    write_checksum(response.headers_mut(), &checksum);
    Ok(response)
}

/// Everything that the headers say, judged before the body is polled.
pub(super) fn plan(
    app: &App,
    bucket: BucketRow,
    request: &mut S3Request,
    expected: &ExpectedChecksums,
) -> Result<SingleWrite, S3Error> {
    let trio = std::mem::take(&mut request.sse_c.target);
    let encryption = sse::for_write(trio, request.transport, &request.headers)?;
    refuse_blocked(app, &bucket, &encryption)?;
    quota::check(app, &bucket, Added { bytes: request.body.decoded_length().unwrap_or(0), objects: 1 })?;
    refuse_unbuilt(&request.headers)?;
    let condition = write_condition(&request.headers)?;
    let access = app.new_object_access(&bucket, &request.caller, &request.headers)?;
    let metadata = ObjectMetadata::from_headers(&request.headers, random_bytes(&*app.random))?;
    let tags = TagSet::from_headers(&request.headers)?;
    let lock = LockRequest::from_headers(&request.headers, &bucket, app.now_us())?;
    lock.needs_digest(&bucket, expected)?;
    let lineage = Lineage::draw(&*app.random, encryption.mode());
    Ok(SingleWrite {
        bucket,
        key: request.object_key()?.clone(),
        caller: request.caller.clone(),
        access,
        request_id: request.request_id,
        encryption,
        metadata,
        algorithm: expected.algorithm().unwrap_or(ChecksumAlgorithm::Crc64Nvme),
        condition,
        tags,
        lock,
        storage_class: storage_class(&request.headers)?,
        lineage,
        cause: Cause::Request,
    })
}
