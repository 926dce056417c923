//! Tags of objects and buckets: parsed, held to S3's limits, sealed for the row.
//!
//! Tags are readable without a client's key, because policies and lifecycle rules look at them; on the
//! drives they lie under the operator key, bound to the one write that they belong to.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>.

use chartrier_crypto::OperatorKey;
use chartrier_storage::env::Random;
use chartrier_storage::ids::{BucketId, VersionId};
use chartrier_storage::namespace::rows::VersionRow;
use http::HeaderMap;

use super::error::{S3Error, S3ErrorCode};
use super::request::Query;
use super::seal::random_bytes;
use super::xml::{Element, XmlWriter};

/// Most tags of an object.
pub const OBJECT_TAGS_MAX: usize = 10;
/// Most tags of a bucket.
pub const BUCKET_TAGS_MAX: usize = 50;
/// Longest key of a tag, in characters.
pub const TAG_KEY_CHARS_MAX: usize = 128;
/// Longest value of a tag, in characters.
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// Longest document of tags: fifty of full length, escaped.
pub const TAGGING_BYTES_MAX: usize = 256 << 10;

/// What carries the tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagged {
    /// An object version.
    Object,
    /// A bucket.
    Bucket,
}

/// Tags in the order of their keys, within S3's limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagSet(Vec<(String, String)>);

impl TagSet {
    /// The tags of a write: `x-amz-tagging`, encoded as a query. None without the header.
    ///
    /// # Errors
    /// `InvalidArgument` if it is no query; `InvalidTag` and `BadRequest` over a limit.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, S3Error> {
        let Some(value) = headers.get("x-amz-tagging") else { return Ok(Self::default()) };
        let malformed = || {
            S3Error::invalid_argument(
                "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag \
                 name duplicates.",
                "x-amz-tagging",
                "",
            )
        };
        let query = value.to_str().ok().and_then(|text| Query::parse(text).ok()).ok_or_else(malformed)?;
        let tags = query.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self::checked(tags, Tagged::Object)
    }

    /// Reads a `Tagging` document.
    ///
    /// # Errors
    /// `MalformedXML`; `InvalidTag` and `BadRequest` over a limit.
    pub fn parse(document: &[u8], of: Tagged) -> Result<Self, S3Error> {
        let malformed = || S3Error::of(S3ErrorCode::MalformedXml);
        let root = Element::parse(document, "Tagging")?;
        let set = root.child("TagSet").ok_or_else(malformed)?;
        let mut tags = Vec::new();
        for tag in &set.children {
            let text = |name| tag.child(name).map(|child| child.text.clone()).ok_or_else(malformed);
            if tag.name != "Tag" {
                return Err(malformed());
            }
            tags.push((text("Key")?, text("Value")?));
        }
        Self::checked(tags, of)
    }

    fn checked(mut tags: Vec<(String, String)>, of: Tagged) -> Result<Self, S3Error> {
        let (most, code, message) = match of {
            Tagged::Object => (OBJECT_TAGS_MAX, S3ErrorCode::InvalidTag, "Object tags cannot be greater than 10"),
            Tagged::Bucket => (BUCKET_TAGS_MAX, S3ErrorCode::BadRequest, "Bucket tag count cannot be greater than 50"),
        };
        if tags.len() > most {
            return Err(S3Error::new(code, message));
        }
        let invalid = |message: &'static str, key: &str| {
            Err(S3Error::new(S3ErrorCode::InvalidTag, message).with_detail("TagKey", key))
        };
        tags.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (at, (key, value)) in tags.iter().enumerate() {
            if key.is_empty() || key.chars().count() > TAG_KEY_CHARS_MAX || !key.chars().all(is_allowed) {
                return invalid("The TagKey you have provided is invalid", key);
            }
            if value.chars().count() > TAG_VALUE_CHARS_MAX || !value.chars().all(is_allowed) {
                let error = S3Error::new(S3ErrorCode::InvalidTag, "The TagValue you have provided is invalid");
                return Err(error.with_detail("TagKey", key).with_detail("TagValue", value));
            }
            if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
                let message = match of {
                    Tagged::Object => "Your TagKey cannot be prefixed with aws:",
                    Tagged::Bucket => "System tags cannot be added/updated by requester",
                };
                return invalid(message, key);
            }
            if at > 0 && tags[at - 1].0 == *key {
                return invalid("Cannot provide multiple Tags with the same key", key);
            }
        }
        Ok(Self(tags))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The `Tagging` document.
    pub fn document(&self) -> bytes::Bytes {
        let mut document = XmlWriter::new();
        document.open_root("Tagging");
        document.open("TagSet");
        for (key, value) in &self.0 {
            document.open("Tag");
            document.element("Key", key);
            document.element("Value", value);
            document.close("Tag");
        }
        document.close("TagSet");
        document.close("Tagging");
        document.finish()
    }

    /// Seals the tags of one write; empty if there are none.
    pub fn seal(&self, operator: &OperatorKey, random: &dyn Random, place: TagPlace<'_>) -> Vec<u8> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut plain = Vec::new();
        for text in self.0.iter().flat_map(|(key, value)| [key, value]) {
            let len = u16::try_from(text.len()).expect("a text of a tag is at most 1024 bytes");
            plain.extend(len.to_be_bytes());
            plain.extend(text.as_bytes());
        }
        operator.seal_secret(&place.label(), random_bytes(random), &plain)
    }

    /// Opens the tags of a stored version.
    ///
    /// # Errors
    /// `InternalError` if they are not those that were sealed for it.
    pub fn of_row(operator: &OperatorKey, bucket: BucketId, key: &str, row: &VersionRow) -> Result<Self, S3Error> {
        let place = TagPlace { bucket, key, wrap_version: row.wrap_version };
        Self::open(operator, place, &row.sealed_tags)
    }

    /// Opens what [`TagSet::seal`] made for the same place.
    ///
    /// # Errors
    /// `InternalError` if it did not.
    pub fn open(operator: &OperatorKey, place: TagPlace<'_>, sealed: &[u8]) -> Result<Self, S3Error> {
        if sealed.is_empty() {
            return Ok(Self::default());
        }
        let plain = operator.open_secret(&place.label(), sealed).map_err(S3Error::internal)?;
        decode(&plain).ok_or_else(|| S3Error::internal("sealed tags that are malformed"))
    }
}

