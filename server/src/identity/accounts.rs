//! Accounts as STS needs them: their roles, providers of identities and managed policies, parsed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chartrier_storage::namespace::rows::UserRow;

use crate::access::standing::{account_number, role_arn};
use crate::iam::document::{IamDocument, Role};
use crate::policy::{Policy, PolicyKind};

/// One account.
pub struct Account {
    /// Canonical id.
    pub id: Arc<str>,
    /// 12 digits.
    pub number: String,
    /// As S3 answers show it.
    pub display_name: Arc<str>,
    roles: HashMap<String, Arc<AssumableRole>>,
    providers: HashMap<String, Arc<KnownProvider>>,
    document: IamDocument,
}

/// A role that may be assumed.
pub struct AssumableRole {
    /// Its name in the account.
    pub name: String,
    /// `AROA…`
    pub id: String,
    /// With its path.
    pub arn: String,
    /// Longest session, in seconds.
    pub session_s_max: u32,
    /// Who may assume it; `None` is nobody.
    pub trust: Option<Policy>,
    /// What it may do.
    pub policies: Vec<Arc<Policy>>,
}

/// A provider of identities that an account believes.
pub struct KnownProvider {
    /// As policies name it.
    pub arn: String,
    /// As tokens name their issuer.
    pub url: String,
    /// Audiences that tokens may be for.
    pub client_ids: BTreeSet<String>,
}

impl Account {
    pub(super) fn new(row: &UserRow, document: &IamDocument) -> Self {
        let number = account_number(&row.id);
        let role = |(name, role): (&String, &Role)| {
            (name.clone(), Arc::new(AssumableRole::new(&number, name, role, document)))
        };
        let provider = |(key, provider): (&String, &crate::iam::document::Provider)| {
            let arn = provider_arn(&number, key);
            let known = KnownProvider { arn, url: provider.url.clone(), client_ids: provider.client_ids.clone() };
            (key.clone(), Arc::new(known))
        };
        Self {
            id: row.id.as_str().into(),
            display_name: row.display_name.as_str().into(),
            roles: document.roles.iter().map(role).collect(),
            providers: document.providers.iter().map(provider).collect(),
            document: IamDocument { managed: document.managed.clone(), ..IamDocument::default() },
            number,
        }
    }

    /// A role by name.
    pub fn role(&self, name: &str) -> Option<&Arc<AssumableRole>> {
        self.roles.get(name)
    }

    /// All its roles.
    pub fn roles(&self) -> impl Iterator<Item = &Arc<AssumableRole>> {
        self.roles.values()
    }

    /// A provider by its URL without scheme.
    pub fn provider(&self, key: &str) -> Option<&Arc<KnownProvider>> {
        self.providers.get(key)
    }

    /// A managed policy by ARN; `None` if there is none such, or it does not parse.
    pub fn managed_policy(&self, arn: &str) -> Option<Arc<Policy>> {
        let text = self.document.managed_text(arn)?;
        Policy::parse(text, PolicyKind::Identity).ok().map(Arc::new)
    }
}

impl AssumableRole {
    fn new(number: &str, name: &str, role: &Role, account: &IamDocument) -> Self {
        let policies = account.policies_of_role(role).unwrap_or_else(|| {
            tracing::error!(role = role.id, "a policy of a role cannot be read: it is granted nothing");
            Vec::new()
        });
        Self {
            name: name.to_owned(),
            id: role.id.clone(),
            arn: role_arn(number, &role.path, name),
            session_s_max: role.session_s_max,
            trust: Policy::parse(&role.trust, PolicyKind::Trust).ok().map(|mut trust| {
                trust.bind(&role.trust_ids);
                trust
            }),
            policies,
        }
    }
}

/// The ARN of a provider, from its URL without scheme.
pub fn provider_arn(account: &str, key: &str) -> String {
    format!("arn:aws:iam::{account}:oidc-provider/{key}")
}

/// By what providers are found: their URL without scheme and without a slash at the end.
pub fn provider_key(url: &str) -> &str {
    let bare = url.split_once("://").map_or(url, |(_, bare)| bare);
    bare.trim_end_matches('/')
}
