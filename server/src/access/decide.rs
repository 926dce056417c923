//! The decision: what policies, ACLs and the public access block say together.

use std::cell::{Cell, OnceCell};

use chartrier_storage::namespace::rows::{BucketRow, VersionRow};

use super::acl::{Acl, Permission};
use super::context::RequestContext;
use super::documents::{Ownership, PolicyDocument, PublicAccessBlock, StoredBlock, StoredOwnership};
use super::needs::{Need, bypasses_governance, needs, of_version};
use super::standing::IdentityPolicies;
use crate::app::App;
use crate::policy::actions::{On, resource_kind};
use crate::policy::{Request, Verdict};
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::open::read::parse_version;
use crate::s3::request::S3Request;
use crate::s3::table::Operation;
use crate::s3::tags::TagSet;

/// One question: may the request's caller do this to that?
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The action, `s3:GetObject`.
    pub action: &'static str,
    /// The bucket, if it exists.
    pub bucket: Option<&'a BucketRow>,
    /// Its name, if one is named.
    pub bucket_name: &'a str,
    /// The object, for actions on objects.
    pub key: Option<&'a str>,
    /// The version that is named.
    pub version: Option<&'a str>,
    /// Tags that the request would give the object, when they are in its body.
    pub request_tags: Option<&'a [(String, String)]>,
    /// Of the question whether a caller may know that an object is not there: its key. To conditions it is the
    /// `s3:prefix` of the list that would tell.
    pub sought: Option<&'a str>,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allowed,
    /// No, because nothing grants it.
    NotGranted,
    /// No, because a policy says so.
    Denied,
}

impl App {
    /// Authorises a request: every action that its operation needs on what its path names.
    ///
    /// Call it before the first poll of the body.
    ///
    /// # Errors
    /// `NoSuchBucket`, `AccessDenied`; `NoSuchKey` where only the ACL of an object that does not exist
    /// could have granted a read, to callers who may list.
    pub fn authorise(&self, request: &S3Request) -> Result<(), S3Error> {
        let needed = needs(request);
        if needed.is_empty() {
            return Ok(());
        }
        if !request.operation.spec().built {
            // Whoever proved who it is hears what is not built; strangers hear nothing.
            let stranger = request.caller.is_anonymous();
            return if stranger { Err(S3Error::of(S3ErrorCode::AccessDenied)) } else { Ok(()) };
        }
        let name = request.bucket.as_ref().map_or("", |bucket| bucket.as_str());
        let bucket = if name.is_empty() { None } else { self.engine.bucket(name)? };
        let creates = request.operation == Operation::CreateBucket;
        if !name.is_empty() && bucket.is_none() && !creates {
            return Err(S3Error::of(S3ErrorCode::NoSuchBucket).with_detail("BucketName", name));
        }
        for Need { action, on } in needed {
            let asked = Asked {
                action,
                // The policy of a bucket says nothing of who may take its name.
                bucket: bucket.as_ref().filter(|_| !creates),
                bucket_name: name,
                key: request.key.as_ref().map(|key| key.as_str()).filter(|_| on == On::Object),
                version: request.query.get("versionId"),
                request_tags: None,
                sought: None,
            };
            match self.may(request, asked)? {
                Decision::Allowed => {}
                Decision::NotGranted
                    if action == "s3:PutObjectAcl" && shares_with_owner_alone(request, bucket.as_ref()) => {}
                Decision::NotGranted if self.would_miss(request, asked)? => {
                    return Err(S3Error::of(S3ErrorCode::NoSuchKey).with_detail("Key", asked.key.unwrap_or_default()));
                }
                Decision::NotGranted | Decision::Denied => return Err(S3Error::of(S3ErrorCode::AccessDenied)),
            }
        }
        Ok(())
    }

