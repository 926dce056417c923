//! The IAM API: users, keys, groups, policies of an account, and what they come to at S3.

use super::context::{Context, Failure, check, element, elements, error, status, text};
use super::sts::{account, call};
use crate::client::{Client, Request};

super::cases!("iam":
    a_user_is_made_shown_and_removed,
    a_user_is_made_once,
    a_renamed_user_is_who_it_was,
    users_are_listed_by_pages_and_by_path,
    a_name_is_the_same_in_any_case,
    lists_are_in_order_whatever_the_case,
    an_account_that_asks_for_itself_is_its_root,
    an_account_counts_what_it_holds,
    a_name_that_is_none_is_refused,
    what_does_not_exist_is_said_so,
    an_unknown_action_of_iam_is_refused,
    a_call_that_nobody_signed_is_refused,
    a_new_user_may_nothing,
    a_user_may_what_its_policy_says,
    a_deny_of_a_user_wins_over_its_allow,
    a_policy_of_a_user_is_kept_listed_and_removed,
    a_policy_that_is_none_is_malformed,
    a_key_is_made_inactive_and_active_again,
    a_key_that_is_removed_signs_nothing,
    a_user_with_keys_stays,
    what_a_user_makes_belongs_to_its_account,
    a_managed_policy_counts_where_it_is_attached,
    a_managed_policy_that_is_attached_stays,
    a_group_gives_its_members_what_it_may,
    who_leaves_a_group_loses_what_it_gave,
    paths_are_part_of_names,
    a_user_manages_its_own_keys,
    a_user_that_may_one_thing_in_iam_may_that,
    accounts_do_not_see_each_other,
    the_built_in_policy_for_reading_reads,
);

/// A user of this case, with a key: `name` follows what is the case's own.
async fn member(context: &Context, name: &str) -> Result<(String, Client), Failure> {
    let name = of_case(context, name);
    status(&call(&context.client, "iam", "CreateUser", &[("UserName", &name)]).await?, 200)?;
    let client = key_of(context, &name).await?.1;
    Ok((name, client))
}

async fn key_of(context: &Context, user: &str) -> Result<(String, Client), Failure> {
    let made = call(&context.client, "iam", "CreateAccessKey", &[("UserName", user)]).await?;
    status(&made, 200)?;
    let xml = text(&made);
    let part = |name| element(&xml, name).ok_or_else(|| format!("no {name} in {xml}"));
    let id = part("AccessKeyId")?;
    let client = context.client.acting_as(&id, &part("SecretAccessKey")?);
    Ok((id, client))
}

/// A name of this case's own, short enough for IAM.
fn of_case(context: &Context, name: &str) -> String {
    let mut own = context.bucket.clone();
    own.truncate(62 - name.len());
    format!("{own}-{name}")
}

fn allow(action: &str, resource: &str) -> String {
    statement("Allow", action, resource)
}

fn statement(effect: &str, action: &str, resource: &str) -> String {
    format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"{effect}\",\"Action\":\"{action}\",\
         \"Resource\":\"{resource}\"}}]}}"
    )
}

async fn put_policy(context: &Context, user: &str, name: &str, document: &str) -> Result<(), Failure> {
    let put = [("UserName", user), ("PolicyName", name), ("PolicyDocument", document)];
    status(&call(&context.client, "iam", "PutUserPolicy", &put).await?, 200)
}

/// Sends one call of the account that must succeed; its answer comes back.
async fn done(context: &Context, action: &str, parameters: &[(&str, &str)]) -> Result<String, Failure> {
    let answer = call(&context.client, "iam", action, parameters).await?;
    status(&answer, 200)?;
    Ok(text(&answer))
}

async fn read(context: &Context, client: &Client) -> Result<u16, Failure> {
    Ok(client.send(&context.request("GET", "k")).await?.head.status)
}

fn is(got: u16, expected: u16) -> Result<(), Failure> {
    check(got == expected, format!("expected {expected}, got {got}"))
}

