//! `POST /bucket/key?uploadId`: CompleteMultipartUpload.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartrier_crypto::Mode;
use chartrier_storage::ids::UploadId;
use chartrier_storage::namespace::command::WriteCondition;
use chartrier_storage::namespace::rows::BucketRow;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::body::read_md5_checked;
use super::listing::NameEncoding;
use super::multipart::assemble::{Completed, complete};
use super::multipart::rules::RequestedPart;
use super::multipart::{Upload, keys, no_such_upload, request as document, upload_id};
use crate::app::App;
use crate::s3::conditions::write_condition;
use crate::s3::error::S3Error;
use crate::s3::names::{ObjectKey, RequestId};
use crate::s3::request::{Caller, S3Request, Transport, XML_BODY_LEN_BYTES_MAX};
use crate::s3::response::{ResponseBody, S3Response, error_document, xml};
use crate::s3::versioning::write_new_version;
use crate::s3::xml::XmlWriter;

/// What a Complete asks for, read from the request whole.
pub struct Job {
    pub(in crate::s3::ops) caller: Caller,
    pub(in crate::s3::ops) request_id: RequestId,
    pub(in crate::s3::ops) bucket: BucketRow,
    pub(in crate::s3::ops) key: ObjectKey,
    pub(in crate::s3::ops) upload: UploadId,
    pub(in crate::s3::ops) parts: Vec<RequestedPart>,
    pub(in crate::s3::ops) condition: WriteCondition,
    pub(in crate::s3::ops) headers: HeaderMap,
}

/// How long a client waits for a status of its own; then 200 is sent and spaces keep it waiting.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Turns an upload into the current version. Durable and visible when it answers.
///
/// The same Complete again answers as the first time while its object is still the current version,
/// as AWS does; otherwise `NoSuchUpload`. Of a Complete that races another or an Abort, exactly one
/// holds, decided at apply.
///
/// # Errors
/// `NoSuchUpload`, `MalformedXML`, `InvalidPart`, `InvalidPartOrder`, `EntityTooSmall`,
/// `InvalidRequest`, `BadDigest`, `PreconditionFailed`, `NoSuchKey` for `If-Match` on nothing. A
/// Complete that takes longer than a few seconds answers 200 and the error inside it.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let key = request.object_key()?.clone();
    let upload = upload_id(&request)?;
    let condition = write_condition(&request.headers)?;
    let mut echo = HeaderMap::new();
    if let Some(row) = app.engine.upload(bucket.id, key.as_str(), upload)? {
        let found = Upload { bucket: bucket.clone(), key: key.clone(), row };
        let trio = std::mem::take(&mut request.sse_c.target);
        if let Some(known) = keys::check_if_sent(&found, trio, request.transport, &app.operator_key)? {
            known.write_to(&mut echo);
        }
    }
    let body = read_md5_checked(&mut request, XML_BODY_LEN_BYTES_MAX).await?;
    let parts = document::parse(&body)?;
    let location = location(&request, &key);
    let job = Job {
        caller: request.caller,
        request_id: request.request_id,
        bucket,
        key,
        upload,
        parts,
        condition,
        headers: request.headers,
    };

    // A task of its own: a client that goes away cannot stop it half-way through its reads.
    let mut work = tokio::spawn(run(Arc::clone(app), job, location));
    match tokio::time::timeout(ANSWER_WITHIN, &mut work).await {
        Ok(done) => {
            let mut response = done.map_err(S3Error::internal)??.into_response();
            response.headers_mut().extend(echo);
            Ok(response)
        }
        Err(_) => {
            let request_id = request.request_id;
            let document = async move {
                match work.await.map_err(S3Error::internal).and_then(|result| result) {
                    Ok(answer) => answer.document,
                    Err(error) => {
                        tracing::warn!(%error, "a Complete failed after its 200 was sent");
                        error_document(&error, request_id.as_str())
                    }
                }
            };
            let mut response = S3Response::new(ResponseBody::keep_alive_then(document));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            Ok(response)
        }
    }
}

struct Answer {
    document: Bytes,
    mode: Option<Mode>,
    /// `x-amz-version-id`, if it is not the null version.
    version: HeaderMap,
}

impl Answer {
    fn into_response(self) -> S3Response {
        let mut response = xml(StatusCode::OK, self.document);
        response.headers_mut().extend(self.version);
        let (name, value) = match self.mode {
            Some(Mode::O) => ("x-amz-server-side-encryption", "AES256"),
            Some(Mode::C) => ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
            _ => return response,
        };
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        response
    }
}

async fn run(app: Arc<App>, job: Job, location: String) -> Result<Answer, S3Error> {
    let Some(completed) = complete(&app, &job).await? else {
        return Err(no_such_upload(&job.upload.to_string()));
    };
    let mut version = HeaderMap::new();
    write_new_version(&mut version, completed.version_id);
    Ok(Answer { document: result_document(&job, &location, &completed), mode: completed.mode, version })
}

fn result_document(job: &Job, location: &str, completed: &Completed) -> Bytes {
    let mut doc = XmlWriter::new();
    doc.open_root("CompleteMultipartUploadResult");
    doc.element("Location", location);
    doc.element("Bucket", &job.bucket.name);
    doc.element("Key", job.key.as_str());
    doc.element("ETag", &format!("\"{}\"", completed.etag));
    if let Some(checksum) = &completed.checksum {
        doc.element(checksum.algorithm().element(), &checksum.to_text());
        doc.element("ChecksumType", checksum.kind().name());
    }
    doc.close("CompleteMultipartUploadResult");
    doc.finish()
}

/// The object's address as the client reached it.
pub(super) fn location(request: &S3Request, key: &ObjectKey) -> String {
    let scheme = match request.transport {
        Transport::Tls => "https",
        Transport::Plain => "http",
    };
    let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let bucket = request.bucket.as_ref().map_or("", |bucket| bucket.as_str());
    let path = NameEncoding::Url.encode(key.as_str());
    // A host that begins with the bucket's name is a virtual host: the path then holds the key alone.
    if host.strip_prefix(bucket).is_some_and(|rest| rest.starts_with('.')) {
        format!("{scheme}://{host}/{path}")
    } else {
        format!("{scheme}://{host}/{bucket}/{path}")
    }
}
