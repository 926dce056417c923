//! The configuration: defaults, then the TOML file, then the command line. Unknown keys are refused.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use chartrier_storage::drive::CompactionPolicy;
use chartrier_storage::engine::{EngineConfig, ORPHAN_AGE_MIN, PackConfig, ReclaimConfig};
use chartrier_storage::mend::MendConfig;
use chartrier_storage::namespace::notification::is_target_name;
use serde::{Deserialize, Serialize};

use crate::access::documents::Ownership;
use crate::sts::issuer::LocalIssuers;

/// Everything that can be set. Keys of the file are the fields' names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The data directory: index, keys, credentials, TLS.
    pub data: PathBuf,
    /// Drive folders; empty means `DATA/drives/d1`, `d2`, … as many as the geometry needs.
    pub drives: Vec<PathBuf>,
    /// Data and parity columns, as in `4+2`.
    pub erasure: Geometry,
    /// Allows `1+0`: every drive failure then loses data.
    pub unprotected: bool,
    /// Where S3 is served; port 0 picks one.
    pub listen: SocketAddr,
    /// Where health, metrics and the admin API are served.
    pub admin_listen: SocketAddr,
    /// The region that buckets are in and signatures name.
    pub region: String,
    /// Other regions that signatures may name, because half of the tools cannot set one.
    pub region_aliases: Vec<String>,
    /// Domains whose subdomains name buckets.
    pub domains: Vec<String>,
    /// Whether new buckets take SSE-C.
    pub sse_c: SseC,
    /// Who owns what is in new buckets, and who may see it.
    pub new_buckets: NewBuckets,
    /// Whether browsers' forms may be signed with version 2, by HMAC-SHA1 over their policy.
    pub form_signature_v2: FormSignatureV2,
    /// Where requests without TLS are served.
    pub plain_http: PlainHttp,
    /// The tenant's name, as leaves and log origins carry it.
    pub tenant: String,
    /// This machine's name in leaves.
    pub node: String,
    /// Where its drives stand: country and department.
    pub site: String,
    /// How long requests in flight may take to finish after SIGTERM.
    pub shutdown_grace_s: u64,
    /// Threads that serve requests; 0 means one per processor.
    pub worker_threads: usize,
    /// Webhooks that buckets may tell their changes to.
    pub notification_targets: Vec<NotificationTarget>,
    /// TLS certificate and key to use instead of the self-made ones.
    pub tls: TlsConfig,
    /// What a client may cost.
    pub limits: Limits,
    /// How many requests a client may make.
    pub rate_limits: RateLimits,
    /// The lifecycle worker.
    pub lifecycle: LifecycleConfig,
    /// Issuers of web identities, which accounts register as providers.
    pub web_identity: WebIdentityConfig,
    /// Access logs of buckets.
    pub access_log: AccessLogConfig,
    /// The storage engine.
    pub storage: StorageConfig,
    /// Logs.
    pub log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "./chartrier-data".into(),
            drives: Vec::new(),
            erasure: Geometry { k: 4, m: 2 },
            unprotected: false,
            listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9001)),
            region: "fr".into(),
            region_aliases: vec!["us-east-1".into()],
            domains: vec!["localhost".into()],
            sse_c: SseC::Open,
            new_buckets: NewBuckets::default(),
            form_signature_v2: FormSignatureV2::Accepted,
            plain_http: PlainHttp::Loopback,
            tenant: "default".into(),
            node: "node-1".into(),
            site: "FR-75".into(),
            shutdown_grace_s: 20,
            worker_threads: 0,
            notification_targets: Vec::new(),
            tls: TlsConfig::default(),
            limits: Limits::default(),
            rate_limits: RateLimits::default(),
            lifecycle: LifecycleConfig::default(),
            web_identity: WebIdentityConfig::default(),
            access_log: AccessLogConfig::default(),
            storage: StorageConfig::default(),
            log: LogConfig::default(),
        }
    }
}

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

/// What a client may cost. Over a limit it is refused or cut, never served without bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once on the S3 port; more wait to be accepted.
    pub connections: usize,
    /// Headers of one request.
    pub headers: usize,
    /// Bytes of one request's head, and of one read from a socket; at most 128 KiB, so that the
    /// allocator wipes the buffer that held it.
    pub head_bytes: usize,
    /// From a connection's last answer to the end of its next request's head.
    pub idle_timeout_s: u64,
    /// From the first byte of a connection to the end of its TLS handshake.
    pub handshake_timeout_s: u64,
    /// Longest wait for the next bytes of a body, either way.
    pub stall_timeout_s: u64,
    /// Slowest upload that is put up with, over 30 seconds.
    pub upload_bytes_per_second_min: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            headers: 100,
            head_bytes: 64 << 10,
            idle_timeout_s: 60,
            handshake_timeout_s: 10,
            stall_timeout_s: 30,
            upload_bytes_per_second_min: 512,
        }
    }
}