async fn a_user_is_made_shown_and_removed(context: Context) -> Result<(), Failure> {
    let name = of_case(&context, "u");
    let made = done(&context, "CreateUser", &[("UserName", &name)]).await?;
    let number = account(&context.client).await?;
    for (part, expected) in
        [("UserName", name.clone()), ("Path", "/".into()), ("Arn", format!("arn:aws:iam::{number}:user/{name}"))]
    {
        check(element(&made, part) == Some(expected), made.clone())?;
    }
    check(element(&made, "UserId").is_some_and(|id| id.starts_with("AIDA")), made.clone())?;
    let shown = done(&context, "GetUser", &[("UserName", &name)]).await?;
    check(element(&shown, "UserId") == element(&made, "UserId"), shown)?;
    done(&context, "DeleteUser", &[("UserName", &name)]).await?;
    let gone = call(&context.client, "iam", "GetUser", &[("UserName", &name)]).await?;
    error(&gone, 404, "NoSuchEntity")
}

async fn a_user_is_made_once(context: Context) -> Result<(), Failure> {
    let name = of_case(&context, "u");
    done(&context, "CreateUser", &[("UserName", &name)]).await?;
    error(&call(&context.client, "iam", "CreateUser", &[("UserName", &name)]).await?, 409, "EntityAlreadyExists")
}

async fn a_renamed_user_is_who_it_was(context: Context) -> Result<(), Failure> {
    context.create_object("k", b"x").await?;
    let (name, client) = member(&context, "u").await?;
    put_policy(&context, &name, "p", &allow("s3:GetObject", &format!("arn:aws:s3:::{}/*", context.bucket))).await?;
    is(read(&context, &client).await?, 200)?;
    let before = done(&context, "GetUser", &[("UserName", &name)]).await?;
    let renamed = of_case(&context, "v");
    done(&context, "UpdateUser", &[("UserName", &name), ("NewUserName", &renamed)]).await?;
    let after = done(&context, "GetUser", &[("UserName", &renamed)]).await?;
    check(element(&before, "UserId") == element(&after, "UserId"), after.clone())?;
    check(element(&after, "Arn").is_some_and(|arn| arn.ends_with(&format!(":user/{renamed}"))), after)?;
    error(&call(&context.client, "iam", "GetUser", &[("UserName", &name)]).await?, 404, "NoSuchEntity")?;
    // Its key and its policy went with it.
    is(read(&context, &client).await?, 200)?;
    done(&context, "CreateUser", &[("UserName", &name)]).await?;
    let onto = call(&context.client, "iam", "UpdateUser", &[("UserName", &renamed), ("NewUserName", &name)]).await?;
    error(&onto, 409, "EntityAlreadyExists")
}

async fn users_are_listed_by_pages_and_by_path(context: Context) -> Result<(), Failure> {
    let path = format!("/{}/", context.bucket);
    let names: Vec<String> = (0..5).map(|n| of_case(&context, &n.to_string())).collect();
    for name in &names {
        done(&context, "CreateUser", &[("UserName", name), ("Path", &path)]).await?;
    }
    let (mut seen, mut marker) = (Vec::new(), None::<String>);
    for _ in 0..names.len() {
        let mut parameters = vec![("PathPrefix", path.as_str()), ("MaxItems", "2")];
        parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = done(&context, "ListUsers", &parameters).await?;
        seen.extend(elements(&page, "UserName"));
        marker = element(&page, "Marker");
        check(element(&page, "IsTruncated") == Some(marker.is_some().to_string()), page)?;
        if marker.is_none() {
            break;
        }
    }
    check(seen == names, format!("{seen:?}"))
}

const TRUST_ALL: &str = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\
                         \"sts:AssumeRole\",\"Principal\":{\"AWS\":\"*\"}}]}";

