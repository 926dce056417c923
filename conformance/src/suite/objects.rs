//! Objects: what is stored comes back, with its headers, in ranges, copied, checked, removed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, checksum};
use md5::{Digest as _, Md5};
use ring::digest;

use super::context::{
    Context, Failure, check, element, elements, error, has_header, header, no_header, pattern, same_bytes, status, text,
};
use crate::http::Answer;

super::cases!("objects":
    sizes_around_every_boundary_round_trip,
    etag_is_the_md5,
    metadata_and_content_headers_come_back,
    head_answers_as_get_without_a_body,
    overwrite_replaces,
    delete_is_idempotent,
    ranges,
    range_beyond_the_end_is_refused,
    malformed_range_is_ignored,
    part_number_of_a_single_put,
    response_overrides,
    content_md5_is_checked,
    each_checksum_algorithm_is_stored_and_answered,
    wrong_checksum_is_refused,
    two_checksums_are_refused,
    default_checksum_is_crc64nvme,
    copy_to_another_key,
    copy_replaces_metadata,
    self_copy_without_change_is_refused,
    self_copy_with_replace,
    copy_of_no_source,
    copy_source_conditions,
    delete_objects_many,
    delete_objects_quiet,
    delete_objects_without_digest_is_refused,
    delete_objects_over_a_thousand_is_refused,
    attributes,
    metadata_too_large_is_refused,
    tags_come_with_the_object,
    keep_alive_connection_serves_many,
);

async fn sizes_around_every_boundary_round_trip(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let around = [1, 8104, 8192, 16_384, 32_768, 65_536, 65_536 * 4, 1 << 20, 3 << 20];
    let sizes = around.iter().flat_map(|size| [size - 1, *size, size + 1]).collect::<Vec<usize>>();
    for &size in &sizes {
        let body = pattern(size);
        context.put(&format!("size/{size}"), &body).await?;
        context.expect_object(&format!("size/{size}"), &body).await.map_err(|failure| format!("{size}: {failure}"))?;
    }
    Ok(())
}

async fn etag_is_the_md5(context: Context) -> Result<(), Failure> {
    let body = pattern(100_000);
    let answer = context.create_object("key", &body).await?;
    header(&answer, "etag", &format!("\"{}\"", hex::encode(Md5::digest(&body))))
}

async fn metadata_and_content_headers_come_back(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let sent = [
        ("content-type", "application/x-charter"),
        ("cache-control", "no-cache"),
        ("content-disposition", "attachment; filename=\"charter.txt\""),
        ("content-encoding", "identity"),
        ("content-language", "fr"),
        ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
        ("x-amz-meta-cote", "3 E 12/4"),
        ("x-amz-meta-empty", ""),
    ];
    let mut request = context.request("PUT", "key").body("body");
    for (name, value) in sent {
        request = request.header(name, value);
    }
    status(&context.send(request).await?, 200)?;
    let answer = context.send(context.request("GET", "key")).await?;
    for (name, value) in sent {
        header(&answer, name, value)?;
    }
    has_header(&answer, "last-modified")?;
    header(&answer, "accept-ranges", "bytes")
}

async fn head_answers_as_get_without_a_body(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"four").await?;
    let head = context.send(context.request("HEAD", "key")).await?;
    let get = context.send(context.request("GET", "key")).await?;
    status(&head, 200)?;
    for name in ["etag", "content-length", "content-type", "last-modified", "accept-ranges"] {
        header(&head, name, has_header(&get, name)?)?;
    }
    status(&context.send(context.request("HEAD", "no")).await?, 404)
}

async fn overwrite_replaces(context: Context) -> Result<(), Failure> {
    context.create_object("key", &pattern(100_000)).await?;
    context.put("key", b"short").await?;
    context.expect_object("key", b"short").await?;
    context.put("key", &pattern(2 << 20)).await?;
    context.expect_object("key", &pattern(2 << 20)).await.map(drop)
}

async fn delete_is_idempotent(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    status(&context.send(context.request("DELETE", "key")).await?, 204)?;
    context.expect_no_object("key").await?;
    status(&context.send(context.request("DELETE", "key")).await?, 204)
}

async fn range(context: &Context, value: &str) -> Result<Answer, Failure> {
    context.send(context.request("GET", "key").header("range", value)).await
}

