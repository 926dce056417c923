//! The one error of the S3 edge: a code, a status, a message that a person can act on.
//!
//! The cause is logged and never sent.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderName, HeaderValue, StatusCode};

/// An error that a client sees.
#[derive(Debug)]
pub struct S3Error {
    /// S3's code; it fixes the status.
    pub code: S3ErrorCode,
    /// For a person; holds no secret and no internal detail.
    pub message: Cow<'static, str>,
    /// The path that the request named; the edge fills it in.
    pub resource: Option<String>,
    /// Further elements of the error body, such as `BucketName`.
    pub details: Vec<(&'static str, String)>,
    /// Headers to add to the answer. Boxed: most errors have none.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What went wrong below, for the log only.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// True if the refusal has its leaf already: apply wrote it.
    pub journalled: bool,
}

impl S3Error {
    /// An error with a message of its own.
    pub fn new(code: S3ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            resource: None,
            details: Vec::new(),
            headers: Vec::new(),
            source: None,
            journalled: false,
        }
    }

    /// An error with the code's usual message.
    pub fn of(code: S3ErrorCode) -> Self {
        Self::new(code, code.usual_message())
    }

    /// A fault of ours: 500, with the cause kept for the log.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::of(S3ErrorCode::InternalError).with_source(source)
    }

    /// 400 `InvalidArgument` about a named argument.
    pub fn invalid_argument(
        message: impl Into<Cow<'static, str>>,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        Self::new(S3ErrorCode::InvalidArgument, message)
            .with_detail("ArgumentName", name)
            .with_detail("ArgumentValue", value)
    }

    /// 501 for an operation, or a part of one, that is not built.
    pub fn not_implemented(what: impl fmt::Display) -> Self {
        Self::new(S3ErrorCode::NotImplemented, format!("{what} is not implemented by this server."))
    }

    /// Adds an element to the error body.
    #[must_use]
    pub fn with_detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says that the refusal has its leaf.
    #[must_use]
    pub fn already_journalled(mut self) -> Self {
        self.journalled = true;
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The status that the code fixes.
    pub fn status(&self) -> StatusCode {
        self.code.status()
    }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for S3Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<chartrier_storage::error::StorageError> for S3Error {
    fn from(error: chartrier_storage::error::StorageError) -> Self {
        use chartrier_storage::error::StorageError;
        let code = match &error {
            StorageError::Full => S3ErrorCode::StorageFull,
            StorageError::Unavailable { .. } | StorageError::Poisoned { .. } | StorageError::Closed => {
                S3ErrorCode::ServiceUnavailable
            }
            StorageError::TooLarge { .. } => S3ErrorCode::EntityTooLarge,
            // Damage, I/O and bugs: the client can only try again.
            _ => S3ErrorCode::InternalError,
        };
        Self::of(code).with_source(error)
    }
}

impl From<chartrier_storage::error::StateError> for S3Error {
    fn from(error: chartrier_storage::error::StateError) -> Self {
        Self::internal(error)
    }
}

/// Declares the codes with status and usual message, so that no code can lack one.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $text:literal $status:literal $message:literal;)+) => {
        /// The error codes that this server answers, in S3's words.
        ///
        /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum S3ErrorCode {
            $($(#[$doc])* #[doc = $message] $name,)+
        }

        impl S3ErrorCode {
            /// Every code, for tests and documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The status number on the wire.
            pub const fn status_number(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// What to tell the client when there is nothing better to say.
            pub const fn usual_message(self) -> &'static str {
                match self { $(Self::$name => $message,)+ }
            }
        }
    };
}

impl S3ErrorCode {
    /// The status on the wire.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status_number()).expect("every code is declared with a valid status")
    }
}

