//! Tags of objects and buckets.

use super::context::{Context, Failure, check, element, error, header, no_header, status, text};
use super::lock::with_digest;
use super::versions::{enable, version};
use crate::http::Answer;

super::cases!("tagging":
    object_tags_come_back,
    object_without_tags,
    tags_of_no_object,
    tags_are_counted,
    tags_are_removed,
    ten_tags_and_no_more,
    lengths_of_tags,
    characters_of_tags,
    duplicates_and_reserved_prefix,
    documents_that_are_none,
    tags_with_a_put,
    headers_that_are_none,
    copies_keep_tags_or_replace_them,
    uploads_bring_tags,
    each_version_has_its_own,
    bucket_tags,
    fifty_bucket_tags_and_no_more,
);

fn document(tags: &[(&str, &str)]) -> String {
    let tags: String =
        tags.iter().map(|(key, value)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>")).collect();
    format!("<Tagging><TagSet>{tags}</TagSet></Tagging>")
}

async fn set(context: &Context, key: &str, tags: &[(&str, &str)]) -> Result<Answer, Failure> {
    context.send(with_digest(context.request("PUT", key).query("tagging", ""), document(tags))).await
}

async fn are(context: &Context, key: &str, tags: &[(&str, &str)]) -> Result<(), Failure> {
    let answer = context.send(context.request("GET", key).query("tagging", "")).await?;
    status(&answer, 200)?;
    let expected = document(tags).replace("<Tagging><TagSet>", "").replace("</TagSet></Tagging>", "");
    let got = element(&text(&answer), "TagSet").unwrap_or_default();
    check(got == expected, format!("expected {expected}, got {got}"))
}

async fn object_tags_come_back(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    let tags = [("+-=._:/@", "+-=._:/@"), ("empty", ""), ("project", "x y"), ("été", "ça")];
    status(&set(&context, "key", &tags).await?, 200)?;
    are(&context, "key", &tags).await?;
    status(&set(&context, "key", &[("other", "1")]).await?, 200)?;
    are(&context, "key", &[("other", "1")]).await
}

async fn object_without_tags(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    are(&context, "key", &[]).await
}

async fn tags_of_no_object(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&set(&context, "key", &[("a", "b")]).await?, 404, "NoSuchKey")?;
    error(&context.send(context.request("GET", "key").query("tagging", "")).await?, 404, "NoSuchKey")
}

async fn tags_are_counted(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    no_header(&context.expect_object("key", b"x").await?, "x-amz-tagging-count")?;
    status(&set(&context, "key", &[("a", "1"), ("b", "2")]).await?, 200)?;
    for method in ["GET", "HEAD"] {
        header(&context.send(context.request(method, "key")).await?, "x-amz-tagging-count", "2")?;
    }
    Ok(())
}

async fn tags_are_removed(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    status(&set(&context, "key", &[("a", "1")]).await?, 200)?;
    for _ in 0..2 {
        status(&context.send(context.request("DELETE", "key").query("tagging", "")).await?, 204)?;
        are(&context, "key", &[]).await?;
    }
    Ok(())
}

fn many(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("k{n}")).collect()
}

async fn ten_tags_and_no_more(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    let names = many(11);
    let tags: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    status(&set(&context, "key", &tags[..10]).await?, 200)?;
    error(&set(&context, "key", &tags).await?, 400, "InvalidTag")?;
    are(&context, "key", &tags[..10]).await
}

async fn lengths_of_tags(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    let (key, value) = ("é".repeat(128), "v".repeat(256));
    status(&set(&context, "key", &[(&key, &value)]).await?, 200)?;
    error(&set(&context, "key", &[(&"k".repeat(129), "v")]).await?, 400, "InvalidTag")?;
    error(&set(&context, "key", &[("k", &"v".repeat(257))]).await?, 400, "InvalidTag")?;
    error(&set(&context, "key", &[("", "v")]).await?, 400, "InvalidTag")
}

async fn characters_of_tags(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    for bad in ["a!", "a?", "a*", "a#"] {
        error(&set(&context, "key", &[(bad, "v")]).await?, 400, "InvalidTag")?;
        error(&set(&context, "key", &[("k", bad)]).await?, 400, "InvalidTag")?;
    }
    Ok(())
}

async fn duplicates_and_reserved_prefix(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    error(&set(&context, "key", &[("a", "1"), ("a", "2")]).await?, 400, "InvalidTag")?;
    error(&set(&context, "key", &[("aws:a", "1")]).await?, 400, "InvalidTag")?;
    status(&set(&context, "key", &[("a", "1"), ("A", "1")]).await?, 200)
}

