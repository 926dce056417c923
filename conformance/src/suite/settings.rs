//! Settings of buckets: CORS, lifecycle, encryption, and what a bucket has not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::context::{Context, Failure, check, element, error, has_header, header, no_header, status, text};
use crate::client::Request;
use crate::http::Answer;

super::cases!("settings":
    no_website_no_replication_no_cors_no_lifecycle,
    request_payment_is_the_bucket_owners,
    acceleration_was_never_set,
    cors_is_kept_and_removed,
    cors_needs_a_digest,
    cors_with_two_wildcards_is_refused,
    cors_with_an_unknown_method_is_refused,
    cors_without_a_rule_is_refused,
    preflight_is_answered_without_a_signature,
    preflight_of_another_origin_is_forbidden,
    preflight_of_another_method_is_forbidden,
    preflight_of_another_header_is_forbidden,
    preflight_without_an_origin_is_bad,
    preflight_without_rules_is_forbidden,
    answers_name_the_origin_that_may_read_them,
    errors_name_the_origin_that_may_read_them,
    lifecycle_is_kept_and_removed,
    lifecycle_needs_a_digest,
    lifecycle_rule_ids_are_unique,
    lifecycle_without_an_action_is_refused,
    lifecycle_of_zero_days_is_refused,
    lifecycle_date_is_a_midnight,
    lifecycle_names_rules_that_have_no_name,
    lifecycle_transition_is_refused_by_name,
    expiration_is_announced,
    encryption_is_aes256_from_the_start,
    encryption_is_set_and_reset,
    encryption_with_an_unknown_algorithm_is_refused,
    encryption_of_two_rules_is_refused,
    blocked_sse_c_refuses_uploads_with_a_key,
    blocked_encryption_types_that_are_none_are_refused,
    cors_of_a_hundred_rules_and_no_more,
    cors_allows_any_origin_without_credentials,
    lifecycle_filters_by_tag_and_size,
    lifecycle_filters_that_are_none_are_refused,
    lifecycle_without_days_of_noncurrent_versions_is_refused,
    lifecycle_expiration_of_two_kinds_is_refused,
    lifecycle_transition_with_a_bad_date_is_malformed,
    lifecycle_of_a_thousand_rules_and_no_more,
    lifecycle_keeps_the_prefix_of_old_rules,
    settings_of_no_bucket_are_no_such_bucket,
    settings_of_another_user_are_denied,
    settings_go_with_their_bucket,
);

const CORS: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>https://*.example</AllowedOrigin>\
    <AllowedMethod>GET</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
    <MaxAgeSeconds>60</MaxAgeSeconds></CORSRule></CORSConfiguration>";
const ORIGIN: &str = "https://app.example";

async fn set(context: &Context, what: &str, document: &str) -> Result<Answer, Failure> {
    context.set(what, document).await
}

async fn get(context: &Context, what: &str) -> Result<Answer, Failure> {
    context.get_setting(what).await
}

async fn remove(context: &Context, what: &str) -> Result<(), Failure> {
    status(&context.send(context.request("DELETE", "").query(what, "")).await?, 204)
}

fn lifecycle(id: &str, inside: &str) -> String {
    format!(
        "<LifecycleConfiguration><Rule><ID>{id}</ID><Status>Enabled</Status><Filter><Prefix>a</Prefix></Filter>{inside}\
         </Rule></LifecycleConfiguration>"
    )
}

const DAYS: &str = "<Expiration><Days>5</Days></Expiration>";

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

async fn cors_is_kept_and_removed(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "cors", CORS).await?, 200)?;
    let answer = get(&context, "cors").await?;
    status(&answer, 200)?;
    let document = text(&answer);
    for (name, value) in [("AllowedOrigin", "https://*.example"), ("AllowedMethod", "GET"), ("MaxAgeSeconds", "60")] {
        check(element(&document, name).as_deref() == Some(value), format!("{name} in {document}"))?;
    }
    remove(&context, "cors").await?;
    error(&get(&context, "cors").await?, 404, "NoSuchCORSConfiguration")
}

