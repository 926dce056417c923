//! POST Object: what browsers post under a signed policy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;

use super::context::{Context, Failure, check, element, error, header, pattern, status, text};
use crate::http::Answer;

super::cases!("forms":
    a_signed_form_is_stored,
    a_large_file_is_stored,
    the_file_name_goes_into_the_key,
    status_200_is_answered,
    status_201_is_answered_with_a_document,
    an_unknown_status_is_204,
    a_redirect_says_what_was_stored,
    a_field_without_condition_is_refused,
    a_condition_that_fails_is_refused,
    a_condition_on_a_missing_field_is_refused,
    names_of_conditions_have_no_case,
    another_bucket_is_refused,
    a_policy_without_a_bucket_is_refused,
    an_expired_policy_is_refused,
    a_policy_without_expiration_is_refused,
    a_policy_without_conditions_is_refused,
    a_policy_that_is_no_json_is_refused,
    a_length_below_the_range_is_refused,
    a_length_above_the_range_is_refused,
    a_changed_policy_is_refused,
    a_changed_signature_is_refused,
    an_unknown_access_key_is_refused,
    a_form_without_signature_is_refused,
    an_unsigned_form_is_denied,
    a_form_without_key_is_refused,
    a_form_without_file_is_refused,
    a_form_cut_short_stores_nothing,
    fields_beyond_20_kb_are_refused,
    metadata_and_type_are_kept,
    a_wrong_checksum_is_refused,
    another_body_than_a_form_is_refused,
);

const BOUNDARY: &str = "xYzZY";
const ANY_KEY: &str = "[\"starts-with\",\"$key\",\"\"]";
const LATER: &str = "2099-12-31T12:00:00.000Z";

/// A form about to be sent.
struct Form {
    /// Conditions beside those on signing fields.
    conditions: String,
    /// The whole policy, if it is not made of the conditions.
    policy: Option<String>,
    expires: &'static str,
    fields: Vec<(String, String)>,
    file: Option<Vec<u8>>,
}

impl Form {
    fn new(conditions: &str, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let file = Some(b"content".to_vec());
        Self { conditions: conditions.to_owned(), policy: None, expires: LATER, fields, file }
    }

    fn file(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.file = Some(bytes.into());
        self
    }

    /// The body, signed; `change` may alter the fields after signing.
    fn body(&self, context: &Context, change: impl FnOnce(&mut Vec<(String, String)>)) -> Vec<u8> {
        let credentials = &context.client.credentials;
        let scope = credentials.scope(OffsetDateTime::now_utc());
        let credential = format!("{}/{}", credentials.access_key_id, scope.scope);
        let policy = self.policy.clone().unwrap_or_else(|| {
            format!(
                "{{\"expiration\":\"{}\",\"conditions\":[{{\"bucket\":\"{}\"}},{},{{\"x-amz-algorithm\":\"AWS4-HMAC-SHA256\"}},\
                 {{\"x-amz-credential\":\"{credential}\"}},{{\"x-amz-date\":\"{}\"}}]}}",
                self.expires, context.bucket, self.conditions, scope.timestamp
            )
        });
        let policy = STANDARD.encode(policy);
        let signature = credentials.sign_text(&scope, &policy);
        let mut fields = self.fields.clone();
        for (name, value) in [
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", &credential),
            ("x-amz-date", &scope.timestamp),
            ("policy", &policy),
            ("x-amz-signature", &signature),
        ] {
            fields.push((name.to_owned(), value.to_owned()));
        }
        change(&mut fields);
        encode(&fields, self.file.as_deref())
    }

    async fn post(&self, context: &Context) -> Result<Answer, Failure> {
        post(context, &self.body(context, |_| {})).await
    }
}

