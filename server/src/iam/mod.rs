//! The part of the IAM API that an S3 server needs, on the admin port: users, keys, groups, policies.
//!
//! ```text
//! POST / (form: Action=…) ──▶ SigV4, service iam ──▶ may the caller? ──▶ users │ keys │ policies │ groups
//! ```
//!
//! Who signs acts in its account: an account, or a member whose policies allow the action. Users made
//! here are members of that account: they own nothing, and may what policies say. One change of IAM
//! runs at a time; each is one command, refused at apply if what it read has changed.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html>

mod answer;
pub mod document;
mod groups;
mod keys;
mod policies;
mod users;

use std::sync::Arc;

use bytes::Bytes;
use chartrier_storage::namespace::command::{Op, Outcome, Refusal};
use chartrier_storage::namespace::rows::UserRow;
use http::{Request, header};
use http_body_util::{BodyExt as _, Limited};

use self::answer::{IamError, success};
use self::document::IamDocument;
use crate::access::IdentityPolicies;
use crate::access::standing::account_number;
use crate::app::App;
use crate::auth::{AuthRules, RequestHead, authenticate};
use crate::policy::{Request as Question, Verdict};
use crate::s3::names::RequestId;
use crate::s3::request::{Caller, Query};
use crate::s3::response::S3Response;
use crate::s3::xml::XmlWriter;

/// The longest form: a policy and its name.
const BODY_LEN_MAX: usize = 128 << 10;

/// Whether a request on the admin port is one for IAM: signed, and not with the admin token.
pub fn is_for_iam<B>(request: &Request<B>) -> bool {
    let signed = request.headers().get(header::AUTHORIZATION);
    request.uri().path() == "/" && signed.is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256"))
}

/// Answers one request of the IAM API.
pub async fn handle<B>(app: &Arc<App>, request: Request<B>) -> S3Response
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let request_id = RequestId::from_random(app.random_bytes());
    match answer(app, request, request_id).await {
        Ok(response) => response,
        Err(error) => error.into_response(request_id.as_str()),
    }
}

async fn answer<B>(app: &Arc<App>, request: Request<B>, request_id: RequestId) -> Result<S3Response, IamError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LEN_MAX).collect().await;
    let body = body.map_err(|_| IamError::validation("The body cannot be read, or is too long."))?.to_bytes();
    let query = Query::parse(head.uri.query().unwrap_or_default())?;
    let digest = hex::encode(chartrier_crypto::sha256(&body));
    let signed = RequestHead {
        method: &head.method,
        path: head.uri.path(),
        query: &query,
        headers: &head.headers,
        body_digest: Some(&digest),
    };
    let rules = AuthRules { services: &["iam"], ..app.auth_rules() };
    if head.headers.get("x-amz-content-sha256").is_some_and(|value| value.as_bytes() != digest.as_bytes()) {
        return Err(IamError::new(400, "InvalidSignature", "x-amz-content-sha256 is not that of the body."));
    }
    let caller = authenticate(signed, rules)?.caller;
    let text = std::str::from_utf8(&body).map_err(|_| IamError::validation("The body is not UTF-8."))?;
    let form = Query::parse(text)?;
    let action = form.get("Action").unwrap_or_default();
    // Changes are made one after the other: each reads what it changes.
    let _turn = app.iam_turn.lock().await;
    let iam = Iam { app, caller: &caller, request_id, form: &form };
    iam.authorise(action)?;
    let mut filled = XmlWriter::new_fragment();
    iam.perform(action, &mut filled).await?;
    Ok(success(action, request_id.as_str(), |doc| doc.append(filled)))
}

/// One request, authenticated.
struct Iam<'r> {
    app: &'r Arc<App>,
    caller: &'r Caller,
    request_id: RequestId,
    form: &'r Query,
}

