//! What runs beside the requests: lifecycle, access logs, notifications, and the issuers of web identities.

use std::path::PathBuf;

use chartrier_storage::namespace::notification::is_target_name;
use serde::{Deserialize, Serialize};

/// How the lifecycle worker goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LifecycleConfig {
    /// Seconds in a day of a rule. 86,400 but for tests; days then end at midnight UTC.
    pub day_s: u64,
    /// Seconds from the end of one pass to the beginning of the next; never more than a day.
    pub every_s: u64,
    /// Most keys looked at in a second.
    pub keys_per_second: u64,
}

impl Default for LifecycleConfig {
    fn default() -> Self {
        Self { day_s: 86_400, every_s: 3600, keys_per_second: 10_000 }
    }
}

/// Access logs of buckets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLogConfig {
    /// Seconds from one delivery to the next; many lines are delivered earlier.
    pub every_s: u64,
}

impl Default for AccessLogConfig {
    fn default() -> Self {
        Self { every_s: 300 }
    }
}

/// A webhook that buckets may tell their changes to, by an ARN with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotificationTarget {
    /// 1 to 64 letters, digits, `-`, `_` and `.`; the last part of its ARNs.
    pub name: String,
    /// Where messages are posted: `https://…`, or `http://…` on this machine.
    pub url: String,
    /// Lets messages travel over plain HTTP to another machine.
    pub plain_http: bool,
    /// A file with a token to send as `Authorization: Bearer …`.
    pub bearer_token_file: Option<PathBuf>,
    /// Authorities to trust, in PEM, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// For one attempt.
    pub timeout_s: u64,
    /// Most events of one message; AWS sends one.
    pub records_per_message: usize,
}

impl Default for NotificationTarget {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            plain_http: false,
            bearer_token_file: None,
            ca_file: None,
            timeout_s: 10,
            records_per_message: 1,
        }
    }
}

/// Most targets: each has a connection and a worker.
const NOTIFICATION_TARGETS_MAX: usize = 64;

pub(super) fn check_targets(targets: &[NotificationTarget]) -> Result<(), String> {
    if targets.len() > NOTIFICATION_TARGETS_MAX {
        return Err(format!("notification_targets: at most {NOTIFICATION_TARGETS_MAX}"));
    }
    for (at, target) in targets.iter().enumerate() {
        let name = &target.name;
        if !is_target_name(name) || targets[..at].iter().any(|other| other.name == *name) {
            return Err(format!("notification_targets: '{name}' is no name, or is there twice"));
        }
        if target.timeout_s == 0 || target.timeout_s > 300 || !(1..=1000).contains(&target.records_per_message) {
            return Err(format!(
                "notification_targets: {name}: timeout_s must be 1 to 300, records_per_message 1 to 1000"
            ));
        }
    }
    Ok(())
}

/// How issuers of web identities are asked for their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebIdentityConfig {
    /// Whether issuers on this machine are asked, in the clear if their URL says so. When it is not
    /// said: only by a server that listens on loopback.
    pub local_issuers: Option<bool>,
    /// Certificates, in PEM, to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}
