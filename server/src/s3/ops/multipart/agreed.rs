//! The checksum of an upload: agreed at Create, kept with every part, combined at Complete.

use chartrier_storage::namespace::rows::{ChecksumTag, UploadRow};
use http::HeaderMap;

use crate::s3::checksum::expect::parse_algorithm;
use crate::s3::checksum::{
    Checksum, ChecksumAlgorithm, ChecksumKind, ChecksumValue, ExpectedChecksums, PartChecksum, combine,
};
use crate::s3::error::{S3Error, S3ErrorCode};

/// Algorithm and type of the object's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgreedChecksum {
    /// Which algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// Over the object's bytes, or over the parts' digests.
    pub kind: ChecksumKind,
    /// Whether Create named it; if not, it is S3's default, which ListParts does not show.
    pub asked: bool,
}

impl AgreedChecksum {
    /// Reads `x-amz-checksum-algorithm` and `x-amz-checksum-type` of a Create.
    ///
    /// # Errors
    /// `InvalidRequest` in AWS's words for pairs that do not exist.
    pub fn from_create(headers: &HeaderMap) -> Result<Self, S3Error> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let kind = text(TYPE_HEADER).map(parse_kind).transpose()?;
        let Some(name) = text("x-amz-checksum-algorithm") else {
            return match kind {
                None => Ok(Self::DEFAULT),
                Some(_) => Err(invalid(
                    "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
                )),
            };
        };
        let algorithm = parse_algorithm(name)?;
        let kind = kind.unwrap_or(algorithm.default_multipart_kind());
        if !algorithm.allows_multipart(kind) {
            return Err(invalid(format!(
                "The {} checksum type cannot be used with the {} checksum algorithm.",
                kind.name(),
                lower(algorithm)
            )));
        }
        Ok(Self { algorithm, kind, asked: true })
    }

    /// Reads it back from an upload's row.
    pub fn of_upload(row: &UploadRow) -> Self {
        let parse = |tag: &ChecksumTag| {
            let algorithm = ChecksumAlgorithm::from_name(&tag.algorithm)?;
            Some(Self { algorithm, kind: ChecksumKind::from_name(&tag.kind)?, asked: true })
        };
        row.checksum.as_ref().and_then(parse).unwrap_or(Self::DEFAULT)
    }

    /// What S3 keeps when the client names nothing.
    const DEFAULT: Self =
        Self { algorithm: ChecksumAlgorithm::Crc64Nvme, kind: ChecksumKind::FullObject, asked: false };

    /// What the upload's row keeps: names only, and only what Create asked for.
    pub fn tag(&self) -> Option<ChecksumTag> {
        self.asked
            .then(|| ChecksumTag { algorithm: self.algorithm.name().to_owned(), kind: self.kind.name().to_owned() })
    }

    /// Holds a part's promised checksum against what was agreed.
    ///
    /// # Errors
    /// `InvalidRequest` if Create named another algorithm.
    pub fn check_part(&self, expected: &ExpectedChecksums) -> Result<(), S3Error> {
        match expected.algorithm() {
            Some(sent) if self.asked && sent != self.algorithm => Err(mismatch(self.algorithm, sent)),
            _ => Ok(()),
        }
    }

    /// Holds `x-amz-checksum-type` of a Complete against what was agreed.
    ///
    /// # Errors
    /// `InvalidRequest` if it is another.
    pub fn check_complete_kind(&self, headers: &HeaderMap) -> Result<(), S3Error> {
        let Some(text) = headers.get(TYPE_HEADER).and_then(|value| value.to_str().ok()) else { return Ok(()) };
        if parse_kind(text)? == self.kind {
            return Ok(());
        }
        Err(invalid(format!(
            "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
            self.kind.name()
        )))
    }

    /// Combines the parts' values into the object's. `None` if a part lacks one, which no part of
    /// ours does.
    pub fn combine(&self, parts: &[(u64, Vec<ChecksumValue>)]) -> Option<Checksum> {
        combine_as(self.algorithm, self.kind, parts)
    }

    /// Verifies the object's checksum that a Complete repeats in a header, if it does.
    ///
    /// # Errors
    /// `BadDigest` on a difference; `InvalidRequest` for a malformed value or an algorithm that the
    /// parts do not carry.
    pub fn verify_complete(
        &self,
        headers: &HeaderMap,
        computed: Option<&Checksum>,
        parts: &[(u64, Vec<ChecksumValue>)],
    ) -> Result<(), S3Error> {
        for algorithm in ChecksumAlgorithm::all() {
            let Some(value) = headers.get(algorithm.header()) else { continue };
            let text = value.to_str().unwrap_or_default();
            let (digest, count) = text.split_once('-').map_or((text, None), |(digest, count)| (digest, Some(count)));
            if ChecksumValue::from_base64(algorithm, digest).is_none() {
                return Err(invalid(format!("Value for {} header is invalid.", algorithm.header())));
            }
            // A client that named no algorithm at Create may still know the whole object's CRC.
            let combined;
            let computed = if algorithm == self.algorithm {
                computed
            } else if self.asked {
                return Err(mismatch(self.algorithm, algorithm));
            } else {
                combined = combine_as(algorithm, ChecksumKind::FullObject, parts);
                combined.as_ref()
            };
            let computed = computed.ok_or_else(|| mismatch(self.algorithm, algorithm))?;
            let same_count =
                count.is_none_or(|count| computed.composite_parts().map(|n| n.to_string()).as_deref() == Some(count));
            if computed.value().to_base64() != digest || !same_count {
                return Err(S3Error::new(
                    S3ErrorCode::BadDigest,
                    format!("The {} you specified did not match the calculated checksum.", algorithm.name()),
                ));
            }
        }
        Ok(())
    }
}