async fn cors_needs_a_digest(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = context.send(context.request("PUT", "").query("cors", "").body(CORS)).await?;
    error(&answer, 400, "InvalidRequest")
}

async fn cors_refused(context: &Context, from: &str, to: &str, code: &str) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&set(context, "cors", &CORS.replace(from, to)).await?, 400, code)?;
    error(&get(context, "cors").await?, 404, "NoSuchCORSConfiguration")
}

async fn cors_with_two_wildcards_is_refused(context: Context) -> Result<(), Failure> {
    cors_refused(&context, "https://*.example", "https://*.*", "InvalidRequest").await
}

async fn cors_with_an_unknown_method_is_refused(context: Context) -> Result<(), Failure> {
    cors_refused(&context, "<AllowedMethod>GET", "<AllowedMethod>PATCH", "InvalidRequest").await
}

async fn cors_without_a_rule_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&set(&context, "cors", "<CORSConfiguration/>").await?, 400, "MalformedXML")
}

/// A request without a signature, as browsers send preflights.
async fn preflight(context: &Context, headers: &[(&str, &str)]) -> Result<Answer, Failure> {
    let mut head = format!(
        "OPTIONS /{}/key HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\n",
        context.bucket, context.client.endpoint.authority
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(head.as_bytes()).await?;
    Ok(connection.answer("OPTIONS", 1 << 20).await?)
}

async fn forbidden(context: &Context, headers: &[(&str, &str)]) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(context, "cors", CORS).await?, 200)?;
    let answer = preflight(context, headers).await?;
    error(&answer, 403, "AccessForbidden")?;
    no_header(&answer, "access-control-allow-origin")
}

const ASKS_GET: (&str, &str) = ("access-control-request-method", "GET");

async fn preflight_is_answered_without_a_signature(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "cors", CORS).await?, 200)?;
    let headers = [("origin", ORIGIN), ASKS_GET, ("access-control-request-headers", "x-amz-date, X-Amz-User-Agent")];
    let answer = preflight(&context, &headers).await?;
    status(&answer, 200)?;
    header(&answer, "access-control-allow-origin", ORIGIN)?;
    header(&answer, "access-control-allow-methods", "GET")?;
    header(&answer, "access-control-allow-headers", "x-amz-date, x-amz-user-agent")?;
    header(&answer, "access-control-max-age", "60")?;
    has_header(&answer, "vary").map(drop)
}

async fn preflight_of_another_origin_is_forbidden(context: Context) -> Result<(), Failure> {
    forbidden(&context, &[("origin", "https://example.evil"), ASKS_GET]).await
}

async fn preflight_of_another_method_is_forbidden(context: Context) -> Result<(), Failure> {
    forbidden(&context, &[("origin", ORIGIN), ("access-control-request-method", "PUT")]).await
}

async fn preflight_of_another_header_is_forbidden(context: Context) -> Result<(), Failure> {
    forbidden(&context, &[("origin", ORIGIN), ASKS_GET, ("access-control-request-headers", "content-type")]).await
}

async fn preflight_without_an_origin_is_bad(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "cors", CORS).await?, 200)?;
    error(&preflight(&context, &[ASKS_GET]).await?, 400, "BadRequest")
}

async fn preflight_without_rules_is_forbidden(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&preflight(&context, &[("origin", ORIGIN), ASKS_GET]).await?, 403, "AccessForbidden")
}

async fn answers_name_the_origin_that_may_read_them(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    status(&set(&context, "cors", CORS).await?, 200)?;
    let answer = context.send(context.request("GET", "key").header("origin", ORIGIN)).await?;
    status(&answer, 200)?;
    header(&answer, "access-control-allow-origin", ORIGIN)?;
    header(&answer, "access-control-expose-headers", "ETag")?;
    let other = context.send(context.request("GET", "key").header("origin", "https://example.evil")).await?;
    status(&other, 200)?;
    no_header(&other, "access-control-allow-origin")
}

async fn errors_name_the_origin_that_may_read_them(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "cors", CORS).await?, 200)?;
    let answer = context.send(context.request("GET", "none").header("origin", ORIGIN)).await?;
    error(&answer, 404, "NoSuchKey")?;
    header(&answer, "access-control-allow-origin", ORIGIN)
}

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

