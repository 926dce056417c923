//! The root user: made at the first start, with its credentials in `DATA/credentials`.

use std::io;
use std::path::{Path, PathBuf};

use chartrier_crypto::OperatorKey;
use chartrier_storage::engine::Engine;
use chartrier_storage::env::Env;
use chartrier_storage::error::StorageError;
use chartrier_storage::namespace::command::{Command, CommandContext, Op, Outcome};
use chartrier_storage::namespace::rows::UserRow;
use zeroize::Zeroizing;

use super::access_key::NewAccessKey;
use super::keyring::write_private;

/// The environment variable that names the root access key at the first start.
pub const ROOT_ACCESS_KEY_ID: &str = "CHARTRIER_ROOT_ACCESS_KEY_ID";
/// The environment variable with its secret.
pub const ROOT_SECRET_ACCESS_KEY: &str = "CHARTRIER_ROOT_SECRET_ACCESS_KEY";

/// The root user cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// One variable without the other, or with characters that cannot be sent.
    #[error("{0}")]
    Variables(&'static str),
    /// The credentials file cannot be written.
    #[error("cannot write {path}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The engine did not take the user.
    #[error("cannot store the root user")]
    Storage(#[from] StorageError),
    /// The engine refused the user.
    #[error("the root user was refused: {0}")]
    Refused(String),
}

/// Makes the root user unless there is one.
///
/// The credentials file is written before the user is: a crash in between leaves a file that
/// opens nothing, and the next start writes it anew.
///
/// # Errors
/// [`RootError`].
pub async fn ensure(
    engine: &Engine,
    users: &[UserRow],
    operator_key: &OperatorKey,
    env: &Env,
    data: &Path,
) -> Result<(), RootError> {
    if users.iter().any(|user| user.root) {
        return Ok(());
    }
    let key = match from_variables()? {
        Some(key) => key,
        None => NewAccessKey::generate(env),
    };
    let path = data.join("credentials");
    let text = Zeroizing::new(format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        key.access_key_id,
        key.secret.as_str()
    ));
    write_private(&path, text.as_bytes()).map_err(|source| RootError::Credentials { path, source })?;
    let time_us = env.clock.now_us();
    let row = UserRow {
        id: hex::encode(env.random_bytes::<32>()),
        name: "root".into(),
        display_name: "root".into(),
        email: String::new(),
        root: true,
        created_us: time_us,
        access_keys: vec![key.seal(operator_key, env)],
        account: String::new(),
        document: Vec::new(),
    };
    let context = CommandContext {
        time_us,
        request_id: String::new(),
        actor_pid: String::new(),
        actor_role: "system".into(),
        actor_auth: "internal".into(),
        origin: None,
    };
    match engine.propose(Command { context, op: Op::CreateUser(Box::new(row)) }).await?.outcome {
        Outcome::Refused(refusal) => Err(RootError::Refused(format!("{refusal:?}"))),
        Outcome::Done | Outcome::Deleted { .. } => Ok(()),
    }
}

fn from_variables() -> Result<Option<NewAccessKey>, RootError> {
    let (id, secret) = (std::env::var(ROOT_ACCESS_KEY_ID), std::env::var(ROOT_SECRET_ACCESS_KEY));
    let (id, secret) = match (id, secret.map(Zeroizing::new)) {
        (Ok(id), Ok(secret)) => (id, secret),
        (Err(std::env::VarError::NotPresent), Err(std::env::VarError::NotPresent)) => return Ok(None),
        _ => {
            return Err(RootError::Variables(
                "CHARTRIER_ROOT_ACCESS_KEY_ID and CHARTRIER_ROOT_SECRET_ACCESS_KEY must be set together",
            ));
        }
    };
    let id_fits = (3..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let secret_fits = (8..=256).contains(&secret.len()) && secret.bytes().all(|b| b.is_ascii_graphic());
    if !id_fits {
        return Err(RootError::Variables(
            "CHARTRIER_ROOT_ACCESS_KEY_ID must be 3 to 128 letters, digits, '-', '_' or '.'",
        ));
    }
    if !secret_fits {
        return Err(RootError::Variables("CHARTRIER_ROOT_SECRET_ACCESS_KEY must be 8 to 256 visible ASCII characters"));
    }
    Ok(Some(NewAccessKey { access_key_id: id, secret }))
}
