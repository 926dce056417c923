//! Policies that let everybody in, and the block that stands before them.

use super::context::{Context, Failure, check, element, error, status, text};
use super::policies::{document, guest, put, statement};

super::cases!("public_access":
    a_public_policy_is_blocked,
    a_public_policy_lets_everybody_read_once_the_block_is_gone,
    restrict_public_buckets_shuts_what_was_public,
    the_status_of_a_policy,
);

/// A policy that lets everybody read.
fn public(context: &Context) -> String {
    document(&[statement(context, "Allow", "\"*\"", "\"s3:GetObject\"", "/*", "")])
}

async fn unblock(context: &Context) -> Result<(), Failure> {
    status(&context.send(context.request("DELETE", "").query("publicAccessBlock", "")).await?, 204)
}

async fn a_public_policy_is_blocked(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    error(&put(&context, &public(&context)).await?, 403, "AccessDenied")?;
    error(&context.send_unsigned(&context.request("GET", "key")).await?, 403, "AccessDenied")
}

async fn a_public_policy_lets_everybody_read_once_the_block_is_gone(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    unblock(&context).await?;
    status(&put(&context, &public(&context)).await?, 204)?;
    let answer = context.send_unsigned(&context.request("GET", "key")).await?;
    status(&answer, 200)?;
    check(answer.body == b"body", "another body")?;
    error(&context.send_unsigned(&context.request("PUT", "key").body("x")).await?, 403, "AccessDenied")?;
    error(&context.send_unsigned(&context.request("GET", "")).await?, 403, "AccessDenied")?;
    error(&context.send_unsigned(&context.request("DELETE", "key")).await?, 403, "AccessDenied")?;
    context.expect_object("key", b"body").await.map(drop)
}

async fn restrict_public_buckets_shuts_what_was_public(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    unblock(&context).await?;
    status(&put(&context, &public(&context)).await?, 204)?;
    let block = "<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets>\
                 </PublicAccessBlockConfiguration>";
    status(&context.set("publicAccessBlock", block).await?, 200)?;
    error(&context.send_unsigned(&context.request("GET", "key")).await?, 403, "AccessDenied")?;
    context.expect_object("key", b"body").await.map(drop)
}

async fn the_status_of_a_policy(context: Context) -> Result<(), Failure> {
    let (_, principal) = guest(&context).await?;
    context.create_bucket().await?;
    unblock(&context).await?;
    let private = document(&[statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/*", "")]);
    for (policy, is_public) in [(private, "false"), (public(&context), "true")] {
        status(&put(&context, &policy).await?, 204)?;
        let answer = context.get_setting("policyStatus").await?;
        status(&answer, 200)?;
        check(
            element(&text(&answer), "IsPublic").as_deref().map(str::to_lowercase).as_deref() == Some(is_public),
            text(&answer),
        )?;
    }
    Ok(())
}
