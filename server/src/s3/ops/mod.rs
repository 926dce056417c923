//! One file per operation, each with
//! `pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error>`.
//!
//! A handler calls [`crate::app::App::authorise_bucket`] before it polls the body: `100 Continue`
//! leaves on that poll.

pub mod abort_multipart_upload;
pub mod complete_multipart_upload;
pub mod copy_object;
pub mod create_bucket;
pub mod create_multipart_upload;
pub mod delete_bucket;
pub mod delete_bucket_cors;
pub mod delete_bucket_encryption;
pub mod delete_bucket_replication;
pub mod delete_bucket_website;
pub mod delete_object;
pub mod delete_objects;
pub mod get_bucket_accelerate_configuration;
pub mod get_bucket_cors;
pub mod get_bucket_encryption;
pub mod get_bucket_location;
pub mod get_bucket_replication;
pub mod get_bucket_request_payment;
pub mod get_bucket_website;
pub mod get_object;
pub mod get_object_attributes;
pub mod head_bucket;
pub mod head_object;
pub mod list_buckets;
pub mod list_multipart_uploads;
pub mod list_object_versions;
pub mod list_objects;
pub mod list_objects_v2;
pub mod list_parts;
pub mod post_object;
pub mod put_bucket_cors;
pub mod put_bucket_encryption;
pub mod put_bucket_request_payment;
pub mod put_object;
pub mod upload_part;
pub mod upload_part_copy;

mod body;
pub mod listing;
pub mod multipart;
mod refusal;
mod settings;

pub(crate) use refusal::refused;
