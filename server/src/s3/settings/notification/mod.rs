//! Notification rules of a bucket: the document that clients send and get, and what apply reads.
//!
//! | file | part |
//! |---|---|
//! | `parse` | the document, refused as AWS refuses it |
//! | `destination` | ARNs, and the targets of the configuration that they name |
//! | `overlap` | two rules that would tell one event twice |

mod destination;
mod overlap;
mod parse;

use bytes::Bytes;
use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use chartrier_storage::namespace::encoding::decode;
use chartrier_storage::namespace::notification::{Destination, Notifications};

pub use destination::Destinations;
pub use parse::{DOCUMENT_BYTES_MAX, parse};

use crate::s3::bucket_config::BucketDocument;
use crate::s3::error::S3Error;
use crate::s3::xml::XmlWriter;

/// The rules of a bucket, as apply reads them.
pub struct BucketNotifications(pub Notifications);

impl BucketDocument for BucketNotifications {
    const KIND: BucketConfigKind = BucketConfigKind::Notification;

    fn from_stored(document: &[u8]) -> Result<Self, S3Error> {
        decode(document).map(Self).map_err(S3Error::internal)
    }
}

/// The element of a kind of target, and the one inside that names it.
const fn elements(destination: Destination) -> (&'static str, &'static str) {
    match destination {
        Destination::Topic => ("TopicConfiguration", "Topic"),
        Destination::Queue => ("QueueConfiguration", "Queue"),
        Destination::Function => ("CloudFunctionConfiguration", "CloudFunction"),
    }
}

/// The document of rules; without any it is empty.
pub fn write(notifications: &Notifications) -> Bytes {
    let mut doc = XmlWriter::new();
    doc.open_root("NotificationConfiguration");
    for rule in &notifications.rules {
        let (configuration, target) = elements(rule.destination);
        doc.open(configuration);
        doc.element("Id", &rule.id);
        doc.element(target, &rule.arn);
        for event in &rule.events {
            doc.element("Event", event);
        }
        if rule.prefix.is_some() || rule.suffix.is_some() {
            doc.open("Filter");
            doc.open("S3Key");
            for (name, value) in [("Prefix", &rule.prefix), ("Suffix", &rule.suffix)] {
                if let Some(value) = value {
                    doc.open("FilterRule");
                    doc.element("Name", name);
                    doc.element("Value", value);
                    doc.close("FilterRule");
                }
            }
            doc.close("S3Key");
            doc.close("Filter");
        }
        doc.close(configuration);
    }
    doc.close("NotificationConfiguration");
    doc.finish()
}