fn encode(fields: &[(String, String)], file: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    if let Some(file) = file {
        let head = "Content-Disposition: form-data; name=\"file\"; filename=\"photo.txt\"\r\nContent-Type: text/plain";
        body.extend_from_slice(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

async fn post(context: &Context, body: &[u8]) -> Result<Answer, Failure> {
    post_as(context, body, &format!("multipart/form-data; boundary={BOUNDARY}")).await
}

async fn post_as(context: &Context, body: &[u8], content_type: &str) -> Result<Answer, Failure> {
    let head = format!(
        "POST /{} HTTP/1.1\r\nhost: {}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        context.bucket,
        context.client.endpoint.authority,
        body.len()
    );
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(head.as_bytes()).await?;
    let _ = connection.send(body).await;
    Ok(connection.answer("POST", 1 << 20).await?)
}

/// Posts a form of these fields and this file, signed with these conditions.
pub(super) async fn post_fields(
    context: &Context,
    conditions: &str,
    fields: &[(&str, &str)],
    file: &[u8],
) -> Result<Answer, Failure> {
    Form::new(conditions, fields).file(file).post(context).await
}

/// Posts a form that must be refused, and sees that nothing was stored.
async fn refused(context: &Context, form: &Form, expected: u16, code: &str) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&form.post(context).await?, expected, code)?;
    context.expect_no_object("key").await
}

async fn a_signed_form_is_stored(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = Form::new(ANY_KEY, &[("key", "key")]).post(&context).await?;
    status(&answer, 204)?;
    header(&answer, "etag", "\"9a0364b9e99bb480dd25e1f0284c8555\"")?;
    context.expect_object("key", b"content").await.map(drop)
}

async fn a_large_file_is_stored(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(6 << 20);
    status(&Form::new(ANY_KEY, &[("key", "key")]).file(bytes.clone()).post(&context).await?, 204)?;
    context.expect_object("key", &bytes).await.map(drop)
}

async fn the_file_name_goes_into_the_key(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&Form::new("[\"starts-with\",\"$key\",\"up/\"]", &[("key", "up/${filename}")]).post(&context).await?, 204)?;
    context.expect_object("up/photo.txt", b"content").await.map(drop)
}

async fn answered(context: &Context, name: &str, value: &str) -> Result<Answer, Failure> {
    context.create_bucket().await?;
    let conditions = format!("{ANY_KEY},[\"eq\",\"${name}\",\"{value}\"]");
    Form::new(&conditions, &[("key", "a key"), (name, value)]).post(context).await
}

async fn status_200_is_answered(context: Context) -> Result<(), Failure> {
    status(&answered(&context, "success_action_status", "200").await?, 200)
}

async fn status_201_is_answered_with_a_document(context: Context) -> Result<(), Failure> {
    let answer = answered(&context, "success_action_status", "201").await?;
    status(&answer, 201)?;
    let document = text(&answer);
    check(element(&document, "Key").as_deref() == Some("a key"), document.as_str())?;
    check(element(&document, "Bucket").as_deref() == Some(&context.bucket), document.as_str())?;
    check(element(&document, "ETag").is_some_and(|etag| etag.starts_with('"')), document.as_str())
}

async fn an_unknown_status_is_204(context: Context) -> Result<(), Failure> {
    status(&answered(&context, "success_action_status", "404").await?, 204)
}

async fn a_redirect_says_what_was_stored(context: Context) -> Result<(), Failure> {
    let answer = answered(&context, "success_action_redirect", "http://next.example/page").await?;
    status(&answer, 303)?;
    let location = answer.head.header("location").unwrap_or_default();
    let begins = format!("http://next.example/page?bucket={}&key=a%20key&etag=%22", context.bucket);
    check(location.starts_with(&begins), location)
}

async fn a_field_without_condition_is_refused(context: Context) -> Result<(), Failure> {
    let form = Form::new(ANY_KEY, &[("key", "key"), ("x-amz-meta-extra", "1")]);
    refused(&context, &form, 403, "AccessDenied").await
}