/// The one write that sealed tags belong to.
#[derive(Debug, Clone, Copy)]
pub struct TagPlace<'a> {
    /// The bucket.
    pub bucket: BucketId,
    /// The object.
    pub key: &'a str,
    /// Of the version, or of the upload that will make it.
    pub wrap_version: VersionId,
}

impl TagPlace<'_> {
    fn label(&self) -> Vec<u8> {
        let bucket: &[u8] = self.bucket.as_bytes();
        [b"chartrier/object-tags/", bucket, self.wrap_version.as_bytes(), self.key.as_bytes()].concat()
    }
}

fn decode(mut plain: &[u8]) -> Option<TagSet> {
    let mut texts = Vec::new();
    while let Some((len, rest)) = plain.split_first_chunk::<2>() {
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        texts.push(std::str::from_utf8(text).ok()?.to_owned());
        plain = rest;
    }
    let pairs = texts.chunks_exact(2);
    let whole = plain.is_empty() && pairs.remainder().is_empty();
    whole.then(|| TagSet(pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect()))
}

/// Letters, digits, spaces and `+ - = . _ : / @`. Tags of sessions have the same.
pub(crate) fn is_allowed(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || (c.is_whitespace() && !c.is_control()) || "+-=._:/@".contains(c)
}

#[cfg(test)]
mod tests {
    use chartrier_storage::env::SimEnv;

    use super::*;

    fn header(value: &str) -> Result<TagSet, S3ErrorCode> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-tagging", value.parse().unwrap());
        TagSet::from_headers(&headers).map_err(|error| error.code)
    }

    fn document(tags: &str) -> Result<TagSet, S3ErrorCode> {
        let document = format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
        TagSet::parse(document.as_bytes(), Tagged::Object).map_err(|error| error.code)
    }

    fn tag(key: &str, value: &str) -> String {
        format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>")
    }

    #[test]
    fn headers_are_queries() {
        let tags = header("project=x%20y&empty=&none&k%C3%A9=v%2B").unwrap();
        let pairs: Vec<_> = tags.iter().collect();
        assert_eq!(pairs, [("empty", ""), ("ké", "v+"), ("none", ""), ("project", "x y")]);
        assert!(header("").unwrap().is_empty());
        assert_eq!(header("a=1&a=2"), Err(S3ErrorCode::InvalidTag));
        assert_eq!(header("a=%FF"), Err(S3ErrorCode::InvalidArgument));
        let many: Vec<String> = (0..11).map(|n| format!("k{n}=v")).collect();
        assert_eq!(header(&many.join("&")), Err(S3ErrorCode::InvalidTag));
        assert_eq!(header(&many[..10].join("&")).unwrap().len(), 10);
    }

    #[test]
    fn limits_are_in_characters() {
        assert!(document(&tag(&"é".repeat(128), &"é".repeat(256))).is_ok());
        for bad in [
            tag(&"é".repeat(129), "v"),
            tag("k", &"é".repeat(257)),
            tag("", "v"),
            tag("aws:k", "v"),
            tag("AWS:k", "v"),
            tag("k!", "v"),
            tag("k", "v?"),
            tag("k", "v").repeat(2),
        ] {
            assert_eq!(document(&bad), Err(S3ErrorCode::InvalidTag), "{bad:.60}");
        }
        for bad in ["<Tag><Key>k</Key></Tag>", "<Tag><Value>v</Value></Tag>", "<Other/>"] {
            assert_eq!(document(bad), Err(S3ErrorCode::MalformedXml), "{bad}");
        }
        assert!(TagSet::parse(b"<Tagging/>", Tagged::Object).is_err());
        let fifty: String = (0..50).map(|n| tag(&n.to_string(), "v")).collect();
        let parse = |tags: &str| {
            TagSet::parse(format!("<Tagging><TagSet>{tags}</TagSet></Tagging>").as_bytes(), Tagged::Bucket)
        };
        assert!(parse(&fifty).is_ok());
        assert_eq!(parse(&(fifty + &tag("one", "more"))).unwrap_err().code, S3ErrorCode::BadRequest);
    }

    #[test]
    fn sealed_tags_open_only_where_they_belong() {
        let operator = OperatorKey::from_slice(&[1; 32]).unwrap();
        let random = SimEnv::env(1).random;
        let tags = document(&(tag("k", "v") + &tag("é", ""))).unwrap();
        let place = |key| TagPlace { bucket: BucketId::from_bytes([1; 16]), key, wrap_version: VersionId::NULL };
        let sealed = tags.seal(&operator, &*random, place("key"));
        assert_eq!(TagSet::open(&operator, place("key"), &sealed).unwrap(), tags);
        assert!(TagSet::open(&operator, place("other"), &sealed).is_err());
        assert!(TagSet::default().seal(&operator, &*random, place("key")).is_empty());
        assert!(TagSet::open(&operator, place("key"), &[]).unwrap().is_empty());
    }
}
