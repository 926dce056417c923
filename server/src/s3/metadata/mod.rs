//! What an object carries beside its bytes: content headers, user metadata, checksum.
//!
//! All of it is sealed under the object's metadata key; the engine stores opaque bytes.

mod fields;
mod refuse;

use chartrier_crypto::Sha256;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

use super::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind, ChecksumValue};
use super::error::{S3Error, S3ErrorCode};
use fields::Field;
pub use fields::MalformedMetadata;
pub use refuse::{refuse_unbuilt, storage_class};

/// Most bytes of user metadata: names without their prefix, and values.
pub const USER_METADATA_BYTES_MAX: usize = 2048;

/// Prefix of user metadata headers.
pub const USER_PREFIX: &str = "x-amz-meta-";

/// What AWS stores for an object that came without a type.
pub const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// The metadata of one object version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMetadata {
    /// Salt of the key commitment that journal leaves show.
    pub key_salt: [u8; 32],
    /// Content headers and user metadata, as they are sent back.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The object's checksum, once its bytes are known.
    pub checksum: Option<Checksum>,
}

/// Headers that are stored with an object and sent back with it.
const STORED: [HeaderName; 7] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::EXPIRES,
    HeaderName::from_static("x-amz-website-redirect-location"),
];

impl ObjectMetadata {
    /// Takes the content headers and user metadata of a write.
    ///
    /// # Errors
    /// `MetadataTooLarge` past [`USER_METADATA_BYTES_MAX`].
    pub fn from_headers(headers: &HeaderMap, key_salt: [u8; 32]) -> Result<Self, S3Error> {
        let mut kept = Vec::new();
        for name in STORED {
            let value = match name {
                header::CONTENT_ENCODING => content_encoding(headers),
                _ => headers.get(&name).cloned(),
            };
            kept.extend(value.filter(|value| !value.is_empty()).map(|value| (name, value)));
        }
        let user: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with(USER_PREFIX)).cloned().collect();
        let mut user_bytes = 0;
        for name in user {
            let value = joined(headers, &name);
            user_bytes += name.as_str().len() - USER_PREFIX.len() + value.len();
            kept.push((name, value));
        }
        if user_bytes > USER_METADATA_BYTES_MAX {
            return Err(S3Error::of(S3ErrorCode::MetadataTooLarge)
                .with_detail("Size", user_bytes.to_string())
                .with_detail("MaxSizeAllowed", USER_METADATA_BYTES_MAX.to_string()));
        }
        Ok(Self { key_salt, headers: kept, checksum: None })
    }

    /// Adds what is sent back with the object, a default type included; not the checksum.
    pub fn write_to(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(DEFAULT_CONTENT_TYPE));
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// The plaintext that is sealed.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let checksum = self.checksum.as_ref().map(checksum_value);
        let mut fields = vec![Field { tag: TAG_KEY_SALT, name: b"", value: &self.key_salt }];
        fields.extend(self.headers.iter().map(|(name, value)| Field {
            tag: TAG_HEADER,
            name: name.as_str().as_bytes(),
            value: value.as_bytes(),
        }));
        fields.extend(self.checksum.iter().zip(&checksum).map(|(checksum, value)| checksum_field(checksum, value)));
        fields::encode(&fields)
    }

    /// Reads back what [`encode`](Self::encode) made.
    ///
    /// # Errors
    /// [`MalformedMetadata`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedMetadata> {
        let mut metadata = Self { key_salt: [0; 32], headers: Vec::new(), checksum: None };
        for field in fields::decode(bytes)? {
            match field.tag {
                TAG_KEY_SALT => metadata.key_salt = field.value.try_into().map_err(|_| MalformedMetadata)?,
                TAG_HEADER => metadata.headers.push(header_of(&field)?),
                TAG_FULL_OBJECT | TAG_COMPOSITE => metadata.checksum = Some(checksum_of(&field)?),
                _ => return Err(MalformedMetadata),
            }
        }
        Ok(metadata)
    }

    /// SHA-256(salt || key name): what leaves call the object.
    pub fn key_commitment(&self, key_name: &str) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(&self.key_salt);
        hasher.update(key_name.as_bytes());
        hasher.finish()
    }
}

/// The digests of one part, to be sealed with it.
pub fn encode_part_checksums(values: &[ChecksumValue]) -> Zeroizing<Vec<u8>> {
    let fields: Vec<_> = values
        .iter()
        .map(|value| Field { tag: TAG_FULL_OBJECT, name: value.algorithm().name().as_bytes(), value: value.digest() })
        .collect();
    fields::encode(&fields)
}

/// Reads back what [`encode_part_checksums`] made.
///
/// # Errors
/// [`MalformedMetadata`].
pub fn decode_part_checksums(bytes: &[u8]) -> Result<Vec<ChecksumValue>, MalformedMetadata> {
    fields::decode(bytes)?.iter().map(|field| Ok(checksum_of(field)?.value().clone())).collect()
}

fn header_of(field: &Field<'_>) -> Result<(HeaderName, HeaderValue), MalformedMetadata> {
    let name = HeaderName::from_bytes(field.name).map_err(|_| MalformedMetadata)?;
    let value = HeaderValue::from_bytes(field.value).map_err(|_| MalformedMetadata)?;
    Ok((name, value))
}

fn checksum_value(checksum: &Checksum) -> Vec<u8> {
    let parts = checksum.composite_parts().map(u16::to_be_bytes);
    [parts.as_ref().map_or(&[][..], |parts| &parts[..]), checksum.value().digest()].concat()
}

