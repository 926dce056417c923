//! Who a caller is to policies, and what is attached to it.

use std::sync::Arc;

use crate::policy::{Policy, Principal};

/// The id that S3 shows as owner of what anonymous requests write.
pub const ANONYMOUS_ID: &str = "65a011a29cdf8ec533ec3d1ccaae921c";

/// A caller as policies see it. Made when identities are loaded, or when a session token is opened.
#[derive(Debug)]
pub struct Standing {
    /// Whom `Principal` elements name.
    pub principal: Principal,
    /// Canonical id of the user itself, which the journal's pseudonym is made of.
    pub actor_id: String,
    /// `aws:userid`.
    pub unique_id: String,
    /// What its own policies say.
    pub identity: IdentityPolicies,
    /// Of a session: policies that each must allow too.
    pub session_policies: Vec<Arc<Policy>>,
    /// Of a session: when its token was made and how it is called.
    pub session: Option<SessionFacts>,
}

/// What the condition keys say of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFacts {
    /// Unix time in seconds.
    pub issued_s: i64,
    /// `aws:RoleSessionName`; empty for `GetSessionToken`.
    pub name: String,
    /// `aws:FederatedProvider`, for a web identity.
    pub provider: Option<String>,
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
            session_policies: Vec::new(),
            session: None,
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
                is_account: true,
                account: number.clone(),
            },
            actor_id: canonical_id.to_owned(),
            unique_id: number,
            identity: IdentityPolicies::Everything,
            session_policies: Vec::new(),
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
                is_account: false,
                account: number,
            },
            actor_id: user_id.to_owned(),
            unique_id: unique_id(user_id),
            identity: IdentityPolicies::Attached(policies),
            session_policies: Vec::new(),
            session: None,
        }
    }

    /// `aws:PrincipalType`.
    pub fn principal_type(&self) -> &'static str {
        match (&self.identity, &self.session) {
            (IdentityPolicies::Nobody, _) => "Anonymous",
            (IdentityPolicies::Everything, None) => "Account",
            (_, Some(session)) if !session.name.is_empty() => "AssumedRole",
            _ => "User",
        }
    }
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
