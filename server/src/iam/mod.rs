//! The part of the IAM API that an S3 server needs: users, keys, groups, roles, policies.
//!
//! ```text
//! query_api ──▶ may the caller? ──▶ users │ keys │ policies │ groups │ roles │ providers │ summary
//! ```
//!
//! Who signs acts in its account: an account, or a member whose policies allow the action. Users made
//! here are members of that account: they own nothing, and may what policies say. One change of IAM
//! runs at a time; each is one command, refused at apply if what it read has changed.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html>

pub mod document;
mod groups;
mod keys;
mod page;
mod policies;
mod providers;
mod resource;
mod roles;
mod summary;
mod users;

use std::collections::BTreeMap;

use chartrier_storage::namespace::command::{Op, Outcome, Refusal};
use chartrier_storage::namespace::rows::UserRow;

use self::document::IamDocument;
use crate::access::standing::account_number;
use crate::app::App;
use crate::policy::{Request as Question, Verdict};
use crate::query_api::{Api, ApiError, Call, CallContext, success};
use crate::s3::request::{Caller, Query};
use crate::s3::response::S3Response;
use crate::s3::xml::XmlWriter;

/// Answers one call.
///
/// # Errors
/// What IAM answers to it.
pub(crate) async fn answer(call: &Call<'_>) -> Result<S3Response, ApiError> {
    let action = call.form.get("Action").unwrap_or_default();
    // Changes are made one after the other: each reads what it changes.
    let _turn = call.app.iam_turn.lock().await;
    let iam = Iam { call, app: call.app, caller: &call.caller, form: &call.form };
    iam.authorise(action)?;
    let mut filled = XmlWriter::new_fragment();
    iam.perform(action, &mut filled).await?;
    Ok(success(Api::Iam, action, call.request_id.as_str(), |doc| doc.append(filled)))
}

/// One request, authenticated.
struct Iam<'r> {
    call: &'r Call<'r>,
    app: &'r App,
    caller: &'r Caller,
    form: &'r Query,
}

