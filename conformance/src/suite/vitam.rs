//! The calls of Programme Vitam's S3 offer, in its order: a bucket whose name has dots, a PUT in
//! signed chunks that waits for `100 Continue`, the whole object read back, a copy onto itself that adds
//! the digest, listings of a hundred, HEAD, DELETE; versioning is never on.

use super::chunked::signed_put;
use super::context::{Context, Failure, check, element, elements, error, header, pattern, status, text};
use crate::client::Request;
use crate::sign::sha256_hex;

super::cases!("vitam":
    an_object_is_deposited_as_vitam_deposits_it,
    a_listing_pages_by_a_hundred,
    an_eliminated_object_is_gone,
);

/// A bucket as Vitam names them: environment, tenant and kind, with dots.
fn dotted(context: &Context) -> String {
    let (run, rest) = context.bucket.split_once('-').unwrap_or((&context.bucket, "x"));
    format!("{run}.0.{}", rest.chars().take(40).collect::<String>().trim_end_matches('-'))
}

async fn create(context: &Context, bucket: &str) -> Result<(), Failure> {
    error(&context.send(Request::new("GET", bucket, "").query("location", "")).await?, 404, "NoSuchBucket")?;
    status(&context.send(Request::new("PUT", bucket, "")).await?, 200)?;
    status(&context.send(Request::new("HEAD", bucket, "")).await?, 200)
}

async fn an_object_is_deposited_as_vitam_deposits_it(context: Context) -> Result<(), Failure> {
    let bucket = dotted(&context);
    create(&context, &bucket).await?;
    let (key, bytes) = ("aeaaaaaaaahl2zz5ab23malq7gk3xsyaaaba", pattern(300_000));

    let request = Request::new("PUT", &bucket, key)
        .header("content-type", "application/octet-stream")
        .header("expect", "100-continue");
    let (head, body) = signed_put(&context, request, &bytes);
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(&head).await?;
    let interim = connection.head().await?;
    check(interim.status == 100, format!("{} instead of 100 Continue", interim.status))?;
    connection.send(&body).await?;
    status(&connection.answer("PUT", 1 << 20).await?, 200)?;

    let read = context.send(Request::new("GET", &bucket, key)).await?;
    status(&read, 200)?;
    check(read.body == bytes, "the object is not what was put")?;
    let etag = read.head.header("etag").unwrap_or_default().to_owned();

    let digest = sha256_hex(&bytes);
    let source = format!("/{bucket}/{key}");
    let copy = Request::new("PUT", &bucket, key)
        .header("x-amz-copy-source", &source)
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-meta-digest", &digest)
        .header("x-amz-meta-digest-type", "SHA-256");
    let copied = context.send(copy).await?;
    status(&copied, 200)?;
    check(element(&text(&copied), "ETag").as_deref() == Some(&etag), "the copy onto itself has another ETag")?;

    let head = context.send(Request::new("HEAD", &bucket, key)).await?;
    status(&head, 200)?;
    header(&head, "x-amz-meta-digest", &digest)?;
    header(&head, "x-amz-meta-digest-type", "SHA-256")?;
    header(&head, "content-length", "300000")?;
    let again = context.send(Request::new("GET", &bucket, key)).await?;
    check(again.body == bytes, "the copy onto itself changed the object")
}

async fn a_listing_pages_by_a_hundred(context: Context) -> Result<(), Failure> {
    let bucket = dotted(&context);
    create(&context, &bucket).await?;
    for n in 0..230 {
        status(&context.send(Request::new("PUT", &bucket, &format!("object-{n:03}")).body("x")).await?, 200)?;
    }
    let (mut seen, mut token) = (Vec::new(), None::<String>);
    for expected in [100, 100, 30] {
        let mut request = Request::new("GET", &bucket, "").query("list-type", "2").query("max-keys", "100");
        if let Some(token) = &token {
            request = request.query("continuation-token", token);
        }
        let answer = context.send(request).await?;
        status(&answer, 200)?;
        let page = elements(&text(&answer), "Key");
        check(page.len() == expected, format!("{} keys instead of {expected}", page.len()))?;
        seen.extend(page);
        token = element(&text(&answer), "NextContinuationToken");
    }
    check(token.is_none(), "the last page names another")?;
    check(seen.windows(2).all(|pair| pair[0] < pair[1]) && seen.len() == 230, "keys out of order or twice")
}

async fn an_eliminated_object_is_gone(context: Context) -> Result<(), Failure> {
    let bucket = dotted(&context);
    create(&context, &bucket).await?;
    status(&context.send(Request::new("PUT", &bucket, "key").body("body")).await?, 200)?;
    status(&context.send(Request::new("DELETE", &bucket, "key")).await?, 204)?;
    error(&context.send(Request::new("GET", &bucket, "key")).await?, 404, "NoSuchKey")?;
    // No version and no marker is left behind.
    let versions = text(&context.send(Request::new("GET", &bucket, "").query("versions", "")).await?);
    check(!versions.contains("<Version>") && !versions.contains("<DeleteMarker>"), versions.as_str())?;
    status(&context.send(Request::new("DELETE", &bucket, "")).await?, 204)
}
