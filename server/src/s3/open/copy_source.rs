//! The source of CopyObject and UploadPartCopy: `x-amz-copy-source` and what goes with it.

use chartrier_storage::ids::VersionId;
use http::HeaderMap;
use percent_encoding::percent_decode_str;

use super::OpenedObject;
use super::read::{find, parse_version};
use crate::access_log;
use crate::app::{App, expect_owner};
use crate::s3::conditions::{Conditions, ReadOutcome, Validators};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::names::{BucketName, ObjectKey};
use crate::s3::request::S3Request;
use crate::s3::sse;

/// What `x-amz-copy-source` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// The bucket.
    pub bucket: BucketName,
    /// The object.
    pub key: ObjectKey,
    /// The version, if one is named.
    pub version_id: Option<VersionId>,
}

impl CopySource {
    /// Reads the header: `/bucket/key?versionId=id`, percent-encoded, the first slash optional.
    ///
    /// # Errors
    /// `InvalidArgument` if it is not of that form; `InvalidBucketName`, `KeyTooLongError`.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, S3Error> {
        let value = headers.get("x-amz-copy-source");
        let text = value.and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).ok_or_else(invalid)?;
        // The version is split off before decoding: an encoded question mark belongs to the key.
        let (path, version) = match text.rsplit_once("?versionId=") {
            Some((path, version)) => (path, Some(version)),
            None => (text, None),
        };
        let path = percent_decode_str(path).decode_utf8().map_err(|_| invalid())?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = path.split_once('/').ok_or_else(invalid)?;
        if key.is_empty() {
            return Err(invalid());
        }
        Ok(Self {
            bucket: BucketName::parse(bucket)?,
            key: ObjectKey::parse(key)?,
            version_id: version.map(parse_version).transpose()?,
        })
    }

    /// Opens the source for the caller: access, existence, key, conditions. No data is read. The access log of the
    /// source's bucket, if it has one, says so either way.
    ///
    /// # Errors
    /// `AccessDenied`, `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`, the SSE-C misuse table, and
    /// `PreconditionFailed` for every condition that does not hold.
    pub fn open(&self, app: &App, request: &mut S3Request) -> Result<OpenedObject, S3Error> {
        let opened = self.open_unlogged(app, request);
        access_log::copied(app, request, self, opened.as_ref().map(|object| &object.row));
        opened
    }

    fn open_unlogged(&self, app: &App, request: &mut S3Request) -> Result<OpenedObject, S3Error> {
        let key = self.key.as_str();
        let version = self.version_id.map(|version| version.to_string());
        let bucket = app.authorise_source(request, self.bucket.as_str(), key, version.as_deref())?;
        expect_owner(&bucket, request.headers.get("x-amz-source-expected-bucket-owner"))?;
        let may_list = app.may_list(request, &bucket, self.key.as_str(), self.version_id.is_some())?;
        let row = find(app, &bucket, key, self.version_id).map_err(|error| match error.code {
            S3ErrorCode::MethodNotAllowed => S3Error::new(
                S3ErrorCode::InvalidRequest,
                "The source of a copy request may not specifically refer to a delete marker by version id.",
            ),
            // To callers who may not list the bucket, what is not in it is refused as what is.
            S3ErrorCode::NoSuchKey | S3ErrorCode::NoSuchVersion if !may_list => S3Error::of(S3ErrorCode::AccessDenied),
            _ => error,
        })?;
        let trio = std::mem::take(&mut request.sse_c.copy_source);
        let encryption = sse::for_read(trio, request.transport, row.mode)?;
        let object = OpenedObject::open(&app.operator_key, bucket.id, key, row, &encryption)?;
        let validators = Validators { etag: &object.row.etag, modified_us: object.row.modified_us };
        match Conditions::of_copy_source(&request.headers).evaluate(validators) {
            ReadOutcome::Proceed => Ok(object),
            ReadOutcome::Failed | ReadOutcome::NotModified => Err(S3Error::of(S3ErrorCode::PreconditionFailed)),
        }
    }
}

fn invalid() -> S3Error {
    S3Error::invalid_argument(
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        "x-amz-copy-source",
        "",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<CopySource, S3ErrorCode> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-copy-source", http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        CopySource::from_headers(&headers).map_err(|error| error.code)
    }

    #[test]
    fn sources_are_decoded_once() {
        for (value, key, version) in [
            ("bucket/key", "key", None),
            ("/bucket/key", "key", None),
            ("bucket%2Fkey", "key", None),
            ("bucket/a/b//c", "a/b//c", None),
            ("bucket/a%20b%2Bc+d", "a b+c+d", None),
            ("bucket/%C3%A9t%C3%A9", "été", None),
            ("bucket/a%3FversionId=b", "a?versionId=b", None),
            ("bucket/a%2525", "a%25", None),
            ("bucket/key?versionId=null", "key", Some(VersionId::NULL)),
        ] {
            let source = parse(value).unwrap();
            assert_eq!((source.key.as_str(), source.version_id), (key, version), "{value}");
            assert_eq!(source.bucket.as_str(), "bucket");
        }
    }

    #[test]
    fn what_names_no_object_is_refused() {
        for value in ["", "bucket", "bucket/", "/bucket", "bucket/%FF", "bucket/key?versionId=x"] {
            assert_eq!(parse(value), Err(S3ErrorCode::InvalidArgument), "{value}");
        }
        assert_eq!(parse("B/key"), Err(S3ErrorCode::InvalidBucketName));
    }
}