async fn a_name_is_the_same_in_any_case(context: Context) -> Result<(), Failure> {
    let (name, other) = (of_case(&context, "Name"), of_case(&context, "nAME"));
    for (kind, further) in [("User", None), ("Group", None), ("Role", Some(("AssumeRolePolicyDocument", TRUST_ALL)))] {
        let (make, get, remove) = (format!("Create{kind}"), format!("Get{kind}"), format!("Delete{kind}"));
        let parameter = format!("{kind}Name");
        let with = |name| {
            let mut parameters = vec![(parameter.as_str(), name)];
            parameters.extend(further);
            parameters
        };
        done(&context, &make, &with(&name)).await?;
        error(&call(&context.client, "iam", &make, &with(&other)).await?, 409, "EntityAlreadyExists")?;
        let shown = done(&context, &get, &[(&parameter, &other)]).await?;
        check(element(&shown, &parameter).as_deref() == Some(&name), shown)?;
        done(&context, &remove, &[(&parameter, &other)]).await?;
        error(&call(&context.client, "iam", &get, &[(&parameter, &name)]).await?, 404, "NoSuchEntity")?;
    }
    Ok(())
}

async fn lists_are_in_order_whatever_the_case(context: Context) -> Result<(), Failure> {
    let path = format!("/{}/", context.bucket);
    let names: Vec<String> = ["aa", "Ab", "ac", "Ad"].iter().map(|name| of_case(&context, name)).collect();
    for name in names.iter().rev() {
        done(&context, "CreateUser", &[("UserName", name), ("Path", &path)]).await?;
    }
    let (mut seen, mut marker) = (Vec::new(), None::<String>);
    for _ in 0..names.len() {
        let mut parameters = vec![("PathPrefix", path.as_str()), ("MaxItems", "1")];
        parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = done(&context, "ListUsers", &parameters).await?;
        seen.extend(elements(&page, "UserName"));
        marker = element(&page, "Marker");
    }
    check(seen == names && marker.is_none(), format!("{seen:?}"))
}

async fn an_account_that_asks_for_itself_is_its_root(context: Context) -> Result<(), Failure> {
    let shown = done(&context, "GetUser", &[]).await?;
    let number = account(&context.client).await?;
    check(element(&shown, "Arn") == Some(format!("arn:aws:iam::{number}:root")), shown)?;
    let (name, user) = member(&context, "u").await?;
    put_policy(&context, &name, "p", &allow("iam:GetUser", "*")).await?;
    let shown = call(&user, "iam", "GetUser", &[]).await?;
    check(element(&text(&shown), "Arn") == Some(format!("arn:aws:iam::{number}:user/{name}")), text(&shown))
}

async fn an_account_counts_what_it_holds(context: Context) -> Result<(), Failure> {
    let (name, user) = member(&context, "u").await?;
    error(&call(&user, "iam", "GetAccountSummary", &[]).await?, 403, "AccessDenied")?;
    let policy = "arn:aws:iam::aws:policy/IAMReadOnlyAccess";
    done(&context, "AttachUserPolicy", &[("UserName", &name), ("PolicyArn", policy)]).await?;
    let summary = call(&user, "iam", "GetAccountSummary", &[]).await?;
    status(&summary, 200)?;
    let keys = elements(&text(&summary), "key");
    for key in ["Users", "UsersQuota", "Groups", "GroupsQuota", "AccessKeysPerUserQuota"] {
        check(keys.iter().any(|known| known == key), text(&summary))?;
    }
    error(&call(&user, "iam", "DeleteUser", &[("UserName", &name)]).await?, 403, "AccessDenied")
}

async fn a_name_that_is_none_is_refused(context: Context) -> Result<(), Failure> {
    for name in ["", "a b", "a/b", "a*", "\u{e9}", &"a".repeat(65)] {
        let answer = call(&context.client, "iam", "CreateUser", &[("UserName", name)]).await?;
        error(&answer, 400, "ValidationError")?;
    }
    let name = of_case(&context, "u");
    for path in ["x", "/x", "x/", "/x y/"] {
        let answer = call(&context.client, "iam", "CreateUser", &[("UserName", &name), ("Path", path)]).await?;
        error(&answer, 400, "ValidationError")?;
    }
    Ok(())
}

