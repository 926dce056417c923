//! Users with their access keys, what accounts and buckets hold, and their quotas.

use serde::{Deserialize, Serialize};

/// `POST /users`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Unique in the tenant.
    pub name: String,
    /// Shown in S3 answers; the name when absent.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Empty when absent.
    #[serde(default)]
    pub email: Option<String>,
}

/// What `POST /users` answers: the only time that the secret is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedUser {
    /// As asked for.
    pub name: String,
    /// Canonical owner id that S3 answers show.
    pub user_id: String,
    /// As asked for, or the name.
    pub display_name: String,
    /// As asked for, or empty.
    pub email: String,
    /// The public half of the first access key.
    pub access_key_id: String,
    /// The secret half; it cannot be read again.
    pub secret_access_key: String,
}

/// What `POST /users/{name}/keys` answers: the only time that the secret is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedKey {
    /// The user's name.
    pub name: String,
    /// The public half.
    pub access_key_id: String,
    /// The secret half; it cannot be read again.
    pub secret_access_key: String,
}

/// One user, as `GET /users` lists it: no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Unique in the tenant.
    pub name: String,
    /// Canonical owner id.
    pub user_id: String,
    /// Shown in S3 answers.
    pub display_name: String,
    /// May be empty.
    pub email: String,
    /// True for the first administrator.
    pub root: bool,
    /// RFC 3339, UTC.
    pub created: String,
    /// Public halves of the user's keys.
    pub access_key_ids: Vec<String>,
    /// The same keys, and whether they sign.
    #[serde(default)]
    pub access_keys: Vec<AccessKey>,
}

/// One access key of a user: no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// The public half.
    pub access_key_id: String,
    /// RFC 3339, UTC.
    pub created: String,
    /// Requests that it signs are refused.
    pub disabled: bool,
    /// RFC 3339, UTC: from then on requests that it signs are refused. Null for a key that does not end.
    pub expires: Option<String>,
    /// Whether that time is over.
    pub expired: bool,
}

/// `POST /users/{name}/keys`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// RFC 3339: when the key ends; it does not when absent.
    #[serde(default)]
    pub expires: Option<String>,
}

/// `POST /users/{name}/keys/{id}`: what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// Whether requests that it signs are refused.
    #[serde(default)]
    pub disabled: Option<bool>,
    /// RFC 3339: when it ends; `never` for a key that does not.
    #[serde(default)]
    pub expires: Option<String>,
}

/// What `GET /users/{name}` and `POST /users/{name}/quota` answer: an account, over all its buckets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user's name.
    pub name: String,
    /// Canonical owner id.
    pub user_id: String,
    /// The number by which ARNs name it.
    pub account: String,
    /// Plaintext bytes of all versions in its buckets.
    pub bytes: u64,
    /// Versions.
    pub objects: u64,
    /// The quota, if there is one.
    pub max_bytes: Option<u64>,
    /// The quota, if there is one.
    pub max_objects: Option<u64>,
    /// Its keys.
    pub access_keys: Vec<AccessKey>,
}

/// What `GET /users` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// By name.
    pub users: Vec<User>,
}

/// `POST /buckets/{name}/quota` and `POST /users/{name}/quota`: a limit that is absent or null does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Plaintext bytes of all versions.
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// Versions.
    #[serde(default)]
    pub max_objects: Option<u64>,
}

/// What `GET /buckets/{name}` and `POST /buckets/{name}/quota` answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Canonical id of its owner.
    pub owner: String,
    /// Plaintext bytes of all versions.
    pub bytes: u64,
    /// Versions.
    pub objects: u64,
    /// Uploads in progress.
    pub uploads: u64,
    /// The quota, if there is one.
    pub max_bytes: Option<u64>,
    /// The quota, if there is one.
    pub max_objects: Option<u64>,
}

/// What a removal answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The user's name or the access key's id.
    pub removed: String,
}
