//! Access control lists: grants, canned ACLs, and the headers and XML that carry them.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html>

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::documents::{decode, encode};
use crate::identity::Identities;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::xml::{Element, XmlWriter};

/// Most grants of one ACL.
pub const GRANTS_MAX: usize = 100;

/// Everybody.
pub const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
/// Everybody who signs.
pub const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
/// Who delivers access logs.
pub const LOG_DELIVERY: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";

/// The grants on a bucket or an object. Who owns it is said elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acl {
    /// In the order of the client.
    pub grants: Vec<Grant>,
}

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// To whom.
    pub grantee: Grantee,
    /// What.
    pub permission: Permission,
}

/// To whom a grant is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grantee {
    /// An account, by canonical id.
    CanonicalUser(String),
    /// Everybody.
    AllUsers,
    /// Everybody who signs.
    AuthenticatedUsers,
    /// Who delivers access logs.
    LogDelivery,
}

/// What a grant gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Permission {
    /// Everything below.
    FullControl,
    /// List the bucket, read the object.
    Read,
    /// Write objects into the bucket.
    Write,
    /// Read the ACL.
    ReadAcp,
    /// Write the ACL.
    WriteAcp,
}

/// What an ACL is on: canned names mean different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclOn<'o> {
    /// A bucket, by its owner.
    Bucket {
        /// Canonical id.
        owner: &'o str,
    },
    /// An object, by its owner and that of its bucket.
    Object {
        /// Canonical id.
        owner: &'o str,
        /// Canonical id.
        bucket_owner: &'o str,
    },
}

impl AclOn<'_> {
    /// Canonical id of the owner.
    pub fn owner(&self) -> &str {
        match self {
            Self::Bucket { owner } | Self::Object { owner, .. } => owner,
        }
    }
}

impl Permission {
    const ALL: [(&'static str, &'static str, Self); 5] = [
        ("READ", "x-amz-grant-read", Self::Read),
        ("WRITE", "x-amz-grant-write", Self::Write),
        ("READ_ACP", "x-amz-grant-read-acp", Self::ReadAcp),
        ("WRITE_ACP", "x-amz-grant-write-acp", Self::WriteAcp),
        ("FULL_CONTROL", "x-amz-grant-full-control", Self::FullControl),
    ];

    /// S3's word.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, _, permission)| *permission == self).map_or("", |(name, _, _)| name)
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _, _)| *name == text).map(|(_, _, permission)| *permission)
    }
}

impl Grantee {
    fn of_uri(uri: &str) -> Result<Self, S3Error> {
        match uri {
            ALL_USERS => Ok(Self::AllUsers),
            AUTHENTICATED_USERS => Ok(Self::AuthenticatedUsers),
            LOG_DELIVERY => Ok(Self::LogDelivery),
            _ => Err(S3Error::invalid_argument("Invalid group uri", "uri", uri)),
        }
    }

    fn of_id(id: &str, known: &Identities) -> Result<Self, S3Error> {
        match known.display_name(id) {
            Some(_) => Ok(Self::CanonicalUser(id.to_owned())),
            None => Err(S3Error::invalid_argument("Invalid id", "CanonicalUser/ID", id)),
        }
    }

    fn of_email(email: &str, known: &Identities) -> Result<Self, S3Error> {
        let mut ids = known.accounts_of_email(email).into_iter();
        match (ids.next(), ids.next()) {
            (Some(id), None) => Ok(Self::CanonicalUser(id)),
            (None, _) => Err(S3Error::of(S3ErrorCode::UnresolvableGrantByEmailAddress)),
            (Some(_), Some(_)) => Err(S3Error::of(S3ErrorCode::AmbiguousGrantByEmailAddress)),
        }
    }

    fn includes(&self, account: &str, anonymous: bool) -> bool {
        match self {
            Self::CanonicalUser(id) => !anonymous && id == account,
            Self::AllUsers => true,
            Self::AuthenticatedUsers => !anonymous,
            Self::LogDelivery => false,
        }
    }

    fn is_public(&self) -> bool {
        matches!(self, Self::AllUsers | Self::AuthenticatedUsers)
    }
}

impl Acl {
    /// Full control to the owner and nothing else.
    pub fn private(owner: &str) -> Self {
        Self { grants: vec![grant(Grantee::CanonicalUser(owner.to_owned()), Permission::FullControl)] }
    }

    /// Reads what was stored with an object; nothing is `None`.
    ///
    /// # Errors
    /// An internal error for bytes that were not stored by this program.
    pub fn from_stored(bytes: &[u8]) -> Result<Option<Self>, S3Error> {
        if bytes.is_empty() { Ok(None) } else { decode(bytes).map(Some) }
    }

