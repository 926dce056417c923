//! Lines of what no request to the bucket asked: its objects as the sources of copies, and what lifecycle removes.

use std::sync::Arc;

use chartrier_storage::namespace::lock::Versioning;
use chartrier_storage::namespace::rows::{BucketRow, VersionRow};
use http::header;

use super::identity::{Proved, cipher_name, tls_name};
use super::line::Fields;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::names::RequestId;
use crate::s3::open::copy_source::CopySource;
use crate::s3::request::S3Request;
use crate::s3::settings::logging::Logging;
use crate::s3::table::Operation;
use crate::s3::versioning::version_text;

/// Writes the line of a removal by a lifecycle rule, if the bucket is logged.
pub(crate) fn expired(app: &App, bucket: &BucketRow, key: &str, made_marker: bool, version_id: &str) {
    let Ok(Some(rule)) = app.bucket_config::<Logging>(bucket.id) else { return };
    let (time_us, request_id) = (app.now_us(), RequestId::from_random(app.random_bytes()));
    let fields = Fields {
        bucket_owner: &bucket.owner,
        bucket: &bucket.name,
        time_us,
        requester: "AmazonS3",
        request_id: request_id.as_str(),
        operation: if made_marker { "S3.CREATE.DELETEMARKER" } else { "S3.EXPIRE.OBJECT" },
        key: Some(key),
        version_id,
        ..Fields::default()
    };
    app.access_log.add(&Arc::new(bucket.clone()), &rule, time_us, &fields.line());
}

/// Writes the line that the bucket of a copy's source gets beside that of the copy: what was read, or why it was not.
/// As on AWS it has no times and no request target, which is that of the other bucket.
pub(crate) fn copied(app: &App, request: &S3Request, source: &CopySource, outcome: Result<&VersionRow, &S3Error>) {
    let Ok(Some(bucket)) = app.engine.bucket(source.bucket.as_str()) else { return };
    let Ok(Some(rule)) = app.bucket_config::<Logging>(bucket.id) else { return };
    let proved = Proved::of(&request.caller);
    let named = source.version_id.map(version_text);
    let read = outcome.ok().filter(|_| bucket.versioning != Versioning::Unversioned);
    let version_id = read.map(|row| version_text(row.version_id)).or(named).unwrap_or_default();
    let time_us = app.now_us();
    let fields = Fields {
        bucket_owner: &bucket.owner,
        bucket: &bucket.name,
        time_us,
        remote_ip: &request.peer.to_canonical().to_string(),
        requester: &proved.requester,
        request_id: request.request_id.as_str(),
        operation: match request.operation {
            Operation::UploadPartCopy => "REST.COPY.PART_GET",
            _ => "REST.COPY.OBJECT_GET",
        },
        key: Some(source.key.as_str()),
        status: outcome.map_or_else(|error| error.status().as_u16(), |_| 200),
        error_code: outcome.map_or_else(|error| error.code.as_str(), |_| ""),
        object_bytes: outcome.ok().map(|row| row.size_bytes),
        version_id: &version_id,
        signature_version: proved.signature_version,
        cipher_suite: &cipher_name(request.cipher_suite),
        authentication_type: proved.authentication_type,
        host: &String::from_utf8_lossy(request.headers.get(header::HOST).map_or(b"", |host| host.as_bytes())),
        tls_version: &tls_name(request.tls_version),
        ..Fields::default()
    };
    app.access_log.add(&Arc::new(bucket.clone()), &rule, time_us, &fields.line());
}
