//! Policies of users, inline and attached, and the managed policies of an account.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::document::{BUILT_IN, IamDocument, Managed};
use super::{Iam, is_taken, new_id, rooted, time};
use crate::access::standing::policy_arn;
use crate::policy::{Policy, PolicyKind};
use crate::query_api::ApiError;
use crate::s3::xml::XmlWriter;

/// Most policies, inline or attached, of one user or group; most managed policies of an account.
pub(super) const POLICIES_MAX: usize = 100;

impl Iam<'_> {
    pub(super) async fn put_user_policy(&self) -> Result<(), ApiError> {
        let (name, text) = (self.name("PolicyName")?, self.policy_text()?);
        let row = self.user(self.name("UserName")?)?;
        self.change(&row, |document| put(&mut document.inline, name, text)).await
    }

    pub(super) fn get_user_policy(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let row = self.user(self.name("UserName")?)?;
        let document = IamDocument::from_stored(&row.document)?;
        doc.element("UserName", &row.name);
        self.write_inline(doc, &document.inline)
    }

    pub(super) fn list_user_policies(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let row = self.user(self.name("UserName")?)?;
        write_names(self, doc, &IamDocument::from_stored(&row.document)?.inline)
    }

    pub(super) async fn delete_user_policy(&self) -> Result<(), ApiError> {
        let name = self.name("PolicyName")?;
        let row = self.user(self.name("UserName")?)?;
        self.change(&row, |document| take(&mut document.inline, name)).await
    }

    pub(super) async fn attach_user_policy(&self) -> Result<(), ApiError> {
        let arn = self.existing_policy()?;
        let row = self.user(self.name("UserName")?)?;
        self.change(&row, |document| attach(&mut document.attached, &arn)).await
    }

    pub(super) async fn detach_user_policy(&self) -> Result<(), ApiError> {
        let arn = self.parameter("PolicyArn")?;
        let row = self.user(self.name("UserName")?)?;
        self.change(&row, |document| detach(&mut document.attached, arn)).await
    }

    pub(super) fn list_attached_user_policies(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let row = self.user(self.name("UserName")?)?;
        write_attached(self, doc, &IamDocument::from_stored(&row.document)?.attached)
    }

    pub(super) async fn create_policy(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let (name, text) = (self.name("PolicyName")?, self.policy_text()?);
        let (id, path, created_us) = (new_id(self.app, "ANPA"), self.path()?, self.app.now_us());
        let managed = Managed { id, path, created_us, text: text.to_owned() };
        let written = managed.clone();
        self.change(&self.account_row()?, |document| {
            if is_taken(&document.managed, name) {
                return Err(ApiError::exists("A policy", name));
            }
            if document.managed.len() >= POLICIES_MAX {
                return Err(ApiError::limit("Cannot exceed quota for PoliciesPerAccount."));
            }
            document.managed.insert(name.to_owned(), managed);
            Ok(())
        })
        .await?;
        self.write_policy(doc, "Policy", name, &written);
        Ok(())
    }

    pub(super) fn get_policy(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let (name, managed) = self.managed()?;
        self.write_policy(doc, "Policy", &name, &managed);
        Ok(())
    }

    pub(super) fn get_policy_version(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let (_, managed) = self.managed()?;
        if self.parameter("VersionId")? != "v1" {
            return Err(ApiError::no_such("policy version", self.parameter("VersionId")?));
        }
        doc.open("PolicyVersion");
        doc.element("Document", &encoded(&managed.text));
        doc.element("VersionId", "v1");
        doc.element("IsDefaultVersion", "true");
        doc.element("CreateDate", &time(managed.created_us));
        doc.close("PolicyVersion");
        Ok(())
    }

    pub(super) fn list_policies(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let account = IamDocument::from_stored(&self.account_row()?.document)?;
        let mut policies: BTreeMap<String, Managed> = BTreeMap::new();
        // Those of AWS are listed on demand: `All`, or `AWS`.
        let scope = self.form.non_empty("Scope").unwrap_or("Local");
        if !matches!(scope, "All" | "AWS" | "Local") {
            return Err(ApiError::validation("Scope is All, AWS or Local."));
        }
        if scope != "Local" {
            policies.extend(BUILT_IN.iter().map(|(arn, text)| built_in(arn, text)));
        }
        if scope != "AWS" {
            policies.extend(account.managed);
        }
        let prefix = rooted(self.form.get("PathPrefix").unwrap_or_default());
        policies.retain(|_, managed| rooted(&managed.path).starts_with(prefix));
        let page = self.page(policies.into_iter().map(|(name, managed)| (name.clone(), (name, managed))))?;
        doc.open("Policies");
        for (name, managed) in &page.items {
            self.write_policy(doc, "member", name, managed);
        }
        doc.close("Policies");
        page.end(doc);
        Ok(())
    }

    pub(super) async fn delete_policy(&self) -> Result<(), ApiError> {
        let (name, _) = self.managed()?;
        let arn = self.parameter("PolicyArn")?;
        let account = self.account_row()?;
        let mut rows = self.members()?;
        rows.push(account.clone());
        for row in &rows {
            let document = IamDocument::from_stored(&row.document)?;
            let of_groups = document.groups.values().map(|group| &group.attached);
            let of_roles = document.roles.values().map(|role| &role.attached);
            let attached = of_groups.chain(of_roles).chain([&document.attached]);
            if attached.into_iter().any(|arns| arns.contains(arn)) {
                return Err(ApiError::conflict("Cannot delete a policy attached to entities."));
            }
        }
        self.change(&account, |document| {
            document.managed.remove(&name);
            Ok(())
        })
        .await
    }

    /// The policy document of the request, which must be one.
    pub(super) fn policy_text(&self) -> Result<&str, ApiError> {
        let text = self.parameter("PolicyDocument")?;
        match Policy::parse(text, PolicyKind::Identity) {
            Ok(_) => Ok(text),
            Err(error) => Err(ApiError::new(400, "MalformedPolicyDocument", error.0)),
        }
    }

    /// The ARN of the request, if a policy has it.
    pub(super) fn existing_policy(&self) -> Result<String, ApiError> {
        let arn = self.parameter("PolicyArn")?;
        if !BUILT_IN.iter().any(|(name, _)| *name == arn) {
            self.managed()?;
        }
        Ok(arn.to_owned())
    }

    fn managed(&self) -> Result<(String, Managed), ApiError> {
        let arn = self.parameter("PolicyArn")?;
        if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == arn) {
            return Ok(built_in(arn, text));
        }
        let account = IamDocument::from_stored(&self.account_row()?.document)?;
        let name = arn.rsplit_once('/').map_or("", |(_, name)| name);
        let managed = account.managed.get(name).cloned();
        let managed = managed.filter(|managed| policy_arn(&self.account_number(), rooted(&managed.path), name) == arn);
        managed.map(|managed| (name.to_owned(), managed)).ok_or_else(|| {
            ApiError::new(404, "NoSuchEntity", format!("Policy {arn} does not exist or is not attachable."))
        })
    }

    fn write_policy(&self, doc: &mut XmlWriter, element: &str, name: &str, managed: &Managed) {
        let built_in = BUILT_IN.iter().any(|(arn, _)| arn.ends_with(&format!("/{name}")) && managed.id == name);
        let owner = if built_in { "aws".to_owned() } else { self.account_number() };
        let path = rooted(&managed.path);
        doc.open(element);
        doc.element("PolicyName", name);
        doc.element("PolicyId", &managed.id);
        doc.element("Arn", &policy_arn(&owner, path, name));
        doc.element("Path", path);
        doc.element("DefaultVersionId", "v1");
        doc.element("IsAttachable", "true");
        doc.element("CreateDate", &time(managed.created_us));
        doc.element("UpdateDate", &time(managed.created_us));
        doc.close(element);
    }

    pub(super) fn write_inline(&self, doc: &mut XmlWriter, inline: &BTreeMap<String, String>) -> Result<(), ApiError> {
        let name = self.name("PolicyName")?;
        let text = inline.get(name).ok_or_else(|| no_inline(name))?;
        doc.element("PolicyName", name);
        doc.element("PolicyDocument", &encoded(text));
        Ok(())
    }
}

