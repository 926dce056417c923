//! One removal, as a command of the system.

use chartrier_crypto::Sha256;
use chartrier_storage::ids::{UploadId, VersionId};
use chartrier_storage::namespace::command::{Command, CommandContext, Op, Outcome, WriteCondition};
use chartrier_storage::namespace::lock::Versioning;
use chartrier_storage::namespace::rows::{BucketRow, MarkerRow, ObjectSummary};

use crate::access_log;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::names::RequestId;
use crate::s3::versioning::version_text;

/// Expires the current version that was seen: where there was never versioning it goes, elsewhere a
/// delete marker hides it. False if another is current by now.
pub(super) async fn current(app: &App, bucket: &BucketRow, key: String, seen: ObjectSummary) -> Result<bool, S3Error> {
    // What is so alike that the condition holds is as old as what was seen, and as due.
    let condition = WriteCondition::IfIs {
        etag: Some(seen.etag),
        modified_s: Some(seen.modified_us / 1_000_000),
        size_bytes: Some(seen.size_bytes),
    };
    let versioned = bucket.versioning != Versioning::Unversioned;
    let marker = versioned.then(|| Box::new(marker(app, &bucket.owner, &key)));
    let op = Op::DeleteObject { bucket: bucket.id, key: key.clone(), marker, condition };
    let removed = propose(app, op).await?;
    if removed {
        access_log::expired(app, bucket, &key, versioned, "");
    }
    Ok(removed)
}

/// Destroys a version that is current no more, or a marker that hides nothing; false if it is gone or
/// protected.
pub(super) async fn version(app: &App, bucket: &BucketRow, key: String, version: VersionId) -> Result<bool, S3Error> {
    if bucket.object_lock.is_some() && is_protected(app, bucket, &key, version)? {
        return Ok(false);
    }
    let condition = WriteCondition::None;
    let (version_id, bypass_governance) = (version, false);
    let op = Op::DeleteVersion { bucket: bucket.id, key: key.clone(), version_id, condition, bypass_governance };
    let removed = propose(app, op).await?;
    if removed {
        access_log::expired(app, bucket, &key, false, &version_text(version));
    }
    Ok(removed)
}

/// Aborts an upload in progress; false if it ended meanwhile.
pub(super) async fn upload(app: &App, bucket: &BucketRow, key: String, upload: UploadId) -> Result<bool, S3Error> {
    propose(app, Op::AbortUpload { bucket: bucket.id, key, upload }).await
}

/// Whether a retention or a hold would refuse the removal. Apply decides; this spares the journal a
/// refusal for each protected version at every pass.
fn is_protected(app: &App, bucket: &BucketRow, key: &str, version: VersionId) -> Result<bool, S3Error> {
    let row = app.engine.version(bucket.id, key, version)?;
    Ok(row.is_some_and(|row| {
        row.legal_hold == Some(true) || row.retention.is_some_and(|retention| retention.until_us > app.now_us())
    }))
}

/// A delete marker of the bucket's owner, as AWS has it for markers that lifecycle makes.
fn marker(app: &App, owner: &str, key: &str) -> MarkerRow {
    let salt = app.random_bytes::<32>();
    let mut commitment = Sha256::new();
    commitment.update(&salt);
    commitment.update(key.as_bytes());
    MarkerRow {
        wrap_version: VersionId::from_bytes(app.random_bytes()),
        owner: owner.to_owned(),
        modified_us: app.now_us(),
        key_commitment: commitment.finish(),
        sealed_salt: app.operator_key.seal_secret(MARKER_SALT_LABEL, app.random_bytes(), &salt),
    }
}

/// What the salt of a marker's key commitment is sealed under.
const MARKER_SALT_LABEL: &[u8] = b"marker-salt";

async fn propose(app: &App, op: Op) -> Result<bool, S3Error> {
    let context = CommandContext {
        time_us: app.now_us(),
        request_id: RequestId::from_random(app.random_bytes()).to_string(),
        actor_pid: "lifecycle".to_owned(),
        actor_role: "system".to_owned(),
        actor_auth: "internal".to_owned(),
        origin: app.origin_of_rule(&op)?,
    };
    let applied = app.engine.propose(Command { context, op }).await?;
    Ok(match applied.outcome {
        Outcome::Done => true,
        Outcome::Deleted { existed, marker } => existed || marker.is_some(),
        Outcome::Refused(_) => false,
    })
}
