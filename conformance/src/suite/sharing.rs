//! Ownership, ACLs, and the public access block.

use super::context::{Context, Failure, check, element, elements, error, status, text};
use crate::client::{Client, Request};
use crate::http::Answer;

super::cases!("sharing":
    a_new_bucket_blocks_public_access,
    a_block_is_set_in_parts_and_removed,
    blocks_that_are_none_are_refused,
    a_new_bucket_owns_what_is_in_it,
    ownership_is_set_and_removed,
    ownerships_that_are_none_are_refused,
    an_acl_where_acls_are_off,
    an_acl_of_the_owner_alone_where_acls_are_off,
    acls_that_share_are_refused_where_acls_are_off,
    acls_of_a_put_where_acls_are_off,
    a_private_acl_where_acls_are_off,
    a_public_acl_is_told_by_the_status,
    canned_acls_of_a_bucket,
    a_public_acl_is_blocked,
    a_public_read_acl_lets_everybody_list,
    a_public_read_object_is_read_by_everybody,
    ignore_public_acls_shuts_what_was_public,
    a_grant_lets_an_account_list,
    a_grant_lets_an_account_write,
    an_owner_without_a_grant_writes_no_more,
    an_object_of_another_account_is_its_own,
    an_upload_of_another_account_is_its_own,
    bucket_owner_preferred_takes_what_is_given,
    grants_in_a_document,
    grants_that_are_none_are_refused,
    an_acl_of_another_owner_is_refused,
    a_canned_acl_and_grants_together_are_refused,
    an_acl_of_no_object,
    a_copy_takes_no_acl_along,
    switching_acls_off_while_they_share_is_refused,
    settings_of_sharing_are_the_owners,
);

const OFF: &str = "BucketOwnerEnforced";

async fn own(context: &Context, ownership: &str) -> Result<Answer, Failure> {
    let rule = format!("<Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule>");
    context.set("ownershipControls", &format!("<OwnershipControls>{rule}</OwnershipControls>")).await
}

/// A bucket with ACLs and without the block.
async fn open(context: &Context, ownership: &str) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&own(context, ownership).await?, 200)?;
    status(&context.send(context.request("DELETE", "").query("publicAccessBlock", "")).await?, 204)
}

fn block(parts: &[&str]) -> String {
    let inside: String = parts.iter().map(|part| format!("<{part}>true</{part}>")).collect();
    format!("<PublicAccessBlockConfiguration>{inside}</PublicAccessBlockConfiguration>")
}

fn acl(context: &Context, key: &str, canned: &str) -> Request {
    context.request("PUT", key).query("acl", "").header("x-amz-acl", canned)
}

async fn other(context: &Context) -> Result<(Client, String), Failure> {
    let other = context.needs_other_user()?.clone();
    let id = context.canonical_id(&other).await?;
    Ok((other, id))
}

async fn denied(client: &Client, request: &Request) -> Result<(), Failure> {
    error(&client.send(request).await?, 403, "AccessDenied")
        .map_err(|failure| format!("{} {}: {failure}", request.method, request.path).into())
}

async fn a_new_bucket_blocks_public_access(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = context.get_setting("publicAccessBlock").await?;
    status(&answer, 200)?;
    for part in ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"] {
        check(element(&text(&answer), part).as_deref() == Some("true"), text(&answer))?;
    }
    Ok(())
}

async fn a_block_is_set_in_parts_and_removed(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&context.set("publicAccessBlock", &block(&["BlockPublicAcls", "BlockPublicPolicy"])).await?, 200)?;
    let said = text(&context.get_setting("publicAccessBlock").await?);
    for (part, is) in [
        ("BlockPublicAcls", "true"),
        ("IgnorePublicAcls", "false"),
        ("BlockPublicPolicy", "true"),
        ("RestrictPublicBuckets", "false"),
    ] {
        check(element(&said, part).as_deref() == Some(is), format!("{part}: {said}"))?;
    }
    status(&context.send(context.request("DELETE", "").query("publicAccessBlock", "")).await?, 204)?;
    error(&context.get_setting("publicAccessBlock").await?, 404, "NoSuchPublicAccessBlockConfiguration")
}

async fn blocks_that_are_none_are_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for bad in [
        "",
        "<Other/>",
        "<PublicAccessBlockConfiguration><BlockPublicAcls>perhaps</BlockPublicAcls></PublicAccessBlockConfiguration>",
    ] {
        status(&context.set("publicAccessBlock", bad).await?, 400).map_err(|failure| format!("{bad}: {failure}"))?;
    }
    Ok(())
}

