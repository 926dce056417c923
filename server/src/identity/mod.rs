//! Who may sign requests: users, their access keys, and the secrets that open from their rows.

pub mod access_key;
pub mod accounts;
pub mod keyring;
pub mod pseudonym;
pub mod root;
mod session;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use chartrier_crypto::OperatorKey;
use chartrier_storage::namespace::rows::UserRow;
use zeroize::Zeroizing;

use crate::access::IdentityPolicies;
use crate::access::standing::{Standing, account_number};
use crate::iam::document::IamDocument;
use crate::policy::{Policy, PrincipalPattern, with_names};
use accounts::Account;

/// An operator key for tests.
#[cfg(any(fuzzing, test))]
pub(crate) fn test_operator_key() -> OperatorKey {
    OperatorKey::from_slice(&[1; 32]).expect("32 bytes")
}

/// One access key of one user, ready to verify with. It has no `Debug`.
pub struct Identity {
    /// Canonical id.
    pub user_id: Arc<str>,
    /// Unique in the tenant.
    pub name: Arc<str>,
    /// As S3 answers show it.
    pub display_name: Arc<str>,
    /// May do anything.
    pub root: bool,
    /// The public half.
    pub access_key_id: Arc<str>,
    /// Unix time in seconds from which on it signs nothing.
    pub expires_s: Option<i64>,
    /// Who its owner is to policies.
    pub standing: Arc<Standing>,
    secret: Zeroizing<String>,
}

impl Identity {
    /// The secret half, for deriving signing keys.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }
}

/// All identities, by access key id. Reads take no lock; a reload swaps the whole table.
#[derive(Default)]
pub struct Identities {
    table: ArcSwap<Table>,
}

#[derive(Default)]
struct Table {
    by_access_key: HashMap<String, Arc<Identity>>,
    display_names: HashMap<String, Arc<str>>,
    /// Accounts by lower-case e-mail address.
    emails: HashMap<String, Vec<String>>,
    /// Account numbers, names of users, and ARNs, that a policy may name.
    numbers: HashSet<String>,
    names: HashSet<String>,
    arns: HashSet<String>,
    /// Unique ids of members and roles by each name that a policy may give them, and their ARNs by unique id.
    unique_ids: HashMap<String, String>,
    arns_by_id: HashMap<String, String>,
    /// By canonical id.
    accounts: HashMap<String, Arc<Account>>,
    /// By canonical id: accounts and members.
    users: HashMap<String, KnownUser>,
}

/// A user as its sessions need it.
struct KnownUser {
    account_id: Arc<str>,
    name: Arc<str>,
    display_name: Arc<str>,
    root: bool,
    standing: Arc<Standing>,
}

/// A stored secret does not open under the operator key: the key file is not the one it was sealed with.
#[derive(Debug, thiserror::Error)]
#[error("the secret of access key {access_key_id} does not open: is DATA/keys/operator.key the right one?")]
pub struct SecretDoesNotOpen {
    /// Which key.
    pub access_key_id: String,
}

impl Table {
    /// Who has an access key that may sign at this time.
    fn find(&self, access_key_id: &str, now_s: i64) -> Option<&Arc<Identity>> {
        let identity = self.by_access_key.get(access_key_id)?;
        identity.expires_s.is_none_or(|end| now_s < end).then_some(identity)
    }

    /// Whether an ARN names a user, a role, or a session of a role.
    fn has_arn(&self, arn: &str) -> bool {
        let of_session = || {
            let mut parts = arn.strip_prefix("arn:aws:sts::")?.splitn(2, ":assumed-role/");
            let (number, rest) = (parts.next()?, parts.next()?);
            let role = rest.split_once('/')?.0;
            self.accounts.values().find(|account| account.number == number)?.role(role)
        };
        self.arns.contains(arn) || of_session().is_some()
    }

