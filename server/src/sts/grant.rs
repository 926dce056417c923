//! What a session gets: how long, narrowed to what, and the credentials themselves.

use std::ops::RangeInclusive;

use zeroize::Zeroizing;

use super::tags::SessionTags;
use super::token::{Claims, Source, Subject, TemporaryKey};
use crate::iam::members;
use crate::identity::accounts::Account;
use crate::policy::{Policy, PolicyKind};
use crate::query_api::{ApiError, Call};
use crate::s3::ops::listing::iso_time;
use crate::s3::request::Query;
use crate::s3::xml::XmlWriter;

/// Longest policy of a session, in characters.
const POLICY_LEN_MAX: usize = 2048;
/// Most managed policies of a session.
const POLICY_ARNS_MAX: usize = 10;
/// What a policy and its ARNs are measured against for `PackedPolicySize`.
const PACKED_LEN_MAX: usize = 4096;
/// The bounds of a session's name.
const NAME_LEN: RangeInclusive<usize> = 2..=64;

/// A session about to be given out.
pub(super) struct Grant<'r> {
    /// Canonical id of the account in which it acts.
    pub(super) account: &'r str,
    pub(super) subject: Subject,
    pub(super) name: &'r str,
    pub(super) source: Source,
    /// Who is behind it.
    pub(super) actor: &'r str,
    pub(super) duration_s: u32,
    pub(super) narrowing: Narrowing,
    pub(super) tags: SessionTags,
}

/// What the caller wants a session to be narrowed to.
#[derive(Debug, Default)]
pub(super) struct Narrowing {
    policy: Option<String>,
    policy_arns: Vec<String>,
}

impl Grant<'_> {
    /// Makes the credentials and writes them. The secret and the token leave in this answer only.
    pub(super) fn write(self, call: &Call<'_>, doc: &mut XmlWriter) {
        let app = call.app;
        let now_us = app.now_us();
        let issued_s = i64::try_from(now_us / 1_000_000).unwrap_or(i64::MAX);
        let key = TemporaryKey::from_random(app.random_bytes(), &Zeroizing::new(app.random_bytes()));
        let session = Claims {
            account: self.account.to_owned(),
            subject: self.subject,
            name: self.name.to_owned(),
            source: self.source,
            actor: self.actor.to_owned(),
            issued_s,
            expires_s: issued_s.saturating_add(i64::from(self.duration_s)),
            policy: self.narrowing.policy,
            policy_arns: self.narrowing.policy_arns,
            tags: self.tags,
        };
        let token = session.seal(&key, &app.operator_key, app.random_bytes());
        doc.open("Credentials");
        doc.element("AccessKeyId", &key.access_key_id);
        doc.element("SecretAccessKey", &key.secret);
        doc.element("SessionToken", &token);
        let whole_second_us = now_us / 1_000_000 * 1_000_000;
        doc.element("Expiration", &iso_time(whole_second_us + u64::from(self.duration_s) * 1_000_000));
        doc.close("Credentials");
    }
}

impl Narrowing {
    /// Reads `Policy` and `PolicyArns`; the ARNs are of the role's account.
    pub(super) fn read(call: &Call<'_>, account: &Account) -> Result<Self, ApiError> {
        let policy = match call.form.non_empty("Policy") {
            None => None,
            Some(text) if text.chars().count() > POLICY_LEN_MAX => {
                return Err(ApiError::new(400, "PackedPolicyTooLarge", "The session policy is over 2048 characters."));
            }
            Some(text) => match Policy::parse(text, PolicyKind::Identity) {
                Ok(_) => Some(text.to_owned()),
                Err(error) => return Err(ApiError::new(400, "MalformedPolicyDocument", error.0)),
            },
        };
        let arns = members(&call.form, "PolicyArns", ".arn");
        if arns.len() > POLICY_ARNS_MAX {
            return Err(ApiError::validation("A session has at most 10 managed policies."));
        }
        if let Some(arn) = arns.iter().find(|arn| account.managed_policy(arn).is_none()) {
            return Err(ApiError::validation(format!("PolicyArn {arn} does not exist or is not attachable.")));
        }
        Ok(Self { policy, policy_arns: arns.into_iter().map(str::to_owned).collect() })
    }

    /// In percent of what a session may carry; `None` if it is not narrowed and has no tags.
    pub(super) fn packed_percent(&self, tags: &SessionTags) -> Option<usize> {
        let len: usize = self.policy.iter().map(String::len).sum::<usize>()
            + self.policy_arns.iter().map(String::len).sum::<usize>()
            + tags.chars();
        (len > 0).then(|| (len * 100).div_ceil(PACKED_LEN_MAX).clamp(1, 100))
    }
}

/// How long the caller wants its session, in seconds.
pub(super) fn duration_s(form: &Query, allowed: RangeInclusive<u32>, default: u32) -> Result<u32, ApiError> {
    let Some(text) = form.non_empty("DurationSeconds") else { return Ok(default) };
    match text.parse() {
        Ok(seconds) if allowed.contains(&seconds) => Ok(seconds),
        _ => Err(ApiError::validation(format!(
            "DurationSeconds must be {} to {} seconds.",
            allowed.start(),
            allowed.end()
        ))),
    }
}

/// The name that the caller gives its session: it is part of the session's ARN.
pub(super) fn session_name<'r>(call: &'r Call<'_>) -> Result<&'r str, ApiError> {
    let name = call.parameter("RoleSessionName")?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if NAME_LEN.contains(&name.len()) && name.bytes().all(good) {
        return Ok(name);
    }
    Err(ApiError::validation("RoleSessionName is 2 to 64 letters, digits and _+=,.@-"))
}

/// What this server has no notion of is refused by name: a client that sends it relies on it.
pub(super) fn refuse_unknown(call: &Call<'_>) -> Result<(), ApiError> {
    const UNKNOWN: [&str; 3] = ["SerialNumber", "TokenCode", "ProvidedContexts."];
    let sent = |name: &str| call.form.iter().any(|(sent, value)| sent.starts_with(name) && !value.is_empty());
    match UNKNOWN.iter().find(|name| sent(name)) {
        None => Ok(()),
        Some(name) => {
            Err(ApiError::validation(format!("The parameter {} is not supported here.", name.trim_end_matches('.'))))
        }
    }
}
