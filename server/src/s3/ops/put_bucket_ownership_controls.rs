//! `PUT /bucket?ownershipControls`: PutBucketOwnershipControls.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketOwnershipControls.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use super::body::read_checked;
use crate::access::documents::Ownership;
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::xml::Element;

/// The longest configuration: one rule.
const BODY_LEN_MAX: usize = 16 << 10;

/// Says who owns what others write, and with it whether ACLs count. In force when it answers.
///
/// # Errors
/// `MalformedXML`; `InvalidBucketAclWithObjectOwnership` if ACLs would be switched off while the bucket's
/// grants something to others.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let body = read_checked(&mut request, BODY_LEN_MAX).await?;
    let ownership = parse(&body)?;
    if ownership == Ownership::BucketOwnerEnforced && app.bucket_acl(&bucket)?.shares(&bucket.owner) {
        return Err(S3Error::of(S3ErrorCode::InvalidBucketAclWithObjectOwnership));
    }
    let stored = Some(ownership.to_stored());
    app.set_bucket_config(&request, bucket.id, BucketConfigKind::OwnershipControls, stored).await?;
    Ok(empty(StatusCode::OK))
}

pub(super) fn parse(body: &[u8]) -> Result<Ownership, S3Error> {
    let malformed = || S3Error::of(S3ErrorCode::MalformedXml);
    let root = Element::parse(body, "OwnershipControls")?;
    let [rule] = &root.children[..] else { return Err(malformed()) };
    if rule.name != "Rule" {
        return Err(malformed());
    }
    rule.child_text("ObjectOwnership").and_then(Ownership::parse).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rule_with_one_of_three_words() {
        let of = |inner: &str| {
            parse(format!("<OwnershipControls>{inner}</OwnershipControls>").as_bytes()).map_err(|error| error.code)
        };
        let rule = |word: &str| format!("<Rule><ObjectOwnership>{word}</ObjectOwnership></Rule>");
        assert_eq!(of(&rule("ObjectWriter")), Ok(Ownership::ObjectWriter));
        assert_eq!(of(&rule("BucketOwnerPreferred")), Ok(Ownership::BucketOwnerPreferred));
        assert_eq!(of(&rule("Nobody")), Err(S3ErrorCode::MalformedXml));
        assert_eq!(of(""), Err(S3ErrorCode::MalformedXml));
        assert_eq!(of(&rule("ObjectWriter").repeat(2)), Err(S3ErrorCode::MalformedXml));
    }
}