impl Iam<'_> {
    fn authorise(&self, action: &str) -> Result<(), IamError> {
        let standing = &self.caller.standing;
        let name = format!("iam:{action}");
        let context = std::collections::HashMap::new();
        let question = Question { principal: &standing.principal, action: &name, resource: "*", context: &context };
        let says = |policies: &[Arc<crate::policy::Policy>]| {
            let verdicts: Vec<Verdict> = policies.iter().map(|policy| policy.evaluate(question)).collect();
            verdicts.contains(&Verdict::Allows) && !verdicts.contains(&Verdict::Denies)
        };
        let own = match &standing.identity {
            IdentityPolicies::Everything => true,
            IdentityPolicies::Nobody => false,
            IdentityPolicies::Attached(policies) => says(policies),
        };
        if own && standing.session.is_none() {
            return Ok(());
        }
        let arn = &standing.principal.arn;
        Err(IamError::new(403, "AccessDenied", format!("User: {arn} is not authorized to perform: {name}")))
    }

    async fn perform(&self, action: &str, doc: &mut XmlWriter) -> Result<(), IamError> {
        match action {
            "CreateUser" => self.create_user(doc).await,
            "GetUser" => self.get_user(doc),
            "ListUsers" => self.list_users(doc),
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
            other => Err(IamError::new(400, "InvalidAction", format!("Could not find operation {other}"))),
        }
    }

    /// A parameter that must be there.
    fn parameter(&self, name: &str) -> Result<&str, IamError> {
        self.form.non_empty(name).ok_or_else(|| IamError::validation(format!("The parameter {name} is missing.")))
    }

    /// A parameter that names something: IAM's characters only.
    fn name(&self, parameter: &str) -> Result<&str, IamError> {
        let name = self.parameter(parameter)?;
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        if name.len() <= 64 && name.bytes().all(good) && !matches!(name, "." | "..") {
            return Ok(name);
        }
        Err(IamError::validation(format!("The specified value for {parameter} is invalid.")))
    }

    fn path(&self) -> Result<String, IamError> {
        let path = self.form.non_empty("Path").unwrap_or("/");
        let good = path.starts_with('/') && path.ends_with('/') && path.len() <= 512;
        if good && path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(path.to_owned());
        }
        Err(IamError::validation("The specified value for path is invalid."))
    }

    /// Canonical id of the caller's account.
    fn account(&self) -> &str {
        &self.caller.user_id
    }

    fn account_number(&self) -> String {
        account_number(self.account())
    }

    fn account_row(&self) -> Result<UserRow, IamError> {
        let rows = self.app.engine.users()?;
        rows.into_iter()
            .find(|row| row.id == *self.account())
            .ok_or_else(|| IamError::no_such("account", self.account()))
    }

    /// A user of the caller's account, the account itself included.
    fn user(&self, name: &str) -> Result<UserRow, IamError> {
        let row = self.app.engine.user(name)?.filter(|row| self.is_ours(row));
        row.ok_or_else(|| IamError::new(404, "NoSuchEntity", format!("The user with name {name} cannot be found.")))
    }

    fn is_ours(&self, row: &UserRow) -> bool {
        row.id == *self.account() || row.account == *self.account()
    }

    /// The user that the request names, or who asks.
    fn named_user(&self) -> Result<UserRow, IamError> {
        match self.form.non_empty("UserName") {
            Some(_) => self.user(self.name("UserName")?),
            None => self.user(&self.caller.name),
        }
    }

    /// Changes the document of a user or an account.
    async fn change<T>(
        &self,
        row: &UserRow,
        change: impl FnOnce(&mut IamDocument) -> Result<T, IamError>,
    ) -> Result<T, IamError> {
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

    async fn propose(&self, op: Op, name: &str) -> Result<(), IamError> {
        match self.app.propose(self.caller, self.request_id, op).await?.outcome {
            Outcome::Done | Outcome::Deleted { .. } => Ok(self.app.reload_identities()?),
            Outcome::Refused(Refusal::NoSuchUser) => Err(IamError::no_such("user", name)),
            Outcome::Refused(Refusal::NoSuchAccessKey) => Err(IamError::no_such("Access Key", name)),
            Outcome::Refused(Refusal::UserExists) => Err(IamError::exists("User", name)),
            Outcome::Refused(Refusal::UserInUse) => Err(IamError::conflict("The user is an account in use.")),
            Outcome::Refused(Refusal::TooLarge) => Err(IamError::limit("The account's documents are too large.")),
            Outcome::Refused(Refusal::Superseded) => {
                Err(IamError::new(409, "ConcurrentModification", "The entity was changed meanwhile: try again."))
            }
            Outcome::Refused(other) => {
                tracing::error!(?other, "a change of IAM was refused unexpectedly");
                Err(IamError::new(500, "ServiceFailure", "The change was refused."))
            }
        }
    }
}

/// An id of IAM: four letters that say of what, and 17 random ones.
fn new_id(app: &App, prefix: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random: [u8; 17] = app.random_bytes();
    prefix.chars().chain(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))).collect()
}

fn time(us: u64) -> String {
    crate::s3::ops::listing::iso_time(us)
}

/// The end of a list that is always whole.
fn whole(doc: &mut XmlWriter) {
    doc.element("IsTruncated", "false");
}
