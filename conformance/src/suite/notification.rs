//! Event notification: what a configuration may say. Whether events arrive is not for a suite that
//! only asks: a server's own tests have a receiver.

use super::context::{Context, Failure, check, element, elements, error, status, text};
use crate::http::Answer;

super::cases!("notification":
    a_new_bucket_tells_nobody,
    an_empty_configuration_is_taken,
    rules_are_kept_and_replaced,
    filters_are_kept,
    a_rule_without_an_id_gets_one,
    a_target_that_does_not_exist_is_refused,
    an_arn_that_is_none_is_refused,
    an_unknown_event_is_refused,
    a_rule_without_an_event_is_refused,
    a_filter_by_something_else_is_refused,
    two_prefixes_are_refused,
    rules_that_overlap_are_refused,
    rules_that_differ_by_prefix_or_event_are_taken,
    ids_are_unique,
    another_document_is_refused,
    what_is_refused_changes_nothing,
    another_user_is_denied,
    no_bucket_no_configuration,
);

/// A target that the server of the run must know for some of the cases.
const TARGET: &str = "arn:aws:sqs:us-east-1:123456789012:conformance";

fn configuration(rules: &str) -> String {
    format!(
        "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{rules}</NotificationConfiguration>"
    )
}

fn rule(id: &str, target: &str, events: &[&str], filter: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!("<Id>{id}</Id>") };
    let events: String = events.iter().map(|event| format!("<Event>s3:{event}</Event>")).collect();
    format!("<QueueConfiguration>{id}<Queue>{target}</Queue>{events}{filter}</QueueConfiguration>")
}

fn filter(rules: &[(&str, &str)]) -> String {
    let rules: String = rules
        .iter()
        .map(|(name, value)| format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>"))
        .collect();
    format!("<Filter><S3Key>{rules}</S3Key></Filter>")
}

async fn set(context: &Context, rules: &str) -> Result<Answer, Failure> {
    let request = context.request("PUT", "").query("notification", "").body(configuration(rules));
    context.send(request.header("x-amz-skip-destination-validation", "true")).await
}

/// Sets rules that name a target; ends a case on a server that knows none.
async fn taken(context: &Context, rules: &str) -> Result<(), Failure> {
    let answer = set(context, rules).await?;
    if answer.head.status == 400 && text(&answer).contains("Unable to validate") {
        return Err(Failure::NotRun("needs a notification target called conformance"));
    }
    status(&answer, 200)
}

async fn get(context: &Context) -> Result<String, Failure> {
    let answer = context.send(context.request("GET", "").query("notification", "")).await?;
    status(&answer, 200)?;
    Ok(text(&answer))
}

async fn refused(context: &Context, rules: &str, code: &str) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&set(context, rules).await?, 400, code)?;
    check(!get(context).await?.contains("<Event>"), "what was refused is kept")
}

const CREATED: &[&str] = &["ObjectCreated:*"];

async fn a_new_bucket_tells_nobody(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let document = get(&context).await?;
    check(document.contains("NotificationConfiguration") && !document.contains("<Event>"), document)
}

async fn an_empty_configuration_is_taken(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "").await?, 200)?;
    check(!get(&context).await?.contains("<Event>"), "there are rules")
}

async fn rules_are_kept_and_replaced(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    taken(&context, &rule("one", TARGET, &["ObjectCreated:Put", "ObjectRemoved:*"], "")).await?;
    let document = get(&context).await?;
    check(element(&document, "Id").as_deref() == Some("one"), document.as_str())?;
    check(element(&document, "Queue").as_deref() == Some(TARGET), document.as_str())?;
    check(elements(&document, "Event") == ["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"], document.as_str())?;
    taken(&context, &rule("two", TARGET, CREATED, "")).await?;
    check(elements(&get(&context).await?, "Id") == ["two"], "the rule of before is still there")?;
    status(&set(&context, "").await?, 200)?;
    check(!get(&context).await?.contains("<Event>"), "an empty configuration removes nothing")
}

async fn filters_are_kept(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let by = filter(&[("prefix", "images/"), ("suffix", ".jpg")]);
    taken(&context, &rule("filtered", TARGET, CREATED, &by)).await?;
    let document = get(&context).await?;
    let names: Vec<String> = elements(&document, "Name").into_iter().map(|name| name.to_ascii_lowercase()).collect();
    check(names == ["prefix", "suffix"], document.as_str())?;
    check(elements(&document, "Value") == ["images/", ".jpg"], document.as_str())
}

