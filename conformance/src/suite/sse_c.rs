//! Customer keys: what they open, and every way to misuse them. All cases but one need TLS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::context::{
    Context, Failure, check, element, error, has_header, header, no_header, pattern, same_bytes, status, text,
};
use super::multipart::Upload;
use crate::client::Request;

super::cases!("sse_c":
    object_round_trips_with_its_key,
    answer_echoes_algorithm_and_md5_only,
    read_without_key_is_refused,
    read_with_another_key_is_refused,
    key_for_an_object_without_is_refused,
    misuse_of_the_headers,
    with_server_side_encryption_header_is_refused,
    plain_http_is_refused,
    etag_is_no_md5,
    range_and_head_need_the_key,
    attributes_need_the_key,
    multipart_round_trips,
    part_without_key_is_refused,
    part_with_another_key_is_refused,
    part_with_key_on_a_plain_upload_is_refused,
    copy_from_and_to_keys,
    self_copy_rotates_the_key,
    delete_and_list_need_no_key,
);

const PREFIX: &str = "x-amz-server-side-encryption-customer";
const SOURCE_PREFIX: &str = "x-amz-copy-source-server-side-encryption-customer";

type Headers = Vec<(String, String)>;

fn trio(prefix: &str, key: &[u8]) -> Headers {
    vec![
        (format!("{prefix}-algorithm"), "AES256".to_owned()),
        (format!("{prefix}-key"), STANDARD.encode(key)),
        (format!("{prefix}-key-md5"), STANDARD.encode(Md5::digest(key))),
    ]
}

fn with(mut request: Request, headers: &[(String, String)]) -> Request {
    request.headers.extend(headers.iter().cloned());
    request
}

const KEY: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];

fn keyed(request: Request) -> Request {
    with(request, &trio(PREFIX, &KEY))
}

async fn sealed_object(context: &Context, body: &[u8]) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&context.send(keyed(context.request("PUT", "key").body(body))).await?, 200)
}

async fn object_round_trips_with_its_key(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    context.create_bucket().await?;
    for size in [0, 1, 5000, 16_384, 100_000, 2_000_000] {
        let body = pattern(size);
        status(&context.send(keyed(context.request("PUT", "key").body(body.as_slice()))).await?, 200)?;
        let answer = context.send(keyed(context.request("GET", "key"))).await?;
        status(&answer, 200)?;
        same_bytes(&answer.body, &body)?;
    }
    Ok(())
}

async fn answer_echoes_algorithm_and_md5_only(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    context.create_bucket().await?;
    let put = context.send(keyed(context.request("PUT", "key").body("body"))).await?;
    let get = context.send(keyed(context.request("GET", "key"))).await?;
    for answer in [put, get] {
        header(&answer, &format!("{PREFIX}-algorithm"), "AES256")?;
        header(&answer, &format!("{PREFIX}-key-md5"), &STANDARD.encode(Md5::digest(KEY)))?;
        no_header(&answer, &format!("{PREFIX}-key"))?;
        no_header(&answer, "x-amz-server-side-encryption")?;
    }
    Ok(())
}

async fn read_without_key_is_refused(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    sealed_object(&context, b"body").await?;
    error(&context.send(context.request("GET", "key")).await?, 400, "InvalidRequest")?;
    status(&context.send(context.request("HEAD", "key")).await?, 400)
}

async fn read_with_another_key_is_refused(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    sealed_object(&context, &pattern(100_000)).await?;
    let answer = context.send(with(context.request("GET", "key"), &trio(PREFIX, &OTHER))).await?;
    error(&answer, 403, "AccessDenied")?;
    status(&context.send(with(context.request("HEAD", "key"), &trio(PREFIX, &OTHER))).await?, 403)
}

async fn key_for_an_object_without_is_refused(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    context.create_object("key", b"body").await?;
    error(&context.send(keyed(context.request("GET", "key"))).await?, 400, "InvalidRequest")
}

