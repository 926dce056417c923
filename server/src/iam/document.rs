//! What IAM keeps of a user, and of an account: policies, groups, roles, paths. Opaque to the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::policy::{Policy, PolicyKind};

/// Of any user: what is its own. Of an account: what it defines for its members too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IamDocument {
    /// Begins and ends with a slash; empty is `/`.
    pub path: String,
    /// Inline policies by name, as written.
    pub inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    pub attached: BTreeSet<String>,
    /// Of an account: its groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Of an account: its managed policies by name.
    pub managed: BTreeMap<String, Managed>,
    /// Of an account: its roles by name.
    pub roles: BTreeMap<String, Role>,
    /// Of an account: providers of identities, by URL without scheme.
    pub providers: BTreeMap<String, Provider>,
}

/// A group of users of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// `AGPA…`
    pub id: String,
    /// Begins and ends with a slash; empty is `/`.
    #[serde(default)]
    pub path: String,
    /// Unix time in microseconds.
    pub created_us: u64,
    /// Inline policies by name.
    pub inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    pub attached: BTreeSet<String>,
    /// Canonical ids of its members: a name that is used again does not bring its groups back.
    pub members: BTreeSet<String>,
}

/// A role of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// `AROA…`: a role that is made again is another.
    pub id: String,
    /// Begins and ends with a slash.
    pub path: String,
    /// Unix time in microseconds.
    pub created_us: u64,
    /// For people.
    pub description: String,
    /// Longest session, in seconds.
    pub session_s_max: u32,
    /// Who may assume it, as written.
    pub trust: String,
    /// Whom its names of users and roles meant when it was stored: unique ids by name.
    #[serde(default)]
    pub trust_ids: BTreeMap<String, String>,
    /// Inline policies by name.
    pub inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    pub attached: BTreeSet<String>,
}

/// A provider of identities (OpenID Connect) that an account believes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// With scheme, as tokens name their issuer.
    pub url: String,
    /// Unix time in microseconds.
    pub created_us: u64,
    /// Audiences that tokens may be for.
    pub client_ids: BTreeSet<String>,
    /// Kept and shown; certificates are judged by the trusted authorities.
    pub thumbprints: Vec<String>,
}

/// A managed policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Managed {
    /// `ANPA…`
    pub id: String,
    /// Begins and ends with a slash; empty is `/`.
    #[serde(default)]
    pub path: String,
    /// Unix time in microseconds.
    pub created_us: u64,
    /// As written.
    pub text: String,
}

/// Managed policies that every account has, as on AWS, with what of them concerns S3 and IAM.
pub const BUILT_IN: [(&str, &str); 5] = [
    (
        "arn:aws:iam::aws:policy/AdministratorAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    ),
    (
        "arn:aws:iam::aws:policy/AmazonS3FullAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#,
    ),
    (
        "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}]}"#,
    ),
    (
        "arn:aws:iam::aws:policy/IAMFullAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}"#,
    ),
    (
        "arn:aws:iam::aws:policy/IAMReadOnlyAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*"],"Resource":"*"}]}"#,
    ),
];

impl IamDocument {
    /// Reads what was stored; no bytes are an empty document.
    ///
    /// # Errors
    /// Bytes that were not stored by this program.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        if bytes.is_empty() { Ok(Self::default()) } else { serde_json::from_slice(bytes) }
    }

    /// What to store.
    pub fn to_stored(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers under text keys encode as JSON")
    }

    /// Whether the user has a policy of its own.
    pub fn has_policies(&self) -> bool {
        !self.inline.is_empty() || !self.attached.is_empty()
    }

    /// The text of a managed policy of the account, by ARN.
    pub fn managed_text(&self, arn: &str) -> Option<&str> {
        let built_in = BUILT_IN.iter().find(|(name, _)| *name == arn).map(|(_, text)| *text);
        built_in.or_else(|| {
            let (path, name) = arn.split_once(":policy")?.1.rsplit_once('/')?;
            let managed = self.managed.get(name)?;
            (managed.path.trim_end_matches('/') == path).then_some(managed.text.as_str())
        })
    }

    /// Every policy of a role of the account; `None` if one does not parse.
    pub fn policies_of_role(&self, role: &Role) -> Option<Vec<Arc<Policy>>> {
        let mut texts: Vec<&str> = role.inline.values().map(String::as_str).collect();
        for arn in &role.attached {
            texts.push(self.managed_text(arn)?);
        }
        parse_all(texts)
    }

    /// Every policy of a user, of which `self` is the document, in an account: its own and its groups'.
    ///
    /// `None` if one does not parse: the caller grants nothing then.
    pub fn policies(&self, account: &Self, user_id: &str) -> Option<Vec<Arc<Policy>>> {
        let groups = account.groups.values().filter(|group| group.members.contains(user_id));
        let mut texts: Vec<&str> = self.inline.values().map(String::as_str).collect();
        let mut attached: Vec<&String> = self.attached.iter().collect();
        for group in groups {
            texts.extend(group.inline.values().map(String::as_str));
            attached.extend(&group.attached);
        }
        for arn in attached {
            texts.push(account.managed_text(arn)?);
        }
        parse_all(texts)
    }
}

fn parse_all(texts: Vec<&str>) -> Option<Vec<Arc<Policy>>> {
    texts.into_iter().map(|text| Policy::parse(text, PolicyKind::Identity).ok().map(Arc::new)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_its_own_policies_and_those_of_its_groups() {
        let text = BUILT_IN[1].1.to_owned();
        let mut account = IamDocument::default();
        let members = BTreeSet::from(["u1".to_owned()]);
        account.managed.insert("mine".into(), Managed { text: text.clone(), ..Managed::default() });
        account.groups.insert("g".into(), Group { members, inline: [("p".into(), text)].into(), ..Group::default() });
        let mut user = IamDocument::default();
        assert_eq!(user.policies(&account, "u1").unwrap().len(), 1);
        assert_eq!(user.policies(&account, "u2").unwrap().len(), 0);
        user.attached.insert("arn:aws:iam::000000000000:policy/mine".into());
        user.attached.insert(BUILT_IN[0].0.into());
        assert_eq!(user.policies(&account, "u1").unwrap().len(), 3);
        user.attached.insert("arn:aws:iam::000000000000:policy/gone".into());
        assert!(user.policies(&account, "u1").is_none());
        assert_eq!(IamDocument::from_stored(&account.to_stored()).unwrap(), account);
        assert!(BUILT_IN.iter().all(|(_, text)| Policy::parse(text, PolicyKind::Identity).is_ok()));
    }
}
