//! What GetObject and HeadObject share: from a request to a verified version, the bytes it selects
//! and the head of the answer.

use std::ops::Range;
use std::sync::Arc;

use chartrier_storage::ids::VersionId;
use chartrier_storage::namespace::rows::{BucketRow, VersionRow};
use chartrier_storage::namespace::storage_class::StorageClass;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::OpenedObject;
use crate::app::App;
use crate::s3::checksum::Checksum;
use crate::s3::conditions::{Conditions, ReadOutcome, Validators, http_date, range_applies};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::lock::write_lock;
use crate::s3::names::PartNumber;
use crate::s3::range::{ByteRange, content_range};
use crate::s3::request::{Query, S3Request};
use crate::s3::seal::{write_checksum, write_etag};
use crate::s3::sse::{self, Encryption};
use crate::s3::tags::TagSet;
use crate::s3::versioning::{DELETE_MARKER, VERSION_ID, version_text, version_value, write_version};

/// A read whose answer is known but for the bytes.
pub struct PreparedRead {
    /// 200, 206 or 304.
    pub status: StatusCode,
    /// The head of the answer, `Content-Length` included unless it is a 304.
    pub headers: HeaderMap,
    /// The version, unless the answer is a 304.
    pub body: Option<(OpenedObject, Range<u64>)>,
}

/// Prepares a read.
///
/// The order is AWS's: existence, key, conditions, then the range.
///
/// # Errors
/// `NoSuchKey`, `NoSuchVersion`; the SSE-C misuse table; `PreconditionFailed`; `InvalidRange`,
/// `InvalidPartNumber`; `InvalidRequest` for a contradiction.
pub fn prepare(app: &Arc<App>, request: &mut S3Request) -> Result<PreparedRead, S3Error> {
    let bucket = app.authorise_bucket(request)?;
    sse::refuse_key_in_query(&request.query)?;
    sse::refuse_choice_on_read(&request.headers)?;
    refuse_overrides_of_strangers(request)?;
    let part = part_number(request)?;
    let row = current(app, &bucket, request).map_err(unhidden)?;
    let trio = std::mem::take(&mut request.sse_c.target);
    let encryption = sse::for_read(trio, request.transport, row.mode)?;
    let key = request.object_key()?.as_str();
    let object = OpenedObject::open(&app.operator_key, bucket.id, key, row, &encryption)?;

    let validators = Validators { etag: &object.row.etag, modified_us: object.row.modified_us };
    match Conditions::of_read(&request.headers).evaluate(validators) {
        ReadOutcome::Proceed => {}
        ReadOutcome::Failed => return Err(S3Error::of(S3ErrorCode::PreconditionFailed)),
        ReadOutcome::NotModified => {
            let mut headers = head(app, &bucket, key, &object, &encryption)?;
            headers.remove(header::CONTENT_TYPE);
            return Ok(PreparedRead { status: StatusCode::NOT_MODIFIED, headers, body: None });
        }
    }
    let selected = select(request, &object, part)?;
    let mut headers = head(app, &bucket, key, &object, &encryption)?;
    override_headers(&request.query, &mut headers)?;
    if wants_checksums(request) {
        selected.write_checksum(&object, &mut headers)?;
    }
    if part.is_some()
        && let Some(count) = object.row.multipart_parts
    {
        headers.insert("x-amz-mp-parts-count", count.into());
    }
    let range = selected.range();
    headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    let mut status = StatusCode::OK;
    if selected.is_partial() && !range.is_empty() {
        status = StatusCode::PARTIAL_CONTENT;
        let value = content_range(&range, object.row.size_bytes);
        headers.insert(header::CONTENT_RANGE, HeaderValue::from_str(&value).expect("digits and punctuation"));
    }
    Ok(PreparedRead { status, headers, body: Some((object, range)) })
}

/// The version that a request names.
///
/// # Errors
/// `NoSuchKey`, `NoSuchVersion`, `InvalidArgument` for an id that is none.
pub fn current(app: &App, bucket: &BucketRow, request: &S3Request) -> Result<VersionRow, S3Error> {
    let wanted = requested_version(&request.query)?;
    find(app, bucket, request.object_key()?.as_str(), wanted)
}

/// The version of a key that is asked for: by id, or the current one.
///
/// # Errors
/// `NoSuchKey`, with the marker's id if a delete marker hides the object; `NoSuchVersion`;
/// `MethodNotAllowed` if the version asked for is a delete marker.
pub fn find(app: &App, bucket: &BucketRow, key: &str, wanted: Option<VersionId>) -> Result<VersionRow, S3Error> {
    let row = match wanted {
        None => app.engine.current(bucket.id, key)?,
        Some(version) => app.engine.version(bucket.id, key, version)?,
    };
    match row {
        None => Err(no_such(key, wanted)),
        Some(row) if row.delete_marker => Err(hidden(key, wanted, &row)),
        Some(row) => Ok(row),
    }
}

