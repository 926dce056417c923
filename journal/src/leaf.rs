//! The leaf: what one line of the journal says, and its one encoding.

use std::collections::BTreeMap;

use crate::bundle::ENTRY_LEN_MAX;
use crate::checkpoint::is_origin;
use crate::error::JournalError;
use crate::hash::{Hash, leaf_hash};
use crate::json::{Json, JsonError, ObjectWriter, write_object};
use crate::time::{format_time, parse_time};

/// Version of the leaf schema, field `v`.
pub const LEAF_VERSION: u64 = 1;

/// Room for a leaf of usual size, so that writing one allocates once.
const TYPICAL_LEN: usize = 1024;

/// One event of the journal. All fields are encoded, in canonical JSON, in every leaf.
///
/// It holds pseudonyms and salted commitments only: never a name of a person or of an object, never a
/// bare hash of plaintext. The caller vouches for that; the encoding checks form only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Origin of the log it belongs to, as in its checkpoints.
    pub log: String,
    /// Its place in the log, from 0.
    pub seq: u64,
    /// When, Unix time in microseconds. Never earlier than the leaf before.
    pub time_us: u64,
    /// What happened.
    pub event: EventType,
    /// The tenant.
    pub tenant: String,
    /// Who asked for it.
    pub actor: Actor,
    /// Id of the request.
    pub req: String,
    /// Node that took the request.
    pub node: String,
    /// What it was done to.
    pub target: Target,
    /// How it ended.
    pub outcome: Outcome,
    /// Fields that belong to the event type.
    pub data: BTreeMap<String, Json>,
}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Pseudonym of the account: HMAC under a per-tenant, per-year key.
    pub pid: String,
    /// `root`, `user`, `system`.
    pub role: String,
    /// Organisation, in clear, if known.
    pub org: Option<String>,
    /// How it proved itself: `sigv4`, `sigv4-presigned`, `admin-token`, `internal`.
    pub auth: String,
}

/// What the event was done to. A field that does not apply is left out of the leaf.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// Id of the bucket, in hexadecimal.
    pub bucket: Option<String>,
    /// Commitment to the object's key, in hexadecimal.
    pub object: Option<String>,
    /// Id of the version, or `null`.
    pub version: Option<String>,
    /// Pseudonym of the account, for events on users.
    pub user: Option<String>,
    /// Public half or commitment of the access key, for events on access keys.
    pub access_key: Option<String>,
}

/// How the event ended: fields `outcome` and `reason`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The change holds. `reason` is null.
    Ok,
    /// Nothing changed but the journal; why, as S3's error code.
    Refused(String),
}

macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What happened: the closed catalogue of event types.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum EventType { $($(#[$doc])* $variant,)* }

        impl EventType {
            /// Every event type.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in leaves.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

event_types! {
    /// A bucket was created.
    BucketCreate = "bucket.create",
    /// An empty bucket was removed.
    BucketDelete = "bucket.delete",
    /// Versioning of a bucket was enabled or suspended.
    BucketVersioning = "bucket.versioning",
    /// Object lock of a bucket was enabled, or its default retention changed.
    BucketLock = "bucket.lock",
    /// A version was stored.
    ObjectDeposit = "object.deposit",
    /// A version was removed.
    ObjectDelete = "object.delete",
    /// A delete marker became the current version.
    ObjectMarker = "object.marker",
    /// A write over an existing object was refused.
    ObjectModifyRefused = "object.modify.refused",
    /// A removal of an existing object was refused.
    DeleteRefused = "delete.refused",
    /// Metadata or key wrap of a version was replaced, its data kept.
    MetadataChange = "metadata.change",
    /// Retention of a version was set, changed or removed.
    RetentionSet = "retention.set",
    /// A change of a retention was refused.
    RetentionRefused = "retention.refused",
    /// A legal hold was placed on a version.
    HoldPlace = "hold.place",
    /// A legal hold was released.
    HoldRelease = "hold.release",
    /// An account was created.
    UserCreate = "user.create",
    /// An account was removed.
    UserRemove = "user.remove",
    /// An access key was added to an account.
    UserKeyAdd = "user.key.add",
    /// An access key was removed from an account.
    UserKeyRemove = "user.key.remove",
    /// The policies, or an access key, of a user changed.
    UserChange = "user.change",
    /// A document of a bucket (CORS, lifecycle, policy, …) was set, replaced or removed.
    BucketConfig = "bucket.config",
    /// Stored bytes were found damaged or missing.
    StorageCorruption = "storage.corruption",
    /// Stored bytes were rebuilt from their redundancy.
    StorageRepair = "storage.repair",
    /// A check of stored bytes came to its end.
    StorageScrub = "storage.scrub",
    /// The set of drives changed, or every shard has followed a change.
    StorageDrives = "storage.drives",
    /// A drive failed, takes no more writes, or is back.
    StorageDriveHealth = "storage.drive-health",
}

impl EventType {
    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.name() == name)
    }

    /// Whether it records a refusal: then, and only then, the outcome is `refused`.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::ObjectModifyRefused | Self::DeleteRefused | Self::RetentionRefused)
    }
}

/// Which rule a leaf breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// Not canonical JSON, or beyond its limits.
    #[error("the leaf is not canonical JSON")]
    Json(#[from] JsonError),
    /// Over 65,535 bytes: move the long part to a manifest object and put its digest here.
    #[error("the leaf has {len} bytes, the limit is 65535")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A field is missing, of another kind, or not allowed.
    #[error("field `{field}` of the leaf {why}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A field that the schema does not know.
    #[error("the leaf has a field that its schema does not know")]
    UnknownField,
}

impl Leaf {
    /// The bytes that are hashed and kept: canonical JSON, at most 65,535 bytes.
    ///
    /// # Errors
    /// [`JournalError::Leaf`] if a field is out of its bounds or the whole too long.
    pub fn encode(&self) -> Result<Vec<u8>, JournalError> {
        Ok(self.encode_checked()?)
    }

    /// Reads a leaf back. Refuses any byte sequence that [`Leaf::encode`] cannot have made.
    ///
    /// # Errors
    /// [`JournalError::Leaf`].
    pub fn parse(bytes: &[u8]) -> Result<Self, JournalError> {
        Ok(Self::parse_checked(bytes)?)
    }

    /// Hash of the encoded leaf in the tree.
    ///
    /// # Errors
    /// As [`Leaf::encode`].
    pub fn hash(&self) -> Result<Hash, JournalError> {
        Ok(leaf_hash(&self.encode()?))
    }

    /// Names are written in the order of RFC 8785, which [`Leaf::parse`] insists on.
    fn encode_checked(&self) -> Result<Vec<u8>, LeafError> {
        self.check()?;
        let time = format_time(self.time_us).ok_or(LeafError::field("time", "is beyond year 9999"))?;
        let (outcome, reason) = match &self.outcome {
            Outcome::Ok => ("ok", None),
            Outcome::Refused(reason) => ("refused", Some(reason.as_str())),
        };
        let mut text = String::with_capacity(TYPICAL_LEN);
        let mut leaf = ObjectWriter::begin(&mut text);
        self.actor.write(leaf.name("actor"));
        write_object(&self.data, leaf.name("data"), 1)?;
        leaf.string("log", &self.log);
        leaf.string("node", &self.node);
        leaf.string("outcome", outcome);
        leaf.nullable("reason", reason);
        leaf.string("req", &self.req);
        leaf.number("seq", self.seq)?;
        self.target.write(leaf.name("target"));
        leaf.string("tenant", &self.tenant);
        leaf.string("time", &time);
        leaf.string("type", self.event.name());
        leaf.number("v", LEAF_VERSION)?;
        leaf.end();
        if text.len() > ENTRY_LEN_MAX {
            return Err(LeafError::TooLong { len: text.len() });
        }
        Ok(text.into_bytes())
    }

    fn parse_checked(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > ENTRY_LEN_MAX {
            return Err(LeafError::TooLong { len: bytes.len() });
        }
        let mut fields = Fields::new("leaf", Json::parse(bytes)?)?;
        if fields.number("v")? != LEAF_VERSION {
            return Err(LeafError::field("v", "is not a known version"));
        }
        let leaf = Self {
            log: fields.string("log")?,
            seq: fields.number("seq")?,
            time_us: parse_time(&fields.string("time")?)
                .ok_or(LeafError::field("time", "is not UTC with microseconds"))?,
            event: EventType::from_name(&fields.string("type")?)
                .ok_or(LeafError::field("type", "is not in the catalogue"))?,
            tenant: fields.string("tenant")?,
            actor: Actor::from_json(fields.take("actor")?)?,
            req: fields.string("req")?,
            node: fields.string("node")?,
            target: Target::from_json(fields.take("target")?)?,
            outcome: match (fields.string("outcome")?.as_str(), fields.nullable("reason")?) {
                ("ok", None) => Outcome::Ok,
                ("refused", Some(reason)) => Outcome::Refused(reason),
                _ => return Err(LeafError::field("outcome", "is not `ok`, or `refused` with a reason")),
            },
            data: match fields.take("data")? {
                Json::Object(members) => members,
                _ => return Err(LeafError::field("data", "is not an object")),
            },
        };
        fields.end()?;
        leaf.check()?;
        Ok(leaf)
    }

    /// Rules that hold for every leaf, written or read.
    fn check(&self) -> Result<(), LeafError> {
        if !is_origin(&self.log) {
            return Err(LeafError::field("log", "is not the origin of a log"));
        }
        if self.event.is_refusal() != matches!(self.outcome, Outcome::Refused(_)) {
            return Err(LeafError::field("outcome", "does not fit the event type"));
        }
        if matches!(&self.outcome, Outcome::Refused(reason) if reason.is_empty()) {
            return Err(LeafError::field("reason", "is empty"));
        }
        Ok(())
    }
}

impl LeafError {
    const fn field(field: &'static str, why: &'static str) -> Self {
        Self::Field { field, why }
    }
}

impl Actor {
    fn write(&self, text: &mut String) {
        let mut actor = ObjectWriter::begin(text);
        actor.string("auth", &self.auth);
        actor.nullable("org", self.org.as_deref());
        actor.string("pid", &self.pid);
        actor.string("role", &self.role);
        actor.end();
    }

    fn from_json(json: Json) -> Result<Self, LeafError> {
        let mut fields = Fields::new("actor", json)?;
        let actor = Self {
            pid: fields.string("pid")?,
            role: fields.string("role")?,
            org: fields.nullable("org")?,
            auth: fields.string("auth")?,
        };
        fields.end().map(|()| actor)
    }
}

impl Target {
    fn write(&self, text: &mut String) {
        let members = [
            ("access_key", &self.access_key),
            ("bucket", &self.bucket),
            ("object", &self.object),
            ("user", &self.user),
            ("version", &self.version),
        ];
        let mut target = ObjectWriter::begin(text);
        for (name, value) in members {
            if let Some(value) = value {
                target.string(name, value);
            }
        }
        target.end();
    }

    fn from_json(json: Json) -> Result<Self, LeafError> {
        let mut fields = Fields::new("target", json)?;
        let target = Self {
            bucket: fields.optional("bucket")?,
            object: fields.optional("object")?,
            version: fields.optional("version")?,
            user: fields.optional("user")?,
            access_key: fields.optional("access_key")?,
        };
        fields.end().map(|()| target)
    }
}

/// Takes the fields of an object one by one; what is left at the end is unknown.
struct Fields(BTreeMap<String, Json>);

impl Fields {
    fn new(field: &'static str, json: Json) -> Result<Self, LeafError> {
        match json {
            Json::Object(members) => Ok(Self(members)),
            _ => Err(LeafError::field(field, "is not an object")),
        }
    }

    fn take(&mut self, field: &'static str) -> Result<Json, LeafError> {
        self.0.remove(field).ok_or(LeafError::field(field, "is missing"))
    }

    fn string(&mut self, field: &'static str) -> Result<String, LeafError> {
        match self.take(field)? {
            Json::String(text) => Ok(text),
            _ => Err(LeafError::field(field, "is not a string")),
        }
    }

    fn number(&mut self, field: &'static str) -> Result<u64, LeafError> {
        match self.take(field)? {
            Json::Number(number) => Ok(number),
            _ => Err(LeafError::field(field, "is not a number")),
        }
    }

    /// A field that is always there, as a string or null.
    fn nullable(&mut self, field: &'static str) -> Result<Option<String>, LeafError> {
        match self.take(field)? {
            Json::Null => Ok(None),
            Json::String(text) => Ok(Some(text)),
            _ => Err(LeafError::field(field, "is neither a string nor null")),
        }
    }

    /// A string field that may be left out.
    fn optional(&mut self, field: &'static str) -> Result<Option<String>, LeafError> {
        if self.0.contains_key(field) { self.string(field).map(Some) } else { Ok(None) }
    }

    fn end(self) -> Result<(), LeafError> {
        if self.0.is_empty() { Ok(()) } else { Err(LeafError::UnknownField) }
    }
}