async fn documents_that_are_none(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    for body in ["", "<Tagging/>", "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "<TagSet/>"] {
        let request = with_digest(context.request("PUT", "key").query("tagging", ""), body.to_owned());
        error(&context.send(request).await?, 400, "MalformedXML").map_err(|failure| format!("{body}: {failure}"))?;
    }
    Ok(())
}

async fn tags_with_a_put(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let put = context.request("PUT", "key").header("x-amz-tagging", "a=1&b=x%20y&c=").body("x");
    status(&context.send(put).await?, 200)?;
    are(&context, "key", &[("a", "1"), ("b", "x y"), ("c", "")]).await?;
    context.put("key", b"again").await?;
    are(&context, "key", &[]).await
}

async fn headers_that_are_none(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let names = many(11).join("=&");
    for (tagging, code) in [("a=1&a=2", "InvalidTag"), ("aws:a=1", "InvalidTag"), (names.as_str(), "InvalidTag")] {
        let put = context.request("PUT", "key").header("x-amz-tagging", tagging).body("x");
        error(&context.send(put).await?, 400, code)?;
    }
    context.expect_no_object("key").await
}

async fn copies_keep_tags_or_replace_them(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    status(&set(&context, "key", &[("a", "1")]).await?, 200)?;
    let source = format!("/{}/key", context.bucket);
    let copy = || context.request("PUT", "copy").header("x-amz-copy-source", &source);
    status(&context.send(copy()).await?, 200)?;
    are(&context, "copy", &[("a", "1")]).await?;
    // Without the directive the header of the request says nothing.
    status(&context.send(copy().header("x-amz-tagging", "b=2")).await?, 200)?;
    are(&context, "copy", &[("a", "1")]).await?;
    let replace = || copy().header("x-amz-tagging-directive", "REPLACE");
    status(&context.send(replace().header("x-amz-tagging", "b=2")).await?, 200)?;
    are(&context, "copy", &[("b", "2")]).await?;
    status(&context.send(replace()).await?, 200)?;
    are(&context, "copy", &[]).await?;
    error(&context.send(copy().header("x-amz-tagging-directive", "KEEP")).await?, 400, "InvalidArgument")
}

async fn uploads_bring_tags(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let begin = context.request("POST", "key").query("uploads", "").header("x-amz-tagging", "a=1");
    let upload = element(&text(&context.send(begin).await?), "UploadId").unwrap_or_default();
    let part = context.request("PUT", "key").query("partNumber", "1").query("uploadId", &upload).body("part");
    let answer = context.send(part).await?;
    let etag = super::context::has_header(&answer, "etag")?;
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    status(&context.send(context.request("POST", "key").query("uploadId", &upload).body(list)).await?, 200)?;
    are(&context, "key", &[("a", "1")]).await
}

async fn each_version_has_its_own(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let old = version(&context, "key", b"old").await?;
    let new = version(&context, "key", b"new").await?;
    let request = with_digest(
        context.request("PUT", "key").query("tagging", "").query("versionId", &old),
        document(&[("of", "old")]),
    );
    header(&context.send(request).await?, "x-amz-version-id", &old)?;
    header(&set(&context, "key", &[("of", "new")]).await?, "x-amz-version-id", &new)?;
    let read = context.request("GET", "key").query("tagging", "").query("versionId", &old);
    let answer = context.send(read).await?;
    check(text(&answer).contains("<Value>old</Value>"), text(&answer))?;
    are(&context, "key", &[("of", "new")]).await
}

async fn bucket_tags(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let read = || context.request("GET", "").query("tagging", "");
    error(&context.send(read()).await?, 404, "NoSuchTagSet")?;
    status(&set(&context, "", &[("a", "1")]).await?, 204)?;
    are(&context, "", &[("a", "1")]).await?;
    status(&context.send(context.request("DELETE", "").query("tagging", "")).await?, 204)?;
    error(&context.send(read()).await?, 404, "NoSuchTagSet")
}

async fn fifty_bucket_tags_and_no_more(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let names = many(51);
    let tags: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    status(&set(&context, "", &tags[..50]).await?, 204)?;
    error(&set(&context, "", &tags).await?, 400, "BadRequest")?;
    error(&set(&context, "", &[("aws:a", "1")]).await?, 400, "InvalidTag")
}
