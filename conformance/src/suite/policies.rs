//! Policies of buckets: who is let in, who is kept out, and which documents are refused.

use super::context::{Context, Failure, check, element, error, status, text};
use crate::client::{Client, Request};
use crate::http::Answer;

super::cases!("policies":
    a_bucket_without_policy,
    a_policy_comes_back_as_it_was_sent,
    a_policy_is_replaced_and_removed,
    an_account_is_let_in_to_what_is_named_and_no_further,
    an_account_is_named_by_its_canonical_id,
    an_account_that_is_not_named_stays_out,
    a_deny_wins_over_an_allow,
    a_deny_binds_the_owner,
    a_policy_that_denies_everybody_can_be_removed,
    a_prefix_of_keys_is_let_in,
    wildcards_match_within_a_resource,
    not_action_allows_the_rest,
    not_resource_allows_the_rest,
    a_condition_on_a_prefix_limits_a_listing,
    a_condition_on_the_most_keys_limits_a_listing,
    a_condition_on_an_acl_header,
    a_condition_on_the_source_address,
    a_condition_on_tls,
    a_condition_on_a_tag_of_the_object,
    a_condition_on_the_copy_source,
    a_write_needs_its_own_action,
    a_removal_needs_its_own_action,
    versions_need_their_own_actions,
    a_copy_needs_both_ends,
    a_copied_part_needs_both_ends,
    each_key_of_a_batch_is_judged,
    an_absent_object_is_denied_to_who_may_not_list,
    an_absent_object_is_missing_to_who_may_list,
    documents_that_are_none_are_refused,
    statements_that_are_none_are_refused,
    actions_of_another_service_are_refused,
    a_resource_of_another_bucket_is_refused,
    a_principal_that_is_nobody_is_refused,
    a_policy_over_20_kb_is_refused,
    another_account_may_not_change_a_policy,
    a_policy_goes_with_its_bucket,
    a_public_policy_is_blocked,
    a_public_policy_lets_everybody_read_once_the_block_is_gone,
    restrict_public_buckets_shuts_what_was_public,
    the_status_of_a_policy,
);

/// A statement about this case's bucket; `resource` follows its name, with `/` for objects.
fn statement(context: &Context, effect: &str, principal: &str, action: &str, resource: &str, further: &str) -> String {
    format!(
        "{{\"Effect\":\"{effect}\",\"Principal\":{principal},\"Action\":{action},\
         \"Resource\":\"arn:aws:s3:::{}{resource}\"{further}}}",
        context.bucket
    )
}

fn document(statements: &[String]) -> String {
    format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{}]}}", statements.join(","))
}

async fn put(context: &Context, document: &str) -> Result<Answer, Failure> {
    context.send(context.request("PUT", "").query("policy", "").body(document)).await
}

async fn apply(context: &Context, statements: &[String]) -> Result<(), Failure> {
    status(&put(context, &document(statements)).await?, 204)
}

/// The other account, and how a policy names it.
async fn guest(context: &Context) -> Result<(Client, String), Failure> {
    let other = context.needs_other_user()?.clone();
    let id = context.canonical_id(&other).await?;
    Ok((other, format!("{{\"CanonicalUser\":\"{id}\"}}")))
}

/// A bucket with an object, and one statement that lets the other account in.
async fn open_to_guest(context: &Context, action: &str, resource: &str, further: &str) -> Result<Client, Failure> {
    let (other, principal) = guest(context).await?;
    context.create_object("key", b"body").await?;
    apply(context, &[statement(context, "Allow", &principal, action, resource, further)]).await?;
    Ok(other)
}

async fn expect(client: &Client, request: &Request, expected: u16) -> Result<(), Failure> {
    let answer = client.send(request).await?;
    let what = format!("{} {}", request.method, request.path);
    if expected == 403 && request.method != "HEAD" {
        return error(&answer, 403, "AccessDenied").map_err(|failure| format!("{what}: {failure}").into());
    }
    status(&answer, expected).map_err(|failure| format!("{what}: {failure}").into())
}

async fn a_bucket_without_policy(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&context.get_setting("policy").await?, 404, "NoSuchBucketPolicy")?;
    error(&context.get_setting("policyStatus").await?, 404, "NoSuchBucketPolicy")?;
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

async fn an_account_is_let_in_to_what_is_named_and_no_further(context: Context) -> Result<(), Failure> {
    let other = open_to_guest(&context, "\"s3:GetObject\"", "/key", "").await?;
    context.put("another", b"x").await?;
    expect(&other, &context.request("GET", "key"), 200).await?;
    expect(&other, &context.request("HEAD", "key"), 200).await?;
    expect(&other, &context.request("GET", "another"), 403).await?;
    expect(&other, &context.request("GET", ""), 403).await?;
    expect(&other, &context.request("PUT", "key").body("x"), 403).await?;
    expect(&other, &context.request("DELETE", "key"), 403).await?;
    expect(&other, &context.request("GET", "key").query("acl", ""), 403).await?;
    expect(&other, &context.request("GET", "key").query("tagging", ""), 403).await
}

