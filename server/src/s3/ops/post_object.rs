//! `POST /bucket`: PostObject, a form that a browser sends.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chartrier_storage::namespace::notification::Cause;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::complete_multipart_upload::location;
use super::listing::NameEncoding;
use super::put_object::plan;
use crate::access_log::Posted;
use crate::app::App;
use crate::auth::authenticate_form;
use crate::s3::checksum::ExpectedChecksums;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::form::{FormFields, FormReader, LengthRange, Policy, boundary};
use crate::s3::names::ObjectKey;
use crate::s3::request::{Caller, RequestBody, S3Request, SseHeaders};
use crate::s3::response::{S3Response, empty, xml};
use crate::s3::seal::{Committed, SingleWrite, UPLOAD_BYTES_MAX, write_checksum, write_etag};
use crate::s3::settings::quota::{self, Added};
use crate::s3::versioning::write_new_version;
use crate::s3::xml::XmlWriter;

/// Stores the file of a form as an object. Durable when it answers; the file is never held in memory.
///
/// The form says who signed its policy; the policy says what may be posted. All of it is judged
/// before the first byte of the file is taken.
///
/// # Errors
/// `PreconditionFailed` unless the body is a form; what the form, its signature and its policy break;
/// `EntityTooLarge` and `EntityTooSmall` by the policy's range.
pub async fn handle(app: &Arc<App>, mut request: S3Request) -> Result<S3Response, S3Error> {
    let bucket_name = request.bucket_name()?.as_str().to_owned();
    let boundary = form_boundary(&request.headers)?;
    if request.body.decoded_length().is_none() {
        return Err(S3Error::of(S3ErrorCode::MissingContentLength));
    }
    // With the form around it: a little more than the file.
    let form_bytes = request.body.decoded_length().unwrap_or(0);
    let body = std::mem::replace(&mut request.body, RequestBody::from_bytes(""));
    let mut form = FormReader::new(body, &boundary);
    let mut fields = form.fields().await?;
    let author = authenticate_form(&fields, app.auth_rules(), app.config.form_signature_v2)?;
    request.caller = Caller { peer: Some(request.peer), ..author.unwrap_or_else(Caller::anonymous) };
    fields.expand_file_name()?;
    let range = check_policy(&fields, &bucket_name, app.now_us())?;
    request.key = Some(key(&fields)?);
    request.headers = put_headers(&fields, &request.headers)?;
    request.sse_c = SseHeaders::take_from(&mut request.headers);

    // Only now is it known who asks, and for which key: the edge could not judge it.
    app.authorise(&request)?;
    let bucket = app.authorise_bucket(&request)?;
    quota::check(app, &bucket, Added { bytes: form_bytes, objects: 1 })?;
    let expected = ExpectedChecksums::from_headers(&request.headers)?;
    let write = SingleWrite { cause: Cause::Form, ..plan(app, bucket, &mut request, &expected)? };
    let (committed, sealed) = store(app, write, &mut form, &expected, range).await?;
    let mut response = answer(&request, &fields, &committed, sealed)?;
    let posted = Posted { key: request.object_key()?.as_str().to_owned(), caller: request.caller };
    response.extensions_mut().insert(posted);
    Ok(response)
}

/// Seals the file as it arrives and makes it visible.
async fn store(
    app: &Arc<App>,
    write: SingleWrite,
    form: &mut FormReader,
    expected: &ExpectedChecksums,
    range: LengthRange,
) -> Result<(Committed, HeaderMap), S3Error> {
    let mut upload = write.begin(app, None, expected.needed()).await;
    let mut len_bytes = 0;
    while let Some(bytes) = form.next_file_bytes().await? {
        len_bytes += bytes.len() as u64;
        if len_bytes > range.max {
            return Err(S3Error::of(S3ErrorCode::EntityTooLarge)
                .with_detail("ProposedSize", len_bytes.to_string())
                .with_detail("MaxSizeAllowed", range.max.to_string()));
        }
        upload.push(bytes).await?;
    }
    if len_bytes < range.min {
        return Err(S3Error::of(S3ErrorCode::EntityTooSmall)
            .with_detail("ProposedSize", len_bytes.to_string())
            .with_detail("MinSizeAllowed", range.min.to_string()));
    }
    let received = upload.end().await?;
    expected.verify(&received.digests, &HeaderMap::new())?;
    let part = received.finish().await?;
    let mut headers = HeaderMap::new();
    write.encryption.write_to(&mut headers);
    let committed = write.commit(app, part).await?;
    write_new_version(&mut headers, committed.version_id);
    Ok((committed, headers))
}