async fn a_condition_that_fails_is_refused(context: Context) -> Result<(), Failure> {
    let conditions = format!("{ANY_KEY},[\"eq\",\"$acl\",\"private\"]");
    let form = Form::new(&conditions, &[("key", "key"), ("acl", "public-read")]);
    refused(&context, &form, 403, "AccessDenied").await
}

async fn a_condition_on_a_missing_field_is_refused(context: Context) -> Result<(), Failure> {
    let conditions = format!("{ANY_KEY},[\"starts-with\",\"$x-amz-meta-note\",\"n\"]");
    refused(&context, &Form::new(&conditions, &[("key", "key")]), 403, "AccessDenied").await
}

async fn names_of_conditions_have_no_case(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let conditions = "[\"StArTs-WiTh\",\"$KeY\",\"k\"],{\"AcL\":\"private\"}";
    status(&Form::new(conditions, &[("kEy", "key"), ("aCl", "private")]).post(&context).await?, 204)
}

async fn another_bucket_is_refused(context: Context) -> Result<(), Failure> {
    let conditions = format!("{ANY_KEY},{{\"bucket\":\"another-bucket\"}}");
    refused(&context, &Form::new(&conditions, &[("key", "key")]), 403, "AccessDenied").await
}

async fn a_policy_without_a_bucket_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    // Everything but the bucket has its condition.
    let any = ["key", "x-amz-algorithm", "x-amz-credential", "x-amz-date"];
    let any: Vec<String> = any.iter().map(|name| format!("[\"starts-with\",\"${name}\",\"\"]")).collect();
    let policy = |more: &str| format!("{{\"expiration\":\"{LATER}\",\"conditions\":[{}{more}]}}", any.join(","));
    let form = |more: &str| Form { policy: Some(policy(more)), ..Form::new("", &[("key", "key")]) };
    error(&form("").post(&context).await?, 403, "AccessDenied")?;
    status(&form(&format!(",{{\"bucket\":\"{}\"}}", context.bucket)).post(&context).await?, 204)
}

async fn an_expired_policy_is_refused(context: Context) -> Result<(), Failure> {
    let form = Form { expires: "2020-01-01T00:00:00Z", ..Form::new(ANY_KEY, &[("key", "key")]) };
    refused(&context, &form, 403, "AccessDenied").await
}

async fn bad_policy(context: &Context, policy: &str) -> Result<(), Failure> {
    let form = Form { policy: Some(policy.to_owned()), ..Form::new(ANY_KEY, &[("key", "key")]) };
    refused(context, &form, 400, "InvalidPolicyDocument").await
}

async fn a_policy_without_expiration_is_refused(context: Context) -> Result<(), Failure> {
    bad_policy(&context, "{\"conditions\":[]}").await
}

async fn a_policy_without_conditions_is_refused(context: Context) -> Result<(), Failure> {
    bad_policy(&context, "{\"expiration\":\"2099-01-01T00:00:00Z\"}").await
}

async fn a_policy_that_is_no_json_is_refused(context: Context) -> Result<(), Failure> {
    bad_policy(&context, "expiration: never").await
}

async fn a_length_below_the_range_is_refused(context: Context) -> Result<(), Failure> {
    let conditions = format!("{ANY_KEY},[\"content-length-range\",8,20]");
    refused(&context, &Form::new(&conditions, &[("key", "key")]), 400, "EntityTooSmall").await
}

async fn a_length_above_the_range_is_refused(context: Context) -> Result<(), Failure> {
    let conditions = format!("{ANY_KEY},[\"content-length-range\",0,6]");
    refused(&context, &Form::new(&conditions, &[("key", "key")]), 400, "EntityTooLarge").await
}

