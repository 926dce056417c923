//! Policies of buckets as documents: kept, replaced, removed, refused.

use super::context::{Context, Failure, check, element, error, status, text};
use super::policies::{apply, document, expect, guest, open_to_guest, put, statement};

super::cases!("policy_documents":
    a_bucket_without_policy,
    a_policy_comes_back_as_it_was_sent,
    a_policy_is_replaced_and_removed,
    documents_that_are_none_are_refused,
    statements_that_are_none_are_refused,
    actions_of_another_service_are_refused,
    a_resource_of_another_bucket_is_refused,
    a_principal_that_is_nobody_is_refused,
    a_policy_over_20_kb_is_refused,
    another_account_may_not_change_a_policy,
    a_policy_goes_with_its_bucket,
);

async fn a_bucket_without_policy(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&context.get_setting("policy").await?, 404, "NoSuchBucketPolicy")?;
    let public = context.get_setting("policyStatus").await?;
    status(&public, 200)?;
    check(element(&text(&public), "IsPublic").as_deref() == Some("false"), text(&public))?;
    status(&context.send(context.request("DELETE", "").query("policy", "")).await?, 204)
}

async fn a_policy_comes_back_as_it_was_sent(context: Context) -> Result<(), Failure> {
    let (_, principal) = guest(&context).await?;
    context.create_bucket().await?;
    let sent = document(&[statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/*", " ")]);
    status(&put(&context, &sent).await?, 204)?;
    let answer = context.get_setting("policy").await?;
    status(&answer, 200)?;
    check(text(&answer) == sent, text(&answer))
}

async fn a_policy_is_replaced_and_removed(context: Context) -> Result<(), Failure> {
    let other = open_to_guest(&context, "\"s3:GetObject\"", "/*", "").await?;
    let (_, principal) = guest(&context).await?;
    expect(&other, &context.request("GET", "key"), 200).await?;
    apply(&context, &[statement(&context, "Allow", &principal, "\"s3:PutObject\"", "/*", "")]).await?;
    expect(&other, &context.request("GET", "key"), 403).await?;
    expect(&other, &context.request("PUT", "key").body("theirs"), 200).await?;
    status(&context.send(context.request("DELETE", "").query("policy", "")).await?, 204)?;
    expect(&other, &context.request("PUT", "key").body("again"), 403).await?;
    context.expect_object("key", b"theirs").await.map(drop)
}

async fn malformed(context: &Context, document: &str) -> Result<(), Failure> {
    error(&put(context, document).await?, 400, "MalformedPolicy")
        .map_err(|failure| format!("{document}: {failure}").into())
}

async fn documents_that_are_none_are_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for bad in ["", "{", "[]", "{}", "<Policy/>", "{\"Version\":\"2012-10-17\"}", "{\"Statement\":7}"] {
        malformed(&context, bad).await?;
    }
    let good = statement(&context, "Allow", "\"*\"", "\"s3:GetObject\"", "/*", "");
    malformed(&context, &document(std::slice::from_ref(&good)).replace("2012", "2013")).await?;
    malformed(&context, &document(&[good]).replace("\"Version\"", "\"Verzion\"")).await?;
    error(&context.get_setting("policy").await?, 404, "NoSuchBucketPolicy")
}

async fn statements_that_are_none_are_refused(context: Context) -> Result<(), Failure> {
    let (_, principal) = guest(&context).await?;
    context.create_bucket().await?;
    let good = statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/*", "");
    for (from, to) in [
        ("\"Effect\":\"Allow\"", "\"Effect\":\"Perhaps\""),
        ("\"Effect\":\"Allow\",", ""),
        ("\"Action\":\"s3:GetObject\",", ""),
        ("\"s3:GetObject\"", "\"s3:NoSuchAction\""),
        ("\"Resource\"", "\"Rezource\""),
        ("arn:aws:s3:::", "arn:aws:s3::"),
        ("\"Principal\"", "\"NotPrincipal\""),
    ] {
        check(good.contains(from), format!("{from} is not in {good}"))?;
        malformed(&context, &document(&[good.replace(from, to)])).await?;
    }
    let unknown_key = ",\"Condition\":{\"StringEquals\":{\"s3:no-such-key\":\"x\"}}";
    malformed(&context, &document(&[statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/*", unknown_key)]))
        .await?;
    let unknown_operator = ",\"Condition\":{\"StringResembles\":{\"s3:prefix\":\"x\"}}";
    malformed(
        &context,
        &document(&[statement(&context, "Allow", &principal, "\"s3:ListBucket\"", "", unknown_operator)]),
    )
    .await
}

async fn actions_of_another_service_are_refused(context: Context) -> Result<(), Failure> {
    let (_, principal) = guest(&context).await?;
    context.create_bucket().await?;
    for action in ["\"ec2:RunInstances\"", "\"iam:*\"", "\"GetObject\""] {
        malformed(&context, &document(&[statement(&context, "Allow", &principal, action, "/*", "")])).await?;
    }
    Ok(())
}

async fn a_resource_of_another_bucket_is_refused(context: Context) -> Result<(), Failure> {
    let (_, principal) = guest(&context).await?;
    context.create_bucket().await?;
    let good = statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/*", "");
    malformed(&context, &document(&[good.replace(":::", ":::not-")])).await?;
    // An action on objects needs objects, one on the bucket the bucket.
    malformed(&context, &document(&[statement(&context, "Allow", &principal, "\"s3:GetObject\"", "", "")])).await?;
    malformed(&context, &document(&[statement(&context, "Allow", &principal, "\"s3:ListBucket\"", "/*", "")])).await
}

async fn a_principal_that_is_nobody_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let nobody = format!("{{\"CanonicalUser\":\"{}\"}}", "0".repeat(64));
    for principal in [nobody.as_str(), "{\"AWS\":\"arn:aws:iam::000000000000:root\"}", "\"me\"", "{\"AWS\":7}"] {
        malformed(&context, &document(&[statement(&context, "Allow", principal, "\"s3:GetObject\"", "/*", "")]))
            .await?;
    }
    Ok(())
}

async fn a_policy_over_20_kb_is_refused(context: Context) -> Result<(), Failure> {
    let (_, principal) = guest(&context).await?;
    context.create_bucket().await?;
    let sid = format!(",\"Sid\":\"{}\"", "s".repeat(21 << 10));
    let large = document(&[statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/*", &sid)]);
    status(&put(&context, &large).await?, 400)?;
    error(&context.get_setting("policy").await?, 404, "NoSuchBucketPolicy")
}

async fn another_account_may_not_change_a_policy(context: Context) -> Result<(), Failure> {
    let other = open_to_guest(&context, "\"s3:GetObject\"", "/*", "").await?;
    for method in ["GET", "DELETE"] {
        expect(&other, &context.request(method, "").query("policy", ""), 403).await?;
    }
    let theirs = document(&[statement(&context, "Allow", "\"*\"", "\"s3:*\"", "/*", "")]);
    expect(&other, &context.request("PUT", "").query("policy", "").body(theirs), 403).await
}

async fn a_policy_goes_with_its_bucket(context: Context) -> Result<(), Failure> {
    let (_, principal) = guest(&context).await?;
    context.create_bucket().await?;
    apply(&context, &[statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/*", "")]).await?;
    status(&context.send(context.request("DELETE", "")).await?, 204)?;
    context.create_bucket().await?;
    error(&context.get_setting("policy").await?, 404, "NoSuchBucketPolicy")
}