fn form_boundary(headers: &HeaderMap) -> Result<String, S3Error> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.and_then(boundary).ok_or_else(|| {
        S3Error::new(S3ErrorCode::PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
            .with_detail("Condition", "Bucket POST must be of the enclosure-type multipart/form-data")
    })
}

/// The range that the file must keep to: the policy's, else ours. Without a policy the caller is
/// nobody, and only what everybody may do is allowed.
fn check_policy(fields: &FormFields, bucket: &str, now_us: u64) -> Result<LengthRange, S3Error> {
    let whole = LengthRange { min: 0, max: UPLOAD_BYTES_MAX };
    let Some(policy) = fields.non_empty("policy") else { return Ok(whole) };
    // Some libraries break the base64 into lines.
    let compact: String = policy.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let document = BASE64.decode(compact).map_err(|_| {
        S3Error::new(S3ErrorCode::InvalidPolicyDocument, "Invalid Policy: Could not decode the Policy from Base64.")
    })?;
    let policy = Policy::parse(&document)?;
    policy.check(fields, bucket, i64::try_from(now_us / 1_000_000).unwrap_or(i64::MAX))?;
    Ok(policy.length().map_or(whole, |range| LengthRange { min: range.min, max: range.max.min(whole.max) }))
}

fn key(fields: &FormFields) -> Result<ObjectKey, S3Error> {
    let key = fields.get("key").ok_or_else(|| {
        S3Error::invalid_argument(
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
            "key",
            "",
        )
    })?;
    if key.is_empty() {
        return Err(S3Error::invalid_argument("User key must have a length greater than 0.", "key", ""));
    }
    ObjectKey::parse(key)
}

/// The headers that a PUT would have carried, and of the request's own those that name where it came to.
fn put_headers(fields: &FormFields, of_request: &HeaderMap) -> Result<HeaderMap, S3Error> {
    let mut headers = fields.to_headers()?;
    for name in ["host", "origin", "x-amz-expected-bucket-owner"] {
        if let Some(value) = of_request.get(name) {
            headers.insert(name, value.clone());
        }
    }
    Ok(headers)
}

fn answer(
    request: &S3Request,
    fields: &FormFields,
    committed: &Committed,
    sealed: HeaderMap,
) -> Result<S3Response, S3Error> {
    let key = request.object_key()?;
    let bucket = request.bucket_name()?.as_str();
    let location = location(request, key);
    let etag = format!("\"{}\"", committed.etag);
    let redirect = fields.non_empty("success_action_redirect").or_else(|| fields.non_empty("redirect"));
    let redirect = redirect.and_then(|url| redirect_to(url, bucket, key, &etag));
    let mut response = match (redirect, fields.get("success_action_status").map(str::trim)) {
        (Some(url), _) => {
            let mut response = empty(StatusCode::SEE_OTHER);
            response.headers_mut().insert(header::LOCATION, url);
            response
        }
        (None, Some("200")) => empty(StatusCode::OK),
        (None, Some("201")) => {
            let mut doc = XmlWriter::new();
            doc.open("PostResponse");
            doc.element("Location", &location);
            doc.element("Bucket", bucket);
            doc.element("Key", key.as_str());
            doc.element("ETag", &etag);
            doc.close("PostResponse");
            xml(StatusCode::CREATED, doc.finish())
        }
        (None, _) => empty(StatusCode::NO_CONTENT),
    };
    let headers = response.headers_mut();
    if let (false, Ok(value)) = (headers.contains_key(header::LOCATION), HeaderValue::from_str(&location)) {
        headers.insert(header::LOCATION, value);
    }
    headers.extend(sealed);
    write_etag(headers, &committed.etag);
    write_checksum(headers, &committed.checksum);
    Ok(response)
}

/// Where the browser goes next, told what it has stored; `None` if it is no address, which AWS ignores too.
fn redirect_to(url: &str, bucket: &str, key: &ObjectKey, etag: &str) -> Option<HeaderValue> {
    let uri: http::Uri = url.parse().ok()?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
        return None;
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    let encode = |text| NameEncoding::Url.encode(text).replace('/', "%2F");
    let (key, etag) = (encode(key.as_str()), encode(etag));
    HeaderValue::from_str(&format!("{url}{separator}bucket={bucket}&key={key}&etag={etag}")).ok()
}