fn hidden(key: &str, wanted: Option<VersionId>, marker: &VersionRow) -> S3Error {
    let error = match wanted {
        None => no_such(key, None),
        Some(_) => S3Error::of(S3ErrorCode::MethodNotAllowed)
            .with_detail("ResourceType", "DeleteMarker")
            .with_header(header::ALLOW, HeaderValue::from_static("DELETE"))
            .with_header(header::LAST_MODIFIED, last_modified(marker)),
    };
    error
        .with_header(DELETE_MARKER, HeaderValue::from_static("true"))
        .with_header(VERSION_ID, version_value(marker.version_id))
}

fn last_modified(row: &VersionRow) -> HeaderValue {
    HeaderValue::from_str(&http_date(row.modified_us)).expect("a date is visible ASCII")
}

/// A read of an object that is not there, and that no marker hides: Ceph's clients tell the two apart.
fn unhidden(error: S3Error) -> S3Error {
    let hidden = error.headers.iter().any(|(name, _)| *name == DELETE_MARKER);
    if error.code != S3ErrorCode::NoSuchKey || hidden {
        return error;
    }
    error.with_header(DELETE_MARKER, HeaderValue::from_static("false"))
}

/// The error of an object or version that is not there.
pub fn no_such(key: &str, wanted: Option<VersionId>) -> S3Error {
    match wanted {
        Some(version) => S3Error::of(S3ErrorCode::NoSuchVersion)
            .with_detail("Key", key)
            .with_detail("VersionId", version_text(version)),
        None => S3Error::of(S3ErrorCode::NoSuchKey).with_detail("Key", key),
    }
}

/// The `versionId` of a query: `null`, one of ours, or none.
///
/// # Errors
/// `InvalidArgument` for any other text.
pub fn requested_version(query: &Query) -> Result<Option<VersionId>, S3Error> {
    match query.get("versionId") {
        None => Ok(None),
        Some(text) => parse_version(text).map(Some),
    }
}

/// Parses a version id as clients write it.
///
/// # Errors
/// `InvalidArgument`.
pub fn parse_version(text: &str) -> Result<VersionId, S3Error> {
    if text == "null" {
        return Ok(VersionId::NULL);
    }
    let invalid = || S3Error::invalid_argument("Invalid version id specified", "versionId", text);
    match text.parse() {
        Ok(VersionId::NULL) | Err(_) => Err(invalid()),
        Ok(version) => Ok(version),
    }
}

fn part_number(request: &S3Request) -> Result<Option<PartNumber>, S3Error> {
    let Some(text) = request.query.get("partNumber") else { return Ok(None) };
    if request.headers.contains_key(header::RANGE) {
        return Err(S3Error::new(
            S3ErrorCode::InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter",
        ));
    }
    PartNumber::parse(text).map(Some)
}

/// Which bytes a read selects.
enum Selection {
    Whole(u64),
    Range(Range<u64>),
    Part { index: usize, range: Range<u64> },
}

fn select(request: &S3Request, object: &OpenedObject, part: Option<PartNumber>) -> Result<Selection, S3Error> {
    let row = &object.row;
    if let Some(part) = part {
        // Parts count from 1 in object order, whatever numbers they were uploaded under: so that a client
        // that learns the count can read 1 to N.
        let index = usize::from(part.get()) - 1;
        if index >= row.parts.len() {
            return Err(S3Error::of(S3ErrorCode::InvalidPartNumber)
                .with_detail("PartNumberRequested", part.get().to_string())
                .with_detail("ActualPartCount", row.parts.len().to_string()));
        }
        let begin: u64 = row.parts[..index].iter().map(|part| part.plain_bytes).sum();
        return Ok(Selection::Part { index, range: begin..begin + row.parts[index].plain_bytes });
    }
    let validators = Validators { etag: &row.etag, modified_us: row.modified_us };
    let value = request.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let range = value.filter(|_| range_applies(&request.headers, validators)).and_then(ByteRange::parse);
    match range {
        None => Ok(Selection::Whole(row.size_bytes)),
        Some(range) => match range.resolve(row.size_bytes) {
            Ok(range) => Ok(Selection::Range(range)),
            Err(_) => Err(unsatisfiable(value.unwrap_or_default(), row.size_bytes)),
        },
    }
}

fn unsatisfiable(requested: &str, size_bytes: u64) -> S3Error {
    let value = HeaderValue::from_str(&format!("bytes */{size_bytes}")).expect("digits and punctuation");
    S3Error::of(S3ErrorCode::InvalidRange)
        .with_detail("RangeRequested", requested)
        .with_detail("ActualObjectSize", size_bytes.to_string())
        .with_header(header::CONTENT_RANGE, value)
}

impl Selection {
    fn range(&self) -> Range<u64> {
        match self {
            Self::Whole(size_bytes) => 0..*size_bytes,
            Self::Range(range) | Self::Part { range, .. } => range.clone(),
        }
    }

    fn is_partial(&self) -> bool {
        !matches!(self, Self::Whole(_))
    }