    /// What to store.
    pub fn to_stored(&self) -> Vec<u8> {
        encode(self)
    }

    /// Whether it grants `permission` to an account. With `ignore_public`, grants to groups of
    /// everybody do not count.
    pub fn allows(&self, account: &str, anonymous: bool, permission: Permission, ignore_public: bool) -> bool {
        self.grants.iter().any(|grant| {
            (grant.permission == permission || grant.permission == Permission::FullControl)
                && grant.grantee.includes(account, anonymous)
                && !(ignore_public && grant.grantee.is_public())
        })
    }

    /// Whether it grants anything to everybody.
    pub fn is_public(&self) -> bool {
        self.grants.iter().any(|grant| grant.grantee.is_public())
    }

    /// Whether it grants full control to an account, and nothing to anybody else.
    pub fn is_full_control_of(&self, account: &str) -> bool {
        let full = |grant: &Grant| {
            grant.permission == Permission::FullControl && grant.grantee == Grantee::CanonicalUser(account.to_owned())
        };
        !self.grants.is_empty() && self.grants.iter().all(full)
    }

    /// Whether it grants anything to anybody but `owner`.
    pub fn shares(&self, owner: &str) -> bool {
        self.grants.iter().any(|grant| grant.grantee != Grantee::CanonicalUser(owner.to_owned()))
    }

    /// The ACL that the headers of a write ask for; `None` if they ask for none.
    ///
    /// # Errors
    /// `InvalidRequest` for both kinds of header, `InvalidArgument` for names that do not exist, and what
    /// e-mail addresses that name nobody answer.
    pub fn from_headers(headers: &HeaderMap, on: AclOn<'_>, known: &Identities) -> Result<Option<Self>, S3Error> {
        let mut grants = Vec::new();
        for (_, header, permission) in Permission::ALL {
            for value in headers.get_all(header) {
                let text = value.to_str().map_err(|_| S3Error::invalid_argument("Not visible ASCII.", header, ""))?;
                for grantee in header_grantees(text, header, known)? {
                    grants.push(grant(grantee, permission));
                }
            }
        }
        let canned = headers.get("x-amz-acl").map(|value| value.to_str().unwrap_or_default());
        match (canned, grants.is_empty()) {
            (None, true) => Ok(None),
            (Some(name), true) => Self::canned(name, on).map(Some),
            (Some(_), false) => Err(S3Error::new(
                S3ErrorCode::InvalidRequest,
                "Specifying both Canned ACLs and Header Grants is not allowed",
            )),
            (None, false) if grants.len() > GRANTS_MAX => Err(S3Error::of(S3ErrorCode::MalformedAclError)),
            (None, false) => Ok(Some(Self { grants })),
        }
    }

    fn canned(name: &str, on: AclOn<'_>) -> Result<Self, S3Error> {
        let mut acl = Self::private(on.owner());
        let further: &[(Grantee, Permission)] = match (name, on) {
            // The last is read by machine images of a service that does not exist here.
            ("private" | "aws-exec-read", _) => &[],
            ("public-read", _) => &[(Grantee::AllUsers, Permission::Read)],
            ("public-read-write", _) => {
                &[(Grantee::AllUsers, Permission::Read), (Grantee::AllUsers, Permission::Write)]
            }
            ("authenticated-read", _) => &[(Grantee::AuthenticatedUsers, Permission::Read)],
            ("log-delivery-write", AclOn::Bucket { .. }) => {
                &[(Grantee::LogDelivery, Permission::Write), (Grantee::LogDelivery, Permission::ReadAcp)]
            }
            ("bucket-owner-read" | "bucket-owner-full-control", AclOn::Bucket { .. }) => &[],
            ("bucket-owner-read" | "bucket-owner-full-control", AclOn::Object { owner, bucket_owner }) => {
                if owner != bucket_owner {
                    let full = name == "bucket-owner-full-control";
                    let permission = if full { Permission::FullControl } else { Permission::Read };
                    acl.grants.push(grant(Grantee::CanonicalUser(bucket_owner.to_owned()), permission));
                }
                &[]
            }
            _ => return Err(S3Error::invalid_argument("", "x-amz-acl", name)),
        };
        acl.grants.extend(further.iter().map(|(grantee, permission)| grant(grantee.clone(), *permission)));
        Ok(acl)
    }