async fn changed(context: &Context, name: &str, value: &str, status: u16, code: &str) -> Result<(), Failure> {
    context.create_bucket().await?;
    let body = Form::new(ANY_KEY, &[("key", "key")]).body(context, |fields| {
        for field in fields.iter_mut().filter(|field| field.0 == name) {
            value.clone_into(&mut field.1);
        }
    });
    error(&post(context, &body).await?, status, code)?;
    context.expect_no_object("key").await
}

async fn a_changed_policy_is_refused(context: Context) -> Result<(), Failure> {
    let open = STANDARD.encode("{\"expiration\":\"2099-01-01T00:00:00Z\",\"conditions\":[]}");
    changed(&context, "policy", &open, 403, "SignatureDoesNotMatch").await
}

async fn a_changed_signature_is_refused(context: Context) -> Result<(), Failure> {
    changed(&context, "x-amz-signature", &"0".repeat(64), 403, "SignatureDoesNotMatch").await
}

async fn an_unknown_access_key_is_refused(context: Context) -> Result<(), Failure> {
    let scope = context.client.credentials.scope(OffsetDateTime::now_utc());
    changed(&context, "x-amz-credential", &format!("NOBODY/{}", scope.scope), 403, "InvalidAccessKeyId").await
}

async fn a_form_without_signature_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let body = Form::new(ANY_KEY, &[("key", "key")])
        .body(&context, |fields| fields.retain(|(name, _)| name != "x-amz-signature"));
    error(&post(&context, &body).await?, 400, "InvalidArgument")
}

async fn an_unsigned_form_is_denied(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let fields = [("key".to_owned(), "key".to_owned())];
    error(&post(&context, &encode(&fields, Some(b"content"))).await?, 403, "AccessDenied")?;
    context.expect_no_object("key").await
}

async fn a_form_without_key_is_refused(context: Context) -> Result<(), Failure> {
    let form = Form::new("[\"starts-with\",\"$x-amz-date\",\"\"]", &[]);
    refused(&context, &form, 400, "InvalidArgument").await
}

async fn a_form_without_file_is_refused(context: Context) -> Result<(), Failure> {
    let form = Form { file: None, ..Form::new(ANY_KEY, &[("key", "key")]) };
    refused(&context, &form, 400, "InvalidArgument").await
}

async fn a_form_cut_short_stores_nothing(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let body = Form::new(ANY_KEY, &[("key", "key")]).body(&context, |_| {});
    error(&post(&context, &body[..body.len() - 12]).await?, 400, "MalformedPOSTRequest")?;
    context.expect_no_object("key").await
}

async fn fields_beyond_20_kb_are_refused(context: Context) -> Result<(), Failure> {
    let long = "x".repeat(21 << 10);
    let form = Form::new(ANY_KEY, &[("key", "key"), ("x-ignore-long", &long)]);
    refused(&context, &form, 400, "MaxPostPreDataLengthExceeded").await
}

async fn metadata_and_type_are_kept(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let conditions =
        format!("{ANY_KEY},[\"starts-with\",\"$Content-Type\",\"image/\"],{{\"x-amz-meta-tone\":\"bleu\"}}");
    let fields = [("key", "key"), ("Content-Type", "image/png"), ("x-amz-meta-tone", "bleu")];
    status(&Form::new(&conditions, &fields).post(&context).await?, 204)?;
    let answer = context.expect_object("key", b"content").await?;
    header(&answer, "content-type", "image/png")?;
    header(&answer, "x-amz-meta-tone", "bleu")
}

async fn a_wrong_checksum_is_refused(context: Context) -> Result<(), Failure> {
    let conditions = format!("{ANY_KEY},[\"starts-with\",\"$x-amz-checksum-crc32\",\"\"]");
    let form = Form::new(&conditions, &[("key", "key"), ("x-amz-checksum-crc32", "AAAAAA==")]);
    refused(&context, &form, 400, "BadDigest").await
}

async fn another_body_than_a_form_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("POST", "").header("content-type", "application/json").body("{}");
    error(&context.send(request).await?, 412, "PreconditionFailed")
}