    /// The checksum of exactly the bytes that are sent, where one is known: clients verify against it.
    fn write_checksum(&self, object: &OpenedObject, headers: &mut HeaderMap) -> Result<(), S3Error> {
        let Some(checksum) = &object.metadata.checksum else { return Ok(()) };
        match self {
            Self::Whole(_) => write_checksum(headers, checksum),
            Self::Range(_) => {}
            Self::Part { .. } if object.row.multipart_parts.is_none() => write_checksum(headers, checksum),
            Self::Part { index, .. } => {
                let values = object.part_checksums(*index)?;
                if let Some(value) = values.into_iter().find(|value| value.algorithm() == checksum.algorithm()) {
                    write_checksum(headers, &Checksum::full_object(value));
                    headers.insert("x-amz-checksum-type", HeaderValue::from_static(checksum.kind().name()));
                }
            }
        }
        Ok(())
    }
}

fn wants_checksums(request: &S3Request) -> bool {
    request.headers.get("x-amz-checksum-mode").is_some_and(|mode| mode.as_bytes().eq_ignore_ascii_case(b"ENABLED"))
}

/// What every answer about a version says of it.
fn head(
    app: &App,
    bucket: &BucketRow,
    key: &str,
    object: &OpenedObject,
    encryption: &Encryption,
) -> Result<HeaderMap, S3Error> {
    let mut headers = HeaderMap::with_capacity(16);
    object.metadata.write_to(&mut headers);
    write_etag(&mut headers, &object.row.etag);
    headers.insert(header::LAST_MODIFIED, last_modified(&object.row));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    encryption.write_to(&mut headers);
    write_version(&mut headers, bucket, object.row.version_id);
    write_lock(&object.row, &mut headers);
    // S3 says nothing of the class that is the default.
    if object.row.storage_class != StorageClass::Standard {
        headers.insert("x-amz-storage-class", HeaderValue::from_static(object.row.storage_class.name()));
    }
    if !object.row.sealed_tags.is_empty() {
        let tags = TagSet::of_row(&app.operator_key, bucket.id, key, &object.row)?;
        headers.insert("x-amz-tagging-count", tags.len().into());
    }
    Ok(headers)
}

/// The `response-*` parameters, for those who sign: see [`refuse_overrides_of_strangers`].
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-cache-control", header::CACHE_CONTROL),
    ("response-content-disposition", header::CONTENT_DISPOSITION),
    ("response-content-encoding", header::CONTENT_ENCODING),
    ("response-content-language", header::CONTENT_LANGUAGE),
    ("response-content-type", header::CONTENT_TYPE),
    ("response-expires", header::EXPIRES),
];

/// A link to a public object must not let who made the link say how a browser takes it: as a page of
/// the bucket's site, with scripts.
fn refuse_overrides_of_strangers(request: &S3Request) -> Result<(), S3Error> {
    let overrides = OVERRIDES.iter().any(|(parameter, _)| request.query.non_empty(parameter).is_some());
    if overrides && request.caller.is_anonymous() {
        return Err(S3Error::new(
            S3ErrorCode::InvalidRequest,
            "Request specific response headers cannot be used for anonymous GET requests.",
        ));
    }
    Ok(())
}

fn override_headers(query: &Query, headers: &mut HeaderMap) -> Result<(), S3Error> {
    for (parameter, name) in OVERRIDES {
        if let Some(text) = query.non_empty(parameter) {
            let value = HeaderValue::from_bytes(text.as_bytes())
                .map_err(|_| S3Error::invalid_argument("Header value is not valid.", parameter, ""))?;
            headers.insert(name, value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_ids_are_null_or_ours() {
        let version = |query: &str| requested_version(&Query::parse(query).unwrap());
        assert_eq!(version("").unwrap(), None);
        assert_eq!(version("versionId=null").unwrap(), Some(VersionId::NULL));
        assert!(version(&format!("versionId={}", "ab".repeat(16))).unwrap().is_some());
        for bad in ["versionId=", "versionId=x", "versionId=00000000000000000000000000000000"] {
            assert_eq!(version(bad).unwrap_err().code, S3ErrorCode::InvalidArgument, "{bad}");
        }
        assert_eq!(no_such("k", None).code, S3ErrorCode::NoSuchKey);
        assert_eq!(no_such("k", Some(VersionId::NULL)).code, S3ErrorCode::NoSuchVersion);
    }

    #[test]
    fn overrides_replace_headers_and_cannot_inject_any() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let query = Query::parse("response-content-type=image%2Fpng&response-expires=").unwrap();
        override_headers(&query, &mut headers).unwrap();
        assert_eq!(headers[header::CONTENT_TYPE], "image/png");
        assert_eq!(headers.len(), 1);
        let query = Query::parse("response-content-type=a%0d%0aSet-Cookie:x").unwrap();
        assert!(override_headers(&query, &mut headers).is_err());
    }

    #[test]
    fn an_unsatisfiable_range_tells_the_size() {
        let error = unsatisfiable("bytes=9-", 5);
        assert_eq!(error.code, S3ErrorCode::InvalidRange);
        assert_eq!(error.headers[0].1, "bytes */5");
    }
}