    /// Reads an `AccessControlPolicy` for something of `owner`.
    ///
    /// # Errors
    /// `MalformedACLError`; `AccessDenied` if it names another owner; as [`Acl::from_headers`].
    pub fn from_xml(document: &[u8], owner: &str, known: &Identities) -> Result<Self, S3Error> {
        let malformed = || S3Error::of(S3ErrorCode::MalformedAclError);
        let root = Element::parse(document, "AccessControlPolicy").map_err(|_| malformed())?;
        let named = root.child("Owner").and_then(|owner| owner.child_text("ID")).ok_or_else(malformed)?;
        if named != owner {
            return Err(S3Error::of(S3ErrorCode::AccessDenied));
        }
        let list = root.child("AccessControlList").ok_or_else(malformed)?;
        let mut grants = Vec::new();
        for element in list.children("Grant") {
            let permission = element.child_text("Permission").and_then(Permission::parse).ok_or_else(malformed)?;
            let grantee = element.child("Grantee").ok_or_else(malformed)?;
            let grantee =
                match (grantee.child_text("ID"), grantee.child_text("URI"), grantee.child_text("EmailAddress")) {
                    (Some(id), None, None) => Grantee::of_id(id, known)?,
                    (None, Some(uri), None) => Grantee::of_uri(uri)?,
                    (None, None, Some(email)) => Grantee::of_email(email, known)?,
                    _ => return Err(malformed()),
                };
            grants.push(grant(grantee, permission));
        }
        if grants.len() > GRANTS_MAX || list.children.len() != grants.len() {
            return Err(malformed());
        }
        Ok(Self { grants })
    }

    /// Writes an `AccessControlPolicy`.
    pub fn to_xml(&self, owner: &str, known: &Identities) -> bytes::Bytes {
        let mut doc = XmlWriter::new();
        doc.open_root("AccessControlPolicy");
        doc.open("Owner");
        doc.element("ID", owner);
        doc.element("DisplayName", &known.display_name(owner).unwrap_or_default());
        doc.close("Owner");
        doc.open("AccessControlList");
        // Groups first, then accounts, each in the order of the client: suites that judge servers
        // take the order of RADOS Gateway for granted, and AWS promises none.
        let is_account = |grant: &&Grant| matches!(grant.grantee, Grantee::CanonicalUser(_));
        let groups = self.grants.iter().filter(|grant| !is_account(grant));
        for grant in groups.chain(self.grants.iter().filter(is_account)) {
            doc.open("Grant");
            let kind = if is_account(&grant) { "CanonicalUser" } else { "Group" };
            doc.open_with(
                "Grantee",
                &format!("xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"{kind}\""),
            );
            match &grant.grantee {
                Grantee::CanonicalUser(id) => {
                    doc.element("ID", id);
                    doc.element("DisplayName", &known.display_name(id).unwrap_or_default());
                }
                Grantee::AllUsers => doc.element("URI", ALL_USERS),
                Grantee::AuthenticatedUsers => doc.element("URI", AUTHENTICATED_USERS),
                Grantee::LogDelivery => doc.element("URI", LOG_DELIVERY),
            }
            doc.close("Grantee");
            doc.element("Permission", grant.permission.name());
            doc.close("Grant");
        }
        doc.close("AccessControlList");
        doc.close("AccessControlPolicy");
        doc.finish()
    }
}

fn grant(grantee: Grantee, permission: Permission) -> Grant {
    Grant { grantee, permission }
}

