//! The rows of the index: what the state machine stores, and what readers get back.
//!
//! A row on disk is one version byte, then the postcard encoding of the struct, fields in order
//! (`namespace/encoding.rs`). Fields that the server seals are opaque here: the engine never
//! sees plaintext or a key.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::lock::{ObjectLock, Retention, Versioning};
use super::storage_class::StorageClass;
use crate::ids::{BucketId, ObjectUuid, StripeId, UploadId, VersionId};

/// A user's canonical id: 64 lower-case hexadecimal digits, as S3 answers show it.
pub type UserId = String;

/// One bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRow {
    /// Drawn at creation; rows of objects name the bucket by it.
    pub id: BucketId,
    /// Checked by the server against S3's rules.
    pub name: String,
    /// The user who created it.
    pub owner: UserId,
    /// Unix time in microseconds.
    pub created_us: u64,
    /// The region that the client asked for, as GetBucketLocation answers it.
    pub region: String,
    /// Whether it keeps old versions.
    pub versioning: Versioning,
    /// Object lock, if it has it; versioning is then enabled.
    pub object_lock: Option<ObjectLock>,
}

/// One version of an object, or a delete marker. At most a few hundred bytes per part, plus an inline body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRow {
    /// Set at apply, whatever the command said: [`VersionId::NULL`] unless versioning is enabled,
    /// else [`VersionId::of_commit`] of the entry and of `wrap_version`.
    pub version_id: VersionId,
    /// The log entry that made it; set at apply, whatever the command said. Versions of a key are in
    /// its order: the current one has the highest.
    pub commit_index: u64,
    /// Index of its leaf in the `cycle` log; set at apply.
    pub leaf_index: u64,
    /// The lineage that its bytes are bound to.
    pub object_uuid: ObjectUuid,
    /// SOV1 mode byte (C, H, G, O), clear so that the server knows which key to ask for.
    pub mode: u8,
    /// Plaintext length in bytes.
    pub size_bytes: u64,
    /// Without quotes.
    pub etag: String,
    /// Unix time in microseconds.
    pub modified_us: u64,
    /// The user who wrote it.
    pub owner: UserId,
    /// Names of the checksums kept in the sealed metadata; listings show them. Never values.
    pub checksum: Option<ChecksumTag>,
    /// Number of parts that a multipart upload had; `None` for a single PUT.
    pub multipart_parts: Option<u16>,
    /// In order of part number; one part numbered 0 for a single PUT.
    pub parts: Vec<PartRow>,
    /// Wrap record of the object key: opaque.
    #[serde(with = "serde_bytes")]
    pub wrap: Vec<u8>,
    /// Sealed user metadata, content headers and checksums: opaque.
    #[serde(with = "serde_bytes")]
    pub sealed_metadata: Vec<u8>,
    /// MAC over the parts and metadata: opaque.
    pub manifest_mac: [u8; 32],
    /// SHA-256(salt || key name), as leaves name the object; the salt is in the sealed metadata.
    pub key_commitment: [u8; 32],
    /// What the wrap and the sealed tags are bound to: drawn for each write, kept by a rewrap.
    pub wrap_version: VersionId,
    /// True for a delete marker: it has no parts, no wrap, no ETag.
    pub delete_marker: bool,
    /// Tags under the operator key: opaque; empty if there are none.
    #[serde(with = "serde_bytes")]
    pub sealed_tags: Vec<u8>,
    /// Until when it may not be destroyed; at apply the bucket's default if the command named none.
    pub retention: Option<Retention>,
    /// Legal hold: `None` if it was never spoken of, else whether it is on.
    pub legal_hold: Option<bool>,
    /// Grants, as the server writes them; empty is the default.
    #[serde(with = "serde_bytes")]
    pub acl: Vec<u8>,
    /// What the writer asked for.
    pub storage_class: StorageClass,
}

/// What is known of a delete marker before it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkerRow {
    /// Drawn; the marker's version id is made of it.
    pub wrap_version: VersionId,
    /// The user who deletes.
    pub owner: UserId,
    /// Unix time in microseconds.
    pub modified_us: u64,
    /// SHA-256(salt || key name).
    pub key_commitment: [u8; 32],
    /// The salt, under the operator key: opaque.
    #[serde(with = "serde_bytes")]
    pub sealed_salt: Vec<u8>,
}

