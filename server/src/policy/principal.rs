//! Who a statement names, and who asks.

/// Who asks, as policies see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Principal {
    /// The account's number: 12 digits. Empty for an anonymous request.
    pub account: String,
    /// Canonical id of the account: 64 hexadecimal digits. Empty for an anonymous request.
    pub canonical_id: String,
    /// `arn:aws:iam::ACCOUNT:user/NAME`, or of a session `arn:aws:sts::ACCOUNT:assumed-role/ROLE/NAME`.
    pub arn: String,
    /// Another name of the same principal: of a session, the role's ARN; of an account, the ARN of its user.
    pub alias_arn: Option<String>,
    /// Name of the user, unique in the tenant; empty for a session or an anonymous request.
    pub user_name: String,
    /// What stays when a member of an account or a role gets another name: `AIDA…`, of a session of a role `AROA…`. Empty
    /// for an account and for nobody.
    pub unique_id: String,
    /// The account itself rather than somebody in it.
    pub is_account: bool,
    /// Of a web identity that asks for a role: the ARN of its provider. It has no account yet.
    pub provider_arn: Option<String>,
}

impl Principal {
    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Whoever a provider of identities vouches for.
    pub fn federated(provider_arn: &str) -> Self {
        Self { provider_arn: Some(provider_arn.to_owned()), ..Self::default() }
    }

    /// A service of the server itself, named as `logging.s3.amazonaws.com` is. It belongs to no account.
    pub fn service(name: &str) -> Self {
        Self { canonical_id: name.to_owned(), arn: name.to_owned(), ..Self::default() }
    }

    /// Whether nobody signed.
    pub fn is_anonymous(&self) -> bool {
        self.canonical_id.is_empty()
    }
}

/// What a statement says of who.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principals {
    /// `Principal`.
    Are(Vec<PrincipalPattern>),
    /// `NotPrincipal`.
    AreNot(Vec<PrincipalPattern>),
}

/// One name in `Principal` or `NotPrincipal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalPattern {
    /// `*`: everybody, anonymous requests too.
    Anyone,
    /// An account by number, or by the ARN of its root: everybody in it.
    Account(String),
    /// An account by canonical id.
    CanonicalUser(String),
    /// `arn:aws:iam:::user/NAME`, the form of servers without accounts: a user of that name.
    UserNamed(String),
    /// One user, role or session.
    Arn(String),
    /// One member of an account, or one role, by its unique id. No text says this: [`Policy::bind`](super::Policy::bind)
    /// puts it where a name stood.
    UniqueId(String),
    /// A service; none acts here but the server itself, when it delivers access logs.
    Service(String),
    /// An identity provider; only trust policies have it.
    Federated(String),
}

/// How a statement reaches a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// Through the account that it belongs to: the account still decides what its members may.
    ThroughAccount,
    /// By its own name, or as anybody.
    Itself,
}

impl PrincipalPattern {
    /// Reads a value of `"AWS"`; `None` if it names nobody that could exist.
    pub fn parse_aws(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Anyone);
        }
        if is_account(text) {
            return Some(Self::Account(text.to_owned()));
        }
        if is_canonical(text) {
            return Some(Self::CanonicalUser(text.to_owned()));
        }
        let mut parts = text.splitn(6, ':');
        let (arn, partition) = (parts.next()?, parts.next()?);
        let (service, region, account, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if arn != "arn" || partition != "aws" || !region.is_empty() || name.contains(['*', '?']) {
            return None;
        }
        let (kind, rest) = name.split_once('/').unwrap_or((name, ""));
        match (service, kind) {
            ("iam", "root") if rest.is_empty() && is_account(account) => Some(Self::Account(account.to_owned())),
            ("iam", "user") if account.is_empty() && !rest.is_empty() => Some(Self::UserNamed(rest.to_owned())),
            ("iam", "user" | "role") | ("sts", "assumed-role" | "federated-user")
                if is_account(account) && !rest.is_empty() =>
            {
                Some(Self::Arn(text.to_owned()))
            }
            _ => None,
        }
    }

    /// Reads a value of `"CanonicalUser"`.
    pub fn parse_canonical(text: &str) -> Option<Self> {
        is_canonical(text).then(|| Self::CanonicalUser(text.to_owned()))
    }

    /// The text that names a user or a role, which may be another's one day.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Arn(arn) => Some(arn.clone()),
            Self::UserNamed(name) => Some(format!("arn:aws:iam:::user/{name}")),
            _ => None,
        }
    }

    /// How it reaches a principal, if it does.
    pub(super) fn reaches(&self, who: &Principal) -> Option<Reach> {
        let account = || Some(if who.is_account { Reach::Itself } else { Reach::ThroughAccount });
        match self {
            Self::Anyone => Some(Reach::Itself),
            Self::Federated(arn) => (Some(arn) == who.provider_arn.as_ref()).then_some(Reach::Itself),
            _ if who.is_anonymous() => None,
            Self::Account(number) if *number == who.account => account(),
            Self::CanonicalUser(id) if *id == who.canonical_id => account(),
            Self::UniqueId(id) if *id == who.unique_id => Some(Reach::Itself),
            Self::UserNamed(name) if *name == who.user_name => Some(Reach::Itself),
            Self::Service(name) if who.account.is_empty() && *name == who.arn => Some(Reach::Itself),
            Self::Arn(arn) if *arn == who.arn || Some(arn) == who.alias_arn.as_ref() => Some(Reach::Itself),
            _ => None,
        }
    }
}

impl Principals {
    /// How a statement reaches a principal, if it does.
    pub(super) fn reach(&self, who: &Principal) -> Option<Reach> {
        match self {
            Self::Are(list) => list.iter().filter_map(|name| name.reaches(who)).max(),
            // To be spared, a member of an account is named itself: naming its account is not enough.
            Self::AreNot(list) => {
                let spared = list.iter().any(|name| name.reaches(who) == Some(Reach::Itself));
                (!spared).then_some(Reach::Itself)
            }
        }
    }
}

/// Whether a text is an account's number.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_canonical(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::policy::{Policy, PolicyKind};

    #[test]
    fn a_bound_name_means_who_had_it() {
        let text = r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/ben","111122223333"]},
             "Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},
            {"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam:::user/ben"},
             "Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"}]}"#;
        let mut policy = Policy::parse(text, PolicyKind::Bucket("b")).unwrap();
        let ids = policy.principals().filter_map(PrincipalPattern::name).map(|name| (name, "AIDA1".to_owned()));
        let ids: BTreeMap<String, String> = ids.collect();
        assert_eq!(ids.len(), 2, "accounts have no name that could be another's");
        policy.bind(&ids);
        let member = |name: &str, id: &str| Principal {
            account: "444455556666".into(),
            canonical_id: "b".repeat(64),
            arn: format!("arn:aws:iam::111122223333:user/{name}"),
            user_name: name.into(),
            unique_id: id.into(),
            ..Principal::default()
        };
        for (who, reached) in
            [(member("zoe", "AIDA1"), true), (member("ben", "AIDA2"), false), (member("ben", ""), false)]
        {
            for named in policy.principals().filter(|named| matches!(named, PrincipalPattern::UniqueId(_))) {
                assert_eq!(named.reaches(&who).is_some(), reached, "{who:?}");
            }
        }
        assert_eq!(policy.principals().filter(|named| matches!(named, PrincipalPattern::UniqueId(_))).count(), 2);
    }
}
