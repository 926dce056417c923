//! Versioning: ids, delete markers, null versions, listings.

use super::context::{Context, Failure, check, element, elements, error, has_header, header, no_header, status, text};
use crate::http::Answer;

super::cases!("versions":
    unversioned_buckets_have_no_status,
    versions_pile_up,
    version_ids_are_checked,
    removal_by_id_brings_back_the_one_before,
    simple_delete_makes_a_marker,
    a_hidden_object_is_404_with_the_marker,
    a_marker_by_id_is_405,
    removal_of_a_marker_brings_the_object_back,
    null_version_survives_enabling,
    suspended_put_replaces_null,
    suspended_delete_makes_a_null_marker,
    delete_of_nothing_makes_a_marker,
    listing_is_newest_first,
    listing_pages,
    listing_pages_while_emptying,
    listing_rolls_up,
    listing_marker_needs_a_key,
    hidden_objects_are_not_listed,
    copy_from_a_version,
    copy_onto_itself_makes_a_version,
    copy_from_a_marker,
    complete_makes_a_version,
    batch_by_version,
    batch_makes_markers,
    bucket_with_markers_is_not_empty,
    status_without_value,
    mfa_delete_is_refused,
);

pub(super) async fn enable(context: &Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    set(context, "Enabled").await
}

async fn set(context: &Context, to: &str) -> Result<(), Failure> {
    status(&configure(context, &format!("<Status>{to}</Status>")).await?, 200)
}

async fn configure(context: &Context, inside: &str) -> Result<Answer, Failure> {
    let document = format!("<VersioningConfiguration>{inside}</VersioningConfiguration>");
    context.send(context.request("PUT", "").query("versioning", "").body(document)).await
}

/// Puts an object and answers its version id.
pub(super) async fn version(context: &Context, key: &str, body: &[u8]) -> Result<String, Failure> {
    let answer = context.put(key, body).await?;
    Ok(has_header(&answer, "x-amz-version-id")?.to_owned())
}

async fn by_id(context: &Context, method: &str, key: &str, id: &str) -> Result<Answer, Failure> {
    context.send(context.request(method, key).query("versionId", id)).await
}

async fn delete(context: &Context, key: &str) -> Result<String, Failure> {
    let answer = context.send(context.request("DELETE", key)).await?;
    status(&answer, 204)?;
    header(&answer, "x-amz-delete-marker", "true")?;
    Ok(has_header(&answer, "x-amz-version-id")?.to_owned())
}

async fn listing(context: &Context, query: &[(&str, &str)]) -> Result<String, Failure> {
    let request = query.iter().fold(context.request("GET", "").query("versions", ""), |r, (n, v)| r.query(n, v));
    let answer = context.send(request).await?;
    status(&answer, 200)?;
    Ok(text(&answer))
}

fn same<T: PartialEq + std::fmt::Debug>(got: T, expected: T) -> Result<(), Failure> {
    if got == expected { Ok(()) } else { Err(format!("expected {expected:?}, got {got:?}").into()) }
}

async fn unversioned_buckets_have_no_status(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = context.send(context.request("GET", "").query("versioning", "")).await?;
    status(&answer, 200)?;
    check(element(&text(&answer), "Status").is_none(), "a status without versioning")?;
    no_header(&context.put("key", b"x").await?, "x-amz-version-id")
}

async fn versions_pile_up(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let answer = context.send(context.request("GET", "").query("versioning", "")).await?;
    same(element(&text(&answer), "Status").as_deref(), Some("Enabled"))?;
    let (one, two) = (version(&context, "key", b"one").await?, version(&context, "key", b"two").await?);
    check(one != two, "two versions with one id")?;
    for (id, body) in [(&one, "one"), (&two, "two")] {
        let answer = by_id(&context, "GET", "key", id).await?;
        header(&answer, "x-amz-version-id", id)?;
        same(text(&answer).as_str(), body)?;
        header(&by_id(&context, "HEAD", "key", id).await?, "content-length", "3")?;
    }
    header(&context.expect_object("key", b"two").await?, "x-amz-version-id", &two)
}