    /// Whether the caller may remove one object of DeleteObjects.
    ///
    /// # Errors
    /// The engine's.
    pub fn may_delete(
        &self,
        request: &S3Request,
        bucket: &BucketRow,
        key: &str,
        version: Option<&str>,
    ) -> Result<bool, S3Error> {
        let plain = "s3:DeleteObject";
        let mut actions = vec![if version.is_some() { of_version(plain) } else { plain }];
        if bypasses_governance(&request.headers) {
            actions.push("s3:BypassGovernanceRetention");
        }
        for action in actions {
            let (bucket_name, bucket) = (bucket.name.as_str(), Some(bucket));
            let asked =
                Asked { action, bucket, bucket_name, key: Some(key), version, request_tags: None, sought: None };
            if self.may(request, asked)? != Decision::Allowed {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The bucket of a copy's source, if the caller may read the source.
    ///
    /// # Errors
    /// `NoSuchBucket`, `AccessDenied`, `NoSuchKey` as for a read.
    pub fn authorise_source(
        &self,
        request: &S3Request,
        bucket_name: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<BucketRow, S3Error> {
        let bucket = self
            .engine
            .bucket(bucket_name)?
            .ok_or_else(|| S3Error::of(S3ErrorCode::NoSuchBucket).with_detail("BucketName", bucket_name))?;
        let action = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        let asked = Asked {
            action,
            bucket: Some(&bucket),
            bucket_name,
            key: Some(key),
            version,
            request_tags: None,
            sought: None,
        };
        match self.may(request, asked)? {
            Decision::Allowed => Ok(bucket),
            Decision::NotGranted if self.would_miss(request, asked)? => {
                Err(S3Error::of(S3ErrorCode::NoSuchKey).with_detail("Key", key))
            }
            Decision::NotGranted | Decision::Denied => Err(S3Error::of(S3ErrorCode::AccessDenied)),
        }
    }

    /// Whether the caller may list a bucket as far as one key, and so may know that the bucket does not hold it.
    ///
    /// # Errors
    /// The engine's.
    pub fn may_list(
        &self,
        request: &S3Request,
        bucket: &BucketRow,
        key: &str,
        versions: bool,
    ) -> Result<bool, S3Error> {
        let action = if versions { "s3:ListBucketVersions" } else { "s3:ListBucket" };
        let asked = Asked {
            action,
            bucket: Some(bucket),
            bucket_name: &bucket.name,
            key: None,
            version: None,
            request_tags: None,
            sought: Some(key),
        };
        Ok(self.may(request, asked)? == Decision::Allowed)
    }

    /// Whether the answer to a read must not tell that the object does not exist: the caller may not
    /// list the bucket.
    ///
    /// # Errors
    /// The engine's.
    pub fn conceals_absence(&self, request: &S3Request) -> Result<bool, S3Error> {
        use Operation as O;
        let reads = matches!(
            request.operation,
            O::GetObject
                | O::HeadObject
                | O::GetObjectAttributes
                | O::GetObjectAcl
                | O::GetObjectTagging
                | O::GetObjectRetention
                | O::GetObjectLegalHold
        );
        let Some(name) = request.bucket.as_ref().filter(|_| reads) else { return Ok(false) };
        let Some(bucket) = self.engine.bucket(name.as_str())? else { return Ok(false) };
        let caller = &request.caller;
        if caller.standing.principal.is_account && (caller.root || *caller.user_id == *bucket.owner) {
            return Ok(false);
        }
        let key = request.key.as_ref().map_or("", |key| key.as_str());
        Ok(!self.may_list(request, &bucket, key, request.query.contains("versionId"))?)
    }

    /// Whether the caller of a request may do one thing.
    ///
    /// # Errors
    /// The engine's, and a stored document that does not parse: never an answer on part of the rules.
    pub fn may(&self, request: &S3Request, asked: Asked<'_>) -> Result<Decision, S3Error> {
        let version = ObjectOf::new(self, asked);
        let decision = self.decide(request, asked, &version)?;
        version.known(decision)
    }

    fn decide(&self, request: &S3Request, asked: Asked<'_>, version: &ObjectOf<'_>) -> Result<Decision, S3Error> {
        let caller = &request.caller;
        let resource = match (asked.key, asked.bucket_name) {
            (_, "") => "arn:aws:s3:::*".to_owned(),
            (None, bucket) => format!("arn:aws:s3:::{bucket}"),
            (Some(key), bucket) => format!("arn:aws:s3:::{bucket}/{key}"),
        };
        let existing_tags = || version.tags();
        let context = RequestContext {
            app: self,
            request,
            bucket: asked.bucket,
            request_tags: asked.request_tags,
            sought: asked.sought,
            existing_tags: &existing_tags,
        };
        let standing = &caller.standing;
        let question =
            Request { principal: &standing.principal, action: asked.action, resource: &resource, context: &context };

        let own = standing.own_verdict(question);
        if own == Verdict::Denies {
            return Ok(Decision::Denied);
        }
        // What a session was narrowed to holds for what a bucket grants too.
        let in_session = standing.session_verdict(question) == Verdict::Allows;
        let identity_allows = own == Verdict::Allows;
        let Some(bucket) = asked.bucket else {
            return Ok(if identity_allows { Decision::Allowed } else { Decision::NotGranted });
        };

        let document = self.bucket_config::<PolicyDocument>(bucket.id)?;
        let mut said = document.as_ref().map_or(Verdict::Silent, |document| document.policy.evaluate(question));
        let home = caller.root || *caller.user_id == *bucket.owner;
        if said == Verdict::Denies {
            // Otherwise a policy that denies everybody could never be taken away again.
            let saves_itself = home
                && standing.principal.is_account
                && identity_allows
                && matches!(asked.action, "s3:GetBucketPolicy" | "s3:PutBucketPolicy" | "s3:DeleteBucketPolicy");
            return Ok(if saves_itself { Decision::Allowed } else { Decision::Denied });
        }
        let block = self.public_access_block(bucket)?;
        if document.is_some_and(|document| document.public) && block.restrict_public_buckets && !home {
            said = Verdict::Silent;
        }
        let mut at_home = home;
        let mut by_acl = false;
        let mut renounced = false;
        if self.ownership(bucket)? != Ownership::BucketOwnerEnforced {
            let judged = version.row()?;
            let own_say = !is_a_write(request.operation) && is_objects_own(asked.action);
            if let Some(row) = judged.filter(|row| own_say && *row.owner != *bucket.owner) {
                // The bucket's owner has no say, but to refuse, over what another account owns in it.
                said = Verdict::Silent;
                at_home = caller.root || *caller.user_id == *row.owner;
            }
            by_acl = self.acl_allows(request, bucket, judged, asked.action, block.ignore_public_acls)?;
            // Where ACLs count, an owner that has taken its own grant off the bucket writes into it no more.
            let owner = standing.principal.is_account && *caller.user_id == *bucket.owner;
            renounced = owner && asked.action == "s3:PutObject" && !by_acl;
        }
        let itself = said == Verdict::Allows && in_session;
        let allowed = match (at_home, &standing.identity) {
            (_, IdentityPolicies::Nobody) => said == Verdict::Allows || by_acl,
            (true, _) => (identity_allows && !renounced) || itself,
            (false, _) => identity_allows && (matches!(said, Verdict::Allows | Verdict::AllowsAccount) || by_acl),
        };
        Ok(if allowed { Decision::Allowed } else { Decision::NotGranted })
    }

    /// Whether a refused read is of an object that is not there, by a caller who may know that.
    fn would_miss(&self, request: &S3Request, asked: Asked<'_>) -> Result<bool, S3Error> {
        let (Some(bucket), Some(key)) = (asked.bucket, asked.key) else { return Ok(false) };
        if !matches!(asked.action, "s3:GetObject" | "s3:GetObjectAcl") || asked.version.is_some() {
            return Ok(false);
        }
        let there = self.engine.current(bucket.id, key)?.is_some_and(|row| !row.delete_marker);
        Ok(!there && self.may_list(request, bucket, key, false)?)
    }

    /// What blocks public access to a bucket; all of it on a new one.
    ///
    /// # Errors
    /// The engine's.
    pub fn public_access_block(&self, bucket: &BucketRow) -> Result<PublicAccessBlock, S3Error> {
        Ok(match self.bucket_config::<StoredBlock>(bucket.id)?.as_deref() {
            None => PublicAccessBlock::ALL,
            Some(StoredBlock(None)) => PublicAccessBlock::NONE,
            Some(StoredBlock(Some(block))) => *block,
        })
    }

    /// Who owns what is written into a bucket; its owner, in a new one.
    ///
    /// # Errors
    /// The engine's.
    pub fn ownership(&self, bucket: &BucketRow) -> Result<Ownership, S3Error> {
        Ok(match self.bucket_config::<StoredOwnership>(bucket.id)?.as_deref() {
            None => Ownership::BucketOwnerEnforced,
            Some(StoredOwnership(None)) => Ownership::ObjectWriter,
            Some(StoredOwnership(Some(ownership))) => *ownership,
        })
    }

    /// The account that answers show as owner of everything in a bucket; `None` where each object has
    /// an owner of its own.
    ///
    /// # Errors
    /// The engine's.
    pub fn sole_owner<'b>(&self, bucket: &'b BucketRow) -> Result<Option<&'b str>, S3Error> {
        let enforced = self.ownership(bucket)? == Ownership::BucketOwnerEnforced;
        Ok(enforced.then_some(bucket.owner.as_str()))
    }

    /// The ACL of a bucket.
    ///
    /// # Errors
    /// The engine's.
    pub fn bucket_acl(&self, bucket: &BucketRow) -> Result<Acl, S3Error> {
        let stored = self.bucket_config::<Acl>(bucket.id)?;
        Ok(stored.map_or_else(|| Acl::private(&bucket.owner), |acl| (*acl).clone()))
    }

    /// Whether the ACL of a bucket grants anything to everybody, where ACLs are on and public ones are not ignored.
    ///
    /// # Errors
    /// The engine's.
    pub fn is_public_by_acl(&self, bucket: &BucketRow) -> Result<bool, S3Error> {
        let counts = self.ownership(bucket)? != Ownership::BucketOwnerEnforced
            && !self.public_access_block(bucket)?.ignore_public_acls;
        Ok(counts && self.bucket_acl(bucket)?.is_public())
    }

    fn acl_allows(
        &self,
        request: &S3Request,
        bucket: &BucketRow,
        row: Option<&VersionRow>,
        action: &str,
        ignore_public: bool,
    ) -> Result<bool, S3Error> {
        let caller = &request.caller;
        let anonymous = caller.standing.principal.is_anonymous();
        let allows = |acl: &Acl, permission| acl.allows(&caller.user_id, anonymous, permission, ignore_public);
        let on_bucket = |permission| Ok(allows(&self.bucket_acl(bucket)?, permission));
        let on_object = |permission| match row {
            None => Ok(false),
            Some(row) => Ok(allows(&object_acl(row)?, permission)),
        };
        match action {
            "s3:ListBucket" | "s3:ListBucketVersions" | "s3:ListBucketMultipartUploads" => on_bucket(Permission::Read),
            "s3:PutObject" => on_bucket(Permission::Write),
            // What a writer wrote, it may remove.
            "s3:DeleteObject" | "s3:AbortMultipartUpload" | "s3:ListMultipartUploadParts" if !anonymous => {
                let own = row.is_none_or(|row| *row.owner == *caller.user_id);
                Ok(own && on_bucket(Permission::Write)?)
            }
            "s3:GetBucketAcl" => on_bucket(Permission::ReadAcp),
            "s3:PutBucketAcl" => on_bucket(Permission::WriteAcp),
            "s3:GetObject" | "s3:GetObjectVersion" => on_object(Permission::Read),
            "s3:GetObjectAcl" | "s3:GetObjectVersionAcl" => on_object(Permission::ReadAcp),
            // To bring an ACL or tags with a new object is part of writing it.
            "s3:PutObjectAcl" | "s3:PutObjectTagging" if is_a_write(request.operation) => on_bucket(Permission::Write),
            "s3:PutObjectAcl" | "s3:PutObjectVersionAcl" => on_object(Permission::WriteAcp),
            _ => Ok(false),
        }
    }
}

/// The ACL of an object.
///
/// # Errors
/// Stored bytes that are none.
pub(crate) fn object_acl(row: &VersionRow) -> Result<Acl, S3Error> {
    Ok(Acl::from_stored(&row.acl)?.unwrap_or_else(|| Acl::private(&row.owner)))
}

/// Actions on an object itself, over which its owner decides and not the bucket's.
fn is_objects_own(action: &str) -> bool {
    matches!(
        action,
        "s3:GetObject"
            | "s3:GetObjectVersion"
            | "s3:GetObjectAcl"
            | "s3:GetObjectVersionAcl"
            | "s3:PutObjectAcl"
            | "s3:PutObjectVersionAcl"
    )
}

/// Whether the ACL that a write brings gives nobody but the bucket's owner anything. Whoever may write
/// may do that: AWS's own examples of policies demand such a grant and allow `s3:PutObject` alone.
fn shares_with_owner_alone(request: &S3Request, bucket: Option<&BucketRow>) -> bool {
    let Some(bucket) = bucket.filter(|_| is_a_write(request.operation)) else { return false };
    let canned = request
        .headers
        .get("x-amz-acl")
        .is_none_or(|acl| matches!(acl.as_bytes(), b"private" | b"bucket-owner-read" | b"bucket-owner-full-control"));
    let grants = request.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-grant-"));
    let to_owner = |text: &str| text.strip_prefix("id=").is_some_and(|id| id.trim_matches('"') == bucket.owner);
    canned && grants.into_iter().all(|(_, value)| value.to_str().is_ok_and(to_owner))
}

/// Operations that make a new object, whatever was there before.
fn is_a_write(operation: Operation) -> bool {
    use Operation as O;
    matches!(operation, O::PutObject | O::PostObject | O::CopyObject | O::CreateMultipartUpload)
}

/// The object that a question is about, read at most once and only if somebody asks.
struct ObjectOf<'a> {
    app: &'a App,
    asked: Asked<'a>,
    row: OnceCell<Option<VersionRow>>,
    unreadable: Cell<Option<S3Error>>,
}

impl<'a> ObjectOf<'a> {
    fn new(app: &'a App, asked: Asked<'a>) -> Self {
        Self { app, asked, row: OnceCell::new(), unreadable: Cell::new(None) }
    }

