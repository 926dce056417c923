//! The keys that an issuer publishes: a JSON Web Key Set.
//!
//! Source: RFC 7517.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartrier_crypto::{SignatureAlgorithm, SignerKey};
use serde_json::Value;

/// Most keys of one issuer; the rest are not looked at.
const KEYS_MAX: usize = 50;

/// One key of an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerKey {
    /// By which tokens name it.
    pub id: Option<String>,
    /// What it is for; any algorithm of its kind, if that is not said.
    pub algorithm: Option<SignatureAlgorithm>,
    /// The key.
    pub key: SignerKey,
}

impl IssuerKey {
    /// Whether it signs with an algorithm.
    pub fn serves(&self, algorithm: SignatureAlgorithm) -> bool {
        self.algorithm.is_none_or(|only| only == algorithm) && self.key.serves(algorithm)
    }
}

/// Reads a set. Keys of other kinds and uses are left out; `None` if it is no set.
pub(in crate::sts) fn parse(bytes: &[u8]) -> Option<Vec<IssuerKey>> {
    let set: Value = serde_json::from_slice(bytes).ok()?;
    let keys = set.get("keys")?.as_array()?;
    Some(keys.iter().take(KEYS_MAX).filter_map(key).collect())
}

fn key(jwk: &Value) -> Option<IssuerKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let algorithm = match text("alg") {
        None => None,
        // A key for something else is not for this.
        Some(name) => Some(SignatureAlgorithm::from_name(name)?),
    };
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok();
    let key = match (text("kty")?, text("crv")) {
        ("RSA", _) => SignerKey::Rsa { n: bytes("n")?, e: bytes("e")? },
        ("EC", Some("P-256")) => SignerKey::P256 { x: fixed(bytes("x")?)?, y: fixed(bytes("y")?)? },
        ("EC", Some("P-384")) => SignerKey::P384 { x: fixed(bytes("x")?)?, y: fixed(bytes("y")?)? },
        ("OKP", Some("Ed25519")) => SignerKey::Ed25519(bytes("x")?.try_into().ok()?),
        _ => return None,
    };
    Some(IssuerKey { id: text("kid").map(str::to_owned), algorithm, key })
}

/// A coordinate at its full length: some issuers leave out zeros in front.
fn fixed<const N: usize>(bytes: Vec<u8>) -> Option<[u8; N]> {
    let mut out = [0; N];
    out.get_mut(N.checked_sub(bytes.len())?..)?.copy_from_slice(&bytes);
    Some(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_sign_are_read_and_others_left_out() {
        let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
        let set = json!({"keys": [
            {"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": "AQAB", "e": "AQAB"},
            {"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode([7; 31]), "y": coordinate},
            {"kty": "OKP", "crv": "Ed25519", "kid": "o", "x": coordinate},
            {"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"},
            {"kty": "oct", "k": "AQAB"},
            {"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode([7; 33]), "y": coordinate},
            {"kty": "EC", "crv": "secp256k1", "x": coordinate, "y": coordinate},
            {"kty": "RSA"}, 7, {}
        ]});
        let keys = parse(set.to_string().as_bytes()).unwrap();
        assert_eq!(keys.len(), 3);
        assert_eq!((keys[0].id.as_deref(), keys[0].algorithm), (Some("r"), Some(SignatureAlgorithm::Rs256)));
        assert!(keys[0].serves(SignatureAlgorithm::Rs256) && !keys[0].serves(SignatureAlgorithm::Ps256));
        assert!(matches!(&keys[1].key, SignerKey::P256 { x, .. } if x[0] == 0 && x[1] == 7));
        assert!(keys[2].serves(SignatureAlgorithm::EdDsa));
        assert_eq!(parse(b"[]"), None);
        assert_eq!(parse(b"{\"keys\":{}}"), None);
        assert_eq!(parse(b"<html>"), None);
    }
}
