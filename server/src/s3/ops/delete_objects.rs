//! `POST /bucket?delete`: DeleteObjects.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>.

use std::sync::Arc;

use chartrier_storage::ids::{BucketId, VersionId};
use chartrier_storage::namespace::command::{Attempt, Op};
use chartrier_storage::namespace::rows::BucketRow;
use http::StatusCode;
use tokio::task::JoinSet;

use super::delete_object::Deletion;
use crate::access_log::BatchDeleted;
use crate::app::App;
use crate::s3::checksum::{ExpectedChecksums, digest};
use crate::s3::conditions::deletion_condition;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::lock::bypasses_governance;
use crate::s3::names::ObjectKey;
use crate::s3::open::read::parse_version;
use crate::s3::request::{S3Request, XML_BODY_LEN_BYTES_MAX};
use crate::s3::response::{S3Response, xml};
use crate::s3::versioning::version_text;
use crate::s3::xml::{Element, XmlWriter};

/// Most objects in one request.
pub const OBJECTS_MAX: usize = 1000;

/// Removals proposed at once: enough to fill commit batches, few enough not to crowd out others.
const CONCURRENT_MAX: usize = 64;

/// Removes up to 1000 objects, each on its own: one that fails does not stop the others.
///
/// # Errors
/// `MalformedXML`, `InvalidRequest` without a digest of the body, `BadDigest`.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let expected = ExpectedChecksums::from_headers(&request.headers)?;
    if !expected.any() {
        return Err(S3Error::new(
            S3ErrorCode::InvalidRequest,
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        ));
    }
    let body = request.body.read_to_limit(XML_BODY_LEN_BYTES_MAX).await?;
    let computed: Vec<_> = expected.needed().map(|algorithm| digest(algorithm, &body)).collect();
    expected.verify(&computed, request.body.trailers())?;
    let Delete { objects, quiet } = Delete::parse(&body)?;

    let results = remove_all(app, &request, &bucket, &objects).await?;
    let mut document = XmlWriter::new();
    document.open_root("DeleteResult");
    let mut done = Vec::with_capacity(objects.len());
    for (object, result) in objects.iter().zip(results) {
        let refused = result.as_ref().err().map(|error| error.code.as_str());
        done.push((object.key.clone(), object.version_id.clone(), refused));
        match result {
            Ok(_) if quiet => {}
            Ok(marker) => object.write_deleted(marker, &mut document),
            Err(error) => object.write_error(&error, &mut document),
        }
    }
    document.close("DeleteResult");
    let mut response = xml(StatusCode::OK, document.finish());
    response.extensions_mut().insert(BatchDeleted(done));
    Ok(response)
}

/// The delete marker that was made or removed, or why the object was not removed.
type Removed = Result<Option<VersionId>, S3Error>;

/// Answers one result an object, in the order of the request.
async fn remove_all(
    app: &Arc<App>,
    request: &S3Request,
    bucket: &BucketRow,
    objects: &[Object],
) -> Result<Vec<Removed>, S3Error> {
    let bypass_governance = bypasses_governance(request);
    let mut results: Vec<Removed> = Vec::with_capacity(objects.len());
    results.resize_with(objects.len(), || Ok(None));
    let mut running = JoinSet::new();
    for (index, object) in objects.iter().enumerate() {
        if running.len() == CONCURRENT_MAX {
            settle(&mut running, &mut results).await?;
        }
        let (key, version) = (object.key.as_str(), object.version_id.as_deref());
        if !app.may_delete(request, bucket, key, version)? {
            record_refused_delete(app, request, bucket.id, key).await;
            results[index] = Err(S3Error::of(S3ErrorCode::AccessDenied));
            continue;
        }
        match object.deletion(bucket, bypass_governance) {
            Ok(deletion) => {
                let (app, caller, request_id) = (app.clone(), request.caller.clone(), request.request_id);
                running.spawn(async move { (index, deletion.apply(&app, &caller, request_id).await) });
            }
            Err(error) => results[index] = Err(error),
        }
    }
    while !running.is_empty() {
        settle(&mut running, &mut results).await?;
    }
    Ok(results)
}

/// A refused removal leaves its leaf here as it does alone; the edge sees only the answer's 200.
/// What is no key is not journalled: it names no object, and the body of a request may make it as long as itself.
async fn record_refused_delete(app: &Arc<App>, request: &S3Request, bucket: BucketId, key: &str) {
    if request.caller.is_anonymous() || ObjectKey::parse(key.to_owned()).is_err() {
        return;
    }
    let reason = S3ErrorCode::AccessDenied.as_str().to_owned();
    let op = Op::RecordRefusal { bucket, key: key.to_owned(), attempted: Attempt::Delete, reason };
    if let Err(error) = app.propose(&request.caller, request.request_id, op).await {
        tracing::error!(request_id = %request.request_id, %error, "a refusal was not journalled");
    }
}

async fn settle(running: &mut JoinSet<(usize, Removed)>, results: &mut [Removed]) -> Result<(), S3Error> {
    if let Some(joined) = running.join_next().await {
        let (index, result) = joined.map_err(S3Error::internal)?;
        results[index] = result;
    }
    Ok(())
}

/// The request body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delete {
    pub(super) objects: Vec<Object>,
    quiet: bool,
}

/// One object as the client names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) key: String,
    version_id: Option<String>,
    etag: Option<String>,
    modified: Option<String>,
    size: Option<String>,
}

