//! Tokens of issuers: JSON Web Tokens in compact form, signed with a public key.
//!
//! Sources: RFC 7515, RFC 7519, RFC 8725 (the algorithm is the key's and never the token's choice
//! alone; `none` and shared secrets do not exist here).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartrier_crypto::SignatureAlgorithm;
use serde_json::{Map, Value};

use super::issuer::IssuerKey;

/// Longest token, as on AWS.
pub const TOKEN_LEN_BYTES_MAX: usize = 20_000;
/// How far an issuer's clock may be ahead of ours, in seconds.
const SKEW_S_MAX: i64 = 60;
/// Most audiences of one token that are looked at.
const AUDIENCES_MAX: usize = 100;

/// A token, read. Nothing in it is true before [`Jwt::is_signed_by`] says so.
#[derive(Debug)]
pub struct Jwt<'t> {
    algorithm: SignatureAlgorithm,
    key_id: Option<String>,
    claims: Map<String, Value>,
    issuer: String,
    signed: &'t [u8],
    signature: Vec<u8>,
}

/// A text is no token that could be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not three parts, not base64url, not JSON, too long.
    #[error("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")]
    Malformed,
    /// Signed in a way that is not taken: `none` and HMACs among them.
    #[error("The token's algorithm is not supported")]
    Algorithm,
    /// It asks for something that must be understood.
    #[error("The token has critical headers")]
    Critical,
    /// It does not say who made it.
    #[error("Missing a required claim: iss")]
    NoIssuer,
}

/// What a signed token says does not hold now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// `exp` is over.
    #[error("Token expired")]
    Expired,
    /// `nbf` or `iat` is to come.
    #[error("The token is not valid yet")]
    NotYet,
    /// One of these is missing, or is not what it should be.
    #[error("Missing a required claim: {0}")]
    Missing(&'static str),
}

impl<'t> Jwt<'t> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`JwtError`].
    pub fn parse(text: &'t str) -> Result<Self, JwtError> {
        if text.len() > TOKEN_LEN_BYTES_MAX {
            return Err(JwtError::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        let header = object(header)?;
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(JwtError::Malformed)?;
        let algorithm = SignatureAlgorithm::from_name(algorithm).ok_or(JwtError::Algorithm)?;
        if header.contains_key("crit") || header.contains_key("b64") || header.contains_key("zip") {
            return Err(JwtError::Critical);
        }
        let claims = object(claims)?;
        let issuer = claims.get("iss").and_then(Value::as_str).filter(|issuer| !issuer.is_empty());
        let issuer = issuer.ok_or(JwtError::NoIssuer)?.to_owned();
        Ok(Self {
            algorithm,
            key_id: header.get("kid").and_then(Value::as_str).map(str::to_owned),
            claims,
            issuer,
            signed: signed.as_bytes(),
            signature: decode(signature)?,
        })
    }

    /// Who says that it made it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Which key it says that signed it.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// For whom it is: who it was made for (`azp`) first, as on AWS.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        let party = self.claims.get("azp").and_then(Value::as_str);
        party.into_iter().chain(self.texts("aud"))
    }

    /// The texts of a claim: one, several, or none.
    pub fn texts(&self, claim: &str) -> impl Iterator<Item = &str> {
        let list: &[Value] = match self.claims.get(claim) {
            Some(Value::Array(list)) => list,
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        list.iter().take(AUDIENCES_MAX).filter_map(Value::as_str)
    }

    /// A claim, whatever it is.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// Whether one of these keys signed it: the one that it names, or any of its kind if it names none.
    pub fn is_signed_by(&self, keys: &[IssuerKey]) -> bool {
        let named = |key: &&IssuerKey| self.key_id.is_none() || key.id == self.key_id;
        let mut fitting = keys.iter().filter(named).filter(|key| key.serves(self.algorithm));
        fitting.any(|key| key.key.verifies(self.algorithm, self.signed, &self.signature))
    }

    /// The subject of a token that holds now.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn check(&self, now_s: i64) -> Result<&str, ClaimError> {
        let expires_s = self.time("exp")?.ok_or(ClaimError::Missing("exp"))?;
        if now_s >= expires_s {
            return Err(ClaimError::Expired);
        }
        for claim in ["nbf", "iat"] {
            if self.time(claim)?.is_some_and(|from_s| from_s > now_s.saturating_add(SKEW_S_MAX)) {
                return Err(ClaimError::NotYet);
            }
        }
        let subject = self.claims.get("sub").and_then(Value::as_str);
        subject.filter(|subject| (1..=255).contains(&subject.len())).ok_or(ClaimError::Missing("sub"))
    }

    /// A time claim in whole seconds. One that is no number is not as good as none.
    fn time(&self, claim: &'static str) -> Result<Option<i64>, ClaimError> {
        match self.claims.get(claim) {
            None => Ok(None),
            Some(value) => {
                let seconds = value.as_i64().or_else(|| whole_seconds(value.as_f64()?));
                seconds.map(Some).ok_or(ClaimError::Missing(claim))
            }
        }
    }
}

