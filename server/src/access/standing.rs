//! Who a caller is to policies, and what is attached to it.

use std::sync::Arc;

use crate::policy::{Policy, Principal, Request, Verdict};
use crate::sts::tags::SessionTags;
use crate::sts::token::Source;

/// The id that S3 shows as owner of what anonymous requests write.
pub const ANONYMOUS_ID: &str = "65a011a29cdf8ec533ec3d1ccaae921c";

/// A caller as policies see it. Made when identities are loaded, or when a session token is opened.
#[derive(Debug)]
pub struct Standing {
    /// Whom `Principal` elements name.
    pub principal: Principal,
    /// What the journal's pseudonym is made of: the canonical id of the user itself. Of a session, of
    /// whoever it was given to first, so that roles hide nobody.
    pub actor_id: String,
    /// `aws:userid`.
    pub unique_id: String,
    /// What its own policies say.
    pub identity: IdentityPolicies,
    /// Of a session that was narrowed: what is not allowed by one of these is not allowed.
    pub session_policies: Option<Vec<Arc<Policy>>>,
    /// Of a session: when its token was made and how it is called.
    pub session: Option<SessionFacts>,
}

/// What the condition keys say of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// Unix time in seconds.
    pub issued_s: i64,
    /// `aws:RoleSessionName`; empty for `GetSessionToken`.
    pub name: String,
    /// `aws:FederatedProvider`, for a web identity.
    pub provider: Option<String>,
    /// The id of the role, `AROA…`; empty for `GetSessionToken`.
    pub role_id: String,
    /// What it hangs on.
    pub source: Source,
    /// `aws:PrincipalTag/…` and `aws:SourceIdentity`.
    pub tags: SessionTags,
    /// What limits by access key count it as.
    pub rate_key: Arc<str>,
}

/// What a caller's own policies grant.
#[derive(Debug)]
pub enum IdentityPolicies {
    /// An account itself: whatever resources allow it.
    Everything,
    /// Nobody signed.
    Nobody,
    /// A member of an account: what these say, and nothing without one.
    Attached(Vec<Arc<Policy>>),
}

impl Standing {
    /// Of a request that nobody signed.
    pub fn anonymous() -> Self {
        Self {
            principal: Principal::anonymous(),
            actor_id: ANONYMOUS_ID.to_owned(),
            unique_id: "anonymous".to_owned(),
            identity: IdentityPolicies::Nobody,
            session_policies: None,
            session: None,
        }
    }

    /// Of the server itself, acting as the service that policies name `name`.
    pub fn service(name: &str) -> Self {
        Self {
            principal: Principal::service(name),
            actor_id: name.to_owned(),
            unique_id: name.to_owned(),
            ..Self::anonymous()
        }
    }

    /// Of an account: a user that the administrator added, which owns what it creates.
    pub fn account(canonical_id: &str, name: &str) -> Self {
        let number = account_number(canonical_id);
        Self {
            principal: Principal {
                arn: format!("arn:aws:iam::{number}:root"),
                alias_arn: Some(user_arn(&number, "/", name)),
                canonical_id: canonical_id.to_owned(),
                user_name: name.to_owned(),
                unique_id: String::new(),
                is_account: true,
                account: number.clone(),
                provider_arn: None,
            },
            actor_id: canonical_id.to_owned(),
            unique_id: number,
            identity: IdentityPolicies::Everything,
            session_policies: None,
            session: None,
        }
    }

    /// Of a member of an account, with its policies; `path` begins and ends with a slash.
    pub fn member(account_id: &str, user_id: &str, path: &str, name: &str, policies: Vec<Arc<Policy>>) -> Self {
        let number = account_number(account_id);
        Self {
            principal: Principal {
                arn: user_arn(&number, path, name),
                alias_arn: None,
                canonical_id: account_id.to_owned(),
                user_name: name.to_owned(),
                unique_id: unique_id(user_id),
                is_account: false,
                account: number,
                provider_arn: None,
            },
            actor_id: user_id.to_owned(),
            unique_id: unique_id(user_id),
            identity: IdentityPolicies::Attached(policies),
            session_policies: None,
            session: None,
        }
    }

    /// What its own policies say of a question, those of its session included.
    pub fn own_verdict(&self, question: Request<'_>) -> Verdict {
        let own = match &self.identity {
            IdentityPolicies::Everything => Verdict::Allows,
            IdentityPolicies::Nobody => Verdict::Silent,
            IdentityPolicies::Attached(policies) => together(policies, question),
        };
        match (own, self.session_verdict(question)) {
            (Verdict::Denies, _) | (_, Verdict::Denies) => Verdict::Denies,
            (own, Verdict::Allows) => own,
            _ => Verdict::Silent,
        }
    }

