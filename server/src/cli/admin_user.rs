//! `chartrier admin user`: accounts, their keys and quotas.

use std::fmt::Write as _;

use chartrier_storage::env::Clock as _;
use clap::{Args, Subcommand};

use super::admin::{AdminError, escape, print, print_object};
use super::admin_bucket::{QuotaArgs, limit};
use super::admin_reclaim::seconds;
use crate::admin::client::AdminClient;
use crate::admin::wire;
use crate::clock::SystemClock;

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Adds a user with a first access key; the secret is shown this once.
    Add {
        /// The user's name: 1 to 64 letters, digits and +=,.@_-
        name: String,
        /// Shown in S3 answers; the name when absent.
        #[arg(long)]
        display_name: Option<String>,
        /// Kept for the administrator; never in the journal.
        #[arg(long)]
        email: Option<String>,
    },
    /// Lists users and their keys, without secrets.
    List,
    /// Shows what a user holds in all its buckets, its quota and its keys.
    Show {
        /// The user's name.
        name: String,
    },
    /// Replaces the quota over all buckets of a user; without any limit it is removed.
    Quota {
        /// The user's name.
        name: String,
        #[command(flatten)]
        quota: QuotaArgs,
    },
    /// Removes a user who owns no bucket.
    Remove {
        /// The user's name.
        name: String,
    },
    /// Access keys of a user.
    #[command(subcommand)]
    Key(KeyCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Adds an access key; the secret is shown this once.
    Add {
        /// The user's name.
        name: String,
        /// When it ends: a time such as 2027-01-31T00:00:00Z, or how long it lasts, such as 90d or 12h.
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Disables or enables an access key, or says when it ends.
    Set(KeySetArgs),
    /// Removes an access key.
    Remove {
        /// The user's name.
        name: String,
        /// The key's public half.
        access_key_id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct KeySetArgs {
    /// The user's name.
    name: String,
    /// The key's public half.
    access_key_id: String,
    /// Requests that it signs are refused from now on.
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// It signs again.
    #[arg(long)]
    enable: bool,
    /// When it ends: a time, how long it lasts from now, or `never`.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

pub(super) async fn user(client: &AdminClient, command: UserCommand, json: bool) -> Result<(), AdminError> {
    match command {
        UserCommand::Add { name, display_name, email } => {
            let body = wire::NewUser { name, display_name, email };
            let answer: wire::CreatedUser = client.post("/users", &body).await?;
            print_object(json, &answer)
        }
        UserCommand::List => {
            let answer: wire::Users = client.get("/users").await?;
            print(json, &answer, |text| user_table(text, &answer.users))
        }
        UserCommand::Show { name } => show(&client.get(&format!("/users/{}", escape(&name))).await?, json),
        UserCommand::Quota { name, quota } => {
            let path = format!("/users/{}/quota", escape(&name));
            show(&client.post(&path, &wire::Quota::from(quota)).await?, json)
        }
        UserCommand::Remove { name } => {
            let answer: wire::Removed = client.delete(&format!("/users/{}", escape(&name))).await?;
            print(json, &answer, |text| writeln!(text, "removed user {name}"))
        }
        UserCommand::Key(command) => key(client, command, json).await,
    }
}

async fn key(client: &AdminClient, command: KeyCommand, json: bool) -> Result<(), AdminError> {
    let keys = |name: &str| format!("/users/{}/keys", escape(name));
    match command {
        KeyCommand::Add { name, expires } => {
            let body = wire::NewKey { expires: expires.map(time) };
            let answer: wire::CreatedKey = client.post(&keys(&name), &body).await?;
            print_object(json, &answer)
        }
        KeyCommand::Set(KeySetArgs { name, access_key_id, disable, enable, expires }) => {
            let body = wire::KeyChange { disabled: (disable || enable).then_some(disable), expires: expires.map(time) };
            show(&client.post(&format!("{}/{}", keys(&name), escape(&access_key_id)), &body).await?, json)
        }
        KeyCommand::Remove { name, access_key_id } => {
            let path = format!("{}/{}", keys(&name), escape(&access_key_id));
            let answer: wire::Removed = client.delete(&path).await?;
            print(json, &answer, |text| writeln!(text, "removed access key {access_key_id} of {name}"))
        }
    }
}

/// A length of time becomes the time at its end; anything else is for the server to read.
fn time(text: String) -> String {
    let end_us = |seconds: u64| SystemClock.now_us().checked_add(seconds.checked_mul(1_000_000)?);
    let end = seconds(&text).ok().and_then(end_us).and_then(chartrier_journal::format_time);
    end.unwrap_or(text)
}

fn show(account: &wire::Account, json: bool) -> Result<(), AdminError> {
    print(json, account, |text| {
        let wire::Account { name, bytes, objects, .. } = account;
        let (max_bytes, max_objects) = (limit(account.max_bytes), limit(account.max_objects));
        writeln!(
            text,
            "{name}: account {}, {bytes} bytes {max_bytes}, {objects} objects {max_objects}",
            account.account
        )?;
        account.access_keys.iter().try_for_each(|key| key_line(text, key))
    })
}

fn user_table(text: &mut String, users: &[wire::User]) -> std::fmt::Result {
    for user in users {
        let root = if user.root { " (root)" } else { "" };
        writeln!(text, "{}{root}  {}  {}", user.name, user.display_name, user.user_id)?;
        user.access_keys.iter().try_for_each(|key| key_line(text, key))?;
    }
    Ok(())
}

fn key_line(text: &mut String, key: &wire::AccessKey) -> std::fmt::Result {
    let state = match &key.expires {
        _ if key.disabled => "  disabled".to_owned(),
        Some(end) if key.expired => format!("  expired {end}"),
        Some(end) => format!("  expires {end}"),
        None => String::new(),
    };
    writeln!(text, "    {}{state}", key.access_key_id)
}
