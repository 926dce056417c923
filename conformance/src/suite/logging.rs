//! Access logs: where they may be delivered. Delivery takes minutes on most servers: their own tests wait for it.

use super::context::{Context, Failure, check, element, error, status, text};
use crate::client::Request;
use crate::http::Answer;

super::cases!("logging":
    a_new_bucket_is_not_logged,
    an_empty_status_is_taken,
    a_target_that_lets_logs_in_is_taken,
    logging_is_replaced_and_ended,
    partitioned_keys_are_kept,
    simple_keys_are_kept,
    a_target_that_does_not_exist_is_refused,
    a_target_without_permission_is_refused,
    a_target_that_denies_is_refused,
    a_target_for_another_source_is_refused,
    a_target_of_another_user_is_refused,
    a_status_without_a_prefix_is_refused,
    a_status_without_a_target_is_refused,
    an_unknown_date_source_is_refused,
    another_document_is_refused,
    another_user_is_denied,
    no_bucket_no_status,
);

fn enabled(target: &str, prefix: &str, more: &str) -> String {
    format!(
        "<BucketLoggingStatus xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LoggingEnabled>\
         <TargetBucket>{target}</TargetBucket><TargetPrefix>{prefix}</TargetPrefix>{more}</LoggingEnabled>\
         </BucketLoggingStatus>"
    )
}

const OFF: &str = "<BucketLoggingStatus/>";

async fn set(context: &Context, document: &str) -> Result<Answer, Failure> {
    context.send(context.request("PUT", "").query("logging", "").body(document)).await
}

async fn get(context: &Context) -> Result<String, Failure> {
    let answer = context.send(context.request("GET", "").query("logging", "")).await?;
    status(&answer, 200)?;
    Ok(text(&answer))
}

/// Name of the bucket that logs go to.
fn target(context: &Context) -> String {
    format!("{}-l", context.bucket.get(..58).unwrap_or(&context.bucket))
}

/// Makes both buckets, the second with a policy on who may deliver logs into it.
async fn buckets(context: &Context, effect: &str, source: &str) -> Result<String, Failure> {
    context.create_bucket().await?;
    let target = target(context);
    status(&context.send(Request::new("PUT", &target, "")).await?, 200)?;
    if !effect.is_empty() {
        let policy = format!(
            "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"{effect}\",\
             \"Principal\":{{\"Service\":\"logging.s3.amazonaws.com\"}},\"Action\":\"s3:PutObject\",\
             \"Resource\":\"arn:aws:s3:::{target}/*\",\
             \"Condition\":{{\"ArnLike\":{{\"aws:SourceArn\":\"arn:aws:s3:::{source}\"}}}}}}]}}"
        );
        let request = Request::new("PUT", &target, "").query("policy", "").body(policy);
        let answer = context.send(request).await?;
        check(matches!(answer.head.status, 200 | 204), text(&answer))?;
    }
    Ok(target)
}

async fn refused(context: &Context, document: &str, code: &str) -> Result<(), Failure> {
    error(&set(context, document).await?, 400, code)?;
    check(!get(context).await?.contains("LoggingEnabled"), "what was refused is kept")
}

async fn a_new_bucket_is_not_logged(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let document = get(&context).await?;
    check(document.contains("BucketLoggingStatus") && !document.contains("LoggingEnabled"), document)
}

async fn an_empty_status_is_taken(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, OFF).await?, 200)
}

async fn a_target_that_lets_logs_in_is_taken(context: Context) -> Result<(), Failure> {
    let target = buckets(&context, "Allow", &context.bucket).await?;
    status(&set(&context, &enabled(&target, "log/", "")).await?, 200)?;
    let document = get(&context).await?;
    check(element(&document, "TargetBucket").as_deref() == Some(target.as_str()), document.as_str())?;
    check(element(&document, "TargetPrefix").as_deref() == Some("log/"), document.as_str())
}

