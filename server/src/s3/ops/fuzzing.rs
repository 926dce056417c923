//! Fuzz targets: XML documents of clients, and the parameters of listings.

use chartrier_storage::ids::{BucketId, UploadId, VersionId};
use chartrier_storage::namespace::lock::{DefaultRetention, ObjectLock, Versioning};
use chartrier_storage::namespace::query::ListFrom;
use chartrier_storage::namespace::rows::BucketRow;

use super::delete_objects::Delete;
use super::get_object_attributes::Wanted;
use super::list_multipart_uploads::Markers;
use super::listing::{ListingParams, NameEncoding, after_marker, last_name, token};
use super::{create_bucket, list_buckets, list_object_versions, list_parts, multipart, put_bucket_ownership_controls};
use crate::access::acl::{Acl, AclOn};
use crate::access::documents::{Ownership, PublicAccessBlock, StoredBlock, StoredOwnership};
use crate::auth::fuzzing::{NOW_S, rules};
use crate::config::SseC;
use crate::s3::bucket_config::BucketDocument as _;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::lock;
use crate::s3::names::{BucketName, OBJECT_KEY_LEN_BYTES_MAX, ObjectKey};
use crate::s3::open::read::{parse_version, requested_version};
use crate::s3::request::Query;
use crate::s3::response::error_document;
use crate::s3::settings::encryption::EncryptionRule;
use crate::s3::settings::logging::Logging;
use crate::s3::tags::{TagSet, Tagged};
use crate::s3::versioning::{self, version_text};
use crate::s3::xml::{Element, XML_DEPTH_MAX, XmlWriter};

/// Canonical id of the one account that there is.
const OWNER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A document under the name of its root; what comes back from what is written is what was read.
pub fn documents(bytes: &[u8]) {
    if let Ok(written) = std::str::from_utf8(bytes) {
        texts(written);
    }
    let Some(root) = root_of(bytes) else { return };
    match Element::parse(bytes, root) {
        Ok(element) => tree(&element, root),
        // Every reader below begins so.
        Err(_) => return,
    }
    match root {
        "AccessControlPolicy" => acl(bytes),
        "BucketLoggingStatus" => {
            if let Ok(Some(logging)) = Logging::parse(bytes) {
                assert!(Logging::from_stored(&logging.write()).expect("stored") == logging);
            }
        }
        "CompleteMultipartUpload" => {
            if let Ok(parts) = multipart::request::parse(bytes) {
                assert!(!parts.is_empty() && parts.iter().all(|part| (1..=10_000).contains(&part.number)));
                let _ = multipart::rules::select_parts(&parts, &[], "upload");
            }
        }
        "CreateBucketConfiguration" => drop(create_bucket::region(bytes, "fr", &["us-east-1".to_owned()])),
        "Delete" => delete(bytes),
        "LegalHold" => {
            if let Ok(on) = lock::parse_legal_hold(bytes) {
                assert!(lock::parse_legal_hold(&lock::legal_hold_document(on)).expect("written") == on);
            }
        }
        "ObjectLockConfiguration" => {
            if let Ok(default) = lock::parse_configuration(bytes) {
                let written = lock::configuration_document(ObjectLock { default_retention: default });
                assert!(lock::parse_configuration(&written).expect("written") == default);
                let _ = default.map(|DefaultRetention { period, .. }| period);
            }
        }
        "OwnershipControls" => {
            if let Ok(ownership) = put_bucket_ownership_controls::parse(bytes) {
                assert_eq!(Ownership::parse(ownership.name()), Some(ownership));
                let stored = StoredOwnership::from_stored(&ownership.to_stored()).expect("stored");
                assert_eq!(stored.0, Some(ownership));
            }
        }
        "PublicAccessBlockConfiguration" => {
            if let Ok(block) = super::put_public_access_block::parse(bytes) {
                let stored: Option<PublicAccessBlock> = StoredBlock::from_stored(&block.to_stored()).expect("stored").0;
                assert_eq!(stored, Some(block));
            }
        }
        "Retention" => {
            let now_us = u64::try_from(NOW_S).unwrap_or_default() * 1_000_000;
            if let Ok(Some(retention)) = lock::parse_retention(bytes, now_us) {
                let again = lock::parse_retention(&lock::retention_document(retention), 0).expect("written");
                let again = again.expect("it is one");
                assert_eq!((again.mode, again.until_us / 1000), (retention.mode, retention.until_us / 1000));
            }
        }
        "ServerSideEncryptionConfiguration" => {
            if let Ok(rule) = EncryptionRule::parse(bytes) {
                let written = rule.write(SseC::Blocked);
                assert_eq!(EncryptionRule::from_stored(&written).expect("stored").write(SseC::Open), written);
            }
        }
        "Tagging" => {
            for of in [Tagged::Object, Tagged::Bucket] {
                if let Ok(tags) = TagSet::parse(bytes, of) {
                    assert_eq!(TagSet::parse(&tags.document(), of).expect("written"), tags);
                }
            }
        }
        "VersioningConfiguration" => {
            if let Ok(versioning) = versioning::parse(bytes) {
                assert_eq!(versioning::parse(&versioning::document(versioning)).expect("written"), versioning);
            }
        }
        _ => {}
    }
}

/// The name of the first element, without its prefix.
fn root_of(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let name = text.split('<').skip(1).find(|tag| !tag.starts_with(['?', '!']))?;
    let name = name.split([' ', '\t', '\r', '\n', '>', '/']).next()?;
    name.rsplit(':').next().filter(|name| !name.is_empty())
}

