//! Users and their access keys.

use chartrier_storage::namespace::command::{Op, Outcome, Refusal};
use chartrier_storage::namespace::query::AccountUsage;
use chartrier_storage::namespace::rows::{AccessKeyRow, AccountQuota, UserRow};

use super::answer::{AdminError, AdminResponse, json};
use super::service::propose;
use super::wire;
use crate::access::standing::account_number;
use crate::app::App;
use crate::identity::access_key::NewAccessKey;

/// The most access keys of one user: enough for a rotation of several machines at a time.
pub const ACCESS_KEYS_OF_USER_MAX: usize = 20;

const NAME_LEN_MAX: usize = 64;
const DISPLAY_NAME_LEN_MAX: usize = 256;
/// RFC 5321's longest address.
const EMAIL_LEN_MAX: usize = 254;

/// `GET /users`.
///
/// # Errors
/// The engine's.
pub fn list(app: &App) -> Result<AdminResponse, AdminError> {
    let users = app.engine.users()?.iter().map(|row| to_wire(app, row)).collect();
    Ok(json(&wire::Users { users }))
}

/// `POST /users`: adds a user with a first access key. Durable, and able to sign, when it answers.
///
/// # Errors
/// `InvalidArgument`, `UserExists`.
pub async fn add(app: &App, asked: wire::NewUser) -> Result<AdminResponse, AdminError> {
    check_name(&asked.name)?;
    let display_name = asked.display_name.unwrap_or_else(|| asked.name.clone());
    check_text("display name", &display_name, DISPLAY_NAME_LEN_MAX)?;
    let email = asked.email.unwrap_or_default();
    check_text("e-mail address", &email, EMAIL_LEN_MAX)?;

    let env = app.env();
    let key = NewAccessKey::generate(&env);
    let row = UserRow {
        id: new_account_id(app),
        name: asked.name,
        display_name,
        email,
        root: false,
        created_us: app.now_us(),
        access_keys: vec![key.seal(&app.operator_key, &env)],
        account: String::new(),
        document: Vec::new(),
    };
    change(app, Op::CreateUser(Box::new(row.clone()))).await?;
    Ok(json(&wire::CreatedUser {
        name: row.name,
        user_id: row.id,
        display_name: row.display_name,
        email: row.email,
        access_key_id: key.access_key_id,
        secret_access_key: key.secret.to_string(),
    }))
}

/// A canonical id whose account number, 12 digits made from it, no other account has: policies name
/// accounts by it.
fn new_account_id(app: &App) -> String {
    loop {
        let id = hex::encode(app.random_bytes::<32>());
        if !app.identities.has_account(&account_number(&id)) {
            return id;
        }
    }
}

/// `DELETE /users/{name}`.
///
/// # Errors
/// `NoSuchUser`, `UserInUse` for root and for a user who owns buckets.
pub async fn remove(app: &App, name: &str) -> Result<AdminResponse, AdminError> {
    change(app, Op::RemoveUser { name: name.to_owned() }).await?;
    Ok(json(&wire::Removed { removed: name.to_owned() }))
}

/// `GET /users/{name}`: what an account holds, and its keys.
///
/// # Errors
/// `NoSuchUser`; the engine's.
pub fn show(app: &App, name: &str) -> Result<AdminResponse, AdminError> {
    Ok(json(&account(app, name)?))
}

/// `POST /users/{name}/quota`: replaces the quota over all buckets of an account; without any limit it
/// is removed. Durable, and in force, when it answers.
///
/// # Errors
/// `NoSuchUser`, for a member of an account too; `InvalidArgument` for limits over 2^53; the engine's.
pub async fn set_quota(app: &App, name: &str, asked: wire::Quota) -> Result<AdminResponse, AdminError> {
    let quota = AccountQuota { max_bytes: asked.max_bytes, max_versions: asked.max_objects };
    change(app, Op::SetAccountQuota { user: name.to_owned(), quota }).await?;
    Ok(json(&account(app, name)?))
}

/// `POST /users/{name}/keys`.
///
/// # Errors
/// `NoSuchUser`, `TooManyKeys`, `InvalidArgument` for an end that is over.
pub async fn add_key(app: &App, name: &str, asked: wire::NewKey) -> Result<AdminResponse, AdminError> {
    let user = app.engine.user(name)?.ok_or_else(|| refused(Refusal::NoSuchUser))?;
    if user.access_keys.len() >= ACCESS_KEYS_OF_USER_MAX {
        return Err(AdminError::conflict(
            "TooManyKeys",
            format!("The user has {ACCESS_KEYS_OF_USER_MAX} access keys already; remove one first."),
        ));
    }
    let expires_us = asked.expires.as_deref().map(|text| end_us(app, text)).transpose()?;
    let env = app.env();
    let key = NewAccessKey::generate(&env);
    let sealed = AccessKeyRow { expires_us, ..key.seal(&app.operator_key, &env) };
    change(app, Op::AddAccessKey { user: name.to_owned(), key: sealed }).await?;
    Ok(json(&wire::CreatedKey {
        name: name.to_owned(),
        access_key_id: key.access_key_id,
        secret_access_key: key.secret.to_string(),
    }))
}