    /// What answers show of a user, and by which names policies may know it.
    fn add_names(&mut self, user: &UserRow, standing: &Standing) {
        self.names.insert(user.name.clone());
        self.arns.insert(standing.principal.arn.clone());
        self.arns.extend(standing.principal.alias_arn.clone());
        if !user.account.is_empty() {
            self.unique_ids.insert(format!("arn:aws:iam:::user/{}", user.name), standing.unique_id.clone());
            self.add_unique_id(&standing.principal.arn, &standing.unique_id);
            return;
        }
        self.display_names.insert(user.id.clone(), user.display_name.as_str().into());
        self.numbers.insert(account_number(&user.id));
        if !user.email.is_empty() {
            self.emails.entry(user.email.to_lowercase()).or_default().push(user.id.clone());
        }
    }
}

impl Table {
    fn add_unique_id(&mut self, arn: &str, id: &str) {
        self.unique_ids.insert(arn.to_owned(), id.to_owned());
        self.arns_by_id.insert(id.to_owned(), arn.to_owned());
    }
}

/// A document that does not parse counts as that of a user without rights, never as none.
fn document_of(user: &UserRow) -> IamDocument {
    IamDocument::from_stored(&user.document).unwrap_or_else(|error| {
        tracing::error!(user = user.id, %error, "the policies of a user cannot be read: it is refused everything");
        let unreadable = [("unreadable".to_owned(), String::new())];
        IamDocument { inline: unreadable.into(), ..IamDocument::default() }
    })
}

/// Who a user is to policies. An account without a policy of its own needs none.
fn standing_of(user: &UserRow, document: &IamDocument, account: Option<&IamDocument>) -> Standing {
    let policies = account.and_then(|account| document.policies(account, &user.id)).unwrap_or_else(|| {
        tracing::error!(user = user.id, "a policy of a user cannot be read: it is granted nothing");
        Vec::new()
    });
    if !user.account.is_empty() {
        let path = if document.path.is_empty() { "/" } else { &document.path };
        return Standing::member(&user.account, &user.id, path, &user.name, policies);
    }
    let mut standing = Standing::account(&user.id, &user.name);
    if document.has_policies() && !user.root {
        standing.identity = IdentityPolicies::Attached(policies);
    }
    standing
}

impl Identities {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the table by what the rows say.
    ///
    /// # Errors
    /// [`SecretDoesNotOpen`]; the old table then stays.
    pub fn load(&self, users: &[UserRow], operator_key: &OperatorKey) -> Result<(), SecretDoesNotOpen> {
        let mut table = Table::default();
        let documents: HashMap<&str, IamDocument> =
            users.iter().map(|user| (user.id.as_str(), document_of(user))).collect();
        for user in users {
            let document = &documents[user.id.as_str()];
            let account = users.iter().find(|other| other.id == user.account).unwrap_or(user);
            let standing = Arc::new(standing_of(user, document, documents.get(account.id.as_str())));
            table.add_names(user, &standing);
            let (user_id, name): (Arc<str>, Arc<str>) = (account.id.as_str().into(), user.name.as_str().into());
            let display_name: Arc<str> = account.display_name.as_str().into();
            if user.account.is_empty() {
                let known = Account::new(user, document);
                for role in known.roles() {
                    table.arns.insert(role.arn.clone());
                    table.add_unique_id(&role.arn, &role.id);
                }
                table.accounts.insert(user.id.clone(), Arc::new(known));
            }
            let known = KnownUser {
                account_id: Arc::clone(&user_id),
                name: Arc::clone(&name),
                display_name: Arc::clone(&display_name),
                root: user.root,
                standing: Arc::clone(&standing),
            };
            table.users.insert(user.id.clone(), known);
            for key in &user.access_keys {
                let secret = access_key::open_secret(operator_key, key)
                    .ok_or_else(|| SecretDoesNotOpen { access_key_id: key.access_key_id.clone() })?;
                if key.disabled {
                    continue;
                }
                let identity = Identity {
                    user_id: Arc::clone(&user_id),
                    name: Arc::clone(&name),
                    display_name: Arc::clone(&display_name),
                    root: user.root,
                    access_key_id: key.access_key_id.as_str().into(),
                    expires_s: key.expires_us.map(|us| i64::try_from(us / 1_000_000).unwrap_or(i64::MAX)),
                    standing: Arc::clone(&standing),
                    secret,
                };
                table.by_access_key.insert(key.access_key_id.clone(), Arc::new(identity));
            }
        }
        self.table.store(Arc::new(table));
        Ok(())
    }