async fn an_account_is_named_by_its_canonical_id(context: Context) -> Result<(), Failure> {
    let other = context.needs_other_user()?.clone();
    let id = context.canonical_id(&other).await?;
    context.create_object("key", b"body").await?;
    for principal in [format!("{{\"AWS\":\"{id}\"}}"), format!("{{\"AWS\":[\"{id}\"]}}")] {
        apply(&context, &[statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/*", "")]).await?;
        expect(&other, &context.request("GET", "key"), 200).await?;
    }
    Ok(())
}

async fn an_account_that_is_not_named_stays_out(context: Context) -> Result<(), Failure> {
    let other = context.needs_other_user()?.clone();
    let owner = context.canonical_id(&context.client).await?;
    context.create_object("key", b"body").await?;
    let principal = format!("{{\"AWS\":\"{owner}\"}}");
    apply(&context, &[statement(&context, "Allow", &principal, "\"s3:*\"", "/*", "")]).await?;
    expect(&other, &context.request("GET", "key"), 403).await
}

async fn a_deny_wins_over_an_allow(context: Context) -> Result<(), Failure> {
    let (other, principal) = guest(&context).await?;
    context.create_object("key", b"body").await?;
    context.put("secret/key", b"body").await?;
    let allow = statement(&context, "Allow", &principal, "\"s3:*\"", "/*", "");
    let deny = statement(&context, "Deny", &principal, "\"s3:GetObject\"", "/secret/*", "");
    for order in [[allow.clone(), deny.clone()], [deny, allow]] {
        apply(&context, &order).await?;
        expect(&other, &context.request("GET", "key"), 200).await?;
        expect(&other, &context.request("GET", "secret/key"), 403).await?;
    }
    Ok(())
}

async fn a_deny_binds_the_owner(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    apply(&context, &[statement(&context, "Deny", "\"*\"", "\"s3:DeleteObject\"", "/*", "")]).await?;
    expect(&context.client, &context.request("DELETE", "key"), 403).await?;
    context.expect_object("key", b"body").await.map(drop)
}

async fn a_policy_that_denies_everybody_can_be_removed(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let everything = [
        statement(&context, "Deny", "\"*\"", "\"s3:*\"", "/*", ""),
        statement(&context, "Deny", "\"*\"", "\"s3:*\"", "", ""),
    ];
    apply(&context, &everything).await?;
    expect(&context.client, &context.request("GET", "key"), 403).await?;
    expect(&context.client, &context.request("GET", ""), 403).await?;
    status(&context.get_setting("policy").await?, 200)?;
    status(&context.send(context.request("DELETE", "").query("policy", "")).await?, 204)?;
    context.expect_object("key", b"body").await.map(drop)
}

async fn a_prefix_of_keys_is_let_in(context: Context) -> Result<(), Failure> {
    let other = open_to_guest(&context, "[\"s3:GetObject\",\"s3:PutObject\"]", "/shared/*", "").await?;
    expect(&other, &context.request("PUT", "shared/a").body("x"), 200).await?;
    expect(&other, &context.request("GET", "shared/a"), 200).await?;
    expect(&other, &context.request("PUT", "shared").body("x"), 403).await?;
    expect(&other, &context.request("GET", "key"), 403).await
}

async fn wildcards_match_within_a_resource(context: Context) -> Result<(), Failure> {
    let other = open_to_guest(&context, "\"s3:Get*\"", "/a?c/*.txt", "").await?;
    for key in ["abc/1.txt", "axc/deep/er.txt", "ac/1.txt", "abc/1.pdf"] {
        context.put(key, b"x").await?;
    }
    expect(&other, &context.request("GET", "abc/1.txt"), 200).await?;
    expect(&other, &context.request("GET", "axc/deep/er.txt"), 200).await?;
    expect(&other, &context.request("GET", "ac/1.txt"), 403).await?;
    expect(&other, &context.request("GET", "abc/1.pdf"), 403).await
}

async fn not_action_allows_the_rest(context: Context) -> Result<(), Failure> {
    let (other, principal) = guest(&context).await?;
    context.create_object("key", b"body").await?;
    let rest = statement(&context, "Allow", &principal, "\"s3:DeleteObject\"", "/*", "");
    apply(&context, &[rest.replace("\"Action\"", "\"NotAction\"")]).await?;
    expect(&other, &context.request("GET", "key"), 200).await?;
    expect(&other, &context.request("DELETE", "key"), 403).await
}

async fn not_resource_allows_the_rest(context: Context) -> Result<(), Failure> {
    let (other, principal) = guest(&context).await?;
    context.create_object("key", b"body").await?;
    context.put("secret/key", b"body").await?;
    let rest = statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/secret/*", "");
    apply(&context, &[rest.replace("\"Resource\"", "\"NotResource\"")]).await?;
    expect(&other, &context.request("GET", "key"), 200).await?;
    expect(&other, &context.request("GET", "secret/key"), 403).await
}

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

async fn a_write_needs_its_own_action(context: Context) -> Result<(), Failure> {
    let other = open_to_guest(&context, "\"s3:PutObject\"", "/*", "").await?;
    expect(&other, &context.request("PUT", "new").body("x"), 200).await?;
    expect(&other, &context.request("POST", "new").query("uploads", ""), 200).await?;
    expect(&other, &context.request("PUT", "new").header("x-amz-tagging", "a=b").body("x"), 403).await?;
    expect(&other, &context.request("PUT", "new").header("x-amz-acl", "public-read").body("x"), 403).await?;
    expect(&other, &context.request("GET", "key"), 403).await
}

async fn a_removal_needs_its_own_action(context: Context) -> Result<(), Failure> {
    let other = open_to_guest(&context, "\"s3:DeleteObject\"", "/key", "").await?;
    expect(&other, &context.request("DELETE", "another"), 403).await?;
    expect(&other, &context.request("DELETE", "key").query("versionId", "null"), 403).await?;
    expect(&other, &context.request("DELETE", "key"), 204).await?;
    context.expect_no_object("key").await
}

async fn versions_need_their_own_actions(context: Context) -> Result<(), Failure> {
    let other = open_to_guest(&context, "\"s3:GetObjectVersion\"", "/*", "").await?;
    expect(&other, &context.request("GET", "key").query("versionId", "null"), 200).await?;
    expect(&other, &context.request("GET", "key"), 403).await?;
    expect(&other, &context.request("GET", "").query("versions", ""), 403).await
}

/// A bucket of the other account, and the guest who owns it.
async fn bucket_of(other: &Client, context: &Context) -> Result<String, Failure> {
    let name = format!("{}-o", context.bucket);
    status(&other.send(&Request::new("PUT", &name, "")).await?, 200)?;
    Ok(name)
}

async fn a_copy_needs_both_ends(context: Context) -> Result<(), Failure> {
    let other = open_to_guest(&context, "\"s3:GetObject\"", "/key", "").await?;
    context.put("closed", b"x").await?;
    let target = bucket_of(&other, &context).await?;
    let copy = |bucket: &str, source: &str| {
        Request::new("PUT", bucket, "copy").header("x-amz-copy-source", &format!("/{}/{source}", context.bucket))
    };
    expect(&other, &copy(&target, "key"), 200).await?;
    expect(&other, &copy(&target, "closed"), 403).await?;
    expect(&other, &copy(&context.bucket, "key"), 403).await?;
    // Nor may the owner of the source read what was copied away.
    expect(&other, &Request::new("GET", &target, "copy"), 200).await
}

async fn a_copied_part_needs_both_ends(context: Context) -> Result<(), Failure> {
    let other = open_to_guest(&context, "\"s3:GetObject\"", "/key", "").await?;
    context.put("closed", b"x").await?;
    let target = bucket_of(&other, &context).await?;
    let begun = other.send(&Request::new("POST", &target, "copy").query("uploads", "")).await?;
    let id = element(&text(&begun), "UploadId").ok_or("no UploadId")?;
    let copy = |source: &str| {
        Request::new("PUT", &target, "copy")
            .query("partNumber", "1")
            .query("uploadId", &id)
            .header("x-amz-copy-source", &format!("/{}/{source}", context.bucket))
    };
    expect(&other, &copy("closed"), 403).await?;
    expect(&other, &copy("key"), 200).await
}

async fn each_key_of_a_batch_is_judged(context: Context) -> Result<(), Failure> {
    use base64::Engine as _;
    use md5::Digest as _;
    let other = open_to_guest(&context, "\"s3:DeleteObject\"", "/key", "").await?;
    context.put("closed", b"x").await?;
    let list = "<Delete><Object><Key>key</Key></Object><Object><Key>closed</Key></Object></Delete>";
    let md5 = base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(list));
    let answer =
        other.send(&context.request("POST", "").query("delete", "").header("content-md5", &md5).body(list)).await?;
    status(&answer, 200)?;
    check(text(&answer).contains("<Deleted><Key>key</Key>"), text(&answer))?;
    check(element(&text(&answer), "Code").as_deref() == Some("AccessDenied"), text(&answer))?;
    context.expect_no_object("key").await?;
    context.expect_object("closed", b"x").await.map(drop)
}

async fn an_absent_object_is_denied_to_who_may_not_list(context: Context) -> Result<(), Failure> {
    let other = open_to_guest(&context, "\"s3:GetObject\"", "/*", "").await?;
    expect(&other, &context.request("GET", "absent"), 403).await?;
    expect(&other, &context.request("HEAD", "absent"), 403).await
}

async fn an_absent_object_is_missing_to_who_may_list(context: Context) -> Result<(), Failure> {
    let (other, principal) = guest(&context).await?;
    context.create_bucket().await?;
    let allow = [
        statement(&context, "Allow", &principal, "\"s3:GetObject\"", "/*", ""),
        statement(&context, "Allow", &principal, "\"s3:ListBucket\"", "", ""),
    ];
    apply(&context, &allow).await?;
    error(&other.send(&context.request("GET", "absent")).await?, 404, "NoSuchKey")?;
    expect(&other, &context.request("HEAD", "absent"), 404).await
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