async fn a_new_bucket_owns_what_is_in_it(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let said = text(&context.get_setting("ownershipControls").await?);
    check(element(&said, "ObjectOwnership").as_deref() == Some(OFF), said)
}

async fn ownership_is_set_and_removed(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for ownership in ["BucketOwnerPreferred", "ObjectWriter", OFF] {
        status(&own(&context, ownership).await?, 200)?;
        let said = text(&context.get_setting("ownershipControls").await?);
        check(element(&said, "ObjectOwnership").as_deref() == Some(ownership), said)?;
    }
    status(&context.send(context.request("DELETE", "").query("ownershipControls", "")).await?, 204)?;
    error(&context.get_setting("ownershipControls").await?, 404, "OwnershipControlsNotFoundError")
}

async fn ownerships_that_are_none_are_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&own(&context, "Everybody").await?, 400, "MalformedXML")?;
    error(&context.set("ownershipControls", "<OwnershipControls/>").await?, 400, "MalformedXML")
}

async fn an_acl_where_acls_are_off(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let owner = context.canonical_id(&context.client).await?;
    for key in ["", "key"] {
        let answer = context.send(context.request("GET", key).query("acl", "")).await?;
        status(&answer, 200)?;
        let said = text(&answer);
        check(elements(&said, "ID") == [owner.clone(), owner.clone()], said.clone())?;
        check(elements(&said, "Permission") == ["FULL_CONTROL"], said)?;
    }
    Ok(())
}

async fn an_acl_of_the_owner_alone_where_acls_are_off(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    let full = context.request("PUT", "key").header("x-amz-acl", "bucket-owner-full-control").body("again");
    status(&context.send(full).await?, 200)?;
    context.expect_object("key", b"again").await.map(drop)
}

async fn acls_that_share_are_refused_where_acls_are_off(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    for key in ["", "key"] {
        for canned in ["public-read", "public-read-write", "authenticated-read"] {
            error(&context.send(acl(&context, key, canned)).await?, 400, "AccessControlListNotSupported")?;
        }
    }
    Ok(())
}

async fn acls_of_a_put_where_acls_are_off(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let put = |name: &str, value: &str| context.request("PUT", "key").header(name, value).body("x");
    error(&context.send(put("x-amz-acl", "public-read")).await?, 400, "AccessControlListNotSupported")?;
    let everybody = "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"";
    error(&context.send(put("x-amz-grant-read", everybody)).await?, 400, "AccessControlListNotSupported")?;
    context.expect_no_object("key").await
}

async fn a_private_acl_where_acls_are_off(context: Context) -> Result<(), Failure> {
    let private = |key: &str| context.request("PUT", key).header("x-amz-acl", "private").body("x");
    // Where ACLs are off by default, what tools send by default does no harm; who asked for that hears of it.
    context.create_bucket().await?;
    status(&context.send(private("key")).await?, 200)?;
    status(&own(&context, OFF).await?, 200)?;
    error(&context.send(private("other")).await?, 400, "AccessControlListNotSupported")?;
    let full = context.request("PUT", "full").header("x-amz-acl", "bucket-owner-full-control").body("x");
    status(&context.send(full).await?, 200)?;
    let uploads = context.request("POST", "other").query("uploads", "").header("x-amz-acl", "private");
    error(&context.send(uploads).await?, 400, "AccessControlListNotSupported")?;
    context.expect_no_object("other").await
}

async fn a_public_acl_is_told_by_the_status(context: Context) -> Result<(), Failure> {
    open(&context, "ObjectWriter").await?;
    for (canned, public) in [("private", "false"), ("public-read", "true"), ("authenticated-read", "true")] {
        status(&context.send(acl(&context, "", canned)).await?, 200)?;
        let answer = context.get_setting("policyStatus").await?;
        status(&answer, 200)?;
        check(element(&text(&answer), "IsPublic").as_deref() == Some(public), text(&answer))?;
    }
    status(&context.set("publicAccessBlock", &block(&["IgnorePublicAcls"])).await?, 200)?;
    let answer = context.get_setting("policyStatus").await?;
    check(element(&text(&answer), "IsPublic").as_deref() == Some("false"), text(&answer))
}

