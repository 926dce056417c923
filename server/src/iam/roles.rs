//! Roles: who may assume them, for how long, and what they may then do.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{IamDocument, Role};
use super::policies::{attach, detach, encoded, put, take, write_attached, write_names};
use super::{Iam, folded, is_taken, known, new_id, time};
use crate::access::standing::role_arn;
use crate::policy::{Policy, PolicyKind};
use crate::query_api::ApiError;
use crate::s3::xml::XmlWriter;

/// Most roles of one account.
pub(super) const ROLES_MAX: usize = 1000;
/// Longest trust policy, in characters.
const TRUST_LEN_MAX: usize = 4096;
/// Longest description, in characters.
const DESCRIPTION_LEN_MAX: usize = 1000;
/// The bounds of `MaxSessionDuration`, and what holds when it is not said.
const SESSION_S: std::ops::RangeInclusive<u32> = 3600..=43_200;
const SESSION_S_DEFAULT: u32 = 3600;

impl Iam<'_> {
    pub(super) async fn create_role(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let name = self.name("RoleName")?;
        let (trust, trust_ids) = self.trust("AssumeRolePolicyDocument")?;
        let role = Role {
            id: new_id(self.app, "AROA"),
            path: self.path()?,
            created_us: self.app.now_us(),
            description: self.description()?,
            session_s_max: self.session_s_max()?.unwrap_or(SESSION_S_DEFAULT),
            trust,
            trust_ids,
            inline: BTreeMap::new(),
            attached: BTreeSet::new(),
        };
        let written = role.clone();
        self.change(&self.account_row()?, |document| {
            if is_taken(&document.roles, name) {
                return Err(ApiError::exists("Role", name));
            }
            if document.roles.len() >= ROLES_MAX {
                return Err(ApiError::limit("Cannot exceed quota for RolesPerAccount."));
            }
            document.roles.insert(name.to_owned(), role);
            Ok(())
        })
        .await?;
        self.write_role(doc, "Role", name, &written);
        Ok(())
    }

    pub(super) fn get_role(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let (name, role) = self.role()?;
        self.write_role(doc, "Role", &name, &role);
        Ok(())
    }

    pub(super) fn list_roles(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let prefix = self.form.non_empty("PathPrefix").unwrap_or("/");
        let account = IamDocument::from_stored(&self.account_row()?.document)?;
        let mut roles: Vec<_> = account.roles.iter().filter(|(_, role)| role.path.starts_with(prefix)).collect();
        roles.sort_by_cached_key(|(name, _)| folded(name));
        let page = self.page(roles.into_iter().map(|(name, role)| (folded(name), (name, role))))?;
        doc.open("Roles");
        for (name, role) in &page.items {
            self.write_role(doc, "member", name, role);
        }
        doc.close("Roles");
        page.end(doc);
        Ok(())
    }

    pub(super) async fn update_role(&self) -> Result<(), ApiError> {
        let (description, session_s_max) = (self.description()?, self.session_s_max()?);
        let describes = self.form.contains("Description");
        self.change_role(|role| {
            if describes {
                role.description = description;
            }
            role.session_s_max = session_s_max.unwrap_or(role.session_s_max);
            Ok(())
        })
        .await
    }

    pub(super) async fn update_role_description(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let description = self.description()?;
        self.change_role(|role| {
            role.description = description;
            Ok(())
        })
        .await?;
        self.get_role(doc)
    }

    pub(super) async fn update_assume_role_policy(&self) -> Result<(), ApiError> {
        let (trust, trust_ids) = self.trust("PolicyDocument")?;
        self.change_role(|role| {
            (role.trust, role.trust_ids) = (trust, trust_ids);
            Ok(())
        })
        .await
    }

    pub(super) async fn delete_role(&self) -> Result<(), ApiError> {
        let (name, role) = self.role()?;
        if !role.inline.is_empty() || !role.attached.is_empty() {
            return Err(ApiError::conflict("Cannot delete entity, must delete policies first."));
        }
        self.change(&self.account_row()?, |document| {
            document.roles.remove(&name);
            Ok(())
        })
        .await
    }

    pub(super) async fn put_role_policy(&self) -> Result<(), ApiError> {
        let (name, text) = (self.name("PolicyName")?, self.policy_text()?);
        self.change_role(|role| put(&mut role.inline, name, text)).await
    }

    pub(super) fn get_role_policy(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let (name, role) = self.role()?;
        doc.element("RoleName", &name);
        self.write_inline(doc, &role.inline)
    }

    pub(super) fn list_role_policies(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        write_names(self, doc, &self.role()?.1.inline)
    }

    pub(super) async fn delete_role_policy(&self) -> Result<(), ApiError> {
        let name = self.name("PolicyName")?;
        self.change_role(|role| take(&mut role.inline, name)).await
    }

    pub(super) async fn attach_role_policy(&self) -> Result<(), ApiError> {
        let arn = self.existing_policy()?;
        self.change_role(|role| attach(&mut role.attached, &arn)).await
    }

    pub(super) async fn detach_role_policy(&self) -> Result<(), ApiError> {
        let arn = self.parameter("PolicyArn")?;
        self.change_role(|role| detach(&mut role.attached, arn)).await
    }

    pub(super) fn list_attached_role_policies(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        write_attached(self, doc, &self.role()?.1.attached)
    }

    /// A trust policy, and whom its names mean: they must exist, so that nobody is let in by a slip of the pen.
    fn trust(&self, parameter: &str) -> Result<(String, BTreeMap<String, String>), ApiError> {
        let text = self.parameter(parameter)?;
        let malformed = |message: String| ApiError::new(400, "MalformedPolicyDocument", message);
        if text.chars().count() > TRUST_LEN_MAX {
            return Err(ApiError::limit("Cannot exceed quota for ACLSizePerRole: 4096"));
        }
        let policy = Policy::parse(text, PolicyKind::Trust).map_err(|error| malformed(error.0))?;
        match policy.principals().find(|named| !self.app.identities.knows(named)) {
            None => Ok((text.to_owned(), self.app.identities.ids_named(&policy))),
            Some(_) => Err(malformed("Invalid principal in policy: it names nobody who exists here.".to_owned())),
        }
    }

    fn description(&self) -> Result<String, ApiError> {
        let text = self.form.get("Description").unwrap_or_default();
        if text.chars().count() > DESCRIPTION_LEN_MAX {
            return Err(ApiError::validation("The description is over 1000 characters."));
        }
        Ok(text.to_owned())
    }

    fn session_s_max(&self) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.form.non_empty("MaxSessionDuration") else { return Ok(None) };
        match text.parse() {
            Ok(seconds) if SESSION_S.contains(&seconds) => Ok(Some(seconds)),
            _ => Err(ApiError::validation("MaxSessionDuration must be 3600 to 43200 seconds.")),
        }
    }

    fn role(&self) -> Result<(String, Role), ApiError> {
        let name = self.name("RoleName")?;
        let account = IamDocument::from_stored(&self.account_row()?.document)?;
        let (name, role) = known(&account.roles, name).ok_or_else(|| ApiError::no_such("role", name))?;
        Ok((name.to_owned(), role.clone()))
    }

    async fn change_role(&self, change: impl FnOnce(&mut Role) -> Result<(), ApiError>) -> Result<(), ApiError> {
        let (name, _) = self.role()?;
        self.change(&self.account_row()?, |document| {
            change(document.roles.get_mut(&name).ok_or_else(|| ApiError::no_such("role", &name))?)
        })
        .await
    }

    fn write_role(&self, doc: &mut XmlWriter, element: &str, name: &str, role: &Role) {
        doc.open(element);
        doc.element("Path", &role.path);
        doc.element("RoleName", name);
        doc.element("RoleId", &role.id);
        doc.element("Arn", &role_arn(&self.account_number(), &role.path, name));
        doc.element("CreateDate", &time(role.created_us));
        let trust = self.app.identities.with_names_of_now(&role.trust, &role.trust_ids);
        doc.element("AssumeRolePolicyDocument", &encoded(&trust));
        doc.element_if("Description", Some(role.description.as_str()).filter(|text| !text.is_empty()));
        doc.value("MaxSessionDuration", role.session_s_max);
        doc.close(element);
    }
}