/// How many requests a client may make; what is over is answered 503 `SlowDown`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Requests in a second that one access key signs; 0 is without limit.
    pub requests_per_second_of_key: u64,
    /// Requests in a second from one IPv4 address or one IPv6 network of 64 bits; 0 is without limit.
    pub requests_per_second_of_source: u64,
    /// Seconds of the rate that may come at once.
    pub burst_seconds: u64,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { requests_per_second_of_key: 0, requests_per_second_of_source: 0, burst_seconds: 2 }
    }
}

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

fn check_targets(targets: &[NotificationTarget]) -> Result<(), String> {
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

/// What the storage engine is opened with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// Sealed bytes that still fit in a log entry.
    pub inline_limit_bytes: usize,
    /// Length of a data segment.
    pub segment_bytes: u64,
    /// Length of a log segment.
    pub log_segment_bytes: u64,
    /// Growth of the log after which a checkpoint of the index is taken.
    pub checkpoint_log_bytes: u64,
    /// Bytes that all transfers together may hold in buffers.
    pub memory_budget_bytes: usize,
    /// Bytes a second that repairs may read and write; 0 is no limit.
    pub repair_bytes_per_second: u64,
    /// Days within which scrub checks every drive whole; 0 is never.
    pub scrub_period_days: u64,
    /// Small blobs: which are kept as whole copies at first, and when they are packed.
    pub pack: PackSettings,
    /// Minutes after which a drive that is away is given up and rebuilt on the others, one that fails writes after
    /// one minute; 0 is never.
    pub evacuate_after_minutes: u64,
    /// When the space of what was deleted is given back.
    pub reclaim: ReclaimSettings,
}

/// Small blobs: which are kept as whole copies at first, and when they are packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PackSettings {
    /// Blobs over the inline limit, up to this many sealed bytes; 0 is none, at most 1 MiB.
    pub limit_bytes: usize,
    /// Age from which they are packed, a stripe at a time.
    pub age_s: u64,
    /// Age from which they are packed though they do not fill a stripe.
    pub leftover_age_s: u64,
}

impl Default for PackSettings {
    fn default() -> Self {
        let PackConfig { limit_bytes, age, leftover_age } = PackConfig::default();
        Self { limit_bytes, age_s: age.as_secs(), leftover_age_s: leftover_age.as_secs() }
    }
}

impl PackSettings {
    /// As the engine takes it.
    pub fn to_engine(&self) -> PackConfig {
        PackConfig {
            limit_bytes: self.limit_bytes,
            age: Duration::from_secs(self.age_s),
            leftover_age: Duration::from_secs(self.leftover_age_s),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.limit_bytes > PACK_LIMIT_BYTES_MAX {
            return Err(format!("storage.pack: limit_bytes must be 0 to {PACK_LIMIT_BYTES_MAX}"));
        }
        Ok(())
    }
}

/// What one record can hold.
const PACK_LIMIT_BYTES_MAX: usize = 1 << 20;

/// When the space of what was deleted is given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReclaimSettings {
    /// How long the bytes of a deleted version stay for reads that are about to begin.
    pub grace_s: u64,
    /// From one look at the segments to the next.
    pub compaction_interval_s: u64,
    /// A segment with more dead than this share of its bytes is compacted.
    pub compact_dead_percent: u8,
    /// With less free than this share of a drive, whatever gives space back is compacted, at full speed.
    pub low_space_percent: u8,
    /// Bytes copied each second on one drive; 0 is no bound.
    pub compact_bytes_per_second: u64,
    /// Age from which shards that nobody owns are freed; at least an hour.
    pub orphan_age_s: u64,
    /// From one walk for such shards to the next.
    pub orphan_interval_s: u64,
}