async fn ranges(context: Context) -> Result<(), Failure> {
    let body = pattern(3_000_000);
    let last = body.len() - 1;
    context.create_object("key", &body).await?;
    for (from, to) in [
        (0, 0),
        (0, 16_383),
        (16_383, 16_384),
        (16_384, 32_767),
        (100, 1_048_700),
        (2_999_999, last),
        (65_535, 262_145),
    ] {
        let answer = range(&context, &format!("bytes={from}-{to}")).await?;
        status(&answer, 206)?;
        header(&answer, "content-range", &format!("bytes {from}-{to}/{}", body.len()))?;
        same_bytes(&answer.body, &body[from..=to]).map_err(|failure| format!("{from}-{to}: {failure}"))?;
    }
    let answer = range(&context, "bytes=2999990-").await?;
    status(&answer, 206)?;
    same_bytes(&answer.body, &body[2_999_990..])?;
    let answer = range(&context, "bytes=-100").await?;
    status(&answer, 206)?;
    same_bytes(&answer.body, &body[body.len() - 100..])?;
    let answer = range(&context, "bytes=10-99999999").await?;
    status(&answer, 206)?;
    same_bytes(&answer.body, &body[10..])
}

async fn range_beyond_the_end_is_refused(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"0123456789").await?;
    let answer = range(&context, "bytes=10-").await?;
    error(&answer, 416, "InvalidRange")?;
    header(&answer, "content-range", "bytes */10")?;
    error(&range(&context, "bytes=-0").await?, 416, "InvalidRange")
}

async fn malformed_range_is_ignored(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"0123456789").await?;
    for value in ["bytes=5-2", "bytes=a-b", "lines=0-1", "bytes"] {
        let answer = range(&context, value).await?;
        status(&answer, 200).map_err(|failure| format!("{value}: {failure}"))?;
        same_bytes(&answer.body, b"0123456789")?;
    }
    Ok(())
}

async fn part_number_of_a_single_put(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let answer = context.send(context.request("GET", "key").query("partNumber", "1")).await?;
    status(&answer, 206)?;
    same_bytes(&answer.body, b"body")?;
    let answer = context.send(context.request("GET", "key").query("partNumber", "2")).await?;
    error(&answer, 416, "InvalidPartNumber")
}

async fn response_overrides(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let answer = context
        .send(
            context
                .request("GET", "key")
                .query("response-content-type", "text/x-other")
                .query("response-content-disposition", "inline"),
        )
        .await?;
    status(&answer, 200)?;
    header(&answer, "content-type", "text/x-other")?;
    header(&answer, "content-disposition", "inline")
}

async fn content_md5_is_checked(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let good = STANDARD.encode(Md5::digest(b"body"));
    let bad = STANDARD.encode(Md5::digest(b"else"));
    let put = |digest: &str| context.request("PUT", "key").header("content-md5", digest).body("body");
    error(&context.send(put(&bad)).await?, 400, "BadDigest")?;
    error(&context.send(put("not base64!")).await?, 400, "InvalidDigest")?;
    context.expect_no_object("key").await?;
    status(&context.send(put(&good)).await?, 200)
}

fn sha(algorithm: &'static digest::Algorithm, bytes: &[u8]) -> String {
    STANDARD.encode(digest::digest(algorithm, bytes))
}

/// Each algorithm's header name, and its value over these bytes.
pub(super) fn checksums(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let crc32 = |algorithm| STANDARD.encode((checksum(algorithm, bytes) as u32).to_be_bytes());
    let sha1 = {
        use sha1::Digest as _;
        STANDARD.encode(sha1::Sha1::digest(bytes))
    };
    vec![
        ("crc32", crc32(CrcAlgorithm::Crc32IsoHdlc)),
        ("crc32c", crc32(CrcAlgorithm::Crc32Iscsi)),
        ("crc64nvme", STANDARD.encode(checksum(CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes())),
        ("sha1", sha1),
        ("sha256", sha(&digest::SHA256, bytes)),
        ("sha512", sha(&digest::SHA512, bytes)),
        ("md5", STANDARD.encode(Md5::digest(bytes))),
        ("xxhash64", STANDARD.encode(xxhash_rust::xxh64::xxh64(bytes, 0).to_be_bytes())),
        ("xxhash3", STANDARD.encode(xxhash_rust::xxh3::xxh3_64(bytes).to_be_bytes())),
        ("xxhash128", STANDARD.encode(xxhash_rust::xxh3::xxh3_128(bytes).to_be_bytes())),
    ]
}

async fn each_checksum_algorithm_is_stored_and_answered(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let body = pattern(50_000);
    for (name, value) in checksums(&body) {
        let header_name = format!("x-amz-checksum-{name}");
        let request = context.request("PUT", name).header(&header_name, &value).body(body.as_slice());
        let answer = context.send(request).await?;
        status(&answer, 200).map_err(|failure| format!("{name}: {failure}"))?;
        header(&answer, &header_name, &value)?;
        let head = context.send(context.request("HEAD", name).header("x-amz-checksum-mode", "ENABLED")).await?;
        header(&head, &header_name, &value)?;
        header(&head, "x-amz-checksum-type", "FULL_OBJECT")?;
        let plain = context.send(context.request("HEAD", name)).await?;
        no_header(&plain, &header_name)?;
    }
    Ok(())
}

async fn wrong_checksum_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for (name, value) in checksums(b"other bytes") {
        let header_name = format!("x-amz-checksum-{name}");
        let answer = context.send(context.request("PUT", "key").header(&header_name, &value).body("body")).await?;
        error(&answer, 400, "BadDigest").map_err(|failure| format!("{name}: {failure}"))?;
    }
    context.expect_no_object("key").await
}

