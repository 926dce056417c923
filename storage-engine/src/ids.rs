//! Identifiers that cannot be swapped for one another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identifier is 32 lower-case hexadecimal digits")]
pub struct ParseIdError;

macro_rules! id_16_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Takes 16 bytes as they are.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes, as stored on disk.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex_16(text).map(Self)
            }
        }
    };
}

id_16_bytes!(
    /// One installation: every drive of it carries this id.
    ClusterId
);
id_16_bytes!(
    /// One drive, never reused; shards are addressed by it and never by a path.
    DriveId
);
id_16_bytes!(
    /// One segment file of a drive.
    SegmentId
);
id_16_bytes!(
    /// One bucket, for as long as it lives; a bucket made again under the same name has another.
    BucketId
);
id_16_bytes!(
    /// One object lineage: every upload draws a new one, a rewrap keeps it.
    ObjectUuid
);
id_16_bytes!(
    /// One multipart upload.
    UploadId
);
id_16_bytes!(
    /// One version of an object; [`VersionId::NULL`] is S3's `null` version.
    VersionId
);

impl VersionId {
    /// The version of an object in a bucket that has no versioning. S3 shows it as `null`.
    pub const NULL: Self = Self([0; 16]);

    /// The id of a version made by entry `commit_index` (8 bytes, big-endian), with the last 8 bytes
    /// of a drawn id: ids are in the order of the versions and cannot be guessed.
    pub fn of_commit(commit_index: u64, drawn: Self) -> Self {
        let mut bytes = drawn.0;
        bytes[..8].copy_from_slice(&commit_index.to_be_bytes());
        Self(bytes)
    }

    /// The entry that made the version; `None` for [`VersionId::NULL`], whose row says it.
    pub fn commit_index(&self) -> Option<u64> {
        let (head, _) = self.0.split_first_chunk::<8>().expect("an id has 16 bytes");
        (*self != Self::NULL).then(|| u64::from_be_bytes(*head))
    }
}

/// One stripe: 6 bytes of milliseconds, 6 random bytes, a 4-byte counter, all big-endian.
///
/// A blob's stripes share the first 12 bytes and count up from its first stripe, so that a
/// manifest names a run of stripes by its first id and their number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StripeId([u8; 16]);

impl StripeId {
    /// The first stripe of a blob, at counter 0. `time_ms` keeps its low 48 bits.
    pub fn first(time_ms: u64, random: [u8; 6]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&time_ms.to_be_bytes()[2..]);
        bytes[6..12].copy_from_slice(&random);
        Self(bytes)
    }

    /// The stripe `index` places after this one in its blob.
    ///
    /// # Panics
    /// If the counter passes 2^32: a blob is at most 5 GiB, so a writer cannot reach it.
    pub fn nth(self, index: u32) -> Self {
        let mut bytes = self.0;
        let mut counter = [0; 4];
        counter.copy_from_slice(&bytes[12..]);
        // A blob has fewer stripes: only a damaged row asks for more.
        let next = u32::from_be_bytes(counter).saturating_add(index);
        bytes[12..].copy_from_slice(&next.to_be_bytes());
        Self(bytes)
    }

    /// What all stripes of its blob share: all but the counter.
    pub fn blob_prefix(&self) -> [u8; 12] {
        let mut prefix = [0; 12];
        prefix.copy_from_slice(&self.0[..12]);
        prefix
    }

    /// Whether it is one of the `count` stripes of the run that begins with `first`.
    pub fn is_in_run(&self, first: Self, count: u32) -> bool {
        self.index_in_run(first).is_some_and(|index| index < count)
    }

    /// Its place in the run that begins with `first`, if it can be in one.
    pub fn index_in_run(&self, first: Self) -> Option<u32> {
        let counter = |id: &Self| u32::from_be_bytes([id.0[12], id.0[13], id.0[14], id.0[15]]);
        (self.0[..12] == first.0[..12]).then(|| counter(self).checked_sub(counter(&first)))?
    }

    /// When the blob was begun, in milliseconds of the Unix epoch.
    pub fn time_ms(&self) -> u64 {
        let mut time = [0; 8];
        time[2..].copy_from_slice(&self.0[..6]);
        u64::from_be_bytes(time)
    }

    /// Takes 16 bytes as read from disk.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, as stored on disk.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for StripeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StripeId(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

fn parse_hex_16(text: &str) -> Result<[u8; 16], ParseIdError> {
    let digits = text.as_bytes();
    if digits.len() != 32 {
        return Err(ParseIdError);
    }
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Ok(bytes)
}

fn nibble(digit: u8) -> Result<u8, ParseIdError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(ParseIdError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_is_strict() {
        let id = BucketId::from_bytes([0xa5; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("A5".repeat(16).parse::<BucketId>(), Err(ParseIdError));
        assert_eq!("a5".parse::<BucketId>(), Err(ParseIdError));
    }

    #[test]
    fn stripes_of_a_blob_share_time_and_sort_in_order() {
        let first = StripeId::first(1_700_000_000_123, [7; 6]);
        assert_eq!(first.time_ms(), 1_700_000_000_123);
        assert_eq!(first.nth(300).time_ms(), first.time_ms());
        assert!(first < first.nth(1) && first.nth(1) < first.nth(300));
        assert_eq!(first.nth(2).nth(3), first.nth(5));
        assert!(first.nth(2).is_in_run(first.nth(1), 2) && !first.nth(3).is_in_run(first.nth(1), 2));
        assert!(!first.is_in_run(first.nth(1), 2) && !first.is_in_run(StripeId::first(1, [7; 6]), 2));
    }
}
