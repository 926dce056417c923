//! What an action of IAM is about: the ARN that the caller's policies are asked for.
//!
//! Source: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html>

use super::document::IamDocument;
use super::{Iam, known, rooted};
use crate::access::standing::{group_arn, policy_arn, role_arn, user_arn};
use crate::identity::accounts::{provider_arn, provider_key};
use crate::query_api::ApiError;

/// What an action is about. `New…` says its path itself, others have the path that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    NewUser,
    User,
    Users,
    NewGroup,
    Group,
    Groups,
    NewRole,
    Role,
    Roles,
    NewPolicy,
    Policy,
    Policies,
    NewProvider,
    Provider,
    Providers,
}

/// `None` for an action that does not exist: there is nothing to ask policies for.
fn about(action: &str) -> Option<About> {
    Some(match action {
        "CreateUser" => About::NewUser,
        "GetUser"
        | "UpdateUser"
        | "DeleteUser"
        | "CreateAccessKey"
        | "ListAccessKeys"
        | "UpdateAccessKey"
        | "DeleteAccessKey"
        | "PutUserPolicy"
        | "GetUserPolicy"
        | "ListUserPolicies"
        | "DeleteUserPolicy"
        | "AttachUserPolicy"
        | "DetachUserPolicy"
        | "ListAttachedUserPolicies"
        | "ListGroupsForUser" => About::User,
        "ListUsers" => About::Users,
        "CreateGroup" => About::NewGroup,
        "GetGroup"
        | "UpdateGroup"
        | "DeleteGroup"
        | "AddUserToGroup"
        | "RemoveUserFromGroup"
        | "PutGroupPolicy"
        | "GetGroupPolicy"
        | "ListGroupPolicies"
        | "DeleteGroupPolicy"
        | "AttachGroupPolicy"
        | "DetachGroupPolicy"
        | "ListAttachedGroupPolicies" => About::Group,
        "ListGroups" => About::Groups,
        "CreateRole" => About::NewRole,
        "GetRole"
        | "UpdateRole"
        | "UpdateRoleDescription"
        | "UpdateAssumeRolePolicy"
        | "DeleteRole"
        | "PutRolePolicy"
        | "GetRolePolicy"
        | "ListRolePolicies"
        | "DeleteRolePolicy"
        | "AttachRolePolicy"
        | "DetachRolePolicy"
        | "ListAttachedRolePolicies" => About::Role,
        "ListRoles" => About::Roles,
        "CreatePolicy" => About::NewPolicy,
        "GetPolicy" | "GetPolicyVersion" | "DeletePolicy" => About::Policy,
        "ListPolicies" => About::Policies,
        "CreateOpenIDConnectProvider" => About::NewProvider,
        "GetOpenIDConnectProvider"
        | "AddClientIDToOpenIDConnectProvider"
        | "RemoveClientIDFromOpenIDConnectProvider"
        | "UpdateOpenIDConnectProviderThumbprint"
        | "DeleteOpenIDConnectProvider" => About::Provider,
        "ListOpenIDConnectProviders" => About::Providers,
        _ => return None,
    })
}

impl Iam<'_> {
    /// The ARN that an action is about, whether it exists or not: of a list what its path begins with. What
    /// is no name yields an ARN of nothing, and is refused by its name once the caller was let in.
    pub(super) fn resource(&self, action: &str) -> Result<String, ApiError> {
        let number = self.account_number();
        let text = |parameter: &str| self.form.get(parameter).unwrap_or_default();
        let path = || rooted(text("Path"));
        let prefix = rooted(text("PathPrefix"));
        let stored = || Ok::<_, ApiError>(IamDocument::from_stored(&self.account_row()?.document)?);
        Ok(match about(action) {
            None => "*".to_owned(),
            Some(About::NewUser) => user_arn(&number, path(), text("UserName")),
            Some(About::User) => self.user_resource(&number)?,
            Some(About::Users) => user_arn(&number, prefix, ""),
            Some(About::NewGroup) => group_arn(&number, path(), text("GroupName")),
            Some(About::Group) => {
                let (name, account) = (text("GroupName"), stored()?);
                let (name, path) =
                    known(&account.groups, name).map_or((name, "/"), |(name, group)| (name, rooted(&group.path)));
                group_arn(&number, path, name)
            }
            Some(About::Groups) => group_arn(&number, prefix, ""),
            Some(About::NewRole) => role_arn(&number, path(), text("RoleName")),
            Some(About::Role) => {
                let (name, account) = (text("RoleName"), stored()?);
                let (name, path) =
                    known(&account.roles, name).map_or((name, "/"), |(name, role)| (name, rooted(&role.path)));
                role_arn(&number, path, name)
            }
            Some(About::Roles) => role_arn(&number, prefix, ""),
            Some(About::NewPolicy) => policy_arn(&number, path(), text("PolicyName")),
            Some(About::Policy) => text("PolicyArn").to_owned(),
            Some(About::Policies) => policy_arn(&number, prefix, ""),
            Some(About::NewProvider) => provider_arn(&number, provider_key(text("Url"))),
            Some(About::Provider) => text("OpenIDConnectProviderArn").to_owned(),
            Some(About::Providers) => provider_arn(&number, "*"),
        })
    }

    /// The user that the request names, or who asks.
    fn user_resource(&self, number: &str) -> Result<String, ApiError> {
        let name = match self.form.non_empty("UserName") {
            Some(name) => name,
            None if self.caller.standing.is_role() => "",
            None => &self.caller.name,
        };
        let Some(row) = self.find_user(name)? else { return Ok(user_arn(number, "/", name)) };
        let document = IamDocument::from_stored(&row.document)?;
        Ok(user_arn(number, rooted(&document.path), &row.name))
    }
}
