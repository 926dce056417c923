//! `PUT /bucket/key?partNumber&uploadId` with `x-amz-copy-source`: UploadPartCopy.
//!
//! The source is read, verified and sealed again under the upload's own object key: parts never
//! share bytes with the object they were copied from.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html>.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartrier_storage::namespace::lock::Versioning;
use chartrier_storage::namespace::rows::PartRow;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::listing::iso_time;
use super::multipart::put_part::{OpenedUpload, algorithms, kept, store};
use super::multipart::{AgreedChecksum, Upload};
use crate::app::App;
use crate::s3::checksum::{ChecksumValue, ExpectedChecksums};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::names::{PartNumber, RequestId};
use crate::s3::open::OpenedObject;
use crate::s3::open::copy_source::CopySource;
use crate::s3::range::parse_copy_source_range;
use crate::s3::request::{Caller, S3Request};
use crate::s3::response::{ResponseBody, S3Response, error_document, xml};
use crate::s3::seal::{Lineage, SealedUpload, UPLOAD_BYTES_MAX};
use crate::s3::settings::quota::{self, Added};
use crate::s3::versioning::{COPY_SOURCE_VERSION_ID, version_value};
use crate::s3::xml::XmlWriter;

/// How long a client waits for a status of its own; then 200 is sent and spaces keep it waiting.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Copies a range of an object into a part. Durable when the document is there.
///
/// # Errors
/// Those of UploadPart and of opening the source; `InvalidArgument` for a range that is malformed or
/// outside the source. Of a long copy, errors come inside the 200.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let OpenedUpload { number, upload, lineage, encryption } = OpenedUpload::open(app, &mut request)?;
    let named = CopySource::from_headers(&request.headers)?;
    let source = named.open(app, &mut request)?;
    let range = range(&request.headers, source.row.size_bytes)?;
    quota::check(app, &upload.bucket, Added { bytes: range.end - range.start, objects: 1 })?;
    let mut headers = HeaderMap::new();
    encryption.write_to(&mut headers);
    let source_bucket = app.engine.bucket(named.bucket.as_str())?;
    if source_bucket.is_some_and(|bucket| bucket.versioning != Versioning::Unversioned) {
        headers.insert(COPY_SOURCE_VERSION_ID, version_value(source.row.version_id));
    }

    let copy =
        PartCopy { caller: request.caller, request_id: request.request_id, upload, lineage, number, source, range };
    let mut work = tokio::spawn(copy.run(Arc::clone(app)));
    let mut response = match tokio::time::timeout(ANSWER_WITHIN, &mut work).await {
        Ok(done) => xml(StatusCode::OK, done.map_err(S3Error::internal)??),
        Err(_) => {
            let request_id = request.request_id;
            let mut response = S3Response::new(ResponseBody::keep_alive_then(async move {
                work.await.map_err(S3Error::internal).and_then(|result| result).unwrap_or_else(|error| {
                    tracing::warn!(%error, "a copy of a part failed after its 200 was sent");
                    error_document(&error, request_id.as_str())
                })
            }));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            response
        }
    };
    response.headers_mut().extend(headers);
    Ok(response)
}

/// A copy whose request, upload and source have been judged.
struct PartCopy {
    caller: Caller,
    request_id: RequestId,
    upload: Upload,
    lineage: Lineage,
    number: PartNumber,
    source: OpenedObject,
    range: Range<u64>,
}

impl PartCopy {
    async fn run(self, app: Arc<App>) -> Result<Bytes, S3Error> {
        let agreed = AgreedChecksum::of_upload(&self.upload.row);
        let wanted = algorithms(&agreed, &self.lineage, &ExpectedChecksums::default());
        let len_bytes = self.range.end - self.range.start;
        let mut sealing = SealedUpload::begin(
            app.engine.blobs(),
            &*app.random,
            &self.lineage,
            self.number.get(),
            Some(len_bytes),
            wanted,
        )
        .await;
        let mut plain = self.source.into_stream(Arc::clone(&app.engine), self.range);
        while let Some(bytes) = plain.next().await? {
            sealing.push(bytes).await?;
        }
        let part = sealing.end().await?.finish().await?;
        let kept = kept(&agreed, None, &part.digests);
        let who = (&self.caller, self.request_id);
        let row = store(&app, who, &self.upload, &self.lineage, self.number, part, &kept).await?;
        Ok(document(&row, kept.iter().filter(|_| agreed.asked)))
    }
}

fn document<'v>(row: &PartRow, checksums: impl Iterator<Item = &'v ChecksumValue>) -> Bytes {
    let mut doc = XmlWriter::new();
    doc.open_root("CopyPartResult");
    doc.element("LastModified", &iso_time(row.modified_us));
    doc.element("ETag", &format!("\"{}\"", row.etag));
    for value in checksums {
        doc.element(value.algorithm().element(), &value.to_base64());
    }
    doc.close("CopyPartResult");
    doc.finish()
}

/// The bytes of the source that the part takes: all of it without `x-amz-copy-source-range`.
fn range(headers: &HeaderMap, source_bytes: u64) -> Result<Range<u64>, S3Error> {
    let Some(value) = headers.get(RANGE_HEADER) else {
        if source_bytes > UPLOAD_BYTES_MAX {
            return Err(S3Error::new(
                S3ErrorCode::InvalidRequest,
                format!(
                    "The specified copy source is larger than the maximum allowable size for a copy source: {UPLOAD_BYTES_MAX}"
                ),
            ));
        }
        return Ok(0..source_bytes);
    };
    let text = value.to_str().unwrap_or_default();
    let range = parse_copy_source_range(text).ok_or_else(|| {
        S3Error::invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
             zero-based offsets of the first and last bytes to copy",
            RANGE_HEADER,
            text,
        )
    })?;
    if range.end > source_bytes {
        let message = format!("Range specified is not valid for source object of size: {source_bytes}");
        return Err(S3Error::new(S3ErrorCode::InvalidRange, message)
            .with_detail("ArgumentName", RANGE_HEADER)
            .with_detail("ArgumentValue", text));
    }
    if range.end - range.start > UPLOAD_BYTES_MAX {
        return Err(S3Error::of(S3ErrorCode::EntityTooLarge));
    }
    Ok(range)
}

const RANGE_HEADER: &str = "x-amz-copy-source-range";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lie_inside_the_source() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE_HEADER, HeaderValue::from_static(text));
            range(&headers, 10).map_err(|error| error.code)
        };
        assert_eq!(range(&HeaderMap::new(), 10).unwrap(), 0..10);
        assert_eq!(of("bytes=0-9"), Ok(0..10));
        assert_eq!(of("bytes=3-3"), Ok(3..4));
        for beyond in ["bytes=0-10", "bytes=10-10"] {
            assert_eq!(of(beyond), Err(S3ErrorCode::InvalidRange), "{beyond}");
        }
        for bad in ["bytes=-5", "bytes=5-", "0-5", "bytes=5-3", "bytes=0-1,3-4"] {
            assert_eq!(of(bad), Err(S3ErrorCode::InvalidArgument), "{bad}");
        }
        assert!(range(&HeaderMap::new(), UPLOAD_BYTES_MAX + 1).is_err());
    }
}
