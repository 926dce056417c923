//! Lifecycle rules: which are kept, and what they announce.

use super::context::{Context, Failure, check, element, error, has_header, no_header, status, text};
use super::settings::{get, remove, set};

super::cases!("lifecycle":
    lifecycle_is_kept_and_removed,
    lifecycle_needs_a_digest,
    lifecycle_rule_ids_are_unique,
    lifecycle_without_an_action_is_refused,
    lifecycle_of_zero_days_is_refused,
    lifecycle_date_is_a_midnight,
    lifecycle_names_rules_that_have_no_name,
    lifecycle_transition_is_refused_by_name,
    expiration_is_announced,
    lifecycle_filters_by_tag_and_size,
    lifecycle_filters_that_are_none_are_refused,
    lifecycle_without_days_of_noncurrent_versions_is_refused,
    lifecycle_expiration_of_two_kinds_is_refused,
    lifecycle_transition_with_a_bad_date_is_malformed,
    lifecycle_of_a_thousand_rules_and_no_more,
    lifecycle_keeps_the_prefix_of_old_rules,
);

pub(super) fn lifecycle(id: &str, inside: &str) -> String {
    format!(
        "<LifecycleConfiguration><Rule><ID>{id}</ID><Status>Enabled</Status><Filter><Prefix>a</Prefix></Filter>{inside}\
         </Rule></LifecycleConfiguration>"
    )
}

pub(super) const DAYS: &str = "<Expiration><Days>5</Days></Expiration>";

async fn lifecycle_is_kept_and_removed(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "lifecycle", &lifecycle("five", DAYS)).await?, 200)?;
    let answer = get(&context, "lifecycle").await?;
    status(&answer, 200)?;
    let document = text(&answer);
    for (name, value) in [("ID", "five"), ("Prefix", "a"), ("Status", "Enabled"), ("Days", "5")] {
        check(element(&document, name).as_deref() == Some(value), format!("{name} in {document}"))?;
    }
    remove(&context, "lifecycle").await?;
    error(&get(&context, "lifecycle").await?, 404, "NoSuchLifecycleConfiguration")
}

async fn lifecycle_needs_a_digest(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("PUT", "").query("lifecycle", "").body(lifecycle("x", DAYS));
    error(&context.send(request).await?, 400, "InvalidRequest")
}

async fn lifecycle_refused(context: &Context, document: &str, code: &str) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&set(context, "lifecycle", document).await?, 400, code)
}

async fn lifecycle_rule_ids_are_unique(context: Context) -> Result<(), Failure> {
    let one = lifecycle("same", DAYS);
    let rule = one.replace("<LifecycleConfiguration>", "").replace("</LifecycleConfiguration>", "");
    let twice = format!("<LifecycleConfiguration>{rule}{rule}</LifecycleConfiguration>");
    lifecycle_refused(&context, &twice, "InvalidArgument").await
}

async fn lifecycle_without_an_action_is_refused(context: Context) -> Result<(), Failure> {
    lifecycle_refused(&context, &lifecycle("x", ""), "InvalidRequest").await
}

async fn lifecycle_of_zero_days_is_refused(context: Context) -> Result<(), Failure> {
    lifecycle_refused(&context, &lifecycle("x", &DAYS.replace('5', "0")), "InvalidArgument").await
}

async fn lifecycle_date_is_a_midnight(context: Context) -> Result<(), Failure> {
    let dated = |time: &str| lifecycle("x", &format!("<Expiration><Date>2099-01-01T{time}Z</Date></Expiration>"));
    lifecycle_refused(&context, &dated("00:00:01"), "InvalidArgument").await?;
    status(&set(&context, "lifecycle", &dated("00:00:00")).await?, 200)
}

async fn lifecycle_names_rules_that_have_no_name(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "lifecycle", &lifecycle("", DAYS)).await?, 200)?;
    let id = element(&text(&get(&context, "lifecycle").await?), "ID").unwrap_or_default();
    check(!id.is_empty(), "the rule has no id")
}

async fn lifecycle_transition_is_refused_by_name(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let moved = "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>";
    error(&set(&context, "lifecycle", &lifecycle("x", moved)).await?, 501, "NotImplemented")
}

async fn expiration_is_announced(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "lifecycle", &lifecycle("five", DAYS)).await?, 200)?;
    let answer = context.put("a/key", b"body").await?;
    let value = has_header(&answer, "x-amz-expiration")?;
    check(value.starts_with("expiry-date=\"") && value.ends_with(" GMT\", rule-id=\"five\""), value)?;
    no_header(&context.put("b/key", b"body").await?, "x-amz-expiration")
}

/// One rule with this filter and this action.
fn filtered(filter: &str, action: &str) -> String {
    format!(
        "<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status>{filter}{action}</Rule></LifecycleConfiguration>"
    )
}

