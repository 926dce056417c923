//! One file per operation, each with
//! `pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error>`.
//!
//! The edge has authorised what the path names before a handler runs; a handler that learns of more
//! (a copy's source, the keys of DeleteObjects) asks for it, before it polls the body where it can.

pub mod abort_multipart_upload;
pub mod complete_multipart_upload;
pub mod copy_object;
pub mod create_bucket;
pub mod create_multipart_upload;
pub mod delete_bucket;
pub mod delete_bucket_cors;
pub mod delete_bucket_encryption;
pub mod delete_bucket_lifecycle;
pub mod delete_bucket_ownership_controls;
pub mod delete_bucket_policy;
pub mod delete_bucket_replication;
pub mod delete_bucket_tagging;
pub mod delete_bucket_website;
pub mod delete_object;
pub mod delete_object_tagging;
pub mod delete_objects;
pub mod delete_public_access_block;
pub mod get_bucket_accelerate_configuration;
pub mod get_bucket_acl;
pub mod get_bucket_cors;
pub mod get_bucket_encryption;
pub mod get_bucket_lifecycle_configuration;
pub mod get_bucket_location;
pub mod get_bucket_logging;
pub mod get_bucket_notification_configuration;
pub mod get_bucket_ownership_controls;
pub mod get_bucket_policy;
pub mod get_bucket_policy_status;
pub mod get_bucket_replication;
pub mod get_bucket_request_payment;
pub mod get_bucket_tagging;
pub mod get_bucket_versioning;
pub mod get_bucket_website;
pub mod get_object;
pub mod get_object_acl;
pub mod get_object_attributes;
pub mod get_object_legal_hold;
pub mod get_object_lock_configuration;
pub mod get_object_retention;
pub mod get_object_tagging;
pub mod get_public_access_block;
pub mod head_bucket;
pub mod head_object;
pub mod list_buckets;
pub mod list_multipart_uploads;
pub mod list_object_versions;
pub mod list_objects;
pub mod list_objects_v2;
pub mod list_parts;
pub mod post_object;
pub mod put_bucket_acl;
pub mod put_bucket_cors;
pub mod put_bucket_encryption;
pub mod put_bucket_lifecycle_configuration;
pub mod put_bucket_logging;
pub mod put_bucket_notification_configuration;
pub mod put_bucket_ownership_controls;
pub mod put_bucket_policy;
pub mod put_bucket_request_payment;
pub mod put_bucket_tagging;
pub mod put_bucket_versioning;
pub mod put_object;
pub mod put_object_acl;
pub mod put_object_legal_hold;
pub mod put_object_lock_configuration;
pub mod put_object_retention;
pub mod put_object_tagging;
pub mod put_public_access_block;
pub mod upload_part;
pub mod upload_part_copy;

mod acl;
mod body;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
pub mod listing;
pub mod multipart;
mod settings;
mod version_change;