async fn what_does_not_exist_is_said_so(context: Context) -> Result<(), Failure> {
    let name = of_case(&context, "none");
    for (action, parameter) in [
        ("GetUser", "UserName"),
        ("DeleteUser", "UserName"),
        ("CreateAccessKey", "UserName"),
        ("ListUserPolicies", "UserName"),
        ("GetGroup", "GroupName"),
        ("GetRole", "RoleName"),
    ] {
        error(&call(&context.client, "iam", action, &[(parameter, &name)]).await?, 404, "NoSuchEntity")?;
    }
    let arn = format!("arn:aws:iam::{}:policy/{name}", account(&context.client).await?);
    error(&call(&context.client, "iam", "GetPolicy", &[("PolicyArn", &arn)]).await?, 404, "NoSuchEntity")
}

async fn an_unknown_action_of_iam_is_refused(context: Context) -> Result<(), Failure> {
    error(&call(&context.client, "iam", "MakeUser", &[]).await?, 400, "InvalidAction")
}

async fn a_call_that_nobody_signed_is_refused(context: Context) -> Result<(), Failure> {
    let request = Request::new("POST", "", "")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("Action=ListUsers&Version=2010-05-08");
    let answer = context.send_unsigned(&request).await?;
    check(matches!(answer.head.status, 400 | 403), format!("{}: {}", answer.head.status, text(&answer)))?;
    check(!text(&answer).contains("<member>"), text(&answer))
}

async fn a_new_user_may_nothing(context: Context) -> Result<(), Failure> {
    context.create_object("k", b"x").await?;
    let (_, user) = member(&context, "u").await?;
    error(&user.send(&context.request("GET", "k")).await?, 403, "AccessDenied")?;
    error(&user.send(&context.request("PUT", "l").body("x")).await?, 403, "AccessDenied")?;
    error(&user.send(&Request::new("GET", "", "")).await?, 403, "AccessDenied")?;
    error(&call(&user, "iam", "ListUsers", &[]).await?, 403, "AccessDenied")
}

async fn a_user_may_what_its_policy_says(context: Context) -> Result<(), Failure> {
    context.create_object("k", b"x").await?;
    let (name, user) = member(&context, "u").await?;
    put_policy(&context, &name, "p", &allow("s3:GetObject", &format!("arn:aws:s3:::{}/*", context.bucket))).await?;
    is(read(&context, &user).await?, 200)?;
    error(&user.send(&context.request("PUT", "k").body("y")).await?, 403, "AccessDenied")?;
    error(&user.send(&context.request("GET", "")).await?, 403, "AccessDenied")
}

async fn a_deny_of_a_user_wins_over_its_allow(context: Context) -> Result<(), Failure> {
    context.create_object("k", b"x").await?;
    let (name, user) = member(&context, "u").await?;
    put_policy(&context, &name, "all", &allow("s3:*", "*")).await?;
    is(read(&context, &user).await?, 200)?;
    put_policy(&context, &name, "but", &statement("Deny", "s3:Get*", "*")).await?;
    is(read(&context, &user).await?, 403)?;
    done(&context, "DeleteUserPolicy", &[("UserName", &name), ("PolicyName", "but")]).await?;
    is(read(&context, &user).await?, 200)
}

