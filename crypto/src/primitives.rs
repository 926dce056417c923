//! AEAD, HKDF, HMAC, SHA-2 and the checking of signatures. The only file that names `ring`.
//!
//! `ring` wipes nothing: its contexts leave key bytes on the stack. Every call here that touches
//! a key therefore runs inside [`scrubbed`].

use std::hint::black_box;

use ring::{aead, digest, hkdf, hmac, signature};
use zeroize::Zeroize;

use crate::locked::LockedBox;
use crate::signature::SignatureAlgorithm;

/// Bytes of an AES-GCM tag.
pub const TAG_LEN: usize = 16;

/// Bytes of every key of SOV1.
pub(crate) const KEY_LEN: usize = 32;

/// Bytes of an AES-GCM nonce.
pub(crate) const NONCE_LEN: usize = 12;

/// Fills `out` with HKDF-Expand-SHA-512 of a uniformly random `prk`.
pub(crate) fn hkdf_expand(prk: &[u8; KEY_LEN], info: &[&[u8]], out: &mut [u8]) {
    scrubbed(|| expand(&hkdf::Prk::new_less_safe(hkdf::HKDF_SHA512, prk), info, out));
}

/// Fills `out` with HKDF-SHA-512, extract and expand.
pub(crate) fn hkdf(salt: &[u8], ikm: &[u8; KEY_LEN], info: &[&[u8]], out: &mut [u8]) {
    scrubbed(|| {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA512, salt).extract(ikm);
        expand(&prk, info, out);
    });
}

fn expand(prk: &hkdf::Prk, info: &[&[u8]], out: &mut [u8]) {
    prk.expand(info, OutputLen(out.len()))
        .and_then(|okm| okm.fill(out))
        .expect("SOV1 expands to at most 76 bytes of the 16 320 that HKDF allows");
}

struct OutputLen(usize);

impl hkdf::KeyType for OutputLen {
    fn len(&self) -> usize {
        self.0
    }
}

/// An expanded AES-256-GCM key, in locked memory.
pub(crate) struct AeadKey(LockedBox<aead::LessSafeKey>);

impl AeadKey {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        scrubbed(|| {
            let key = aead::UnboundKey::new(&aead::AES_256_GCM, key).expect("32 bytes");
            Self(LockedBox::new(aead::LessSafeKey::new(key)))
        })
    }

    /// Encrypts `data` in place and returns the tag.
    ///
    /// The pair of key and nonce must be used for one message only: callers derive the key for
    /// one message, or count the nonce.
    pub(crate) fn seal_in_place_assume_unique_nonce(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, aead::Aad::from(aad), data)
            .expect("SOV1 seals less than the 64 GiB that GCM allows");
        let mut out = [0; TAG_LEN];
        out.copy_from_slice(tag.as_ref());
        out
    }

    /// Opens ciphertext and tag at `buf[from..]`, putting the plaintext at the start of `buf`.
    ///
    /// Returns the plaintext's length, or `None` when authentication fails; `buf` then holds no
    /// plaintext.
    pub(crate) fn open_within(&self, nonce: [u8; NONCE_LEN], aad: &[u8], buf: &mut [u8], from: usize) -> Option<usize> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.0.open_within(nonce, aead::Aad::from(aad), buf, from..).ok().map(|plain| plain.len())
    }
}

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    to_array(digest::digest(&digest::SHA256, data).as_ref())
}

/// SHA-512 of `data`.
pub fn sha512(data: &[u8]) -> [u8; 64] {
    to_array(digest::digest(&digest::SHA512, data).as_ref())
}