async fn canned_acls_of_a_bucket(context: Context) -> Result<(), Failure> {
    open(&context, "ObjectWriter").await?;
    for (canned, permissions) in [
        ("private", &["FULL_CONTROL"][..]),
        ("public-read", &["READ", "FULL_CONTROL"]),
        ("public-read-write", &["READ", "WRITE", "FULL_CONTROL"]),
        ("authenticated-read", &["READ", "FULL_CONTROL"]),
    ] {
        status(&context.send(acl(&context, "", canned)).await?, 200)?;
        let said = text(&context.get_setting("acl").await?);
        check(elements(&said, "Permission") == permissions, format!("{canned}: {said}"))?;
    }
    error(&context.send(acl(&context, "", "public")).await?, 400, "InvalidArgument")
}

async fn a_public_acl_is_blocked(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&own(&context, "ObjectWriter").await?, 200)?;
    error(&context.send(acl(&context, "", "public-read")).await?, 403, "AccessDenied")?;
    let put = context.request("PUT", "key").header("x-amz-acl", "public-read").body("x");
    error(&context.send(put).await?, 403, "AccessDenied")?;
    context.expect_no_object("key").await
}

async fn a_public_read_acl_lets_everybody_list(context: Context) -> Result<(), Failure> {
    open(&context, "ObjectWriter").await?;
    context.put("key", b"body").await?;
    error(&context.send_unsigned(&context.request("GET", "")).await?, 403, "AccessDenied")?;
    status(&context.send(acl(&context, "", "public-read")).await?, 200)?;
    let answer = context.send_unsigned(&context.request("GET", "")).await?;
    status(&answer, 200)?;
    check(elements(&text(&answer), "Key") == ["key"], text(&answer))?;
    error(&context.send_unsigned(&context.request("GET", "key")).await?, 403, "AccessDenied")?;
    error(&context.send_unsigned(&context.request("PUT", "new").body("x")).await?, 403, "AccessDenied")
}

async fn a_public_read_object_is_read_by_everybody(context: Context) -> Result<(), Failure> {
    open(&context, "ObjectWriter").await?;
    context.put("key", b"body").await?;
    status(&context.send(acl(&context, "key", "public-read")).await?, 200)?;
    let answer = context.send_unsigned(&context.request("GET", "key")).await?;
    status(&answer, 200)?;
    check(answer.body == b"body", "another body")?;
    let other_type = context.request("GET", "key").query("response-content-type", "text/html");
    error(&context.send_unsigned(&other_type).await?, 400, "InvalidRequest")?;
    error(&context.send_unsigned(&context.request("GET", "key").query("acl", "")).await?, 403, "AccessDenied")?;
    status(&context.send(acl(&context, "key", "private")).await?, 200)?;
    error(&context.send_unsigned(&context.request("GET", "key")).await?, 403, "AccessDenied")
}

async fn ignore_public_acls_shuts_what_was_public(context: Context) -> Result<(), Failure> {
    open(&context, "ObjectWriter").await?;
    let put = context.request("PUT", "key").header("x-amz-acl", "public-read").body("body");
    status(&context.send(put).await?, 200)?;
    status(&context.send_unsigned(&context.request("GET", "key")).await?, 200)?;
    status(&context.set("publicAccessBlock", &block(&["IgnorePublicAcls"])).await?, 200)?;
    error(&context.send_unsigned(&context.request("GET", "key")).await?, 403, "AccessDenied")?;
    let said = text(&context.send(context.request("GET", "key").query("acl", "")).await?);
    check(elements(&said, "Permission") == ["READ", "FULL_CONTROL"], said)
}

async fn a_grant_lets_an_account_list(context: Context) -> Result<(), Failure> {
    let (guest, id) = other(&context).await?;
    open(&context, "ObjectWriter").await?;
    context.put("key", b"body").await?;
    denied(&guest, &context.request("GET", "")).await?;
    let owner = context.canonical_id(&context.client).await?;
    let grant = context
        .request("PUT", "")
        .query("acl", "")
        .header("x-amz-grant-read", &format!("id=\"{id}\""))
        .header("x-amz-grant-full-control", &format!("id=\"{owner}\""));
    status(&context.send(grant).await?, 200)?;
    status(&guest.send(&context.request("GET", "")).await?, 200)?;
    status(&guest.send(&context.request("HEAD", "")).await?, 200)?;
    denied(&guest, &context.request("GET", "key")).await?;
    denied(&guest, &context.request("PUT", "new").body("x")).await?;
    denied(&guest, &context.request("GET", "").query("acl", "")).await
}