async fn lifecycle_filters_by_tag_and_size(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let tag = "<Tag><Key>k</Key><Value>v</Value></Tag>";
    for (filter, shown) in [
        (format!("<Filter>{tag}</Filter>"), "<Tag><Key>k</Key><Value>v</Value></Tag>"),
        (
            "<Filter><ObjectSizeGreaterThan>500</ObjectSizeGreaterThan></Filter>".to_owned(),
            "<ObjectSizeGreaterThan>500",
        ),
        ("<Filter><ObjectSizeLessThan>500</ObjectSizeLessThan></Filter>".to_owned(), "<ObjectSizeLessThan>500"),
        (format!("<Filter><And><Prefix>a</Prefix>{tag}</And></Filter>"), "<And><Prefix>a</Prefix>"),
        ("<Filter><Prefix>a</Prefix></Filter>".to_owned(), "<Filter><Prefix>a</Prefix></Filter>"),
        ("<Filter/>".to_owned(), "<Filter>"),
    ] {
        status(&set(&context, "lifecycle", &filtered(&filter, DAYS)).await?, 200)?;
        let said = text(&get(&context, "lifecycle").await?);
        check(said.contains(shown) || (shown == "<Filter>" && said.contains("<Filter")), format!("{filter}: {said}"))?;
    }
    Ok(())
}

async fn lifecycle_filters_that_are_none_are_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for (filter, code) in [
        ("", "MalformedXML"),
        ("<Filter/><Prefix/>", "MalformedXML"),
        ("<Filter><And><Prefix>a</Prefix></And></Filter>", "MalformedXML"),
        ("<Filter><Other/></Filter>", "MalformedXML"),
        ("<Filter><ObjectSizeLessThan>-1</ObjectSizeLessThan></Filter>", "MalformedXML"),
        ("<Filter><Tag><Key></Key><Value>v</Value></Tag></Filter>", "InvalidTag"),
    ] {
        error(&set(&context, "lifecycle", &filtered(filter, DAYS)).await?, 400, code)
            .map_err(|failure| format!("{filter}: {failure}"))?;
    }
    Ok(())
}

async fn lifecycle_without_days_of_noncurrent_versions_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let noncurrent = |inside: &str| {
        filtered("<Filter/>", &format!("<NoncurrentVersionExpiration>{inside}</NoncurrentVersionExpiration>"))
    };
    let keep = "<NewerNoncurrentVersions>2</NewerNoncurrentVersions>";
    error(&set(&context, "lifecycle", &noncurrent(keep)).await?, 400, "MalformedXML")?;
    status(&set(&context, "lifecycle", &noncurrent(&format!("<NoncurrentDays>1</NoncurrentDays>{keep}"))).await?, 200)?;
    let said = text(&get(&context, "lifecycle").await?);
    check(element(&said, "NewerNoncurrentVersions").as_deref() == Some("2"), said)
}

async fn lifecycle_expiration_of_two_kinds_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let both = "<Expiration><Days>1</Days><Date>2040-01-01T00:00:00Z</Date></Expiration>";
    error(&set(&context, "lifecycle", &filtered("<Filter/>", both)).await?, 400, "MalformedXML")?;
    let marker = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>";
    status(&set(&context, "lifecycle", &filtered("<Filter/>", marker)).await?, 200)?;
    let tagged = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>";
    error(&set(&context, "lifecycle", &filtered(tagged, marker)).await?, 400, "InvalidRequest")
}

async fn lifecycle_transition_with_a_bad_date_is_malformed(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let moved = "<Transition><Date>20220927</Date><StorageClass>GLACIER</StorageClass></Transition>";
    error(&set(&context, "lifecycle", &filtered("<Filter/>", moved)).await?, 400, "MalformedXML")?;
    error(&get(&context, "lifecycle").await?, 404, "NoSuchLifecycleConfiguration")
}

async fn lifecycle_of_a_thousand_rules_and_no_more(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let rules = |count: usize| {
        let rules: String = (0..count)
            .map(|n| format!("<Rule><ID>{n}</ID><Status>Disabled</Status><Prefix>{n}/</Prefix>{DAYS}</Rule>"))
            .collect();
        format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>")
    };
    status(&set(&context, "lifecycle", &rules(1000)).await?, 200)?;
    error(&set(&context, "lifecycle", &rules(1001)).await?, 400, "InvalidRequest")
}

async fn lifecycle_keeps_the_prefix_of_old_rules(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "lifecycle", &filtered("<Prefix>logs/</Prefix>", DAYS)).await?, 200)?;
    let said = text(&get(&context, "lifecycle").await?);
    check(said.contains("<Prefix>logs/</Prefix>") && !said.contains("<Filter"), said)
}
