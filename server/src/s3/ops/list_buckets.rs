//! `GET /`: ListBuckets.
//!
//! A user sees the buckets it owns; root, the tenant's administrator, sees all of them.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html>.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartrier_storage::namespace::query::{BucketPage, BucketQuery};
use http::StatusCode;

use super::listing::iso_time;
use crate::app::App;
use crate::s3::error::S3Error;
use crate::s3::names::BucketName;
use crate::s3::request::{Query, S3Request};
use crate::s3::response::{S3Response, xml};
use crate::s3::xml::XmlWriter;

/// The most buckets of one page, and the page when the client names no size.
const BUCKETS_MAX: usize = 10_000;

/// Answers one page of buckets, by name.
///
/// # Errors
/// `InvalidArgument` for a bad parameter; the engine's.
pub async fn handle(app: &Arc<App>, request: S3Request) -> Result<S3Response, S3Error> {
    let page = PageParams::parse(&request.query)?;
    let caller = &request.caller;
    let owner = (!caller.root).then(|| caller.user_id.to_string());
    let BucketPage { buckets, more } = app.engine.list_buckets(&page.query(owner))?;

    let mut doc = XmlWriter::new();
    doc.open_root("ListAllMyBucketsResult");
    doc.open("Owner");
    doc.element("ID", &caller.user_id);
    doc.element("DisplayName", &caller.display_name);
    doc.close("Owner");
    doc.open("Buckets");
    for bucket in &buckets {
        doc.open("Bucket");
        doc.element("Name", &bucket.name);
        doc.element("CreationDate", &iso_time(bucket.created_us));
        // AWS adds the region only to answers that are paged or filtered.
        if page.asked {
            doc.element("BucketRegion", &bucket.region);
        }
        doc.close("Bucket");
    }
    doc.close("Buckets");
    if let (true, Some(last)) = (more, buckets.last()) {
        doc.element("ContinuationToken", &encode_token(&last.name));
    }
    doc.element_if("Prefix", page.prefix);
    doc.close("ListAllMyBucketsResult");
    Ok(xml(StatusCode::OK, doc.finish()))
}

pub(super) struct PageParams<'q> {
    size: usize,
    after: Option<BucketName>,
    prefix: Option<&'q str>,
    region: Option<&'q str>,
    /// Whether the client gave any parameter.
    asked: bool,
}

impl<'q> PageParams<'q> {
    pub(super) fn parse(query: &'q Query) -> Result<Self, S3Error> {
        let size = match query.get("max-buckets") {
            None => BUCKETS_MAX,
            Some(text) => match text.parse() {
                Ok(size @ 1..=BUCKETS_MAX) => size,
                _ => {
                    return Err(S3Error::invalid_argument(
                        "Argument max-buckets must be an integer between 1 and 10000",
                        "max-buckets",
                        text,
                    ));
                }
            },
        };
        let after = query.get("continuation-token").map(decode_token).transpose()?;
        let prefix = query.non_empty("prefix");
        let region = query.non_empty("bucket-region");
        let asked = query.contains("max-buckets") || after.is_some() || prefix.is_some() || region.is_some();
        Ok(Self { size, after, prefix, region, asked })
    }

    /// What to ask for: the buckets of one account, or of all.
    pub(super) fn query(&self, owner: Option<String>) -> BucketQuery {
        BucketQuery {
            owner,
            prefix: self.prefix.unwrap_or_default().to_owned(),
            region: self.region.map(str::to_owned),
            after: self.after.as_ref().map(|after| after.as_str().to_owned()),
            limit: self.size,
        }
    }
}

pub(super) fn encode_token(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

/// A token is the last name shown; only a bucket's name decodes.
pub(super) fn decode_token(token: &str) -> Result<BucketName, S3Error> {
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    BucketName::parse(&String::from_utf8_lossy(&bytes)).map_err(|_| {
        S3Error::invalid_argument("The continuation token provided is incorrect", "continuation-token", "")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_sizes_are_1_to_10_000() {
        let size = |query: &str| PageParams::parse(&Query::parse(query).unwrap()).map(|page| page.size);
        assert_eq!(size("").unwrap(), BUCKETS_MAX);
        assert_eq!(size("max-buckets=1").unwrap(), 1);
        for bad in ["max-buckets=0", "max-buckets=10001", "max-buckets=-1", "max-buckets=x", "max-buckets="] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tokens_are_names_and_nothing_else() {
        assert_eq!(decode_token(&encode_token("my.bucket")).unwrap().as_str(), "my.bucket");
        for bad in ["", "A", "____", "not base64!", &encode_token("UPPER")] {
            assert!(decode_token(bad).is_err(), "{bad}");
        }
    }
}