async fn a_grant_lets_an_account_write(context: Context) -> Result<(), Failure> {
    let (guest, id) = other(&context).await?;
    open(&context, "ObjectWriter").await?;
    let grant = context.request("PUT", "").query("acl", "").header("x-amz-grant-write", &format!("id={id}"));
    status(&context.send(grant).await?, 200)?;
    status(&guest.send(&context.request("PUT", "new").body("theirs")).await?, 200)?;
    status(&guest.send(&context.request("PUT", "tagged").header("x-amz-tagging", "a=b").body("x")).await?, 200)?;
    denied(&guest, &context.request("GET", "")).await
}

async fn an_owner_without_a_grant_writes_no_more(context: Context) -> Result<(), Failure> {
    open(&context, "ObjectWriter").await?;
    context.put("key", b"body").await?;
    let owner = context.canonical_id(&context.client).await?;
    let none = context.request("PUT", "").query("acl", "").body(policy(&owner, ""));
    status(&context.send(none).await?, 200)?;
    error(&context.send(context.request("PUT", "new").body("x")).await?, 403, "AccessDenied")?;
    status(&context.send(context.request("GET", "key")).await?, 200)?;
    let said = text(&context.send(context.request("GET", "").query("acl", "")).await?);
    check(elements(&said, "Permission").is_empty(), said)?;
    status(&context.send(acl(&context, "", "private")).await?, 200)?;
    status(&context.send(context.request("PUT", "new").body("x")).await?, 200)
}

async fn an_object_of_another_account_is_its_own(context: Context) -> Result<(), Failure> {
    let (guest, id) = other(&context).await?;
    open(&context, "ObjectWriter").await?;
    status(&context.send(acl(&context, "", "public-read-write")).await?, 200)?;
    status(&guest.send(&context.request("PUT", "theirs").body("theirs")).await?, 200)?;
    let said = text(&guest.send(&context.request("GET", "theirs").query("acl", "")).await?);
    check(elements(&said, "ID") == [id.clone(), id.clone()], said)?;
    let listed = text(&context.send(context.request("GET", "")).await?);
    check(elements(&listed, "ID") == [id], listed)?;
    status(&guest.send(&context.request("GET", "theirs")).await?, 200)
}

async fn an_upload_of_another_account_is_its_own(context: Context) -> Result<(), Failure> {
    let (guest, id) = other(&context).await?;
    open(&context, "ObjectWriter").await?;
    status(&context.send(acl(&context, "", "public-read-write")).await?, 200)?;
    let created = text(&guest.send(&context.request("POST", "theirs").query("uploads", "")).await?);
    let upload_id = element(&created, "UploadId").ok_or("no UploadId")?;
    let parts = text(&guest.send(&context.request("GET", "theirs").query("uploadId", &upload_id)).await?);
    check(elements(&parts, "ID") == [id.clone(), id.clone()], parts)?;
    let uploads = text(&context.send(context.request("GET", "").query("uploads", "")).await?);
    check(elements(&uploads, "ID") == [id.clone(), id], uploads)
}

async fn bucket_owner_preferred_takes_what_is_given(context: Context) -> Result<(), Failure> {
    let (guest, id) = other(&context).await?;
    open(&context, "BucketOwnerPreferred").await?;
    status(&context.send(acl(&context, "", "public-read-write")).await?, 200)?;
    let owner = context.canonical_id(&context.client).await?;
    status(&guest.send(&context.request("PUT", "kept").body("x")).await?, 200)?;
    let given = context.request("PUT", "given").header("x-amz-acl", "bucket-owner-full-control").body("x");
    status(&guest.send(&given).await?, 200)?;
    let listed = text(&context.send(context.request("GET", "")).await?);
    check(elements(&listed, "ID") == [owner, id], listed)
}

fn policy(owner: &str, grants: &str) -> String {
    format!(
        "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
    )
}

fn grant(id: &str, permission: &str) -> String {
    format!(
        "<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>{id}</ID>\
         </Grantee><Permission>{permission}</Permission></Grant>"
    )
}

async fn grants_in_a_document(context: Context) -> Result<(), Failure> {
    let (guest, id) = other(&context).await?;
    open(&context, "ObjectWriter").await?;
    context.put("key", b"body").await?;
    let owner = context.canonical_id(&context.client).await?;
    let document = policy(&owner, &(grant(&owner, "FULL_CONTROL") + &grant(&id, "READ") + &grant(&id, "READ_ACP")));
    let put = context.request("PUT", "key").query("acl", "").body(document);
    status(&context.send(put).await?, 200)?;
    status(&guest.send(&context.request("GET", "key")).await?, 200)?;
    let said = text(&guest.send(&context.request("GET", "key").query("acl", "")).await?);
    check(elements(&said, "Permission") == ["FULL_CONTROL", "READ", "READ_ACP"], said)?;
    denied(&guest, &acl(&context, "key", "private")).await?;
    denied(&guest, &context.request("DELETE", "key")).await
}

