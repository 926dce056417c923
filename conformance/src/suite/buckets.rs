//! Buckets: made, found, listed, removed.

use super::context::{Context, Failure, check, elements, error, has_header, header, status, text};
use crate::client::Request;

super::cases!("buckets":
    create_head_delete,
    create_answers_location,
    create_again_by_its_owner,
    create_a_name_of_another_user,
    head_of_no_bucket_has_no_body,
    get_of_no_bucket_is_no_such_bucket,
    delete_with_an_object_is_refused,
    delete_with_an_upload_in_progress,
    listed_among_the_buckets_of_its_owner,
    location_is_answered,
    location_constraint_of_another_region_is_refused,
    malformed_create_body_is_refused,
    put_into_no_bucket_is_no_such_bucket,
    recreated_bucket_is_empty,
);

async fn create_head_delete(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = context.send(context.request("HEAD", "")).await?;
    status(&answer, 200)?;
    has_header(&answer, "x-amz-bucket-region")?;
    status(&context.send(context.request("DELETE", "")).await?, 204)?;
    status(&context.send(context.request("HEAD", "")).await?, 404)?;
    error(&context.send(context.request("DELETE", "")).await?, 404, "NoSuchBucket")
}

async fn create_answers_location(context: Context) -> Result<(), Failure> {
    let answer = context.send(context.request("PUT", "")).await?;
    status(&answer, 200)?;
    header(&answer, "location", &format!("/{}", context.bucket))?;
    has_header(&answer, "x-amz-request-id").map(drop)
}

async fn create_again_by_its_owner(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let answer = context.send(context.request("PUT", "")).await?;
    if answer.head.status != 200 {
        error(&answer, 409, "BucketAlreadyOwnedByYou")?;
    }
    context.expect_object("key", b"body").await.map(drop)
}

async fn create_a_name_of_another_user(context: Context) -> Result<(), Failure> {
    let other = context.needs_other_user()?;
    context.create_bucket().await?;
    error(&other.send(&context.request("PUT", "")).await?, 409, "BucketAlreadyExists")
}

async fn head_of_no_bucket_has_no_body(context: Context) -> Result<(), Failure> {
    let answer = context.send(context.request("HEAD", "")).await?;
    status(&answer, 404)?;
    check(answer.body.is_empty(), "a HEAD answer has a body")
}

async fn get_of_no_bucket_is_no_such_bucket(context: Context) -> Result<(), Failure> {
    error(&context.send(context.request("GET", "")).await?, 404, "NoSuchBucket")?;
    error(&context.send(context.request("GET", "key")).await?, 404, "NoSuchBucket")
}

async fn delete_with_an_object_is_refused(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    error(&context.send(context.request("DELETE", "")).await?, 409, "BucketNotEmpty")?;
    context.expect_object("key", b"body").await.map(drop)
}

/// AWS removes a bucket whose only content is an unfinished upload; a server may also refuse. Neither may err.
async fn delete_with_an_upload_in_progress(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&context.send(context.request("POST", "key").query("uploads", "")).await?, 200)?;
    let answer = context.send(context.request("DELETE", "")).await?;
    check(matches!(answer.head.status, 204 | 409), format!("got {}", answer.head.status))
}

async fn listed_among_the_buckets_of_its_owner(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = context.send(Request::new("GET", "", "")).await?;
    status(&answer, 200)?;
    let names = elements(&text(&answer), "Name");
    check(names.contains(&context.bucket), format!("not among {names:?}"))?;
    let mut sorted = names.clone();
    sorted.sort();
    check(names == sorted, "buckets are not in order")?;
    if let Some(other) = &context.other {
        let theirs = elements(&text(&other.send(&Request::new("GET", "", "")).await?), "Name");
        check(!theirs.contains(&context.bucket), "another user sees the bucket")?;
    }
    Ok(())
}

async fn location_is_answered(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = context.send(context.request("GET", "").query("location", "")).await?;
    status(&answer, 200)?;
    check(text(&answer).contains("LocationConstraint"), text(&answer))
}

async fn location_constraint_of_another_region_is_refused(context: Context) -> Result<(), Failure> {
    let body = "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <LocationConstraint>mars-north-1</LocationConstraint></CreateBucketConfiguration>";
    let answer = context.send(context.request("PUT", "").body(body)).await?;
    check(
        answer.head.status == 400 && text(&answer).contains("LocationConstraint"),
        format!("got {}: {}", answer.head.status, text(&answer)),
    )
}

async fn malformed_create_body_is_refused(context: Context) -> Result<(), Failure> {
    let answer = context.send(context.request("PUT", "").body("<CreateBucketConfiguration><Unclosed>")).await?;
    error(&answer, 400, "MalformedXML")
}

async fn put_into_no_bucket_is_no_such_bucket(context: Context) -> Result<(), Failure> {
    error(&context.send(context.request("PUT", "key").body("body")).await?, 404, "NoSuchBucket")
}

async fn recreated_bucket_is_empty(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    status(&context.send(context.request("DELETE", "key")).await?, 204)?;
    status(&context.send(context.request("DELETE", "")).await?, 204)?;
    context.create_bucket().await?;
    context.expect_no_object("key").await
}
