//! Quotas of buckets and accounts, which the administrator sets: what is refused over them, and what is not.

use super::context::{Context, Failure, check, error, status, text};
use super::multipart::Upload;
use crate::admin::Admin;

super::cases!("quotas":
    a_bucket_takes_no_byte_more,
    a_bucket_takes_no_object_more,
    what_replaces_counts_for_what_it_adds,
    what_is_removed_makes_room,
    versions_count_and_markers_are_never_refused,
    a_copy_counts_as_a_write,
    an_upload_counts_when_it_is_complete,
    a_quota_that_is_lifted_is_no_more,
    an_account_takes_no_byte_more_in_all_its_buckets,
    what_is_held_is_shown,
);

/// Creates this case's bucket with a quota.
async fn bounded(context: &Context, limits: &str) -> Result<Admin, Failure> {
    let admin = context.needs_admin()?.clone();
    context.create_bucket().await?;
    set(&admin, context, limits).await?;
    Ok(admin)
}

async fn set(admin: &Admin, context: &Context, limits: &str) -> Result<(), Failure> {
    let answer = admin.send("POST", &format!("/buckets/{}/quota", context.bucket), limits).await?;
    status(&answer, 200)
}

async fn refused(context: &Context, key: &str, body: &str) -> Result<(), Failure> {
    error(&context.send(context.request("PUT", key).body(body)).await?, 403, "QuotaExceeded")?;
    context.expect_no_object(key).await
}

async fn a_bucket_takes_no_byte_more(context: Context) -> Result<(), Failure> {
    bounded(&context, r#"{"max_bytes":10}"#).await?;
    context.put("a", b"123456").await?;
    refused(&context, "b", "12345").await?;
    context.put("b", b"1234").await?;
    refused(&context, "c", "1").await?;
    // What takes nothing is within any number of bytes.
    context.put("d", b"").await.map(drop)
}

async fn a_bucket_takes_no_object_more(context: Context) -> Result<(), Failure> {
    bounded(&context, r#"{"max_objects":2}"#).await?;
    context.put("a", b"1").await?;
    context.put("b", b"1").await?;
    refused(&context, "c", "").await
}

async fn what_replaces_counts_for_what_it_adds(context: Context) -> Result<(), Failure> {
    bounded(&context, r#"{"max_bytes":1000000,"max_objects":2}"#).await?;
    context.put("a", b"1").await?;
    context.put("b", b"1").await?;
    error(&context.send(context.request("PUT", "c").body("1")).await?, 403, "QuotaExceeded")?;
    context.expect_object("a", b"1").await.map(drop)
}

async fn what_is_removed_makes_room(context: Context) -> Result<(), Failure> {
    bounded(&context, r#"{"max_bytes":5}"#).await?;
    context.put("a", b"12345").await?;
    refused(&context, "b", "1").await?;
    status(&context.send(context.request("DELETE", "a")).await?, 204)?;
    context.put("b", b"12345").await.map(drop)
}

async fn versions_count_and_markers_are_never_refused(context: Context) -> Result<(), Failure> {
    bounded(&context, r#"{"max_objects":2}"#).await?;
    let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    status(&context.set("versioning", enabled).await?, 200)?;
    context.put("a", b"1").await?;
    context.put("a", b"2").await?;
    error(&context.send(context.request("PUT", "a").body("3")).await?, 403, "QuotaExceeded")?;
    context.expect_object("a", b"2").await?;
    status(&context.send(context.request("DELETE", "a")).await?, 204)?;
    context.expect_no_object("a").await
}

async fn a_copy_counts_as_a_write(context: Context) -> Result<(), Failure> {
    bounded(&context, r#"{"max_bytes":10}"#).await?;
    context.put("a", b"123456").await?;
    let source = format!("/{}/a", context.bucket);
    let copy = context.request("PUT", "b").header("x-amz-copy-source", &source);
    error(&context.send(copy).await?, 403, "QuotaExceeded")?;
    context.expect_no_object("b").await
}

async fn an_upload_counts_when_it_is_complete(context: Context) -> Result<(), Failure> {
    let admin = bounded(&context, r#"{"max_bytes":10}"#).await?;
    let upload = Upload::begin(&context, "key", &[]).await?;
    let part = upload.put(1, b"123456").await?;
    context.put("other", b"12345").await?;
    error(&upload.complete(std::slice::from_ref(&part)).await?, 403, "QuotaExceeded")?;
    context.expect_no_object("key").await?;
    // The upload is still there.
    set(&admin, &context, r#"{"max_bytes":11}"#).await?;
    status(&upload.complete(&[part]).await?, 200)?;
    context.expect_object("key", b"123456").await.map(drop)
}

async fn a_quota_that_is_lifted_is_no_more(context: Context) -> Result<(), Failure> {
    let admin = bounded(&context, r#"{"max_bytes":1}"#).await?;
    refused(&context, "a", "12").await?;
    set(&admin, &context, "{}").await?;
    context.put("a", b"12").await.map(drop)
}

async fn an_account_takes_no_byte_more_in_all_its_buckets(context: Context) -> Result<(), Failure> {
    let (admin, other) = (context.needs_admin()?.clone(), context.needs_other_user()?.clone());
    let name = admin.user_with(&other.credentials.access_key_id).await?;
    let path = format!("/users/{name}/quota");
    let buckets = [context.bucket.clone(), format!("{}-2", context.bucket)];
    for bucket in &buckets {
        status(&other.send(&crate::client::Request::new("PUT", bucket, "")).await?, 200)?;
    }
    let held: serde_json::Value = admin.json("GET", &format!("/users/{name}"), "").await?;
    let bytes = held["bytes"].as_u64().ok_or("no bytes")?;
    status(&admin.send("POST", &path, &format!("{{\"max_bytes\":{}}}", bytes + 10)).await?, 200)?;
    let put = |bucket: &str, body: &str| crate::client::Request::new("PUT", bucket, "k").body(body);
    let within = other.send(&put(&buckets[0], "123456")).await;
    let over = other.send(&put(&buckets[1], "12345")).await;
    // Other cases use this account too.
    status(&admin.send("POST", &path, "{}").await?, 200)?;
    status(&within?, 200)?;
    error(&over?, 403, "QuotaExceeded")
}

async fn what_is_held_is_shown(context: Context) -> Result<(), Failure> {
    let admin = bounded(&context, r#"{"max_bytes":100,"max_objects":7}"#).await?;
    context.put("a", b"123").await?;
    context.put("b", b"45").await?;
    let answer = admin.send("GET", &format!("/buckets/{}", context.bucket), "").await?;
    status(&answer, 200)?;
    let shown: serde_json::Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    for (name, expected) in [("bytes", 5), ("objects", 2), ("max_bytes", 100), ("max_objects", 7)] {
        check(shown[name].as_u64() == Some(expected), text(&answer))?;
    }
    Ok(())
}
