//! Where the access log of a bucket is delivered.

use bytes::Bytes;
use chartrier_storage::namespace::bucket_config::BucketConfigKind;

use crate::s3::bucket_config::BucketDocument;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::xml::{Element, XmlWriter};

/// Longest document that is read.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 10;
/// Longest prefix of log objects in bytes: account, region, bucket, date and time come behind it.
const PREFIX_BYTES_MAX: usize = 800;

/// The rule of a bucket whose requests are logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// The bucket that the log goes to.
    pub target_bucket: String,
    /// What keys of log objects begin with.
    pub target_prefix: String,
    /// What comes behind it.
    pub key_format: KeyFormat,
}

/// How keys of log objects go on behind their prefix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyFormat {
    /// Date, time and a unique part; what holds without `TargetObjectKeyFormat`.
    #[default]
    Unsaid,
    /// The same, said.
    Simple,
    /// Account, region, bucket, year, month and day before it.
    Partitioned(DateSource),
}

/// Whose date a partitioned key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateSource {
    /// That of the requests: the records of one object are of one day.
    EventTime,
    /// That of the delivery.
    DeliveryTime,
}

impl Logging {
    /// Reads what a client sent; `None` switches logging off.
    ///
    /// # Errors
    /// `MalformedXML`, `InvalidArgument`; for grants, `AccessControlListNotSupported`: who may read log
    /// objects the target's policy says.
    pub fn parse(document: &[u8]) -> Result<Option<Self>, S3Error> {
        let root = Element::parse(document, "BucketLoggingStatus")?;
        let enabled = match &root.children[..] {
            [] => return Ok(None),
            [enabled] if enabled.name == "LoggingEnabled" => enabled,
            _ => return Err(malformed()),
        };
        for child in &enabled.children {
            let known = ["TargetBucket", "TargetPrefix", "TargetGrants", "TargetObjectKeyFormat"];
            if !known.contains(&child.name.as_str()) || enabled.children(&child.name).count() > 1 {
                return Err(malformed());
            }
        }
        let target_bucket = enabled.child_text("TargetBucket").filter(|name| !name.is_empty()).ok_or_else(malformed)?;
        // Taken to the byte: white space is part of it.
        let target_prefix = enabled.child("TargetPrefix").map(|prefix| prefix.text.clone()).ok_or_else(malformed)?;
        if target_prefix.len() > PREFIX_BYTES_MAX {
            let message = "The target prefix for logging is too long";
            return Err(S3Error::invalid_argument(message, "TargetPrefix", target_prefix.len().to_string()));
        }
        if enabled.child("TargetGrants").is_some_and(|grants| !grants.children.is_empty()) {
            return Err(S3Error::new(
                S3ErrorCode::AccessControlListNotSupported,
                "Log objects are the target bucket's owner's: use its bucket policy instead of target grants.",
            ));
        }
        let key_format = enabled.child("TargetObjectKeyFormat").map_or(Ok(KeyFormat::Unsaid), key_format)?;
        Ok(Some(Self { target_bucket: target_bucket.to_owned(), target_prefix, key_format }))
    }

    /// The document that says it.
    pub fn write(&self) -> Bytes {
        let mut doc = XmlWriter::new();
        doc.open_root("BucketLoggingStatus");
        doc.open("LoggingEnabled");
        doc.element("TargetBucket", &self.target_bucket);
        doc.element("TargetPrefix", &self.target_prefix);
        if self.key_format != KeyFormat::Unsaid {
            doc.open("TargetObjectKeyFormat");
            match self.key_format {
                KeyFormat::Partitioned(source) => {
                    doc.open("PartitionedPrefix");
                    let source = match source {
                        DateSource::EventTime => "EventTime",
                        DateSource::DeliveryTime => "DeliveryTime",
                    };
                    doc.element("PartitionDateSource", source);
                    doc.close("PartitionedPrefix");
                }
                KeyFormat::Simple | KeyFormat::Unsaid => doc.element("SimplePrefix", ""),
            }
            doc.close("TargetObjectKeyFormat");
        }
        doc.close("LoggingEnabled");
        doc.close("BucketLoggingStatus");
        doc.finish()
    }
}

