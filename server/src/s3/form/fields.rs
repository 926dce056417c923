//! The fields of a form, and the headers that a PUT of the same object would have carried.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::reader::FIELDS_BYTES_MAX;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::xml::Element;

/// The fields of a form. Names are compared without regard to case, as AWS does.
///
/// They may hold an SSE-C key: no `Debug` of the values.
#[derive(Default)]
pub struct FormFields {
    fields: Vec<(String, String)>,
    file_name: Option<String>,
}

/// What stands for the file's name.
const FILE_NAME: &str = "${filename}";

/// Fields that say who posts and under which policy.
const CREDENTIALS: [&str; 5] =
    ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature"];

/// Fields that are headers under their own name.
const HEADERS: [&str; 6] =
    ["cache-control", "content-disposition", "content-encoding", "content-md5", "content-type", "expires"];

impl FormFields {
    pub(super) fn add(&mut self, name: &str, value: Vec<u8>) -> Result<(), S3Error> {
        let name = name.to_ascii_lowercase();
        let value = String::from_utf8(value)
            .map_err(|_| S3Error::invalid_argument("A form field must be UTF-8.", name.as_str(), ""))?;
        if self.get(&name).is_some() {
            // Which of two values the policy is about would be anybody's guess.
            return Err(S3Error::invalid_argument("A form field must not be there twice.", name, ""));
        }
        self.fields.push((name, value));
        Ok(())
    }

    pub(super) fn set_file_name(&mut self, name: Option<String>) {
        // Some browsers send the whole path; its last part is the name.
        self.file_name = name.map(|name| name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned());
    }

    /// A field by its lower-case name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// A field that is there and not empty.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The name of the file that the form carries.
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// Names and values in the order sent; names in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Puts the file's name wherever a field says `${filename}`, as AWS does before it checks the policy.
    ///
    /// # Errors
    /// `MaxPostPreDataLengthExceededError` if the fields would then be longer than a form may send them: a long name
    /// in a thousand places would make megabytes of twenty kilobytes.
    pub fn expand_file_name(&mut self) -> Result<(), S3Error> {
        let file_name = self.file_name.clone().unwrap_or_default();
        let mut left = FIELDS_BYTES_MAX;
        for (name, value) in &mut self.fields {
            let places = if name == "policy" { 0 } else { value.matches(FILE_NAME).count() };
            let len = value.len() - places * FILE_NAME.len() + places * file_name.len();
            left = left.checked_sub(len).ok_or_else(|| S3Error::of(S3ErrorCode::MaxPostPreDataLengthExceeded))?;
            if places > 0 {
                *value = value.replace(FILE_NAME, &file_name);
            }
        }
        Ok(())
    }

    /// The headers of a PUT that stores the same object.
    ///
    /// # Errors
    /// `InvalidArgument` for a value that no header can carry; `MalformedXML` for tags that are no document.
    pub fn to_headers(&self) -> Result<HeaderMap, S3Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.iter() {
            let (header, value) = match name {
                // The default of every bucket: forms in the field say it even where ACLs are off.
                "acl" if value == "private" => continue,
                "acl" => ("x-amz-acl", value.to_owned()),
                "tagging" => ("x-amz-tagging", tags(value)?),
                name if CREDENTIALS.contains(&name) => continue,
                name if name.starts_with("x-amz-") || HEADERS.contains(&name) => (name, value.to_owned()),
                _ => continue,
            };
            let bad = || S3Error::invalid_argument("A form field cannot be a header.", name, "");
            let header = HeaderName::from_bytes(header.as_bytes()).map_err(|_| bad())?;
            headers.insert(header, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad())?);
        }
        Ok(headers)
    }
}

/// From the document that a form carries to the query that a header carries.
fn tags(document: &str) -> Result<String, S3Error> {
    let malformed = || S3Error::of(S3ErrorCode::MalformedXml);
    let root = Element::parse(document.as_bytes(), "Tagging")?;
    let set = root.child("TagSet").ok_or_else(malformed)?;
    let mut pairs = Vec::new();
    for tag in &set.children {
        let text = |name| tag.child(name).map(|child| child.text.as_str()).ok_or_else(malformed);
        let encode = |text| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC);
        pairs.push(format!("{}={}", encode(text("Key")?), encode(text("Value")?)));
    }
    Ok(pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> FormFields {
        let mut fields = FormFields::default();
        for (name, value) in pairs {
            fields.add(name, value.as_bytes().to_vec()).unwrap();
        }
        fields
    }

    #[test]
    fn a_form_says_what_headers_say() {
        let tagging = "<Tagging><TagSet><Tag><Key>a b</Key><Value>é</Value></Tag></TagSet></Tagging>";
        let headers = fields(&[
            ("key", "k"),
            ("ACL", "public-read"),
            ("Content-Type", "text/plain"),
            ("x-amz-meta-Colour", "bleu"),
            ("X-Amz-Signature", "s"),
            ("policy", "p"),
            ("tagging", tagging),
            ("success_action_status", "201"),
            ("x-ignore-this", "y"),
        ])
        .to_headers()
        .unwrap();
        assert_eq!(headers.len(), 4);
        assert_eq!(headers["x-amz-acl"], "public-read");
        assert!(!fields(&[("acl", "private")]).to_headers().unwrap().contains_key("x-amz-acl"));
        assert_eq!(headers["content-type"], "text/plain");
        assert_eq!(headers["x-amz-meta-colour"], "bleu");
        assert_eq!(headers["x-amz-tagging"], "a%20b=%C3%A9");
    }

    #[test]
    fn a_header_cannot_be_smuggled_in_a_field() {
        assert!(fields(&[("x-amz-meta-a", "b\r\nx: y")]).to_headers().is_err());
        assert!(fields(&[("x-amz-meta-a:b", "c")]).to_headers().is_err());
        let mut twice = fields(&[("key", "a")]);
        assert_eq!(twice.add("KEY", b"b".to_vec()).unwrap_err().code, S3ErrorCode::InvalidArgument);
        assert!(twice.add("x", vec![0xff]).is_err());
    }

    #[test]
    fn the_file_name_is_the_last_part_of_a_path() {
        let mut form = fields(&[("key", "user/${filename}"), ("policy", "${filename}")]);
        form.set_file_name(Some("C:\\docs\\a.txt".into()));
        form.expand_file_name().unwrap();
        assert_eq!((form.get("key"), form.get("policy")), (Some("user/a.txt"), Some("${filename}")));
    }

    #[test]
    fn a_long_file_name_in_many_places_is_refused_before_it_is_put_there() {
        let mut form = fields(&[("key", &"${filename}".repeat(900))]);
        form.set_file_name(Some("n".repeat(9000)));
        assert_eq!(form.expand_file_name().unwrap_err().code, S3ErrorCode::MaxPostPreDataLengthExceeded);
        form.set_file_name(Some("n".repeat(20)));
        assert!(form.expand_file_name().is_ok());
    }
}