/// `POST /users/{name}/keys/{id}`: disables or enables a key, or says when it ends. In force with the
/// next request, for sessions that were asked for with it too.
///
/// # Errors
/// `NoSuchUser`, `NoSuchAccessKey`, `InvalidArgument` for an end that is over, `UserInUse` for root's last
/// key that lasts.
pub async fn set_key(app: &App, name: &str, id: &str, asked: wire::KeyChange) -> Result<AdminResponse, AdminError> {
    let user = app.engine.user(name)?.ok_or_else(|| refused(Refusal::NoSuchUser))?;
    let key = user.access_keys.iter().find(|key| key.access_key_id == id);
    let key = key.ok_or_else(|| refused(Refusal::NoSuchAccessKey))?;
    let expires_us = match asked.expires.as_deref() {
        None => key.expires_us,
        Some("never") => None,
        Some(text) => Some(end_us(app, text)?),
    };
    let disabled = asked.disabled.unwrap_or(key.disabled);
    let op = Op::SetAccessKey { user: name.to_owned(), access_key_id: id.to_owned(), disabled, expires_us };
    change(app, op).await?;
    Ok(json(&account(app, name)?))
}

/// When a key ends, in microseconds of Unix time: in RFC 3339, and to come.
fn end_us(app: &App, text: &str) -> Result<u64, AdminError> {
    let read = crate::policy::date_ms(text).and_then(|ms| u64::try_from(ms).ok()?.checked_mul(1000));
    match read {
        Some(end_us) if end_us > app.now_us() => Ok(end_us),
        Some(_) => Err(AdminError::invalid("The key would end in the past.")),
        None => Err(AdminError::invalid("The end of a key is a time such as 2027-01-31T00:00:00Z.")),
    }
}

fn account(app: &App, name: &str) -> Result<wire::Account, AdminError> {
    let row = app.engine.user(name)?.ok_or_else(|| refused(Refusal::NoSuchUser))?;
    let id = if row.account.is_empty() { &row.id } else { &row.account };
    let AccountUsage { versions, bytes, quota, .. } = app.engine.account_usage(id)?;
    Ok(wire::Account {
        account: account_number(id),
        user_id: id.clone(),
        bytes,
        objects: versions,
        max_bytes: quota.max_bytes,
        max_objects: quota.max_versions,
        access_keys: keys_of(app, &row),
        name: row.name,
    })
}

fn keys_of(app: &App, row: &UserRow) -> Vec<wire::AccessKey> {
    let now_us = app.now_us();
    let key = |key: &AccessKeyRow| wire::AccessKey {
        access_key_id: key.access_key_id.clone(),
        created: chartrier_journal::format_time(key.created_us).unwrap_or_default(),
        disabled: key.disabled,
        expires: key.expires_us.and_then(chartrier_journal::format_time),
        expired: key.expires_us.is_some_and(|end_us| now_us >= end_us),
    };
    row.access_keys.iter().map(key).collect()
}

/// `DELETE /users/{name}/keys/{id}`: requests signed with it are refused from now on.
///
/// # Errors
/// `NoSuchUser`, `NoSuchAccessKey`.
pub async fn remove_key(app: &App, name: &str, id: &str) -> Result<AdminResponse, AdminError> {
    change(app, Op::RemoveAccessKey { user: name.to_owned(), access_key_id: id.to_owned() }).await?;
    Ok(json(&wire::Removed { removed: id.to_owned() }))
}

/// Makes a change of users durable and known to the next request.
async fn change(app: &App, op: Op) -> Result<(), AdminError> {
    match propose(app, op).await?.outcome {
        Outcome::Refused(refusal) => Err(refused(refusal)),
        Outcome::Done | Outcome::Deleted { .. } => Ok(app.reload_identities()?),
    }
}

fn refused(refusal: Refusal) -> AdminError {
    match refusal {
        Refusal::NoSuchUser => AdminError::not_found("NoSuchUser", "There is no user of that name."),
        Refusal::NoSuchAccessKey => AdminError::not_found("NoSuchAccessKey", "The user has no access key of that id."),
        Refusal::UserExists => AdminError::conflict("UserExists", "There is a user of that name already."),
        Refusal::UserInUse => AdminError::conflict(
            "UserInUse",
            "The user is root or owns buckets: remove the buckets first; root cannot be removed, and keeps a key that \
             lasts.",
        ),
        Refusal::TooLarge => AdminError::invalid("A limit is over 2^53, or the user's keys are too many."),
        other => AdminError::internal(format!("a change of users was refused with {other:?}")),
    }
}

fn to_wire(app: &App, row: &UserRow) -> wire::User {
    wire::User {
        name: row.name.clone(),
        user_id: row.id.clone(),
        display_name: row.display_name.clone(),
        email: row.email.clone(),
        root: row.root,
        created: chartrier_journal::format_time(row.created_us).unwrap_or_default(),
        access_key_ids: row.access_keys.iter().map(|key| key.access_key_id.clone()).collect(),
        access_keys: keys_of(app, row),
    }
}

/// IAM's rule for user names, so that later policies can name every user.
fn check_name(name: &str) -> Result<(), AdminError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    if (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(good) && name != "." && name != ".." {
        return Ok(());
    }
    Err(AdminError::invalid(format!("A user name is 1 to {NAME_LEN_MAX} letters, digits and +=,.@_-")))
}

fn check_text(what: &str, text: &str, len_max: usize) -> Result<(), AdminError> {
    if text.len() <= len_max && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(AdminError::invalid(format!("The {what} is over {len_max} bytes or has a control character.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_a_policy_can_carry() {
        for good in ["alice", "a", "Jean-Luc.Picard@sgdn+x=1,2_3", &"n".repeat(64)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "..", "\u{e9}", "a\n", &"n".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn free_text_has_no_control_character() {
        assert!(check_text("x", "Archives d\u{e9}partementales", 256).is_ok());
        assert!(check_text("x", "a\u{7}b", 256).is_err());
        assert!(check_text("x", &"a".repeat(257), 256).is_err());
    }
}
