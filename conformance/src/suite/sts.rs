//! Temporary credentials: STS and roles, as SDKs call them on the host of S3.

use time::OffsetDateTime;

use super::auth::send_target;
use super::context::{Context, Failure, check, element, elements, error, status, text};
use crate::client::{Client, Request};
use crate::http::Answer;
use crate::sign::encode;

super::cases!("sts":
    the_caller_hears_who_it_is,
    a_session_of_ones_own_may_what_its_owner_may,
    a_session_signs_urls,
    a_temporary_key_without_its_token_is_unknown,
    a_changed_token_is_refused,
    a_token_of_another_key_is_refused,
    a_token_with_a_lasting_key_is_refused,
    a_token_in_two_places_is_refused,
    lengths_of_sessions_are_bounded,
    a_session_makes_no_session,
    an_unsigned_call_is_refused,
    an_unknown_action_is_refused,
    a_signature_for_s3_is_none_for_sts,
    an_assumed_role_may_what_its_policies_say,
    a_session_policy_narrows,
    an_external_id_is_needed_where_the_role_wants_one,
    a_role_is_assumed_across_accounts_if_both_agree,
    a_role_that_is_gone_takes_its_sessions,
    a_role_that_does_not_exist_is_denied,
    a_trust_policy_without_principal_is_malformed,
    a_trust_policy_with_other_actions_is_malformed,
    roles_are_listed_by_pages,
);

/// Calls an action of a query API.
pub(super) async fn call(
    client: &Client,
    service: &str,
    action: &str,
    parameters: &[(&str, &str)],
) -> Result<Answer, Failure> {
    let version = if service == "iam" { "2010-05-08" } else { "2011-06-15" };
    let mut form = format!("Action={action}&Version={version}");
    for (name, value) in parameters {
        form.push_str(&format!("&{name}={}", encode(value)));
    }
    let request = Request::new("POST", "", "").header("content-type", "application/x-www-form-urlencoded").body(form);
    Ok(client.for_service(service).send(&request).await?)
}

/// What an answer of STS gives: a client with its key, and the token to go with it.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) token: String,
}

impl Session {
    fn of(client: &Client, answer: &Answer) -> Result<Self, Failure> {
        status(answer, 200)?;
        let xml = text(answer);
        let part = |name| element(&xml, name).ok_or_else(|| format!("no {name} in {xml}"));
        Ok(Self {
            client: client.acting_as(&part("AccessKeyId")?, &part("SecretAccessKey")?),
            token: part("SessionToken")?,
        })
    }

    /// The request with its token.
    pub(super) fn signed(&self, request: Request) -> Request {
        request.header("x-amz-security-token", &self.token)
    }

    async fn send(&self, request: Request) -> Result<Answer, Failure> {
        Ok(self.client.send(&self.signed(request)).await?)
    }
}

pub(super) async fn own_session(context: &Context) -> Result<Session, Failure> {
    let answer = call(&context.client, "sts", "GetSessionToken", &[("DurationSeconds", "900")]).await?;
    Session::of(&context.client, &answer)
}

pub(super) async fn account(client: &Client) -> Result<String, Failure> {
    let answer = call(client, "sts", "GetCallerIdentity", &[]).await?;
    status(&answer, 200)?;
    element(&text(&answer), "Account").ok_or_else(|| "no Account".into())
}

fn policy(principal: Option<&str>, action: &str, resource: Option<&str>, condition: &str) -> String {
    let principal = principal.map_or(String::new(), |who| format!("\"Principal\":{{\"AWS\":\"{who}\"}},"));
    let resource = resource.map_or(String::new(), |what| format!("\"Resource\":\"{what}\","));
    format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",{principal}{resource}\
         \"Condition\":{{{condition}}},\"Action\":\"{action}\"}}]}}"
    )
}

