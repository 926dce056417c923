//! Conditions in policies of buckets.

use super::context::{Context, Failure, status};
use super::policies::{apply, expect, guest, open_to_guest, statement};

super::cases!("policy_conditions":
    a_condition_on_a_prefix_limits_a_listing,
    a_condition_on_the_most_keys_limits_a_listing,
    a_condition_on_an_acl_header,
    a_condition_on_the_source_address,
    a_condition_on_tls,
    a_condition_on_a_tag_of_the_object,
    a_condition_on_the_copy_source,
);

async fn a_condition_on_a_prefix_limits_a_listing(context: Context) -> Result<(), Failure> {
    let condition = ",\"Condition\":{\"StringLike\":{\"s3:prefix\":\"home/*\"}}";
    let other = open_to_guest(&context, "\"s3:ListBucket\"", "", condition).await?;
    for (prefix, expected) in [("home/a", 200), ("home/", 200), ("other/", 403)] {
        expect(&other, &context.request("GET", "").query("list-type", "2").query("prefix", prefix), expected).await?;
        expect(&other, &context.request("GET", "").query("prefix", prefix), expected).await?;
    }
    expect(&other, &context.request("GET", ""), 403).await
}

async fn a_condition_on_the_most_keys_limits_a_listing(context: Context) -> Result<(), Failure> {
    let condition = ",\"Condition\":{\"NumericLessThanEquals\":{\"s3:max-keys\":\"10\"}}";
    let other = open_to_guest(&context, "\"s3:ListBucket\"", "", condition).await?;
    expect(&other, &context.request("GET", "").query("max-keys", "10"), 200).await?;
    expect(&other, &context.request("GET", "").query("max-keys", "11"), 403).await?;
    expect(&other, &context.request("GET", ""), 403).await
}

async fn a_condition_on_an_acl_header(context: Context) -> Result<(), Failure> {
    let condition = ",\"Condition\":{\"StringEquals\":{\"s3:x-amz-acl\":\"bucket-owner-full-control\"}}";
    let other = open_to_guest(&context, "\"s3:PutObject\"", "/*", condition).await?;
    expect(&other, &context.request("PUT", "new").body("x"), 403).await?;
    let granting = context.request("PUT", "new").header("x-amz-acl", "bucket-owner-full-control").body("x");
    expect(&other, &granting, 200).await
}

async fn a_condition_on_the_source_address(context: Context) -> Result<(), Failure> {
    let (other, principal) = guest(&context).await?;
    context.create_object("key", b"body").await?;
    for (network, expected) in [("127.0.0.0/8", 200), ("192.0.2.0/24", 403)] {
        let condition = format!(",\"Condition\":{{\"IpAddress\":{{\"aws:SourceIp\":\"{network}\"}}}}");
        apply(&context, &[statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/*", &condition)]).await?;
        let from_elsewhere = context.request("GET", "key").header("x-forwarded-for", "192.0.2.7");
        // Where the suite runs beside the server no header makes it come from elsewhere.
        expect(&other, &from_elsewhere, expected).await?;
    }
    Ok(())
}

async fn a_condition_on_tls(context: Context) -> Result<(), Failure> {
    let condition = ",\"Condition\":{\"Bool\":{\"aws:SecureTransport\":\"true\"}}";
    let other = open_to_guest(&context, "\"s3:GetObject\"", "/*", condition).await?;
    let expected = if context.client.endpoint.tls.is_some() { 200 } else { 403 };
    expect(&other, &context.request("GET", "key"), expected).await
}

async fn a_condition_on_a_tag_of_the_object(context: Context) -> Result<(), Failure> {
    let condition = ",\"Condition\":{\"StringEquals\":{\"s3:ExistingObjectTag/open\":\"yes\"}}";
    let other = open_to_guest(&context, "\"s3:GetObject\"", "/*", condition).await?;
    expect(&other, &context.request("GET", "key"), 403).await?;
    status(&context.send(context.request("PUT", "key").header("x-amz-tagging", "open=yes").body("x")).await?, 200)?;
    expect(&other, &context.request("GET", "key"), 200).await?;
    status(&context.send(context.request("PUT", "key").header("x-amz-tagging", "open=no").body("x")).await?, 200)?;
    expect(&other, &context.request("GET", "key"), 403).await
}

async fn a_condition_on_the_copy_source(context: Context) -> Result<(), Failure> {
    let (other, principal) = guest(&context).await?;
    context.create_object("public/key", b"body").await?;
    context.put("private/key", b"body").await?;
    let from =
        format!(",\"Condition\":{{\"StringLike\":{{\"s3:x-amz-copy-source\":\"{}/public/*\"}}}}", context.bucket);
    apply(
        &context,
        &[
            statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/*", ""),
            statement(&context, "Allow", &principal, "\"s3:PutObject\"", "/new/*", &from),
        ],
    )
    .await?;
    let copy = |source: &str| {
        context.request("PUT", "new/key").header("x-amz-copy-source", &format!("{}/{source}", context.bucket))
    };
    expect(&other, &copy("public/key"), 200).await?;
    expect(&other, &copy("private/key"), 403).await
}
