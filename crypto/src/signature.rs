//! Signatures of other people: what identity providers sign tokens with.
//!
//! Only checking: this crate signs nothing. The algorithms are those of JWS that have a public key;
//! there is no way to ask for none, or for a shared secret.
//!
//! Source: RFC 7518, section 3, and RFC 8037.

use crate::primitives::{PublicKey, verify_signature};

/// An algorithm of JWS with a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256; a signature is `r` and `s`, 32 bytes each.
    Es256,
    /// ECDSA on P-384 with SHA-384; a signature is `r` and `s`, 48 bytes each.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl SignatureAlgorithm {
    /// By its name in JOSE headers; `None` for any other, `none` and the HMACs among them.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// A public key as JWKs carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerKey {
    /// RSA of 2048 to 8192 bits: modulus and exponent, big-endian.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The public exponent.
        e: Vec<u8>,
    },
    /// A point of P-256: coordinates of 32 bytes, big-endian.
    P256 {
        /// First coordinate.
        x: [u8; 32],
        /// Second coordinate.
        y: [u8; 32],
    },
    /// A point of P-384: coordinates of 48 bytes, big-endian.
    P384 {
        /// First coordinate.
        x: [u8; 48],
        /// Second coordinate.
        y: [u8; 48],
    },
    /// An Ed25519 key.
    Ed25519([u8; 32]),
}

impl SignerKey {
    /// Whether keys of this kind sign with an algorithm. A key of one kind never serves another.
    pub fn serves(&self, algorithm: SignatureAlgorithm) -> bool {
        use SignatureAlgorithm as A;
        match self {
            Self::Rsa { .. } => matches!(algorithm, A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512),
            Self::P256 { .. } => algorithm == A::Es256,
            Self::P384 { .. } => algorithm == A::Es384,
            Self::Ed25519(_) => algorithm == A::EdDsa,
        }
    }

    /// Whether `signature` is this key's, over `message`. False too for a key that is none, or too short.
    pub fn verifies(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.serves(algorithm) {
            return false;
        }
        let point = |x: &[u8], y: &[u8]| [&[UNCOMPRESSED], x, y].concat();
        match self {
            Self::Rsa { n, e } => verify_signature(algorithm, PublicKey::Rsa { n, e }, message, signature),
            Self::P256 { x, y } => verify_signature(algorithm, PublicKey::Bytes(&point(x, y)), message, signature),
            Self::P384 { x, y } => verify_signature(algorithm, PublicKey::Bytes(&point(x, y)), message, signature),
            Self::Ed25519(key) => verify_signature(algorithm, PublicKey::Bytes(key), message, signature),
        }
    }
}

/// First byte of a point with both coordinates, SEC 1.
const UNCOMPRESSED: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut out = Vec::new();
        let (mut held, mut bits) = (0_u32, 0);
        for c in text.bytes() {
            held = (held << 6) | u32::try_from(ALPHABET.iter().position(|a| *a == c).unwrap()).unwrap();
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                out.push(u8::try_from((held >> bits) & 0xff).unwrap());
            }
        }
        out
    }

    /// RFC 7515, appendix A.2.
    #[test]
    fn rs256_is_that_of_the_rfc() {
        let key = SignerKey::Rsa {
            n: bytes(
                "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR\
                 T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQ\
                 OS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8\
                 q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
            ),
            e: bytes("AQAB"),
        };
        let message = b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let mut signature = bytes(
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF\
             9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383Lc\
             OLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlV\
             mtVrBp0igcN_IoypGlUPQGe77Rw",
        );
        use SignatureAlgorithm as A;
        assert!(key.verifies(A::Rs256, message, &signature));
        assert!(!key.verifies(A::Rs512, message, &signature));
        assert!(!key.verifies(A::Ps256, message, &signature));
        assert!(!key.verifies(A::Es256, message, &signature));
        signature[17] ^= 1;
        assert!(!key.verifies(A::Rs256, message, &signature));
        assert!(!key.verifies(A::Rs256, message, b""));
    }

    /// RFC 7515, appendix A.3.
    #[test]
    fn es256_is_that_of_the_rfc() {
        let key = SignerKey::P256 {
            x: bytes("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU").try_into().unwrap(),
            y: bytes("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0").try_into().unwrap(),
        };
        let message = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = bytes("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
        assert!(key.verifies(SignatureAlgorithm::Es256, message, &signature));
        assert!(!key.verifies(SignatureAlgorithm::Es256, &message[1..], &signature));
        assert!(!key.verifies(SignatureAlgorithm::Es384, message, &signature));
        // A signature of zeros is nobody's, whatever the message.
        assert!(!key.verifies(SignatureAlgorithm::Es256, message, &[0; 64]));
    }

    /// RFC 8037, appendix A.4.
    #[test]
    fn eddsa_is_that_of_the_rfc() {
        let key = SignerKey::Ed25519(bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").try_into().unwrap());
        let signature = bytes("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        assert!(key.verifies(SignatureAlgorithm::EdDsa, message, &signature));
        assert!(!key.verifies(SignatureAlgorithm::EdDsa, b"other", &signature));
    }

    #[test]
    fn no_algorithm_goes_without_a_public_key() {
        for name in ["none", "None", "NONE", "HS256", "HS512", "", "rs256", "RS1"] {
            assert_eq!(SignatureAlgorithm::from_name(name), None, "{name}");
        }
    }
}
