//! Every checksum algorithm on every way in and out: PUT, parts, copies, batches of headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::context::{Context, Failure, check, element, error, has_header, header, no_header, pattern, status, text};
use super::multipart::{FIVE_MIB, Upload};
use super::objects::checksums;
use crate::http::Answer;

super::cases!("checksums":
    crc32_on_a_put,
    crc32c_on_a_put,
    crc64nvme_on_a_put,
    sha1_on_a_put,
    sha256_on_a_put,
    sha512_on_a_put,
    md5_on_a_put,
    xxhash64_on_a_put,
    xxhash3_on_a_put,
    xxhash128_on_a_put,
    crc32_of_an_upload,
    crc32c_of_an_upload,
    crc64nvme_of_an_upload,
    sha1_of_an_upload,
    sha256_of_an_upload,
    sha512_of_an_upload,
    md5_of_an_upload,
    xxhash64_of_an_upload,
    xxhash3_of_an_upload,
    xxhash128_of_an_upload,
    crc32_of_a_copy,
    crc32c_of_a_copy,
    crc64nvme_of_a_copy,
    sha1_of_a_copy,
    sha256_of_a_copy,
    sha512_of_a_copy,
    md5_of_a_copy,
    xxhash64_of_a_copy,
    xxhash3_of_a_copy,
    xxhash128_of_a_copy,
    values_that_are_none_are_refused,
    an_algorithm_without_its_value_is_refused,
    an_unknown_algorithm_is_refused,
    a_range_has_no_checksum,
    a_part_of_another_algorithm_is_refused,
    a_complete_without_the_checksums_of_parts_is_refused,
    a_complete_with_a_wrong_checksum_of_a_part_is_refused,
    a_complete_with_another_checksum_of_the_object_is_refused,
    full_object_is_for_crcs_only,
    composite_is_not_for_crc64nvme,
    attributes_say_a_composite_without_its_count,
    list_parts_says_the_checksums_of_parts,
    listings_name_the_algorithm,
);

macro_rules! for_each_algorithm {
    ($($name:literal: $put:ident, $upload:ident, $copy:ident;)+) => {$(
        async fn $put(context: Context) -> Result<(), Failure> {
            on_a_put(&context, $name).await
        }

        async fn $upload(context: Context) -> Result<(), Failure> {
            of_an_upload(&context, $name).await
        }

        async fn $copy(context: Context) -> Result<(), Failure> {
            of_a_copy(&context, $name).await
        }
    )+};
}

for_each_algorithm! {
    "crc32": crc32_on_a_put, crc32_of_an_upload, crc32_of_a_copy;
    "crc32c": crc32c_on_a_put, crc32c_of_an_upload, crc32c_of_a_copy;
    "crc64nvme": crc64nvme_on_a_put, crc64nvme_of_an_upload, crc64nvme_of_a_copy;
    "sha1": sha1_on_a_put, sha1_of_an_upload, sha1_of_a_copy;
    "sha256": sha256_on_a_put, sha256_of_an_upload, sha256_of_a_copy;
    "sha512": sha512_on_a_put, sha512_of_an_upload, sha512_of_a_copy;
    "md5": md5_on_a_put, md5_of_an_upload, md5_of_a_copy;
    "xxhash64": xxhash64_on_a_put, xxhash64_of_an_upload, xxhash64_of_a_copy;
    "xxhash3": xxhash3_on_a_put, xxhash3_of_an_upload, xxhash3_of_a_copy;
    "xxhash128": xxhash128_on_a_put, xxhash128_of_an_upload, xxhash128_of_a_copy;
}

fn value_of(name: &str, bytes: &[u8]) -> String {
    let all = checksums(bytes);
    all.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value).unwrap_or_default()
}

fn header_of(name: &str) -> String {
    format!("x-amz-checksum-{name}")
}

fn element_of(name: &str) -> String {
    format!("Checksum{}", name.to_uppercase())
}

