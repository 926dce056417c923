//! `PUT /bucket`: CreateBucket.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html>.

use std::sync::Arc;

use chartrier_storage::ids::BucketId;
use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use chartrier_storage::namespace::command::{Op, Outcome, Refusal};
use chartrier_storage::namespace::lock::{ObjectLock, Versioning};
use chartrier_storage::namespace::rows::BucketRow;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::body::read_checked;
use crate::access::acl::{Acl, AclOn};
use crate::access::documents::{Ownership, REMOVED};
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::refusal::refused;
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::xml::Element;

/// The most buckets of one user, as AWS's default quota.
const BUCKETS_OF_USER_MAX: u64 = 10_000;
/// The longest `CreateBucketConfiguration`: ours has one element that counts.
const BODY_LEN_MAX: usize = 64 << 10;

/// Creates a bucket that the caller owns. Durable when it answers.
///
/// # Errors
/// `BucketAlreadyOwnedByYou` or `BucketAlreadyExists` when the name is taken; but 200 for one's own
/// bucket when the request was signed for `us-east-1`, as AWS documents of that region.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let name = request.bucket_name()?.as_str().to_owned();
    refuse_unbuilt(&request.headers)?;
    let body = read_checked(&mut request, BODY_LEN_MAX).await?;
    let region = region(&body, &app.config.region, &app.config.region_aliases)?;
    let sharing = Sharing::parse(app, &request)?;
    let caller = &request.caller;
    if app.engine.account_usage(&caller.user_id)?.buckets >= BUCKETS_OF_USER_MAX {
        return Err(S3Error::of(S3ErrorCode::TooManyBuckets));
    }

    let id = BucketId::from_bytes(app.random_bytes());
    let locks = request.headers.get("x-amz-bucket-object-lock-enabled");
    let locks = locks.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    let row = BucketRow {
        id,
        name: name.clone(),
        owner: caller.user_id.to_string(),
        created_us: app.clock.now_us(),
        region,
        versioning: if locks { Versioning::Enabled } else { Versioning::Unversioned },
        object_lock: locks.then(ObjectLock::default),
    };
    let op = Op::CreateBucket(row);
    match app.propose(caller, request.request_id, op).await?.outcome {
        Outcome::Done | Outcome::Deleted { .. } => {
            sharing.store(app, &request, id).await?;
            Ok(created(&name))
        }
        Outcome::Refused(Refusal::BucketExists { owner }) if *owner == *caller.user_id => {
            if caller.for_us_east_1 {
                return again(app, &request, &name, sharing.acl);
            }
            Err(S3Error::of(S3ErrorCode::BucketAlreadyOwnedByYou).with_detail("BucketName", name))
        }
        Outcome::Refused(refusal) => Err(refused(refusal).with_detail("BucketName", name)),
    }
}

/// One's own bucket created once more, in us-east-1: 200 if it has the grants that were asked for. AWS
/// would replace them; who did not expect the bucket to be there would not expect that either.
fn again(app: &App, request: &S3Request, name: &str, asked: Option<Acl>) -> Result<S3Response, S3Error> {
    let owner = &request.caller.user_id;
    let known = match app.engine.bucket(name)? {
        Some(bucket) => app.bucket_acl(&bucket)?,
        None => Acl::private(owner),
    };
    if known == asked.unwrap_or_else(|| Acl::private(owner)) {
        return Ok(created(name));
    }
    Err(S3Error::of(S3ErrorCode::BucketAlreadyExists).with_detail("BucketName", name))
}

/// What a new bucket has that others do not: who owns its objects, and its grants.
struct Sharing {
    ownership: Ownership,
    /// Whether the request says so itself: what is asked for is kept as such.
    asked_for: bool,
    acl: Option<Acl>,
}

impl Sharing {
    fn parse(app: &App, request: &S3Request) -> Result<Self, S3Error> {
        let said = request.header("x-amz-object-ownership")?;
        let ownership = match said {
            None => app.config.new_buckets.object_ownership,
            Some(text) => Ownership::parse(text).ok_or_else(|| {
                S3Error::invalid_argument("Invalid x-amz-object-ownership header: ", "x-amz-object-ownership", text)
            })?,
        };
        let owner = &request.caller.user_id;
        let acl = Acl::from_headers(&request.headers, AclOn::Bucket { owner }, &app.identities)?;
        if let Some(acl) = &acl {
            if ownership == Ownership::BucketOwnerEnforced && acl.shares(owner) {
                return Err(S3Error::of(S3ErrorCode::InvalidBucketAclWithObjectOwnership));
            }
            // A new bucket blocks public access: what it would ignore is not promised.
            if acl.is_public() && app.config.new_buckets.block_public_access {
                return Err(S3Error::of(S3ErrorCode::InvalidBucketAclWithBlockPublicAccess));
            }
        }
        Ok(Self { ownership, asked_for: said.is_some(), acl })
    }

