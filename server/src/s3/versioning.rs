//! Versions as answers show them: ids, markers, the document of a bucket's versioning.

use bytes::Bytes;
use chartrier_storage::ids::VersionId;
use chartrier_storage::namespace::lock::Versioning;
use chartrier_storage::namespace::rows::BucketRow;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::{S3Error, S3ErrorCode};
use super::xml::{Element, XmlWriter};

/// `x-amz-version-id`.
pub const VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");
/// `x-amz-copy-source-version-id`.
pub const COPY_SOURCE_VERSION_ID: HeaderName = HeaderName::from_static("x-amz-copy-source-version-id");
/// `x-amz-delete-marker`.
pub const DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");
/// Longest document of versioning.
pub const VERSIONING_BYTES_MAX: usize = 4 << 10;

/// A version id as clients see it: `null`, or 32 hexadecimal digits.
pub fn version_text(version: VersionId) -> String {
    if version == VersionId::NULL { "null".to_owned() } else { version.to_string() }
}

/// A version id as a header value.
pub fn version_value(version: VersionId) -> HeaderValue {
    HeaderValue::from_str(&version_text(version)).expect("hexadecimal digits, or `null`")
}

/// Adds the id of a version, where there are versions to tell apart.
pub fn write_version(headers: &mut HeaderMap, bucket: &BucketRow, version: VersionId) {
    if bucket.versioning != Versioning::Unversioned {
        headers.insert(VERSION_ID, version_value(version));
    }
}

/// Adds the id of the version that a write made. A write of the null version says none, as on AWS.
pub fn write_new_version(headers: &mut HeaderMap, version: VersionId) {
    if version != VersionId::NULL {
        headers.insert(VERSION_ID, version_value(version));
    }
}

/// Reads a `VersioningConfiguration` document.
///
/// # Errors
/// `MalformedXML`; `IllegalVersioningConfigurationException` without a status; `NotImplemented` for MFA delete and for
/// members that S3 does not have.
pub fn parse(document: &[u8]) -> Result<Versioning, S3Error> {
    let malformed = || S3Error::of(S3ErrorCode::MalformedXml);
    let root = Element::parse(document, "VersioningConfiguration")?;
    // A member that is not S3's (other servers exclude prefixes here) asks for what would not be done.
    if let Some(other) = root.children.iter().find(|child| !["Status", "MfaDelete"].contains(&child.name.as_str())) {
        return Err(S3Error::not_implemented(format!("{} of a versioning configuration", other.name)));
    }
    match root.child_text("MfaDelete") {
        None | Some("Disabled") => {}
        Some("Enabled") => return Err(S3Error::not_implemented("MFA delete")),
        Some(_) => return Err(malformed()),
    }
    match root.child_text("Status") {
        Some("Enabled") => Ok(Versioning::Enabled),
        Some("Suspended") => Ok(Versioning::Suspended),
        Some(_) => Err(malformed()),
        None => Err(S3Error::of(S3ErrorCode::IllegalVersioningConfiguration)),
    }
}

/// The `VersioningConfiguration` document: without a status where versioning was never enabled.
pub fn document(versioning: Versioning) -> Bytes {
    let mut document = XmlWriter::new();
    document.open_root("VersioningConfiguration");
    document.element_if(
        "Status",
        match versioning {
            Versioning::Unversioned => None,
            Versioning::Enabled => Some("Enabled"),
            Versioning::Suspended => Some("Suspended"),
        },
    );
    document.close("VersioningConfiguration");
    document.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations() {
        let parse = |inside: &str| {
            super::parse(format!("<VersioningConfiguration>{inside}</VersioningConfiguration>").as_bytes())
                .map_err(|error| error.code)
        };
        assert_eq!(parse("<Status>Enabled</Status>"), Ok(Versioning::Enabled));
        assert_eq!(parse("<Status>Suspended</Status><MfaDelete>Disabled</MfaDelete>"), Ok(Versioning::Suspended));
        assert_eq!(parse("<Status>enabled</Status>"), Err(S3ErrorCode::MalformedXml));
        assert_eq!(parse(""), Err(S3ErrorCode::IllegalVersioningConfiguration));
        assert_eq!(parse("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"), Err(S3ErrorCode::NotImplemented));
        let excluded = "<Status>Enabled</Status><ExcludeFolders>true</ExcludeFolders>";
        assert_eq!(parse(excluded), Err(S3ErrorCode::NotImplemented));
    }
}
