//! The document of CompleteMultipartUpload.

use super::rules::RequestedPart;
use crate::s3::checksum::{ChecksumAlgorithm, ChecksumValue};
use crate::s3::conditions::unquote;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::names::{PART_NUMBER_MAX, PartNumber};
use crate::s3::xml::Element;

/// Reads the parts that a Complete names, in its order.
///
/// # Errors
/// `MalformedXML` for an empty body, no part, too many, or one without number or ETag;
/// `InvalidArgument` for a number out of range.
pub fn parse(body: &[u8]) -> Result<Vec<RequestedPart>, S3Error> {
    let document = Element::parse(body, "CompleteMultipartUpload")?;
    let named = document.children("Part").count();
    if named == 0 || named > usize::from(PART_NUMBER_MAX) {
        return Err(malformed());
    }
    let mut parts: Vec<RequestedPart> = Vec::with_capacity(named);
    for part in document.children("Part").map(part) {
        let part = part?;
        match parts.last_mut() {
            // A client that uploaded a part again and lists both attempts means the last.
            Some(earlier) if earlier.number == part.number => *earlier = part,
            _ => parts.push(part),
        }
    }
    Ok(parts)
}

fn part(element: &Element) -> Result<RequestedPart, S3Error> {
    let number = element.child_text("PartNumber").ok_or_else(malformed)?;
    if number.parse::<i64>().is_err() {
        return Err(malformed());
    }
    let etag = element.child_text("ETag").ok_or_else(malformed)?;
    let checksums = element
        .children
        .iter()
        .filter_map(|child| Some((ChecksumAlgorithm::from_element(&child.name)?, child.text.trim())))
        .map(|(algorithm, text)| {
            ChecksumValue::from_base64(algorithm, text).ok_or_else(|| {
                S3Error::new(S3ErrorCode::InvalidRequest, format!("Value for {} is invalid.", algorithm.element()))
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(RequestedPart { number: PartNumber::parse(number)?.get(), etag: unquote(etag).to_owned(), checksums })
}

fn malformed() -> S3Error {
    S3Error::of(S3ErrorCode::MalformedXml)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> Option<S3ErrorCode> {
        parse(body.as_bytes()).err().map(|error| error.code)
    }

    #[test]
    fn parts_are_read_in_order_with_quoted_or_bare_etags() {
        let parts = parse(
            b"<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
              <Part><PartNumber>1</PartNumber><ETag>\"aa\"</ETag><ChecksumCRC32>NhCmhg==</ChecksumCRC32></Part>\
              <Part><ETag>&quot;bb&quot;</ETag><PartNumber>3</PartNumber></Part>\
              <Part><ETag>cc</ETag><PartNumber> 2 </PartNumber></Part></CompleteMultipartUpload>",
        )
        .unwrap();
        let seen: Vec<_> = parts.iter().map(|part| (part.number, part.etag.as_str())).collect();
        assert_eq!(seen, [(1, "aa"), (3, "bb"), (2, "cc")]);
        assert_eq!(parts[0].checksums[0].algorithm(), ChecksumAlgorithm::Crc32);
        assert!(parts[1].checksums.is_empty());
        let part =
            |number: u8, etag: &str| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
        let twice = part(1, "aa") + &part(2, "bb") + &part(2, "cc");
        let parts = parse(format!("<CompleteMultipartUpload>{twice}</CompleteMultipartUpload>").as_bytes()).unwrap();
        assert_eq!(parts.iter().map(|part| part.etag.as_str()).collect::<Vec<_>>(), ["aa", "cc"]);
    }

    #[test]
    fn bad_documents_are_refused() {
        let wrap = |part: &str| format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
        assert_eq!(code(""), Some(S3ErrorCode::MalformedXml));
        assert_eq!(code("<CompleteMultipartUpload/>"), Some(S3ErrorCode::MalformedXml));
        assert_eq!(code("<Other/>"), Some(S3ErrorCode::MalformedXml));
        assert_eq!(code(&wrap("<Part><PartNumber>1</PartNumber></Part>")), Some(S3ErrorCode::MalformedXml));
        assert_eq!(code(&wrap("<Part><ETag>a</ETag></Part>")), Some(S3ErrorCode::MalformedXml));
        for number in ["0", "10001", "-1"] {
            let part = format!("<Part><PartNumber>{number}</PartNumber><ETag>a</ETag></Part>");
            assert_eq!(code(&wrap(&part)), Some(S3ErrorCode::InvalidArgument), "{number}");
        }
        let part = "<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>";
        assert_eq!(code(&wrap(&part.repeat(10_001))), Some(S3ErrorCode::MalformedXml));
        let bad = "<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumSHA1>x</ChecksumSHA1></Part>";
        assert_eq!(code(&wrap(bad)), Some(S3ErrorCode::InvalidRequest));
    }
}
