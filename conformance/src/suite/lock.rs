//! Object lock: default retention, GOVERNANCE, COMPLIANCE, legal hold.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::context::{Context, Failure, check, element, error, has_header, header, status, text};
use super::versions::{enable, version};
use crate::client::Request;
use crate::http::Answer;

super::cases!("lock":
    bucket_locked_at_creation,
    bucket_without_lock,
    enabled_later_on_a_versioned_bucket,
    versioning_cannot_be_suspended,
    configurations_that_are_none,
    default_retention_applies,
    governance_needs_the_bypass,
    compliance_is_never_shortened,
    retention_of_a_version,
    retentions_that_are_none,
    legal_hold_holds,
    holds_that_are_none,
    headers_of_a_put,
    headers_that_are_none,
    a_locked_put_needs_a_digest,
    a_copy_takes_the_lock_of_its_request,
    a_multipart_upload_brings_its_lock,
    a_marker_hides_what_is_locked,
    a_batch_says_what_is_locked,
);

const LATE: &str = "2090-01-01T00:00:00Z";
const LATER: &str = "2091-01-01T00:00:00Z";

/// A body with the digest that some operations demand.
pub(super) fn with_digest(request: Request, body: String) -> Request {
    let md5 = STANDARD.encode(Md5::digest(&body));
    request.header("content-md5", &md5).body(body)
}

fn bypassing(request: Request) -> Request {
    request.header("x-amz-bypass-governance-retention", "true")
}

async fn locked(context: &Context) -> Result<(), Failure> {
    let request = context.request("PUT", "").header("x-amz-bucket-object-lock-enabled", "true");
    status(&context.send(request).await?, 200)
}

async fn configure(context: &Context, rule: &str) -> Result<Answer, Failure> {
    let inside = format!("<ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}");
    let document = format!("<ObjectLockConfiguration>{inside}</ObjectLockConfiguration>");
    context.send(with_digest(context.request("PUT", "").query("object-lock", ""), document)).await
}

fn retain(context: &Context, mode: &str, until: &str) -> Request {
    let document = format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>");
    with_digest(context.request("PUT", "key").query("retention", ""), document)
}

fn hold(context: &Context, to: &str) -> Request {
    let document = format!("<LegalHold><Status>{to}</Status></LegalHold>");
    with_digest(context.request("PUT", "key").query("legal-hold", ""), document)
}

fn removal(context: &Context, id: &str) -> Request {
    context.request("DELETE", "key").query("versionId", id)
}

fn rule(inside: &str) -> String {
    format!("<Rule><DefaultRetention>{inside}</DefaultRetention></Rule>")
}

async fn bucket_locked_at_creation(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    let answer = context.send(context.request("GET", "").query("versioning", "")).await?;
    check(element(&text(&answer), "Status").as_deref() == Some("Enabled"), "versioning is not enabled")?;
    let answer = context.send(context.request("GET", "").query("object-lock", "")).await?;
    check(element(&text(&answer), "ObjectLockEnabled").as_deref() == Some("Enabled"), "no object lock")
}

async fn bucket_without_lock(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    let answer = context.send(context.request("GET", "").query("object-lock", "")).await?;
    error(&answer, 404, "ObjectLockConfigurationNotFoundError")?;
    error(&configure(&context, "").await?, 409, "InvalidBucketState")?;
    error(&context.send(retain(&context, "GOVERNANCE", LATE)).await?, 400, "InvalidRequest")?;
    error(&context.send(hold(&context, "ON")).await?, 400, "InvalidRequest")?;
    for parameter in ["retention", "legal-hold"] {
        let answer = context.send(context.request("GET", "key").query(parameter, "")).await?;
        error(&answer, 400, "InvalidRequest")?;
    }
    Ok(())
}

async fn enabled_later_on_a_versioned_bucket(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let id = version(&context, "key", b"x").await?;
    status(&configure(&context, "").await?, 200)?;
    let answer = context.send(context.request("GET", "key").query("retention", "")).await?;
    error(&answer, 404, "NoSuchObjectLockConfiguration")?;
    status(&context.send(retain(&context, "GOVERNANCE", LATE)).await?, 200)?;
    error(&context.send(removal(&context, &id)).await?, 403, "AccessDenied")?;
    status(&context.send(bypassing(removal(&context, &id))).await?, 204)
}

async fn versioning_cannot_be_suspended(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    let document = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let request = context.request("PUT", "").query("versioning", "").body(document);
    error(&context.send(request).await?, 409, "InvalidBucketState")
}

async fn configurations_that_are_none(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    for (inside, code) in [
        ("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>", "MalformedXML"),
        ("<Mode>GOVERNANCE</Mode>", "MalformedXML"),
        ("<Mode>governance</Mode><Days>1</Days>", "MalformedXML"),
        ("<Mode>GOVERNANCE</Mode><Days>0</Days>", "InvalidRetentionPeriod"),
        ("<Mode>GOVERNANCE</Mode><Years>-1</Years>", "InvalidRetentionPeriod"),
    ] {
        error(&configure(&context, &rule(inside)).await?, 400, code).map_err(|e| format!("{inside}: {e}"))?;
    }
    let off = "<ObjectLockConfiguration><ObjectLockEnabled>Disabled</ObjectLockEnabled></ObjectLockConfiguration>";
    let request = with_digest(context.request("PUT", "").query("object-lock", ""), off.to_owned());
    error(&context.send(request).await?, 400, "MalformedXML")
}