    /// Who has an access key that may sign at this time.
    pub fn find(&self, access_key_id: &str, now_s: i64) -> Option<Arc<Identity>> {
        self.table.load().find(access_key_id, now_s).map(Arc::clone)
    }

    /// The account of a number.
    pub fn account_numbered(&self, number: &str) -> Option<Arc<Account>> {
        self.table.load().accounts.values().find(|account| account.number == number).map(Arc::clone)
    }

    /// How answers show a user, by canonical id.
    pub fn display_name(&self, user_id: &str) -> Option<String> {
        self.table.load().display_names.get(user_id).map(|name| name.to_string())
    }

    /// Accounts of an e-mail address, by canonical id.
    pub fn accounts_of_email(&self, email: &str) -> Vec<String> {
        self.table.load().emails.get(&email.to_lowercase()).cloned().unwrap_or_default()
    }

    /// Whether the account of this number exists.
    pub fn has_account(&self, number: &str) -> bool {
        self.table.load().numbers.contains(number)
    }

    /// Whether what a policy names exists, so that nobody is granted or refused by a slip of the pen.
    pub fn knows(&self, named: &PrincipalPattern) -> bool {
        let table = self.table.load();
        match named {
            PrincipalPattern::Anyone | PrincipalPattern::Service(_) | PrincipalPattern::Federated(_) => true,
            PrincipalPattern::UniqueId(id) => table.arns_by_id.contains_key(id),
            PrincipalPattern::Account(number) => table.numbers.contains(number),
            PrincipalPattern::CanonicalUser(id) => table.display_names.contains_key(id),
            PrincipalPattern::UserNamed(name) => table.names.contains(name),
            PrincipalPattern::Arn(arn) => table.has_arn(arn),
        }
    }

    /// The unique ids of the members and roles that a policy names: they are meant whatever they will be called.
    pub fn ids_named(&self, policy: &Policy) -> BTreeMap<String, String> {
        let table = self.table.load();
        let id = |name: String| table.unique_ids.get(&name).cloned().map(|id| (name, id));
        policy.principals().filter_map(PrincipalPattern::name).filter_map(id).collect()
    }

    /// A policy with the ARNs that its members and roles have now, by the names that it was stored with. One that is
    /// gone shows by its unique id, as on AWS.
    pub fn with_names_of_now(&self, text: &str, ids: &BTreeMap<String, String>) -> String {
        let table = self.table.load();
        let mut now = BTreeMap::new();
        for (name, id) in ids {
            if table.unique_ids.get(name) != Some(id) {
                now.insert(name.as_str(), table.arns_by_id.get(id).unwrap_or(id).as_str());
            }
        }
        with_names(text, &now)
    }

    /// A table of users given in clear, for tests.
    #[cfg(any(fuzzing, test))]
    pub(crate) fn of_one(access_key_id: &str, secret: &str) -> Self {
        let identity = Identity {
            user_id: "0".repeat(64).into(),
            name: "tester".into(),
            display_name: "tester".into(),
            root: true,
            access_key_id: access_key_id.into(),
            expires_s: None,
            standing: Arc::new(Standing::account(&"0".repeat(64), "tester")),
            secret: Zeroizing::new(secret.to_owned()),
        };
        let display_names = HashMap::from([("0".repeat(64), Arc::from("tester"))]);
        let by_access_key = HashMap::from([(access_key_id.to_owned(), Arc::new(identity))]);
        Self { table: ArcSwap::from_pointee(Table { by_access_key, display_names, ..Table::default() }) }
    }
}