macro_rules! streaming_digest {
    ($(#[$doc:meta])* $name:ident, $algorithm:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(digest::Context);

        impl $name {
            /// Of nothing yet.
            pub fn new() -> Self {
                Self(digest::Context::new(&digest::$algorithm))
            }

            /// Adds the next bytes.
            pub fn update(&mut self, data: &[u8]) {
                self.0.update(data);
            }

            /// The digest of all bytes added.
            pub fn finish(self) -> [u8; $len] {
                to_array(self.0.finish().as_ref())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}

streaming_digest!(
    /// SHA-256 of data that comes in pieces.
    Sha256,
    SHA256,
    32
);
streaming_digest!(
    /// SHA-512 of data that comes in pieces.
    Sha512,
    SHA512,
    64
);

/// HMAC-SHA-256 of `data` under a key of any length.
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    scrubbed(|| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        to_array(hmac::sign(&key, data).as_ref())
    })
}

/// HMAC-SHA-256 of data that comes in pieces.
pub struct HmacSha256(hmac::Context);

impl HmacSha256 {
    /// Under a key of any length, of nothing yet.
    pub fn new(key: &[u8]) -> Self {
        scrubbed(|| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            Self(hmac::Context::with_key(&key))
        })
    }

    /// Adds the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The code of all bytes added.
    pub fn finish(self) -> [u8; 32] {
        to_array(self.0.sign().as_ref())
    }
}

/// HMAC-SHA-512 of the pieces that `feed` passes on, cut to 32 bytes.
pub(crate) fn hmac_sha512_256(key: &[u8; KEY_LEN], feed: impl FnOnce(&mut dyn FnMut(&[u8]))) -> [u8; 32] {
    scrubbed(|| {
        let key = hmac::Key::new(hmac::HMAC_SHA512, key);
        let mut context = hmac::Context::with_key(&key);
        feed(&mut |bytes| context.update(bytes));
        to_array(&context.sign().as_ref()[..32])
    })
}

/// Whether two byte strings are equal, in a time that depends on their lengths only.
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |sum, (x, y)| black_box(sum | (x ^ y)));
    a.len() == b.len() && black_box(difference) == 0
}

/// A public key as `ring` takes it.
#[derive(Clone, Copy)]
pub(crate) enum PublicKey<'k> {
    /// Modulus and exponent, big-endian.
    Rsa { n: &'k [u8], e: &'k [u8] },
    /// A point, uncompressed, or the bytes of Ed25519.
    Bytes(&'k [u8]),
}

/// Whether a signature is that of a key over a message. The key must be of the algorithm's kind.
pub(crate) fn verify_signature(
    algorithm: SignatureAlgorithm,
    key: PublicKey<'_>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    use SignatureAlgorithm as A;
    let rsa = match algorithm {
        A::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        A::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        A::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        A::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        A::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        A::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        A::Es256 => return verify_bytes(&signature::ECDSA_P256_SHA256_FIXED, key, message, signature),
        A::Es384 => return verify_bytes(&signature::ECDSA_P384_SHA384_FIXED, key, message, signature),
        A::EdDsa => return verify_bytes(&signature::ED25519, key, message, signature),
    };
    let PublicKey::Rsa { n, e } = key else { return false };
    // RSA numbers carry no zeros in front here; some JWKs do.
    let bare = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    signature::RsaPublicKeyComponents { n: bare(n), e: bare(e) }.verify(rsa, message, signature).is_ok()
}

fn verify_bytes(
    algorithm: &'static dyn signature::VerificationAlgorithm,
    key: PublicKey<'_>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let PublicKey::Bytes(key) = key else { return false };
    signature::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
}

/// Runs `f`, then overwrites the stack that it used.
pub(crate) fn scrubbed<R>(f: impl FnOnce() -> R) -> R {
    let result = call(f);
    scrub_stack();
    result
}

#[inline(never)]
fn call<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Zeroes the stack below the caller's frame, deeper than any frame of `ring` reaches.
#[inline(never)]
fn scrub_stack() {
    // Whole words: a volatile store for each byte was a tenth of what a small request costs.
    let mut stack = [0_u64; SCRUB_LEN / size_of::<u64>()];
    stack.zeroize();
    black_box(&mut stack);
}

const SCRUB_LEN: usize = 8 * 1024;

fn to_array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the algorithm has one output length")
}
