//! `DELETE /bucket/key`: DeleteObject.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html>.

use std::sync::Arc;

use chartrier_storage::ids::VersionId;
use chartrier_storage::namespace::command::{Op, Outcome, Refusal, WriteCondition};
use chartrier_storage::namespace::lock::Versioning;
use chartrier_storage::namespace::rows::{BucketRow, MarkerRow};
use http::{HeaderValue, StatusCode};

use crate::app::App;
use crate::s3::conditions::delete_condition;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::lock::bypasses_governance;
use crate::s3::metadata::ObjectMetadata;
use crate::s3::names::RequestId;
use crate::s3::open::read::requested_version;
use crate::s3::request::{Caller, S3Request};
use crate::s3::response::{S3Response, empty};
use crate::s3::seal::object_refusal;
use crate::s3::versioning::{DELETE_MARKER, VERSION_ID, version_value};

/// Removes a version, or hides the object behind a delete marker, or, where there was never
/// versioning, removes the object. 204 whether there was one or not; durable when it answers.
///
/// # Errors
/// `PreconditionFailed`; `AccessDenied` if a retention or a legal hold forbids it. Both decided at apply.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    if request.headers.contains_key("x-amz-mfa") {
        return Err(S3Error::not_implemented("MFA delete"));
    }
    let version_id = requested_version(&request.query)?;
    let condition = delete_condition(&request.headers)?;
    let bypass_governance = bypasses_governance(&request);
    let key = request.object_key()?.as_str().to_owned();
    let deletion = Deletion { bucket, key, version_id, condition, bypass_governance };
    let marker = deletion.apply(app, &request.caller, request.request_id).await?;

    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    if marker.is_some() {
        headers.insert(DELETE_MARKER, HeaderValue::from_static("true"));
    }
    if let Some(version_id) = version_id.or(marker) {
        headers.insert(VERSION_ID, version_value(version_id));
    }
    Ok(response)
}

/// One object or version to remove.
pub(super) struct Deletion {
    pub(super) bucket: BucketRow,
    pub(super) key: String,
    pub(super) version_id: Option<VersionId>,
    pub(super) condition: WriteCondition,
    pub(super) bypass_governance: bool,
}

/// Times that a removal is tried anew because versioning was switched under it: it is enabled once.
const ATTEMPTS: usize = 2;

impl Deletion {
    /// Removes it; answers the delete marker that was made or removed. An object that is not there is
    /// gone already, whatever the condition says.
    pub(super) async fn apply(
        self,
        app: &Arc<App>,
        caller: &Caller,
        request_id: RequestId,
    ) -> Result<Option<VersionId>, S3Error> {
        let mut marked = self.bucket.versioning != Versioning::Unversioned;
        for _ in 0..ATTEMPTS {
            let (bucket, key, condition) = (self.bucket.id, self.key.clone(), self.condition.clone());
            let op = match self.version_id {
                Some(version_id) => {
                    let bypass_governance = self.bypass_governance;
                    Op::DeleteVersion { bucket, key, version_id, condition, bypass_governance }
                }
                None => {
                    let marker = marked.then(|| Box::new(self.marker(app, caller)));
                    Op::DeleteObject { bucket, key, marker, condition }
                }
            };
            match app.propose(caller, request_id, op).await?.outcome {
                Outcome::Deleted { marker, .. } => return Ok(marker),
                Outcome::Done | Outcome::Refused(Refusal::NoSuchKey) => return Ok(None),
                Outcome::Refused(Refusal::VersioningChanged) => marked = true,
                Outcome::Refused(refusal) => return Err(object_refusal(refusal, &self.key)),
            }
        }
        Err(S3Error::of(S3ErrorCode::OperationAborted))
    }

    /// The marker that hides the object: it names its key by a commitment, like every version.
    fn marker(&self, app: &App, caller: &Caller) -> MarkerRow {
        let wrap_version = VersionId::from_bytes(app.random_bytes());
        let metadata = ObjectMetadata { key_salt: app.random_bytes(), headers: Vec::new(), checksum: None };
        let bucket: &[u8] = self.bucket.id.as_bytes();
        let label = [b"chartrier/delete-marker/", bucket, wrap_version.as_bytes()].concat();
        MarkerRow {
            wrap_version,
            owner: caller.user_id.to_string(),
            modified_us: app.now_us(),
            key_commitment: metadata.key_commitment(&self.key),
            sealed_salt: app.operator_key.seal_secret(&label, app.random_bytes(), &metadata.key_salt),
        }
    }
}
