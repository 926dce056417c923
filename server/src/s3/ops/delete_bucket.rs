//! `DELETE /bucket`: DeleteBucket.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html>.

use std::sync::Arc;

use chartrier_storage::namespace::command::{Op, Outcome, Refusal};
use chartrier_storage::namespace::query::{UploadEntry, UploadQuery};
use chartrier_storage::namespace::rows::BucketRow;
use http::StatusCode;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::refusal::refused;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};

/// Uploads aborted before the removal is tried again.
const UPLOADS_A_ROUND: usize = 1000;
/// Rounds before the client is told that the bucket is not empty: someone goes on uploading.
const ROUNDS: usize = 10;

/// Removes a bucket that holds no object. Durable when it answers.
///
/// Uploads in progress do not keep a bucket, as on AWS: they are aborted, but only once it holds no
/// object, so that a removal that cannot succeed costs nobody an upload.
///
/// # Errors
/// `BucketNotEmpty` while it holds an object, decided at apply: a racing PUT or Complete either comes
/// first and keeps the bucket, or finds it gone.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    for round in 0..=ROUNDS {
        let op = Op::DeleteBucket { name: bucket.name.clone() };
        match app.propose(&request.caller, request.request_id, op).await?.outcome {
            Outcome::Done | Outcome::Deleted { .. } => return Ok(empty(StatusCode::NO_CONTENT)),
            Outcome::Refused(Refusal::BucketNotEmpty) if round < ROUNDS && has_only_uploads(app, &bucket)? => {
                abort_some(app, &request, &bucket).await?;
            }
            Outcome::Refused(refusal) => return Err(refused(refusal).with_detail("BucketName", bucket.name)),
        }
    }
    Err(refused(Refusal::BucketNotEmpty).with_detail("BucketName", bucket.name))
}

fn has_only_uploads(app: &App, bucket: &BucketRow) -> Result<bool, S3Error> {
    let usage = app.engine.bucket_usage(&bucket.name)?;
    Ok(usage.is_some_and(|usage| usage.bucket.id == bucket.id && usage.versions == 0 && usage.uploads > 0))
}

async fn abort_some(app: &Arc<App>, request: &S3Request, bucket: &BucketRow) -> Result<(), S3Error> {
    let query =
        UploadQuery { bucket: bucket.id, prefix: String::new(), delimiter: None, after: None, limit: UPLOADS_A_ROUND };
    for entry in app.engine.list_uploads(query).await?.entries {
        if let UploadEntry::Upload { key, row } = entry {
            let op = Op::AbortUpload { bucket: bucket.id, key, upload: row.id };
            // One that ended meanwhile is refused, which is as well.
            app.propose(&request.caller, request.request_id, op).await?;
        }
    }
    Ok(())
}
