//! From lines to an object of the target bucket, sealed under the operator key like any other.

use std::sync::Arc;

use bytes::Bytes;
use chartrier_storage::namespace::command::WriteCondition;
use chartrier_storage::namespace::notification::Cause;
use chartrier_storage::namespace::rows::BucketRow;
use chartrier_storage::namespace::storage_class::StorageClass;
use http::{HeaderMap, HeaderValue, header};

use super::buffer::Batch;
use super::line::moment;
use super::permission::SERVICE;
use crate::access::NewObjectAccess;
use crate::access::standing::{Standing, account_number};
use crate::app::App;
use crate::logging::chain;
use crate::s3::checksum::ChecksumAlgorithm;
use crate::s3::error::S3Error;
use crate::s3::lock::LockRequest;
use crate::s3::metadata::ObjectMetadata;
use crate::s3::names::{ObjectKey, RequestId};
use crate::s3::request::{AuthKind, Caller};
use crate::s3::seal::{Lineage, SingleWrite, random_bytes};
use crate::s3::settings::logging::{DateSource, KeyFormat};
use crate::s3::settings::quota::{self, Added};
use crate::s3::sse::Encryption;
use crate::s3::tags::TagSet;

/// Delivers all batches that are ready; those that cannot be now wait for the next time.
pub(super) async fn ready(app: &Arc<App>) {
    let lost = app.access_log.take_lost();
    if lost > 0 {
        tracing::warn!(lost, "lines of access logs were lost: more came than could be delivered");
        app.metrics.access_log_lost.inc_by(lost);
    }
    while let Some(batch) = app.access_log.next() {
        match deliver(app, &batch).await {
            Ok(()) => {
                app.access_log.done(&batch);
                app.metrics.access_log_delivered.inc_by(batch.lines);
            }
            Err(error) if error.status().is_server_error() => {
                tracing::warn!(source = %batch.source.id, error = chain(&error), "an access log waits: it was not delivered");
                app.access_log.again(batch);
                return;
            }
            Err(error) => {
                let lines = batch.lines;
                tracing::warn!(source = %batch.source.id, lines, error = chain(&error), "an access log is lost");
                app.access_log.done(&batch);
                app.metrics.access_log_lost.inc_by(batch.lines);
            }
        }
    }
}

async fn deliver(app: &Arc<App>, batch: &Batch) -> Result<(), S3Error> {
    let target = app.log_target(&batch.source, &batch.rule)?;
    let plain = Bytes::copy_from_slice(batch.text.as_bytes());
    quota::check(app, &target, Added { bytes: plain.len() as u64, objects: 1 })?;
    let key = ObjectKey::parse(key(app, batch))?;
    let write = write(app, target, key)?;
    let mut upload = write.begin(app, Some(plain.len() as u64), []).await;
    upload.push(plain).await?;
    let part = upload.end().await?.finish().await?;
    write.commit(app, part).await.map(|_| ())
}

fn write(app: &App, bucket: BucketRow, key: ObjectKey) -> Result<SingleWrite, S3Error> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let encryption = Encryption::Operator;
    Ok(SingleWrite {
        caller: service(&bucket.owner),
        access: NewObjectAccess { owner: bucket.owner.clone(), acl: Vec::new() },
        request_id: RequestId::from_random(app.random_bytes()),
        lineage: Lineage::draw(&*app.random, encryption.mode()),
        encryption,
        metadata: ObjectMetadata::from_headers(&headers, random_bytes(&*app.random))?,
        algorithm: ChecksumAlgorithm::Crc64Nvme,
        condition: WriteCondition::None,
        tags: TagSet::default(),
        lock: LockRequest::default(),
        storage_class: StorageClass::default(),
        cause: Cause::Request,
        bucket,
        key,
    })
}

/// The delivering service, writing for the bucket's owner.
fn service(owner: &str) -> Caller {
    Caller {
        user_id: owner.into(),
        name: "s3-log-delivery".into(),
        auth_kind: AuthKind::Internal,
        standing: Arc::new(Standing::service(SERVICE)),
        ..Caller::anonymous()
    }
}

/// `PrefixYYYY-mm-DD-HH-MM-SS-Unique`, with account, region, bucket and date before it where that was asked.
fn key(app: &App, batch: &Batch) -> String {
    let by_event = batch.rule.key_format == KeyFormat::Partitioned(DateSource::EventTime);
    let when = moment(if by_event { batch.first_us } else { app.now_us() });
    let (hour, minute, second) = if by_event { (0, 0, 0) } else { when.to_hms() };
    let (year, month, day) = (when.year(), u8::from(when.month()), when.day());
    let partition = match batch.rule.key_format {
        KeyFormat::Unsaid | KeyFormat::Simple => String::new(),
        KeyFormat::Partitioned(_) => {
            let (account, region) = (account_number(&batch.source.owner), &app.config.region);
            format!("{account}/{region}/{}/{year:04}/{month:02}/{day:02}/", batch.source.name)
        }
    };
    let unique = hex::encode_upper(app.random_bytes::<8>());
    let prefix = &batch.rule.target_prefix;
    format!("{prefix}{partition}{year:04}-{month:02}-{day:02}-{hour:02}-{minute:02}-{second:02}-{unique}")
}