/// A policy that every account has. Its id is its name.
fn built_in(arn: &str, text: &str) -> (String, Managed) {
    let name = arn.rsplit_once('/').map_or(arn, |(_, name)| name);
    (name.to_owned(), Managed { id: name.to_owned(), path: String::new(), created_us: 0, text: text.to_owned() })
}

/// Policies come back percent-encoded, as RFC 3986 has it.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn no_inline(name: &str) -> ApiError {
    ApiError::new(404, "NoSuchEntity", format!("The policy with name {name} cannot be found."))
}

pub(super) fn put(inline: &mut BTreeMap<String, String>, name: &str, text: &str) -> Result<(), ApiError> {
    if inline.len() >= POLICIES_MAX && !inline.contains_key(name) {
        return Err(ApiError::limit("Cannot exceed quota for inline policies."));
    }
    inline.insert(name.to_owned(), text.to_owned());
    Ok(())
}

pub(super) fn take(inline: &mut BTreeMap<String, String>, name: &str) -> Result<(), ApiError> {
    inline.remove(name).map(drop).ok_or_else(|| no_inline(name))
}

pub(super) fn attach(attached: &mut BTreeSet<String>, arn: &str) -> Result<(), ApiError> {
    if attached.len() >= POLICIES_MAX {
        return Err(ApiError::limit("Cannot exceed quota for PoliciesPerUser."));
    }
    attached.insert(arn.to_owned());
    Ok(())
}

pub(super) fn detach(attached: &mut BTreeSet<String>, arn: &str) -> Result<(), ApiError> {
    if attached.remove(arn) {
        return Ok(());
    }
    Err(ApiError::new(404, "NoSuchEntity", format!("Policy {arn} was not found.")))
}

pub(super) fn write_names(
    iam: &Iam<'_>,
    doc: &mut XmlWriter,
    inline: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    let page = iam.page(inline.keys().map(|name| (name.clone(), name)))?;
    doc.open("PolicyNames");
    for name in &page.items {
        doc.element("member", name);
    }
    doc.close("PolicyNames");
    page.end(doc);
    Ok(())
}

pub(super) fn write_attached(iam: &Iam<'_>, doc: &mut XmlWriter, attached: &BTreeSet<String>) -> Result<(), ApiError> {
    let page = iam.page(attached.iter().map(|arn| (arn.clone(), arn)))?;
    doc.open("AttachedPolicies");
    for arn in &page.items {
        doc.open("member");
        doc.element("PolicyName", arn.rsplit_once('/').map_or(arn, |(_, name)| name));
        doc.element("PolicyArn", arn);
        doc.close("member");
    }
    doc.close("AttachedPolicies");
    page.end(doc);
    Ok(())
}
