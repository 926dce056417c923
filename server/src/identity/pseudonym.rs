//! Pseudonyms: how leaves name an account without naming it.
//!
//! A pseudonym is an HMAC under a key of the tenant and the year, so that destroying an old year's
//! key makes its pseudonyms those of nobody.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use chartrier_crypto::hmac_sha256;
use zeroize::Zeroizing;

/// Most pseudonyms kept ready.
const CACHED_MAX: usize = 4096;

/// Makes pseudonyms of one tenant.
pub struct Pseudonyms {
    tenant: String,
    root: Zeroizing<[u8; 32]>,
    cache: RwLock<(i32, HashMap<String, String>)>,
}

impl Pseudonyms {
    /// From the key file and the tenant's name.
    pub fn new(root: Zeroizing<[u8; 32]>, tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), root, cache: RwLock::default() }
    }

    /// The pseudonym of a user id at a time: 32 hexadecimal digits.
    pub fn of(&self, user_id: &str, time_us: u64) -> String {
        let year = year_of(time_us);
        {
            let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = (cache.0 == year).then(|| cache.1.get(user_id)).flatten() {
                return known.clone();
            }
        }
        let key = Zeroizing::new(hmac_sha256(self.root.as_slice(), format!("pid/{}/{year}", self.tenant).as_bytes()));
        let pseudonym = hex::encode(&hmac_sha256(key.as_slice(), user_id.as_bytes())[..16]);
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        if cache.0 != year || cache.1.len() >= CACHED_MAX {
            *cache = (year, HashMap::new());
        }
        cache.1.insert(user_id.to_owned(), pseudonym.clone());
        pseudonym
    }
}

fn year_of(time_us: u64) -> i32 {
    let seconds = i64::try_from(time_us / 1_000_000).unwrap_or(0);
    time::OffsetDateTime::from_unix_timestamp(seconds).map_or(1970, |t| t.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_are_stable_within_a_year_and_differ_across_users_and_years() {
        let pseudonyms = Pseudonyms::new(Zeroizing::new([7; 32]), "default");
        let (in_2026, in_2027) = (1_795_322_747_000_000, 1_826_858_747_000_000);
        let one = pseudonyms.of("one", in_2026);
        assert_eq!(pseudonyms.of("one", in_2026 + 1), one);
        assert_ne!(pseudonyms.of("two", in_2026), one);
        assert_ne!(pseudonyms.of("one", in_2027), one);
        assert_eq!(pseudonyms.of("one", in_2026), one);
        assert_eq!(one.len(), 32);
    }
}