/// A HEAD that asks for the checksum.
async fn shown(context: &Context, key: &str) -> Result<Answer, Failure> {
    let answer = context.send(context.request("HEAD", key).header("x-amz-checksum-mode", "ENABLED")).await?;
    status(&answer, 200)?;
    Ok(answer)
}

async fn on_a_put(context: &Context, name: &str) -> Result<(), Failure> {
    context.create_bucket().await?;
    for size in [0, 1, 16_384, 300_001] {
        let body = pattern(size);
        let (header_name, value) = (header_of(name), value_of(name, &body));
        let put = context.request("PUT", "key").header(&header_name, &value).body(body.as_slice());
        let answer = context.send(put).await?;
        status(&answer, 200)?;
        header(&answer, &header_name, &value)?;
        let head = shown(context, "key").await?;
        header(&head, &header_name, &value)?;
        header(&head, "x-amz-checksum-type", "FULL_OBJECT")?;
        // Another value is refused, and what is there stays.
        let wrong = value_of(name, b"other bytes than these");
        let put = context.request("PUT", "key").header(&header_name, &wrong).body(body.as_slice());
        error(&context.send(put).await?, 400, "BadDigest")?;
        context.expect_object("key", &body).await?;
    }
    Ok(())
}

async fn of_an_upload(context: &Context, name: &str) -> Result<(), Failure> {
    context.create_bucket().await?;
    let composite = name != "crc64nvme";
    let upload = Upload::begin(context, "key", &[("x-amz-checksum-algorithm", &name.to_uppercase())]).await?;
    let bodies = [pattern(FIVE_MIB), pattern(1001)];
    let (mut inside, mut digests) = (String::new(), Vec::new());
    for (number, body) in (1..).zip(&bodies) {
        let value = value_of(name, body);
        let part = upload.part_request(&number.to_string()).header(&header_of(name), &value);
        let answer = context.send(part.body(body.as_slice())).await?;
        status(&answer, 200)?;
        header(&answer, &header_of(name), &value)?;
        let (etag, element) = (has_header(&answer, "etag")?, element_of(name));
        inside.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><{element}>{value}</{element}></Part>"
        ));
        digests.extend(STANDARD.decode(&value).map_err(|error| error.to_string())?);
    }
    let whole = bodies.concat();
    let (value, kind) = if composite {
        (format!("{}-2", value_of(name, &digests)), "COMPOSITE")
    } else {
        (value_of(name, &whole), "FULL_OBJECT")
    };
    let answer = context.send(upload.complete_with(&inside)).await?;
    status(&answer, 200)?;
    let said = text(&answer);
    check(element(&said, &element_of(name)).as_deref() == Some(&value), said.clone())?;
    check(element(&said, "ChecksumType").as_deref() == Some(kind), said)?;
    let head = shown(context, "key").await?;
    header(&head, &header_of(name), &value)?;
    header(&head, "x-amz-checksum-type", kind)?;
    if composite {
        let second = context.request("GET", "key").query("partNumber", "2").header("x-amz-checksum-mode", "ENABLED");
        let answer = context.send(second).await?;
        status(&answer, 206)?;
        header(&answer, &header_of(name), &value_of(name, &bodies[1]))?;
    }
    context.expect_object("key", &whole).await.map(drop)
}

async fn of_a_copy(context: &Context, name: &str) -> Result<(), Failure> {
    let body = pattern(70_000);
    context.create_object("key", &body).await?;
    let source = format!("/{}/key", context.bucket);
    let copy = |key: &str| context.request("PUT", key).header("x-amz-copy-source", &source);
    let answer = context.send(copy("copy").header("x-amz-checksum-algorithm", &name.to_uppercase())).await?;
    status(&answer, 200)?;
    let value = value_of(name, &body);
    check(element(&text(&answer), &element_of(name)).as_deref() == Some(&value), text(&answer))?;
    header(&shown(context, "copy").await?, &header_of(name), &value)?;
    // A copy of the copy keeps the algorithm.
    let source = format!("/{}/copy", context.bucket);
    let again = context.request("PUT", "again").header("x-amz-copy-source", &source);
    status(&context.send(again).await?, 200)?;
    header(&shown(context, "again").await?, &header_of(name), &value)
}