/// RFC 7519 allows fractions.
fn whole_seconds(seconds: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "within 2^53, where floor is exact")]
    (seconds.abs() < EXACT_MAX).then(|| seconds.floor() as i64)
}

fn object(part: &str) -> Result<Map<String, Value>, JwtError> {
    match serde_json::from_slice(&decode(part)?) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(JwtError::Malformed),
    }
}

fn decode(part: &str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)
}

#[cfg(test)]
mod tests {
    use chartrier_crypto::SignerKey;
    use serde_json::json;

    use super::*;

    fn token(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode("not a signature"))
    }

    fn claims() -> Value {
        json!({"iss": "https://idp", "sub": "alice", "aud": ["a", "b"], "exp": 2000, "iat": 1000})
    }

    #[test]
    fn only_public_key_algorithms_are_read() {
        let parse = |header: Value| Jwt::parse(&token(&header, &claims())).map(|_| ()).err();
        assert_eq!(parse(json!({"alg": "RS256"})), None);
        for bad in ["none", "None", "nOnE", "HS256", "HS384", "HS512", "dir", ""] {
            assert_eq!(parse(json!({"alg": bad})), Some(JwtError::Algorithm), "{bad}");
        }
        assert_eq!(parse(json!({})), Some(JwtError::Malformed));
        assert_eq!(parse(json!({"alg": "RS256", "crit": ["exp"]})), Some(JwtError::Critical));
        assert_eq!(parse(json!({"alg": "RS256", "b64": false})), Some(JwtError::Critical));
        let no_issuer = token(&json!({"alg": "RS256"}), &json!({"sub": "x"}));
        assert_eq!(Jwt::parse(&no_issuer).unwrap_err(), JwtError::NoIssuer);
        for bad in ["", "a", "a.b", "a.b.c", "..", "e30.e30.!", &"a".repeat(TOKEN_LEN_BYTES_MAX + 1)] {
            assert!(Jwt::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn claims_hold_within_their_time() {
        let check = |changed: Value, now_s: i64| {
            let mut claims = claims();
            for (name, value) in changed.as_object().unwrap() {
                claims[name] = value.clone();
            }
            let text = token(&json!({"alg": "ES256"}), &claims);
            Jwt::parse(&text).unwrap().check(now_s).map(str::to_owned)
        };
        assert_eq!(check(json!({}), 1999), Ok("alice".to_owned()));
        assert_eq!(check(json!({}), 2000), Err(ClaimError::Expired));
        assert_eq!(check(json!({"exp": 2000.5}), 1999), Ok("alice".to_owned()));
        assert_eq!(check(json!({"exp": "2000"}), 1999), Err(ClaimError::Missing("exp")));
        assert_eq!(check(json!({"exp": null}), 1999), Err(ClaimError::Missing("exp")));
        assert_eq!(check(json!({"exp": 1e300}), 1999), Err(ClaimError::Missing("exp")));
        assert_eq!(check(json!({"nbf": 1500}), 1440), Ok("alice".to_owned()));
        assert_eq!(check(json!({"nbf": 1500}), 1439), Err(ClaimError::NotYet));
        assert_eq!(check(json!({"iat": 1500}), 1439), Err(ClaimError::NotYet));
        assert_eq!(check(json!({"sub": ""}), 1500), Err(ClaimError::Missing("sub")));
        assert_eq!(check(json!({"sub": 7}), 1500), Err(ClaimError::Missing("sub")));
    }

    #[test]
    fn a_token_is_of_the_key_that_it_names_and_of_its_kind() {
        // RFC 7515, appendix A.3, by a key of P-256.
        let text = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let coordinate = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap();
        let x = coordinate("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
        let y = coordinate("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let jwt = Jwt::parse(text).unwrap();
        let key = |id: Option<&str>, algorithm| IssuerKey {
            id: id.map(str::to_owned),
            algorithm,
            key: SignerKey::P256 { x, y },
        };
        assert!(jwt.is_signed_by(&[key(None, None)]));
        assert!(jwt.is_signed_by(&[key(Some("x"), Some(SignatureAlgorithm::Es256))]));
        assert!(!jwt.is_signed_by(&[key(None, Some(SignatureAlgorithm::Es384))]));
        assert!(!jwt.is_signed_by(&[IssuerKey {
            id: None,
            algorithm: None,
            key: SignerKey::Rsa { n: vec![1; 256], e: vec![1, 0, 1] }
        }]));
        assert!(!jwt.is_signed_by(&[]));
        assert_eq!(jwt.audiences().count(), 0);
    }

    #[test]
    fn the_party_comes_before_the_audiences() {
        let mut claims = claims();
        claims["azp"] = "c".into();
        let text = token(&json!({"alg": "RS256"}), &claims);
        assert_eq!(Jwt::parse(&text).unwrap().audiences().collect::<Vec<_>>(), ["c", "a", "b"]);
    }
}
