//! Access keys: made, sealed under the operator key, opened again.

use chartrier_crypto::OperatorKey;
use chartrier_storage::env::Env;
use chartrier_storage::namespace::rows::AccessKeyRow;
use zeroize::Zeroizing;

/// As long as AWS's.
const SECRET_CHARS: usize = 40;

/// A new access key in clear: shown to its owner once.
pub struct NewAccessKey {
    /// The public half: 20 characters.
    pub access_key_id: String,
    /// The secret half: 40 characters.
    pub secret: Zeroizing<String>,
}

impl NewAccessKey {
    /// Draws a key: 80 random bits name it, 238 are its secret.
    ///
    /// The secret has letters and digits only, so that no shell, option parser or URL reads one of its
    /// characters as something else.
    pub fn generate(env: &Env) -> Self {
        const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let id = env.random_bytes::<16>();
        let id = id.iter().map(|&byte| char::from(ID_ALPHABET[usize::from(byte) % ID_ALPHABET.len()]));
        Self { access_key_id: "CHTR".chars().chain(id).collect(), secret: draw_secret(env) }
    }

    /// The row that stores it.
    pub fn seal(&self, operator_key: &OperatorKey, env: &Env) -> AccessKeyRow {
        let sealed_secret =
            operator_key.seal_secret(label(&self.access_key_id).as_bytes(), env.random_bytes(), self.secret.as_bytes());
        AccessKeyRow {
            access_key_id: self.access_key_id.clone(),
            sealed_secret,
            created_us: env.clock.now_us(),
            disabled: false,
            expires_us: None,
        }
    }
}

/// Letters and digits, each as likely as the others.
fn draw_secret(env: &Env) -> Zeroizing<String> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    // Above the last multiple of 62 a byte would favour the first letters: it is drawn again.
    let fair = |byte: &u8| usize::from(*byte) < 256 / ALPHABET.len() * ALPHABET.len();
    let mut secret = Zeroizing::new(String::with_capacity(SECRET_CHARS));
    while secret.len() < SECRET_CHARS {
        let random = Zeroizing::new(env.random_bytes::<SECRET_CHARS>());
        let drawn = random.iter().copied().filter(fair).take(SECRET_CHARS - secret.len());
        drawn.for_each(|byte| secret.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])));
    }
    secret
}

/// The secret of a row, or `None` if it does not open.
pub fn open_secret(operator_key: &OperatorKey, row: &AccessKeyRow) -> Option<Zeroizing<String>> {
    let plain = operator_key.open_secret(label(&row.access_key_id).as_bytes(), &row.sealed_secret).ok()?;
    std::str::from_utf8(&plain).ok().map(|text| Zeroizing::new(text.to_owned()))
}

/// Binds a sealed secret to the id that it belongs to.
fn label(access_key_id: &str) -> String {
    format!("chartrier/access-key/{access_key_id}")
}

#[cfg(test)]
mod tests {
    use chartrier_storage::env::SimEnv;

    use super::*;

    #[test]
    fn secrets_are_letters_and_digits() {
        let env = SimEnv::env(1);
        for _ in 0..1_000 {
            let secret = NewAccessKey::generate(&env).secret;
            assert_eq!(secret.len(), SECRET_CHARS);
            assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn a_sealed_secret_opens_only_under_its_key_and_id() {
        let env = SimEnv::env(1);
        let operator_key = OperatorKey::from_slice(&[1; 32]).unwrap();
        let key = NewAccessKey::generate(&env);
        assert_eq!((key.access_key_id.len(), key.secret.len()), (20, 40));
        let mut row = key.seal(&operator_key, &env);
        assert_eq!(open_secret(&operator_key, &row).unwrap().as_str(), key.secret.as_str());
        assert!(open_secret(&OperatorKey::from_slice(&[2; 32]).unwrap(), &row).is_none());
        row.access_key_id = "CHTRAAAAAAAAAAAAAAAA".into();
        assert!(open_secret(&operator_key, &row).is_none());
    }
}