async fn a_policy_of_a_user_is_kept_listed_and_removed(context: Context) -> Result<(), Failure> {
    let name = of_case(&context, "u");
    done(&context, "CreateUser", &[("UserName", &name)]).await?;
    let document = allow("s3:GetObject", "*");
    put_policy(&context, &name, "p", &document).await?;
    let named = [("UserName", name.as_str()), ("PolicyName", "p")];
    let kept = done(&context, "GetUserPolicy", &named).await?;
    let encoded = element(&kept, "PolicyDocument").unwrap_or_default();
    check(encoded.starts_with("%7B") && encoded.contains("s3%3AGetObject"), kept)?;
    let list = done(&context, "ListUserPolicies", &[("UserName", &name)]).await?;
    check(elements(&list, "member") == ["p"], list)?;
    done(&context, "DeleteUserPolicy", &named).await?;
    error(&call(&context.client, "iam", "GetUserPolicy", &named).await?, 404, "NoSuchEntity")?;
    error(&call(&context.client, "iam", "DeleteUserPolicy", &named).await?, 404, "NoSuchEntity")
}

async fn a_policy_that_is_none_is_malformed(context: Context) -> Result<(), Failure> {
    let name = of_case(&context, "u");
    done(&context, "CreateUser", &[("UserName", &name)]).await?;
    let with_principal = allow("s3:*", "*").replace("\"Action\"", "\"Principal\":\"*\",\"Action\"");
    for document in ["x", "{}", "[]", &with_principal, &allow("s3:*", "nothing")] {
        let put = [("UserName", name.as_str()), ("PolicyName", "p"), ("PolicyDocument", document)];
        let answer = call(&context.client, "iam", "PutUserPolicy", &put).await?;
        error(&answer, 400, "MalformedPolicyDocument").map_err(|failure| format!("{document}: {failure}"))?;
    }
    Ok(())
}

async fn a_key_is_made_inactive_and_active_again(context: Context) -> Result<(), Failure> {
    context.create_object("k", b"x").await?;
    let (name, user) = member(&context, "u").await?;
    put_policy(&context, &name, "p", &allow("s3:*", "*")).await?;
    let id = user.credentials.access_key_id.clone();
    for (state, expected) in [("Inactive", 403), ("Active", 200)] {
        let update = [("UserName", name.as_str()), ("AccessKeyId", id.as_str()), ("Status", state)];
        done(&context, "UpdateAccessKey", &update).await?;
        let list = done(&context, "ListAccessKeys", &[("UserName", &name)]).await?;
        check(element(&list, "Status").as_deref() == Some(state), list)?;
        is(read(&context, &user).await?, expected)?;
    }
    Ok(())
}

async fn a_key_that_is_removed_signs_nothing(context: Context) -> Result<(), Failure> {
    let (name, user) = member(&context, "u").await?;
    put_policy(&context, &name, "p", &allow("s3:*", "*")).await?;
    status(&user.send(&Request::new("GET", "", "")).await?, 200)?;
    let key = [("UserName", name.as_str()), ("AccessKeyId", user.credentials.access_key_id.as_str())];
    done(&context, "DeleteAccessKey", &key).await?;
    error(&user.send(&Request::new("GET", "", "")).await?, 403, "InvalidAccessKeyId")?;
    error(&call(&context.client, "iam", "DeleteAccessKey", &key).await?, 404, "NoSuchEntity")
}

async fn a_user_with_keys_stays(context: Context) -> Result<(), Failure> {
    let (name, user) = member(&context, "u").await?;
    error(&call(&context.client, "iam", "DeleteUser", &[("UserName", &name)]).await?, 409, "DeleteConflict")?;
    let key = [("UserName", name.as_str()), ("AccessKeyId", user.credentials.access_key_id.as_str())];
    done(&context, "DeleteAccessKey", &key).await?;
    done(&context, "DeleteUser", &[("UserName", &name)]).await.map(drop)
}

async fn what_a_user_makes_belongs_to_its_account(context: Context) -> Result<(), Failure> {
    let (name, user) = member(&context, "u").await?;
    put_policy(&context, &name, "p", &allow("s3:*", "*")).await?;
    status(&user.send(&context.request("PUT", "")).await?, 200)?;
    check(context.canonical_id(&user).await? == context.canonical_id(&context.client).await?, "another owner")?;
    status(&user.send(&context.request("PUT", "k").body("x")).await?, 200)?;
    context.expect_object("k", b"x").await.map(drop)
}

