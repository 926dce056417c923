//! The epoch seal: a wrap record under a key that is destroyed on schedule.
//!
//! Old copies of a deleted record (logs, snapshots, backups) become unreadable once the key of
//! their epoch is gone. Where the keys live and when they turn is the storage engine's matter.

use zeroize::Zeroizing;

use crate::error::{KeyLength, UnwrapError};
use crate::keys::Secret;
use crate::primitives::{AeadKey, KEY_LEN, hkdf};
use crate::wrap::{Envelope, plain_envelope, sealed_envelope};

/// The key of one epoch.
pub struct EpochKey(Secret);

impl EpochKey {
    /// Copies a raw key. The slice is the caller's to wipe.
    ///
    /// # Errors
    /// [`KeyLength`] if it is not 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyLength> {
        Secret::from_slice(bytes).map(Self)
    }

    fn cipher(&self, wrap_id: &[u8]) -> AeadKey {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        hkdf(wrap_id, self.0.bytes(), &[b"sov1/epoch"], &mut key[..]);
        AeadKey::new(&key)
    }
}

/// The epoch whose key a record needs, or `None` when it lies under no epoch seal.
///
/// # Errors
/// [`UnwrapError::Malformed`] if it is no wrap record.
pub fn epoch_of(record: &[u8]) -> Result<Option<u64>, UnwrapError> {
    Ok(match Envelope::parse(record)? {
        Envelope::Plain(_) => None,
        Envelope::Sealed { epoch, .. } => Some(epoch),
    })
}

/// Puts a plain record under the seal of `epoch`.
///
/// `wrap_id` is 16 fresh random bytes at every sealing: it makes the key single-use.
///
/// # Errors
/// [`UnwrapError::Malformed`] if it is no wrap record, [`UnwrapError::EpochSealed`] if it is
/// sealed already.
pub fn epoch_seal(key: &EpochKey, epoch: u64, wrap_id: [u8; 16], record: &[u8]) -> Result<Vec<u8>, UnwrapError> {
    let Envelope::Plain(wrap) = Envelope::parse(record)? else {
        return Err(UnwrapError::EpochSealed);
    };
    let envelope = sealed_envelope(epoch, wrap_id);
    let mut out = [&envelope, wrap].concat();
    let body = &mut out[envelope.len()..];
    let tag = key.cipher(&wrap_id).seal_in_place_assume_unique_nonce([0; 12], &envelope, body);
    out.extend_from_slice(&tag);
    Ok(out)
}

/// Takes a record from under its epoch seal.
///
/// # Errors
/// [`UnwrapError::AuthenticationFailed`] for another epoch's key or changed bytes,
/// [`UnwrapError::Malformed`] if it is not under a seal.
pub fn epoch_open(key: &EpochKey, record: &[u8]) -> Result<Vec<u8>, UnwrapError> {
    let Envelope::Sealed { header, wrap_id, sealed, .. } = Envelope::parse(record)? else {
        return Err(UnwrapError::Malformed);
    };
    let mut body = sealed.to_vec();
    let len =
        key.cipher(wrap_id).open_within([0; 12], header, &mut body, 0).ok_or(UnwrapError::AuthenticationFailed)?;
    Ok([&plain_envelope(), &body[..len]].concat())
}
