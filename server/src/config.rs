//! The configuration: defaults, then the TOML file, then the command line. Unknown keys are refused.

mod edge;
mod erasure;
mod limits;
mod storage;
mod workers;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chartrier_storage::mend::MendConfig;
use serde::{Deserialize, Serialize};

pub use self::edge::{FormSignatureV2, LogConfig, LogFormat, NewBuckets, PlainHttp, SseC, TlsConfig};
pub use self::erasure::Geometry;
pub use self::limits::{Limits, RateLimits};
use self::storage::{DAY_S, EVACUATE_AFTER_MINUTES_MAX, SCRUB_PERIOD_DAYS_MAX};
pub use self::storage::{PackSettings, ReclaimSettings, StorageConfig};
use self::workers::check_targets;
pub use self::workers::{AccessLogConfig, LifecycleConfig, NotificationTarget, WebIdentityConfig};
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
            region_aliases: vec!["us-east-1".into(), "default".into()],
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
