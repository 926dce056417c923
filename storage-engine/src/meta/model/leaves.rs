//! Leaves of the model's journal: a list, and the facts that they tell.

use chartrier_journal::{Actor, EventType, Json, Leaf, Outcome, Target};

use super::State;
use crate::ids::{BucketId, VersionId};
use crate::namespace::command::Command;
use crate::namespace::rows::{BlobRef, PartRow, VersionRow};

/// What a leaf says beyond who, when and where.
pub(super) type Data = Vec<(&'static str, Json)>;

impl State {
    /// Appends a leaf and answers its index; none before the journal has a name. With a reason it is of a refusal.
    pub(super) fn leaf(
        &mut self,
        command: &Command,
        event: EventType,
        target: Target,
        reason: Option<String>,
        data: Data,
    ) -> Option<u64> {
        let journal = self.journal.clone()?;
        let context = &command.context;
        let seq = self.leaves.len() as u64;
        self.leaves.push(Leaf {
            log: journal.origin,
            seq,
            time_us: self.leaves.last().map_or(0, |leaf| leaf.time_us).max(context.time_us),
            event,
            tenant: journal.tenant,
            actor: Actor {
                pid: context.actor_pid.clone(),
                role: context.actor_role.clone(),
                org: None,
                auth: context.actor_auth.clone(),
            },
            req: context.request_id.clone(),
            node: journal.node,
            target,
            outcome: reason.map_or(Outcome::Ok, Outcome::Refused),
            data: data.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        });
        Some(seq)
    }
}

/// Names an object as leaves do: bucket id, commitment of the key, version.
pub(super) fn object(bucket: BucketId, row: &VersionRow) -> Target {
    let version = if row.version_id == VersionId::NULL { "null".to_owned() } else { row.version_id.to_string() };
    Target {
        bucket: Some(bucket.to_string()),
        object: Some(hex(&row.key_commitment)),
        version: Some(version),
        ..Target::default()
    }
}

/// What every leaf of a stored version says of it.
pub(super) fn facts(row: &VersionRow) -> Data {
    vec![
        ("object_uuid", row.object_uuid.to_string().into()),
        ("size", row.size_bytes.into()),
        ("mode", char::from(row.mode).to_string().into()),
    ]
}

/// BLAKE3 of the sealed bytes of one part; of more, that of their digests.
pub(super) fn digest_of_parts(parts: &[PartRow]) -> [u8; 32] {
    let digests: Vec<[u8; 32]> = parts
        .iter()
        .map(|part| match &part.blob {
            BlobRef::Inline(bytes) => blake3::hash(bytes).into(),
            BlobRef::Stripes(run) => run.blake3,
        })
        .collect();
    if let [only] = digests[..] { only } else { blake3::hash(&digests.concat()).into() }
}

/// A digest in a leaf: lowercase hex.
pub(super) fn text(digest: &[u8; 32]) -> Json {
    hex(digest).into()
}

/// Bytes in lowercase hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An object of JSON.
pub(super) fn json_object(members: impl IntoIterator<Item = (&'static str, Json)>) -> Json {
    Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