impl Default for ReclaimSettings {
    fn default() -> Self {
        let ReclaimConfig { grace, orphan_age, orphan_interval, compaction_interval, compaction } =
            ReclaimConfig::default();
        Self {
            grace_s: grace.as_secs(),
            compaction_interval_s: compaction_interval.as_secs(),
            compact_dead_percent: compaction.dead_percent,
            low_space_percent: compaction.low_space_percent,
            compact_bytes_per_second: compaction.bytes_per_second,
            orphan_age_s: orphan_age.as_secs(),
            orphan_interval_s: orphan_interval.as_secs(),
        }
    }
}

impl ReclaimSettings {
    /// As the engine takes it.
    pub fn to_engine(&self) -> ReclaimConfig {
        ReclaimConfig {
            grace: Duration::from_secs(self.grace_s),
            orphan_age: Duration::from_secs(self.orphan_age_s),
            orphan_interval: Duration::from_secs(self.orphan_interval_s),
            compaction_interval: Duration::from_secs(self.compaction_interval_s),
            compaction: CompactionPolicy {
                dead_percent: self.compact_dead_percent,
                low_space_percent: self.low_space_percent,
                bytes_per_second: self.compact_bytes_per_second,
                eager: false,
            },
        }
    }

    fn check(&self) -> Result<(), String> {
        if !(1..=99).contains(&self.compact_dead_percent) || self.low_space_percent > 90 {
            return Err("storage.reclaim: compact_dead_percent must be 1 to 99, low_space_percent 0 to 90".into());
        }
        if self.compaction_interval_s == 0 || self.orphan_interval_s < 60 {
            return Err("storage.reclaim: compaction_interval_s must be 1 or more, orphan_interval_s 60 or more".into());
        }
        if self.orphan_age_s < ORPHAN_AGE_MIN.as_secs() {
            return Err(format!("storage.reclaim: orphan_age_s must be {} or more", ORPHAN_AGE_MIN.as_secs()));
        }
        Ok(())
    }
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            inline_limit_bytes: 8 << 10,
            segment_bytes: 256 << 20,
            log_segment_bytes: EngineConfig::default().log_segment_bytes,
            checkpoint_log_bytes: EngineConfig::default().checkpoint_log_bytes,
            memory_budget_bytes: 128 << 20,
            repair_bytes_per_second: MendConfig::default().repair_bytes_per_s,
            scrub_period_days: MendConfig::default().scrub_period_s / DAY_S,
            pack: PackSettings::default(),
            evacuate_after_minutes: MendConfig::default().evacuate_after_s / 60,
            reclaim: ReclaimSettings::default(),
        }
    }
}

const DAY_S: u64 = 24 * 3600;
/// Ten years.
const SCRUB_PERIOD_DAYS_MAX: u64 = 3650;
/// A year.
const EVACUATE_AFTER_MINUTES_MAX: u64 = 366 * 24 * 60;

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

/// Data and parity columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Data columns.
    pub k: u8,
    /// Parity columns.
    pub m: u8,
}

/// The geometries that are offered.
const GEOMETRIES: [(u8, u8); 7] = [(1, 0), (1, 1), (2, 1), (2, 2), (4, 2), (8, 3), (8, 4)];

impl FromStr for Geometry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once('+')
            .and_then(|(k, m)| Some((k.parse().ok()?, m.parse().ok()?)))
            .filter(|pair| GEOMETRIES.contains(pair))
            .map(|(k, m)| Self { k, m })
            .ok_or_else(|| format!("'{text}' is not one of 1+0, 1+1, 2+1, 2+2, 4+2, 8+3, 8+4"))
    }
}

impl std::fmt::Display for Geometry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}+{}", self.k, self.m)
    }
}

impl Serialize for Geometry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Geometry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key or value that this program does not know.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// Settings that contradict each other.
    #[error("{0}")]
    Invalid(String),
}