impl MarkerRow {
    /// The row of the marker; version id, commit and leaf are set at apply.
    pub fn to_version(&self) -> VersionRow {
        VersionRow {
            version_id: VersionId::NULL,
            commit_index: 0,
            leaf_index: 0,
            object_uuid: ObjectUuid::from_bytes([0; 16]),
            mode: 0,
            size_bytes: 0,
            etag: String::new(),
            modified_us: self.modified_us,
            owner: self.owner.clone(),
            checksum: None,
            multipart_parts: None,
            parts: Vec::new(),
            wrap: Vec::new(),
            sealed_metadata: self.sealed_salt.clone(),
            manifest_mac: [0; 32],
            key_commitment: self.key_commitment,
            wrap_version: self.wrap_version,
            delete_marker: true,
            sealed_tags: Vec::new(),
            retention: None,
            legal_hold: None,
            acl: Vec::new(),
            storage_class: StorageClass::default(),
        }
    }
}

/// Which checksum an object carries, in S3's words; never its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksumTag {
    /// `CRC32`, `CRC64NVME`, …
    pub algorithm: String,
    /// `FULL_OBJECT` or `COMPOSITE`.
    pub kind: String,
}

impl VersionRow {
    /// What a listing shows of it.
    pub fn summary(&self) -> ObjectSummary {
        ObjectSummary {
            version_id: self.version_id,
            size_bytes: self.size_bytes,
            etag: self.etag.clone(),
            modified_us: self.modified_us,
            owner: self.owner.clone(),
            checksum: self.checksum.clone(),
            delete_marker: self.delete_marker,
            storage_class: self.storage_class,
        }
    }
}

/// One part: its SOV1 blob and what the manifest MAC covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRow {
    /// 1..=10_000, or 0 for a single PUT.
    pub number: u16,
    /// Plaintext bytes.
    pub plain_bytes: u64,
    /// Salt of the part stream, as in the blob's header.
    pub salt: [u8; 24],
    /// Key commitment of the part stream, as in the blob's header.
    pub commitment: [u8; 32],
    /// Without quotes.
    pub etag: String,
    /// Unix time in microseconds.
    pub modified_us: u64,
    /// Where the sealed bytes are.
    pub blob: BlobRef,
    /// The part's sealed checksums: opaque.
    #[serde(with = "serde_bytes")]
    pub sealed_checksums: Vec<u8>,
}

/// Where a blob's sealed bytes are.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobRef {
    /// The bytes themselves, at most the inline limit.
    Inline(#[serde(with = "serde_bytes")] Vec<u8>),
    /// A run of stripes on the drives.
    Stripes(StripeRun),
}

impl BlobRef {
    /// The stripes that it owns, if it is not inline.
    pub fn stripes(&self) -> Option<&StripeRun> {
        match self {
            Self::Inline(_) => None,
            Self::Stripes(run) => Some(run),
        }
    }

    /// Sealed bytes in the blob.
    pub fn len_bytes(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Stripes(run) => run.len_bytes,
        }
    }
}

impl fmt::Debug for BlobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(bytes) => write!(f, "Inline({} bytes)", bytes.len()),
            Self::Stripes(run) => run.fmt(f),
        }
    }
}

/// A blob laid over stripes `first`, `first + 1`, … of `stripe_bytes` sealed bytes, the last shorter.
///
/// Stripe `i` lies on placement group `(first_group + i) mod groups` of layout `layout_version`. A small blob is first
/// kept as whole copies: then `k` is 1, `m` that of the layout, and `places` says which places hold them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripeRun {
    /// Id of stripe 0.
    pub first: StripeId,
    /// Number of stripes.
    pub count: u32,
    /// Sealed bytes in every stripe but the last: a multiple of k cells.
    pub stripe_bytes: u32,
    /// Sealed bytes in all.
    pub len_bytes: u64,
    /// Data columns.
    pub k: u8,
    /// Parity columns.
    pub m: u8,
    /// The layout that placed it.
    pub layout_version: u32,
    /// Placement group of stripe 0.
    pub first_group: u32,
    /// BLAKE3 of the sealed bytes in order.
    pub blake3: [u8; 32],
    /// 0: shard `i` of a stripe belongs on the `i`-th place of its group. Else the run is one stripe of whole copies,
    /// and this has a bit for each place of the group that holds one: shard `i` belongs on the place of the `i`-th bit.
    pub places: u16,
}

impl StripeRun {
    /// Whether it is kept as whole copies, until it is packed with others.
    pub fn is_copies(&self) -> bool {
        self.places != 0
    }
}