async fn version_ids_are_checked(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let id = version(&context, "key", b"x").await?;
    version(&context, "other", b"x").await?;
    error(&by_id(&context, "GET", "key", "nonsense").await?, 400, "InvalidArgument")?;
    error(&by_id(&context, "GET", "other", &id).await?, 404, "NoSuchVersion")?;
    error(&by_id(&context, "GET", "key", "null").await?, 404, "NoSuchVersion")?;
    status(&by_id(&context, "HEAD", "other", &id).await?, 404)?;
    error(&by_id(&context, "DELETE", "key", "nonsense").await?, 400, "InvalidArgument")?;
    status(&by_id(&context, "DELETE", "other", &id).await?, 204)?;
    context.expect_object("other", b"x").await.map(drop)
}

async fn removal_by_id_brings_back_the_one_before(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    version(&context, "key", b"one").await?;
    let middle = version(&context, "key", b"two").await?;
    let last = version(&context, "key", b"three").await?;
    status(&by_id(&context, "DELETE", "key", &middle).await?, 204)?;
    context.expect_object("key", b"three").await?;
    let answer = by_id(&context, "DELETE", "key", &last).await?;
    header(&answer, "x-amz-version-id", &last)?;
    no_header(&answer, "x-amz-delete-marker")?;
    context.expect_object("key", b"one").await?;
    same(elements(&listing(&context, &[]).await?, "IsLatest"), vec!["true".to_owned()])
}

async fn simple_delete_makes_a_marker(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let id = version(&context, "key", b"x").await?;
    let marker = delete(&context, "key").await?;
    let xml = listing(&context, &[]).await?;
    same(elements(&xml, "VersionId"), vec![marker, id.clone()])?;
    same(elements(&xml, "DeleteMarker").len(), 1)?;
    same(text(&by_id(&context, "GET", "key", &id).await?).as_str(), "x")
}

async fn a_hidden_object_is_404_with_the_marker(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    version(&context, "key", b"x").await?;
    let marker = delete(&context, "key").await?;
    for method in ["GET", "HEAD"] {
        let answer = context.send(context.request(method, "key")).await?;
        status(&answer, 404)?;
        header(&answer, "x-amz-delete-marker", "true")?;
        header(&answer, "x-amz-version-id", &marker)?;
    }
    context.expect_no_object("key").await
}

async fn a_marker_by_id_is_405(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let marker = delete(&context, "key").await?;
    let answer = by_id(&context, "GET", "key", &marker).await?;
    error(&answer, 405, "MethodNotAllowed")?;
    header(&answer, "allow", "DELETE")?;
    header(&answer, "x-amz-delete-marker", "true")?;
    has_header(&answer, "last-modified")?;
    status(&by_id(&context, "HEAD", "key", &marker).await?, 405)?;
    let tagging = context.request("GET", "key").query("tagging", "").query("versionId", &marker);
    error(&context.send(tagging).await?, 405, "MethodNotAllowed")
}

async fn removal_of_a_marker_brings_the_object_back(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    version(&context, "key", b"x").await?;
    let marker = delete(&context, "key").await?;
    let answer = by_id(&context, "DELETE", "key", &marker).await?;
    header(&answer, "x-amz-delete-marker", "true")?;
    header(&answer, "x-amz-version-id", &marker)?;
    context.expect_object("key", b"x").await.map(drop)
}

async fn null_version_survives_enabling(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"null").await?;
    set(&context, "Enabled").await?;
    version(&context, "key", b"new").await?;
    let answer = by_id(&context, "GET", "key", "null").await?;
    same(text(&answer).as_str(), "null")?;
    header(&answer, "x-amz-version-id", "null")?;
    status(&by_id(&context, "DELETE", "key", "null").await?, 204)?;
    error(&by_id(&context, "GET", "key", "null").await?, 404, "NoSuchVersion")
}

async fn suspended_put_replaces_null(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let kept = version(&context, "key", b"kept").await?;
    set(&context, "Suspended").await?;
    for body in [b"first ", b"second"] {
        no_header(&context.put("key", body).await?, "x-amz-version-id")?;
    }
    same(elements(&listing(&context, &[]).await?, "VersionId"), vec!["null".to_owned(), kept])?;
    header(&context.expect_object("key", b"second").await?, "x-amz-version-id", "null")
}

async fn suspended_delete_makes_a_null_marker(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let kept = version(&context, "key", b"kept").await?;
    set(&context, "Suspended").await?;
    context.put("key", b"null").await?;
    same(delete(&context, "key").await?, "null".to_owned())?;
    let xml = listing(&context, &[]).await?;
    same(elements(&xml, "VersionId"), vec!["null".to_owned(), kept])?;
    same(elements(&xml, "DeleteMarker").len(), 1)
}

