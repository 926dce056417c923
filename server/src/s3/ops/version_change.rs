//! Changes of what goes with a version: found by the request, made at apply on that very version.

use std::sync::Arc;

use chartrier_storage::namespace::command::{Op, Outcome, Refusal, VersionChange};
use chartrier_storage::namespace::rows::{BucketRow, VersionRow};
use http::StatusCode;

use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::open::read::current;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::seal::object_refusal;
use crate::s3::versioning::write_version;

/// Times that a change is made anew because the version was replaced under it.
const ATTEMPTS: usize = 5;

/// Changes the version that a request names, and answers `status` with its id. Durable when it answers.
///
/// `make` is given the version as it is; it is asked again if a write came in between.
///
/// # Errors
/// Those of finding the version, and of `make`; what apply refuses.
pub(super) async fn change(
    app: &Arc<App>,
    request: &S3Request,
    bucket: &BucketRow,
    status: StatusCode,
    make: impl Fn(&VersionRow) -> VersionChange,
) -> Result<S3Response, S3Error> {
    let key = request.object_key()?.as_str();
    for _ in 0..ATTEMPTS {
        let row = current(app, bucket, request)?;
        let op = Op::ChangeVersion {
            bucket: bucket.id,
            key: key.to_owned(),
            version_id: row.version_id,
            wrap_version: row.wrap_version,
            change: make(&row),
        };
        match app.propose(&request.caller, request.request_id, op).await?.outcome {
            Outcome::Done | Outcome::Deleted { .. } => {
                let mut response = empty(status);
                write_version(response.headers_mut(), bucket, row.version_id);
                return Ok(response);
            }
            // Gone or replaced: whether there is another, the next look tells.
            Outcome::Refused(Refusal::Superseded | Refusal::NoSuchVersion) => {}
            Outcome::Refused(refusal) => return Err(object_refusal(refusal, key)),
        }
    }
    Err(S3Error::of(S3ErrorCode::OperationAborted))
}