fn combine_as(
    algorithm: ChecksumAlgorithm,
    kind: ChecksumKind,
    parts: &[(u64, Vec<ChecksumValue>)],
) -> Option<Checksum> {
    let of_part = |(len_bytes, values): &(u64, Vec<ChecksumValue>)| {
        let value = values.iter().find(|value| value.algorithm() == algorithm)?.clone();
        Some(PartChecksum { value, len_bytes: *len_bytes })
    };
    combine(algorithm, kind, &parts.iter().map(of_part).collect::<Option<Vec<_>>>()?)
}

/// The name as AWS's messages write it.
pub fn lower(algorithm: ChecksumAlgorithm) -> String {
    algorithm.name().to_ascii_lowercase()
}

const TYPE_HEADER: &str = "x-amz-checksum-type";

fn parse_kind(text: &str) -> Result<ChecksumKind, S3Error> {
    ChecksumKind::from_name(text).ok_or_else(|| invalid("Value for x-amz-checksum-type header is invalid."))
}

fn mismatch(agreed: ChecksumAlgorithm, sent: ChecksumAlgorithm) -> S3Error {
    invalid(format!(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        lower(agreed),
        lower(sent)
    ))
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::s3::checksum::digest;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    fn create(pairs: &[(&str, &str)]) -> Result<AgreedChecksum, S3ErrorCode> {
        AgreedChecksum::from_create(&headers(pairs)).map_err(|error| error.code)
    }

    fn parts(algorithms: &[ChecksumAlgorithm], pieces: &[&[u8]]) -> Vec<(u64, Vec<ChecksumValue>)> {
        let values = |piece: &[u8]| algorithms.iter().map(|algorithm| digest(*algorithm, piece)).collect();
        pieces.iter().map(|piece| (piece.len() as u64, values(piece))).collect()
    }

    #[test]
    fn create_agrees_on_what_exists() {
        let (algorithm, kind) = ("x-amz-checksum-algorithm", TYPE_HEADER);
        assert_eq!(create(&[]), Ok(AgreedChecksum::DEFAULT));
        let crc32 = create(&[(algorithm, "CRC32")]).unwrap();
        assert_eq!(
            (crc32.algorithm, crc32.kind, crc32.asked),
            (ChecksumAlgorithm::Crc32, ChecksumKind::Composite, true)
        );
        assert_eq!(create(&[(algorithm, "crc32"), (kind, "FULL_OBJECT")]).unwrap().kind, ChecksumKind::FullObject);
        assert_eq!(create(&[(algorithm, "CRC64NVME")]).unwrap().kind, ChecksumKind::FullObject);
        for refused in [
            &[(algorithm, "SHA256"), (kind, "FULL_OBJECT")][..],
            &[(algorithm, "CRC64NVME"), (kind, "COMPOSITE")],
            &[(algorithm, "CRC16")],
            &[(algorithm, "CRC32"), (kind, "HALF")],
            &[(kind, "COMPOSITE")],
        ] {
            assert_eq!(create(refused), Err(S3ErrorCode::InvalidRequest), "{refused:?}");
        }
    }

    #[test]
    fn parts_must_use_the_agreed_algorithm() {
        let sha = create(&[("x-amz-checksum-algorithm", "SHA1")]).unwrap();
        let crc = ExpectedChecksums::from_headers(&headers(&[("x-amz-checksum-crc32", "NhCmhg==")])).unwrap();
        assert!(sha.check_part(&crc).is_err());
        assert!(AgreedChecksum::DEFAULT.check_part(&crc).is_ok());
        assert!(sha.check_part(&ExpectedChecksums::default()).is_ok());
    }

    #[test]
    fn complete_verifies_the_objects_checksum() {
        let nvme = ChecksumAlgorithm::Crc64Nvme;
        let both = parts(&[nvme, ChecksumAlgorithm::Crc32], &[b"hello ", b"world"]);
        let whole = AgreedChecksum::DEFAULT.combine(&both).unwrap();
        assert_eq!(whole, Checksum::full_object(digest(nvme, b"hello world")));
        let verify = |agreed: AgreedChecksum, header: &str, value: &str| {
            let computed = agreed.combine(&both);
            agreed.verify_complete(&headers(&[(header, value)]), computed.as_ref(), &both).err().map(|error| error.code)
        };
        let crc32 = digest(ChecksumAlgorithm::Crc32, b"hello world").to_base64();
        let default = AgreedChecksum::DEFAULT;
        assert_eq!(verify(default, "x-amz-checksum-crc64nvme", &whole.to_text()), None);
        assert_eq!(verify(default, "x-amz-checksum-crc64nvme", "AAAAAAAAAAA="), Some(S3ErrorCode::BadDigest));
        assert_eq!(verify(default, "x-amz-checksum-crc64nvme", "AAA="), Some(S3ErrorCode::InvalidRequest));
        assert_eq!(verify(default, "x-amz-checksum-crc32", &crc32), None);
        assert_eq!(
            verify(default, "x-amz-checksum-sha1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            Some(S3ErrorCode::InvalidRequest)
        );

        let composite = create(&[("x-amz-checksum-algorithm", "CRC32")]).unwrap();
        let text = composite.combine(&both).unwrap().to_text();
        assert!(text.ends_with("-2"));
        assert_eq!(verify(composite, "x-amz-checksum-crc32", &text), None);
        assert_eq!(verify(composite, "x-amz-checksum-crc32", text.trim_end_matches("-2")), None);
        assert_eq!(verify(composite, "x-amz-checksum-crc32", &text.replace("-2", "-3")), Some(S3ErrorCode::BadDigest));
        assert_eq!(verify(composite, "x-amz-checksum-crc64nvme", "AAAAAAAAAAA="), Some(S3ErrorCode::InvalidRequest));
    }
}
