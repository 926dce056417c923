//! A request as an operation sees it: authenticated, decoded, free of secrets that are not its own.

mod body;
mod query;
mod sse_headers;

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;

pub use body::{BodyLimits, Decoding, RequestBody, XML_BODY_LEN_BYTES_MAX};
pub use query::Query;
pub use sse_headers::{SseHeaders, SseTrio, SuppliedKey, SuppliedMd5};

use crate::access::Standing;
use crate::access::standing::ANONYMOUS_ID;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::names::{BucketName, ObjectKey, RequestId};
use crate::s3::table::Operation;

/// An authenticated S3 request. Its body has not been polled.
pub struct S3Request {
    /// What the client asks for.
    pub operation: Operation,
    /// Who asks.
    pub caller: Caller,
    /// The bucket named, if one is.
    pub bucket: Option<BucketName>,
    /// The object named, if one is.
    pub key: Option<ObjectKey>,
    /// The decoded query.
    pub query: Query,
    /// The headers, without those of SSE-C and without `Authorization`.
    pub headers: HeaderMap,
    /// The SSE-C headers, key bytes in locked slots.
    pub sse_c: SseHeaders,
    /// How the request travelled.
    pub transport: Transport,
    /// The version of TLS, `1.3` say; `None` in the clear.
    pub tls_version: Option<&'static str>,
    /// The cipher suite of TLS, as rustls names it.
    pub cipher_suite: Option<&'static str>,
    /// Where the connection comes from. No header can change it.
    pub peer: IpAddr,
    /// Names this request in its answer, the log and the journal.
    pub request_id: RequestId,
    /// The body: decoded and authenticated plaintext.
    pub body: RequestBody,
}

impl S3Request {
    /// The bucket that the path names; the router lets no bucket operation through without one.
    ///
    /// # Errors
    /// `InvalidBucketName` if there is none.
    pub fn bucket_name(&self) -> Result<&BucketName, S3Error> {
        self.bucket.as_ref().ok_or_else(|| S3Error::of(S3ErrorCode::InvalidBucketName))
    }

    /// The key that the path names; the router lets no object operation through without one.
    ///
    /// # Errors
    /// `InvalidURI` if there is none.
    pub fn object_key(&self) -> Result<&ObjectKey, S3Error> {
        self.key.as_ref().ok_or_else(|| S3Error::of(S3ErrorCode::InvalidUri))
    }

    /// A header as text, or `None` if it is absent.
    ///
    /// # Errors
    /// `InvalidArgument` if it is there and not visible ASCII.
    pub fn header(&self, name: &str) -> Result<Option<&str>, S3Error> {
        let Some(value) = self.headers.get(name) else { return Ok(None) };
        match value.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(S3Error::invalid_argument("A header value is not visible ASCII.", name, "")),
        }
    }
}

/// Who asks, once the signature holds. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Canonical id of the account, which owns what the caller creates: 64 hexadecimal digits.
    pub user_id: Arc<str>,
    /// The user's name.
    pub name: Arc<str>,
    /// As S3 answers show it.
    pub display_name: Arc<str>,
    /// Administers the tenant: at home in every bucket.
    pub root: bool,
    /// The key that signed.
    pub access_key_id: Arc<str>,
    /// How the request was signed.
    pub auth_kind: AuthKind,
    /// Whether it was signed for us-east-1, which AWS treats as it did before there were regions.
    pub for_us_east_1: bool,
    /// Who it is to policies, and what is attached to it.
    pub standing: Arc<Standing>,
    /// Where the request comes from; the edge fills it in.
    pub peer: Option<IpAddr>,
}

impl Caller {
    /// Nobody signed.
    pub fn anonymous() -> Self {
        Self {
            user_id: ANONYMOUS_ID.into(),
            name: "anonymous".into(),
            display_name: "".into(),
            root: false,
            access_key_id: "".into(),
            auth_kind: AuthKind::Anonymous,
            for_us_east_1: false,
            standing: Arc::new(Standing::anonymous()),
            peer: None,
        }
    }

    /// What limits by access key count: of a session, what it was asked for with. A session more is no
    /// room more.
    pub fn rate_key(&self) -> Arc<str> {
        let session = self.standing.session.as_ref();
        session.map_or_else(|| Arc::clone(&self.access_key_id), |session| Arc::clone(&session.rate_key))
    }

    /// Whether nobody signed.
    pub fn is_anonymous(&self) -> bool {
        self.auth_kind == AuthKind::Anonymous
    }
}

impl Caller {
    /// Nobody yet: of a form, whose claim is in its body. No bucket is nobody's.
    pub fn of_unread_form() -> Self {
        let none: Arc<str> = "".into();
        Self {
            user_id: Arc::clone(&none),
            name: Arc::clone(&none),
            display_name: Arc::clone(&none),
            root: false,
            access_key_id: none,
            auth_kind: AuthKind::PostPolicy,
            for_us_east_1: false,
            standing: Arc::new(Standing::anonymous()),
            peer: None,
        }
    }
}

/// How a request proved who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    /// `Authorization` header.
    SigV4,
    /// Query parameters.
    SigV4Presigned,
    /// The signed policy of a form.
    PostPolicy,
    /// Not at all.
    Anonymous,
    /// It is the server itself; no request is.
    Internal,
}

impl AuthKind {
    /// As journal leaves name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SigV4 => "sigv4",
            Self::SigV4Presigned => "sigv4-presigned",
            Self::PostPolicy => "post-policy",
            Self::Anonymous => "anonymous",
            Self::Internal => "internal",
        }
    }
}

/// How a request travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In the clear.
    Plain,
    /// Inside TLS.
    Tls,
}