async fn a_rule_without_an_id_gets_one(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    taken(&context, &rule("", TARGET, CREATED, "")).await?;
    check(element(&get(&context).await?, "Id").is_some_and(|id| !id.is_empty()), "no id")
}

async fn a_target_that_does_not_exist_is_refused(context: Context) -> Result<(), Failure> {
    let none = "arn:aws:sqs:us-east-1:123456789012:there-is-no-such-target";
    refused(&context, &rule("r", none, CREATED, ""), "InvalidArgument").await
}

async fn an_arn_that_is_none_is_refused(context: Context) -> Result<(), Failure> {
    refused(&context, &rule("r", "conformance", CREATED, ""), "InvalidArgument").await
}

async fn an_unknown_event_is_refused(context: Context) -> Result<(), Failure> {
    refused(&context, &rule("r", TARGET, &["ObjectImagined:*"], ""), "InvalidArgument").await
}

async fn a_rule_without_an_event_is_refused(context: Context) -> Result<(), Failure> {
    refused(&context, &rule("r", TARGET, &[], ""), "MalformedXML").await
}

async fn a_filter_by_something_else_is_refused(context: Context) -> Result<(), Failure> {
    refused(&context, &rule("r", TARGET, CREATED, &filter(&[("infix", "a")])), "InvalidArgument").await
}

async fn two_prefixes_are_refused(context: Context) -> Result<(), Failure> {
    let twice = filter(&[("prefix", "a"), ("prefix", "b")]);
    refused(&context, &rule("r", TARGET, CREATED, &twice), "InvalidArgument").await
}

async fn rules_that_overlap_are_refused(context: Context) -> Result<(), Failure> {
    let one = rule("one", TARGET, CREATED, &filter(&[("prefix", "images")]));
    let other = rule("other", TARGET, &["ObjectCreated:Put"], &filter(&[("prefix", "images/a")]));
    refused(&context, &format!("{one}{other}"), "InvalidArgument").await
}

async fn rules_that_differ_by_prefix_or_event_are_taken(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let one = rule("one", TARGET, CREATED, &filter(&[("prefix", "a/")]));
    let two = rule("two", TARGET, CREATED, &filter(&[("prefix", "b/")]));
    let three = rule("three", TARGET, &["ObjectRemoved:*"], "");
    taken(&context, &format!("{one}{two}{three}")).await?;
    check(elements(&get(&context).await?, "Id").len() == 3, "three rules are not three")
}

async fn ids_are_unique(context: Context) -> Result<(), Failure> {
    let one = rule("same", TARGET, CREATED, "");
    let other = rule("same", TARGET, &["ObjectRemoved:*"], "");
    refused(&context, &format!("{one}{other}"), "InvalidArgument").await
}

async fn another_document_is_refused(context: Context) -> Result<(), Failure> {
    refused(&context, "<Unknown/>", "MalformedXML").await?;
    let request = context.request("PUT", "").query("notification", "").body("<BucketLoggingStatus/>");
    error(&context.send(request).await?, 400, "MalformedXML")
}

async fn what_is_refused_changes_nothing(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    taken(&context, &rule("kept", TARGET, CREATED, "")).await?;
    error(&set(&context, &rule("r", TARGET, &[], "")).await?, 400, "MalformedXML")?;
    check(elements(&get(&context).await?, "Id") == ["kept"], "the rule of before is gone")
}

async fn another_user_is_denied(context: Context) -> Result<(), Failure> {
    let other = context.needs_other_user()?;
    context.create_bucket().await?;
    let get = context.request("GET", "").query("notification", "");
    error(&other.send(&get).await?, 403, "AccessDenied")?;
    let put = context.request("PUT", "").query("notification", "").body(configuration(""));
    error(&other.send(&put).await?, 403, "AccessDenied")
}

async fn no_bucket_no_configuration(context: Context) -> Result<(), Failure> {
    let get = context.request("GET", "").query("notification", "");
    error(&context.send(get).await?, 404, "NoSuchBucket")?;
    error(&set(&context, "").await?, 404, "NoSuchBucket")
}
