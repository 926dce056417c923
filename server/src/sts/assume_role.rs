//! AssumeRole: the role's trust policy lets the caller in, and the caller's own policies let it go.

use std::iter::once;
use std::sync::Arc;

use super::grant::{Grant, Narrowing, duration_s, refuse_unknown, session_name};
use super::tags::SessionTags;
use super::token::{Source, Subject};
use crate::app::App;
use crate::identity::accounts::{Account, AssumableRole};
use crate::policy::{Request, Verdict};
use crate::query_api::{ApiError, Call, CallContext};
use crate::s3::xml::XmlWriter;

/// Shortest session, and the length that holds when none is said.
pub(super) const SESSION_S_MIN: u32 = 900;
pub(super) const SESSION_S_DEFAULT: u32 = 3600;
/// Longest session of a role that was assumed by a role.
const CHAINED_SESSION_S_MAX: u32 = 3600;
/// Longest session of any role; a role's own limit may be less.
const SESSION_S_MAX: u32 = 43_200;

pub(super) fn assume_role(call: &Call<'_>, doc: &mut XmlWriter) -> Result<(), ApiError> {
    refuse_unknown(call)?;
    let name = session_name(call)?;
    let arn = call.parameter("RoleArn")?;
    let asked_s = duration_s(&call.form, SESSION_S_MIN..=SESSION_S_MAX, SESSION_S_DEFAULT)?;
    let standing = &call.caller.standing;
    let denied = |action: &str| {
        let caller = &standing.principal.arn;
        let message = format!("User: {caller} is not authorized to perform: {action} on resource: {arn}");
        ApiError::new(403, "AccessDenied", message)
    };
    // A role that does not exist is refused as one that is closed.
    let (account, role) = find_role(call.app, arn).ok_or_else(|| denied("sts:AssumeRole"))?;
    let asked = SessionTags::asked(&call.form)?;
    let inherited = standing.session.as_ref().map(|session| &session.tags);
    let tags = inherited.map_or(Ok(asked.clone()), |inherited| asked.clone().inherit(inherited))?;
    let context = CallContext::new(call)
        .with("sts:externalid", call.form.non_empty("ExternalId"))
        .with("sts:rolesessionname", [name]);
    let context = tags.see(context);
    for action in once("sts:AssumeRole").chain(tags.actions()) {
        if !may(call, &account, &role, (action, &context)) {
            return Err(denied(action));
        }
    }
    check_duration(asked_s, &role)?;
    if standing.is_role() && asked_s > CHAINED_SESSION_S_MAX {
        return Err(ApiError::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ));
    }
    // However many roles lie between, a session hangs on what the first was asked for with.
    let source = match &standing.session {
        Some(session) => session.source.clone(),
        None => Source::AccessKey(call.caller.access_key_id.to_string()),
    };
    let narrowing = Narrowing::read(call, &account)?;
    let packed = narrowing.packed_percent(&tags);
    let source_identity = tags.source_identity().map(str::to_owned);
    let grant = Grant {
        account: &account.id,
        subject: Subject::Role { name: role.name.clone(), id: role.id.clone() },
        name,
        source,
        actor: &standing.actor_id,
        duration_s: asked_s,
        narrowing,
        tags,
    };
    grant.write(call, doc);
    write_role_user(doc, &account, &role, name);
    if let Some(percent) = packed {
        doc.value("PackedPolicySize", percent);
    }
    doc.element_if("SourceIdentity", source_identity.as_deref());
    Ok(())
}

/// A role and its account, by ARN, path included.
pub(super) fn find_role(app: &App, arn: &str) -> Option<(Arc<Account>, Arc<AssumableRole>)> {
    let (number, path) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    let account = app.identities.account_numbered(number)?;
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let role = account.role(name).filter(|role| role.arn == arn).map(Arc::clone)?;
    Some((account, role))
}

pub(super) fn check_duration(asked_s: u32, role: &AssumableRole) -> Result<(), ApiError> {
    if asked_s <= role.session_s_max {
        return Ok(());
    }
    Err(ApiError::validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."))
}

/// Writes who the caller now is.
pub(super) fn write_role_user(doc: &mut XmlWriter, account: &Account, role: &AssumableRole, name: &str) {
    doc.open("AssumedRoleUser");
    doc.element("Arn", &format!("arn:aws:sts::{}:assumed-role/{}/{name}", account.number, role.name));
    doc.element("AssumedRoleId", &format!("{}:{name}", role.id));
    doc.close("AssumedRoleUser");
}

/// In its own account a caller that the trust policy names itself needs nothing more; one that it
/// names through the account needs a policy of its own. From another account it needs both.
///
/// What a session brings with it needs the same, by actions of its own.
fn may(call: &Call<'_>, account: &Account, role: &AssumableRole, (action, context): (&str, &CallContext<'_>)) -> bool {
    let standing = &call.caller.standing;
    let question = Request { principal: &standing.principal, action, resource: &role.arn, context };
    let own = standing.own_verdict(question);
    let trusted = role.trust.as_ref().map_or(Verdict::Silent, |trust| trust.evaluate(question));
    if own == Verdict::Denies || trusted == Verdict::Denies {
        return false;
    }
    let in_session = standing.session_verdict(question) == Verdict::Allows;
    let at_home = standing.principal.account == account.number;
    match trusted {
        Verdict::Allows if at_home => in_session,
        Verdict::Allows | Verdict::AllowsAccount => own == Verdict::Allows,
        Verdict::Silent | Verdict::Denies => false,
    }
}