impl BucketDocument for Logging {
    const KIND: BucketConfigKind = BucketConfigKind::Logging;

    fn from_stored(document: &[u8]) -> Result<Self, S3Error> {
        Self::parse(document)
            .map_err(S3Error::internal)?
            .ok_or_else(|| S3Error::internal("a logging document without a rule is never stored"))
    }
}

fn key_format(element: &Element) -> Result<KeyFormat, S3Error> {
    let [format] = &element.children[..] else { return Err(malformed()) };
    match (format.name.as_str(), format.child_text("PartitionDateSource")) {
        ("SimplePrefix", None) => Ok(KeyFormat::Simple),
        ("PartitionedPrefix", None | Some("DeliveryTime")) => Ok(KeyFormat::Partitioned(DateSource::DeliveryTime)),
        ("PartitionedPrefix", Some("EventTime")) => Ok(KeyFormat::Partitioned(DateSource::EventTime)),
        _ => Err(malformed()),
    }
}

fn malformed() -> S3Error {
    S3Error::of(S3ErrorCode::MalformedXml)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inside: &str) -> Result<Option<Logging>, S3ErrorCode> {
        let document = format!("<BucketLoggingStatus>{inside}</BucketLoggingStatus>");
        Logging::parse(document.as_bytes()).map_err(|error| error.code)
    }

    fn enabled(more: &str) -> String {
        format!(
            "<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>a/ </TargetPrefix>{more}</LoggingEnabled>"
        )
    }

    #[test]
    fn what_is_read_is_written_again() {
        let partitioned = |source: &str| {
            format!("<TargetObjectKeyFormat><PartitionedPrefix>{source}</PartitionedPrefix></TargetObjectKeyFormat>")
        };
        for (more, key_format) in [
            (String::new(), KeyFormat::Unsaid),
            ("<TargetGrants/>".into(), KeyFormat::Unsaid),
            ("<TargetObjectKeyFormat><SimplePrefix/></TargetObjectKeyFormat>".into(), KeyFormat::Simple),
            (partitioned(""), KeyFormat::Partitioned(DateSource::DeliveryTime)),
            (
                partitioned("<PartitionDateSource>EventTime</PartitionDateSource>"),
                KeyFormat::Partitioned(DateSource::EventTime),
            ),
        ] {
            let logging = read(&enabled(&more)).unwrap().unwrap();
            assert_eq!((logging.target_prefix.as_str(), logging.key_format), ("a/ ", key_format), "{more}");
            assert_eq!(Logging::parse(&logging.write()).unwrap_or_else(|error| panic!("{error}")), Some(logging));
        }
        assert_eq!(read(""), Ok(None));
    }

    #[test]
    fn documents_are_refused_as_on_aws() {
        for malformed in [
            "<Enabled/>".to_owned(),
            "<LoggingEnabled/>".into(),
            "<LoggingEnabled><TargetBucket>logs</TargetBucket></LoggingEnabled>".into(),
            "<LoggingEnabled><TargetBucket/><TargetPrefix/></LoggingEnabled>".into(),
            enabled("<Unknown/>"),
            enabled("<TargetPrefix>b</TargetPrefix>"),
            enabled("<TargetObjectKeyFormat/>"),
            enabled(
                "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>x</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>",
            ),
        ] {
            assert_eq!(read(&malformed), Err(S3ErrorCode::MalformedXml), "{malformed}");
        }
        let grants = enabled("<TargetGrants><Grant/></TargetGrants>");
        assert_eq!(read(&grants), Err(S3ErrorCode::AccessControlListNotSupported));
        let long = format!(
            "<LoggingEnabled><TargetBucket>l</TargetBucket><TargetPrefix>{}</TargetPrefix></LoggingEnabled>",
            "p".repeat(801)
        );
        assert_eq!(read(&long), Err(S3ErrorCode::InvalidArgument));
    }
}