impl Config {
    /// Reads a TOML file over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`], naming the key.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|error| ConfigError::Parse { path: path.to_owned(), message: error.to_string().trim().to_owned() })
    }

    /// Fills in the drives and checks what depends on several settings.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn complete(mut self) -> Result<Self, ConfigError> {
        let invalid = |message: String| Err(ConfigError::Invalid(message));
        let columns = usize::from(self.erasure.k) + usize::from(self.erasure.m);
        if self.drives.is_empty() {
            self.drives = (1..=columns).map(|number| self.data.join("drives").join(format!("d{number}"))).collect();
        }
        if self.drives.len() < columns {
            return invalid(format!(
                "erasure {} needs {columns} drives, {} are given",
                self.erasure,
                self.drives.len()
            ));
        }
        if self.erasure.m == 0 && !self.unprotected {
            return invalid("erasure 1+0 loses data with its drive: add --unprotected if that is meant".into());
        }
        if self.region.is_empty() || self.region.contains('/') {
            return invalid("region must be a name such as fr".into());
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return invalid("tls.certificate and tls.key must be set together".into());
        }
        if self.storage.scrub_period_days > SCRUB_PERIOD_DAYS_MAX {
            return invalid(format!("storage.scrub_period_days must be at most {SCRUB_PERIOD_DAYS_MAX}"));
        }
        if self.storage.evacuate_after_minutes > EVACUATE_AFTER_MINUTES_MAX {
            return invalid(format!("storage.evacuate_after_minutes must be at most {EVACUATE_AFTER_MINUTES_MAX}"));
        }
        let limits = &self.limits;
        if limits.connections == 0 || limits.headers == 0 || !(8 << 10..=128 << 10).contains(&limits.head_bytes) {
            return invalid(
                "limits: connections and headers must not be 0, head_bytes must be 8 KiB to 128 KiB".into(),
            );
        }
        if self.lifecycle.day_s == 0 || self.lifecycle.every_s == 0 || self.lifecycle.keys_per_second == 0 {
            return invalid("lifecycle: day_s, every_s and keys_per_second must not be 0".into());
        }
        if self.access_log.every_s == 0 {
            return invalid("access_log.every_s must not be 0".into());
        }
        let storage = self.storage.pack.check().and_then(|()| self.storage.reclaim.check());
        if let Err(message) = storage.and_then(|()| check_targets(&self.notification_targets)) {
            return invalid(message);
        }
        Ok(self)
    }

    /// How the mender may spend the drives' time.
    pub fn mend(&self) -> MendConfig {
        MendConfig {
            repair_bytes_per_s: self.storage.repair_bytes_per_second,
            scrub_period_s: self.storage.scrub_period_days * DAY_S,
            evacuate_after_s: self.storage.evacuate_after_minutes * 60,
        }
    }

    /// The origin line of the tenant's `cycle` log.
    pub fn journal_origin(&self) -> String {
        format!("chartrier.local/{}/cycle", self.tenant)
    }

    /// Whether issuers on this machine may be asked for their keys.
    pub fn trusts_local_issuers(&self) -> LocalIssuers {
        match self.web_identity.local_issuers.unwrap_or(self.listen.ip().is_loopback()) {
            true => LocalIssuers::Asked,
            false => LocalIssuers::Refused,
        }
    }

    /// The grace after SIGTERM.
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_six_drives_at_four_plus_two() {
        let config = Config::default().complete().unwrap();
        assert_eq!(config.drives.len(), 6);
        assert_eq!(config.drives[5], Path::new("./chartrier-data/drives/d6"));
        assert_eq!(config.erasure.to_string(), "4+2");
    }

    #[test]
    fn unknown_keys_and_values_are_refused() {
        let parse = toml::from_str::<Config>;
        assert!(parse("region = 'eu'\n[limits]\nconnections = 10").is_ok());
        assert!(parse("regoin = 'eu'").is_err());
        assert!(parse("[limits]\nconections = 10").is_err());
        assert!(parse("erasure = '5+1'").is_err());
        assert!(parse("sse_c = 'maybe'").is_err());
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(parse(&text).unwrap(), Config::default());
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.complete()
        };
        assert!(with(|c| c.drives = vec!["/d1".into()]).is_err());
        assert!(with(|c| c.erasure = Geometry { k: 1, m: 0 }).is_err());
        assert!(with(|c| (c.erasure, c.unprotected) = (Geometry { k: 1, m: 0 }, true)).is_ok());
        assert!(with(|c| c.tls.key = Some("k.pem".into())).is_err());
        assert!(with(|c| c.limits.head_bytes = 10).is_err());
        assert!(with(|c| c.storage.reclaim.orphan_age_s = 3599).is_err());
        assert!(with(|c| c.storage.reclaim.compact_dead_percent = 0).is_err());
        assert!(with(|c| c.storage.reclaim.grace_s = 0).is_ok());
        fn target(name: &str) -> NotificationTarget {
            NotificationTarget { name: name.into(), ..NotificationTarget::default() }
        }
        assert!(with(|c| c.notification_targets = vec![target("a"), target("b")]).is_ok());
        assert!(with(|c| c.notification_targets = vec![target("a"), target("a")]).is_err());
        assert!(with(|c| c.notification_targets = vec![target("a:b")]).is_err());
    }
}