/// `id="…", uri="…", emailAddress="…"`.
fn header_grantees(text: &str, header: &str, known: &Identities) -> Result<Vec<Grantee>, S3Error> {
    let invalid = || S3Error::invalid_argument("Argument format not recognized", header, text);
    let one = |part: &str| {
        let (kind, value) = part.trim().split_once('=').ok_or_else(invalid)?;
        let value = value.trim();
        let value = value.strip_prefix('"').map_or(Some(value), |value| value.strip_suffix('"')).ok_or_else(invalid)?;
        match kind.trim() {
            "id" => Grantee::of_id(value, known),
            "uri" => Grantee::of_uri(value),
            "emailAddress" | "emailaddress" => Grantee::of_email(value, known),
            _ => Err(invalid()),
        }
    };
    text.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: &str = "o";
    const OTHER: &str = "p";

    #[test]
    fn canned_acls() {
        let object = AclOn::Object { owner: OWNER, bucket_owner: OTHER };
        let allows = |name: &str, on, who: &str, anonymous, permission| {
            Acl::canned(name, on).unwrap().allows(who, anonymous, permission, false)
        };
        for name in ["private", "public-read", "public-read-write", "authenticated-read", "bucket-owner-read"] {
            assert!(allows(name, object, OWNER, false, Permission::WriteAcp), "{name}");
            assert!(!allows(name, object, "x", false, Permission::WriteAcp), "{name}");
        }
        assert!(allows("public-read", object, "", true, Permission::Read));
        assert!(!allows("public-read", object, "", true, Permission::Write));
        assert!(allows("public-read-write", object, "", true, Permission::Write));
        assert!(allows("authenticated-read", object, "x", false, Permission::Read));
        assert!(!allows("authenticated-read", object, "", true, Permission::Read));
        assert!(allows("bucket-owner-read", object, OTHER, false, Permission::Read));
        assert!(!allows("bucket-owner-read", object, OTHER, false, Permission::ReadAcp));
        assert!(allows("bucket-owner-full-control", object, OTHER, false, Permission::WriteAcp));
        assert!(!Acl::canned("bucket-owner-read", AclOn::Bucket { owner: OWNER }).unwrap().shares(OWNER));
        assert!(Acl::canned("log-delivery-write", object).is_err());
        assert!(Acl::canned("nonsense", object).is_err());
    }

    #[test]
    fn public_grants_can_be_ignored() {
        let acl = Acl::canned("public-read", AclOn::Bucket { owner: OWNER }).unwrap();
        assert!(acl.is_public() && acl.shares(OWNER) && !acl.is_full_control_of(OWNER));
        assert!(!acl.allows("", true, Permission::Read, true));
        assert!(acl.allows(OWNER, false, Permission::Read, true));
        assert!(Acl::private(OWNER).is_full_control_of(OWNER));
        assert_eq!(Acl::from_stored(&acl.to_stored()).unwrap(), Some(acl));
        assert_eq!(Acl::from_stored(b"").unwrap(), None);
    }

    #[test]
    fn xml_comes_back() {
        let known = Identities::of_one("AK", "secret");
        let owner = "0".repeat(64);
        let acl = Acl::canned("public-read-write", AclOn::Bucket { owner: &owner }).unwrap();
        let mut back = Acl::from_xml(&acl.to_xml(&owner, &known), &owner, &known).unwrap();
        // The owner was first; accounts come after groups.
        back.grants.rotate_right(1);
        assert_eq!(back, acl);
        let code = |xml: &str| Acl::from_xml(xml.as_bytes(), &owner, &known).unwrap_err().code;
        assert_eq!(code("<x/>"), S3ErrorCode::MalformedAclError);
        let of = |inner: &str| format!("<AccessControlPolicy>{inner}</AccessControlPolicy>");
        assert_eq!(code(&of("<AccessControlList/>")), S3ErrorCode::MalformedAclError);
        assert_eq!(code(&of("<Owner><ID>other</ID></Owner><AccessControlList/>")), S3ErrorCode::AccessDenied);
        let grant = |grantee: &str, permission: &str| {
            of(&format!(
                "<Owner><ID>{owner}</ID></Owner><AccessControlList><Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant></AccessControlList>"
            ))
        };
        assert_eq!(code(&grant("<ID>nobody</ID>", "READ")), S3ErrorCode::InvalidArgument);
        assert_eq!(code(&grant("<URI>http://x/</URI>", "READ")), S3ErrorCode::InvalidArgument);
        assert_eq!(
            code(&grant("<EmailAddress>a@b</EmailAddress>", "READ")),
            S3ErrorCode::UnresolvableGrantByEmailAddress
        );
        assert_eq!(code(&grant(&format!("<ID>{owner}</ID>"), "ALL")), S3ErrorCode::MalformedAclError);
    }

    #[test]
    fn headers() {
        let known = Identities::of_one("AK", "secret");
        let id = "0".repeat(64);
        let read = |pairs: &[(&'static str, String)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            Acl::from_headers(&headers, AclOn::Bucket { owner: OWNER }, &known).map_err(|error| error.code)
        };
        assert_eq!(read(&[]), Ok(None));
        let list = format!("id=\"{id}\", uri=\"{ALL_USERS}\"");
        let acl = read(&[("x-amz-grant-read", list)]).unwrap().unwrap();
        assert_eq!(acl.grants.len(), 2);
        assert!(acl.allows("", true, Permission::Read, false));
        assert_eq!(read(&[("x-amz-grant-read", "id=x".into())]), Err(S3ErrorCode::InvalidArgument));
        assert_eq!(read(&[("x-amz-grant-read", "nothing".into())]), Err(S3ErrorCode::InvalidArgument));
        assert_eq!(
            read(&[("x-amz-grant-read", format!("id={id}")), ("x-amz-acl", "private".into())]),
            Err(S3ErrorCode::InvalidRequest)
        );
    }
}
