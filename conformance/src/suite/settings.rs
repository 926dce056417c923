//! Settings of buckets in general, and what a bucket has not.

use super::context::{Context, Failure, check, element, error, status, text};
use super::cors::CORS;
use super::lifecycle::{DAYS, lifecycle};
use crate::client::Request;
use crate::http::Answer;

super::cases!("settings":
    no_website_no_replication_no_cors_no_lifecycle,
    request_payment_is_the_bucket_owners,
    acceleration_was_never_set,
    settings_of_no_bucket_are_no_such_bucket,
    settings_of_another_user_are_denied,
    settings_go_with_their_bucket,
);

pub(super) async fn set(context: &Context, what: &str, document: &str) -> Result<Answer, Failure> {
    context.set(what, document).await
}

pub(super) async fn get(context: &Context, what: &str) -> Result<Answer, Failure> {
    context.get_setting(what).await
}

pub(super) async fn remove(context: &Context, what: &str) -> Result<(), Failure> {
    status(&context.send(context.request("DELETE", "").query(what, "")).await?, 204)
}

async fn no_website_no_replication_no_cors_no_lifecycle(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for (what, code) in [
        ("website", "NoSuchWebsiteConfiguration"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("cors", "NoSuchCORSConfiguration"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
    ] {
        error(&get(&context, what).await?, 404, code)?;
        remove(&context, what).await?;
    }
    Ok(())
}

async fn request_payment_is_the_bucket_owners(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = get(&context, "requestPayment").await?;
    status(&answer, 200)?;
    check(element(&text(&answer), "Payer").as_deref() == Some("BucketOwner"), text(&answer))
}

async fn acceleration_was_never_set(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = get(&context, "accelerate").await?;
    status(&answer, 200)?;
    check(!text(&answer).contains("<Status>"), text(&answer))
}

async fn settings_of_no_bucket_are_no_such_bucket(context: Context) -> Result<(), Failure> {
    for what in ["cors", "lifecycle", "encryption", "website", "replication", "requestPayment", "accelerate"] {
        error(&get(&context, what).await?, 404, "NoSuchBucket")?;
    }
    error(&set(&context, "cors", CORS).await?, 404, "NoSuchBucket")
}

async fn settings_of_another_user_are_denied(context: Context) -> Result<(), Failure> {
    let other = context.needs_other_user()?;
    context.create_bucket().await?;
    for what in ["cors", "lifecycle", "encryption"] {
        for method in ["GET", "DELETE"] {
            let request = Request::new(method, &context.bucket, "").query(what, "");
            error(&other.send(&request).await?, 403, "AccessDenied")?;
        }
    }
    Ok(())
}

async fn settings_go_with_their_bucket(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "cors", CORS).await?, 200)?;
    status(&set(&context, "lifecycle", &lifecycle("x", DAYS)).await?, 200)?;
    status(&context.send(context.request("DELETE", "")).await?, 204)?;
    context.create_bucket().await?;
    error(&get(&context, "cors").await?, 404, "NoSuchCORSConfiguration")?;
    error(&get(&context, "lifecycle").await?, 404, "NoSuchLifecycleConfiguration")
}