codes! {
    AccessControlListNotSupported "AccessControlListNotSupported" 400 "The bucket does not allow ACLs";
    AccessDenied "AccessDenied" 403 "Access Denied";
    /// For CORS preflights.
    AccessForbidden "AccessForbidden" 403 "CORSResponse: This CORS request is not allowed.";
    AmbiguousGrantByEmailAddress "AmbiguousGrantByEmailAddress" 400 "The email address you provided is associated with more than one account.";
    AuthorizationHeaderMalformed "AuthorizationHeaderMalformed" 400 "The authorization header that you provided is not valid.";
    AuthorizationQueryParametersError "AuthorizationQueryParametersError" 400 "The authorization query parameters that you provided are not valid.";
    BadDigest "BadDigest" 400 "The Content-MD5 or checksum value that you specified did not match what the server received.";
    BadRequest "BadRequest" 400 "The request is not valid.";
    BucketAlreadyExists "BucketAlreadyExists" 409 "The requested bucket name is not available. Select a different name and try again.";
    BucketAlreadyOwnedByYou "BucketAlreadyOwnedByYou" 409 "The bucket that you tried to create already exists, and you own it.";
    BucketNotEmpty "BucketNotEmpty" 409 "The bucket that you tried to delete is not empty.";
    ConditionalRequestConflict "ConditionalRequestConflict" 409 "A conflicting operation occurred during the request. Read the object again and retry.";
    EntityTooLarge "EntityTooLarge" 400 "Your proposed upload exceeds the maximum allowed object size.";
    EntityTooSmall "EntityTooSmall" 400 "Your proposed upload is smaller than the minimum allowed object size.";
    ExpiredToken "ExpiredToken" 400 "The provided token has expired.";
    IllegalLocationConstraintException "IllegalLocationConstraintException" 400 "The location constraint is incompatible with this server's region.";
    IncompleteBody "IncompleteBody" 400 "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    IllegalVersioningConfiguration "IllegalVersioningConfigurationException" 400 "The Versioning element must be specified";
    InternalError "InternalError" 500 "We encountered an internal error. Please try again.";
    InvalidAccessKeyId "InvalidAccessKeyId" 403 "The access key ID that you provided does not exist in our records.";
    InvalidArgument "InvalidArgument" 400 "Invalid Argument";
    InvalidBucketAclWithBlockPublicAccess "InvalidBucketAclWithBlockPublicAccessError" 400 "Bucket cannot have public ACLs set with BlockPublicAccess enabled";
    InvalidBucketAclWithObjectOwnership "InvalidBucketAclWithObjectOwnership" 400 "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
    InvalidBucketName "InvalidBucketName" 400 "The specified bucket is not valid.";
    InvalidBucketState "InvalidBucketState" 409 "The request is not valid for the current state of the bucket.";
    InvalidChunkSizeError "InvalidChunkSizeError" 403 "Only the last chunk is allowed to have a size less than 8192 bytes";
    InvalidDigest "InvalidDigest" 400 "The Content-MD5 or checksum value that you specified is not valid.";
    InvalidEncryptionAlgorithmError "InvalidEncryptionAlgorithmError" 400 "The encryption request that you specified is not valid. The valid value is AES256.";
    InvalidLocationConstraint "InvalidLocationConstraint" 400 "The specified location (Region) constraint is not valid.";
    InvalidObjectState "InvalidObjectState" 403 "The operation is not valid for the current state of the object.";
    InvalidPart "InvalidPart" 400 "One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag.";
    InvalidPartNumber "InvalidPartNumber" 416 "The requested partnumber is not satisfiable";
    InvalidPartOrder "InvalidPartOrder" 400 "The list of parts was not in ascending order. The parts list must be specified in order by part number.";
    InvalidPolicyDocument "InvalidPolicyDocument" 400 "The content of the form does not meet the conditions specified in the policy document.";
    InvalidRange "InvalidRange" 416 "The requested range is not satisfiable";
    InvalidRequest "InvalidRequest" 400 "Invalid Request";
    InvalidRetentionPeriod "InvalidRetentionPeriod" 400 "Default retention period must be a positive integer value.";
    InvalidStorageClass "InvalidStorageClass" 400 "The storage class you specified is not valid.";
    InvalidTargetBucketForLogging "InvalidTargetBucketForLogging" 400 "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants for the log-delivery group.";
    InvalidTag "InvalidTag" 400 "The tag provided was not a valid tag.";
    InvalidToken "InvalidToken" 400 "The provided token is malformed or otherwise not valid.";
    InvalidUri "InvalidURI" 400 "The specified URI couldn't be parsed.";
    KeyTooLongError "KeyTooLongError" 400 "Your key is too long.";
    MalformedAclError "MalformedACLError" 400 "The XML you provided was not well-formed or did not validate against our published schema";
    MalformedPolicy "MalformedPolicy" 400 "The policy is not valid.";
    MalformedPostRequest "MalformedPOSTRequest" 400 "The body of your POST request is not well-formed multipart/form-data.";
    MalformedTrailerError "MalformedTrailerError" 400 "The request contained trailing data that was not well-formed or did not conform to our published schema.";
    MalformedXml "MalformedXML" 400 "The XML that you provided was not well formed or did not validate against our published schema.";
    MaxMessageLengthExceeded "MaxMessageLengthExceeded" 400 "Your request was too large.";
    MaxPostPreDataLengthExceeded "MaxPostPreDataLengthExceeded" 400 "Your POST request fields preceding the upload file were too large.";
    MetadataTooLarge "MetadataTooLarge" 400 "Your metadata headers exceed the maximum allowed metadata size.";
    MethodNotAllowed "MethodNotAllowed" 405 "The specified method is not allowed against this resource.";
    MissingContentLength "MissingContentLength" 411 "You must provide the Content-Length HTTP header.";
    MissingRequestBodyError "MissingRequestBodyError" 400 "Request Body is empty";
    MissingSecurityHeader "MissingSecurityHeader" 400 "Your request is missing a required header.";
    NoSuchBucket "NoSuchBucket" 404 "The specified bucket does not exist";
    NoSuchCorsConfiguration "NoSuchCORSConfiguration" 404 "The CORS configuration does not exist";
    NoSuchBucketPolicy "NoSuchBucketPolicy" 404 "The bucket policy does not exist";
    NoSuchKey "NoSuchKey" 404 "The specified key does not exist.";
    NoSuchObjectLockConfiguration "NoSuchObjectLockConfiguration" 404 "The specified object does not have a ObjectLock configuration";
    NoSuchTagSet "NoSuchTagSet" 404 "The TagSet does not exist";
    NoSuchPublicAccessBlockConfiguration "NoSuchPublicAccessBlockConfiguration" 404 "The public access block configuration was not found";
    NoSuchLifecycleConfiguration "NoSuchLifecycleConfiguration" 404 "The lifecycle configuration does not exist";
    NoSuchUpload "NoSuchUpload" 404 "The specified multipart upload does not exist. The upload ID might not be valid, or the multipart upload might have been aborted or completed.";
    NoSuchVersion "NoSuchVersion" 404 "The specified version does not exist.";
    NoSuchWebsiteConfiguration "NoSuchWebsiteConfiguration" 404 "The specified bucket does not have a website configuration";
    /// For conditional reads.
    NotModified "NotModified" 304 "Not Modified";
    NotImplemented "NotImplemented" 501 "A header or operation that you provided implies functionality that is not implemented.";
    ObjectLockConfigurationNotFound "ObjectLockConfigurationNotFoundError" 404 "Object Lock configuration does not exist for this bucket";
    OperationAborted "OperationAborted" 409 "A conflicting conditional operation is currently in progress against this resource. Try again.";
    OwnershipControlsNotFound "OwnershipControlsNotFoundError" 404 "The bucket ownership controls were not found";
    PreconditionFailed "PreconditionFailed" 412 "At least one of the preconditions that you specified did not hold.";
    /// Of the administrator, on a bucket.
    QuotaExceeded "QuotaExceeded" 403 "The bucket, or the account that owns it, is at the quota that the administrator set. Nothing was stored.";
    ReplicationConfigurationNotFound "ReplicationConfigurationNotFoundError" 404 "The replication configuration was not found";
    RequestHeaderSectionTooLarge "RequestHeaderSectionTooLarge" 400 "Your request header section exceeds the maximum allowed size.";
    RequestTimeTooSkewed "RequestTimeTooSkewed" 403 "The difference between the request time and the server's time is too large.";
    RequestTimeout "RequestTimeout" 400 "Your socket connection to the server was not read from or written to within the timeout period.";
    ServiceUnavailable "ServiceUnavailable" 503 "Service is unable to handle request.";
    SignatureDoesNotMatch "SignatureDoesNotMatch" 403 "The request signature that we calculated does not match the signature that you provided. Check your secret access key and signing method.";
    SlowDown "SlowDown" 503 "Please reduce your request rate.";
    /// The drives are full: nothing was stored.
    StorageFull "XChartrierStorageFull" 507 "The server's drives are full. Nothing was stored; retry once space has been freed.";
    TooManyBuckets "TooManyBuckets" 400 "You have attempted to create more buckets than are allowed.";
    UnexpectedContent "UnexpectedContent" 400 "This request contains unsupported content.";
    UnresolvableGrantByEmailAddress "UnresolvableGrantByEmailAddress" 400 "The email address you provided does not match any account on record.";
    UnsupportedSignature "UnsupportedSignature" 400 "The provided request is signed with an unsupported STS token version or the signature version is not supported.";
    XAmzContentChecksumMismatch "XAmzContentChecksumMismatch" 400 "The provided 'x-amz-checksum' header does not match what was computed.";
    XAmzContentSha256Mismatch "XAmzContentSHA256Mismatch" 400 "The provided 'x-amz-content-sha256' header does not match what was computed.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_has_a_valid_status_and_its_own_text() {
        let mut texts = HashSet::new();
        for code in S3ErrorCode::ALL {
            let status = code.status();
            assert!(status.is_client_error() || status.is_server_error() || status == StatusCode::NOT_MODIFIED);
            assert!(texts.insert(code.as_str()), "{} twice", code.as_str());
        }
    }

    #[test]
    fn the_cause_is_not_in_the_text() {
        let error = S3Error::internal(std::io::Error::other("/srv/d3 gave EIO"));
        assert!(!error.to_string().contains("EIO"));
        assert!(std::error::Error::source(&error).is_some());
    }
}