impl Iam<'_> {
    /// An account may everything, and who acts in it what its policies say. What a user can only have
    /// by `GetSessionToken` is less than itself.
    fn authorise(&self, action: &str) -> Result<(), ApiError> {
        self.permit(action, &self.resource(action)?)
    }

    /// Whether the caller may take an action on a resource.
    fn permit(&self, action: &str, resource: &str) -> Result<(), ApiError> {
        let standing = &self.caller.standing;
        let name = format!("iam:{action}");
        let context = CallContext::new(self.call).with("iam:policyarn", self.form.non_empty("PolicyArn"));
        let question = Question { principal: &standing.principal, action: &name, resource, context: &context };
        let whole = standing.session.is_none() || standing.is_role();
        if whole && standing.own_verdict(question) == Verdict::Allows {
            return Ok(());
        }
        let arn = &standing.principal.arn;
        let message = format!("User: {arn} is not authorized to perform: {name} on resource: {resource}");
        Err(ApiError::new(403, "AccessDenied", message))
    }

    async fn perform(&self, action: &str, doc: &mut XmlWriter) -> Result<(), ApiError> {
        match action {
            "GetAccountSummary" => self.get_account_summary(doc),
            "CreateUser" => self.create_user(doc).await,
            "GetUser" => self.get_user(doc),
            "ListUsers" => self.list_users(doc),
            "UpdateUser" => self.update_user().await,
            "DeleteUser" => self.delete_user().await,
            "CreateAccessKey" => self.create_access_key(doc).await,
            "ListAccessKeys" => self.list_access_keys(doc),
            "UpdateAccessKey" => self.update_access_key().await,
            "DeleteAccessKey" => self.delete_access_key().await,
            "PutUserPolicy" => self.put_user_policy().await,
            "GetUserPolicy" => self.get_user_policy(doc),
            "ListUserPolicies" => self.list_user_policies(doc),
            "DeleteUserPolicy" => self.delete_user_policy().await,
            "CreatePolicy" => self.create_policy(doc).await,
            "GetPolicy" => self.get_policy(doc),
            "GetPolicyVersion" => self.get_policy_version(doc),
            "ListPolicies" => self.list_policies(doc),
            "DeletePolicy" => self.delete_policy().await,
            "AttachUserPolicy" => self.attach_user_policy().await,
            "DetachUserPolicy" => self.detach_user_policy().await,
            "ListAttachedUserPolicies" => self.list_attached_user_policies(doc),
            "CreateGroup" => self.create_group(doc).await,
            "GetGroup" => self.get_group(doc),
            "ListGroups" => self.list_groups(doc),
            "UpdateGroup" => self.update_group().await,
            "DeleteGroup" => self.delete_group().await,
            "AddUserToGroup" => self.add_user_to_group().await,
            "RemoveUserFromGroup" => self.remove_user_from_group().await,
            "ListGroupsForUser" => self.list_groups_for_user(doc),
            "PutGroupPolicy" => self.put_group_policy().await,
            "GetGroupPolicy" => self.get_group_policy(doc),
            "ListGroupPolicies" => self.list_group_policies(doc),
            "DeleteGroupPolicy" => self.delete_group_policy().await,
            "AttachGroupPolicy" => self.attach_group_policy().await,
            "DetachGroupPolicy" => self.detach_group_policy().await,
            "ListAttachedGroupPolicies" => self.list_attached_group_policies(doc),
            "CreateRole" => self.create_role(doc).await,
            "GetRole" => self.get_role(doc),
            "ListRoles" => self.list_roles(doc),
            "UpdateRole" => self.update_role().await,
            "UpdateRoleDescription" => self.update_role_description(doc).await,
            "UpdateAssumeRolePolicy" => self.update_assume_role_policy().await,
            "DeleteRole" => self.delete_role().await,
            "PutRolePolicy" => self.put_role_policy().await,
            "GetRolePolicy" => self.get_role_policy(doc),
            "ListRolePolicies" => self.list_role_policies(doc),
            "DeleteRolePolicy" => self.delete_role_policy().await,
            "AttachRolePolicy" => self.attach_role_policy().await,
            "DetachRolePolicy" => self.detach_role_policy().await,
            "ListAttachedRolePolicies" => self.list_attached_role_policies(doc),
            "CreateOpenIDConnectProvider" => self.create_provider(doc).await,
            "GetOpenIDConnectProvider" => self.get_provider(doc),
            "ListOpenIDConnectProviders" => self.list_providers(doc),
            "AddClientIDToOpenIDConnectProvider" => self.add_client_id().await,
            "RemoveClientIDFromOpenIDConnectProvider" => self.remove_client_id().await,
            "UpdateOpenIDConnectProviderThumbprint" => self.update_thumbprints().await,
            "DeleteOpenIDConnectProvider" => self.delete_provider().await,
            other => Err(ApiError::new(400, "InvalidAction", format!("Could not find operation {other}"))),
        }
    }

    /// A parameter that must be there.
    fn parameter(&self, name: &str) -> Result<&str, ApiError> {
        self.call.parameter(name)
    }

    /// A parameter that names something: IAM's characters only.
    fn name(&self, parameter: &str) -> Result<&str, ApiError> {
        checked_name(parameter, self.parameter(parameter)?)
    }

    /// As [`Iam::name`], of a parameter that may be left out.
    fn new_name(&self, parameter: &str) -> Result<Option<&str>, ApiError> {
        self.form.non_empty(parameter).map(|name| checked_name(parameter, name)).transpose()
    }

    fn path(&self) -> Result<String, ApiError> {
        checked_path(self.form.get("Path").unwrap_or_default())
    }

    fn new_path(&self) -> Result<Option<String>, ApiError> {
        self.form.non_empty("NewPath").map(checked_path).transpose()
    }

    /// Canonical id of the caller's account.
    fn account(&self) -> &str {
        &self.caller.user_id
    }

    fn account_number(&self) -> String {
        account_number(self.account())
    }

    fn account_row(&self) -> Result<UserRow, ApiError> {
        let rows = self.app.engine.users()?;
        rows.into_iter()
            .find(|row| row.id == *self.account())
            .ok_or_else(|| ApiError::no_such("account", self.account()))
    }

    /// A user of the caller's account, the account itself included.
    fn user(&self, name: &str) -> Result<UserRow, ApiError> {
        let row = self.find_user(name)?;
        row.ok_or_else(|| ApiError::new(404, "NoSuchEntity", format!("The user with name {name} cannot be found.")))
    }

    /// As [`Iam::user`], if there is one. Case makes no other name, as on AWS: within an account no two differ by it alone.
    fn find_user(&self, name: &str) -> Result<Option<UserRow>, ApiError> {
        if let Some(row) = self.app.engine.user(name)?.filter(|row| self.is_ours(row)) {
            return Ok(Some(row));
        }
        let same = |row: &UserRow| self.is_ours(row) && row.name.eq_ignore_ascii_case(name);
        Ok(self.app.engine.users()?.into_iter().find(same))
    }

    fn is_ours(&self, row: &UserRow) -> bool {
        row.id == *self.account() || row.account == *self.account()
    }

    /// The user that the request names, or who asks.
    fn named_user(&self) -> Result<UserRow, ApiError> {
        match self.form.non_empty("UserName") {
            Some(_) => self.user(self.name("UserName")?),
            None if self.caller.standing.is_role() => {
                Err(ApiError::validation("Must specify userName when calling with non-User credentials"))
            }
            None => self.user(&self.caller.name),
        }
    }

    /// Changes the document of a user or an account.
    async fn change<T>(
        &self,
        row: &UserRow,
        change: impl FnOnce(&mut IamDocument) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut document = IamDocument::from_stored(&row.document)?;
        let value = change(&mut document)?;
        let op = Op::SetUserDocument {
            user: row.name.clone(),
            expected_digest: *blake3::hash(&row.document).as_bytes(),
            document: document.to_stored(),
        };
        self.propose(op, &row.name).await?;
        Ok(value)
    }

    async fn propose(&self, op: Op, name: &str) -> Result<(), ApiError> {
        match self.app.propose(self.caller, self.call.request_id, op).await?.outcome {
            Outcome::Done | Outcome::Deleted { .. } => Ok(self.app.reload_identities()?),
            Outcome::Refused(Refusal::NoSuchUser) => Err(ApiError::no_such("user", name)),
            Outcome::Refused(Refusal::NoSuchAccessKey) => Err(ApiError::no_such("Access Key", name)),
            Outcome::Refused(Refusal::UserExists) => Err(ApiError::exists("User", name)),
            Outcome::Refused(Refusal::UserInUse) => Err(ApiError::conflict("The user is an account in use.")),
            Outcome::Refused(Refusal::TooLarge) => Err(ApiError::limit("The account's documents are too large.")),
            Outcome::Refused(Refusal::Superseded) => {
                Err(ApiError::new(409, "ConcurrentModification", "The entity was changed meanwhile: try again."))
            }
            Outcome::Refused(other) => {
                tracing::error!(?other, "a change of IAM was refused unexpectedly");
                Err(ApiError::new(500, "ServiceFailure", "The change was refused."))
            }
        }
    }
}

