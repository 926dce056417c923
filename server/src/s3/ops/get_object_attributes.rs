//! `GET /bucket/key?attributes`: GetObjectAttributes.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html>.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};

use crate::app::App;
use crate::s3::checksum::Checksum;
use crate::s3::conditions::http_date;
use crate::s3::error::S3Error;
use crate::s3::open::OpenedObject;
use crate::s3::open::read::current;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, xml};
use crate::s3::sse;
use crate::s3::versioning::write_version;
use crate::s3::xml::XmlWriter;

/// Most parts in one answer.
pub const PARTS_MAX: usize = 1000;

/// What a stored object is, without its bytes. SSE-C objects need their key here too.
///
/// # Errors
/// Those of a read; `InvalidArgument` if no attribute is asked for, or an unknown one.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let wanted = Wanted::from_request(&request)?;
    let row = current(app, &bucket, &request)?;
    let trio = std::mem::take(&mut request.sse_c.target);
    let encryption = sse::for_read(trio, request.transport, row.mode)?;
    let key = request.object_key()?.as_str();
    let object = OpenedObject::open(&app.operator_key, bucket.id, key, row, &encryption)?;

    let mut response = xml(StatusCode::OK, wanted.document(&object)?);
    let modified = HeaderValue::from_str(&http_date(object.row.modified_us)).expect("a date is visible ASCII");
    response.headers_mut().insert(header::LAST_MODIFIED, modified);
    encryption.write_to(response.headers_mut());
    write_version(response.headers_mut(), &bucket, object.row.version_id);
    Ok(response)
}

/// What `x-amz-object-attributes` asks for, and which parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    etag: bool,
    checksum: bool,
    parts: bool,
    storage_class: bool,
    size: bool,
    parts_max: usize,
    after_part: usize,
}

impl Wanted {
    fn from_request(request: &S3Request) -> Result<Self, S3Error> {
        let names: Vec<&str> = request
            .headers
            .get_all("x-amz-object-attributes")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let mut wanted = Self::parse(&names)?;
        wanted.parts_max = number(request, "x-amz-max-parts")?.unwrap_or(PARTS_MAX).min(PARTS_MAX);
        wanted.after_part = number(request, "x-amz-part-number-marker")?.unwrap_or(0);
        Ok(wanted)
    }

    pub(super) fn parse(names: &[&str]) -> Result<Self, S3Error> {
        let mut wanted = Self::default();
        for name in names {
            match *name {
                "ETag" => wanted.etag = true,
                "Checksum" => wanted.checksum = true,
                "ObjectParts" => wanted.parts = true,
                "StorageClass" => wanted.storage_class = true,
                "ObjectSize" => wanted.size = true,
                other => {
                    return Err(S3Error::invalid_argument(
                        "Invalid attribute name specified.",
                        "x-amz-object-attributes",
                        other,
                    ));
                }
            }
        }
        if names.is_empty() {
            return Err(S3Error::invalid_argument(
                "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or \
                 empty",
                "x-amz-object-attributes",
                "",
            ));
        }
        Ok(wanted)
    }

    fn document(&self, object: &OpenedObject) -> Result<bytes::Bytes, S3Error> {
        let row = &object.row;
        let mut document = XmlWriter::new();
        document.open_root("GetObjectAttributesResponse");
        if self.etag {
            // Here alone S3 shows it without quotes.
            document.element("ETag", &row.etag);
        }
        if let Some(checksum) = object.metadata.checksum.as_ref().filter(|_| self.checksum) {
            document.open("Checksum");
            // The count of a composite is not part of the value here.
            document.element(checksum.algorithm().element(), &checksum.value().to_base64());
            document.element("ChecksumType", checksum.kind().name());
            document.close("Checksum");
        }
        if self.parts && row.multipart_parts.is_some() {
            self.write_parts(object, &mut document)?;
        }
        if self.storage_class {
            document.element("StorageClass", row.storage_class.name());
        }
        if self.size {
            document.value("ObjectSize", row.size_bytes);
        }
        document.close("GetObjectAttributesResponse");
        Ok(document.finish())
    }

    /// Parts count from 1 in object order, as for `partNumber` reads.
    fn write_parts(&self, object: &OpenedObject, document: &mut XmlWriter) -> Result<(), S3Error> {
        let count = object.row.parts.len();
        let begin = self.after_part.min(count);
        let end = begin.saturating_add(self.parts_max).min(count);
        let algorithm = object.metadata.checksum.as_ref().map(Checksum::algorithm);
        document.open("ObjectParts");
        document.value("PartsCount", count);
        document.value("PartNumberMarker", self.after_part);
        document.value("NextPartNumberMarker", end);
        document.value("MaxParts", self.parts_max);
        document.value("IsTruncated", end < count);
        for index in begin..end {
            document.open("Part");
            document.value("PartNumber", index + 1);
            document.value("Size", object.row.parts[index].plain_bytes);
            for value in object.part_checksums(index)? {
                if Some(value.algorithm()) == algorithm {
                    document.element(value.algorithm().element(), &value.to_base64());
                }
            }
            document.close("Part");
        }
        document.close("ObjectParts");
        Ok(())
    }
}

fn number(request: &S3Request, name: &'static str) -> Result<Option<usize>, S3Error> {
    let Some(text) = request.header(name)? else { return Ok(None) };
    let parsed: Option<u32> = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    match parsed {
        Some(number) => Ok(Some(number as usize)),
        None => Err(S3Error::invalid_argument("Provided value is not an integer.", name, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::error::S3ErrorCode;

    #[test]
    fn attributes_are_known_by_name() {
        let wanted = Wanted::parse(&["ETag", "ObjectSize"]).unwrap();
        assert_eq!(wanted, Wanted { etag: true, size: true, ..Wanted::default() });
        for names in [&[][..], &["Colour"], &["etag"]] {
            assert_eq!(Wanted::parse(names).unwrap_err().code, S3ErrorCode::InvalidArgument, "{names:?}");
        }
    }
}
