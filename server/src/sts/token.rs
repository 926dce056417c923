//! Session tokens: what a session is, sealed under the operator key and carried by the client.
//!
//! ```text
//! token = base64url( sealed box of the operator key, label "chartrier/session/3/" + access key id )
//!         in it, as JSON: whose session, by which way, from when until when, its policies, its secret
//! ```
//!
//! Nothing of a session is stored here. A token opens only under the key that sealed it, with the
//! access key id that it was given out with; a changed byte opens nothing. The version in the label
//! changes with the content.

use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartrier_crypto::OperatorKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::tags::SessionTags;

/// Longest token that is looked at: ten times what the largest session needs.
pub const TOKEN_LEN_BYTES_MAX: usize = 48 << 10;

/// What a token says, but for the secret that its session signs with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Canonical id of the account in which it acts.
    pub account: String,
    /// As whom.
    pub subject: Subject,
    /// How its client called it; empty for `GetSessionToken`.
    pub name: String,
    /// How it was come by.
    pub source: Source,
    /// Who is behind it, for the journal's pseudonym: a canonical id, or issuer and subject.
    pub actor: String,
    /// Unix time in seconds.
    pub issued_s: i64,
    /// Unix time in seconds from which on it signs nothing.
    pub expires_s: i64,
    /// The policy that narrows it, as written.
    pub policy: Option<String>,
    /// ARNs of managed policies that narrow it.
    pub policy_arns: Vec<String>,
    /// What it brings to policies beside.
    pub tags: SessionTags,
}

/// An opened token: claims that are believed, only because they were sealed here, and a secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    claims: Claims,
    secret: String,
}

/// As whom a session acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// A user itself: `GetSessionToken`.
    User {
        /// Canonical id of the user.
        id: String,
    },
    /// A role: a new one of the same name is another.
    Role {
        /// Its name in the account.
        name: String,
        /// `AROA…`
        id: String,
    },
}

/// What a session hangs on: once it goes, so does the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The long-lived access key that asked first, however many roles lie between.
    AccessKey(String),
    /// A provider of identities, however many roles lie between.
    Provider {
        /// Canonical id of the account that believes it.
        account: String,
        /// Its URL without a scheme.
        key: String,
    },
}

/// A token does not open: changed, cut, made elsewhere, or of another access key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRefused;

/// Temporary credentials, as their owner gets them. No `Debug`.
pub struct TemporaryKey {
    /// `ASIA…`, 20 characters.
    pub access_key_id: String,
    /// 40 characters.
    pub secret: Zeroizing<String>,
}

impl TemporaryKey {
    /// Draws one: 80 random bits name it, 240 are its secret.
    pub fn from_random(id: [u8; 16], secret: &Zeroizing<[u8; 40]>) -> Self {
        const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        const SECRET_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let letter = |alphabet: &[u8], byte: u8| char::from(alphabet[usize::from(byte) % alphabet.len()]);
        let access_key_id = PREFIX.chars().chain(id.iter().map(|byte| letter(ID_ALPHABET, *byte))).collect();
        let mut text = Zeroizing::new(String::with_capacity(secret.len()));
        secret.iter().for_each(|byte| text.push(letter(SECRET_ALPHABET, *byte)));
        Self { access_key_id, secret: text }
    }
}

/// The beginning of every temporary access key id, as on AWS.
pub const PREFIX: &str = "ASIA";

impl Claims {
    /// Seals them with the key of their session. `salt` is 32 fresh random bytes.
    pub fn seal(&self, key: &TemporaryKey, operator_key: &OperatorKey, salt: [u8; 32]) -> String {
        #[derive(Serialize)]
        struct Content<'a> {
            claims: &'a Claims,
            secret: &'a str,
        }
        let content = Content { claims: self, secret: &key.secret };
        let plain = Zeroizing::new(serde_json::to_vec(&content).expect("texts and numbers are JSON"));
        URL_SAFE_NO_PAD.encode(operator_key.seal_secret(label(&key.access_key_id).as_bytes(), salt, &plain))
    }
}