/// Makes a managed policy of this case that may read; its ARN comes back.
async fn reading(context: &Context) -> Result<String, Failure> {
    let (name, document) = (of_case(context, "p"), allow("s3:GetObject", "*"));
    let made = done(context, "CreatePolicy", &[("PolicyName", &name), ("PolicyDocument", &document)]).await?;
    element(&made, "Arn").ok_or_else(|| made.into())
}

async fn a_managed_policy_counts_where_it_is_attached(context: Context) -> Result<(), Failure> {
    context.create_object("k", b"x").await?;
    let (name, user) = member(&context, "u").await?;
    let arn = reading(&context).await?;
    is(read(&context, &user).await?, 403)?;
    let attached = [("UserName", name.as_str()), ("PolicyArn", arn.as_str())];
    done(&context, "AttachUserPolicy", &attached).await?;
    is(read(&context, &user).await?, 200)?;
    let list = done(&context, "ListAttachedUserPolicies", &[("UserName", &name)]).await?;
    check(element(&list, "PolicyArn").as_deref() == Some(&arn), list)?;
    done(&context, "DetachUserPolicy", &attached).await?;
    is(read(&context, &user).await?, 403)?;
    error(&call(&context.client, "iam", "DetachUserPolicy", &attached).await?, 404, "NoSuchEntity")
}

async fn a_managed_policy_that_is_attached_stays(context: Context) -> Result<(), Failure> {
    let (name, _) = member(&context, "u").await?;
    let arn = reading(&context).await?;
    let attached = [("UserName", name.as_str()), ("PolicyArn", arn.as_str())];
    done(&context, "AttachUserPolicy", &attached).await?;
    error(&call(&context.client, "iam", "DeletePolicy", &[("PolicyArn", &arn)]).await?, 409, "DeleteConflict")?;
    done(&context, "DetachUserPolicy", &attached).await?;
    done(&context, "DeletePolicy", &[("PolicyArn", &arn)]).await.map(drop)
}

/// A group of this case that may everything in S3, with a member.
async fn group(context: &Context) -> Result<(String, String, Client), Failure> {
    context.create_object("k", b"x").await?;
    let (user, client) = member(context, "u").await?;
    let group = of_case(context, "g");
    done(context, "CreateGroup", &[("GroupName", &group)]).await?;
    let all = allow("s3:*", "*");
    done(context, "PutGroupPolicy", &[("GroupName", &group), ("PolicyName", "p"), ("PolicyDocument", &all)]).await?;
    is(read(context, &client).await?, 403)?;
    done(context, "AddUserToGroup", &[("GroupName", &group), ("UserName", &user)]).await?;
    Ok((group, user, client))
}

async fn a_group_gives_its_members_what_it_may(context: Context) -> Result<(), Failure> {
    let (name, user, client) = group(&context).await?;
    is(read(&context, &client).await?, 200)?;
    let shown = done(&context, "GetGroup", &[("GroupName", &name)]).await?;
    check(element(&shown, "UserName").as_deref() == Some(&user), shown)?;
    let groups = done(&context, "ListGroupsForUser", &[("UserName", &user)]).await?;
    check(elements(&groups, "GroupName") == [name], groups)
}

async fn who_leaves_a_group_loses_what_it_gave(context: Context) -> Result<(), Failure> {
    let (name, user, client) = group(&context).await?;
    error(&call(&context.client, "iam", "DeleteGroup", &[("GroupName", &name)]).await?, 409, "DeleteConflict")?;
    done(&context, "RemoveUserFromGroup", &[("GroupName", &name), ("UserName", &user)]).await?;
    is(read(&context, &client).await?, 403)?;
    done(&context, "DeleteGroupPolicy", &[("GroupName", &name), ("PolicyName", "p")]).await?;
    done(&context, "DeleteGroup", &[("GroupName", &name)]).await.map(drop)
}

