//! From a session token to who signs with it, as things are now: a role, a user or a key that is gone
//! takes its sessions with it at the next request.

use std::sync::Arc;

use chartrier_crypto::OperatorKey;
use zeroize::Zeroizing;

use super::accounts::{Account, provider_arn};
use super::{Identities, Identity, Table};
use crate::access::standing::{SessionFacts, account_number};
use crate::access::{IdentityPolicies, Standing};
use crate::policy::{Policy, PolicyKind, Principal};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::sts::token::{Session, Source, Subject};

impl Identities {
    /// Who signs with a temporary access key.
    ///
    /// # Errors
    /// `InvalidToken` for a token that does not open, or whose role, user, key or provider is gone;
    /// `ExpiredToken`.
    pub fn of_session(
        &self,
        operator_key: &OperatorKey,
        access_key_id: &str,
        token: &str,
        now_s: i64,
    ) -> Result<Arc<Identity>, S3Error> {
        let invalid = || S3Error::of(S3ErrorCode::InvalidToken);
        let session = Session::open(operator_key, access_key_id, token).map_err(|_| invalid())?;
        if session.has_ended(now_s) {
            return Err(S3Error::of(S3ErrorCode::ExpiredToken));
        }
        let table = self.table.load();
        let account = table.accounts.get(&session.account).ok_or_else(invalid)?;
        let rate_key = table.live_source(&session, now_s).ok_or_else(invalid)?;
        let (mut identity, mut standing) = match &session.subject {
            Subject::User { id } => table.as_user(id),
            Subject::Role { name, id } => table.as_role(account, &session, name, id),
        }
        .ok_or_else(invalid)?;
        standing.session_policies = narrowing(account, &session);
        standing.actor_id.clone_from(&session.actor);
        standing.session = Some(SessionFacts {
            issued_s: session.issued_s,
            name: session.name.clone(),
            provider: match &session.source {
                Source::AccessKey(_) => None,
                Source::Provider { account, key } => Some(provider_arn(&account_number(account), key)),
            },
            role_id: match &session.subject {
                Subject::Role { id, .. } => id.clone(),
                Subject::User { .. } => String::new(),
            },
            source: session.source.clone(),
            tags: session.tags.clone(),
            rate_key,
        });
        identity.access_key_id = access_key_id.into();
        identity.expires_s = Some(session.expires_s);
        identity.secret = Zeroizing::new(session.secret().to_owned());
        identity.standing = Arc::new(standing);
        Ok(Arc::new(identity))
    }
}

impl Table {
    /// What a session hangs on, as limits count it, if it is still there.
    fn live_source(&self, session: &Session, now_s: i64) -> Option<Arc<str>> {
        match &session.source {
            Source::AccessKey(id) => self.find(id, now_s).map(|key| Arc::clone(&key.access_key_id)),
            Source::Provider { account, key } => {
                self.accounts.get(account)?.provider(key).map(|_| session.actor.as_str().into())
            }
        }
    }

    fn as_user(&self, id: &str) -> Option<(Identity, Standing)> {
        let user = self.users.get(id)?;
        let standing = &user.standing;
        let again = Standing {
            principal: standing.principal.clone(),
            actor_id: standing.actor_id.clone(),
            unique_id: standing.unique_id.clone(),
            identity: match &standing.identity {
                IdentityPolicies::Everything => IdentityPolicies::Everything,
                IdentityPolicies::Nobody => IdentityPolicies::Nobody,
                IdentityPolicies::Attached(policies) => IdentityPolicies::Attached(policies.clone()),
            },
            session_policies: None,
            session: None,
        };
        let identity = Identity {
            user_id: Arc::clone(&user.account_id),
            name: Arc::clone(&user.name),
            display_name: Arc::clone(&user.display_name),
            root: user.root,
            access_key_id: "".into(),
            expires_s: None,
            standing: Arc::clone(standing),
            secret: Zeroizing::default(),
        };
        Some((identity, again))
    }

    fn as_role(&self, account: &Account, session: &Session, name: &str, id: &str) -> Option<(Identity, Standing)> {
        let role = account.role(name).filter(|role| role.id == id)?;
        let number = &account.number;
        let standing = Standing {
            principal: Principal {
                account: number.clone(),
                canonical_id: account.id.to_string(),
                arn: format!("arn:aws:sts::{number}:assumed-role/{name}/{}", session.name),
                alias_arn: Some(role.arn.clone()),
                user_name: String::new(),
                unique_id: id.to_owned(),
                is_account: false,
                provider_arn: None,
            },
            actor_id: session.actor.clone(),
            unique_id: format!("{id}:{}", session.name),
            identity: IdentityPolicies::Attached(role.policies.clone()),
            session_policies: None,
            session: None,
        };
        let identity = Identity {
            user_id: Arc::clone(&account.id),
            name: "".into(),
            display_name: Arc::clone(&account.display_name),
            root: false,
            access_key_id: "".into(),
            expires_s: None,
            standing: Arc::new(Standing::anonymous()),
            secret: Zeroizing::default(),
        };
        Some((identity, standing))
    }
}

/// The policies that a session was narrowed to. One that is gone, or does not parse, grants nothing.
fn narrowing(account: &Account, session: &Session) -> Option<Vec<Arc<Policy>>> {
    if session.policy.is_none() && session.policy_arns.is_empty() {
        return None;
    }
    let inline = session.policy.iter().filter_map(|text| Policy::parse(text, PolicyKind::Identity).ok().map(Arc::new));
    let managed = session.policy_arns.iter().filter_map(|arn| account.managed_policy(arn));
    Some(inline.chain(managed).collect())
}