async fn logging_is_replaced_and_ended(context: Context) -> Result<(), Failure> {
    let target = buckets(&context, "Allow", &context.bucket).await?;
    status(&set(&context, &enabled(&target, "one/", "")).await?, 200)?;
    status(&set(&context, &enabled(&target, "two/", "")).await?, 200)?;
    check(element(&get(&context).await?, "TargetPrefix").as_deref() == Some("two/"), "the prefix of before")?;
    status(&set(&context, OFF).await?, 200)?;
    check(!get(&context).await?.contains("LoggingEnabled"), "an empty status ends nothing")
}

async fn partitioned_keys_are_kept(context: Context) -> Result<(), Failure> {
    let target = buckets(&context, "Allow", &context.bucket).await?;
    let format = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime</PartitionDateSource>\
                  </PartitionedPrefix></TargetObjectKeyFormat>";
    status(&set(&context, &enabled(&target, "", format)).await?, 200)?;
    let document = get(&context).await?;
    check(element(&document, "PartitionDateSource").as_deref() == Some("EventTime"), document)
}

async fn simple_keys_are_kept(context: Context) -> Result<(), Failure> {
    let target = buckets(&context, "Allow", &context.bucket).await?;
    let format = "<TargetObjectKeyFormat><SimplePrefix/></TargetObjectKeyFormat>";
    status(&set(&context, &enabled(&target, "", format)).await?, 200)?;
    let document = get(&context).await?;
    check(document.contains("<SimplePrefix"), document)
}

const INVALID_TARGET: &str = "InvalidTargetBucketForLogging";

async fn a_target_that_does_not_exist_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    refused(&context, &enabled(&target(&context), "", ""), INVALID_TARGET).await
}

async fn a_target_without_permission_is_refused(context: Context) -> Result<(), Failure> {
    let target = buckets(&context, "", "").await?;
    refused(&context, &enabled(&target, "", ""), INVALID_TARGET).await
}

async fn a_target_that_denies_is_refused(context: Context) -> Result<(), Failure> {
    let target = buckets(&context, "Deny", &context.bucket).await?;
    refused(&context, &enabled(&target, "", ""), INVALID_TARGET).await
}

async fn a_target_for_another_source_is_refused(context: Context) -> Result<(), Failure> {
    let target = buckets(&context, "Allow", "another-bucket").await?;
    refused(&context, &enabled(&target, "", ""), INVALID_TARGET).await
}

async fn a_target_of_another_user_is_refused(context: Context) -> Result<(), Failure> {
    let other = context.needs_other_user()?;
    context.create_bucket().await?;
    let target = target(&context);
    status(&other.send(&Request::new("PUT", &target, "")).await?, 200)?;
    refused(&context, &enabled(&target, "", ""), INVALID_TARGET).await
}

async fn a_status_without_a_prefix_is_refused(context: Context) -> Result<(), Failure> {
    let target = buckets(&context, "Allow", &context.bucket).await?;
    let document = enabled(&target, "", "").replace("<TargetPrefix></TargetPrefix>", "");
    refused(&context, &document, "MalformedXML").await
}

async fn a_status_without_a_target_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let document = enabled("", "", "").replace("<TargetBucket></TargetBucket>", "");
    refused(&context, &document, "MalformedXML").await
}

async fn an_unknown_date_source_is_refused(context: Context) -> Result<(), Failure> {
    let target = buckets(&context, "Allow", &context.bucket).await?;
    let format = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>Never</PartitionDateSource>\
                  </PartitionedPrefix></TargetObjectKeyFormat>";
    refused(&context, &enabled(&target, "", format), "MalformedXML").await
}

async fn another_document_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    refused(&context, "<NotificationConfiguration/>", "MalformedXML").await
}

async fn another_user_is_denied(context: Context) -> Result<(), Failure> {
    let other = context.needs_other_user()?;
    context.create_bucket().await?;
    error(&other.send(&context.request("GET", "").query("logging", "")).await?, 403, "AccessDenied")?;
    error(&other.send(&context.request("PUT", "").query("logging", "").body(OFF)).await?, 403, "AccessDenied")
}

async fn no_bucket_no_status(context: Context) -> Result<(), Failure> {
    error(&context.send(context.request("GET", "").query("logging", "")).await?, 404, "NoSuchBucket")?;
    error(&set(&context, OFF).await?, 404, "NoSuchBucket")
}
