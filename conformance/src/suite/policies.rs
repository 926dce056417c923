//! Policies of buckets: who is let in to what, and who is kept out.

use super::context::{Context, Failure, check, element, error, status, text};
use crate::client::{Client, Request};
use crate::http::Answer;

super::cases!("policies":
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
    a_write_needs_its_own_action,
    a_removal_needs_its_own_action,
    versions_need_their_own_actions,
    a_copy_needs_both_ends,
    a_copied_part_needs_both_ends,
    each_key_of_a_batch_is_judged,
    an_absent_object_is_denied_to_who_may_not_list,
    an_absent_object_is_missing_to_who_may_list,
    absence_is_told_as_far_as_a_list_would_tell_it,
);

/// A statement about this case's bucket; `resource` follows its name, with `/` for objects.
pub(super) fn statement(
    context: &Context,
    effect: &str,
    principal: &str,
    action: &str,
    resource: &str,
    further: &str,
) -> String {
    format!(
        "{{\"Effect\":\"{effect}\",\"Principal\":{principal},\"Action\":{action},\
         \"Resource\":\"arn:aws:s3:::{}{resource}\"{further}}}",
        context.bucket
    )
}

pub(super) fn document(statements: &[String]) -> String {
    format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{}]}}", statements.join(","))
}

pub(super) async fn put(context: &Context, document: &str) -> Result<Answer, Failure> {
    context.send(context.request("PUT", "").query("policy", "").body(document)).await
}

pub(super) async fn apply(context: &Context, statements: &[String]) -> Result<(), Failure> {
    status(&put(context, &document(statements)).await?, 204)
}

/// The other account, and how a policy names it.
pub(super) async fn guest(context: &Context) -> Result<(Client, String), Failure> {
    let other = context.needs_other_user()?.clone();
    let id = context.canonical_id(&other).await?;
    Ok((other, format!("{{\"CanonicalUser\":\"{id}\"}}")))
}

/// A bucket with an object, and one statement that lets the other account in.
pub(super) async fn open_to_guest(
    context: &Context,
    action: &str,
    resource: &str,
    further: &str,
) -> Result<Client, Failure> {
    let (other, principal) = guest(context).await?;
    context.create_object("key", b"body").await?;
    apply(context, &[statement(context, "Allow", &principal, action, resource, further)]).await?;
    Ok(other)
}

pub(super) async fn expect(client: &Client, request: &Request, expected: u16) -> Result<(), Failure> {
    let answer = client.send(request).await?;
    let what = format!("{} {}", request.method, request.path);
    if expected == 403 && request.method != "HEAD" {
        return error(&answer, 403, "AccessDenied").map_err(|failure| format!("{what}: {failure}").into());
    }
    status(&answer, expected).map_err(|failure| format!("{what}: {failure}").into())
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
pub(super) async fn bucket_of(other: &Client, context: &Context) -> Result<String, Failure> {
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

async fn absence_is_told_as_far_as_a_list_would_tell_it(context: Context) -> Result<(), Failure> {
    let (other, principal) = guest(&context).await?;
    context.create_bucket().await?;
    let only = ",\"Condition\":{\"StringLike\":{\"s3:prefix\":\"open/*\"}}";
    apply(&context, &[statement(&context, "Allow", &principal, "\"s3:ListBucket\"", "", only)]).await?;
    expect(&other, &context.request("HEAD", "open/absent"), 404).await?;
    error(&other.send(&context.request("GET", "open/absent")).await?, 404, "NoSuchKey")?;
    expect(&other, &context.request("HEAD", "shut/absent"), 403).await?;
    // The condition is on the key that is read, whatever the request says of a prefix.
    expect(&other, &context.request("HEAD", "shut/absent").query("prefix", "open/absent"), 403).await
}
