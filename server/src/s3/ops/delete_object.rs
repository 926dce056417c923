//! `DELETE /bucket/key`: DeleteObject.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html>.

use std::sync::Arc;

use chartrier_storage::ids::{BucketId, VersionId};
use chartrier_storage::namespace::command::{Op, Outcome, Refusal, WriteCondition};
use http::{HeaderMap, StatusCode, header};

use crate::app::App;
use crate::s3::conditions::unquote;
use crate::s3::error::S3Error;
use crate::s3::names::RequestId;
use crate::s3::open::read::requested_version;
use crate::s3::request::{Caller, S3Request};
use crate::s3::response::{S3Response, empty};
use crate::s3::seal::object_refusal;

/// Removes an object. 204 whether there was one or not; durable when it answers.
///
/// # Errors
/// `PreconditionFailed` when `If-Match` names another version.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let version_id = requested_version(&request.query)?;
    let condition = condition(&request.headers)?;
    let key = request.object_key()?.as_str().to_owned();
    let deletion = Deletion { bucket: bucket.id, key, version_id, condition };
    deletion.apply(app, &request.caller, request.request_id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// One object to remove.
pub(super) struct Deletion {
    pub(super) bucket: BucketId,
    pub(super) key: String,
    pub(super) version_id: Option<VersionId>,
    pub(super) condition: WriteCondition,
}

impl Deletion {
    /// Removes it. An object that is not there is gone already, whatever the condition says.
    pub(super) async fn apply(self, app: &Arc<App>, caller: &Caller, request_id: RequestId) -> Result<(), S3Error> {
        let key = self.key.clone();
        let Self { bucket, key: name, version_id, condition } = self;
        let op = match version_id {
            Some(version_id) => {
                Op::DeleteVersion { bucket, key: name, version_id, condition, bypass_governance: false }
            }
            None => Op::DeleteObject { bucket, key: name, marker: None, condition },
        };
        match app.propose(caller, request_id, op).await?.outcome {
            Outcome::Done | Outcome::Deleted { .. } | Outcome::Refused(Refusal::NoSuchKey) => Ok(()),
            Outcome::Refused(refusal) => Err(object_refusal(refusal, &key)),
        }
    }
}

/// `If-Match` is the one condition of a removal; the others exist for directory buckets only.
fn condition(headers: &HeaderMap) -> Result<WriteCondition, S3Error> {
    for name in ["x-amz-if-match-last-modified-time", "x-amz-if-match-size", "if-none-match"] {
        if headers.contains_key(name) {
            return Err(S3Error::not_implemented(format!("The condition {name} of a removal")));
        }
    }
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(WriteCondition::None) };
    let text = value.to_str().map_err(|_| S3Error::invalid_argument("Invalid ETag", "If-Match", ""))?;
    Ok(match_condition(text))
}

/// The condition of an ETag as a client writes it.
pub(super) fn match_condition(text: &str) -> WriteCondition {
    match text.trim() {
        "*" => WriteCondition::IfPresent,
        tag => WriteCondition::IfMatch(unquote(tag).to_owned()),
    }
}