async fn paths_are_part_of_names(context: Context) -> Result<(), Failure> {
    let number = account(&context.client).await?;
    let path = format!("/{}/in/", context.bucket);
    let all = allow("s3:*", "*");
    for (kind, create, parameter) in [
        ("user", "CreateUser", "UserName"),
        ("group", "CreateGroup", "GroupName"),
        ("policy", "CreatePolicy", "PolicyName"),
    ] {
        let name = of_case(&context, kind);
        let mut parameters = vec![(parameter, name.as_str()), ("Path", path.as_str())];
        parameters.extend((kind == "policy").then_some(("PolicyDocument", all.as_str())));
        let made = done(&context, create, &parameters).await?;
        check(element(&made, "Path").as_deref() == Some(&path), made.clone())?;
        check(element(&made, "Arn") == Some(format!("arn:aws:iam::{number}:{kind}{path}{name}")), made)?;
    }
    Ok(())
}

async fn a_user_manages_its_own_keys(context: Context) -> Result<(), Failure> {
    let (name, user) = member(&context, "u").await?;
    let (other, _) = member(&context, "v").await?;
    put_policy(&context, &name, "p", &allow("iam:*AccessKey*", "arn:aws:iam::*:user/${aws:username}")).await?;
    let made = call(&user, "iam", "CreateAccessKey", &[]).await?;
    status(&made, 200)?;
    let id = element(&text(&made), "AccessKeyId").unwrap_or_default();
    status(&call(&user, "iam", "DeleteAccessKey", &[("AccessKeyId", &id)]).await?, 200)?;
    error(&call(&user, "iam", "CreateAccessKey", &[("UserName", &other)]).await?, 403, "AccessDenied")
}

async fn a_user_that_may_one_thing_in_iam_may_that(context: Context) -> Result<(), Failure> {
    let (name, user) = member(&context, "u").await?;
    let (other, _) = member(&context, "v").await?;
    let number = account(&context.client).await?;
    put_policy(&context, &name, "p", &allow("iam:GetUser", &format!("arn:aws:iam::{number}:user/{other}"))).await?;
    status(&call(&user, "iam", "GetUser", &[("UserName", &other)]).await?, 200)?;
    error(&call(&user, "iam", "GetUser", &[("UserName", &name)]).await?, 403, "AccessDenied")?;
    error(&call(&user, "iam", "DeleteUser", &[("UserName", &other)]).await?, 403, "AccessDenied")?;
    error(&call(&user, "iam", "ListUsers", &[]).await?, 403, "AccessDenied")
}

async fn accounts_do_not_see_each_other(context: Context) -> Result<(), Failure> {
    let other = context.needs_other_user()?.clone();
    let (name, _) = member(&context, "u").await?;
    error(&call(&other, "iam", "GetUser", &[("UserName", &name)]).await?, 404, "NoSuchEntity")?;
    error(&call(&other, "iam", "CreateAccessKey", &[("UserName", &name)]).await?, 404, "NoSuchEntity")?;
    let list = call(&other, "iam", "ListUsers", &[]).await?;
    status(&list, 200)?;
    check(!text(&list).contains(&name), text(&list))?;
    let arn = reading(&context).await?;
    error(&call(&other, "iam", "GetPolicy", &[("PolicyArn", &arn)]).await?, 404, "NoSuchEntity")
}

async fn the_built_in_policy_for_reading_reads(context: Context) -> Result<(), Failure> {
    context.create_object("k", b"x").await?;
    let (name, user) = member(&context, "u").await?;
    let arn = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    done(&context, "AttachUserPolicy", &[("UserName", &name), ("PolicyArn", arn)]).await?;
    is(read(&context, &user).await?, 200)?;
    error(&user.send(&context.request("DELETE", "k")).await?, 403, "AccessDenied")?;
    let shown = done(&context, "GetPolicy", &[("PolicyArn", arn)]).await?;
    check(element(&shown, "PolicyName").as_deref() == Some("AmazonS3ReadOnlyAccess"), shown)
}