impl Delete {
    pub(super) fn parse(body: &[u8]) -> Result<Self, S3Error> {
        let root = Element::parse(body, "Delete")?;
        let objects = root.children("Object").map(Object::parse).collect::<Result<Vec<_>, _>>()?;
        if objects.is_empty() || objects.len() > OBJECTS_MAX {
            return Err(S3Error::of(S3ErrorCode::MalformedXml));
        }
        let quiet = match root.child_text("Quiet") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(S3Error::of(S3ErrorCode::MalformedXml)),
        };
        Ok(Self { objects, quiet })
    }
}

impl Object {
    fn parse(element: &Element) -> Result<Self, S3Error> {
        // The key is taken to the byte: white space around it is part of it.
        let key = element.child("Key").map(|key| key.text.clone()).unwrap_or_default();
        if key.is_empty() {
            return Err(S3Error::of(S3ErrorCode::MalformedXml));
        }
        let text = |name| element.child_text(name).filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(Self {
            key,
            version_id: text("VersionId"),
            etag: text("ETag"),
            modified: text("LastModifiedTime"),
            size: text("Size"),
        })
    }

    pub(super) fn deletion(&self, bucket: &BucketRow, bypass_governance: bool) -> Result<Deletion, S3Error> {
        let key = ObjectKey::parse(self.key.clone())?.into_string();
        let version_id = self.version_id.as_deref().map(parse_version).transpose();
        let version_id = version_id.map_err(|_| S3Error::of(S3ErrorCode::NoSuchVersion))?;
        let condition = deletion_condition(self.etag.as_deref(), self.modified.as_deref(), self.size.as_deref())?;
        Ok(Deletion { bucket: bucket.clone(), key, version_id, condition, bypass_governance })
    }

    pub(super) fn write_deleted(&self, marker: Option<VersionId>, document: &mut XmlWriter) {
        document.open("Deleted");
        document.element("Key", &self.key);
        document.element_if("VersionId", self.version_id.as_deref());
        if let Some(marker) = marker {
            document.value("DeleteMarker", true);
            document.element("DeleteMarkerVersionId", &version_text(marker));
        }
        document.close("Deleted");
    }

    fn write_error(&self, error: &S3Error, document: &mut XmlWriter) {
        if let Some(source) = &error.source {
            tracing::warn!(code = error.code.as_str(), %source, "an object of DeleteObjects was not removed");
        }
        document.open("Error");
        document.element("Key", &self.key);
        document.element_if("VersionId", self.version_id.as_deref());
        document.element("Code", error.code.as_str());
        document.element("Message", &error.message);
        document.close("Error");
    }
}

#[cfg(test)]
mod tests {
    use chartrier_storage::ids::BucketId;
    use chartrier_storage::namespace::command::WriteCondition;
    use chartrier_storage::namespace::lock::Versioning;

    use super::*;

    fn bucket() -> BucketRow {
        BucketRow {
            id: BucketId::from_bytes([1; 16]),
            name: "b".into(),
            owner: "o".into(),
            created_us: 0,
            region: "fr".into(),
            versioning: Versioning::Unversioned,
            object_lock: None,
        }
    }

    fn parse(body: &str) -> Result<Delete, S3ErrorCode> {
        Delete::parse(body.as_bytes()).map_err(|error| error.code)
    }

    #[test]
    fn keys_are_taken_to_the_byte() {
        let delete = parse(
            "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>\
             <Object><Key> a&amp;b&#x0A;</Key></Object>\
             <Object><Key>c</Key><VersionId>null</VersionId><ETag>\"e\"</ETag></Object></Delete>",
        )
        .unwrap();
        assert!(delete.quiet);
        assert_eq!(delete.objects[0].key, " a&b\n");
        let second = delete.objects[1].deletion(&bucket(), false).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(second.condition, WriteCondition::IfMatch("e".into()));
        assert!(second.version_id.is_some());
    }

    #[test]
    fn bodies_that_are_none_are_refused() {
        let many = |count: usize| format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(count));
        assert!(parse(&many(OBJECTS_MAX)).is_ok());
        for body in [
            many(OBJECTS_MAX + 1),
            many(0),
            "<Delete><Object><Key></Key></Object></Delete>".into(),
            "<Delete><Object/></Delete>".into(),
            "<Delete><Quiet>maybe</Quiet><Object><Key>k</Key></Object></Delete>".into(),
            "<Remove/>".into(),
            "".into(),
        ] {
            assert_eq!(parse(&body), Err(S3ErrorCode::MalformedXml), "{body:.60}");
        }
    }

    #[test]
    fn what_one_object_breaks_is_its_own_error() {
        let object = |key: &str, version: Option<&str>, size: Option<&str>| Object {
            key: key.into(),
            version_id: version.map(str::to_owned),
            etag: None,
            modified: None,
            size: size.map(str::to_owned),
        };
        let code = |object: Object| object.deletion(&bucket(), false).err().map(|error| error.code);
        assert_eq!(code(object(&"k".repeat(1025), None, None)), Some(S3ErrorCode::KeyTooLongError));
        assert_eq!(code(object("k", Some("x"), None)), Some(S3ErrorCode::NoSuchVersion));
        assert_eq!(code(object("k", None, Some("many"))), Some(S3ErrorCode::InvalidArgument));
        assert_eq!(code(object("k", Some("null"), Some("7"))), None);
    }
}
