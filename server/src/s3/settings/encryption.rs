//! Default encryption of a bucket, and the kinds of encryption that it blocks.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionRule.html>

use bytes::Bytes;
use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use chartrier_storage::namespace::rows::BucketRow;

use crate::app::App;
use crate::config::SseC;
use crate::s3::bucket_config::BucketDocument;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::sse::Encryption;
use crate::s3::xml::{Element, XmlWriter};

/// Longest document that a client may send.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 10;

/// The encryption rule of a bucket. The default algorithm is always `AES256`, mode O.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EncryptionRule {
    bucket_key: bool,
    /// `None` leaves it to the configuration.
    blocked: Option<Blocked>,
}

/// What `BlockedEncryptionTypes` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocked {
    /// `NONE`.
    Nothing,
    /// `SSE-C`.
    SseC,
}

impl EncryptionRule {
    /// Reads and validates what a client sent.
    ///
    /// # Errors
    /// `MalformedXML`; `NotImplemented` for a default of `aws:kms`, which needs a key service;
    /// `InvalidArgument` for a key id without one.
    pub fn parse(document: &[u8]) -> Result<Self, S3Error> {
        let malformed = || S3Error::of(S3ErrorCode::MalformedXml);
        let root = Element::parse(document, "ServerSideEncryptionConfiguration")?;
        let [rule] = &root.children[..] else { return Err(malformed()) };
        if rule.name != "Rule" {
            return Err(malformed());
        }
        let mut parsed = Self::default();
        for child in &rule.children {
            match child.name.as_str() {
                "ApplyServerSideEncryptionByDefault" => check_default(child)?,
                "BucketKeyEnabled" => {
                    parsed.bucket_key = match child.text.trim() {
                        "true" => true,
                        "false" => false,
                        _ => return Err(malformed()),
                    };
                }
                "BlockedEncryptionTypes" => parsed.blocked = Some(blocked(child)?),
                _ => return Err(malformed()),
            }
        }
        // A rule must say something.
        if rule.children.is_empty() { Err(malformed()) } else { Ok(parsed) }
    }

    /// The document that is stored and answered; `configured` fills in what the rule leaves open.
    pub fn write(&self, configured: SseC) -> Bytes {
        let mut doc = XmlWriter::new();
        doc.open_root("ServerSideEncryptionConfiguration");
        doc.open("Rule");
        doc.open("ApplyServerSideEncryptionByDefault");
        doc.element("SSEAlgorithm", "AES256");
        doc.close("ApplyServerSideEncryptionByDefault");
        doc.value("BucketKeyEnabled", self.bucket_key);
        doc.open("BlockedEncryptionTypes");
        doc.element("EncryptionType", if self.blocks_sse_c(configured) { "SSE-C" } else { "NONE" });
        doc.close("BlockedEncryptionTypes");
        doc.close("Rule");
        doc.close("ServerSideEncryptionConfiguration");
        doc.finish()
    }

    fn blocks_sse_c(&self, configured: SseC) -> bool {
        match self.blocked {
            Some(Blocked::SseC) => true,
            Some(Blocked::Nothing) => false,
            None => configured == SseC::Blocked,
        }
    }
}

impl BucketDocument for EncryptionRule {
    const KIND: BucketConfigKind = BucketConfigKind::Encryption;

    fn from_stored(document: &[u8]) -> Result<Self, S3Error> {
        Self::parse(document).map_err(S3Error::internal)
    }
}

/// Refuses to write with a client's key where the bucket blocks it, as AWS does on new buckets since
/// April 2026: the bucket's own rule decides, else the configuration. Reads of what was written
/// before still work.
///
/// # Errors
/// `AccessDenied`; what the engine answers.
pub fn refuse_blocked(app: &App, bucket: &BucketRow, encryption: &Encryption) -> Result<(), S3Error> {
    let Encryption::Client(_) = encryption else { return Ok(()) };
    let rule = app.bucket_config::<EncryptionRule>(bucket.id)?.map_or_else(EncryptionRule::default, |rule| *rule);
    if rule.blocks_sse_c(app.config.sse_c) {
        return Err(S3Error::new(
            S3ErrorCode::AccessDenied,
            "This bucket blocks uploads with server-side encryption with customer provided keys (SSE-C).",
        ));
    }
    Ok(())
}

fn check_default(element: &Element) -> Result<(), S3Error> {
    let has_key = element.child_text("KMSMasterKeyID").is_some();
    match element.child_text("SSEAlgorithm") {
        Some("AES256") if has_key => Err(S3Error::new(
            S3ErrorCode::InvalidArgument,
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
        )),
        Some("AES256") => Ok(()),
        Some("aws:kms" | "aws:kms:dsse") => {
            Err(S3Error::not_implemented("Server-side encryption with a key service (aws:kms)"))
        }
        _ => Err(S3Error::of(S3ErrorCode::MalformedXml)),
    }
}

fn blocked(element: &Element) -> Result<Blocked, S3Error> {
    match &element.children[..] {
        [one] if one.name == "EncryptionType" => match one.text.trim() {
            "SSE-C" => Ok(Blocked::SseC),
            "NONE" => Ok(Blocked::Nothing),
            _ => Err(S3Error::of(S3ErrorCode::MalformedXml)),
        },
        [] => Ok(Blocked::Nothing),
        _ => Err(S3Error::of(S3ErrorCode::MalformedXml)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str =
        "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>";

    fn rule(inside: &str) -> Result<EncryptionRule, S3ErrorCode> {
        let text =
            format!("<ServerSideEncryptionConfiguration><Rule>{inside}</Rule></ServerSideEncryptionConfiguration>");
        EncryptionRule::parse(text.as_bytes()).map_err(|error| error.code)
    }

    fn blocking(kind: &str) -> Result<EncryptionRule, S3ErrorCode> {
        rule(&format!(
            "{DEFAULT}<BlockedEncryptionTypes><EncryptionType>{kind}</EncryptionType></BlockedEncryptionTypes>"
        ))
    }

    #[test]
    fn the_bucket_decides_and_else_the_configuration() {
        for configured in [SseC::Open, SseC::Blocked] {
            assert!(blocking("SSE-C").unwrap().blocks_sse_c(configured));
            assert!(!blocking("NONE").unwrap().blocks_sse_c(configured));
            assert_eq!(rule(DEFAULT).unwrap().blocks_sse_c(configured), configured == SseC::Blocked);
        }
        let stored = blocking("SSE-C").unwrap();
        assert_eq!(EncryptionRule::from_stored(&stored.write(SseC::Open)).unwrap(), stored);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let kms = DEFAULT.replace("AES256", "aws:kms");
        assert_eq!(rule(&kms), Err(S3ErrorCode::NotImplemented));
        assert_eq!(rule(&DEFAULT.replace("AES256", "rot13")), Err(S3ErrorCode::MalformedXml));
        let keyed = DEFAULT.replace("</SSEAlgorithm>", "</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>");
        assert_eq!(rule(&keyed), Err(S3ErrorCode::InvalidArgument));
        assert_eq!(rule(""), Err(S3ErrorCode::MalformedXml));
        assert_eq!(rule("<Other/>"), Err(S3ErrorCode::MalformedXml));
        assert_eq!(blocking("SSE-KMS"), Err(S3ErrorCode::MalformedXml));
        assert_eq!(rule(&format!("{DEFAULT}<BucketKeyEnabled>1</BucketKeyEnabled>")), Err(S3ErrorCode::MalformedXml));
    }
}
