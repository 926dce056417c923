//! Copies: what they take along, under which conditions, and what they leave alone.

use md5::{Digest as _, Md5};

use super::context::{Context, Failure, check, element, error, has_header, header, no_header, pattern, status, text};
use super::multipart::{FIVE_MIB, Part, Upload, completed};
use crate::client::Request;
use crate::http::Answer;

super::cases!("copies":
    headers_of_the_source_come_along,
    replaced_headers_are_all_that_there_are,
    a_directive_that_is_none_is_refused,
    the_answer_says_what_was_made,
    a_copy_stays_when_its_source_changes_or_goes,
    an_empty_object_is_copied,
    a_copy_into_another_bucket,
    a_source_is_named_in_every_way,
    a_copy_of_parts_has_none,
    a_matching_etag_silences_the_date,
    a_date_does_not_help_an_etag_that_is_excluded,
    a_copy_creates_only_if_absent,
    a_copy_replaces_only_what_it_names,
    a_source_of_an_unexpected_owner_is_refused,
    a_part_is_copied_under_conditions,
    a_part_is_copied_whole_without_a_range,
);

const PAST: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

/// A copy of `source`, of this case's bucket, to `key`.
fn copy(context: &Context, key: &str, source: &str) -> Request {
    context.request("PUT", key).header("x-amz-copy-source", &format!("/{}/{source}", context.bucket))
}

async fn copied(context: &Context, request: Request) -> Result<Answer, Failure> {
    let answer = context.send(request).await?;
    completed(&answer)?;
    Ok(answer)
}

const HEADERS: [(&str, &str); 6] = [
    ("content-type", "text/x-source"),
    ("cache-control", "max-age=60"),
    ("content-disposition", "attachment"),
    ("content-language", "fr"),
    ("content-encoding", "x-own"),
    ("x-amz-meta-kept", "yes"),
];

async fn with_headers(context: &Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let put = context.request("PUT", "source").body("body");
    let put = HEADERS.iter().fold(put, |put, (name, value)| put.header(name, value));
    status(&context.send(put).await?, 200)
}

async fn headers_of_the_source_come_along(context: Context) -> Result<(), Failure> {
    with_headers(&context).await?;
    // Without `REPLACE` those of the request are not looked at.
    let request = copy(&context, "copy", "source").header("x-amz-metadata-directive", "COPY");
    copied(&context, request.header("x-amz-meta-other", "no").header("content-type", "text/other")).await?;
    let read = context.expect_object("copy", b"body").await?;
    no_header(&read, "x-amz-meta-other")?;
    HEADERS.iter().try_for_each(|(name, value)| header(&read, name, value))
}

async fn replaced_headers_are_all_that_there_are(context: Context) -> Result<(), Failure> {
    with_headers(&context).await?;
    let request = copy(&context, "copy", "source").header("x-amz-metadata-directive", "REPLACE");
    copied(&context, request.header("x-amz-meta-new", "yes")).await?;
    let read = context.expect_object("copy", b"body").await?;
    header(&read, "x-amz-meta-new", "yes")?;
    header(&read, "content-type", "binary/octet-stream")?;
    HEADERS[1..].iter().try_for_each(|(name, _)| no_header(&read, name))
}

async fn a_directive_that_is_none_is_refused(context: Context) -> Result<(), Failure> {
    context.create_object("source", b"body").await?;
    for (name, value) in [
        ("x-amz-metadata-directive", "replace"),
        ("x-amz-metadata-directive", "BOTH"),
        ("x-amz-tagging-directive", "MERGE"),
    ] {
        let answer = context.send(copy(&context, "copy", "source").header(name, value)).await?;
        error(&answer, 400, "InvalidArgument").map_err(|failure| format!("{name}: {value}: {failure}"))?;
        context.expect_no_object("copy").await?;
    }
    Ok(())
}

async fn the_answer_says_what_was_made(context: Context) -> Result<(), Failure> {
    context.create_object("source", b"body").await?;
    let answer = text(&copied(&context, copy(&context, "copy", "source")).await?);
    check(answer.contains("<CopyObjectResult"), answer.clone())?;
    let head = context.send(context.request("HEAD", "copy")).await?;
    check(element(&answer, "ETag").as_deref() == head.head.header("etag"), answer.clone())?;
    let modified = element(&answer, "LastModified").ok_or("no LastModified")?;
    let iso = modified.len() >= 20 && modified.ends_with('Z') && modified.as_bytes()[10] == b'T';
    check(iso, format!("LastModified is {modified}"))
}

async fn a_copy_stays_when_its_source_changes_or_goes(context: Context) -> Result<(), Failure> {
    let body = pattern(400_000);
    context.create_object("source", &body).await?;
    copied(&context, copy(&context, "copy", "source")).await?;
    context.put("source", b"another").await?;
    context.expect_object("copy", &body).await?;
    status(&context.send(context.request("DELETE", "source")).await?, 204)?;
    context.expect_object("copy", &body).await?;
    copied(&context, copy(&context, "source", "copy")).await?;
    context.expect_object("source", &body).await.map(drop)
}

async fn an_empty_object_is_copied(context: Context) -> Result<(), Failure> {
    context.create_object("source", b"").await?;
    copied(&context, copy(&context, "copy", "source")).await?;
    let read = context.expect_object("copy", b"").await?;
    header(&read, "etag", "\"d41d8cd98f00b204e9800998ecf8427e\"")
}

async fn a_copy_into_another_bucket(context: Context) -> Result<(), Failure> {
    context.create_object("a/b c", b"body").await?;
    let target = format!("{}-o", context.bucket);
    status(&context.send(Request::new("PUT", &target, "")).await?, 200)?;
    let request =
        Request::new("PUT", &target, "copy").header("x-amz-copy-source", &format!("/{}/a/b%20c", context.bucket));
    copied(&context, request).await?;
    let read = context.send(Request::new("GET", &target, "copy")).await?;
    status(&read, 200)?;
    check(read.body == b"body", "another body")?;
    context.expect_no_object("copy").await
}

