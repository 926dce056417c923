//! `GET /bucket/key?uploadId`: ListParts.
//!
//! Needs no SSE-C header: what it shows of sealed checksums opens with the key that waits in the
//! upload's row.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html>.

use std::sync::Arc;

use chartrier_crypto::MetadataKey;
use chartrier_storage::namespace::rows::PartRow;
use http::StatusCode;

use super::listing::{NameEncoding, Owners, iso_time, parse_limit};
use super::multipart::{AgreedChecksum, find, keys};
use crate::app::App;
use crate::s3::checksum::ChecksumValue;
use crate::s3::error::S3Error;
use crate::s3::names::PART_NUMBER_MAX;
use crate::s3::request::{Query, S3Request};
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// Answers one page of parts, by number.
///
/// # Errors
/// `NoSuchUpload`; `InvalidArgument` for a bad parameter; `InvalidRequest` for a wrong SSE-C key, if
/// one is sent.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let upload = find(app, &request)?;
    let trio = std::mem::take(&mut request.sse_c.target);
    keys::check_if_sent(&upload, trio, request.transport, &app.operator_key)?;
    let encoding = NameEncoding::parse(&request.query)?;
    let page_size = parse_limit(&request.query, "max-parts")?;
    let marker = number_marker(&request.query)?;
    let (parts, more) = if page_size == 0 {
        (Vec::new(), false)
    } else {
        app.engine.parts(upload.bucket.id, upload.key.as_str(), upload.row.id, marker, page_size).await?
    };
    let (_, metadata_key) = keys::open_pending(&upload, &app.operator_key)?;
    let agreed = AgreedChecksum::of_upload(&upload.row);

    let mut doc = XmlWriter::new();
    doc.open_root("ListPartsResult");
    doc.element("Bucket", &upload.bucket.name);
    doc.element("Key", &encoding.encode(upload.key.as_str()));
    doc.element_if("EncodingType", encoding.element());
    doc.value("UploadId", upload.row.id);
    let mut owners = Owners::new(app);
    owners.write(&mut doc, "Initiator", &upload.row.owner)?;
    owners.write(&mut doc, "Owner", app.sole_owner(&upload.bucket)?.unwrap_or(&upload.row.owner))?;
    doc.element("StorageClass", upload.row.storage_class.name());
    doc.value("PartNumberMarker", marker);
    doc.value("NextPartNumberMarker", parts.last().map_or(0, |part| part.number));
    doc.value("MaxParts", page_size);
    doc.value("IsTruncated", more);
    if agreed.asked {
        doc.element("ChecksumAlgorithm", agreed.algorithm.name());
        doc.element("ChecksumType", agreed.kind.name());
    }
    for part in &parts {
        doc.open("Part");
        doc.value("PartNumber", part.number);
        doc.element("LastModified", &iso_time(part.modified_us));
        doc.element("ETag", &format!("\"{}\"", part.etag));
        doc.value("Size", part.plain_bytes);
        if let Some(value) = checksum(&metadata_key, part, &agreed)? {
            doc.element(value.algorithm().element(), &value.to_base64());
        }
        doc.close("Part");
    }
    doc.close("ListPartsResult");
    Ok(xml(StatusCode::OK, doc.finish()))
}

/// The checksum that AWS shows of a part: of the algorithm that Create named.
fn checksum(key: &MetadataKey, part: &PartRow, agreed: &AgreedChecksum) -> Result<Option<ChecksumValue>, S3Error> {
    if !agreed.asked {
        return Ok(None);
    }
    let values = keys::open_part_checksums(key, part)?;
    Ok(values.into_iter().find(|value| value.algorithm() == agreed.algorithm))
}

pub(super) fn number_marker(query: &Query) -> Result<u16, S3Error> {
    let Some(text) = query.non_empty("part-number-marker") else { return Ok(0) };
    match text.parse::<i64>() {
        Ok(number) if (0..=i64::from(i32::MAX)).contains(&number) => {
            Ok(u16::try_from(number).unwrap_or(PART_NUMBER_MAX).min(PART_NUMBER_MAX))
        }
        _ => Err(S3Error::invalid_argument(
            "Provided part-number-marker not an integer or within integer range",
            "part-number-marker",
            text,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_numbers() {
        let marker = |text: &str| number_marker(&Query::parse(&format!("part-number-marker={text}")).unwrap()).ok();
        assert_eq!(marker(""), Some(0));
        assert_eq!(marker("0"), Some(0));
        assert_eq!(marker("7"), Some(7));
        assert_eq!(marker("2147483647"), Some(10_000));
        for bad in ["-1", "x", "2147483648"] {
            assert_eq!(marker(bad), None, "{bad}");
        }
    }
}