async fn misuse_of_the_headers(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    context.create_bucket().await?;
    let good = trio(PREFIX, &KEY);
    let changed = |index: usize, value: &str| {
        let mut headers = good.clone();
        headers[index].1 = value.to_owned();
        headers
    };
    let without = |indexes: &[usize]| {
        good.iter()
            .enumerate()
            .filter(|(index, _)| !indexes.contains(index))
            .map(|(_, header)| header.clone())
            .collect()
    };
    let short = trio(PREFIX, &KEY[..31]);
    let wrong: [(&str, Headers, &str); 7] = [
        ("no algorithm", without(&[0]), "InvalidArgument"),
        ("another algorithm", changed(0, "AES128"), "InvalidEncryptionAlgorithmError"),
        ("no key", without(&[1, 2]), "InvalidArgument"),
        ("no MD5", without(&[2]), "InvalidArgument"),
        ("wrong MD5", changed(2, &STANDARD.encode([0; 16])), "InvalidArgument"),
        ("short key", short, "InvalidArgument"),
        ("key that is no base64", changed(1, "not base64"), "InvalidArgument"),
    ];
    for (what, headers, code) in wrong {
        let answer = context.send(with(context.request("PUT", "key").body("body"), &headers)).await?;
        error(&answer, 400, code).map_err(|failure| format!("{what}: {failure}"))?;
    }
    context.expect_no_object("key").await
}

async fn with_server_side_encryption_header_is_refused(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    context.create_bucket().await?;
    let request = keyed(context.request("PUT", "key").header("x-amz-server-side-encryption", "AES256").body("body"));
    error(&context.send(request).await?, 400, "InvalidArgument")
}

/// The only case that needs plain HTTP.
async fn plain_http_is_refused(context: Context) -> Result<(), Failure> {
    context.needs_plain_http()?;
    context.create_bucket().await?;
    error(&context.send(keyed(context.request("PUT", "key").body("body"))).await?, 400, "InvalidRequest")?;
    context.expect_no_object("key").await
}

async fn etag_is_no_md5(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    context.create_bucket().await?;
    let put = || context.send(keyed(context.request("PUT", "key").body("body")));
    let (one, two) = (put().await?, put().await?);
    let digest = hex::encode(Md5::digest(b"body"));
    check(!has_header(&one, "etag")?.contains(&digest), "the ETag is the plaintext's MD5")?;
    check(has_header(&one, "etag")? != has_header(&two, "etag")?, "the same ETag twice tells that the bytes are equal")
}

async fn range_and_head_need_the_key(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    let body = pattern(200_000);
    sealed_object(&context, &body).await?;
    let range = context.request("GET", "key").header("range", "bytes=16000-17000");
    error(&context.send(range.clone()).await?, 400, "InvalidRequest")?;
    let answer = context.send(keyed(range)).await?;
    status(&answer, 206)?;
    same_bytes(&answer.body, &body[16_000..=17_000])?;
    let head = context.send(keyed(context.request("HEAD", "key"))).await?;
    status(&head, 200)?;
    header(&head, "content-length", "200000")
}

async fn attributes_need_the_key(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    sealed_object(&context, b"body").await?;
    let request = context.request("GET", "key").query("attributes", "").header("x-amz-object-attributes", "ObjectSize");
    status(&context.send(request.clone()).await?, 400)?;
    status(&context.send(keyed(request)).await?, 200)
}

async fn begin_keyed(context: &Context) -> Result<Upload, Failure> {
    context.create_bucket().await?;
    keyed_upload(context).await
}

async fn keyed_upload(context: &Context) -> Result<Upload, Failure> {
    let headers = trio(PREFIX, &KEY);
    let borrowed: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Ok(Upload::begin(context, "key", &borrowed).await?.with_part_headers(&headers))
}

