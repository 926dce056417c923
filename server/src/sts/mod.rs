//! STS: temporary credentials, for a role or for a user itself.
//!
//! ```text
//! AssumeRole                 signed   ──▶ trust policy of the role, and the caller's own ─┐
//! AssumeRoleWithWebIdentity  unsigned ──▶ token of an issuer, then the trust policy ──────┼─▶ grant ─▶ sealed token
//! GetSessionToken            signed   ────────────────────────────────────────────────────┘
//! ```
//!
//! | file | part |
//! |---|---|
//! | `assume_role` | AssumeRole, and how a role named by its ARN is found |
//! | `web_identity` | AssumeRoleWithWebIdentity |
//! | `caller` | GetSessionToken, GetCallerIdentity |
//! | `grant` | what a session is narrowed to, how long it lasts; the credentials |
//! | `tags` | session tags and source identities |
//! | `token` | the sealed token |
//! | `jwt` | tokens of issuers: read, verified, not before |
//! | `issuer` | issuers: their URLs, their keys, fetched and kept |
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html>

mod assume_role;
mod caller;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod grant;
pub mod issuer;
pub mod jwt;
pub mod tags;
pub mod token;
mod web_identity;

use crate::query_api::{Api, ApiError, Call, success};
use crate::s3::response::S3Response;
use crate::s3::xml::XmlWriter;

/// Answers one call.
///
/// # Errors
/// What STS answers to it.
pub(crate) async fn answer(call: &Call<'_>) -> Result<S3Response, ApiError> {
    let action = call.form.get("Action").unwrap_or_default();
    if call.caller.is_anonymous() && action != "AssumeRoleWithWebIdentity" {
        return Err(ApiError::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token"));
    }
    let mut doc = XmlWriter::new_fragment();
    match action {
        "AssumeRole" => assume_role::assume_role(call, &mut doc)?,
        "AssumeRoleWithWebIdentity" => web_identity::assume_role_with_web_identity(call, &mut doc).await?,
        "GetSessionToken" => caller::session_token(call, &mut doc)?,
        "GetCallerIdentity" => caller::caller_identity(call, &mut doc),
        other => return Err(ApiError::new(400, "InvalidAction", format!("Could not find operation {other}"))),
    }
    Ok(success(Api::Sts, action, call.request_id.as_str(), |answer| answer.append(doc)))
}
