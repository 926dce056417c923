//! From sealed parts to the rows that name them: part rows, version rows, new lineages.

use chartrier_crypto::{
    METADATA_LABEL, Manifest, ManifestKey, ManifestPart, MetadataKey, Mode, ObjectKey, part_label, sha256,
};
use chartrier_storage::env::Random;
use chartrier_storage::ids::{ObjectUuid, VersionId};
use chartrier_storage::namespace::rows::{PartRow, UserId, VersionRow};
use chartrier_storage::namespace::storage_class::StorageClass;

use crate::s3::checksum::ChecksumValue;
use crate::s3::metadata::{ObjectMetadata, encode_part_checksums};

/// A new object lineage: what the bytes of its parts are bound to.
pub struct Lineage {
    /// Drawn at every upload.
    pub uuid: ObjectUuid,
    /// The one key of all its parts and metadata.
    pub key: ObjectKey,
    /// Who holds the root key.
    pub mode: Mode,
}

impl Lineage {
    /// Draws a lineage.
    pub fn draw(random: &dyn Random, mode: Mode) -> Self {
        Self {
            uuid: ObjectUuid::from_bytes(random_bytes(random)),
            key: ObjectKey::generate_with(|slot| random.fill(slot)),
            mode,
        }
    }
}

/// `N` random bytes.
pub fn random_bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// The ETag of a single PUT: the MD5 in mode O, else 16 random bytes and `-1`, so that no client
/// takes it for an MD5.
pub fn single_etag(mode: Mode, md5: Option<&ChecksumValue>, random: &dyn Random) -> String {
    match (mode, md5) {
        (Mode::O, Some(md5)) => hex::encode(md5.digest()),
        _ => format!("{}-1", hex::encode(random_bytes::<16>(random))),
    }
}

/// The ETag of a part: the MD5 in mode O, else 16 random bytes in hex.
pub fn part_etag(mode: Mode, md5: Option<&ChecksumValue>, random: &dyn Random) -> String {
    match (mode, md5) {
        (Mode::O, Some(md5)) => hex::encode(md5.digest()),
        _ => hex::encode(random_bytes::<16>(random)),
    }
}

/// Seals the checksums of a part for its row.
pub fn seal_part_checksums(
    key: &MetadataKey,
    part_number: u16,
    values: &[ChecksumValue],
    random: &dyn Random,
) -> Vec<u8> {
    key.seal(random_bytes(random), &part_label(part_number.into()), &encode_part_checksums(values))
}

/// A version about to be sealed; every field but the metadata goes into the row as it is.
pub struct VersionDraft<'a> {
    /// What the wrap is bound to. The version's id is set when it becomes visible.
    pub wrap_version: VersionId,
    /// The lineage that its parts are bound to.
    pub object_uuid: ObjectUuid,
    /// Who holds the root key.
    pub mode: Mode,
    /// The object's key name.
    pub key_name: &'a str,
    /// Who writes it.
    pub owner: UserId,
    /// Unix time in microseconds.
    pub modified_us: u64,
    /// Without quotes.
    pub etag: String,
    /// Sealed into the row; its checksum gives the row's tag.
    pub metadata: &'a ObjectMetadata,
    /// In object order.
    pub parts: Vec<PartRow>,
    /// Number of parts of a multipart upload.
    pub multipart_parts: Option<u16>,
    /// Wrap record of the object key for this version.
    pub wrap: Vec<u8>,
}

impl VersionDraft<'_> {
    /// Seals the metadata and authenticates parts and metadata together.
    pub fn seal(self, manifest_key: &ManifestKey, metadata_key: &MetadataKey, random: &dyn Random) -> VersionRow {
        let sealed_metadata = metadata_key.seal(random_bytes(random), METADATA_LABEL, &self.metadata.encode());
        let size_bytes = self.parts.iter().map(|part| part.plain_bytes).sum();
        let manifest_mac = manifest_key.mac(&Manifest {
            parts: &manifest_parts(&self.parts),
            total_len: size_bytes,
            metadata_hash: sha256(&sealed_metadata),
        });
        VersionRow {
            version_id: VersionId::NULL,
            commit_index: 0,
            leaf_index: 0,
            object_uuid: self.object_uuid,
            mode: self.mode.as_byte(),
            size_bytes,
            etag: self.etag,
            modified_us: self.modified_us,
            owner: self.owner,
            checksum: self.metadata.checksum.as_ref().map(crate::s3::checksum::Checksum::tag),
            multipart_parts: self.multipart_parts,
            parts: self.parts,
            wrap: self.wrap,
            sealed_metadata,
            manifest_mac,
            key_commitment: self.metadata.key_commitment(self.key_name),
            wrap_version: self.wrap_version,
            delete_marker: false,
            sealed_tags: Vec::new(),
            retention: None,
            legal_hold: None,
            acl: Vec::new(),
            storage_class: StorageClass::default(),
        }
    }
}

/// What the manifest MAC says of the parts of a row.
pub fn manifest_parts(parts: &[PartRow]) -> Vec<ManifestPart> {
    parts
        .iter()
        .map(|part| ManifestPart {
            number: part.number.into(),
            salt: part.salt,
            commitment: part.commitment,
            plain_len: part.plain_bytes,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chartrier_storage::env::SimEnv;

    use super::*;
    use crate::s3::checksum::{ChecksumAlgorithm, digest};

    #[test]
    fn etags_are_the_md5_only_in_mode_o() {
        let random = SimEnv::env(1).random;
        let md5 = digest(ChecksumAlgorithm::Md5, b"hello");
        assert_eq!(single_etag(Mode::O, Some(&md5), &*random), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(part_etag(Mode::O, Some(&md5), &*random), "5d41402abc4b2a76b9719d911017c592");
        let (one, other) = (single_etag(Mode::C, Some(&md5), &*random), single_etag(Mode::C, None, &*random));
        assert_ne!(one, other);
        assert!(one.ends_with("-1") && one.len() == 34);
        assert_eq!(part_etag(Mode::C, Some(&md5), &*random).len(), 32);
    }
}