    /// Stores what differs from a plain bucket. Killed before or within it, the bucket is there and stricter.
    async fn store(self, app: &App, request: &S3Request, id: BucketId) -> Result<(), S3Error> {
        if let Some(acl) = self.acl.filter(|acl| acl.shares(&request.caller.user_id)) {
            app.set_bucket_config(request, id, BucketConfigKind::Acl, Some(acl.to_stored())).await?;
        }
        if self.asked_for || self.ownership != Ownership::BucketOwnerEnforced {
            let stored = Some(self.ownership.to_stored());
            app.set_bucket_config(request, id, BucketConfigKind::OwnershipControls, stored).await?;
        }
        if !app.config.new_buckets.block_public_access {
            let removed = Some(REMOVED.to_vec());
            app.set_bucket_config(request, id, BucketConfigKind::PublicAccessBlock, removed).await?;
        }
        Ok(())
    }
}

fn created(name: &str) -> S3Response {
    let mut response = empty(StatusCode::OK);
    if let Ok(location) = HeaderValue::from_str(&format!("/{name}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn is_bool(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"true") || value.eq_ignore_ascii_case(b"false")
}

/// Refuses what a bucket cannot have yet, rather than promise it.
fn refuse_unbuilt(headers: &HeaderMap) -> Result<(), S3Error> {
    for (name, value) in headers {
        let value = value.as_bytes();
        let holds = match name.as_str() {
            "x-amz-bucket-object-lock-enabled" => is_bool(value),
            "x-amz-bucket-namespace" => value == b"global",
            _ => true,
        };
        if !holds {
            return Err(S3Error::not_implemented(format!("The header {name} with this value")));
        }
    }
    Ok(())
}

/// The region that a bucket is created in: the one asked for if it is ours, else the server's.
pub(super) fn region(body: &[u8], own: &str, aliases: &[String]) -> Result<String, S3Error> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(own.to_owned());
    }
    let configuration = Element::parse(body, "CreateBucketConfiguration")?;
    for element in &configuration.children {
        match element.name.as_str() {
            "LocationConstraint" => {}
            "Tags" if element.children.is_empty() => {}
            "Tags" | "Bucket" | "Location" => {
                return Err(S3Error::not_implemented(format!("{} of a bucket to create", element.name)));
            }
            _ => return Err(S3Error::of(S3ErrorCode::MalformedXml)),
        }
    }
    match configuration.child_text("LocationConstraint") {
        None | Some("") => Ok(own.to_owned()),
        Some(asked) if asked == own || aliases.iter().any(|alias| alias == asked) => Ok(asked.to_owned()),
        Some(asked) => {
            Err(S3Error::new(S3ErrorCode::InvalidLocationConstraint, "The specified location-constraint is not valid")
                .with_detail("LocationConstraint", asked))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Result<String, S3ErrorCode> {
        region(body.as_bytes(), "fr", &["us-east-1".to_owned()]).map_err(|error| error.code)
    }

    #[test]
    fn the_region_is_ours_or_an_alias() {
        let configuration = |region: &str| {
            asked(&format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            ))
        };
        assert_eq!(asked(""), Ok("fr".into()));
        assert_eq!(asked(" \n"), Ok("fr".into()));
        assert_eq!(asked("<CreateBucketConfiguration/>"), Ok("fr".into()));
        assert_eq!(configuration(""), Ok("fr".into()));
        assert_eq!(configuration("fr"), Ok("fr".into()));
        assert_eq!(configuration("us-east-1"), Ok("us-east-1".into()));
        assert_eq!(configuration("de"), Err(S3ErrorCode::InvalidLocationConstraint));
        assert_eq!(configuration("FR"), Err(S3ErrorCode::InvalidLocationConstraint));
    }

    #[test]
    fn a_body_that_is_something_else_is_refused() {
        assert_eq!(asked("<Other/>"), Err(S3ErrorCode::MalformedXml));
        assert_eq!(asked("not xml"), Err(S3ErrorCode::MalformedXml));
        assert_eq!(
            asked("<CreateBucketConfiguration><X/></CreateBucketConfiguration>"),
            Err(S3ErrorCode::MalformedXml)
        );
        assert_eq!(
            asked("<CreateBucketConfiguration><Tags><Tag/></Tags></CreateBucketConfiguration>"),
            Err(S3ErrorCode::NotImplemented)
        );
    }

    #[test]
    fn headers_that_a_bucket_cannot_honour_are_refused() {
        let code = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            refuse_unbuilt(&headers).err().map(|error| error.code)
        };
        for holds in ["true", "True", "false"] {
            assert_eq!(code("x-amz-bucket-object-lock-enabled", holds), None);
        }
        assert_eq!(code("x-amz-bucket-object-lock-enabled", "maybe"), Some(S3ErrorCode::NotImplemented));
    }
}
