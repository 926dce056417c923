//! The one encoding of rows and commands: a version byte, then postcard, fields in order.
//!
//! Decoding is bounded: the length is checked first, lengths inside are checked against what is
//! left, and bytes left over are an error. `docs/formats/rows.md` draws each row.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bucket_config::BucketConfigRow;
use super::command::{Command, JournalIdentity, Layout};
use super::drive_health::DriveHealthRow;
use super::drives::DriveTable;
use super::integrity::ScrubMark;
use super::notification::{EventRow, Notifications};
use super::rows::{BucketRow, PartRow, StripeRun, UploadRow, UserRow, VersionRow};

/// A type that is stored or logged.
pub trait Stored: Serialize + DeserializeOwned {
    /// What messages call it.
    const NAME: &'static str;
    /// The first byte; another layout of the fields takes another.
    const VERSION: u8 = 1;
    /// The longest encoding, in bytes.
    const LEN_MAX: usize;
}

/// Why bytes are not a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Nothing at all.
    #[error("{what} is empty")]
    Empty {
        /// The row's name.
        what: &'static str,
    },
    /// Over the limit of its type.
    #[error("{what} of {len_bytes} bytes is over its limit")]
    TooLong {
        /// The row's name.
        what: &'static str,
        /// Its length.
        len_bytes: usize,
    },
    /// A layout that this program does not know: it was written by a newer one.
    #[error("{what} has format {version}, which this program does not know")]
    UnknownVersion {
        /// The row's name.
        what: &'static str,
        /// The version byte found.
        version: u8,
    },
    /// Not the encoding of such a row: damaged.
    #[error("{what} is malformed")]
    Malformed {
        /// The row's name.
        what: &'static str,
    },
}

/// Encodes a row.
pub fn encode<T: Stored>(row: &T) -> Vec<u8> {
    // Maps and sequences of unknown length are the only things postcard refuses, and no row has one.
    postcard::to_extend(row, vec![T::VERSION]).expect("rows hold only what postcard can encode")
}

/// Reads a row back.
///
/// # Errors
/// [`DecodeError`] for any bytes that [`encode`] of this or an older known version cannot have made.
pub fn decode<T: Stored>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.len() > T::LEN_MAX {
        return Err(DecodeError::TooLong { what: T::NAME, len_bytes: bytes.len() });
    }
    let (&version, body) = bytes.split_first().ok_or(DecodeError::Empty { what: T::NAME })?;
    if version != T::VERSION {
        return Err(DecodeError::UnknownVersion { what: T::NAME, version });
    }
    match postcard::take_from_bytes(body) {
        Ok((row, [])) => Ok(row),
        _ => Err(DecodeError::Malformed { what: T::NAME }),
    }
}

/// Longest version row: 10,000 parts and an inline body.
pub const VERSION_ROW_BYTES_MAX: usize = 8 << 20;

/// Longest command: a version row and its context.
pub const COMMAND_BYTES_MAX: usize = VERSION_ROW_BYTES_MAX + (1 << 20);

macro_rules! stored {
    ($($type:ty, $name:literal, $max:expr;)*) => {
        $(impl Stored for $type {
            const NAME: &'static str = $name;
            const LEN_MAX: usize = $max;
        })*
    };
}

stored! {
    Command, "command", COMMAND_BYTES_MAX;
    BucketRow, "bucket row", 16 << 10;
    VersionRow, "version row", VERSION_ROW_BYTES_MAX;
    PartRow, "part row", 1 << 20;
    UploadRow, "upload row", 1 << 20;
    UserRow, "user row", 1 << 20;
    StripeRun, "stripe run", 1 << 10;
    Layout, "layout", 16 << 20;
    DriveTable, "drive table", 18 << 20;
    JournalIdentity, "journal identity", 4 << 10;
    BucketConfigRow, "bucket document", (1 << 20) + 64;
    ScrubMark, "scrub mark", 64;
    DriveHealthRow, "health of a drive", 512;
    Notifications, "notification rules", 256 << 10;
    EventRow, "event", 32 << 10;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{BucketId, StripeId};
    use crate::namespace::lock::Versioning;
    use crate::namespace::rows::BlobRef;

    fn bucket() -> BucketRow {
        BucketRow {
            id: BucketId::from_bytes([1; 16]),
            name: "registres".to_owned(),
            owner: "ab".repeat(32),
            created_us: 7,
            region: "fr".to_owned(),
            versioning: Versioning::Unversioned,
            object_lock: None,
        }
    }

    fn part(inline: bool) -> PartRow {
        PartRow {
            number: 3,
            plain_bytes: 5,
            salt: [1; 24],
            commitment: [2; 32],
            etag: "e".to_owned(),
            modified_us: u64::MAX,
            blob: if inline {
                BlobRef::Inline(vec![9; 300])
            } else {
                BlobRef::Stripes(StripeRun {
                    first: StripeId::first(1, [2; 6]),
                    count: 4,
                    stripe_bytes: 1 << 20,
                    len_bytes: 4 << 20,
                    k: 4,
                    m: 2,
                    layout_version: 1,
                    first_group: 9,
                    blake3: [3; 32],
                    places: 0b10_0101,
                })
            },
            sealed_checksums: vec![4; 40],
        }
    }

    #[test]
    fn known_bytes_of_a_bucket_row() {
        let mut expected = vec![1];
        expected.extend([1; 16]);
        expected.push(9);
        expected.extend(b"registres");
        expected.push(64);
        expected.extend("ab".repeat(32).bytes());
        expected.push(7);
        expected.push(2);
        expected.extend(b"fr");
        expected.extend([0, 0]);
        assert_eq!(encode(&bucket()), expected);
        assert_eq!(decode::<BucketRow>(&expected), Ok(bucket()));
    }

    #[test]
    fn damage_is_an_error() {
        for row in [part(true), part(false)] {
            let bytes = encode(&row);
            assert_eq!(decode::<PartRow>(&bytes).unwrap(), row);
            for len in 0..bytes.len() {
                assert!(decode::<PartRow>(&bytes[..len]).is_err(), "cut at {len}");
            }
            let mut longer = bytes.clone();
            longer.push(0);
            assert_eq!(decode::<PartRow>(&longer), Err(DecodeError::Malformed { what: "part row" }));
            let mut newer = bytes;
            newer[0] = 2;
            assert_eq!(decode::<PartRow>(&newer), Err(DecodeError::UnknownVersion { what: "part row", version: 2 }));
        }
        assert_eq!(
            decode::<StripeRun>(&vec![1; 2000]),
            Err(DecodeError::TooLong { what: "stripe run", len_bytes: 2000 })
        );
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = 1;
            }
            let _ = decode::<Command>(&bytes);
            let _ = decode::<UserRow>(&bytes);
            let _ = decode::<Layout>(&bytes);
            // What decodes encodes back to something that decodes to the same row.
            if let Ok(row) = decode::<VersionRow>(&bytes) {
                prop_assert_eq!(decode::<VersionRow>(&encode(&row)), Ok(row));
            }
        }

        #[test]
        fn flipped_bytes_never_panic(at in 0usize..500, flip in 1u8..) {
            let mut bytes = encode(&part(false));
            let at = at % bytes.len();
            bytes[at] ^= flip;
            let _ = decode::<PartRow>(&bytes);
        }
    }
}
