//! Buckets as the administrator sees them: what they hold, and what they may hold.

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use chartrier_storage::namespace::command::{Op, Outcome};

use super::answer::{AdminError, AdminResponse, json};
use super::service::propose;
use super::wire;
use crate::app::App;
use crate::s3::settings::quota::Quota;

/// `GET /buckets/{name}`: owner, usage, quota.
///
/// # Errors
/// `NoSuchBucket`; the engine's.
pub fn show(app: &App, name: &str) -> Result<AdminResponse, AdminError> {
    Ok(json(&describe(app, name)?))
}

/// `PUT /buckets/{name}/quota`: replaces the quota; without any limit it is removed. Durable, and in
/// force, when it answers.
///
/// # Errors
/// `NoSuchBucket`; the engine's.
pub async fn set_quota(app: &App, name: &str, asked: wire::Quota) -> Result<AdminResponse, AdminError> {
    let row = app.engine.bucket(name)?.ok_or_else(no_such_bucket)?;
    let quota = Quota { max_bytes: asked.max_bytes, max_objects: asked.max_objects };
    let document = (quota != Quota::default()).then(|| serde_json::to_vec(&quota).expect("two numbers are JSON"));
    let op = Op::SetBucketConfig { bucket: row.id, kind: BucketConfigKind::Quota, document };
    match propose(app, op).await?.outcome {
        Outcome::Done | Outcome::Deleted { .. } => Ok(json(&describe(app, name)?)),
        Outcome::Refused(_) => Err(no_such_bucket()),
    }
}

fn describe(app: &App, name: &str) -> Result<wire::Bucket, AdminError> {
    let usage = app.engine.bucket_usage(name)?.ok_or_else(no_such_bucket)?;
    let quota = app.bucket_config::<Quota>(usage.bucket.id)?.map_or_else(Quota::default, |quota| *quota);
    Ok(wire::Bucket {
        name: usage.bucket.name,
        owner: usage.bucket.owner,
        bytes: usage.bytes,
        objects: usage.versions,
        uploads: usage.uploads,
        max_bytes: quota.max_bytes,
        max_objects: quota.max_objects,
    })
}

fn no_such_bucket() -> AdminError {
    AdminError::not_found("NoSuchBucket", "There is no bucket of that name.")
}
