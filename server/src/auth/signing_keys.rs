//! Signing keys: derived once per access key, day and region.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use zeroize::Zeroizing;

/// Most keys kept; the whole cache is dropped when it is full, which one derivation each repairs.
const CACHED_KEYS_MAX: usize = 4096;

/// A derived key. It has no `Debug` and is wiped when the last user drops it.
pub struct SigningKey(Zeroizing<Vec<u8>>);

impl SigningKey {
    /// Derives the key of a secret for one day, region and service.
    pub fn derive(secret: &str, day: SystemTime, region: &str, service: &str) -> Self {
        Self(Zeroizing::new(generate_signing_key(secret, day, region, service).as_ref().to_vec()))
    }

    /// The signature of a string to sign: 64 hexadecimal digits.
    pub fn sign(&self, string_to_sign: &[u8]) -> String {
        calculate_signature(self.0.as_slice(), string_to_sign)
    }
}

/// The cache of derived keys.
#[derive(Default)]
pub struct SigningKeys {
    cache: RwLock<HashMap<String, Arc<SigningKey>>>,
}

impl SigningKeys {
    /// The key for `secret`, derived unless it is cached under `(access_key_id, scope)`.
    ///
    /// `scope` is `YYYYMMDD/region/service/aws4_request`; `day` is any time within its date.
    pub(super) fn key(
        &self,
        access_key_id: &str,
        secret: &str,
        scope: &str,
        day: SystemTime,
        region: &str,
        service: &str,
    ) -> Arc<SigningKey> {
        let name = format!("{access_key_id}/{scope}");
        if let Some(key) = self.cache.read().unwrap_or_else(PoisonError::into_inner).get(&name) {
            return Arc::clone(key);
        }
        let key = Arc::new(SigningKey::derive(secret, day, region, service));
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHED_KEYS_MAX {
            cache.clear();
        }
        cache.insert(name, Arc::clone(&key));
        key
    }

    /// Forgets every key: called when identities change.
    pub fn clear(&self) {
        self.cache.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// Amazon's published derivation and signature example.
    #[test]
    fn amazons_example_signs_as_printed() {
        let day = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let key = SigningKey::derive("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", day, "us-east-1", "s3");
        let string_to_sign = "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n\
                              7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972";
        assert_eq!(
            key.sign(string_to_sign.as_bytes()),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }

    #[test]
    fn a_cached_key_is_the_derived_one_until_it_is_cleared() {
        let keys = SigningKeys::default();
        let get = |secret| keys.key("AK", secret, "20130524/fr/s3/aws4_request", UNIX_EPOCH, "fr", "s3").sign(b"x");
        let first = get("one");
        assert_eq!(get("two"), first);
        keys.clear();
        assert_ne!(get("two"), first);
    }
}
