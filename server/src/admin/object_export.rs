//! An object version as its sealed bytes, for `chartrier-unseal`. Needs no key, and opens nothing.

use std::sync::Arc;

use bytes::Bytes;
use chartrier_crypto::Mode;
use chartrier_crypto::export::Export;
use chartrier_storage::engine::Engine;
use chartrier_storage::ids::VersionId;
use chartrier_storage::namespace::rows::{BlobRef, BucketRow, PartRow, VersionRow};
use http::{HeaderValue, Response, header};

use super::answer::{AdminError, AdminResponse};
use crate::app::App;
use crate::s3::open::read::parse_version;
use crate::s3::request::Query;
use crate::s3::response::{BodySender, ResponseBody};
use crate::s3::seal::manifest_parts;

/// `GET /objects/export?bucket&key[&version-id]`: the container of docs/formats/sov1.md.
///
/// # Errors
/// `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`. A read that fails later cuts the connection.
pub fn export(app: &Arc<App>, query: &Query) -> Result<AdminResponse, AdminError> {
    let (bucket, key, row) = named_version(app, query)?;
    if row.delete_marker {
        return Err(AdminError::not_found("NoSuchKey", "The version is a delete marker: there is no object."));
    }
    let export = Export {
        mode: Mode::try_from(row.mode).map_err(AdminError::internal)?,
        bucket: *bucket.id.as_bytes(),
        version_id: *row.wrap_version.as_bytes(),
        object_uuid: *row.object_uuid.as_bytes(),
        key_name: key.into_bytes(),
        wrap_record: row.wrap,
        sealed_metadata: row.sealed_metadata,
        manifest_mac: row.manifest_mac,
        parts: manifest_parts(&row.parts),
    };
    let front = export.encode().map_err(AdminError::internal)?;
    let len_bytes = export.container_len().map_err(AdminError::internal)?;
    let (sender, body) = ResponseBody::channel(len_bytes, FRAGMENTS_WAITING);
    tokio::spawn(send(Arc::clone(&app.engine), front, row.parts, sender));
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(header::CONTENT_LENGTH, len_bytes.into());
    Ok(response)
}

/// Fragments between the drives and the socket.
const FRAGMENTS_WAITING: usize = 2;

async fn send(engine: Arc<Engine>, front: Vec<u8>, parts: Vec<PartRow>, sender: BodySender) {
    if sender.send(front.into()).await.is_err() {
        return;
    }
    for part in parts {
        match part.blob {
            BlobRef::Inline(bytes) => {
                if sender.send(bytes.into()).await.is_err() {
                    return;
                }
            }
            blob @ BlobRef::Stripes(_) => {
                let len_bytes = blob.len_bytes();
                let mut reader = engine.blobs().reader(&blob, 0..len_bytes);
                loop {
                    match reader.next().await {
                        Ok(Some(buffer)) => {
                            if sender.send(Bytes::from_owner(buffer)).await.is_err() {
                                return;
                            }
                        }
                        Ok(None) => break,
                        Err(error) => {
                            tracing::error!(%error, "an export could not be read to its end: connection cut");
                            return sender.cut().await;
                        }
                    }
                }
            }
        }
    }
}

/// The version or delete marker that `bucket`, `key` and `version-id` of a query name.
///
/// # Errors
/// `InvalidArgument` for what is missing; `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`.
pub fn named_version(app: &App, query: &Query) -> Result<(BucketRow, String, VersionRow), AdminError> {
    let wanted = |name: &str| {
        query.non_empty(name).ok_or_else(|| AdminError::invalid(format!("The query parameter {name} is missing.")))
    };
    let (name, key) = (wanted("bucket")?, wanted("key")?);
    let version: Option<VersionId> = query.non_empty("version-id").map(parse_version).transpose()?;
    let bucket = app.engine.bucket(name)?;
    let bucket = bucket.ok_or_else(|| AdminError::not_found("NoSuchBucket", "There is no bucket of that name."))?;
    let row = match version {
        None => app.engine.current(bucket.id, key)?,
        Some(version) => app.engine.version(bucket.id, key, version)?,
    };
    let row = row.ok_or_else(|| match version {
        None => AdminError::not_found("NoSuchKey", "There is no object of that key."),
        Some(_) => AdminError::not_found("NoSuchVersion", "The object has no version of that id."),
    })?;
    Ok((bucket, key.to_owned(), row))
}
