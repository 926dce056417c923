//! Lifecycle rules of a bucket: what expires, and when.
//!
//! | file | part |
//! |---|---|
//! | `parse` | what a client sends, judged as AWS does |
//! | `filter` | which objects a rule is about |
//! | `due` | when a version is due, by which rule |
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html>

mod due;
mod filter;
mod parse;

use bytes::Bytes;
use chartrier_storage::namespace::bucket_config::BucketConfigKind;

use crate::s3::bucket_config::BucketDocument;
use crate::s3::error::S3Error;
use crate::s3::xml::XmlWriter;
pub use due::{Clockwork, Expiry, NoncurrentAge};
pub use filter::{Facts, Filter};

/// Most rules of a bucket.
pub const RULES_MAX: usize = 1000;
/// Longest document that a client may send.
pub const DOCUMENT_BYTES_MAX: usize = 512 << 10;

/// The rules of one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// As sent, in order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Unique in the document; drawn if the client gave none.
    pub id: String,
    /// Whether it does anything.
    pub enabled: bool,
    /// Which objects it is about.
    pub filter: Filter,
    /// What becomes of current versions.
    pub expiration: Option<Expiration>,
    /// What becomes of versions that are current no more.
    pub noncurrent: Option<NoncurrentExpiration>,
    /// Days after which an upload in progress is aborted.
    pub abort_uploads_after: Option<u32>,
}

/// What becomes of current versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiration {
    /// They expire so many days after they were made.
    Days(u32),
    /// They expire from this time on, Unix seconds, always a midnight.
    Date(i64),
    /// A delete marker that hides no version any more goes.
    DeleteMarkers,
}

/// What becomes of versions that are current no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoncurrentExpiration {
    /// They go so many days after they ceased to be current.
    pub days: u32,
    /// But so many of the newest stay.
    pub keep_newest: u32,
}

impl Lifecycle {
    /// The document that is stored and answered.
    pub fn write(&self) -> Bytes {
        let mut doc = XmlWriter::new();
        doc.open_root("LifecycleConfiguration");
        for rule in &self.rules {
            doc.open("Rule");
            doc.element("ID", &rule.id);
            rule.filter.write(&mut doc);
            doc.element("Status", if rule.enabled { "Enabled" } else { "Disabled" });
            if let Some(expiration) = rule.expiration {
                doc.open("Expiration");
                match expiration {
                    Expiration::Days(days) => doc.value("Days", days),
                    Expiration::Date(at) => doc.element("Date", &parse::date_text(at)),
                    Expiration::DeleteMarkers => doc.value("ExpiredObjectDeleteMarker", true),
                }
                doc.close("Expiration");
            }
            if let Some(noncurrent) = rule.noncurrent {
                doc.open("NoncurrentVersionExpiration");
                doc.value("NoncurrentDays", noncurrent.days);
                if noncurrent.keep_newest > 0 {
                    doc.value("NewerNoncurrentVersions", noncurrent.keep_newest);
                }
                doc.close("NoncurrentVersionExpiration");
            }
            if let Some(days) = rule.abort_uploads_after {
                doc.open("AbortIncompleteMultipartUpload");
                doc.value("DaysAfterInitiation", days);
                doc.close("AbortIncompleteMultipartUpload");
            }
            doc.close("Rule");
        }
        doc.close("LifecycleConfiguration");
        doc.finish()
    }

    /// The shortest prefixes under which every enabled rule's objects lie, none within another.
    pub fn prefixes(&self) -> Vec<&str> {
        let mut prefixes: Vec<&str> =
            self.rules.iter().filter(|rule| rule.enabled).map(|rule| rule.filter.prefix()).collect();
        prefixes.sort_unstable();
        let mut cover: Vec<&str> = Vec::new();
        for prefix in prefixes {
            if !cover.last().is_some_and(|last| prefix.starts_with(last)) {
                cover.push(prefix);
            }
        }
        cover
    }
}

impl BucketDocument for Lifecycle {
    const KIND: BucketConfigKind = BucketConfigKind::Lifecycle;

    fn from_stored(document: &[u8]) -> Result<Self, S3Error> {
        // Every stored rule has an id.
        Self::parse(document, String::new).map_err(S3Error::internal)
    }
}
