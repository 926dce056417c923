//! Operations as AWS's access logs name them: `REST.METHOD.RESOURCE`.

use http::Method;

use crate::s3::table::Operation;

/// The name of an operation; `None` is one that was refused before it was known.
pub(super) fn name(operation: Option<Operation>, method: &Method, has_key: bool) -> String {
    use Operation as O;
    let whole = if has_key { "OBJECT" } else { "BUCKET" };
    let Some(operation) = operation else { return format!("REST.{method}.{whole}") };
    let resource = match operation {
        O::CopyObject => return "REST.COPY.OBJECT".to_owned(),
        O::UploadPartCopy => return "REST.COPY.PART".to_owned(),
        O::PostObject => return "REST.POST.OBJECT".to_owned(),
        O::PreflightBucket | O::PreflightObject | O::PreflightService => "PREFLIGHT",
        O::DeleteObjects => "MULTI_OBJECT_DELETE",
        O::CreateMultipartUpload | O::ListMultipartUploads => "UPLOADS",
        O::CompleteMultipartUpload | O::AbortMultipartUpload | O::ListParts => "UPLOAD",
        O::UploadPart => "PART",
        O::GetObjectAcl | O::PutObjectAcl | O::GetBucketAcl | O::PutBucketAcl => "ACL",
        O::GetObjectTagging | O::PutObjectTagging | O::DeleteObjectTagging => "OBJECT_TAGGING",
        O::GetBucketTagging | O::PutBucketTagging | O::DeleteBucketTagging => "TAGGING",
        O::GetObjectAttributes => "OBJECT_ATTRIBUTES",
        O::GetObjectLegalHold | O::PutObjectLegalHold => "LEGAL_HOLD",
        O::GetObjectRetention | O::PutObjectRetention => "RETENTION",
        O::GetObjectLockConfiguration | O::PutObjectLockConfiguration => "OBJECT_LOCK_CONFIGURATION",
        O::ListObjectVersions => "BUCKETVERSIONS",
        O::GetBucketVersioning | O::PutBucketVersioning => "VERSIONING",
        O::GetBucketLocation => "LOCATION",
        O::GetBucketPolicy | O::PutBucketPolicy | O::DeleteBucketPolicy => "BUCKETPOLICY",
        O::GetBucketPolicyStatus => "BUCKETPOLICYSTATUS",
        O::GetBucketCors | O::PutBucketCors | O::DeleteBucketCors => "CORS",
        O::GetBucketLifecycleConfiguration | O::PutBucketLifecycleConfiguration | O::DeleteBucketLifecycle => {
            "LIFECYCLE"
        }
        O::GetBucketEncryption | O::PutBucketEncryption | O::DeleteBucketEncryption => "ENCRYPTION",
        O::GetBucketLogging | O::PutBucketLogging => "LOGGING_STATUS",
        O::GetBucketNotificationConfiguration | O::PutBucketNotificationConfiguration => "NOTIFICATION",
        O::GetPublicAccessBlock | O::PutPublicAccessBlock | O::DeletePublicAccessBlock => "PUBLIC_ACCESS_BLOCK",
        O::GetBucketOwnershipControls | O::PutBucketOwnershipControls | O::DeleteBucketOwnershipControls => {
            "OWNERSHIP_CONTROLS"
        }
        O::GetBucketRequestPayment | O::PutBucketRequestPayment => "REQUEST_PAYMENT",
        O::GetBucketAccelerateConfiguration | O::PutBucketAccelerateConfiguration => "ACCELERATE",
        O::GetBucketWebsite | O::PutBucketWebsite | O::DeleteBucketWebsite => "WEBSITE",
        O::GetBucketReplication | O::PutBucketReplication | O::DeleteBucketReplication => "REPLICATION",
        _ => whole,
    };
    format!("REST.{method}.{resource}")
}
