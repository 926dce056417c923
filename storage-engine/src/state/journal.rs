//! Leaves of the `cycle` log: built at apply, hashed and stored in the same batch as the change.

use std::collections::BTreeMap;

use chartrier_journal::{
    Actor, Frontier, Hash, HashReader, JournalError, Json, Leaf, Outcome, TIME_US_MAX, Target, format_time, leaf_hash,
    split_stored_hash_index,
};

pub(crate) use chartrier_journal::EventType;

use super::keys::{HSH, JRN};
use super::kv::Kv;
use super::overlay::Overlay;
use super::rows::StateHead;
use crate::error::StateError;
use crate::ids::{BucketId, VersionId};
use crate::namespace::command::{CommandContext, JournalIdentity};
use crate::namespace::lock::{DefaultRetention, Retention, RetentionPeriod};
use crate::namespace::rows::{BlobRef, PartRow, VersionRow};

/// What a leaf says beyond who, when and where.
pub(crate) struct Event {
    pub(crate) kind: EventType,
    pub(crate) target: Target,
    /// Why it was refused, as S3's code; `None` if it holds.
    pub(crate) refused: Option<String>,
    pub(crate) data: BTreeMap<String, Json>,
}

/// Builds the leaf of an event. Deterministic: all of it comes from the entry and the state.
pub(crate) fn build_leaf(identity: &JournalIdentity, head: &StateHead, context: &CommandContext, event: Event) -> Leaf {
    Leaf {
        log: identity.origin.clone(),
        seq: head.leaves,
        time_us: context.time_us.min(TIME_US_MAX).max(head.last_time_us),
        event: event.kind,
        tenant: identity.tenant.clone(),
        actor: Actor {
            pid: context.actor_pid.clone(),
            role: context.actor_role.clone(),
            org: None,
            auth: context.actor_auth.clone(),
        },
        req: context.request_id.clone(),
        node: identity.node.clone(),
        target: event.target,
        outcome: event.refused.map_or(Outcome::Ok, Outcome::Refused),
        data: event.data,
    }
}

/// Appends a leaf and the hashes that it completes. Answers its index.
pub(crate) fn append_leaf(
    rows: &mut Overlay<'_>,
    head: &mut StateHead,
    frontier: &mut Frontier,
    leaf: &Leaf,
) -> Result<u64, StateError> {
    let index = head.leaves;
    let bytes = leaf.encode()?;
    let hashes = frontier.push(leaf_hash(&bytes));
    let stored = hashes.iter().flat_map(|hash| hash.to_bytes()).collect();
    rows.put(JRN, index.to_be_bytes().to_vec(), bytes);
    rows.put(HSH, index.to_be_bytes().to_vec(), stored);
    head.leaves += 1;
    head.last_time_us = leaf.time_us;
    Ok(index)
}

/// Names an object in a leaf: bucket id, commitment of the key, version.
pub(crate) fn object_target(bucket: BucketId, key_commitment: &[u8; 32], version: VersionId) -> Target {
    Target {
        bucket: Some(bucket.to_string()),
        object: Some(hex(key_commitment)),
        version: Some(version_text(version)),
        ..Target::default()
    }
}

/// Names a bucket in a leaf. Never by its name.
pub(crate) fn bucket_target(bucket: BucketId) -> Target {
    Target { bucket: Some(bucket.to_string()), ..Target::default() }
}

/// `data` of `object.deposit`.
pub(crate) fn deposit_data(row: &VersionRow, replaced: Option<&VersionRow>) -> BTreeMap<String, Json> {
    let mut data = object_data(row);
    data.insert("ciphertext_blake3".to_owned(), hex(&ciphertext_blake3(&row.parts)).as_str().into());
    data.insert("parts".to_owned(), (row.parts.len() as u64).into());
    if let Some(replaced) = replaced {
        data.insert("replaces_leaf".to_owned(), replaced.leaf_index.into());
    }
    lock_data(&mut data, "", row.retention, row.legal_hold);
    data
}

/// `data` of `object.marker`.
pub(crate) fn marker_data(replaced: Option<&VersionRow>) -> BTreeMap<String, Json> {
    replaced.map(|replaced| ("replaces_leaf".to_owned(), replaced.leaf_index.into())).into_iter().collect()
}

