//! Where a drive stands: a French department or territory, and nothing else.

use std::fmt;
use std::str::FromStr;

/// Overseas places that count as France, by their ISO 3166 letters.
const OVERSEAS: [&str; 6] = ["GP", "GF", "MQ", "RE", "YT", "MF"];

/// A place in France: `FR-75`, `FR-2A`, `FR-RE`.
///
/// An allowlist: metropolitan departments and six overseas territories. Nothing turns it off.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Site([u8; 2]);

/// Not a place where a drive may stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a French department (FR-01 to FR-95, FR-2A, FR-2B) nor FR-GP, GF, MQ, RE, YT, MF")]
pub struct UnknownSite(String);

impl Site {
    /// The two characters after `FR-`.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when it was parsed")
    }
}

impl FromStr for Site {
    type Err = UnknownSite;

    fn from_str(text: &str) -> Result<Self, UnknownSite> {
        let unknown = || UnknownSite(text.to_owned());
        let code = text.strip_prefix("FR-").ok_or_else(unknown)?;
        let bytes: [u8; 2] = code.as_bytes().try_into().map_err(|_| unknown())?;
        // Corsica is 2A and 2B; 20 has not been a department since 1976.
        let department = bytes.iter().all(u8::is_ascii_digit)
            && code.parse::<u8>().is_ok_and(|number| (1..=95).contains(&number) && number != 20);
        if department || code == "2A" || code == "2B" || OVERSEAS.contains(&code) {
            Ok(Self(bytes))
        } else {
            Err(unknown())
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FR-{}", self.code())
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_france() {
        for good in ["FR-75", "FR-01", "FR-95", "FR-2A", "FR-2B", "FR-RE", "FR-YT"] {
            assert_eq!(good.parse::<Site>().unwrap().to_string(), good);
        }
        for bad in ["FR", "FR-", "FR-00", "FR-20", "FR-96", "FR-1", "FR-NC", "FR-+1", "DE-BE", "fr-75", "FR-755", ""] {
            assert!(bad.parse::<Site>().is_err(), "{bad}");
        }
    }
}