/// A role of this case that may everything in S3; its ARN comes back.
async fn role(context: &Context, trusted: &str, condition: &str) -> Result<String, Failure> {
    let (name, iam) = (context.bucket.as_str(), &context.client);
    let trust = policy(Some(trusted), "sts:AssumeRole", None, condition);
    let made = call(iam, "iam", "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust)]).await?;
    status(&made, 200)?;
    let all = policy(None, "s3:*", Some("*"), "");
    let put = [("RoleName", name), ("PolicyName", "all"), ("PolicyDocument", &all)];
    status(&call(iam, "iam", "PutRolePolicy", &put).await?, 200)?;
    element(&text(&made), "Arn").ok_or_else(|| "no Arn".into())
}

async fn assume(client: &Client, arn: &str, more: &[(&str, &str)]) -> Result<Answer, Failure> {
    let mut parameters = vec![("RoleArn", arn), ("RoleSessionName", "suite")];
    parameters.extend_from_slice(more);
    call(client, "sts", "AssumeRole", &parameters).await
}

async fn the_caller_hears_who_it_is(context: Context) -> Result<(), Failure> {
    let answer = call(&context.client, "sts", "GetCallerIdentity", &[]).await?;
    status(&answer, 200)?;
    let xml = text(&answer);
    let number = element(&xml, "Account").unwrap_or_default();
    check(number.len() == 12 && number.bytes().all(|byte| byte.is_ascii_digit()), format!("account {number}"))?;
    check(element(&xml, "Arn").is_some_and(|arn| arn.contains(&number)), xml.clone())?;
    check(element(&xml, "UserId").is_some_and(|id| !id.is_empty()), xml)
}

async fn a_session_of_ones_own_may_what_its_owner_may(context: Context) -> Result<(), Failure> {
    let session = own_session(&context).await?;
    check(session.client.credentials.access_key_id.starts_with("ASIA"), "a temporary key id begins with ASIA")?;
    status(&session.send(context.request("PUT", "")).await?, 200)?;
    status(&session.send(context.request("PUT", "k").body("x")).await?, 200)?;
    context.expect_object("k", b"x").await.map(drop)
}

async fn a_session_signs_urls(context: Context) -> Result<(), Failure> {
    context.create_object("k", b"x").await?;
    let session = own_session(&context).await?;
    let request = context.request("GET", "k").query("X-Amz-Security-Token", &session.token);
    let target = session.client.presign(&request, OffsetDateTime::now_utc(), 60);
    status(&send_target(&context, "GET", &target, "", b"").await?, 200)?;
    let without = session.client.presign(&context.request("GET", "k"), OffsetDateTime::now_utc(), 60);
    error(&send_target(&context, "GET", &without, "", b"").await?, 403, "InvalidAccessKeyId")?;
    // Added afterwards it is in no signature.
    let added = format!("{without}&X-Amz-Security-Token={}", session.token);
    error(&send_target(&context, "GET", &added, "", b"").await?, 403, "SignatureDoesNotMatch")
}

async fn a_temporary_key_without_its_token_is_unknown(context: Context) -> Result<(), Failure> {
    let session = own_session(&context).await?;
    let answer = session.client.send(&Request::new("GET", "", "")).await?;
    error(&answer, 403, "InvalidAccessKeyId")
}

async fn a_changed_token_is_refused(context: Context) -> Result<(), Failure> {
    let session = own_session(&context).await?;
    let len = session.token.len();
    for at in (0..len).step_by(len / 40 + 1).chain([len - 1]) {
        let mut bytes = session.token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let token = String::from_utf8(bytes).map_err(|_| "not text")?;
        let changed = Session { client: session.client.clone(), token };
        error(&changed.send(Request::new("GET", "", "")).await?, 400, "InvalidToken")?;
    }
    for token in ["x", &session.token[1..], &session.token[..len - 1]] {
        let cut = Session { client: session.client.clone(), token: token.to_owned() };
        error(&cut.send(Request::new("GET", "", "")).await?, 400, "InvalidToken")?;
    }
    Ok(())
}

async fn a_token_of_another_key_is_refused(context: Context) -> Result<(), Failure> {
    let (one, other) = (own_session(&context).await?, own_session(&context).await?);
    let mixed = Session { client: one.client, token: other.token };
    error(&mixed.send(Request::new("GET", "", "")).await?, 400, "InvalidToken")
}

async fn a_token_with_a_lasting_key_is_refused(context: Context) -> Result<(), Failure> {
    let session = own_session(&context).await?;
    let mixed = Session { client: context.client.clone(), token: session.token };
    error(&mixed.send(Request::new("GET", "", "")).await?, 400, "InvalidToken")
}

async fn a_token_in_two_places_is_refused(context: Context) -> Result<(), Failure> {
    let session = own_session(&context).await?;
    let request = Request::new("GET", "", "").query("X-Amz-Security-Token", &session.token);
    error(&session.send(request).await?, 400, "InvalidToken")
}

async fn lengths_of_sessions_are_bounded(context: Context) -> Result<(), Failure> {
    for seconds in ["899", "129601", "x", "-900", "900.5"] {
        let answer = call(&context.client, "sts", "GetSessionToken", &[("DurationSeconds", seconds)]).await?;
        error(&answer, 400, "ValidationError")?;
    }
    Ok(())
}

async fn a_session_makes_no_session(context: Context) -> Result<(), Failure> {
    let session = own_session(&context).await?;
    let request = Request::new("POST", "", "")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-amz-security-token", &session.token)
        .body("Action=GetSessionToken&Version=2011-06-15");
    error(&session.client.for_service("sts").send(&request).await?, 403, "AccessDenied")
}

async fn an_unsigned_call_is_refused(context: Context) -> Result<(), Failure> {
    for action in ["GetCallerIdentity", "GetSessionToken", "AssumeRole"] {
        let target = format!("/?Action={action}&Version=2011-06-15");
        error(&send_target(&context, "GET", &target, "", b"").await?, 403, "MissingAuthenticationToken")?;
    }
    Ok(())
}

async fn an_unknown_action_is_refused(context: Context) -> Result<(), Failure> {
    error(&call(&context.client, "sts", "Fly", &[]).await?, 400, "InvalidAction")
}

async fn a_signature_for_s3_is_none_for_sts(context: Context) -> Result<(), Failure> {
    let answer = call(&context.client, "s3", "GetCallerIdentity", &[]).await?;
    check(answer.head.status == 403, format!("status {}", answer.head.status))?;
    let answer = context.client.for_service("sts").send(&Request::new("GET", "", "")).await?;
    error(&answer, 400, "AuthorizationHeaderMalformed")
}

async fn an_assumed_role_may_what_its_policies_say(context: Context) -> Result<(), Failure> {
    context.create_object("k", b"x").await?;
    let arn = role(&context, &account(&context.client).await?, "").await?;
    let answer = assume(&context.client, &arn, &[]).await?;
    let session = Session::of(&context.client, &answer)?;
    check(text(&answer).contains(&format!("assumed-role/{}/suite", context.bucket)), text(&answer))?;
    status(&session.send(context.request("GET", "k")).await?, 200)?;
    let only = policy(None, "s3:GetObject", Some("arn:aws:s3:::*/other"), "");
    let put = [("RoleName", context.bucket.as_str()), ("PolicyName", "all"), ("PolicyDocument", &only)];
    status(&call(&context.client, "iam", "PutRolePolicy", &put).await?, 200)?;
    error(&session.send(context.request("GET", "k")).await?, 403, "AccessDenied")
}

async fn a_session_policy_narrows(context: Context) -> Result<(), Failure> {
    context.create_object("k", b"x").await?;
    let arn = role(&context, &account(&context.client).await?, "").await?;
    let narrow = policy(None, "s3:GetObject", Some(&format!("arn:aws:s3:::{}/*", context.bucket)), "");
    let session = Session::of(&context.client, &assume(&context.client, &arn, &[("Policy", &narrow)]).await?)?;
    status(&session.send(context.request("GET", "k")).await?, 200)?;
    error(&session.send(context.request("PUT", "k").body("y")).await?, 403, "AccessDenied")?;
    error(&session.send(context.request("DELETE", "k")).await?, 403, "AccessDenied")?;
    error(&assume(&context.client, &arn, &[("Policy", "{}")]).await?, 400, "MalformedPolicyDocument")
}

async fn an_external_id_is_needed_where_the_role_wants_one(context: Context) -> Result<(), Failure> {
    let condition = "\"StringEquals\":{\"sts:ExternalId\":\"7-of-9\"}";
    let arn = role(&context, &account(&context.client).await?, condition).await?;
    error(&assume(&context.client, &arn, &[]).await?, 403, "AccessDenied")?;
    error(&assume(&context.client, &arn, &[("ExternalId", "8-of-9")]).await?, 403, "AccessDenied")?;
    status(&assume(&context.client, &arn, &[("ExternalId", "7-of-9")]).await?, 200)
}

async fn a_role_is_assumed_across_accounts_if_both_agree(context: Context) -> Result<(), Failure> {
    let other = context.needs_other_user()?.clone();
    context.create_object("k", b"x").await?;
    let arn = role(&context, &account(&context.client).await?, "").await?;
    error(&assume(&other, &arn, &[]).await?, 403, "AccessDenied")?;
    let trust = policy(Some(&account(&other).await?), "sts:AssumeRole", None, "");
    let update = [("RoleName", context.bucket.as_str()), ("PolicyDocument", &trust)];
    status(&call(&context.client, "iam", "UpdateAssumeRolePolicy", &update).await?, 200)?;
    let session = Session::of(&other, &assume(&other, &arn, &[]).await?)?;
    status(&session.send(context.request("GET", "k")).await?, 200)?;
    error(&other.send(&context.request("GET", "k")).await?, 403, "AccessDenied")
}

async fn a_role_that_is_gone_takes_its_sessions(context: Context) -> Result<(), Failure> {
    let arn = role(&context, &account(&context.client).await?, "").await?;
    let session = Session::of(&context.client, &assume(&context.client, &arn, &[]).await?)?;
    status(&session.send(Request::new("GET", "", "")).await?, 200)?;
    let named = ("RoleName", context.bucket.as_str());
    error(&call(&context.client, "iam", "DeleteRole", &[named]).await?, 409, "DeleteConflict")?;
    status(&call(&context.client, "iam", "DeleteRolePolicy", &[named, ("PolicyName", "all")]).await?, 200)?;
    error(&session.send(Request::new("GET", "", "")).await?, 403, "AccessDenied")?;
    status(&call(&context.client, "iam", "DeleteRole", &[named]).await?, 200)?;
    error(&session.send(Request::new("GET", "", "")).await?, 400, "InvalidToken")
}

async fn a_role_that_does_not_exist_is_denied(context: Context) -> Result<(), Failure> {
    let arn = format!("arn:aws:iam::{}:role/{}", account(&context.client).await?, context.bucket);
    error(&assume(&context.client, &arn, &[]).await?, 403, "AccessDenied")
}

async fn a_trust_policy_without_principal_is_malformed(context: Context) -> Result<(), Failure> {
    let trust = policy(None, "sts:AssumeRole", None, "");
    let asked = [("RoleName", context.bucket.as_str()), ("AssumeRolePolicyDocument", &trust)];
    error(&call(&context.client, "iam", "CreateRole", &asked).await?, 400, "MalformedPolicyDocument")
}

async fn a_trust_policy_with_other_actions_is_malformed(context: Context) -> Result<(), Failure> {
    let trust = policy(Some(&account(&context.client).await?), "s3:GetObject", None, "");
    let asked = [("RoleName", context.bucket.as_str()), ("AssumeRolePolicyDocument", &trust)];
    error(&call(&context.client, "iam", "CreateRole", &asked).await?, 400, "MalformedPolicyDocument")
}

async fn roles_are_listed_by_pages(context: Context) -> Result<(), Failure> {
    let trust = policy(Some(&account(&context.client).await?), "sts:AssumeRole", None, "");
    let path = format!("/{}/", context.bucket);
    for name in ["a", "b", "c"] {
        let name = format!("{}-{name}", context.bucket);
        let asked = [("RoleName", name.as_str()), ("Path", &path), ("AssumeRolePolicyDocument", &trust)];
        status(&call(&context.client, "iam", "CreateRole", &asked).await?, 200)?;
    }
    let mut found = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let mut asked = vec![("PathPrefix", path.as_str()), ("MaxItems", "2")];
        asked.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let answer = call(&context.client, "iam", "ListRoles", &asked).await?;
        status(&answer, 200)?;
        let xml = text(&answer);
        let names = elements(&xml, "RoleName");
        check(names.len() <= 2, "a page of two has more")?;
        found.extend(names);
        marker = element(&xml, "Marker");
        if element(&xml, "IsTruncated").as_deref() != Some("true") {
            break;
        }
    }
    check(found.len() == 3 && found.is_sorted(), format!("{found:?}"))
}
