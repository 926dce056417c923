//! Names of buckets and keys: which are legal, and that legal ones come back as they were sent.

use super::context::{Context, Failure, check, elements, error, status, text};
use crate::client::Request;
use crate::sign;

super::cases!("keys":
    illegal_bucket_names_are_refused,
    odd_keys_round_trip,
    key_of_1024_bytes_is_accepted,
    key_of_1025_bytes_is_refused,
    key_of_invalid_utf8_is_refused,
    key_with_nul_is_refused_or_kept,
    slashes_and_dots_are_kept_apart,
    plus_and_space_are_kept_apart,
    encoded_slash_is_a_slash,
);

async fn illegal_bucket_names_are_refused(context: Context) -> Result<(), Failure> {
    let long = "a".repeat(64);
    for name in ["ab", "UPPER", "under_score", "-start", "end-", "two..dots", "192.168.1.1", "xn--bucket", &long] {
        let answer = context.send(Request::new("PUT", name, "")).await?;
        error(&answer, 400, "InvalidBucketName").map_err(|failure| format!("{name}: {failure}"))?;
    }
    Ok(())
}

async fn odd_keys_round_trip(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let keys = [
        "a//b",
        "/leading",
        "trailing/",
        "..",
        "../up",
        "./here",
        ".",
        "a/../b",
        "with space",
        "plus+plus",
        "percent%41",
        "é漢字🦀",
        "quote'\"",
        "amp&lt<gt>",
        "back\\slash",
        "semi;colon=equals?question#hash",
        "tilde~()!*",
        "a\u{1}b",
    ];
    for (index, key) in keys.iter().enumerate() {
        let body = format!("body {index}");
        context.put(key, body.as_bytes()).await.map_err(|failure| format!("{key:?}: {failure}"))?;
    }
    for (index, key) in keys.iter().enumerate() {
        let body = format!("body {index}");
        context.expect_object(key, body.as_bytes()).await.map_err(|failure| format!("{key:?}: {failure}"))?;
    }
    let request = context.request("GET", "").query("list-type", "2").query("encoding-type", "url");
    let answer = context.send(request).await?;
    status(&answer, 200)?;
    let mut expected: Vec<&str> = keys.to_vec();
    expected.sort_unstable();
    let listed: Vec<String> = elements(&text(&answer), "Key").iter().map(|key| decode(key)).collect();
    check(listed == expected, format!("listed {listed:?}"))
}

fn decode(key: &str) -> String {
    percent_encoding::percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

async fn key_of_1024_bytes_is_accepted(context: Context) -> Result<(), Failure> {
    let key = format!("{}é", "k".repeat(1022));
    context.create_object(&key, b"body").await?;
    context.expect_object(&key, b"body").await.map(drop)
}

async fn key_of_1025_bytes_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let key = format!("{}é", "k".repeat(1023));
    error(&context.send(context.request("PUT", &key).body("x")).await?, 400, "KeyTooLongError")
}

async fn key_of_invalid_utf8_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let mut request = context.request("PUT", "k").body("x");
    request.path.push_str("%FF%FE");
    let answer = context.send(request).await?;
    status(&answer, 400)
}

async fn key_with_nul_is_refused_or_kept(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = context.send(context.request("PUT", "nul\0nul").body("x")).await?;
    match answer.head.status {
        200 => context.expect_object("nul\0nul", b"x").await.map(drop),
        _ => status(&answer, 400),
    }
}

async fn slashes_and_dots_are_kept_apart(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for key in ["a/b", "a//b", "a/./b", "a/c/../b", "/a/b", "a/b/"] {
        context.put(key, key.as_bytes()).await?;
    }
    for key in ["a/b", "a//b", "a/./b", "a/c/../b", "/a/b", "a/b/"] {
        context.expect_object(key, key.as_bytes()).await?;
    }
    Ok(())
}

async fn plus_and_space_are_kept_apart(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for key in ["a b", "a+b", "a%20b"] {
        context.put(key, key.as_bytes()).await?;
    }
    for key in ["a b", "a+b", "a%20b"] {
        context.expect_object(key, key.as_bytes()).await?;
    }
    Ok(())
}

async fn encoded_slash_is_a_slash(context: Context) -> Result<(), Failure> {
    context.create_object("a/b", b"body").await?;
    let mut request = context.request("GET", "");
    request.path = format!("/{}/{}", context.bucket, sign::encode("a/b"));
    let answer = context.send(request).await?;
    status(&answer, 200)
}