    fn row(&self) -> Result<Option<&VersionRow>, S3Error> {
        if let Some(known) = self.row.get() {
            return Ok(known.as_ref());
        }
        let row = match (self.asked.bucket, self.asked.key) {
            (Some(bucket), Some(key)) if resource_kind(self.asked.action) == Some(On::Object) => {
                match self.asked.version.map(parse_version) {
                    None => self.app.engine.current(bucket.id, key)?,
                    Some(Ok(version)) => self.app.engine.version(bucket.id, key, version)?,
                    // Refused as an argument, by the handler.
                    Some(Err(_)) => None,
                }
            }
            _ => None,
        };
        let row = row.filter(|row| !row.delete_marker);
        Ok(self.row.get_or_init(|| row).as_ref())
    }

    /// The tags of the object. If they cannot be read nobody may decide as if there were none: see
    /// [`ObjectOf::known`].
    fn tags(&self) -> Vec<(String, String)> {
        self.read_tags().unwrap_or_else(|error| {
            self.unreadable.set(Some(error));
            Vec::new()
        })
    }

    fn read_tags(&self) -> Result<Vec<(String, String)>, S3Error> {
        let (Some(bucket), Some(key), Some(row)) = (self.asked.bucket, self.asked.key, self.row()?) else {
            return Ok(Vec::new());
        };
        let tags = TagSet::of_row(&self.app.operator_key, bucket.id, key, row)?;
        Ok(tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// A decision that rests on all that was asked of the object.
    fn known(&self, decision: Decision) -> Result<Decision, S3Error> {
        self.unreadable.take().map_or(Ok(decision), Err)
    }
}