    /// What the policies of its session say; whatever is asked is allowed where there are none.
    pub fn session_verdict(&self, question: Request<'_>) -> Verdict {
        self.session_policies.as_ref().map_or(Verdict::Allows, |policies| together(policies, question))
    }

    /// Whether the caller's credentials are those of a role.
    pub fn is_role(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !session.role_id.is_empty())
    }

    /// `aws:PrincipalType`.
    pub fn principal_type(&self) -> &'static str {
        match &self.identity {
            IdentityPolicies::Nobody => "Anonymous",
            _ if self.is_role() => "AssumedRole",
            _ if self.principal.is_account => "Account",
            _ => "User",
        }
    }

    /// The value of a global condition key that is about the caller, by its name in lower case.
    pub fn condition_value(&self, name: &str) -> Option<String> {
        let Principal { user_name, arn, alias_arn, account, .. } = &self.principal;
        let signed = !self.principal.is_anonymous();
        let known = |text: &str| (signed && !text.is_empty()).then(|| text.to_owned());
        let session = self.session.as_ref();
        if let Some(key) = name.strip_prefix("principaltag/") {
            return session.and_then(|session| session.tags.get(key)).map(str::to_owned);
        }
        match name {
            "username" => known(user_name),
            "userid" => Some(self.unique_id.clone()),
            // Of a session, the role: conditions outlive the names of sessions.
            "principalarn" => known(alias_arn.as_ref().filter(|_| self.is_role()).unwrap_or(arn)),
            "principalaccount" => known(account),
            "principaltype" => Some(self.principal_type().to_owned()),
            "multifactorauthpresent" => session.map(|_| "false".to_owned()),
            "tokenissuetime" => session.and_then(|session| {
                chartrier_journal::format_time(u64::try_from(session.issued_s).ok()?.checked_mul(1_000_000)?)
            }),
            "rolesessionname" => session.map(|session| session.name.clone()).filter(|name| !name.is_empty()),
            "sourceidentity" => session.and_then(|session| session.tags.source_identity()).map(str::to_owned),
            "federatedprovider" => session.and_then(|session| session.provider.clone()),
            _ => None,
        }
    }
}

/// What several policies of one kind say together.
fn together(policies: &[Arc<Policy>], question: Request<'_>) -> Verdict {
    let mut strongest = Verdict::Silent;
    for verdict in policies.iter().map(|policy| policy.evaluate(question)) {
        match verdict {
            Verdict::Denies => return verdict,
            Verdict::Allows => strongest = verdict,
            Verdict::Silent | Verdict::AllowsAccount => {}
        }
    }
    strongest
}

/// The 12 digits by which ARNs name an account, from its canonical id.
///
/// Users are added under an id whose number no other user has.
pub fn account_number(canonical_id: &str) -> String {
    let head = canonical_id.get(..15).and_then(|head| u64::from_str_radix(head, 16).ok()).unwrap_or(0);
    format!("{:012}", head % 1_000_000_000_000)
}

/// The id by which IAM names a user, `AIDA…`, from its canonical id.
pub fn unique_id(canonical_id: &str) -> String {
    format!("AIDA{}", canonical_id.get(..17).unwrap_or(canonical_id).to_ascii_uppercase())
}

/// The ARN of a role; `path` begins and ends with a slash.
pub fn role_arn(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role{path}{name}")
}

/// The ARN of a group; `path` begins and ends with a slash.
pub fn group_arn(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:group{path}{name}")
}

/// The ARN of a managed policy; `path` begins and ends with a slash.
pub fn policy_arn(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:policy{path}{name}")
}

/// The ARN of a user; `path` begins and ends with a slash.
pub fn user_arn(account: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:user{path}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_numbers_are_twelve_digits() {
        assert_eq!(account_number(&"0".repeat(64)), "000000000000");
        assert_eq!(account_number(&"f".repeat(64)).len(), 12);
        assert_ne!(account_number(&"1a".repeat(32)), account_number(&"1b".repeat(32)));
        let standing = Standing::account(&"0".repeat(64), "alice");
        assert_eq!(standing.principal.arn, "arn:aws:iam::000000000000:root");
        assert_eq!(standing.principal.alias_arn.as_deref(), Some("arn:aws:iam::000000000000:user/alice"));
    }
}
