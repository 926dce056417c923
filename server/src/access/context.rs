//! The condition keys of a request, each made when a policy asks for it.

use chartrier_storage::namespace::rows::BucketRow;
use http::header;
use percent_encoding::percent_decode_str;

use super::standing::account_number;
use crate::app::App;
use crate::policy::Context;
use crate::s3::request::{AuthKind, Query, S3Request, Transport};
use crate::s3::table::Operation;

/// What conditions are held against.
pub struct RequestContext<'r> {
    /// The server.
    pub app: &'r App,
    /// The request.
    pub request: &'r S3Request,
    /// The bucket that is judged; that of the source for the source of a copy.
    pub bucket: Option<&'r BucketRow>,
    /// Tags that the request would give the object, when they are in its body.
    pub request_tags: Option<&'r [(String, String)]>,
    /// The key that a list is asked about in place of a prefix.
    pub sought: Option<&'r str>,
    /// Tags of the object that is judged; asked for only if a policy wants them.
    pub existing_tags: &'r dyn Fn() -> Vec<(String, String)>,
}

impl Context for RequestContext<'_> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        if let Some((name, tag)) = key.split_once('/') {
            let tags = match name {
                "s3:existingobjecttag" => (self.existing_tags)(),
                "s3:requestobjecttag" => self.requested_tags(),
                _ => {
                    let of_caller = key.strip_prefix("aws:")?;
                    return self.request.caller.standing.condition_value(of_caller).map(|value| vec![value]);
                }
            };
            return tags.into_iter().find(|(key, _)| key == tag).map(|(_, value)| vec![value]);
        }
        if key == "s3:requestobjecttagkeys" {
            let tags = self.requested_tags();
            return (!tags.is_empty()).then(|| tags.into_iter().map(|(key, _)| key).collect());
        }
        let value = match key.split_once(':')? {
            ("aws", name) => self.global(name),
            ("s3", name) => self.s3(name),
            ("sts", "authentication") => Some(self.request.caller.standing.session.is_some().to_string()),
            _ => None,
        };
        value.map(|value| vec![value])
    }
}

impl RequestContext<'_> {
    fn global(&self, name: &str) -> Option<String> {
        let now_us = self.app.now_us();
        match name {
            "currenttime" => chartrier_journal::format_time(now_us / 1_000_000 * 1_000_000),
            "epochtime" => Some((now_us / 1_000_000).to_string()),
            "sourceip" => Some(self.request.peer.to_canonical().to_string()),
            "securetransport" => Some((self.request.transport == Transport::Tls).to_string()),
            "useragent" => self.header(header::USER_AGENT.as_str()),
            "referer" => self.header(header::REFERER.as_str()),
            "requestedregion" => Some(self.app.config.region.clone()),
            "principalisawsservice" | "viaawsservice" => Some("false".to_owned()),
            "resourceaccount" => self.bucket.map(|bucket| account_number(&bucket.owner)),
            _ => self.request.caller.standing.condition_value(name),
        }
    }

    fn s3(&self, name: &str) -> Option<String> {
        let request = self.request;
        let signed = !request.caller.standing.principal.is_anonymous();
        match name {
            "authtype" => signed.then(|| {
                match request.caller.auth_kind {
                    AuthKind::SigV4Presigned => "REST-QUERY-STRING",
                    AuthKind::PostPolicy => "POST",
                    AuthKind::SigV4 | AuthKind::Anonymous | AuthKind::Internal => "REST-HEADER",
                }
                .to_owned()
            }),
            "signatureversion" => signed.then(|| "AWS4-HMAC-SHA256".to_owned()),
            "signatureage" => self.signature_age_ms(),
            "tlsversion" => request.tls_version.map(str::to_owned),
            "resourceaccount" => self.bucket.map(|bucket| account_number(&bucket.owner)),
            "prefix" if self.sought.is_some() => self.sought.map(str::to_owned),
            "prefix" | "delimiter" | "max-keys" => request.query.get(name).map(str::to_owned),
            "versionid" => request.query.get("versionId").map(str::to_owned),
            "if-match" | "if-none-match" => self.header(name),
            "object-lock-mode" | "object-lock-legal-hold" | "object-lock-retain-until-date" => {
                self.header(&format!("x-amz-{name}"))
            }
            "object-lock-remaining-retention-days" => self.remaining_retention_days(),
            "objectcreationoperation" => match request.operation {
                Operation::PutObject
                | Operation::PostObject
                | Operation::CopyObject
                | Operation::CompleteMultipartUpload => Some("true".to_owned()),
                Operation::CreateMultipartUpload | Operation::UploadPart | Operation::UploadPartCopy => {
                    Some("false".to_owned())
                }
                _ => None,
            },
            "x-amz-server-side-encryption-customer-algorithm" => request.sse_c.target.algorithm.clone(),
            "x-amz-copy-source" => self.header(name).map(|source| {
                let path = source.rsplit_once("?versionId=").map_or(source.as_str(), |(path, _)| path);
                let path = percent_decode_str(path).decode_utf8_lossy();
                path.strip_prefix('/').unwrap_or(&path).to_owned()
            }),
            other => other.starts_with("x-amz-").then(|| self.header(other)).flatten(),
        }
    }

    fn header(&self, name: &str) -> Option<String> {
        let value = self.request.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    fn requested_tags(&self) -> Vec<(String, String)> {
        if let Some(tags) = self.request_tags {
            return tags.to_vec();
        }
        let header = self.header("x-amz-tagging").unwrap_or_default();
        let tags = Query::parse(&header).unwrap_or_default();
        tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Milliseconds since the signature was made.
    fn signature_age_ms(&self) -> Option<String> {
        let date = match self.request.caller.auth_kind {
            AuthKind::SigV4Presigned => self.request.query.get("X-Amz-Date").map(str::to_owned),
            _ => self.header("x-amz-date"),
        }?;
        let signed_s = crate::auth::unix_seconds(&date)?;
        let now_ms = i64::try_from(self.app.now_us() / 1000).ok()?;
        Some((now_ms - signed_s * 1000).max(0).to_string())
    }

    fn remaining_retention_days(&self) -> Option<String> {
        let until = self.header("x-amz-object-lock-retain-until-date")?;
        let until_ms = crate::policy::date_ms(&until)?;
        let now_ms = i64::try_from(self.app.now_us() / 1000).ok()?;
        let days = (until_ms - now_ms).div_euclid(86_400_000);
        Some(days.to_string())
    }
}
