//! `PUT /bucket?policy`: PutBucketPolicy.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use super::body::read_checked;
use crate::access::documents::PolicyDocument;
use crate::app::App;
use crate::policy::POLICY_LEN_BYTES_MAX;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};

/// Stores a bucket policy. In force when it answers.
///
/// # Errors
/// `MalformedPolicy`, in AWS's words; `AccessDenied` for a public policy where those are blocked.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    // One byte more, so that a policy that is too long is told so in the policy's terms.
    let body = match read_checked(&mut request, POLICY_LEN_BYTES_MAX + 1).await {
        Err(error) if error.code == S3ErrorCode::MaxMessageLengthExceeded => return Err(malformed(TOO_LONG)),
        read => read?,
    };
    let text = std::str::from_utf8(&body).map_err(|_| malformed("This policy contains invalid Json"))?;
    let document = PolicyDocument::parse(&bucket.name, text).map_err(|error| malformed(error.0))?;
    if let Some(unknown) = document.policy.principals().find(|named| !app.identities.knows(named)) {
        return Err(malformed("Invalid principal in policy").with_detail("Detail", format!("{unknown:?}")));
    }
    if document.public && app.public_access_block(&bucket)?.block_public_policy {
        return Err(S3Error::new(
            S3ErrorCode::AccessDenied,
            "Public policies are blocked by the BlockPublicPolicy setting of the bucket's public access block.",
        ));
    }
    let ids = app.identities.ids_named(&document.policy);
    let stored = document.bound(ids).to_stored(&bucket.name);
    app.set_bucket_config(&request, bucket.id, BucketConfigKind::Policy, Some(stored)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn malformed(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::new(S3ErrorCode::MalformedPolicy, message)
}

const TOO_LONG: &str = "Policy exceeds the maximum allowed document size.";
