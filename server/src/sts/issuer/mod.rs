//! Issuers of identities: where they are, and the keys that they publish.
//!
//! ```text
//! issuer URL ──▶ URL/.well-known/openid-configuration ──▶ jwks_uri ──▶ keys, kept for an hour
//! ```
//!
//! An account names its issuers, and strangers send tokens that name them: so only https is spoken,
//! no address of this machine or its link is asked, no redirect is followed, answers are bounded in
//! size and time, and an issuer is asked at most every [`ASKED_EVERY_S`] seconds, whatever keys tokens
//! name. A server for trying things out, which listens on loopback only, asks issuers there too, in the
//! clear if need be.
//!
//! Source: <https://openid.net/specs/openid-connect-discovery-1_0.html>

mod fetch;
mod jwks;
mod url;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Mutex;

pub use self::fetch::FetchError;
use self::fetch::Fetcher;
pub use self::jwks::IssuerKey;
pub use self::url::{IssuerUrl, IssuerUrlError, LocalIssuers};
#[cfg(any(fuzzing, test))]
pub(super) use self::{fetch::keys_url, jwks::parse as parse_keys};
use crate::trust::TrustError;

/// How long keys are used without asking again.
const FRESH_S: i64 = 3600;
/// How long keys are used while their issuer does not answer.
const STALE_S_MAX: i64 = 24 * 3600;
/// Shortest time between two questions to an issuer, in seconds.
pub const ASKED_EVERY_S: i64 = 2;
/// Most issuers whose keys are kept; all are forgotten when there are more.
const ISSUERS_MAX: usize = 1024;

/// The keys of issuers.
pub struct Issuers {
    fetcher: Fetcher,
    known: Mutex<HashMap<String, Arc<Mutex<Known>>>>,
}

/// What is known of one issuer. Its lock is held while it is asked: whoever else waits is answered
/// from what comes.
#[derive(Default)]
struct Known {
    keys: Arc<Vec<IssuerKey>>,
    fetched_s: Option<i64>,
    asked_s: Option<i64>,
}

impl Issuers {
    /// Knows nobody yet. `ca_file` adds authorities to those of the system; it is read now.
    ///
    /// # Errors
    /// [`TrustError`] if `ca_file` holds no authorities.
    pub fn new(local: LocalIssuers, ca_file: Option<&Path>) -> Result<Self, TrustError> {
        Ok(Self { fetcher: Fetcher::new(local, ca_file)?, known: Mutex::default() })
    }

    /// The keys of an issuer; asked for again if they are old, or if none has the id that is wanted.
    ///
    /// # Errors
    /// [`FetchError`] if the issuer cannot be asked and nothing recent is known of it.
    ///
    /// Cancel safe: what a question was to bring is asked for again.
    pub async fn keys(
        &self,
        url: &str,
        key_id: Option<&str>,
        clock_s: impl Fn() -> i64,
    ) -> Result<Arc<Vec<IssuerKey>>, FetchError> {
        let known = self.entry(url).await;
        let mut known = known.lock().await;
        let now_s = clock_s();
        let age_s = known.fetched_s.map(|fetched_s| now_s.saturating_sub(fetched_s));
        let has_key = key_id.is_none() || known.keys.iter().any(|key| key.id.as_deref() == key_id);
        if has_key && age_s.is_some_and(|age_s| (0..FRESH_S).contains(&age_s)) {
            return Ok(Arc::clone(&known.keys));
        }
        let kept = age_s.is_some_and(|age_s| age_s < STALE_S_MAX).then(|| Arc::clone(&known.keys));
        let asked_lately =
            known.asked_s.is_some_and(|asked_s| (0..ASKED_EVERY_S).contains(&now_s.saturating_sub(asked_s)));
        if asked_lately {
            return kept.ok_or(FetchError::TooSoon);
        }
        known.asked_s = Some(now_s);
        let fetched = self.fetcher.keys_of(url).await;
        // Whoever waited for a slow issuer is not the next to wait for it.
        known.asked_s = Some(clock_s());
        match fetched {
            Ok(keys) => {
                known.keys = Arc::new(keys);
                known.fetched_s = Some(now_s);
                Ok(Arc::clone(&known.keys))
            }
            Err(error) => kept.ok_or(error),
        }
    }

    async fn entry(&self, url: &str) -> Arc<Mutex<Known>> {
        let mut all = self.known.lock().await;
        if all.len() >= ISSUERS_MAX && !all.contains_key(url) {
            all.clear();
        }
        Arc::clone(all.entry(url.to_owned()).or_default())
    }
}
