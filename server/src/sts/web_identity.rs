//! AssumeRoleWithWebIdentity: a token of an issuer that the account of the role believes.
//!
//! Nobody signed the request: everything in it is a stranger's until the token's signature holds. The
//! role and the provider are looked up first, so that no stranger makes this server ask an issuer that
//! nobody registered.

use std::iter::once;

use super::assume_role::{SESSION_S_DEFAULT, SESSION_S_MIN, check_duration, find_role, write_role_user};
use super::grant::{Grant, Narrowing, duration_s, refuse_unknown, session_name};
use super::jwt::{ClaimError, Jwt};
use super::tags::SessionTags;
use super::token::{Source, Subject};
use crate::identity::accounts::{KnownProvider, provider_key};
use crate::logging::chain;
use crate::policy::keys::FEDERATED_CLAIMS;
use crate::policy::{Principal, Request, Verdict};
use crate::query_api::{ApiError, Call, CallContext};
use crate::s3::xml::XmlWriter;

const ACTION: &str = "sts:AssumeRoleWithWebIdentity";

pub(super) async fn assume_role_with_web_identity(call: &Call<'_>, doc: &mut XmlWriter) -> Result<(), ApiError> {
    refuse_unknown(call)?;
    // Here they are claims of the issuer's: what the form says is a stranger's word.
    if SessionTags::asked(&call.form)? != SessionTags::default() {
        return Err(ApiError::validation("Session tags and the source identity come with the token."));
    }
    let name = session_name(call)?;
    let asked_s = duration_s(&call.form, SESSION_S_MIN..=43_200, SESSION_S_DEFAULT)?;
    let denied = || ApiError::new(403, "AccessDenied", format!("Not authorized to perform {ACTION}"));
    let (account, role) = find_role(call.app, call.parameter("RoleArn")?).ok_or_else(denied)?;
    let jwt = Jwt::parse(call.parameter("WebIdentityToken")?).map_err(|error| invalid(&error.to_string()))?;
    let key = provider_key(jwt.issuer()).to_owned();
    let provider = account.provider(&key).filter(|known| is_issuer(known, jwt.issuer()));
    let provider = provider.ok_or_else(|| invalid("No OpenIDConnect provider found in your account for the issuer"))?;
    let audience = jwt.audiences().find(|audience| provider.client_ids.contains(*audience));
    let audience = audience.ok_or_else(|| invalid("Incorrect token audience"))?;
    verify(call, &jwt, provider).await?;
    let now_s = i64::try_from(call.app.now_us() / 1_000_000).unwrap_or(i64::MAX);
    let subject = jwt.check(now_s).map_err(|error| match error {
        ClaimError::Expired => ApiError::new(400, "ExpiredTokenException", "Token expired"),
        other => invalid(&other.to_string()),
    })?;

    let mut context = CallContext::new(call)
        .with("sts:rolesessionname", [name])
        .with("aws:federatedprovider", [provider.arn.as_str()])
        .with(format!("{}:aud", key.to_ascii_lowercase()), [audience]);
    for claim in FEDERATED_CLAIMS.iter().filter(|claim| **claim != "aud") {
        context = context.with(format!("{}:{claim}", key.to_ascii_lowercase()), jwt.texts(claim));
    }
    let tags = SessionTags::claimed(&jwt)?;
    let context = tags.see(context);
    let principal = Principal::federated(&provider.arn);
    for action in once(ACTION).chain(tags.actions()) {
        let question = Request { principal: &principal, action, resource: &role.arn, context: &context };
        if role.trust.as_ref().map(|trust| trust.evaluate(question)) != Some(Verdict::Allows) {
            return Err(denied());
        }
    }
    check_duration(asked_s, &role)?;
    let narrowing = Narrowing::read(call, &account)?;
    let packed = narrowing.packed_percent(&tags);
    let source_identity = tags.source_identity().map(str::to_owned);
    let actor = format!("{key}#{subject}");
    let grant = Grant {
        account: &account.id,
        subject: Subject::Role { name: role.name.clone(), id: role.id.clone() },
        name,
        source: Source::Provider { account: account.id.to_string(), key: key.clone() },
        actor: &actor,
        duration_s: asked_s,
        narrowing,
        tags,
    };
    grant.write(call, doc);
    doc.element("SubjectFromWebIdentityToken", subject);
    write_role_user(doc, &account, &role, name);
    if let Some(percent) = packed {
        doc.value("PackedPolicySize", percent);
    }
    doc.element_if("SourceIdentity", source_identity.as_deref());
    doc.element("Provider", jwt.issuer());
    doc.element("Audience", audience);
    Ok(())
}

/// Checks the token's signature against the keys that its issuer publishes.
async fn verify(call: &Call<'_>, jwt: &Jwt<'_>, provider: &KnownProvider) -> Result<(), ApiError> {
    let now_s = || i64::try_from(call.app.now_us() / 1_000_000).unwrap_or(i64::MAX);
    let keys = call.app.issuers.keys(&provider.url, jwt.key_id(), now_s).await.map_err(|error| {
        tracing::warn!(provider = provider.url, error = chain(&error), "an issuer's keys cannot be had");
        let message = "Couldn't retrieve verification key from your identity provider";
        ApiError::new(400, "IDPCommunicationError", message)
    })?;
    if jwt.is_signed_by(&keys) {
        return Ok(());
    }
    Err(invalid("The token's signature is of no key of its issuer"))
}

/// Whether a provider's URL is the issuer that a token names; a slash at the end is none.
fn is_issuer(provider: &KnownProvider, issuer: &str) -> bool {
    provider.url.trim_end_matches('/') == issuer.trim_end_matches('/')
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(400, "InvalidIdentityToken", message)
}
