//! Wrap records: one object key under a root key, bound to one version of one object.
//!
//! A stored record is an envelope of 32 bytes, then the wrap. The envelope has room for the
//! epoch seal (see `epoch.rs`), which hides the wrap under a key that can be destroyed.

use zeroize::Zeroizing;

use crate::encode::{array_at, push_lp};
use crate::error::UnwrapError;
use crate::keys::{ClientKey, ObjectKey, OperatorKey, Secret};
use crate::mode::Mode;
use crate::primitives::{AeadKey, KEY_LEN, TAG_LEN, ct_eq, hkdf, scrubbed};

/// The key at the top of the hierarchy, never stored.
#[derive(Clone, Copy)]
pub enum RootKey<'a> {
    /// Mode C: from the request.
    Client(&'a ClientKey),
    /// Mode O: the operator's.
    Operator(&'a OperatorKey),
}

impl RootKey<'_> {
    fn mode(&self) -> Mode {
        match self {
            Self::Client(_) => Mode::C,
            Self::Operator(_) => Mode::O,
        }
    }

    fn secret(&self) -> &Secret {
        match self {
            Self::Client(key) => &key.0,
            Self::Operator(key) => &key.0,
        }
    }
}

/// What a wrap is bound to: it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrapContext<'a> {
    /// Who holds the root key.
    pub mode: Mode,
    /// Id of the bucket, not its name.
    pub bucket: &'a [u8; 16],
    /// The object's key name in UTF-8.
    pub key_name: &'a [u8],
    /// Zero for the `null` version.
    pub version_id: &'a [u8; 16],
    /// The lineage that the data is bound to.
    pub object_uuid: &'a [u8; 16],
}

impl WrapContext<'_> {
    /// `ctx` of the specification: unambiguous, since each field carries its length.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(6 * 4 + 4 + 1 + 3 * 16 + self.key_name.len());
        push_lp(&mut out, b"sov1");
        push_lp(&mut out, &[self.mode.as_byte()]);
        push_lp(&mut out, self.bucket);
        push_lp(&mut out, self.key_name);
        push_lp(&mut out, self.version_id);
        push_lp(&mut out, self.object_uuid);
        out
    }
}

/// Wraps an object key for one version of one object.
///
/// `salt` is 32 fresh random bytes: the key-encryption key is derived from it and used once,
/// which is what makes the zero nonce safe. The result is [`WRAP_RECORD_LEN`] bytes.
///
/// # Panics
/// If the context's mode is not the one of the root key: a bug in the caller.
pub fn wrap(root: RootKey<'_>, object_key: &ObjectKey, context: &WrapContext<'_>, salt: [u8; 32]) -> Vec<u8> {
    assert_eq!(context.mode, root.mode(), "the root key is not of the context's mode");
    assert_ne!(salt, [0; 32], "a wrap salt is random");
    let derived = Derived::new(root, context, &salt);

    let mut record = Vec::with_capacity(WRAP_RECORD_LEN);
    record.extend_from_slice(&plain_envelope());
    record.extend_from_slice(WRAP_MAGIC);
    record.extend_from_slice(&[WRAP_VERSION, context.mode.as_byte(), SCHEME_HKDF, 0]);
    record.extend_from_slice(&salt);
    record.extend_from_slice(derived.key_check());
    record.extend_from_slice(object_key.0.bytes());
    let (header, wrapped) = record[ENVELOPE_LEN..].split_at_mut(WRAP_HEADER_LEN);
    let tag = derived.kek().seal_in_place_assume_unique_nonce([0; 12], header, wrapped);
    record.extend_from_slice(&tag);
    record
}

/// Opens a wrap record.
///
/// The key check is compared in constant time before anything is decrypted.
///
/// # Errors
/// [`UnwrapError::WrongKey`] for another root key or context; the other variants mean damaged
/// storage or a record under an epoch seal.
pub fn unwrap(root: RootKey<'_>, record: &[u8], context: &WrapContext<'_>) -> Result<ObjectKey, UnwrapError> {
    let Envelope::Plain(inner) = Envelope::parse(record)? else {
        return Err(UnwrapError::EpochSealed);
    };
    let fixed = [WRAP_VERSION, context.mode.as_byte(), SCHEME_HKDF, 0];
    if inner.len() != WRAP_LEN || inner[..4] != *WRAP_MAGIC || inner[4..8] != fixed {
        return Err(UnwrapError::Malformed);
    }
    if context.mode != root.mode() {
        return Err(UnwrapError::WrongKey);
    }
    let (header, wrapped) = inner.split_at(WRAP_HEADER_LEN);
    let derived = Derived::new(root, context, &array_at(header, 8));
    if !ct_eq(derived.key_check(), &header[40..]) {
        return Err(UnwrapError::WrongKey);
    }
    let mut opened = Ok(());
    let object_key = ObjectKey::generate_with(|slot| {
        opened = scrubbed(|| open_wrapped(&derived.kek(), header, wrapped, slot));
    });
    opened.map(|()| object_key)
}