fn encryption(algorithm: &str) -> String {
    format!(
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{algorithm}\
         </SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )
}

async fn encryption_is_aes256_from_the_start(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = get(&context, "encryption").await?;
    status(&answer, 200)?;
    check(element(&text(&answer), "SSEAlgorithm").as_deref() == Some("AES256"), text(&answer))?;
    header(&context.put("key", b"body").await?, "x-amz-server-side-encryption", "AES256")
}

async fn encryption_is_set_and_reset(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "encryption", &encryption("AES256")).await?, 200)?;
    status(&get(&context, "encryption").await?, 200)?;
    remove(&context, "encryption").await?;
    status(&get(&context, "encryption").await?, 200)
}

async fn encryption_with_an_unknown_algorithm_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&set(&context, "encryption", &encryption("rot13")).await?, 400, "MalformedXML")
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

const NO_SSE_C: &str = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
    <SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BlockedEncryptionTypes>\
    <EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>";

async fn encryption_of_two_rules_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let rule = "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
                </ApplyServerSideEncryptionByDefault></Rule>";
    let two = format!("<ServerSideEncryptionConfiguration>{rule}{rule}</ServerSideEncryptionConfiguration>");
    error(&set(&context, "encryption", &two).await?, 400, "MalformedXML")
}

async fn blocked_sse_c_refuses_uploads_with_a_key(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    context.create_bucket().await?;
    status(&set(&context, "encryption", NO_SSE_C).await?, 200)?;
    let said = text(&get(&context, "encryption").await?);
    check(element(&said, "EncryptionType").as_deref() == Some("SSE-C"), said)?;
    let key = [7_u8; 32];
    let keyed = |request: Request| {
        request
            .header("x-amz-server-side-encryption-customer-algorithm", "AES256")
            .header("x-amz-server-side-encryption-customer-key", &STANDARD.encode(key))
            .header("x-amz-server-side-encryption-customer-key-md5", &STANDARD.encode(Md5::digest(key)))
    };
    let put = || keyed(context.request("PUT", "key").body("x"));
    error(&context.send(put()).await?, 403, "AccessDenied")?;
    error(&context.send(keyed(context.request("POST", "key").query("uploads", ""))).await?, 403, "AccessDenied")?;
    context.put("plain", b"x").await?;
    status(&set(&context, "encryption", &NO_SSE_C.replace("SSE-C", "NONE")).await?, 200)?;
    status(&context.send(put()).await?, 200)?;
    // What is there is read on.
    status(&set(&context, "encryption", NO_SSE_C).await?, 200)?;
    status(&context.send(keyed(context.request("GET", "key"))).await?, 200)
}

async fn blocked_encryption_types_that_are_none_are_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for bad in ["ROT13", "", "sse-c"] {
        let document = NO_SSE_C.replace("<EncryptionType>SSE-C", &format!("<EncryptionType>{bad}"));
        error(&set(&context, "encryption", &document).await?, 400, "MalformedXML")
            .map_err(|failure| format!("{bad}: {failure}"))?;
    }
    Ok(())
}

async fn cors_of_a_hundred_rules_and_no_more(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let rule =
        "<CORSRule><AllowedOrigin>https://a.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>";
    let rules = |count: usize| format!("<CORSConfiguration>{}</CORSConfiguration>", rule.repeat(count));
    status(&set(&context, "cors", &rules(100)).await?, 200)?;
    status(&set(&context, "cors", &rules(101)).await?, 400)?;
    let said = text(&get(&context, "cors").await?);
    check(said.matches("<CORSRule>").count() == 100, "another number of rules came back")
}

async fn cors_allows_any_origin_without_credentials(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"x").await?;
    let rule = "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>\
                </CORSConfiguration>";
    status(&set(&context, "cors", rule).await?, 200)?;
    let answer = context.send(context.request("GET", "key").header("origin", ORIGIN)).await?;
    header(&answer, "access-control-allow-origin", "*")?;
    no_header(&answer, "access-control-allow-credentials")?;
    no_header(&context.send(context.request("GET", "key")).await?, "access-control-allow-origin")
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