async fn two_checksums_are_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let values = checksums(b"body");
    let request = context
        .request("PUT", "key")
        .header("x-amz-checksum-crc32", &values[0].1)
        .header("x-amz-checksum-sha256", &values[4].1)
        .body("body");
    error(&context.send(request).await?, 400, "InvalidRequest")
}

async fn default_checksum_is_crc64nvme(context: Context) -> Result<(), Failure> {
    let body = pattern(20_000);
    context.create_object("key", &body).await?;
    let head = context.send(context.request("HEAD", "key").header("x-amz-checksum-mode", "ENABLED")).await?;
    header(&head, "x-amz-checksum-crc64nvme", &checksums(&body)[2].1)
}

async fn copy_to_another_key(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let body = pattern(400_000);
    let put = context.request("PUT", "a b/source é").header("x-amz-meta-kept", "yes").body(body.as_slice());
    status(&context.send(put).await?, 200)?;
    let source = format!("/{}/a%20b/source%20%C3%A9", context.bucket);
    let answer = context.send(context.request("PUT", "copy").header("x-amz-copy-source", &source)).await?;
    status(&answer, 200)?;
    check(element(&text(&answer), "ETag").is_some(), "no ETag in the answer")?;
    let got = context.expect_object("copy", &body).await?;
    header(&got, "x-amz-meta-kept", "yes")
}

async fn copy_replaces_metadata(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let put = context.request("PUT", "source").header("x-amz-meta-old", "yes").body("body");
    status(&context.send(put).await?, 200)?;
    let copy = context
        .request("PUT", "copy")
        .header("x-amz-copy-source", &format!("{}/source", context.bucket))
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-meta-new", "yes")
        .header("content-type", "text/x-new");
    status(&context.send(copy).await?, 200)?;
    let got = context.expect_object("copy", b"body").await?;
    no_header(&got, "x-amz-meta-old")?;
    header(&got, "x-amz-meta-new", "yes")?;
    header(&got, "content-type", "text/x-new")
}

async fn self_copy_without_change_is_refused(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let copy = context.request("PUT", "key").header("x-amz-copy-source", &format!("/{}/key", context.bucket));
    error(&context.send(copy).await?, 400, "InvalidRequest")
}

async fn self_copy_with_replace(context: Context) -> Result<(), Failure> {
    let body = pattern(1_500_000);
    context.create_object("key", &body).await?;
    let copy = context
        .request("PUT", "key")
        .header("x-amz-copy-source", &format!("/{}/key", context.bucket))
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-meta-digest", "abc");
    status(&context.send(copy).await?, 200)?;
    let got = context.expect_object("key", &body).await?;
    header(&got, "x-amz-meta-digest", "abc")
}

async fn copy_of_no_source(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let copy = |source: &str| context.request("PUT", "copy").header("x-amz-copy-source", source);
    error(&context.send(copy(&format!("/{}/no", context.bucket))).await?, 404, "NoSuchKey")?;
    error(&context.send(copy("/no-such-bucket-at-all/no")).await?, 404, "NoSuchBucket")?;
    error(&context.send(copy("nonsense")).await?, 400, "InvalidArgument")
}

async fn copy_source_conditions(context: Context) -> Result<(), Failure> {
    let put = context.create_object("source", b"body").await?;
    let etag = has_header(&put, "etag")?.to_owned();
    let copy = |name: &str, value: &str| {
        context
            .request("PUT", "copy")
            .header("x-amz-copy-source", &format!("/{}/source", context.bucket))
            .header(name, value)
    };
    error(&context.send(copy("x-amz-copy-source-if-match", "\"other\"")).await?, 412, "PreconditionFailed")?;
    error(&context.send(copy("x-amz-copy-source-if-none-match", &etag)).await?, 412, "PreconditionFailed")?;
    let past = "Wed, 21 Oct 2015 07:28:00 GMT";
    error(&context.send(copy("x-amz-copy-source-if-unmodified-since", past)).await?, 412, "PreconditionFailed")?;
    status(&context.send(copy("x-amz-copy-source-if-match", &etag)).await?, 200)?;
    status(&context.send(copy("x-amz-copy-source-if-modified-since", past)).await?, 200)
}

