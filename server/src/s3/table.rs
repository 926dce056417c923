//! The operation table: every operation of S3, once.
//!
//! The router, the IAM action, the metric label, the dispatch and the conformance report all come
//! from here. An operation that is `built` names its handler, `s3/ops/<module>.rs`; any other answers
//! 501 `NotImplemented` naming the operation, after the caller has proved who it is.

use std::sync::Arc;

use http::Method;

use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::ops;
use crate::s3::request::{Query, S3Request};
use crate::s3::response::S3Response;

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// `/`
    Service,
    /// `/bucket`
    Bucket,
    /// `/bucket/key`
    Object,
}

/// What, beside method and scope, tells an operation from its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// Nothing else matched.
    Otherwise,
    /// The query has this parameter.
    Has(&'static str),
    /// The query has both parameters.
    HasBoth(&'static str, &'static str),
    /// The query has the parameter with this value.
    Is(&'static str, &'static str),
    /// The request has this header.
    Header(&'static str),
    /// The query has both parameters and the request has the header.
    HasBothAndHeader(&'static str, &'static str, &'static str),
    /// Never by method and query: another port or another way in.
    Unreachable,
}

impl Selector {
    fn matches(self, query: &Query, has_header: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Otherwise => true,
            Self::Has(name) => query.contains(name),
            Self::HasBoth(one, other) => query.contains(one) && query.contains(other),
            Self::Is(name, value) => query.get(name) == Some(value),
            Self::Header(name) => has_header(name),
            Self::HasBothAndHeader(one, other, header) => {
                query.contains(one) && query.contains(other) && has_header(header)
            }
            Self::Unreachable => false,
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct OperationSpec {
    /// The operation.
    pub operation: Operation,
    /// S3's name, also the metric label.
    pub name: &'static str,
    /// The request method.
    pub method: Method,
    /// What the path names.
    pub scope: Scope,
    /// What else must hold. Rows of one method and scope are tried from top to bottom.
    pub selector: Selector,
    /// The IAM action that a policy must allow.
    pub action: &'static str,
    /// Whether a handler exists.
    pub built: bool,
}

/// Finds the operation that a request names, or `None` if no operation has this method here.
pub fn route(method: &Method, scope: Scope, query: &Query, has_header: &dyn Fn(&str) -> bool) -> Option<Operation> {
    TABLE
        .iter()
        .find(|row| row.scope == scope && row.method == *method && row.selector.matches(query, has_header))
        .map(|row| row.operation)
}

macro_rules! dispatch_one {
    ($app:ident, $request:ident, $name:ident, missing) => {
        Err(S3Error::not_implemented(stringify!($name)))
    };
    // The edge answers it before it authenticates; nothing dispatches it.
    ($app:ident, $request:ident, $name:ident, edge) => {
        Err(S3Error::not_implemented(stringify!($name)))
    };
    ($app:ident, $request:ident, $name:ident, $module:ident) => {
        Box::pin(ops::$module::handle($app, $request)).await
    };
}

macro_rules! is_built {
    (missing) => {
        false
    };
    ($module:ident) => {
        true
    };
}

macro_rules! operations {
    ($($method:ident $scope:ident $selector:expr => $name:ident $action:literal $handler:ident;)+) => {
        /// Every operation of S3, by its name in S3's API reference.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation {
            $(#[doc = concat!("IAM action `", $action, "`.")] $name,)+
        }

        impl Operation {
            /// S3's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// Its row.
            pub fn spec(self) -> &'static OperationSpec {
                &TABLE[self as usize]
            }
        }

        /// All rows, in the order in which the router tries them.
        pub static TABLE: &[OperationSpec] = &[$(
            OperationSpec {
                operation: Operation::$name,
                name: stringify!($name),
                method: Method::$method,
                scope: Scope::$scope,
                selector: $selector,
                action: $action,
                built: is_built!($handler),
            },
        )+];

        /// Runs the operation that the request names.
        ///
        /// # Errors
        /// What the handler answers; 501 `NotImplemented` if there is none.
        pub async fn dispatch(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
            match request.operation {
                $(Operation::$name => dispatch_one!(app, request, $name, $handler),)+
            }
        }
    };
}

use Selector::{Has, HasBoth, HasBothAndHeader, Header, Is, Otherwise, Unreachable};

operations! {
    // Service.
    GET Service Has("events") => ListenNotification "s3:ListenNotification" missing;
    GET Service Is("x-id", "ListDirectoryBuckets") => ListDirectoryBuckets "s3express:ListAllMyDirectoryBuckets" missing;
    GET Service Otherwise => ListBuckets "s3:ListAllMyBuckets" list_buckets;
    POST Service Is("x-id", "WriteGetObjectResponse") => WriteGetObjectResponse "s3-object-lambda:WriteGetObjectResponse" missing;
    OPTIONS Service Otherwise => PreflightService "s3:Preflight" edge;

    // Bucket, reading.
    HEAD Bucket Otherwise => HeadBucket "s3:ListBucket" head_bucket;
    GET Bucket Has("abac") => GetBucketAbac "s3:GetBucketAbac" missing;
    GET Bucket Has("accelerate") => GetBucketAccelerateConfiguration "s3:GetAccelerateConfiguration" get_bucket_accelerate_configuration;
    GET Bucket Has("acl") => GetBucketAcl "s3:GetBucketAcl" get_bucket_acl;
    GET Bucket HasBoth("analytics", "id") => GetBucketAnalyticsConfiguration "s3:GetAnalyticsConfiguration" missing;
    GET Bucket Has("analytics") => ListBucketAnalyticsConfigurations "s3:GetAnalyticsConfiguration" missing;
    GET Bucket Has("cors") => GetBucketCors "s3:GetBucketCORS" get_bucket_cors;
    GET Bucket Has("encryption") => GetBucketEncryption "s3:GetEncryptionConfiguration" get_bucket_encryption;
    GET Bucket HasBoth("intelligent-tiering", "id") => GetBucketIntelligentTieringConfiguration "s3:GetIntelligentTieringConfiguration" missing;
    GET Bucket Has("intelligent-tiering") => ListBucketIntelligentTieringConfigurations "s3:GetIntelligentTieringConfiguration" missing;
    GET Bucket HasBoth("inventory", "id") => GetBucketInventoryConfiguration "s3:GetInventoryConfiguration" missing;
    GET Bucket Has("inventory") => ListBucketInventoryConfigurations "s3:GetInventoryConfiguration" missing;
    GET Bucket Has("lifecycle") => GetBucketLifecycleConfiguration "s3:GetLifecycleConfiguration" get_bucket_lifecycle_configuration;
    GET Bucket Has("location") => GetBucketLocation "s3:GetBucketLocation" get_bucket_location;
    GET Bucket Has("logging") => GetBucketLogging "s3:GetBucketLogging" get_bucket_logging;
    GET Bucket Has("metadataConfiguration") => GetBucketMetadataConfiguration "s3:GetBucketMetadataTableConfiguration" missing;
    GET Bucket Has("metadataTable") => GetBucketMetadataTableConfiguration "s3:GetBucketMetadataTableConfiguration" missing;
    GET Bucket HasBoth("metrics", "id") => GetBucketMetricsConfiguration "s3:GetMetricsConfiguration" missing;
    GET Bucket Has("metrics") => ListBucketMetricsConfigurations "s3:GetMetricsConfiguration" missing;
    GET Bucket Has("notification") => GetBucketNotificationConfiguration "s3:GetBucketNotification" get_bucket_notification_configuration;
    GET Bucket Has("object-lock") => GetObjectLockConfiguration "s3:GetBucketObjectLockConfiguration" get_object_lock_configuration;
    GET Bucket Has("ownershipControls") => GetBucketOwnershipControls "s3:GetBucketOwnershipControls" get_bucket_ownership_controls;
    GET Bucket Has("policy") => GetBucketPolicy "s3:GetBucketPolicy" get_bucket_policy;
    GET Bucket Has("policyStatus") => GetBucketPolicyStatus "s3:GetBucketPolicyStatus" get_bucket_policy_status;
    GET Bucket Has("publicAccessBlock") => GetPublicAccessBlock "s3:GetBucketPublicAccessBlock" get_public_access_block;
    GET Bucket Has("replication") => GetBucketReplication "s3:GetReplicationConfiguration" get_bucket_replication;
    GET Bucket Has("requestPayment") => GetBucketRequestPayment "s3:GetBucketRequestPayment" get_bucket_request_payment;
    GET Bucket Has("session") => CreateSession "s3express:CreateSession" missing;
    GET Bucket Has("tagging") => GetBucketTagging "s3:GetBucketTagging" get_bucket_tagging;
    GET Bucket Has("uploads") => ListMultipartUploads "s3:ListBucketMultipartUploads" list_multipart_uploads;
    GET Bucket Has("versioning") => GetBucketVersioning "s3:GetBucketVersioning" get_bucket_versioning;
    GET Bucket Has("versions") => ListObjectVersions "s3:ListBucketVersions" list_object_versions;
    GET Bucket Has("website") => GetBucketWebsite "s3:GetBucketWebsite" get_bucket_website;
    GET Bucket Is("list-type", "2") => ListObjectsV2 "s3:ListBucket" list_objects_v2;
    GET Bucket Otherwise => ListObjects "s3:ListBucket" list_objects;

    // Bucket, changing.
    PUT Bucket Has("abac") => PutBucketAbac "s3:PutBucketAbac" missing;
    PUT Bucket Has("accelerate") => PutBucketAccelerateConfiguration "s3:PutAccelerateConfiguration" missing;
    PUT Bucket Has("acl") => PutBucketAcl "s3:PutBucketAcl" put_bucket_acl;
    PUT Bucket Has("analytics") => PutBucketAnalyticsConfiguration "s3:PutAnalyticsConfiguration" missing;
    PUT Bucket Has("cors") => PutBucketCors "s3:PutBucketCORS" put_bucket_cors;
    PUT Bucket Has("encryption") => PutBucketEncryption "s3:PutEncryptionConfiguration" put_bucket_encryption;
    PUT Bucket Has("intelligent-tiering") => PutBucketIntelligentTieringConfiguration "s3:PutIntelligentTieringConfiguration" missing;
    PUT Bucket Has("inventory") => PutBucketInventoryConfiguration "s3:PutInventoryConfiguration" missing;
    PUT Bucket Has("lifecycle") => PutBucketLifecycleConfiguration "s3:PutLifecycleConfiguration" put_bucket_lifecycle_configuration;
    PUT Bucket Has("logging") => PutBucketLogging "s3:PutBucketLogging" put_bucket_logging;
    PUT Bucket Has("metadataInventoryTable") => UpdateBucketMetadataInventoryTableConfiguration "s3:UpdateBucketMetadataInventoryTableConfiguration" missing;
    PUT Bucket Has("metadataJournalTable") => UpdateBucketMetadataJournalTableConfiguration "s3:UpdateBucketMetadataJournalTableConfiguration" missing;
    PUT Bucket Has("metrics") => PutBucketMetricsConfiguration "s3:PutMetricsConfiguration" missing;
    PUT Bucket Has("notification") => PutBucketNotificationConfiguration "s3:PutBucketNotification" put_bucket_notification_configuration;
    PUT Bucket Has("object-lock") => PutObjectLockConfiguration "s3:PutBucketObjectLockConfiguration" put_object_lock_configuration;
    PUT Bucket Has("ownershipControls") => PutBucketOwnershipControls "s3:PutBucketOwnershipControls" put_bucket_ownership_controls;
    PUT Bucket Has("policy") => PutBucketPolicy "s3:PutBucketPolicy" put_bucket_policy;
    PUT Bucket Has("publicAccessBlock") => PutPublicAccessBlock "s3:PutBucketPublicAccessBlock" put_public_access_block;
    PUT Bucket Has("replication") => PutBucketReplication "s3:PutReplicationConfiguration" missing;
    PUT Bucket Has("requestPayment") => PutBucketRequestPayment "s3:PutBucketRequestPayment" put_bucket_request_payment;
    PUT Bucket Has("tagging") => PutBucketTagging "s3:PutBucketTagging" put_bucket_tagging;
    PUT Bucket Has("versioning") => PutBucketVersioning "s3:PutBucketVersioning" put_bucket_versioning;
    PUT Bucket Has("website") => PutBucketWebsite "s3:PutBucketWebsite" missing;
    PUT Bucket Otherwise => CreateBucket "s3:CreateBucket" create_bucket;
    POST Bucket Has("delete") => DeleteObjects "s3:DeleteObject" delete_objects;
    POST Bucket Has("metadataConfiguration") => CreateBucketMetadataConfiguration "s3:CreateBucketMetadataTableConfiguration" missing;
    POST Bucket Has("metadataTable") => CreateBucketMetadataTableConfiguration "s3:CreateBucketMetadataTableConfiguration" missing;
    POST Bucket Otherwise => PostObject "s3:PutObject" post_object;
    DELETE Bucket Has("analytics") => DeleteBucketAnalyticsConfiguration "s3:PutAnalyticsConfiguration" missing;
    DELETE Bucket Has("cors") => DeleteBucketCors "s3:PutBucketCORS" delete_bucket_cors;
    DELETE Bucket Has("encryption") => DeleteBucketEncryption "s3:PutEncryptionConfiguration" delete_bucket_encryption;
    DELETE Bucket Has("intelligent-tiering") => DeleteBucketIntelligentTieringConfiguration "s3:PutIntelligentTieringConfiguration" missing;
    DELETE Bucket Has("inventory") => DeleteBucketInventoryConfiguration "s3:PutInventoryConfiguration" missing;
    DELETE Bucket Has("lifecycle") => DeleteBucketLifecycle "s3:PutLifecycleConfiguration" delete_bucket_lifecycle;
    DELETE Bucket Has("metadataConfiguration") => DeleteBucketMetadataConfiguration "s3:DeleteBucketMetadataTableConfiguration" missing;
    DELETE Bucket Has("metadataTable") => DeleteBucketMetadataTableConfiguration "s3:DeleteBucketMetadataTableConfiguration" missing;
    DELETE Bucket Has("metrics") => DeleteBucketMetricsConfiguration "s3:PutMetricsConfiguration" missing;
    DELETE Bucket Has("ownershipControls") => DeleteBucketOwnershipControls "s3:PutBucketOwnershipControls" delete_bucket_ownership_controls;
    DELETE Bucket Has("policy") => DeleteBucketPolicy "s3:DeleteBucketPolicy" delete_bucket_policy;
    DELETE Bucket Has("publicAccessBlock") => DeletePublicAccessBlock "s3:PutBucketPublicAccessBlock" delete_public_access_block;
    DELETE Bucket Has("replication") => DeleteBucketReplication "s3:PutReplicationConfiguration" delete_bucket_replication;
    DELETE Bucket Has("tagging") => DeleteBucketTagging "s3:PutBucketTagging" delete_bucket_tagging;
    DELETE Bucket Has("website") => DeleteBucketWebsite "s3:DeleteBucketWebsite" delete_bucket_website;
    DELETE Bucket Otherwise => DeleteBucket "s3:DeleteBucket" delete_bucket;
    OPTIONS Bucket Otherwise => PreflightBucket "s3:Preflight" edge;

    // Object, reading.
    HEAD Object Otherwise => HeadObject "s3:GetObject" head_object;
    GET Object Has("acl") => GetObjectAcl "s3:GetObjectAcl" get_object_acl;
    GET Object Has("attributes") => GetObjectAttributes "s3:GetObjectAttributes" get_object_attributes;
    GET Object Has("legal-hold") => GetObjectLegalHold "s3:GetObjectLegalHold" get_object_legal_hold;
    GET Object Has("retention") => GetObjectRetention "s3:GetObjectRetention" get_object_retention;
    GET Object Has("tagging") => GetObjectTagging "s3:GetObjectTagging" get_object_tagging;
    GET Object Has("torrent") => GetObjectTorrent "s3:GetObjectTorrent" missing;
    GET Object Has("uploadId") => ListParts "s3:ListMultipartUploadParts" list_parts;
    GET Object Otherwise => GetObject "s3:GetObject" get_object;

    // Object, changing.
    PUT Object Has("acl") => PutObjectAcl "s3:PutObjectAcl" put_object_acl;
    PUT Object Has("encryption") => UpdateObjectEncryption "s3:UpdateObjectEncryption" missing;
    PUT Object Has("legal-hold") => PutObjectLegalHold "s3:PutObjectLegalHold" put_object_legal_hold;
    PUT Object Has("renameObject") => RenameObject "s3:RenameObject" missing;
    PUT Object Has("retention") => PutObjectRetention "s3:PutObjectRetention" put_object_retention;
    PUT Object Has("tagging") => PutObjectTagging "s3:PutObjectTagging" put_object_tagging;
    PUT Object HasBothAndHeader("partNumber", "uploadId", "x-amz-copy-source") => UploadPartCopy "s3:PutObject" upload_part_copy;
    PUT Object HasBoth("partNumber", "uploadId") => UploadPart "s3:PutObject" upload_part;
    PUT Object Header("x-amz-copy-source") => CopyObject "s3:PutObject" copy_object;
    PUT Object Otherwise => PutObject "s3:PutObject" put_object;
    POST Object Has("restore") => RestoreObject "s3:RestoreObject" missing;
    POST Object Has("select") => SelectObjectContent "s3:GetObject" missing;
    POST Object Has("uploads") => CreateMultipartUpload "s3:PutObject" create_multipart_upload;
    POST Object Has("uploadId") => CompleteMultipartUpload "s3:PutObject" complete_multipart_upload;
    DELETE Object Has("tagging") => DeleteObjectTagging "s3:DeleteObjectTagging" delete_object_tagging;
    DELETE Object Has("uploadId") => AbortMultipartUpload "s3:AbortMultipartUpload" abort_multipart_upload;
    DELETE Object Otherwise => DeleteObject "s3:DeleteObject" delete_object;
    OPTIONS Object Otherwise => PreflightObject "s3:Preflight" edge;

    // Reached by other ways than a signed request on this port.
    GET Bucket Unreachable => GetBucketLifecycle "s3:GetLifecycleConfiguration" missing;
    PUT Bucket Unreachable => PutBucketLifecycle "s3:PutLifecycleConfiguration" missing;
    GET Bucket Unreachable => GetBucketNotification "s3:GetBucketNotification" missing;
    PUT Bucket Unreachable => PutBucketNotification "s3:PutBucketNotification" missing;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(method: Method, scope: Scope, query: &str, headers: &[&str]) -> Option<Operation> {
        let query = Query::parse(query).unwrap();
        route(&method, scope, &query, &|name| headers.contains(&name))
    }

    #[test]
    fn each_row_is_its_operations_row() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.operation as usize, index);
            assert_eq!(row.operation.spec().name, row.name);
        }
    }

    #[test]
    fn each_reachable_row_is_reached_by_what_it_asks_for() {
        for row in TABLE {
            let (query, headers): (String, Vec<&str>) = match row.selector {
                Otherwise => (String::new(), vec![]),
                Has(name) => (name.to_owned(), vec![]),
                HasBoth(one, other) => (format!("{one}=1&{other}=x"), vec![]),
                Is(name, value) => (format!("{name}={value}"), vec![]),
                Header(name) => (String::new(), vec![name]),
                HasBothAndHeader(one, other, header) => (format!("{one}=1&{other}=x"), vec![header]),
                Unreachable => continue,
            };
            assert_eq!(routed(row.method.clone(), row.scope, &query, &headers), Some(row.operation), "{}", row.name);
        }
    }

    fn request(row: &OperationSpec) -> String {
        let path = match row.scope {
            Scope::Service => "/",
            Scope::Bucket => "/bucket",
            Scope::Object => "/bucket/key",
        };
        let more = match row.selector {
            Otherwise => String::new(),
            Has(name) => format!("?{name}"),
            HasBoth(one, other) => format!("?{one}&{other}"),
            Is(name, value) => format!("?{name}={value}"),
            Header(name) => format!(" with `{name}`"),
            HasBothAndHeader(one, other, header) => format!("?{one}&{other} with `{header}`"),
            Unreachable => return "another way in, or a name of the past".to_owned(),
        };
        let (target, with) = more.split_once(' ').map_or((more.as_str(), ""), |(target, with)| (target, with));
        format!("`{} {path}{target}` {with}", row.method).trim_end().to_owned()
    }

    /// `docs/s3-operations.md` is written by `CHARTRIER_WRITE_DOCS=1 cargo test -p chartrier --lib operations_page`.
    #[test]
    fn the_operations_page_of_the_docs_is_this_table() {
        let built = TABLE.iter().filter(|row| row.built).count();
        let mut page = format!(
            "# S3 operations\n\nEvery operation of S3 and its state here: {built} of {} are built. The others answer 501 \
             `NotImplemented` with their name, once\nthe caller has proved who it is. Made from the operation table \
             (`server/src/s3/table.rs`), of which a test holds this page to be\ntrue; what each does is in \
             [s3-semantics.md](s3-semantics.md).\n\n| operation | request | action | state |\n|---|---|---|---|\n",
            TABLE.len()
        );
        for row in TABLE {
            let state = if row.built { "built" } else { "501" };
            page.push_str(&format!("| {} | {} | `{}` | {state} |\n", row.name, request(row), row.action));
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/s3-operations.md");
        if std::env::var_os("CHARTRIER_WRITE_DOCS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == page, "docs/s3-operations.md is stale: write it anew with CHARTRIER_WRITE_DOCS=1");
    }

    #[test]
    fn the_x_id_that_sdks_add_changes_nothing() {
        assert_eq!(routed(Method::GET, Scope::Object, "x-id=GetObject", &[]), Some(Operation::GetObject));
        assert_eq!(routed(Method::GET, Scope::Bucket, "list-type=2&prefix=a", &[]), Some(Operation::ListObjectsV2));
    }

    #[test]
    fn a_method_that_nothing_has_is_routed_nowhere() {
        assert_eq!(routed(Method::PATCH, Scope::Object, "", &[]), None);
        assert_eq!(routed(Method::PUT, Scope::Service, "", &[]), None);
        assert_eq!(routed(Method::POST, Scope::Object, "", &[]), None);
    }
}