impl Session {
    /// Opens a token that came with an access key id. It may have ended: see [`Session::has_ended`].
    ///
    /// # Errors
    /// [`TokenRefused`], which does not say why.
    pub fn open(operator_key: &OperatorKey, access_key_id: &str, token: &str) -> Result<Self, TokenRefused> {
        if token.len() > TOKEN_LEN_BYTES_MAX || !access_key_id.starts_with(PREFIX) {
            return Err(TokenRefused);
        }
        let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenRefused)?;
        let plain = operator_key.open_secret(label(access_key_id).as_bytes(), &sealed).map_err(|_| TokenRefused)?;
        serde_json::from_slice(&plain).map_err(|_| TokenRefused)
    }

    /// Whether it signs nothing any more.
    pub fn has_ended(&self, now_s: i64) -> bool {
        now_s >= self.expires_s
    }

    /// What it signs with.
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

impl Deref for Session {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.claims
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
    }
}

/// Says what the box is and whose; the number is the version of the content.
fn label(access_key_id: &str) -> String {
    format!("chartrier/session/3/{access_key_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator_key(byte: u8) -> OperatorKey {
        OperatorKey::from_slice(&[byte; 32]).unwrap()
    }

    fn sealed() -> (TemporaryKey, String) {
        let key = TemporaryKey::from_random([7; 16], &Zeroizing::new([9; 40]));
        let claims = Claims {
            account: "a".repeat(64),
            subject: Subject::Role { name: "reader".into(), id: "AROAX".into() },
            name: "of-mine".into(),
            source: Source::AccessKey("CHTRX".into()),
            actor: "b".repeat(64),
            issued_s: 1000,
            expires_s: 4600,
            policy: Some("{}".into()),
            policy_arns: vec!["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess".into()],
            tags: SessionTags::default(),
        };
        let token = claims.seal(&key, &operator_key(1), [3; 32]);
        (key, token)
    }

    #[test]
    fn a_token_opens_as_it_was_sealed_and_ends_when_it_says() {
        let (key, token) = sealed();
        assert!(key.access_key_id.starts_with("ASIA") && key.access_key_id.len() == 20 && key.secret.len() == 40);
        let session = Session::open(&operator_key(1), &key.access_key_id, &token).ok().unwrap();
        assert_eq!(session.secret(), key.secret.as_str());
        assert_eq!(session.subject, Subject::Role { name: "reader".into(), id: "AROAX".into() });
        assert_eq!((session.name.as_str(), session.policy.as_deref()), ("of-mine", Some("{}")));
        assert!(!session.has_ended(4599));
        assert!(session.has_ended(4600));
        // What the client holds shows nothing of it.
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"reader" || window == key.secret[..6].as_bytes()));
    }

    #[test]
    fn no_changed_cut_or_foreign_token_opens() {
        let (key, token) = sealed();
        let refused = |id: &str, token: &str| Session::open(&operator_key(1), id, token).is_err();
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&key.access_key_id, &URL_SAFE_NO_PAD.encode(changed)), "bit {bit}");
        }
        for len in 0..token.len() {
            assert!(refused(&key.access_key_id, &token[..len]), "{len} characters");
        }
        assert!(refused(&key.access_key_id, &format!("{token}AAAA")));
        assert!(refused("ASIAAAAAAAAAAAAAAAAA", &token));
        assert!(refused("", &token));
        assert!(Session::open(&operator_key(2), &key.access_key_id, &token).is_err());
        // A secret that was sealed for something else is no token.
        let other = operator_key(1).seal_secret(b"chartrier/access-key/ASIAX", [1; 32], b"{}");
        assert!(refused("ASIAX", &URL_SAFE_NO_PAD.encode(other)));
    }
}