async fn grants_that_are_none_are_refused(context: Context) -> Result<(), Failure> {
    open(&context, "ObjectWriter").await?;
    context.put("key", b"body").await?;
    let owner = context.canonical_id(&context.client).await?;
    let put = |document: String| context.request("PUT", "key").query("acl", "").body(document);
    for (bad, code) in [
        (String::from("<Other/>"), "MalformedACLError"),
        (policy(&owner, "<Grant/>"), "MalformedACLError"),
        (policy(&owner, &grant(&owner, "EVERYTHING")), "MalformedACLError"),
        (policy(&owner, &grant("_nobody", "READ")), "InvalidArgument"),
        (policy(&owner, &grant(&owner, "READ").repeat(101)), "MalformedACLError"),
    ] {
        error(&context.send(put(bad.clone())).await?, 400, code).map_err(|failure| format!("{bad:.200}: {failure}"))?;
    }
    let email = "<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"AmazonCustomerByEmail\">\
                 <EmailAddress>nobody@example.invalid</EmailAddress></Grantee><Permission>READ</Permission></Grant>";
    error(&context.send(put(policy(&owner, email))).await?, 400, "UnresolvableGrantByEmailAddress")
}

async fn an_acl_of_another_owner_is_refused(context: Context) -> Result<(), Failure> {
    let (_, id) = other(&context).await?;
    open(&context, "ObjectWriter").await?;
    let put = context.request("PUT", "").query("acl", "").body(policy(&id, &grant(&id, "FULL_CONTROL")));
    error(&context.send(put).await?, 403, "AccessDenied")
}

async fn a_canned_acl_and_grants_together_are_refused(context: Context) -> Result<(), Failure> {
    let (_, id) = other(&context).await?;
    open(&context, "ObjectWriter").await?;
    let both = context
        .request("PUT", "key")
        .header("x-amz-acl", "private")
        .header("x-amz-grant-read", &format!("id={id}"))
        .body("x");
    error(&context.send(both).await?, 400, "InvalidRequest")?;
    context.expect_no_object("key").await
}

async fn an_acl_of_no_object(context: Context) -> Result<(), Failure> {
    open(&context, "ObjectWriter").await?;
    error(&context.send(context.request("GET", "absent").query("acl", "")).await?, 404, "NoSuchKey")?;
    error(&context.send(acl(&context, "absent", "private")).await?, 404, "NoSuchKey")
}

async fn a_copy_takes_no_acl_along(context: Context) -> Result<(), Failure> {
    open(&context, "ObjectWriter").await?;
    let put = context.request("PUT", "key").header("x-amz-acl", "public-read").body("body");
    status(&context.send(put).await?, 200)?;
    let source = format!("/{}/key", context.bucket);
    status(&context.send(context.request("PUT", "copy").header("x-amz-copy-source", &source)).await?, 200)?;
    status(&context.send_unsigned(&context.request("GET", "key")).await?, 200)?;
    error(&context.send_unsigned(&context.request("GET", "copy")).await?, 403, "AccessDenied")
}

async fn switching_acls_off_while_they_share_is_refused(context: Context) -> Result<(), Failure> {
    open(&context, "ObjectWriter").await?;
    status(&context.send(acl(&context, "", "public-read")).await?, 200)?;
    error(&own(&context, OFF).await?, 400, "InvalidBucketAclWithObjectOwnership")?;
    status(&context.send(acl(&context, "", "private")).await?, 200)?;
    status(&own(&context, OFF).await?, 200)
}

async fn settings_of_sharing_are_the_owners(context: Context) -> Result<(), Failure> {
    let (guest, _) = other(&context).await?;
    context.create_bucket().await?;
    for what in ["acl", "policy", "publicAccessBlock", "ownershipControls", "policyStatus"] {
        denied(&guest, &context.request("GET", "").query(what, "")).await?;
    }
    for what in ["policy", "publicAccessBlock", "ownershipControls"] {
        denied(&guest, &context.request("DELETE", "").query(what, "")).await?;
    }
    Ok(())
}