fn open_wrapped(kek: &AeadKey, header: &[u8], wrapped: &[u8], slot: &mut [u8; KEY_LEN]) -> Result<(), UnwrapError> {
    let mut buf = Zeroizing::new([0; KEY_LEN + TAG_LEN]);
    buf.copy_from_slice(wrapped);
    kek.open_within([0; 12], header, &mut buf[..], 0).ok_or(UnwrapError::AuthenticationFailed)?;
    slot.copy_from_slice(&buf[..KEY_LEN]);
    Ok(())
}

/// Moves a wrap to another root key or version: no data is read or written.
///
/// # Errors
/// As [`unwrap`], for the old record.
///
/// # Panics
/// If the two contexts name different lineages, to which the data is bound: a bug in the caller.
pub fn rewrap(
    from: (RootKey<'_>, &WrapContext<'_>),
    record: &[u8],
    to: (RootKey<'_>, &WrapContext<'_>),
    salt: [u8; 32],
) -> Result<Vec<u8>, UnwrapError> {
    assert_eq!(from.1.object_uuid, to.1.object_uuid, "a rewrap keeps the lineage");
    let object_key = unwrap(from.0, record, from.1)?;
    Ok(wrap(to.0, &object_key, to.1, salt))
}

/// `kek || key_check`, both from one HKDF over root key, salt and context.
struct Derived(Zeroizing<[u8; 64]>);

impl Derived {
    fn new(root: RootKey<'_>, context: &WrapContext<'_>, salt: &[u8; 32]) -> Self {
        let mut out = Zeroizing::new([0; 64]);
        let info: [&[u8]; 2] = [b"sov1/wrap", &context.encode()];
        hkdf(salt, root.secret().bytes(), &info, &mut out[..]);
        Self(out)
    }

    fn kek(&self) -> AeadKey {
        AeadKey::new(self.0.first_chunk().expect("64 bytes"))
    }

    fn key_check(&self) -> &[u8] {
        &self.0[KEY_LEN..]
    }
}

/// The first 32 bytes of a stored record: what lies behind them.
pub(crate) enum Envelope<'a> {
    /// A wrap.
    Plain(&'a [u8]),
    /// A wrap under an epoch seal.
    Sealed { epoch: u64, header: &'a [u8], wrap_id: &'a [u8], sealed: &'a [u8] },
}

impl<'a> Envelope<'a> {
    pub(crate) fn parse(record: &'a [u8]) -> Result<Self, UnwrapError> {
        if record.len() < ENVELOPE_LEN || record.len() > RECORD_LEN_MAX {
            return Err(UnwrapError::Malformed);
        }
        let (header, body) = record.split_at(ENVELOPE_LEN);
        if header[..4] != *ENVELOPE_MAGIC || header[4] != ENVELOPE_VERSION || header[6..8] != [0; 2] {
            return Err(UnwrapError::Malformed);
        }
        match header[5] {
            SEAL_NONE if header[8..] == [0; 24] => Ok(Self::Plain(body)),
            SEAL_EPOCH => Ok(Self::Sealed {
                epoch: u64::from_be_bytes(array_at(header, 8)),
                header,
                wrap_id: &header[16..],
                sealed: body,
            }),
            _ => Err(UnwrapError::Malformed),
        }
    }
}

/// The envelope of a record without an epoch seal.
pub(crate) fn plain_envelope() -> [u8; ENVELOPE_LEN] {
    envelope(SEAL_NONE, 0, [0; 16])
}

/// The envelope of a record under the seal of `epoch`.
pub(crate) fn sealed_envelope(epoch: u64, wrap_id: [u8; 16]) -> [u8; ENVELOPE_LEN] {
    envelope(SEAL_EPOCH, epoch, wrap_id)
}

fn envelope(seal: u8, epoch: u64, wrap_id: [u8; 16]) -> [u8; ENVELOPE_LEN] {
    let mut out = [0; ENVELOPE_LEN];
    out[..4].copy_from_slice(ENVELOPE_MAGIC);
    out[4] = ENVELOPE_VERSION;
    out[5] = seal;
    out[8..16].copy_from_slice(&epoch.to_be_bytes());
    out[16..].copy_from_slice(&wrap_id);
    out
}

/// Bytes of a record without an epoch seal.
pub const WRAP_RECORD_LEN: usize = ENVELOPE_LEN + WRAP_LEN;

/// No record of this version, sealed by a key service or under an epoch seal, is longer.
const RECORD_LEN_MAX: usize = 8 * 1024;

pub(crate) const ENVELOPE_LEN: usize = 32;
const ENVELOPE_MAGIC: &[u8; 4] = b"SOVe";
const ENVELOPE_VERSION: u8 = 1;
const SEAL_NONE: u8 = 0;
const SEAL_EPOCH: u8 = 1;

const WRAP_MAGIC: &[u8; 4] = b"SOVw";
const WRAP_VERSION: u8 = 1;
/// Root key in hand: kek by HKDF. 2 is reserved for key services that wrap themselves.
const SCHEME_HKDF: u8 = 1;
/// Magic, version, mode, scheme, zero, salt, key check: the AAD of the wrapped key.
const WRAP_HEADER_LEN: usize = 8 + 32 + 32;
const WRAP_LEN: usize = WRAP_HEADER_LEN + KEY_LEN + TAG_LEN;