/// Complete comes without the key, as most clients send it.
async fn multipart_round_trips(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    let upload = begin_keyed(&context).await?;
    let body = pattern((5 << 20) + 70_000);
    let parts = [upload.put(1, &body[..5 << 20]).await?, upload.put(2, &body[5 << 20..]).await?];
    let answer = upload.complete(&parts).await?;
    status(&answer, 200)?;
    check(!text(&answer).contains("<Error>"), text(&answer))?;
    let answer = context.send(keyed(context.request("GET", "key"))).await?;
    status(&answer, 200)?;
    same_bytes(&answer.body, &body)?;
    error(&context.send(context.request("GET", "key")).await?, 400, "InvalidRequest")?;
    // A Complete that brings the key shows which one it was.
    let again = keyed_upload(&context).await?;
    let parts = [again.put(1, b"x").await?];
    let answer = context.send(keyed(again.complete_request(&parts))).await?;
    status(&answer, 200)?;
    header(&answer, &format!("{PREFIX}-key-md5"), &STANDARD.encode(Md5::digest(KEY)))
}

async fn part_without_key_is_refused(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    let upload = begin_keyed(&context).await?.with_part_headers(&[]);
    error(&context.send(upload.part_request("1").body("x")).await?, 400, "InvalidRequest")
}

async fn part_with_another_key_is_refused(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    let upload = begin_keyed(&context).await?.with_part_headers(&trio(PREFIX, &OTHER));
    error(&context.send(upload.part_request("1").body("x")).await?, 400, "InvalidRequest")
}

async fn part_with_key_on_a_plain_upload_is_refused(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    context.create_bucket().await?;
    let upload = Upload::begin(&context, "key", &[]).await?.with_part_headers(&trio(PREFIX, &KEY));
    error(&context.send(upload.part_request("1").body("x")).await?, 400, "InvalidRequest")
}

async fn copy_from_and_to_keys(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    let body = pattern(300_000);
    sealed_object(&context, &body).await?;
    let copy = |key: &str| context.request("PUT", key).header("x-amz-copy-source", &format!("/{}/key", context.bucket));
    error(&context.send(copy("none")).await?, 400, "InvalidRequest")?;
    error(&context.send(with(copy("wrong"), &trio(SOURCE_PREFIX, &OTHER))).await?, 403, "AccessDenied")?;
    status(&context.send(with(copy("opened"), &trio(SOURCE_PREFIX, &KEY))).await?, 200)?;
    context.expect_object("opened", &body).await?;
    let both = with(with(copy("resealed"), &trio(SOURCE_PREFIX, &KEY)), &trio(PREFIX, &OTHER));
    status(&context.send(both).await?, 200)?;
    let answer = context.send(with(context.request("GET", "resealed"), &trio(PREFIX, &OTHER))).await?;
    status(&answer, 200)?;
    same_bytes(&answer.body, &body)
}

async fn self_copy_rotates_the_key(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    let body = pattern(300_000);
    sealed_object(&context, &body).await?;
    let copy = context.request("PUT", "key").header("x-amz-copy-source", &format!("/{}/key", context.bucket));
    let copy = with(with(copy, &trio(SOURCE_PREFIX, &KEY)), &trio(PREFIX, &OTHER));
    let answer = context.send(copy).await?;
    status(&answer, 200)?;
    check(element(&text(&answer), "ETag").is_some(), text(&answer))?;
    error(&context.send(keyed(context.request("GET", "key"))).await?, 403, "AccessDenied")?;
    let answer = context.send(with(context.request("GET", "key"), &trio(PREFIX, &OTHER))).await?;
    status(&answer, 200)?;
    same_bytes(&answer.body, &body)
}

async fn delete_and_list_need_no_key(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    sealed_object(&context, &pattern(1234)).await?;
    let xml = text(&context.send(context.request("GET", "").query("list-type", "2")).await?);
    check(element(&xml, "Size").as_deref() == Some("1234"), xml)?;
    status(&context.send(context.request("DELETE", "key")).await?, 204)?;
    context.expect_no_object("key").await
}
