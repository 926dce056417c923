//! `PUT /bucket?publicAccessBlock`: PutPublicAccessBlock.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutPublicAccessBlock.html>.

use std::sync::Arc;

use chartrier_storage::namespace::bucket_config::BucketConfigKind;
use http::StatusCode;

use super::body::read_checked;
use crate::access::documents::PublicAccessBlock;
use crate::app::App;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::request::S3Request;
use crate::s3::response::{S3Response, empty};
use crate::s3::xml::Element;

/// The longest configuration: four elements.
const BODY_LEN_MAX: usize = 16 << 10;

/// Sets the four switches; one that is not named is off. In force when it answers.
///
/// # Errors
/// `MalformedXML`.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket = app.authorise_bucket(&request)?;
    let body = read_checked(&mut request, BODY_LEN_MAX).await?;
    let block = parse(&body)?;
    app.set_bucket_config(&request, bucket.id, BucketConfigKind::PublicAccessBlock, Some(block.to_stored())).await?;
    Ok(empty(StatusCode::OK))
}

pub(super) fn parse(body: &[u8]) -> Result<PublicAccessBlock, S3Error> {
    let root = Element::parse(body, "PublicAccessBlockConfiguration")?;
    let mut block = PublicAccessBlock::NONE;
    for element in &root.children {
        let switch = match element.name.as_str() {
            "BlockPublicAcls" => &mut block.block_public_acls,
            "IgnorePublicAcls" => &mut block.ignore_public_acls,
            "BlockPublicPolicy" => &mut block.block_public_policy,
            "RestrictPublicBuckets" => &mut block.restrict_public_buckets,
            _ => return Err(S3Error::of(S3ErrorCode::MalformedXml)),
        };
        *switch = match element.text.trim() {
            text if text.eq_ignore_ascii_case("true") => true,
            text if text.eq_ignore_ascii_case("false") => false,
            _ => return Err(S3Error::of(S3ErrorCode::MalformedXml)),
        };
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_that_are_not_named_are_off() {
        let of = |inner: &str| {
            let text = format!("<PublicAccessBlockConfiguration>{inner}</PublicAccessBlockConfiguration>");
            parse(text.as_bytes()).map_err(|error| error.code)
        };
        assert_eq!(of(""), Ok(PublicAccessBlock::NONE));
        let block = PublicAccessBlock { block_public_policy: true, ..PublicAccessBlock::NONE };
        assert_eq!(
            of("<BlockPublicPolicy>TRUE</BlockPublicPolicy><IgnorePublicAcls>false</IgnorePublicAcls>"),
            Ok(block)
        );
        assert_eq!(of("<BlockPublicPolicy>yes</BlockPublicPolicy>"), Err(S3ErrorCode::MalformedXml));
        assert_eq!(of("<Other>true</Other>"), Err(S3ErrorCode::MalformedXml));
    }
}