async fn values_that_are_none_are_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for (name, value) in checksums(b"body") {
        for bad in ["", "bad", "!!!!", &value[1..], &format!("{value}AAAA")] {
            let put = context.request("PUT", "key").header(&header_of(name), bad).body("body");
            error(&context.send(put).await?, 400, "InvalidRequest")
                .map_err(|failure| format!("{name} {bad:?}: {failure}"))?;
        }
    }
    context.expect_no_object("key").await
}

async fn an_algorithm_without_its_value_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let alone = context.request("PUT", "key").header("x-amz-sdk-checksum-algorithm", "SHA256").body("body");
    error(&context.send(alone).await?, 400, "InvalidRequest")?;
    let another = context
        .request("PUT", "key")
        .header("x-amz-sdk-checksum-algorithm", "SHA256")
        .header("x-amz-checksum-crc32", &value_of("crc32", b"body"))
        .body("body");
    error(&context.send(another).await?, 400, "InvalidRequest")?;
    context.expect_no_object("key").await
}

async fn an_unknown_algorithm_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("POST", "key").query("uploads", "").header("x-amz-checksum-algorithm", "ROT13");
    error(&context.send(request).await?, 400, "InvalidRequest")
}

async fn a_range_has_no_checksum(context: Context) -> Result<(), Failure> {
    context.create_object("key", &pattern(1000)).await?;
    let request = context.request("GET", "key").header("x-amz-checksum-mode", "ENABLED").header("range", "bytes=0-9");
    let answer = context.send(request).await?;
    status(&answer, 206)?;
    no_header(&answer, "x-amz-checksum-crc64nvme")
}

async fn a_part_of_another_algorithm_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let upload = Upload::begin(&context, "key", &[("x-amz-checksum-algorithm", "SHA256")]).await?;
    let part = upload.part_request("1").header("x-amz-checksum-crc32", &value_of("crc32", b"x")).body("x");
    error(&context.send(part).await?, 400, "InvalidRequest")
}

/// An upload of one part with a SHA-256, and the inside of its `Part` but for the checksum.
async fn sha256_upload(context: &Context) -> Result<(Upload, String), Failure> {
    context.create_bucket().await?;
    let upload = Upload::begin(context, "key", &[("x-amz-checksum-algorithm", "SHA256")]).await?;
    let part = upload.part_request("1").header("x-amz-checksum-sha256", &value_of("sha256", b"x")).body("x");
    let answer = context.send(part).await?;
    status(&answer, 200)?;
    let inside = format!("<PartNumber>1</PartNumber><ETag>{}</ETag>", has_header(&answer, "etag")?);
    Ok((upload, inside))
}

async fn a_complete_without_the_checksums_of_parts_is_refused(context: Context) -> Result<(), Failure> {
    let (upload, inside) = sha256_upload(&context).await?;
    let complete = upload.complete_with(&format!("<Part>{inside}</Part>"));
    error(&context.send(complete).await?, 400, "InvalidRequest")?;
    context.expect_no_object("key").await
}

async fn a_complete_with_a_wrong_checksum_of_a_part_is_refused(context: Context) -> Result<(), Failure> {
    let (upload, inside) = sha256_upload(&context).await?;
    let wrong = value_of("sha256", b"y");
    let complete = upload.complete_with(&format!("<Part>{inside}<ChecksumSHA256>{wrong}</ChecksumSHA256></Part>"));
    error(&context.send(complete).await?, 400, "InvalidPart")?;
    context.expect_no_object("key").await
}