async fn delete_of_nothing_makes_a_marker(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let (one, two) = (delete(&context, "key").await?, delete(&context, "key").await?);
    same(elements(&listing(&context, &[]).await?, "VersionId"), vec![two, one])
}

async fn listing_is_newest_first(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let mut ids = Vec::new();
    for key in ["b", "a", "b", "b"] {
        ids.push(version(&context, key, b"x").await?);
    }
    let xml = listing(&context, &[]).await?;
    same(elements(&xml, "Key"), ["a", "b", "b", "b"].map(str::to_owned).to_vec())?;
    let expected = [1, 3, 2, 0].map(|at: usize| ids[at].clone()).to_vec();
    same(elements(&xml, "VersionId"), expected)?;
    same(elements(&xml, "IsLatest"), ["true", "true", "false", "false"].map(str::to_owned).to_vec())
}

/// All versions in pages of `size`, and what is left after each page was removed if that is wanted.
async fn pages(context: &Context, size: &str, removing: bool) -> Result<Vec<String>, Failure> {
    let (mut seen, mut marker) = (Vec::new(), None::<(String, String)>);
    loop {
        let mut query = vec![("max-keys", size)];
        if let Some((key, id)) = &marker {
            query.extend([("key-marker", key.as_str()), ("version-id-marker", id.as_str())]);
        }
        let xml = listing(context, &query).await?;
        let (keys, ids) = (elements(&xml, "Key"), elements(&xml, "VersionId"));
        for (key, id) in keys.iter().zip(&ids).filter(|_| removing) {
            status(&by_id(context, "DELETE", key, id).await?, 204)?;
        }
        seen.extend(ids);
        let next = (element(&xml, "NextKeyMarker"), element(&xml, "NextVersionIdMarker"));
        let truncated = element(&xml, "IsTruncated").as_deref() == Some("true");
        marker = match next {
            (Some(key), Some(id)) if truncated => Some((key, id)),
            _ if truncated => return Err("a page that is not the last has no markers".into()),
            _ => return Ok(seen),
        };
    }
}

async fn deep(context: &Context) -> Result<Vec<String>, Failure> {
    context.create_object("a", b"null").await?;
    set(context, "Enabled").await?;
    for n in 0..12 {
        version(context, ["a", "b", "c"][n % 3], b"x").await?;
    }
    delete(context, "b").await?;
    let whole = elements(&listing(context, &[]).await?, "VersionId");
    same(whole.len(), 14)?;
    Ok(whole)
}

async fn listing_pages(context: Context) -> Result<(), Failure> {
    let whole = deep(&context).await?;
    for size in ["1", "2", "5", "14", "1000"] {
        same(pages(&context, size, false).await?, whole.clone())?;
    }
    Ok(())
}

async fn listing_pages_while_emptying(context: Context) -> Result<(), Failure> {
    let whole = deep(&context).await?;
    same(pages(&context, "3", true).await?, whole)?;
    status(&context.send(context.request("DELETE", "")).await?, 204)
}

async fn listing_rolls_up(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    for key in ["a", "b/x", "b/x", "b/y", "c"] {
        version(&context, key, b"x").await?;
    }
    let xml = listing(&context, &[("delimiter", "/")]).await?;
    same(elements(&xml, "Key"), vec!["a".to_owned(), "c".to_owned()])?;
    check(xml.contains("<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"), "no common prefix")?;
    let xml = listing(&context, &[("prefix", "b/"), ("delimiter", "/")]).await?;
    same(elements(&xml, "Key").len(), 3)
}

async fn listing_marker_needs_a_key(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let request = context.request("GET", "").query("versions", "").query("version-id-marker", "null");
    error(&context.send(request).await?, 400, "InvalidArgument")
}

async fn hidden_objects_are_not_listed(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    for key in ["a", "b/x", "c"] {
        version(&context, key, b"x").await?;
    }
    delete(&context, "b/x").await?;
    for query in [("list-type", "2"), ("delimiter", "/")] {
        let answer = context.send(context.request("GET", "").query(query.0, query.1)).await?;
        same(elements(&text(&answer), "Key"), vec!["a".to_owned(), "c".to_owned()])?;
        check(!text(&answer).contains("CommonPrefixes"), "a prefix of what is hidden")?;
    }
    Ok(())
}

