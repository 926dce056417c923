//! Headers of a write that ask for what is not built: refused by name, never ignored.
//!
//! A header that S3 does not have asks for nothing, and is ignored as AWS ignores it.

use chartrier_storage::namespace::storage_class::StorageClass;
use http::HeaderMap;

use crate::s3::checksum::ChecksumAlgorithm;
use crate::s3::error::{S3Error, S3ErrorCode};

/// Checks the `x-amz-*` headers of PutObject, CreateMultipartUpload and CopyObject.
///
/// # Errors
/// `NotImplemented` for a feature that does not exist here, and `InvalidStorageClass`.
pub fn refuse_unbuilt(headers: &HeaderMap) -> Result<(), S3Error> {
    for (name, value) in headers {
        let name = name.as_str();
        let Some(feature) = name.strip_prefix("x-amz-") else { continue };
        let value = value.as_bytes();
        match feature {
            "storage-class" => _ = class_of(value)?,
            "server-side-encryption-bucket-key-enabled" if value.eq_ignore_ascii_case(b"false") => {}
            _ if is_built(feature, name) => {}
            _ if OF_S3.iter().any(|family| feature.starts_with(family)) => {
                return Err(S3Error::not_implemented(format!("The header {name}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The class that a write asks for: `STANDARD` if it names none.
///
/// # Errors
/// `InvalidStorageClass` for one that is not kept here.
pub fn storage_class(headers: &HeaderMap) -> Result<StorageClass, S3Error> {
    headers.get("x-amz-storage-class").map_or(Ok(StorageClass::default()), |value| class_of(value.as_bytes()))
}

fn class_of(value: &[u8]) -> Result<StorageClass, S3Error> {
    let class = std::str::from_utf8(value).ok().and_then(StorageClass::from_name);
    class.ok_or_else(|| S3Error::of(S3ErrorCode::InvalidStorageClass))
}

fn is_built(feature: &str, name: &str) -> bool {
    feature.starts_with("meta-") || BUILT.contains(&feature) || ChecksumAlgorithm::from_header(name).is_some()
}

/// How the names of S3's features begin.
const OF_S3: [&str; 14] = [
    "acl",
    "bypass-",
    "checksum-",
    "copy-source",
    "fwd-",
    "grant-",
    "if-",
    "mfa",
    "object-",
    "restore",
    "server-side-encryption",
    "storage-class",
    "tagging",
    "write-offset",
];

/// What this server understands, or what changes nothing by its nature (who pays, which SDK sends).
const BUILT: [&str; 35] = [
    "acl",
    "api-version",
    "bypass-governance-retention",
    "checksum-algorithm",
    "checksum-type",
    "content-sha256",
    "copy-source",
    "copy-source-if-match",
    "copy-source-if-modified-since",
    "copy-source-if-none-match",
    "copy-source-if-unmodified-since",
    "copy-source-range",
    "date",
    "grant-full-control",
    "grant-read",
    "grant-read-acp",
    "grant-write",
    "grant-write-acp",
    "decoded-content-length",
    "expected-bucket-owner",
    "metadata-directive",
    "object-lock-legal-hold",
    "object-lock-mode",
    "object-lock-retain-until-date",
    "request-payer",
    "sdk-checksum-algorithm",
    "security-token",
    "server-side-encryption",
    "source-expected-bucket-owner",
    "tagging",
    "tagging-directive",
    "te",
    "trailer",
    "user-agent",
    "website-redirect-location",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn code(name: &'static str, value: &str) -> Option<S3ErrorCode> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        refuse_unbuilt(&headers).err().map(|error| error.code)
    }

    #[test]
    fn what_is_built_passes_and_the_rest_is_refused_by_name() {
        for (name, value) in [
            ("content-type", "text/plain"),
            ("x-amz-meta-anything", "x"),
            ("x-amz-date", "20261122T000000Z"),
            ("x-amz-checksum-xxhash128", "x"),
            ("x-amz-storage-class", "STANDARD"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-acl", "private"),
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-no-such-feature", "x"),
        ] {
            assert_eq!(code(name, value), None, "{name}");
        }
        for name in [
            "x-amz-server-side-encryption-aws-kms-key-id",
            "x-amz-server-side-encryption-context",
            "x-amz-write-offset-bytes",
            "x-amz-mfa",
        ] {
            assert_eq!(code(name, "x"), Some(S3ErrorCode::NotImplemented), "{name}");
        }
        assert_eq!(code("x-amz-storage-class", "GLACIER"), Some(S3ErrorCode::InvalidStorageClass));
    }
}