/// The row that owns a run of stripes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOwner {
    /// The bucket.
    pub bucket: BucketId,
    /// The object, or what the upload will make.
    pub key: String,
    /// The lineage: the same before and after Complete.
    pub object_uuid: ObjectUuid,
    /// Which row of that key.
    pub place: OwnerPlace,
    /// Stripes in the run.
    pub count: u32,
}

/// Which row of an object key owns a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnerPlace {
    /// A version: some part of it.
    Version(VersionId),
    /// A part of an upload in progress.
    Part {
        /// The upload.
        upload: UploadId,
        /// The part's number in it.
        number: u16,
    },
    /// No row of a key: the run is this pack, and its live members need it.
    Pack(StripeId),
}

/// A run that has an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRun {
    /// Its first stripe.
    pub first: StripeId,
    /// Who owns it.
    pub owner: RunOwner,
}

/// What a listing shows of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSummary {
    /// Its version.
    pub version_id: VersionId,
    /// Plaintext length in bytes.
    pub size_bytes: u64,
    /// Without quotes.
    pub etag: String,
    /// Unix time in microseconds.
    pub modified_us: u64,
    /// The user who wrote it.
    pub owner: UserId,
    /// Names of its checksums.
    pub checksum: Option<ChecksumTag>,
    /// True for a delete marker.
    pub delete_marker: bool,
    /// What the writer asked for.
    pub storage_class: StorageClass,
}

/// One multipart upload in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRow {
    /// Drawn at Create.
    pub id: UploadId,
    /// The `wrap_version` of the version that Complete will make.
    pub wrap_version: VersionId,
    /// The lineage of every part.
    pub object_uuid: ObjectUuid,
    /// SOV1 mode byte.
    pub mode: u8,
    /// Unix time in microseconds.
    pub initiated_us: u64,
    /// The user who began it.
    pub owner: UserId,
    /// What Create asked for, shown by ListParts.
    pub checksum: Option<ChecksumTag>,
    /// Wrap record of the object key under the root key of its mode: opaque.
    #[serde(with = "serde_bytes")]
    pub wrap: Vec<u8>,
    /// Sealed user metadata and content headers: opaque.
    #[serde(with = "serde_bytes")]
    pub sealed_metadata: Vec<u8>,
    /// Manifest and metadata keys under the operator key, for a Complete without the client's key.
    #[serde(with = "serde_bytes")]
    pub pending_keys: Vec<u8>,
    /// As in [`VersionRow`].
    pub key_commitment: [u8; 32],
    /// As in [`VersionRow`], for the version that Complete will make.
    #[serde(with = "serde_bytes")]
    pub sealed_tags: Vec<u8>,
    /// What Create asked for.
    pub retention: Option<Retention>,
    /// What Create asked for.
    pub legal_hold: Option<bool>,
    /// As in [`VersionRow`].
    #[serde(with = "serde_bytes")]
    pub acl: Vec<u8>,
    /// What Create asked for.
    pub storage_class: StorageClass,
}

/// One user of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// Canonical id.
    pub id: UserId,
    /// Unique in the tenant.
    pub name: String,
    /// Shown in S3 answers.
    pub display_name: String,
    /// Never in a leaf.
    pub email: String,
    /// True for the root user: it may do anything and cannot be removed.
    pub root: bool,
    /// Unix time in microseconds.
    pub created_us: u64,
    /// The user's access keys.
    pub access_keys: Vec<AccessKeyRow>,
    /// Canonical id of the account that it is a member of; empty for an account.
    pub account: UserId,
    /// Policies, groups and their like, as the server writes them; empty is none.
    #[serde(with = "serde_bytes")]
    pub document: Vec<u8>,
}

/// What an account may hold in all its buckets together; `None` is without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountQuota {
    /// Plaintext bytes of all versions.
    pub max_bytes: Option<u64>,
    /// Versions.
    pub max_versions: Option<u64>,
}

/// One access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKeyRow {
    /// The public half.
    pub access_key_id: String,
    /// The secret half, sealed under the operator key: opaque.
    #[serde(with = "serde_bytes")]
    pub sealed_secret: Vec<u8>,
    /// Unix time in microseconds.
    pub created_us: u64,
    /// Requests that it signs are refused.
    pub disabled: bool,
    /// Unix time in microseconds from which on requests that it signs are refused.
    pub expires_us: Option<u64>,
}
