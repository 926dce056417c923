//! GetSessionToken and GetCallerIdentity.

use super::grant::{Grant, Narrowing, duration_s};
use super::tags::SessionTags;
use super::token::{Source, Subject};
use crate::policy::{Request, Verdict};
use crate::query_api::{ApiError, Call, CallContext};
use crate::s3::xml::XmlWriter;

/// The bounds of a user's own session, and what holds when it is not said.
const SESSION_S: std::ops::RangeInclusive<u32> = 900..=129_600;
const SESSION_S_DEFAULT: u32 = 43_200;

/// Credentials of the caller itself that end. No policy has to allow it; one may deny it.
pub(super) fn session_token(call: &Call<'_>, doc: &mut XmlWriter) -> Result<(), ApiError> {
    let standing = &call.caller.standing;
    let context = CallContext::new(call);
    let action = "sts:GetSessionToken";
    let question = Request { principal: &standing.principal, action, resource: "*", context: &context };
    if standing.session.is_some() {
        return Err(ApiError::new(403, "AccessDenied", "Cannot call GetSessionToken with session credentials"));
    }
    if standing.own_verdict(question) == Verdict::Denies {
        let arn = &standing.principal.arn;
        return Err(ApiError::new(403, "AccessDenied", format!("User: {arn} is not authorized to perform: {action}")));
    }
    if call.form.non_empty("SerialNumber").or(call.form.non_empty("TokenCode")).is_some() {
        return Err(ApiError::new(403, "AccessDenied", "MultiFactorAuthentication failed: there are no devices here."));
    }
    let grant = Grant {
        account: &call.caller.user_id,
        subject: Subject::User { id: standing.actor_id.clone() },
        name: "",
        source: Source::AccessKey(call.caller.access_key_id.to_string()),
        actor: &standing.actor_id,
        duration_s: duration_s(&call.form, SESSION_S, SESSION_S_DEFAULT)?,
        narrowing: Narrowing::default(),
        tags: SessionTags::default(),
    };
    grant.write(call, doc);
    Ok(())
}

/// Who the caller is. Needs no permission, as its refusals say as much.
pub(super) fn caller_identity(call: &Call<'_>, doc: &mut XmlWriter) {
    let standing = &call.caller.standing;
    doc.element("Arn", &standing.principal.arn);
    doc.element("UserId", &standing.unique_id);
    doc.element("Account", &standing.principal.account);
}