async fn default_retention_applies(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    for inside in ["<Mode>COMPLIANCE</Mode><Years>1</Years>", "<Mode>GOVERNANCE</Mode><Days>2</Days>"] {
        status(&configure(&context, &rule(inside)).await?, 200)?;
        let answer = context.send(context.request("GET", "").query("object-lock", "")).await?;
        check(text(&answer).contains(&rule(inside)), "another configuration is read than was set")?;
    }
    let put = with_digest(context.request("PUT", "key"), "x".to_owned());
    let answer = context.send(put).await?;
    status(&answer, 200)?;
    let id = has_header(&answer, "x-amz-version-id")?;
    let head = context.send(context.request("HEAD", "key")).await?;
    header(&head, "x-amz-object-lock-mode", "GOVERNANCE")?;
    has_header(&head, "x-amz-object-lock-retain-until-date")?;
    error(&context.send(removal(&context, id)).await?, 403, "AccessDenied")?;
    status(&context.send(bypassing(removal(&context, id))).await?, 204)
}

async fn governance_needs_the_bypass(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    let id = version(&context, "key", b"x").await?;
    status(&context.send(retain(&context, "GOVERNANCE", LATE)).await?, 200)?;
    status(&context.send(retain(&context, "GOVERNANCE", LATER)).await?, 200)?;
    error(&context.send(retain(&context, "GOVERNANCE", LATE)).await?, 403, "AccessDenied")?;
    error(&context.send(retain(&context, "COMPLIANCE", LATER)).await?, 403, "AccessDenied")?;
    status(&context.send(bypassing(retain(&context, "GOVERNANCE", LATE))).await?, 200)?;
    error(&context.send(removal(&context, &id)).await?, 403, "AccessDenied")?;
    let remove = || with_digest(context.request("PUT", "key").query("retention", ""), "<Retention/>".to_owned());
    error(&context.send(remove()).await?, 403, "AccessDenied")?;
    status(&context.send(bypassing(remove())).await?, 200)?;
    status(&context.send(removal(&context, &id)).await?, 204)
}

async fn compliance_is_never_shortened(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    let id = version(&context, "key", b"x").await?;
    status(&context.send(retain(&context, "COMPLIANCE", LATE)).await?, 200)?;
    status(&context.send(retain(&context, "COMPLIANCE", LATER)).await?, 200)?;
    for (mode, until) in [("COMPLIANCE", LATE), ("GOVERNANCE", LATER)] {
        error(&context.send(bypassing(retain(&context, mode, until))).await?, 403, "AccessDenied")?;
    }
    error(&context.send(bypassing(removal(&context, &id))).await?, 403, "AccessDenied")?;
    context.expect_object("key", b"x").await.map(drop)
}

async fn retention_of_a_version(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    let id = version(&context, "key", b"one").await?;
    version(&context, "key", b"two").await?;
    status(&context.send(retain(&context, "GOVERNANCE", LATE).query("versionId", &id)).await?, 200)?;
    let read = |id: &str| context.request("GET", "key").query("retention", "").query("versionId", id);
    let answer = context.send(read(&id)).await?;
    let until = element(&text(&answer), "RetainUntilDate").unwrap_or_default();
    check(until.starts_with("2090-01-01T00:00:00"), until)?;
    let current = context.send(context.request("GET", "key").query("retention", "")).await?;
    error(&current, 404, "NoSuchObjectLockConfiguration")
}

async fn retentions_that_are_none(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    version(&context, "key", b"x").await?;
    for (mode, until, code) in [
        ("governance", LATE, "MalformedXML"),
        ("abc", LATE, "MalformedXML"),
        ("GOVERNANCE", "soon", "MalformedXML"),
        ("GOVERNANCE", "2001-01-01T00:00:00Z", "InvalidArgument"),
    ] {
        error(&context.send(retain(&context, mode, until)).await?, 400, code)?;
    }
    Ok(())
}

async fn legal_hold_holds(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    let id = version(&context, "key", b"x").await?;
    let read = || context.request("GET", "key").query("legal-hold", "");
    error(&context.send(read()).await?, 404, "NoSuchObjectLockConfiguration")?;
    status(&context.send(hold(&context, "ON")).await?, 200)?;
    check(element(&text(&context.send(read()).await?), "Status").as_deref() == Some("ON"), "the hold is not on")?;
    header(&context.expect_object("key", b"x").await?, "x-amz-object-lock-legal-hold", "ON")?;
    error(&context.send(bypassing(removal(&context, &id))).await?, 403, "AccessDenied")?;
    status(&context.send(hold(&context, "OFF")).await?, 200)?;
    status(&context.send(removal(&context, &id)).await?, 204)
}