async fn a_complete_with_another_checksum_of_the_object_is_refused(context: Context) -> Result<(), Failure> {
    let (upload, inside) = sha256_upload(&context).await?;
    let value = value_of("sha256", b"x");
    let list = format!("<Part>{inside}<ChecksumSHA256>{value}</ChecksumSHA256></Part>");
    let of_object = |value: &str| upload.complete_with(&list).header("x-amz-checksum-sha256", value);
    error(&context.send(of_object("bad")).await?, 400, "InvalidRequest")?;
    error(&context.send(of_object(&format!("{}-1", value_of("sha256", b"y")))).await?, 400, "BadDigest")?;
    context.expect_no_object("key").await?;
    let digest = STANDARD.decode(&value).map_err(|error| error.to_string())?;
    status(&context.send(of_object(&format!("{}-1", value_of("sha256", &digest)))).await?, 200)?;
    context.expect_object("key", b"x").await.map(drop)
}

async fn refused_type(context: &Context, algorithm: &str, kind: &str) -> Result<(), Failure> {
    let request = context
        .request("POST", "key")
        .query("uploads", "")
        .header("x-amz-checksum-algorithm", algorithm)
        .header("x-amz-checksum-type", kind);
    error(&context.send(request).await?, 400, "InvalidRequest")
        .map_err(|failure| format!("{algorithm}: {failure}").into())
}

async fn full_object_is_for_crcs_only(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for algorithm in ["SHA1", "SHA256", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"] {
        refused_type(&context, algorithm, "FULL_OBJECT").await?;
    }
    Ok(())
}

async fn composite_is_not_for_crc64nvme(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    refused_type(&context, "CRC64NVME", "COMPOSITE").await
}

async fn attributes_say_a_composite_without_its_count(context: Context) -> Result<(), Failure> {
    let (upload, inside) = sha256_upload(&context).await?;
    let value = value_of("sha256", b"x");
    let list = format!("<Part>{inside}<ChecksumSHA256>{value}</ChecksumSHA256></Part>");
    status(&context.send(upload.complete_with(&list)).await?, 200)?;
    let request = context
        .request("GET", "key")
        .query("attributes", "")
        .header("x-amz-object-attributes", "Checksum,ObjectParts,ObjectSize");
    let answer = context.send(request).await?;
    status(&answer, 200)?;
    let digest = STANDARD.decode(&value).map_err(|error| error.to_string())?;
    let said = text(&answer);
    check(element(&said, "ChecksumSHA256") == Some(value_of("sha256", &digest)), said.clone())?;
    check(element(&said, "ChecksumType").as_deref() == Some("COMPOSITE"), said.clone())?;
    check(element(&said, "PartsCount").or(element(&said, "TotalPartsCount")).as_deref() == Some("1"), said)
}

async fn list_parts_says_the_checksums_of_parts(context: Context) -> Result<(), Failure> {
    let (upload, _) = sha256_upload(&context).await?;
    let answer = context.send(context.request("GET", "key").query("uploadId", &upload.id)).await?;
    status(&answer, 200)?;
    let said = text(&answer);
    check(element(&said, "ChecksumSHA256") == Some(value_of("sha256", b"x")), said.clone())?;
    check(element(&said, "ChecksumAlgorithm").as_deref() == Some("SHA256"), said)
}

async fn listings_name_the_algorithm(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let put = context.request("PUT", "key").header("x-amz-checksum-sha1", &value_of("sha1", b"x")).body("x");
    status(&context.send(put).await?, 200)?;
    for (name, value) in [("list-type", "2"), ("versions", ""), ("max-keys", "5")] {
        let answer = context.send(context.request("GET", "").query(name, value)).await?;
        status(&answer, 200)?;
        let said = text(&answer);
        check(element(&said, "ChecksumAlgorithm").as_deref() == Some("SHA1"), said.clone())?;
        check(element(&said, "ChecksumType").as_deref() == Some("FULL_OBJECT"), said)?;
    }
    Ok(())
}