async fn a_source_is_named_in_every_way(context: Context) -> Result<(), Failure> {
    context.create_object("a/b c+d\u{e9}?", b"body").await?;
    let bucket = &context.bucket;
    for source in [
        format!("{bucket}/a/b%20c%2Bd%C3%A9%3F"),
        format!("/{bucket}/a/b%20c+d%C3%A9%3F"),
        format!("{bucket}%2Fa%2Fb%20c%2Bd%C3%A9%3F"),
        format!("/{bucket}/a%2fb%20c%2bd%c3%a9%3f?versionId=null"),
    ] {
        let request = context.request("PUT", "copy").header("x-amz-copy-source", &source);
        copied(&context, request).await.map_err(|failure| format!("{source}: {failure}"))?;
        context.expect_object("copy", b"body").await?;
        status(&context.send(context.request("DELETE", "copy")).await?, 204)?;
    }
    Ok(())
}

async fn a_copy_of_parts_has_none(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let body = pattern(FIVE_MIB + 1000);
    let upload = Upload::begin(&context, "source", &[]).await?;
    let parts = [upload.put(1, &body[..FIVE_MIB]).await?, upload.put(2, &body[FIVE_MIB..]).await?];
    completed(&upload.complete(&parts).await?)?;
    copied(&context, copy(&context, "copy", "source")).await?;
    let read = context.expect_object("copy", &body).await?;
    header(&read, "etag", &format!("\"{}\"", hex::encode(Md5::digest(&body))))?;
    let head = context.send(context.request("HEAD", "copy").query("partNumber", "1")).await?;
    no_header(&head, "x-amz-mp-parts-count")
}

async fn a_matching_etag_silences_the_date(context: Context) -> Result<(), Failure> {
    let put = context.create_object("source", b"body").await?;
    let request = copy(&context, "copy", "source").header("x-amz-copy-source-if-match", has_header(&put, "etag")?);
    copied(&context, request.header("x-amz-copy-source-if-unmodified-since", PAST)).await.map(drop)
}

async fn a_date_does_not_help_an_etag_that_is_excluded(context: Context) -> Result<(), Failure> {
    let put = context.create_object("source", b"body").await?;
    let request = copy(&context, "copy", "source").header("x-amz-copy-source-if-none-match", has_header(&put, "etag")?);
    let answer = context.send(request.header("x-amz-copy-source-if-modified-since", PAST)).await?;
    error(&answer, 412, "PreconditionFailed")?;
    context.expect_no_object("copy").await
}

async fn a_copy_creates_only_if_absent(context: Context) -> Result<(), Failure> {
    context.create_object("source", b"body").await?;
    let create = || copy(&context, "copy", "source").header("if-none-match", "*");
    copied(&context, create()).await?;
    context.put("source", b"later").await?;
    error(&context.send(create()).await?, 412, "PreconditionFailed")?;
    context.expect_object("copy", b"body").await.map(drop)
}

async fn a_copy_replaces_only_what_it_names(context: Context) -> Result<(), Failure> {
    context.create_object("source", b"body").await?;
    let replace = |etag: &str| copy(&context, "copy", "source").header("if-match", etag);
    error(&context.send(replace("\"other\"")).await?, 404, "NoSuchKey")?;
    let there = context.put("copy", b"there").await?;
    error(&context.send(replace("\"other\"")).await?, 412, "PreconditionFailed")?;
    context.expect_object("copy", b"there").await?;
    copied(&context, replace(has_header(&there, "etag")?)).await?;
    context.expect_object("copy", b"body").await.map(drop)
}

async fn a_source_of_an_unexpected_owner_is_refused(context: Context) -> Result<(), Failure> {
    context.create_object("source", b"body").await?;
    let request = copy(&context, "copy", "source").header("x-amz-source-expected-bucket-owner", "000000000000");
    error(&context.send(request).await?, 403, "AccessDenied")?;
    context.expect_no_object("copy").await
}

async fn a_part_is_copied_under_conditions(context: Context) -> Result<(), Failure> {
    let put = context.create_object("source", b"body").await?;
    let etag = has_header(&put, "etag")?.to_owned();
    let upload = Upload::begin(&context, "key", &[]).await?;
    let source = format!("/{}/source", context.bucket);
    let part =
        |name: &str, value: &str| upload.part_request("1").header("x-amz-copy-source", &source).header(name, value);
    for (name, value) in [
        ("x-amz-copy-source-if-match", "\"other\""),
        ("x-amz-copy-source-if-none-match", &etag),
        ("x-amz-copy-source-if-unmodified-since", PAST),
    ] {
        error(&context.send(part(name, value)).await?, 412, "PreconditionFailed")?;
    }
    let done = copied(&context, part("x-amz-copy-source-if-match", &etag)).await?;
    check(text(&done).contains("<CopyPartResult"), text(&done))
}

async fn a_part_is_copied_whole_without_a_range(context: Context) -> Result<(), Failure> {
    context.create_object("source", b"0123456789").await?;
    let upload = Upload::begin(&context, "key", &[]).await?;
    let source = format!("/{}/source", context.bucket);
    let done = copied(&context, upload.part_request("1").header("x-amz-copy-source", &source)).await?;
    let etag = element(&text(&done), "ETag").ok_or("no ETag")?;
    completed(&upload.complete(&[Part { number: 1, etag }]).await?)?;
    context.expect_object("key", b"0123456789").await.map(drop)
}