async fn copy(context: &Context, source: &str, target: &str, replace: bool) -> Result<Answer, Failure> {
    let source = format!("/{}/{source}", context.bucket);
    let mut request = context.request("PUT", target).header("x-amz-copy-source", &source);
    if replace {
        request = request.header("x-amz-metadata-directive", "REPLACE").header("x-amz-meta-n", "1");
    }
    context.send(request).await
}

async fn copy_from_a_version(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let one = version(&context, "key", b"one").await?;
    version(&context, "key", b"two").await?;
    for target in ["copy", "key"] {
        let answer = copy(&context, &format!("key?versionId={one}"), target, false).await?;
        status(&answer, 200)?;
        header(&answer, "x-amz-copy-source-version-id", &one)?;
        has_header(&answer, "x-amz-version-id")?;
        context.expect_object(target, b"one").await?;
    }
    Ok(())
}

async fn copy_onto_itself_makes_a_version(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let one = version(&context, "key", b"one").await?;
    status(&copy(&context, "key", "key", true).await?, 200)?;
    header(&context.expect_object("key", b"one").await?, "x-amz-meta-n", "1")?;
    no_header(&by_id(&context, "GET", "key", &one).await?, "x-amz-meta-n")
}

async fn copy_from_a_marker(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let marker = delete(&context, "key").await?;
    error(&copy(&context, "key", "copy", false).await?, 404, "NoSuchKey")?;
    error(&copy(&context, &format!("key?versionId={marker}"), "copy", false).await?, 400, "InvalidRequest")
}

async fn complete_makes_a_version(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let old = version(&context, "key", b"old").await?;
    let begun = context.send(context.request("POST", "key").query("uploads", "")).await?;
    let upload = element(&text(&begun), "UploadId").unwrap_or_default();
    let part = context.request("PUT", "key").query("partNumber", "1").query("uploadId", &upload).body("part");
    let etag = has_header(&context.send(part).await?, "etag")?.to_owned();
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let answer = context.send(context.request("POST", "key").query("uploadId", &upload).body(list)).await?;
    status(&answer, 200)?;
    let made = has_header(&answer, "x-amz-version-id")?;
    header(&context.expect_object("key", b"part").await?, "x-amz-version-id", made)?;
    same(text(&by_id(&context, "GET", "key", &old).await?).as_str(), "old")
}

async fn batch(context: &Context, objects: &str) -> Result<String, Failure> {
    let document = format!("<Delete>{objects}</Delete>");
    let answer =
        context.send(super::lock::with_digest(context.request("POST", "").query("delete", ""), document)).await?;
    status(&answer, 200)?;
    Ok(text(&answer))
}

async fn batch_by_version(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let id = version(&context, "key", b"x").await?;
    let marker = delete(&context, "key").await?;
    let object = |id: &str| format!("<Object><Key>key</Key><VersionId>{id}</VersionId></Object>");
    let xml = batch(&context, &(object(&id) + &object(&marker))).await?;
    same(elements(&xml, "VersionId"), vec![id, marker.clone()])?;
    same(elements(&xml, "DeleteMarkerVersionId"), vec![marker])?;
    check(elements(&listing(&context, &[]).await?, "VersionId").is_empty(), "something is left")
}

async fn batch_makes_markers(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    version(&context, "key", b"x").await?;
    let xml = batch(&context, "<Object><Key>key</Key></Object><Object><Key>none</Key></Object>").await?;
    same(elements(&xml, "DeleteMarker"), vec!["true".to_owned(), "true".to_owned()])?;
    context.expect_no_object("key").await
}

async fn bucket_with_markers_is_not_empty(context: Context) -> Result<(), Failure> {
    enable(&context).await?;
    let marker = delete(&context, "key").await?;
    error(&context.send(context.request("DELETE", "")).await?, 409, "BucketNotEmpty")?;
    status(&by_id(&context, "DELETE", "key", &marker).await?, 204)?;
    status(&context.send(context.request("DELETE", "")).await?, 204)
}

async fn status_without_value(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&configure(&context, "").await?, 400, "IllegalVersioningConfigurationException")?;
    error(&configure(&context, "<Status>enabled</Status>").await?, 400, "MalformedXML")
}

async fn mfa_delete_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let inside = "<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>";
    error(&configure(&context, inside).await?, 501, "NotImplemented")
}
