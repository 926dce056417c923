//! How requests arrive and what they may ask of new buckets; logs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::access::documents::Ownership;

/// What holds for a bucket whose creator did not say otherwise. The defaults are those of AWS since
/// April 2023; older clients, and suites that judge servers by ACLs, expect `ObjectWriter` and no block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewBuckets {
    /// `BucketOwnerEnforced`, which switches ACLs off, `BucketOwnerPreferred` or `ObjectWriter`.
    pub object_ownership: Ownership,
    /// Whether grants to everybody are refused and ignored until the block is taken away.
    pub block_public_access: bool,
}

impl Default for NewBuckets {
    fn default() -> Self {
        Self { object_ownership: Ownership::BucketOwnerEnforced, block_public_access: true }
    }
}

/// Certificate and key in PEM; both or neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate chain, leaf first.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

/// Logs go to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// In the syntax of `RUST_LOG`; `chartrier=debug` shows each refused request.
    pub filter: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Text }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Whether new buckets take SSE-C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SseC {
    /// They do.
    Open,
    /// They answer 403 until opened one by one, as on AWS since April 2026.
    Blocked,
}

/// Whether forms signed with version 2 are taken. Requests of any other kind never are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FormSignatureV2 {
    /// As AWS takes them still.
    Accepted,
    /// Version 4 only.
    Refused,
}

/// Where requests without TLS are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlainHttp {
    /// On loopback addresses only.
    Loopback,
    /// Everywhere: signatures protect the requests, nothing hides them.
    Everywhere,
    /// Nowhere.
    Never,
}
