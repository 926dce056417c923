//! ETags and checksums of multipart uploads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::context::{Context, Failure, check, element, error, has_header, header, pattern, status, text};
use super::multipart::{FIVE_MIB, Upload, begin, completed};
use super::objects::checksums;

super::cases!("multipart_checksums":
    etag_is_the_md5_of_md5s,
    composite_checksum,
    full_object_checksum,
    default_checksum_of_an_upload,
    wrong_part_checksum_is_refused,
);

async fn etag_is_the_md5_of_md5s(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let (one, two) = (pattern(FIVE_MIB), b"two");
    let parts = [upload.put(1, &one).await?, upload.put(2, two).await?];
    let answer = upload.complete(&parts).await?;
    completed(&answer)?;
    let mut digests = Md5::digest(&one).to_vec();
    digests.extend_from_slice(&Md5::digest(two));
    let expected = format!("\"{}-2\"", hex::encode(Md5::digest(&digests)));
    check(element(&text(&answer), "ETag").as_deref() == Some(&expected), text(&answer))?;
    header(&context.send(context.request("HEAD", "key")).await?, "etag", &expected)
}

async fn composite_checksum(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let upload = Upload::begin(&context, "key", &[("x-amz-checksum-algorithm", "SHA256")]).await?;
    let (one, two) = (pattern(FIVE_MIB), b"two".to_vec());
    let mut inside = String::new();
    let mut digests = Vec::new();
    for (number, body) in [(1, &one), (2, &two)] {
        let value = checksums(body)[4].1.clone();
        let request =
            upload.part_request(&number.to_string()).header("x-amz-checksum-sha256", &value).body(body.as_slice());
        let answer = context.send(request).await?;
        status(&answer, 200)?;
        header(&answer, "x-amz-checksum-sha256", &value)?;
        let etag = has_header(&answer, "etag")?;
        inside.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><ChecksumSHA256>{value}</ChecksumSHA256></Part>"
        ));
        digests.extend(STANDARD.decode(&value).map_err(|error| error.to_string())?);
    }
    completed(&context.send(upload.complete_with(&inside)).await?)?;
    let head = context.send(context.request("HEAD", "key").header("x-amz-checksum-mode", "ENABLED")).await?;
    header(&head, "x-amz-checksum-sha256", &format!("{}-2", checksums(&digests)[4].1))?;
    header(&head, "x-amz-checksum-type", "COMPOSITE")
}

async fn full_object_checksum(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for (index, name) in [(0, "CRC32"), (1, "CRC32C"), (2, "CRC64NVME")] {
        let headers = [("x-amz-checksum-algorithm", name), ("x-amz-checksum-type", "FULL_OBJECT")];
        let upload = Upload::begin(&context, name, &headers).await?;
        let (one, two) = (pattern(FIVE_MIB), pattern(777));
        let parts = [upload.put(1, &one).await?, upload.put(2, &two).await?];
        completed(&upload.complete(&parts).await?)?;
        let head = context.send(context.request("HEAD", name).header("x-amz-checksum-mode", "ENABLED")).await?;
        let (header_name, value) = checksums(&[one, two].concat())[index].clone();
        header(&head, &format!("x-amz-checksum-{header_name}"), &value)?;
        header(&head, "x-amz-checksum-type", "FULL_OBJECT")?;
    }
    Ok(())
}

async fn default_checksum_of_an_upload(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let (one, two) = (pattern(FIVE_MIB), pattern(777));
    let parts = [upload.put(1, &one).await?, upload.put(2, &two).await?];
    completed(&upload.complete(&parts).await?)?;
    let head = context.send(context.request("HEAD", "key").header("x-amz-checksum-mode", "ENABLED")).await?;
    header(&head, "x-amz-checksum-crc64nvme", &checksums(&[one, two].concat())[2].1)
}

async fn wrong_part_checksum_is_refused(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let value = checksums(b"other")[0].1.clone();
    let answer = context.send(upload.part_request("1").header("x-amz-checksum-crc32", &value).body("body")).await?;
    error(&answer, 400, "BadDigest")
}
