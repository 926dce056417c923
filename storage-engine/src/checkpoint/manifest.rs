//! The manifest of a checkpoint: which files it consists of, and the digest of each.
//!
//! Byte layout: `docs/formats/checkpoint.md`.

use crate::ids::ClusterId;

/// The largest manifest that is read back.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// The longest file name in a manifest.
const NAME_BYTES_MAX: usize = 255;

const MAGIC: [u8; 8] = *b"CHCKPT01";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 40;
const DIGEST_BYTES: usize = 32;

/// A BLAKE3 digest of a file's contents: also its name in the drive's pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileDigest(pub(crate) [u8; 32]);

impl std::fmt::Display for FileDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for FileDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// One checkpoint of the state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) cluster: ClusterId,
    /// The last log entry in it.
    pub(crate) applied: u64,
    pub(crate) files: Vec<ManifestFile>,
}

/// One file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestFile {
    /// Its name in the index directory; never a path.
    pub(crate) name: String,
    pub(crate) len_bytes: u64,
    pub(crate) digest: FileDigest,
    /// The local file that was hashed: spares hashing it again while it is the same one.
    pub(crate) source: SourceStamp,
}

/// What tells one state of a local file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct SourceStamp {
    pub(crate) inode: u64,
    pub(crate) modified_ns: u64,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.files.len() * 80 + DIGEST_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.files.len() as u32).to_le_bytes());
        bytes.extend_from_slice(self.cluster.as_bytes());
        bytes.extend_from_slice(&self.applied.to_le_bytes());
        for file in &self.files {
            assert!(is_plain_name(&file.name), "the taker checks names");
            bytes.extend_from_slice(&file.len_bytes.to_le_bytes());
            bytes.extend_from_slice(&file.digest.0);
            bytes.extend_from_slice(&file.source.inode.to_le_bytes());
            bytes.extend_from_slice(&file.source.modified_ns.to_le_bytes());
            bytes.extend_from_slice(&(file.name.len() as u16).to_le_bytes());
            bytes.extend_from_slice(file.name.as_bytes());
        }
        let digest = blake3::hash(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    /// Reads a manifest; `None` unless it is whole and of this cluster.
    pub(crate) fn decode(bytes: &[u8], cluster: ClusterId) -> Option<Self> {
        let (body, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST_BYTES)?)?;
        if blake3::hash(body).as_bytes()[..] != *digest {
            return None;
        }
        let mut rest = Reader(body);
        if rest.array()? != MAGIC || rest.u32()? != VERSION {
            return None;
        }
        let count = rest.u32()?;
        if rest.array::<16>()? != *cluster.as_bytes() {
            return None;
        }
        let applied = rest.u64()?;
        let files = (0..count).map(|_| rest.file()).collect::<Option<Vec<_>>>()?;
        rest.0.is_empty().then_some(Self { cluster, applied, files })
    }
}

/// Whether a name is that of a file directly in the index directory.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.starts_with('.') && name.bytes().all(plain)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn file(&mut self) -> Option<ManifestFile> {
        let len_bytes = self.u64()?;
        let digest = FileDigest(self.array()?);
        let source = SourceStamp { inode: self.u64()?, modified_ns: self.u64()? };
        let name_len = u16::from_le_bytes(self.array()?);
        let name = std::str::from_utf8(self.take(name_len as usize)?).ok()?.to_owned();
        is_plain_name(&name).then_some(ManifestFile { name, len_bytes, digest, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: ClusterId = ClusterId::from_bytes([1; 16]);

    fn manifest() -> Manifest {
        let file = |name: &str, byte| ManifestFile {
            name: name.into(),
            len_bytes: 1000 + u64::from(byte),
            digest: FileDigest([byte; 32]),
            source: SourceStamp { inode: 7, modified_ns: 8 },
        };
        Manifest { cluster: CLUSTER, applied: 42, files: vec![file("CURRENT", 1), file("000012.sst", 2)] }
    }

    #[test]
    fn round_trips_and_refuses_every_flip_and_cut() {
        let bytes = manifest().encode();
        assert_eq!(Manifest::decode(&bytes, CLUSTER), Some(manifest()));
        assert_eq!(Manifest::decode(&bytes, ClusterId::from_bytes([2; 16])), None);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            assert_eq!(Manifest::decode(&flipped, CLUSTER), None, "byte {at}");
            assert_eq!(Manifest::decode(&bytes[..at], CLUSTER), None, "cut at {at}");
        }
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for name in ["", ".", "..", "a/b", "../x", ".hidden", "a\0b", "é"] {
            assert!(!is_plain_name(name), "{name:?}");
        }
        assert!(is_plain_name("MANIFEST-000005") && is_plain_name("000012.sst"));
    }
}
