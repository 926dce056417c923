//! The rules of multipart uploads: which parts a Complete takes, sizes and the ETag.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html> and the API page of
//! CompleteMultipartUpload.

use chartrier_storage::namespace::rows::PartRow;
use md5::{Digest, Md5};

use crate::s3::checksum::ChecksumValue;
use crate::s3::error::{S3Error, S3ErrorCode};

/// The least size of every part but the last.
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// The greatest size of an object: 5 TiB was S3's limit for long; since December 2025 it is 50 TB.
pub const OBJECT_BYTES_MAX: u64 = 50_000_000_000_000;

/// One part as a Complete names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedPart {
    /// 1..=10_000.
    pub number: u16,
    /// Without quotes.
    pub etag: String,
    /// The values that the client repeats, at most one an algorithm.
    pub checksums: Vec<ChecksumValue>,
}

/// Takes the parts that a Complete names from those stored, which are in order of number.
///
/// The answer is in the request's order, which is checked to be ascending.
///
/// # Errors
/// `InvalidPartOrder`, `InvalidPart`, `EntityTooSmall`, `EntityTooLarge`: the client's fault.
pub fn select_parts<'a>(
    requested: &[RequestedPart],
    stored: &'a [PartRow],
    upload_id: &str,
) -> Result<Vec<&'a PartRow>, S3Error> {
    if !requested.windows(2).all(|pair| pair[0].number < pair[1].number) {
        return Err(S3Error::new(
            S3ErrorCode::InvalidPartOrder,
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
        )
        .with_detail("UploadId", upload_id));
    }
    let selected = requested
        .iter()
        .map(|part| {
            let place = stored.binary_search_by_key(&part.number, |row| row.number);
            let row = place.ok().map(|index| &stored[index]);
            row.filter(|row| row.etag == part.etag).ok_or_else(|| invalid_part(upload_id, part.number, &part.etag))
        })
        .collect::<Result<Vec<_>, _>>()?;
    check_sizes(&selected)?;
    Ok(selected)
}

/// The error of a part that is not as the client says.
pub fn invalid_part(upload_id: &str, number: u16, etag: &str) -> S3Error {
    S3Error::new(
        S3ErrorCode::InvalidPart,
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the \
         specified entity tag may not match the part's entity tag.",
    )
    .with_detail("UploadId", upload_id)
    .with_detail("PartNumber", number.to_string())
    .with_detail("ETag", etag)
}

fn check_sizes(parts: &[&PartRow]) -> Result<(), S3Error> {
    let but_last = parts.split_last().map_or(&[][..], |(_, rest)| rest);
    if let Some(small) = but_last.iter().find(|part| part.plain_bytes < PART_BYTES_MIN) {
        return Err(S3Error::new(
            S3ErrorCode::EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size",
        )
        .with_detail("ProposedSize", small.plain_bytes.to_string())
        .with_detail("MinSizeAllowed", PART_BYTES_MIN.to_string())
        .with_detail("PartNumber", small.number.to_string())
        .with_detail("ETag", small.etag.as_str()));
    }
    if total_bytes(parts) > OBJECT_BYTES_MAX {
        return Err(S3Error::new(
            S3ErrorCode::EntityTooLarge,
            "Your proposed upload exceeds the maximum allowed object size.",
        )
        .with_detail("ProposedSize", total_bytes(parts).to_string())
        .with_detail("MaxSizeAllowed", OBJECT_BYTES_MAX.to_string()));
    }
    Ok(())
}

/// Plaintext bytes of the object that these parts make.
pub fn total_bytes(parts: &[&PartRow]) -> u64 {
    // At most 10_000 parts of 5 GiB: far from the end of 64 bits.
    parts.iter().map(|part| part.plain_bytes).sum()
}

/// The ETag of a multipart object: MD5 over the parts' ETags as bytes, then `-N`.
///
/// A part's ETag is 32 hexadecimal digits in every mode: an MD5 in mode O, random bytes in C and H.
/// `None` if one is not: the row is not ours.
pub fn multipart_etag(parts: &[&PartRow]) -> Option<String> {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(hex::decode(&part.etag).ok()?);
    }
    Some(format!("{}-{}", hex::encode(hasher.finalize()), parts.len()))
}

#[cfg(test)]
mod tests {
    use chartrier_storage::namespace::rows::BlobRef;

    use super::*;

    fn part(number: u16, plain_bytes: u64) -> PartRow {
        PartRow {
            number,
            plain_bytes,
            salt: [0; 24],
            commitment: [0; 32],
            etag: format!("{number:032x}"),
            modified_us: 0,
            blob: BlobRef::Inline(Vec::new()),
            sealed_checksums: Vec::new(),
        }
    }

    fn asked(numbers: &[u16]) -> Vec<RequestedPart> {
        let part = |number: &u16| RequestedPart { number: *number, etag: format!("{number:032x}"), checksums: vec![] };
        numbers.iter().map(part).collect()
    }

    fn code(result: Result<Vec<&PartRow>, S3Error>) -> Option<S3ErrorCode> {
        result.err().map(|error| error.code)
    }

    #[test]
    fn complete_takes_the_named_parts_in_order() {
        let stored = [part(1, PART_BYTES_MIN), part(3, PART_BYTES_MIN), part(7, 1)];
        let parts = asked(&[1, 7]);
        let selected = select_parts(&parts, &stored, "u").unwrap();
        assert_eq!(selected.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 7]);
        assert_eq!(total_bytes(&selected), PART_BYTES_MIN + 1);
    }

    #[test]
    fn complete_refuses_what_s3_refuses() {
        let stored = [part(1, PART_BYTES_MIN), part(2, 5), part(3, 1)];
        let select = |numbers: &[u16]| code(select_parts(&asked(numbers), &stored, "u"));
        assert_eq!(select(&[3, 1]), Some(S3ErrorCode::InvalidPartOrder));
        assert_eq!(select(&[1, 1]), Some(S3ErrorCode::InvalidPartOrder));
        assert_eq!(select(&[1, 4]), Some(S3ErrorCode::InvalidPart));
        assert_eq!(select(&[1, 2, 3]), Some(S3ErrorCode::EntityTooSmall));
        assert_eq!(select(&[1, 2]), None);
        let mut wrong = asked(&[1]);
        wrong[0].etag = "0".repeat(32);
        assert_eq!(code(select_parts(&wrong, &stored, "u")), Some(S3ErrorCode::InvalidPart));
    }

    /// The two digests of AWS's own example: MD5 of the concatenated binary MD5s.
    #[test]
    fn etag_is_the_md5_of_md5s_with_a_count() {
        let mut one = part(1, PART_BYTES_MIN);
        one.etag = hex::encode(Md5::digest(b"hello"));
        let mut two = part(2, 5);
        two.etag = hex::encode(Md5::digest(b"world"));
        let joined = [Md5::digest(b"hello").to_vec(), Md5::digest(b"world").to_vec()].concat();
        assert_eq!(multipart_etag(&[&one, &two]).unwrap(), format!("{}-2", hex::encode(Md5::digest(&joined))));
        one.etag = "not hex".into();
        assert_eq!(multipart_etag(&[&one]), None);
    }
}