fn tree(element: &Element, root: &str) {
    let mut doc = XmlWriter::new();
    write(element, &mut doc, 1);
    assert_eq!(Element::parse(&doc.finish(), root).as_ref().ok(), Some(element), "a tree that is written reads back");
}

fn write(element: &Element, doc: &mut XmlWriter, depth: usize) {
    assert!(depth <= XML_DEPTH_MAX);
    doc.open(&element.name);
    doc.text(&element.text);
    for child in &element.children {
        write(child, doc, depth + 1);
    }
    doc.close(&element.name);
}

/// Whatever a client wrote comes back in errors.
fn texts(written: &str) {
    let error = S3Error::invalid_argument(written.to_owned(), written, written);
    let document = error_document(&error, "0000000000000000");
    let read = Element::parse(&document, "Error").expect("an error's document is well formed");
    assert_eq!(read.child("Message").map(|message| message.text.as_str()), Some(&*written.replace('\0', "\u{fffd}")));
}

fn acl(bytes: &[u8]) {
    let known = rules(NOW_S).identities;
    if let Ok(acl) = Acl::from_xml(bytes, OWNER, known) {
        check_acl(&acl);
    }
}

/// An ACL is stored and written as it is, groups before accounts.
pub(crate) fn check_acl(acl: &Acl) {
    let known = rules(NOW_S).identities;
    assert_eq!(Acl::from_stored(&acl.to_stored()).expect("stored").as_ref(), Some(acl));
    let written = acl.to_xml(OWNER, known);
    let again = Acl::from_xml(&written, OWNER, known).expect("written");
    assert_eq!(again.to_xml(OWNER, known), written);
    assert_eq!((again.is_public(), again.shares(OWNER)), (acl.is_public(), acl.shares(OWNER)));
    for on in [AclOn::Bucket { owner: OWNER }, AclOn::Object { owner: OWNER, bucket_owner: "b" }] {
        assert_eq!(on.owner(), OWNER);
    }
}

/// A bucket as rows have it.
pub(crate) fn bucket(object_lock: Option<ObjectLock>) -> BucketRow {
    BucketRow {
        id: BucketId::from_bytes([1; 16]),
        name: "bucket".to_owned(),
        owner: OWNER.to_owned(),
        created_us: 1,
        region: "fr".to_owned(),
        versioning: Versioning::Enabled,
        object_lock,
    }
}

fn delete(bytes: &[u8]) {
    let Ok(delete) = Delete::parse(bytes) else { return };
    assert!((1..=1000).contains(&delete.objects.len()));
    let bucket = bucket(None);
    for object in &delete.objects {
        let _ = object.deletion(&bucket, false);
        let mut doc = XmlWriter::new();
        object.write_deleted(Some(VersionId::NULL), &mut doc);
        let read = Element::parse(&doc.finish(), "Deleted").expect("an answer is well formed");
        assert_eq!(read.child("Key").map(|key| key.text.as_str()), Some(object.key.as_str()));
    }
}

/// Everything that a query may say to a listing or a read, and the tokens in it.
pub(crate) fn parameters(query: &Query) {
    for name in ["max-keys", "max-uploads", "max-parts"] {
        let Ok(params) = ListingParams::parse(query, name) else { continue };
        assert!(params.page_size <= 1000);
        for marker in query.iter().map(|(_, value)| value) {
            if let Some(from) = after_marker(marker, &params) {
                assert!(marker.starts_with(last_name(&from)));
            }
            let _ = list_object_versions::after(marker, query.get("version-id-marker").unwrap_or_default(), &params);
        }
        if let Ok(markers) = Markers::parse(query) {
            let _ = markers.from(&params);
        }
    }
    let key_marker = query.get("key-marker").unwrap_or_default();
    let _ = (list_object_versions::version_id_marker(query, key_marker), list_parts::number_marker(query));
    let _ = (requested_version(query), list_buckets::PageParams::parse(query).map(|page| page.query(None)));
    for text in query.iter().flat_map(|(name, value)| [name, value]) {
        parameter(text);
    }
}

fn parameter(text: &str) {
    if let Ok(version) = parse_version(text) {
        assert_eq!(version_text(version), text.to_ascii_lowercase());
    }
    if let Ok(upload) = text.parse::<UploadId>() {
        assert_eq!(upload.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(from) = token::decode(text) {
        assert_eq!(token::encode(&from), text, "a token has one form");
    }
    if text.len() <= 2 * OBJECT_KEY_LEN_BYTES_MAX {
        for from in [ListFrom::AfterKey(text.to_owned()), ListFrom::PastPrefix(text.to_owned())] {
            assert_eq!(token::decode(&token::encode(&from)).expect("a token of ours"), from);
        }
    }
    if let Ok(bucket) = BucketName::parse(text) {
        let token = list_buckets::encode_token(bucket.as_str());
        assert_eq!(list_buckets::decode_token(&token).expect("a token of ours"), bucket);
    }
    let _ = list_buckets::decode_token(text);
    let _ = Wanted::parse(&text.split(',').collect::<Vec<_>>());
    for encoded in [NameEncoding::Url.encode(text), NameEncoding::Url.encode_sparsely(text)] {
        let decoded = percent_encoding::percent_decode_str(&encoded).decode_utf8();
        assert_eq!(decoded.as_deref(), Ok(text), "a name that was encoded decodes");
    }
    match ObjectKey::parse(text) {
        Ok(key) => assert!(!key.as_str().is_empty() && key.as_str().len() <= OBJECT_KEY_LEN_BYTES_MAX),
        Err(error) => assert!(matches!(error.code, S3ErrorCode::InvalidArgument | S3ErrorCode::KeyTooLongError)),
    }
}
