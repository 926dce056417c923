//! The admin API of a Chartrier server, for the cases that need an administrator.

use std::io;
use std::path::Path;

use serde_json::Value;

use crate::http::{Answer, Endpoint};

/// What every path begins with.
const API_PREFIX: &str = "/chartrier/v1";
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where the API is, and what lets in.
#[derive(Clone)]
pub struct Admin {
    endpoint: Endpoint,
    token: String,
}

impl Admin {
    /// Reads what a server writes for its administrator: a file like `DATA/run/admin.json`.
    ///
    /// # Errors
    /// If it cannot be read, or lacks endpoint or token.
    pub fn from_run_file(path: &Path) -> io::Result<Self> {
        let run: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        let text = |name: &str| {
            run[name].as_str().ok_or_else(|| io::Error::other(format!("{} has no {name}", path.display())))
        };
        Ok(Self { endpoint: Endpoint::parse(text("endpoint")?, None)?, token: text("token")?.to_owned() })
    }

    /// Sends one call with a JSON body, which may be empty.
    ///
    /// # Errors
    /// The connection's.
    pub async fn send(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let head = format!(
            "{method} {API_PREFIX}{path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.endpoint.authority,
            self.token,
            body.len()
        );
        let mut connection = self.endpoint.connect().await?;
        connection.send(head.as_bytes()).await?;
        connection.answer(method, ANSWER_BYTES_MAX).await
    }

    /// The JSON that a call answers.
    ///
    /// # Errors
    /// The connection's, and an answer that is none.
    pub async fn json(&self, method: &str, path: &str, body: &str) -> io::Result<Value> {
        let answer = self.send(method, path, body).await?;
        if answer.head.status != 200 {
            let said = String::from_utf8_lossy(&answer.body);
            return Err(io::Error::other(format!("{method} {path}: {}: {said}", answer.head.status)));
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// The name of the user who has an access key.
    ///
    /// # Errors
    /// The call's; nobody has it.
    pub async fn user_with(&self, access_key_id: &str) -> io::Result<String> {
        let users = self.json("GET", "/users", "").await?;
        let has = |user: &&Value| {
            user["access_key_ids"].as_array().is_some_and(|ids| ids.iter().any(|id| id == access_key_id))
        };
        let found = users["users"].as_array().and_then(|users| users.iter().find(has));
        found
            .and_then(|user| user["name"].as_str())
            .map(str::to_owned)
            .ok_or_else(|| io::Error::other(format!("nobody has the access key {access_key_id}")))
    }
}
