//! Groups: who is in them, and their policies.

use super::document::{Group, IamDocument};
use super::policies::{attach, detach, put, take, write_attached, write_names};
use super::{Iam, folded, is_taken, known, new_id, rooted, time};
use crate::access::standing::group_arn;
use crate::query_api::ApiError;
use crate::s3::xml::XmlWriter;

/// Most groups of one account.
pub(super) const GROUPS_MAX: usize = 300;

impl Iam<'_> {
    pub(super) async fn create_group(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let name = self.name("GroupName")?;
        let (id, path, created_us) = (new_id(self.app, "AGPA"), self.path()?, self.app.now_us());
        let group = Group { id, path, created_us, ..Group::default() };
        let written = group.clone();
        self.change(&self.account_row()?, |document| {
            if is_taken(&document.groups, name) {
                return Err(ApiError::exists("Group", name));
            }
            if document.groups.len() >= GROUPS_MAX {
                return Err(ApiError::limit("Cannot exceed quota for GroupsPerAccount."));
            }
            document.groups.insert(name.to_owned(), group);
            Ok(())
        })
        .await?;
        self.write_group(doc, "Group", name, &written);
        Ok(())
    }

    pub(super) fn get_group(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let (name, group) = self.group()?;
        self.write_group(doc, "Group", &name, &group);
        let members = self.members()?.into_iter().filter(|row| group.members.contains(&row.id));
        let page = self.page(members.map(|row| (folded(&row.name), row)))?;
        doc.open("Users");
        for row in &page.items {
            self.write_user(doc, "member", row)?;
        }
        doc.close("Users");
        page.end(doc);
        Ok(())
    }

    pub(super) fn list_groups(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let prefix = rooted(self.form.get("PathPrefix").unwrap_or_default());
        self.write_groups(doc, |group| rooted(&group.path).starts_with(prefix))
    }

    pub(super) fn list_groups_for_user(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let user = self.user(self.name("UserName")?)?;
        self.write_groups(doc, |group| group.members.contains(&user.id))
    }

    /// Renames a group, or moves it to another path. Who may, may so for the ARN that it has and the one that
    /// it gets.
    pub(super) async fn update_group(&self) -> Result<(), ApiError> {
        let (name, group) = self.group()?;
        let new_name = self.new_name("NewGroupName")?.unwrap_or(&name);
        let path = self.new_path()?.unwrap_or(group.path);
        self.permit("UpdateGroup", &group_arn(&self.account_number(), rooted(&path), new_name))?;
        self.change(&self.account_row()?, |document| {
            let mut group = document.groups.remove(&name).ok_or_else(|| ApiError::no_such("group", &name))?;
            if is_taken(&document.groups, new_name) {
                return Err(ApiError::exists("Group", new_name));
            }
            group.path = path;
            document.groups.insert(new_name.to_owned(), group);
            Ok(())
        })
        .await
    }

    pub(super) async fn delete_group(&self) -> Result<(), ApiError> {
        let (name, group) = self.group()?;
        if !group.members.is_empty() {
            return Err(ApiError::conflict("Cannot delete entity, must remove users from group first."));
        }
        if !group.inline.is_empty() || !group.attached.is_empty() {
            return Err(ApiError::conflict("Cannot delete entity, must delete policies first."));
        }
        self.change(&self.account_row()?, |document| {
            document.groups.remove(&name);
            Ok(())
        })
        .await
    }

    pub(super) async fn add_user_to_group(&self) -> Result<(), ApiError> {
        let user = self.user(self.name("UserName")?)?;
        self.change_group(|group| {
            group.members.insert(user.id);
            Ok(())
        })
        .await
    }

    pub(super) async fn remove_user_from_group(&self) -> Result<(), ApiError> {
        let user = self.user(self.name("UserName")?)?;
        self.change_group(|group| match group.members.remove(&user.id) {
            true => Ok(()),
            false => Err(ApiError::no_such("user in the group", &user.name)),
        })
        .await
    }

    pub(super) async fn put_group_policy(&self) -> Result<(), ApiError> {
        let (name, text) = (self.name("PolicyName")?, self.policy_text()?);
        self.change_group(|group| put(&mut group.inline, name, text)).await
    }

    pub(super) fn get_group_policy(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        let (name, group) = self.group()?;
        doc.element("GroupName", &name);
        self.write_inline(doc, &group.inline)
    }

    pub(super) fn list_group_policies(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        write_names(self, doc, &self.group()?.1.inline)
    }

    pub(super) async fn delete_group_policy(&self) -> Result<(), ApiError> {
        let name = self.name("PolicyName")?;
        self.change_group(|group| take(&mut group.inline, name)).await
    }

    pub(super) async fn attach_group_policy(&self) -> Result<(), ApiError> {
        let arn = self.existing_policy()?;
        self.change_group(|group| attach(&mut group.attached, &arn)).await
    }

    pub(super) async fn detach_group_policy(&self) -> Result<(), ApiError> {
        let arn = self.parameter("PolicyArn")?;
        self.change_group(|group| detach(&mut group.attached, arn)).await
    }

    pub(super) fn list_attached_group_policies(&self, doc: &mut XmlWriter) -> Result<(), ApiError> {
        write_attached(self, doc, &self.group()?.1.attached)
    }

    fn group(&self) -> Result<(String, Group), ApiError> {
        let name = self.name("GroupName")?;
        let account = IamDocument::from_stored(&self.account_row()?.document)?;
        let (name, group) = known(&account.groups, name).ok_or_else(|| ApiError::no_such("group", name))?;
        Ok((name.to_owned(), group.clone()))
    }

    async fn change_group(&self, change: impl FnOnce(&mut Group) -> Result<(), ApiError>) -> Result<(), ApiError> {
        let (name, _) = self.group()?;
        self.change(&self.account_row()?, |document| {
            change(document.groups.get_mut(&name).ok_or_else(|| ApiError::no_such("group", &name))?)
        })
        .await
    }

    fn write_groups(&self, doc: &mut XmlWriter, wanted: impl Fn(&Group) -> bool) -> Result<(), ApiError> {
        let account = IamDocument::from_stored(&self.account_row()?.document)?;
        let mut groups: Vec<_> = account.groups.iter().filter(|(_, group)| wanted(group)).collect();
        groups.sort_by_cached_key(|(name, _)| folded(name));
        let page = self.page(groups.into_iter().map(|(name, group)| (folded(name), (name, group))))?;
        doc.open("Groups");
        for (name, group) in &page.items {
            self.write_group(doc, "member", name, group);
        }
        doc.close("Groups");
        page.end(doc);
        Ok(())
    }

    fn write_group(&self, doc: &mut XmlWriter, element: &str, name: &str, group: &Group) {
        doc.open(element);
        let path = rooted(&group.path);
        doc.element("Path", path);
        doc.element("GroupName", name);
        doc.element("GroupId", &group.id);
        doc.element("Arn", &group_arn(&self.account_number(), path, name));
        doc.element("CreateDate", &time(group.created_us));
        doc.close(element);
    }
}