/// What a leaf says of the retention and the hold of a version: nothing where there is none.
pub(crate) fn lock_data(
    data: &mut BTreeMap<String, Json>,
    prefix: &str,
    retention: Option<Retention>,
    legal_hold: Option<bool>,
) {
    if let Some(Retention { mode, until_us }) = retention {
        let until = format_time(until_us).expect("a retention past year 9999 is refused");
        data.insert(format!("{prefix}lock_mode"), mode.name().into());
        data.insert(format!("{prefix}until"), until.as_str().into());
    }
    if let Some(on) = legal_hold {
        data.insert(format!("{prefix}hold"), on.into());
    }
}

/// What a leaf says of a bucket's object lock.
pub(crate) fn default_retention_data(data: &mut BTreeMap<String, Json>, default: Option<DefaultRetention>) {
    data.insert("object_lock".to_owned(), true.into());
    if let Some(DefaultRetention { mode, period }) = default {
        data.insert("lock_mode".to_owned(), mode.name().into());
        let (unit, count) = match period {
            RetentionPeriod::Days(days) => ("days", days),
            RetentionPeriod::Years(years) => ("years", years),
        };
        data.insert(unit.to_owned(), u64::from(count).into());
    }
}

/// What every leaf on an existing version says of it.
pub(crate) fn object_data(row: &VersionRow) -> BTreeMap<String, Json> {
    let mode = char::from(row.mode).to_string();
    BTreeMap::from([
        ("object_uuid".to_owned(), row.object_uuid.to_string().as_str().into()),
        ("size".to_owned(), row.size_bytes.into()),
        (
            "mode".to_owned(),
            if row.mode.is_ascii_graphic() { mode.as_str().into() } else { u64::from(row.mode).into() },
        ),
    ])
}

/// `data` of `metadata.change`: digests of the sealed metadata and of the wrap, before and after.
pub(crate) fn metadata_change_data(before: &VersionRow, after: &VersionRow) -> BTreeMap<String, Json> {
    let digest = |bytes: &[u8]| -> Json { hex(blake3::hash(bytes).as_bytes()).as_str().into() };
    let mut data = object_data(after);
    data.insert("deposit_leaf".to_owned(), before.leaf_index.into());
    data.insert("metadata_before".to_owned(), digest(&before.sealed_metadata));
    data.insert("metadata_after".to_owned(), digest(&after.sealed_metadata));
    data.insert("wrap_before".to_owned(), digest(&before.wrap));
    data.insert("wrap_after".to_owned(), digest(&after.wrap));
    data
}

/// One part: BLAKE3 of its sealed bytes. Several: BLAKE3 over the parts' digests in order.
pub(crate) fn ciphertext_blake3(parts: &[PartRow]) -> [u8; 32] {
    let digest = |part: &PartRow| match &part.blob {
        BlobRef::Inline(bytes) => *blake3::hash(bytes).as_bytes(),
        BlobRef::Stripes(run) => run.blake3,
    };
    match parts {
        [one] => digest(one),
        many => {
            let mut hasher = blake3::Hasher::new();
            for part in many {
                hasher.update(&digest(part));
            }
            *hasher.finalize().as_bytes()
        }
    }
}

/// `null`, or the id in hexadecimal.
pub(crate) fn version_text(version: VersionId) -> String {
    if version == VersionId::NULL { "null".to_owned() } else { version.to_string() }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Stored hashes of the tree, read from the store.
pub(crate) struct StoredHashes<'a>(pub(crate) &'a dyn Kv);

impl HashReader for StoredHashes<'_> {
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash>, JournalError> {
        read_hashes(indexes, |key| self.0.get(HSH, key).map_err(StateError::from))
    }
}

/// Stored hashes as a batch in the making leaves them.
pub(crate) struct OverlayHashes<'a, 'b>(pub(crate) &'a Overlay<'b>);

impl HashReader for OverlayHashes<'_, '_> {
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash>, JournalError> {
        read_hashes(indexes, |key| self.0.get(HSH, key))
    }
}

/// The row of a leaf holds its own hash and those of the subtrees that it completes, lowest first.
fn read_hashes(
    indexes: &[u64],
    row: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, StateError>,
) -> Result<Vec<Hash>, JournalError> {
    indexes
        .iter()
        .map(|&index| {
            let (level, n) = split_stored_hash_index(index);
            let leaf = ((n + 1) << level) - 1;
            let stored = row(&leaf.to_be_bytes()).map_err(JournalError::read)?;
            let start = usize::from(level) * 32;
            stored
                .as_deref()
                .and_then(|bytes| bytes.get(start..start + 32)?.try_into().ok())
                .map(Hash::from_bytes)
                .ok_or_else(|| JournalError::read(StateError::Inconsistent { what: "a stored hash is missing" }))
        })
        .collect()
}