async fn holds_that_are_none(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    version(&context, "key", b"x").await?;
    error(&context.send(hold(&context, "abc")).await?, 400, "MalformedXML")
}

fn locking(request: Request) -> Request {
    request.header("x-amz-object-lock-mode", "GOVERNANCE").header("x-amz-object-lock-retain-until-date", LATE)
}

async fn headers_of_a_put(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    let put = locking(with_digest(context.request("PUT", "key"), "x".to_owned()));
    status(&context.send(put.header("x-amz-object-lock-legal-hold", "ON")).await?, 200)?;
    for method in ["GET", "HEAD"] {
        let answer = context.send(context.request(method, "key")).await?;
        header(&answer, "x-amz-object-lock-mode", "GOVERNANCE")?;
        header(&answer, "x-amz-object-lock-retain-until-date", "2090-01-01T00:00:00.000Z")?;
        header(&answer, "x-amz-object-lock-legal-hold", "ON")?;
    }
    Ok(())
}

async fn headers_that_are_none(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    for headers in [
        &[("x-amz-object-lock-mode", "GOVERNANCE")][..],
        &[("x-amz-object-lock-retain-until-date", LATE)],
        &[("x-amz-object-lock-mode", "SOFT"), ("x-amz-object-lock-retain-until-date", LATE)],
        &[("x-amz-object-lock-mode", "GOVERNANCE"), ("x-amz-object-lock-retain-until-date", "soon")],
        &[("x-amz-object-lock-legal-hold", "on")],
    ] {
        let put = with_digest(context.request("PUT", "key"), "x".to_owned());
        let request = headers.iter().fold(put, |request, (name, value)| request.header(name, value));
        error(&context.send(request).await?, 400, "InvalidArgument")?;
    }
    context.expect_no_object("key").await
}

async fn a_locked_put_needs_a_digest(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    error(&context.send(locking(context.request("PUT", "key").body("x"))).await?, 400, "InvalidRequest")?;
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, b"x");
    let crc = STANDARD.encode(&crc.to_be_bytes()[4..]);
    let put = locking(context.request("PUT", "key").header("x-amz-checksum-crc32", &crc).body("x"));
    status(&context.send(put).await?, 200)
}

async fn a_copy_takes_the_lock_of_its_request(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    status(&context.send(locking(with_digest(context.request("PUT", "key"), "x".to_owned()))).await?, 200)?;
    let source = format!("/{}/key", context.bucket);
    let copy = |target: &str| context.request("PUT", target).header("x-amz-copy-source", &source);
    status(&context.send(copy("free")).await?, 200)?;
    status(&context.send(locking(copy("bound"))).await?, 200)?;
    let read = |key: &str| context.request("GET", key).query("retention", "");
    error(&context.send(read("free")).await?, 404, "NoSuchObjectLockConfiguration")?;
    status(&context.send(read("bound")).await?, 200)
}

async fn a_multipart_upload_brings_its_lock(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    let begun = context.send(locking(context.request("POST", "key").query("uploads", ""))).await?;
    let upload = element(&text(&begun), "UploadId").unwrap_or_default();
    let part = context.request("PUT", "key").query("partNumber", "1").query("uploadId", &upload);
    error(&context.send(part.clone().body("part")).await?, 400, "InvalidRequest")?;
    let etag = has_header(&context.send(with_digest(part, "part".to_owned())).await?, "etag")?.to_owned();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let answer = context.send(context.request("POST", "key").query("uploadId", &upload).body(list)).await?;
    let id = has_header(&answer, "x-amz-version-id")?;
    error(&context.send(removal(&context, id)).await?, 403, "AccessDenied")?;
    status(&context.send(bypassing(removal(&context, id))).await?, 204)
}

async fn a_marker_hides_what_is_locked(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    let id = version(&context, "key", b"x").await?;
    status(&context.send(hold(&context, "ON")).await?, 200)?;
    status(&context.send(context.request("DELETE", "key")).await?, 204)?;
    context.expect_no_object("key").await?;
    error(&context.send(removal(&context, &id)).await?, 403, "AccessDenied")
}

async fn a_batch_says_what_is_locked(context: Context) -> Result<(), Failure> {
    locked(&context).await?;
    let id = version(&context, "key", b"x").await?;
    status(&context.send(retain(&context, "GOVERNANCE", LATE)).await?, 200)?;
    let document = format!("<Delete><Object><Key>key</Key><VersionId>{id}</VersionId></Object></Delete>");
    let batch = || with_digest(context.request("POST", "").query("delete", ""), document.clone());
    let answer = context.send(batch()).await?;
    check(element(&text(&answer), "Code").as_deref() == Some("AccessDenied"), text(&answer))?;
    let answer = context.send(bypassing(batch())).await?;
    check(text(&answer).contains("<Deleted>"), text(&answer))
}
