//! From a request target to what it names: bucket, key and decoded query.

use std::borrow::Cow;

use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;

use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::names::{BucketName, ObjectKey};
use crate::s3::request::Query;
use crate::s3::table::Scope;

/// What a request target names.
#[derive(Debug)]
pub struct Target {
    /// The bucket, from the host or the first segment of the path.
    pub bucket: Option<BucketName>,
    /// The rest of the path, decoded once and not normalised.
    pub key: Option<ObjectKey>,
    /// The decoded query.
    pub query: Query,
}

impl Target {
    /// Reads a target. `host` is the Host header; `domains` are those whose subdomains name buckets.
    ///
    /// # Errors
    /// `InvalidURI` for bytes that are not UTF-8 once decoded; what the names' rules say.
    pub fn parse(target: &PathAndQuery, host: Option<&str>, domains: &[String]) -> Result<Self, S3Error> {
        let path = target.path().strip_prefix('/').unwrap_or(target.path());
        let query = Query::parse(target.query().unwrap_or(""))?;
        let (bucket, key) = match host.and_then(|host| virtual_host_bucket(host, domains)) {
            Some(bucket) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let bucket = decode(bucket)?;
        let bucket = if bucket.is_empty() { None } else { Some(BucketName::parse(&bucket)?) };
        let key = decode(key)?;
        let key = match (&bucket, key.is_empty()) {
            (_, true) => None,
            (Some(_), false) => Some(ObjectKey::parse(key)?),
            (None, false) => return Err(S3Error::of(S3ErrorCode::InvalidBucketName)),
        };
        Ok(Self { bucket, key, query })
    }

    /// Service, bucket or object.
    pub fn scope(&self) -> Scope {
        match (&self.bucket, &self.key) {
            (None, _) => Scope::Service,
            (Some(_), None) => Scope::Bucket,
            (Some(_), Some(_)) => Scope::Object,
        }
    }
}

/// Whether a host names a bucket, so that the service itself is not meant.
pub fn names_a_bucket(host: &str, domains: &[String]) -> bool {
    virtual_host_bucket(host, domains).is_some()
}

/// The bucket in a host such as `bucket.localhost:9000`, if `localhost` is one of our domains.
///
/// Domains may lie within one another: the longest that fits counts, and a host that is a domain itself
/// names no bucket. A dot at the end, as in DNS, changes nothing.
fn virtual_host_bucket<'h>(host: &'h str, domains: &[String]) -> Option<&'h str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let longest = domains.iter().filter(|domain| is_within(name, domain)).max_by_key(|domain| domain.len())?;
    let bucket = name.get(..name.len().checked_sub(longest.len() + 1)?)?;
    (!bucket.is_empty()).then_some(bucket)
}

/// Whether a host is a domain or a name below it.
fn is_within(name: &str, domain: &str) -> bool {
    let Some(at) = name.len().checked_sub(domain.len()) else { return false };
    let Some((before, rest)) = name.split_at_checked(at) else { return false };
    rest.eq_ignore_ascii_case(domain) && (before.is_empty() || before.ends_with('.'))
}

fn decode(text: &str) -> Result<Cow<'_, str>, S3Error> {
    percent_decode_str(text).decode_utf8().map_err(|_| S3Error::of(S3ErrorCode::InvalidUri))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str, host: Option<&str>) -> Result<(Option<String>, Option<String>), S3ErrorCode> {
        let domains = ["localhost".to_owned()];
        Target::parse(&path.parse().unwrap(), host, &domains)
            .map(|t| (t.bucket.map(|b| b.to_string()), t.key.map(|k| k.to_string())))
            .map_err(|error| error.code)
    }

    #[test]
    fn a4_3_the_path_is_decoded_once_and_never_normalised() {
        let key = |path: &str| target(path, None).unwrap().1.unwrap();
        assert_eq!(key("/bucket/a//b"), "a//b");
        assert_eq!(key("/bucket//a"), "/a");
        assert_eq!(key("/bucket/a/../b"), "a/../b");
        assert_eq!(key("/bucket/./a/."), "./a/.");
        assert_eq!(key("/bucket/a+b"), "a+b");
        assert_eq!(key("/bucket/a%2Fb"), "a/b");
        assert_eq!(key("/bucket/a%252Fb"), "a%2Fb");
        assert_eq!(key("/bucket/caf%C3%A9"), "café");
        assert_eq!(key("/bucket/100%"), "100%");
    }

    #[test]
    fn service_bucket_and_object_are_told_apart() {
        assert_eq!(target("/", None), Ok((None, None)));
        assert_eq!(target("/bucket", None), Ok((Some("bucket".into()), None)));
        assert_eq!(target("/bucket/", None), Ok((Some("bucket".into()), None)));
        assert_eq!(target("/bucket/k", None), Ok((Some("bucket".into()), Some("k".into()))));
    }

    #[test]
    fn a_subdomain_names_a_bucket() {
        assert_eq!(target("/k", Some("my.bucket.localhost:9000")), Ok((Some("my.bucket".into()), Some("k".into()))));
        assert_eq!(target("/bucket/k", Some("localhost:9000")), Ok((Some("bucket".into()), Some("k".into()))));
        assert_eq!(target("/bucket/k", Some("127.0.0.1:9000")), Ok((Some("bucket".into()), Some("k".into()))));
        assert_eq!(target("/bucket/k", Some("notlocalhost")), Ok((Some("bucket".into()), Some("k".into()))));
    }

    #[test]
    fn of_domains_within_one_another_the_longest_counts() {
        let domains = ["archives.example".to_owned(), "s3.archives.example".to_owned()];
        let bucket = |host: &str| virtual_host_bucket(host, &domains).map(str::to_owned);
        assert_eq!(bucket("b.s3.archives.example").as_deref(), Some("b"));
        assert_eq!(bucket("my.dotted.bucket.S3.Archives.Example:443").as_deref(), Some("my.dotted.bucket"));
        assert_eq!(bucket("b.archives.example").as_deref(), Some("b"));
        assert_eq!(bucket("b.s3.archives.example.").as_deref(), Some("b"));
        for host in
            ["s3.archives.example", "archives.example:9000", "xarchives.example", ".archives.example", "[::1]:9000", ""]
        {
            assert_eq!(bucket(host), None, "{host}");
        }
    }

    #[test]
    fn bad_targets_are_errors_of_the_client() {
        assert_eq!(target("/bucket/%FF", None), Err(S3ErrorCode::InvalidUri));
        assert_eq!(target("/bucket/a%00b", None), Err(S3ErrorCode::InvalidArgument));
        assert_eq!(target("/UPPER/k", None), Err(S3ErrorCode::InvalidBucketName));
        assert_eq!(target("//k", None), Err(S3ErrorCode::InvalidBucketName));
        assert_eq!(target(&format!("/bucket/{}", "k".repeat(1025)), None), Err(S3ErrorCode::KeyTooLongError));
        assert!(target(&format!("/bucket/{}", "k".repeat(1024)), None).is_ok());
    }
}