fn checked_name<'n>(parameter: &str, name: &'n str) -> Result<&'n str, ApiError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    if name.len() <= 64 && name.bytes().all(good) && !matches!(name, "." | "..") {
        return Ok(name);
    }
    Err(ApiError::validation(format!("The specified value for {parameter} is invalid.")))
}

fn checked_path(path: &str) -> Result<String, ApiError> {
    let path = rooted(path);
    let good = path.starts_with('/') && path.ends_with('/') && path.len() <= 512;
    if good && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(path.to_owned());
    }
    Err(ApiError::validation("The specified value for path is invalid."))
}

/// Whether something has a name already: names that differ by case alone are the same, as on AWS.
fn is_taken<T>(names: &BTreeMap<String, T>, name: &str) -> bool {
    names.keys().any(|known| known.eq_ignore_ascii_case(name))
}

/// What has a name, and the name as it was given: case makes no other name.
fn known<'n, T>(names: &'n BTreeMap<String, T>, name: &str) -> Option<(&'n str, &'n T)> {
    let exact = names.get_key_value(name);
    let found = exact.or_else(|| names.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)));
    found.map(|(name, value)| (name.as_str(), value))
}

/// What names are ordered by in lists, as on AWS.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// An id of IAM: four letters that say of what, and 17 random ones.
fn new_id(app: &App, prefix: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random: [u8; 17] = app.random_bytes();
    prefix.chars().chain(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))).collect()
}

/// The values of a list parameter: `NAME.member.1`, `NAME.member.2`, …
pub(crate) fn members<'q>(form: &'q Query, name: &str, suffix: &str) -> Vec<&'q str> {
    (1..).map_while(|at| form.non_empty(&format!("{name}.member.{at}{suffix}"))).collect()
}

/// A path as it is shown: none is `/`.
fn rooted(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

fn time(us: u64) -> String {
    crate::s3::ops::listing::iso_time(us)
}

/// Every name and path of a form, for the fuzz target of forms.
#[cfg(any(fuzzing, test))]
pub(crate) fn fuzzed_names(form: &Query) -> usize {
    let names = form.iter().filter(|(name, value)| checked_name(name, value).is_ok()).count();
    names + form.iter().filter(|(_, value)| checked_path(value).is_ok()).count()
}
