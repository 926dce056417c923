//! From what apply refused to what a client reads.

use chartrier_storage::namespace::command::Refusal;

use crate::s3::error::{S3Error, S3ErrorCode};

/// The S3 error of a refusal, where an operation has no words of its own for it.
pub(crate) fn refused(refusal: Refusal) -> S3Error {
    match refusal {
        Refusal::NoSuchBucket => S3Error::of(S3ErrorCode::NoSuchBucket),
        Refusal::BucketExists { .. } => S3Error::of(S3ErrorCode::BucketAlreadyExists),
        Refusal::BucketNotEmpty => S3Error::of(S3ErrorCode::BucketNotEmpty),
        Refusal::NoSuchKey => S3Error::of(S3ErrorCode::NoSuchKey),
        Refusal::PreconditionFailed => S3Error::of(S3ErrorCode::PreconditionFailed),
        Refusal::NoSuchUpload => S3Error::of(S3ErrorCode::NoSuchUpload),
        Refusal::PartsChanged | Refusal::Superseded => S3Error::of(S3ErrorCode::OperationAborted),
        Refusal::TooLarge => S3Error::of(S3ErrorCode::EntityTooLarge),
        Refusal::NoSuchVersion => S3Error::of(S3ErrorCode::NoSuchVersion),
        Refusal::IsDeleteMarker => S3Error::of(S3ErrorCode::MethodNotAllowed),
        Refusal::Locked => {
            let message = "Access Denied because object protected by object lock.";
            S3Error::new(S3ErrorCode::AccessDenied, message).already_journalled()
        }
        Refusal::NoObjectLock => {
            S3Error::new(S3ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration")
        }
        Refusal::QuotaExceeded => S3Error::of(S3ErrorCode::QuotaExceeded),
        Refusal::InvalidBucketState => S3Error::of(S3ErrorCode::InvalidBucketState),
        Refusal::VersioningChanged => S3Error::of(S3ErrorCode::OperationAborted),
        other => S3Error::internal(format!("an operation that cannot meet it was refused with {other:?}")),
    }
}