fn checksum_field<'a>(checksum: &Checksum, value: &'a [u8]) -> Field<'a> {
    let tag = match checksum.kind() {
        ChecksumKind::FullObject => TAG_FULL_OBJECT,
        ChecksumKind::Composite => TAG_COMPOSITE,
    };
    Field { tag, name: checksum.algorithm().name().as_bytes(), value }
}

fn checksum_of(field: &Field<'_>) -> Result<Checksum, MalformedMetadata> {
    let name = std::str::from_utf8(field.name).map_err(|_| MalformedMetadata)?;
    let algorithm = ChecksumAlgorithm::from_name(name).ok_or(MalformedMetadata)?;
    let value = |digest: &[u8]| ChecksumValue::new(algorithm, digest.to_vec()).ok_or(MalformedMetadata);
    match field.tag {
        TAG_FULL_OBJECT => Ok(Checksum::full_object(value(field.value)?)),
        TAG_COMPOSITE => {
            let (parts, digest) = field.value.split_first_chunk().ok_or(MalformedMetadata)?;
            Ok(Checksum::composite(value(digest)?, u16::from_be_bytes(*parts)))
        }
        _ => Err(MalformedMetadata),
    }
}

/// `Content-Encoding` without the framing of the upload, which is not the object's.
fn content_encoding(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(header::CONTENT_ENCODING)?;
    let Ok(text) = value.to_str() else { return Some(value.clone()) };
    let is_framing = |coding: &str| coding.trim().eq_ignore_ascii_case("aws-chunked");
    if !text.split(',').any(is_framing) {
        return Some(value.clone());
    }
    let kept: Vec<_> = text.split(',').filter(|coding| !is_framing(coding)).collect();
    HeaderValue::from_str(kept.join(",").trim()).ok()
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> HeaderValue {
    let values: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&values.join(&b","[..])).expect("header values joined by a comma are one")
}

const TAG_KEY_SALT: u8 = 1;
const TAG_HEADER: u8 = 2;
const TAG_FULL_OBJECT: u8 = 3;
const TAG_COMPOSITE: u8 = 4;

#[cfg(test)]
mod tests {
    use super::super::checksum::digest;
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        map
    }

    #[test]
    fn what_is_stored_comes_back() {
        let sent = headers(&[
            ("content-type", "text/plain"),
            ("content-encoding", "aws-chunked,gzip"),
            ("cache-control", "no-cache"),
            ("x-amz-meta-colour", "bleu"),
            ("x-amz-meta-colour", "blanc"),
            ("x-amz-meta-accent", "é"),
            ("authorization", "secret"),
            ("x-amz-date", "now"),
        ]);
        let mut metadata = ObjectMetadata::from_headers(&sent, [9; 32]).unwrap();
        metadata.checksum = Some(Checksum::composite(digest(ChecksumAlgorithm::Sha1, b"x"), 3));
        let decoded = ObjectMetadata::decode(&metadata.encode()).unwrap();
        assert_eq!(decoded, metadata);
        let mut back = HeaderMap::new();
        decoded.write_to(&mut back);
        assert_eq!(back.len(), 5);
        assert_eq!(back["content-type"], "text/plain");
        assert_eq!(back["content-encoding"], "gzip");
        assert_eq!(back["x-amz-meta-colour"], "bleu,blanc");
        assert_eq!(back["x-amz-meta-accent"].as_bytes(), "é".as_bytes());
    }

    #[test]
    fn aws_chunked_alone_leaves_no_encoding_and_the_type_has_a_default() {
        let sent = headers(&[("content-encoding", "aws-chunked")]);
        let metadata = ObjectMetadata::from_headers(&sent, [0; 32]).unwrap();
        assert!(metadata.headers.is_empty());
        let mut back = HeaderMap::new();
        metadata.write_to(&mut back);
        assert_eq!(back["content-type"], DEFAULT_CONTENT_TYPE);
    }

    #[test]
    fn an_encoding_that_is_the_objects_own_is_kept_to_the_byte() {
        for (sent, kept) in [("deflate, gzip", "deflate, gzip"), ("gzip, aws-chunked", "gzip"), ("a,b", "a,b")] {
            let metadata = ObjectMetadata::from_headers(&headers(&[("content-encoding", sent)]), [0; 32]).unwrap();
            let mut back = HeaderMap::new();
            metadata.write_to(&mut back);
            assert_eq!(back["content-encoding"], kept);
        }
    }

    #[test]
    fn user_metadata_is_capped_at_2_kib() {
        let fits = "v".repeat(USER_METADATA_BYTES_MAX - 1);
        assert!(ObjectMetadata::from_headers(&headers(&[("x-amz-meta-n", &fits)]), [0; 32]).is_ok());
        let over = "v".repeat(USER_METADATA_BYTES_MAX);
        let error = ObjectMetadata::from_headers(&headers(&[("x-amz-meta-n", &over)]), [0; 32]).unwrap_err();
        assert_eq!(error.code, S3ErrorCode::MetadataTooLarge);
    }

    #[test]
    fn part_checksums_come_back_and_other_bytes_do_not() {
        let values = [digest(ChecksumAlgorithm::Md5, b"a"), digest(ChecksumAlgorithm::XxHash3, b"a")];
        assert_eq!(decode_part_checksums(&encode_part_checksums(&values)).unwrap(), values);
        assert_eq!(decode_part_checksums(b"\x01\x00\x00"), Err(MalformedMetadata));
    }
}