async fn delete_objects(context: &Context, inside: &str) -> Result<Answer, Failure> {
    let xml = format!("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inside}</Delete>");
    let digest = STANDARD.encode(Md5::digest(&xml));
    context.send(context.request("POST", "").query("delete", "").header("content-md5", &digest).body(xml)).await
}

async fn delete_objects_many(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let mut inside = String::new();
    for index in 0..30 {
        context.put(&format!("k&{index}"), b"x").await?;
        inside.push_str(&format!("<Object><Key>k&amp;{index}</Key></Object>"));
    }
    inside.push_str("<Object><Key>never there</Key></Object>");
    let answer = delete_objects(&context, &inside).await?;
    status(&answer, 200)?;
    check(elements(&text(&answer), "Deleted").len() == 31, text(&answer))?;
    for index in 0..30 {
        context.expect_no_object(&format!("k&{index}")).await?;
    }
    Ok(())
}

async fn delete_objects_quiet(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    let answer = delete_objects(&context, "<Quiet>true</Quiet><Object><Key>key</Key></Object>").await?;
    status(&answer, 200)?;
    check(elements(&text(&answer), "Deleted").is_empty(), text(&answer))?;
    context.expect_no_object("key").await
}

async fn delete_objects_without_digest_is_refused(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    let xml = "<Delete><Object><Key>key</Key></Object></Delete>";
    let answer = context.send(context.request("POST", "").query("delete", "").body(xml)).await?;
    status(&answer, 400)?;
    context.expect_object("key", b"x").await.map(drop)
}

async fn delete_objects_over_a_thousand_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let inside = "<Object><Key>k</Key></Object>".repeat(1001);
    error(&delete_objects(&context, &inside).await?, 400, "MalformedXML")
}

async fn attributes(context: Context) -> Result<(), Failure> {
    let body = pattern(10_000);
    let put = context.create_object("key", &body).await?;
    let request = context
        .request("GET", "key")
        .query("attributes", "")
        .header("x-amz-object-attributes", "ETag,Checksum,ObjectSize,StorageClass,ObjectParts");
    let answer = context.send(request).await?;
    status(&answer, 200)?;
    let xml = text(&answer);
    check(element(&xml, "ObjectSize").as_deref() == Some("10000"), xml.clone())?;
    let etag = has_header(&put, "etag")?.trim_matches('"').to_owned();
    check(element(&xml, "ETag") == Some(etag), format!("the ETag here has no quotes: {xml}"))?;
    check(element(&xml, "ChecksumCRC64NVME").is_some(), xml)?;
    let none = context.send(context.request("GET", "key").query("attributes", "")).await?;
    status(&none, 400)
}

async fn metadata_too_large_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("PUT", "key").header("x-amz-meta-a", &"x".repeat(2049)).body("body");
    error(&context.send(request).await?, 400, "MetadataTooLarge")
}

async fn tags_come_with_the_object(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("PUT", "key").header("x-amz-tagging", "a=b").body("body");
    status(&context.send(request).await?, 200)?;
    let answer = context.send(context.request("GET", "key").query("tagging", "")).await?;
    status(&answer, 200)?;
    let tags = text(&answer);
    check(tags.contains("<Tag><Key>a</Key><Value>b</Value></Tag>"), &tags)?;
    let answer = context.send(context.request("HEAD", "key")).await?;
    header(&answer, "x-amz-tagging-count", "1")
}

/// Steps of 40 ms here are Nagle's algorithm against delayed acknowledgements.
async fn keep_alive_connection_serves_many(context: Context) -> Result<(), Failure> {
    let body = pattern(4096);
    context.create_object("key", &body).await?;
    let mut connection = context.client.endpoint.connect().await?;
    let mut slow = 0;
    for _ in 0..100 {
        let start = std::time::Instant::now();
        let answer = context.client.send_on(&mut connection, &context.request("GET", "key")).await?;
        status(&answer, 200)?;
        same_bytes(&answer.body, &body)?;
        slow += usize::from(start.elapsed().as_millis() >= 38);
    }
    check(slow < 30, format!("{slow} of 100 small GETs took 38 ms or more"))
}
