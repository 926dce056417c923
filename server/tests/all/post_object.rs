//! Forms that browsers post: signed policies of both versions, every condition, answers, limits.

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::time::SystemTime;
use tokio::io::AsyncWriteExt as _;

use crate::buckets::{another_user, said};
use crate::support::client::read_answer;
use crate::support::{Answer, Client, TestServer};

const BOUNDARY: &str = "----chartrier-test";

fn form(fields: &[(&str, &str)], file_name: &str, file: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\
         Content-Type: text/plain\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

pub async fn post(client: &Client, target: &str, body: &[u8]) -> Answer {
    let mut connection = client.connect().await;
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary={BOUNDARY}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let _ = connection.write_all(body).await;
    read_answer(&mut connection, "POST").await.unwrap()
}

/// A form as its author makes it: fields, and a policy over them, signed.
pub struct Author {
    access_key_id: String,
    secret: String,
    date: String,
}

impl Author {
    pub fn new((access_key_id, secret): (String, String)) -> Self {
        let now = time::OffsetDateTime::now_utc();
        let date = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            now.year(),
            u8::from(now.month()),
            now.day(),
            now.hour(),
            now.minute(),
            now.second()
        );
        Self { access_key_id, secret, date }
    }

    fn credential(&self) -> String {
        format!("{}/{}/fr/s3/aws4_request", self.access_key_id, &self.date[..8])
    }

    /// The policy with these conditions and those that signing needs, in base64, and its signature.
    fn sign(&self, conditions: &str, expires: &str) -> (String, String) {
        let policy = format!(
            "{{\"expiration\":\"{expires}\",\"conditions\":[{conditions}{}{{\"x-amz-algorithm\":\"AWS4-HMAC-SHA256\"}},\
             {{\"x-amz-credential\":\"{}\"}},{{\"x-amz-date\":\"{}\"}}]}}",
            if conditions.is_empty() { "" } else { "," },
            self.credential(),
            self.date
        );
        let policy = BASE64.encode(policy);
        let key = generate_signing_key(&self.secret, SystemTime::now(), "fr", "s3");
        let signature = calculate_signature(key, policy.as_bytes());
        (policy, signature)
    }

    pub fn form(&self, conditions: &str, fields: &[(&str, &str)], file: &[u8]) -> Vec<u8> {
        let (policy, signature) = self.sign(conditions, "2099-01-01T00:00:00.000Z");
        self.signed_form(&policy, &signature, fields, file)
    }

    fn signed_form(&self, policy: &str, signature: &str, fields: &[(&str, &str)], file: &[u8]) -> Vec<u8> {
        let credential = self.credential();
        let mut all = fields.to_vec();
        all.extend([
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", credential.as_str()),
            ("X-Amz-Date", self.date.as_str()),
            ("Policy", policy),
            ("X-Amz-Signature", signature),
        ]);
        form(&all, "C:\\photos\\été.txt", file)
    }
}

const BUCKET: &str = "{\"bucket\":\"forms\"}";
pub const USUAL: &str = "{\"bucket\":\"forms\"},[\"starts-with\",\"$key\",\"user/\"]";

async fn server() -> (TestServer, Client, Author) {
    let server = TestServer::start().await;
    let client = server.client();
    client.put("/forms", b"").await;
    let author = Author::new(server.root_credentials());
    (server, client, author)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_form_stores_its_file() {
    let (server, client, author) = server().await;
    let conditions = format!(
        "{USUAL},{{\"acl\":\"bucket-owner-full-control\"}},[\"starts-with\",\"$Content-Type\",\"text/\"],[\"eq\",\"$x-amz-meta-colour\",\"bleu\"]"
    );
    let fields = [
        ("key", "user/${filename}"),
        ("acl", "bucket-owner-full-control"),
        ("Content-Type", "text/html"),
        ("x-amz-meta-colour", "bleu"),
        ("x-ignore-me", "yes"),
    ];
    let answer = post(&client, "/forms", &author.form(&conditions, &fields, b"content")).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.headers["etag"], "\"9a0364b9e99bb480dd25e1f0284c8555\"");
    assert!(answer.headers["location"].to_str().unwrap().ends_with("/forms/user/%C3%A9t%C3%A9.txt"));
    let stored = client.get("/forms/user/%C3%A9t%C3%A9.txt").await;
    assert_eq!(stored.text(), "content");
    assert_eq!(stored.headers["content-type"], "text/html");
    assert_eq!(stored.headers["x-amz-meta-colour"], "bleu");

    // Large: streamed in many pieces, with what looks like a boundary inside.
    let large: Vec<u8> = b"\r\n------chartrier-tes".iter().copied().cycle().take(3 << 20).collect();
    let fields = [("key", "user/large")];
    assert_eq!(post(&client, "/forms/", &author.form(USUAL, &fields, &large)).await.status, 204);
    assert_eq!(client.get("/forms/user/large").await.body, large);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_what_the_form_asks_for() {
    let (server, client, author) = server().await;
    let ask = async |name: &str, value: &str| {
        let conditions = format!("{USUAL},[\"eq\",\"${name}\",\"{value}\"]");
        post(&client, "/forms", &author.form(&conditions, &[("key", "user/a b"), (name, value)], b"x")).await
    };
    assert_eq!(ask("success_action_status", "200").await.status, 200);
    assert_eq!(ask("success_action_status", "404").await.status, 204);
    let created = ask("success_action_status", "201").await;
    assert_eq!(created.status, 201);
    assert_eq!(created.element("Key").unwrap(), "user/a b");
    assert_eq!(created.element("Bucket").unwrap(), "forms");
    assert_eq!(created.element("Location").unwrap(), "http://localhost/forms/user/a%20b");
    assert_eq!(created.element("ETag").unwrap(), "&quot;9dd4e461268c8034f5c8564e155c67a6&quot;");
    let moved = ask("success_action_redirect", "https://a.example/done?x=1").await;
    assert_eq!(moved.status, 303);
    assert_eq!(
        moved.headers["location"],
        "https://a.example/done?x=1&bucket=forms&key=user%2Fa%20b&etag=%229dd4e461268c8034f5c8564e155c67a6%22"
    );
    assert_eq!(ask("success_action_redirect", "javascript:alert(1)").await.status, 204);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_does_not_allow_is_refused() {
    let (server, client, author) = server().await;
    let key = ("key", "user/k");
    let send = async |body: Vec<u8>| said(&post(&client, "/forms", &body).await);
    let denied = (403, "AccessDenied".to_owned());
    assert_eq!(send(author.form(USUAL, &[("key", "other/k")], b"x")).await, denied);
    assert_eq!(send(author.form(USUAL, &[key, ("x-amz-meta-a", "b")], b"x")).await, denied);
    let any_key = "[\"starts-with\",\"$key\",\"\"]";
    assert_eq!(send(author.form(&format!("{BUCKET},{any_key}"), &[key], b"x")).await.0, 204);
    assert_eq!(send(author.form(any_key, &[key], b"x")).await, denied);
    assert_eq!(send(author.form("{\"bucket\":\"other\"},[\"starts-with\",\"$key\",\"\"]", &[key], b"x")).await, denied);
    let (policy, signature) = author.sign(USUAL, "2020-01-01T00:00:00Z");
    let expired = post(&client, "/forms", &author.signed_form(&policy, &signature, &[key], b"x")).await;
    assert_eq!(expired.element("Message").unwrap(), "Invalid according to Policy: Policy expired.");

    let sized = format!("{USUAL},[\"content-length-range\",2,4]");
    for (file, status, code) in
        [("1", 400, "EntityTooSmall"), ("22", 204, ""), ("4444", 204, ""), ("55555", 400, "EntityTooLarge")]
    {
        assert_eq!(send(author.form(&sized, &[key], file.as_bytes())).await, (status, code.into()), "{file}");
    }
    // Nothing that was refused is there.
    assert_eq!(client.get("/forms/user/k").await.text(), "4444");
    assert_eq!(client.get("/forms/other/k").await.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_of_forms() {
    let (server, client, author) = server().await;
    let key = ("key", "user/k");
    let send = async |body: Vec<u8>| said(&post(&client, "/forms", &body).await);
    let (policy, signature) = author.sign(USUAL, "2099-01-01T00:00:00Z");
    let wrong = signature.replace(&signature[..1], if signature.starts_with('a') { "b" } else { "a" });
    assert_eq!(send(author.signed_form(&policy, &wrong, &[key], b"x")).await, (403, "SignatureDoesNotMatch".into()));
    let other = BASE64.encode("{\"expiration\":\"2099-01-01T00:00:00Z\",\"conditions\":[]}");
    assert_eq!(send(author.signed_form(&other, &signature, &[key], b"x")).await, (403, "SignatureDoesNotMatch".into()));
    let unknown = Author { access_key_id: "NOBODY".into(), secret: author.secret.clone(), date: author.date.clone() };
    assert_eq!(send(unknown.form(USUAL, &[key], b"x")).await, (403, "InvalidAccessKeyId".into()));
    assert_eq!(send(form(&[key, ("policy", &policy)], "f", b"x")).await, (400, "InvalidArgument".into()));
    // Nobody may post what nobody allowed.
    assert_eq!(send(form(&[key], "f", b"x")).await, (403, "AccessDenied".into()));
    let stranger = another_user(&server, "poster").await;
    let strange = Author::new(stranger.credentials());
    assert_eq!(send(strange.form(USUAL, &[key], b"x")).await, (403, "AccessDenied".into()));

    // Version 2: HMAC-SHA1 over the policy.
    let plain = BASE64.encode(format!("{{\"expiration\":\"2099-01-01T00:00:00Z\",\"conditions\":[{USUAL}]}}"));
    let mac = hmac_sha1(author.secret.as_bytes(), plain.as_bytes());
    let v2 = |mac: &str| {
        let fields =
            [key, ("AWSAccessKeyId", author.access_key_id.as_str()), ("policy", plain.as_str()), ("signature", mac)];
        form(&fields, "f", b"x")
    };
    assert_eq!(send(v2(&mac)).await.0, 204);
    assert_eq!(send(v2(&mac.to_lowercase())).await, (403, "SignatureDoesNotMatch".into()));
    server.stop().await;

    let server = TestServer::start_with(|config| {
        config.form_signature_v2 = chartrier::config::FormSignatureV2::Refused;
    })
    .await;
    server.client().put("/forms", b"").await;
    assert_eq!(said(&post(&server.client(), "/forms", &v2(&mac)).await), (400, "InvalidRequest".into()));
    server.stop().await;
}

fn hmac_sha1(key: &[u8], message: &[u8]) -> String {
    use sha1::{Digest as _, Sha1};
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha1::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    BASE64.encode(Sha1::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize())
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_are_none() {
    let (server, client, author) = server().await;
    let not_a_form = client.send("POST", "/forms", &[("content-type", "text/plain")], b"x").await;
    assert_eq!(said(&not_a_form), (412, "PreconditionFailed".into()));
    let send = async |body: &[u8]| said(&post(&client, "/forms", body).await);
    assert_eq!(send(b"nothing of the kind").await, (400, "MalformedPOSTRequest".into()));
    let whole = author.form(USUAL, &[("key", "user/k")], b"content");
    let cut = &whole[..whole.len() - 20];
    assert_eq!(send(cut).await, (400, "MalformedPOSTRequest".into()));
    assert_eq!(client.get("/forms/user/k").await.status, 404);
    let conditions = &format!("{BUCKET},[\"starts-with\",\"$key\",\"\"]");
    assert_eq!(send(&author.form(conditions, &[], b"x")).await, (400, "InvalidArgument".into()));
    assert_eq!(send(&author.form(BUCKET, &[], b"x")).await, (400, "InvalidArgument".into()));
    assert_eq!(send(&author.form(conditions, &[("key", "")], b"x")).await, (400, "InvalidArgument".into()));
    let long = "x".repeat(21 << 10);
    let too_long = author.form(USUAL, &[("key", "user/k"), ("x-ignore-long", &long)], b"x");
    assert_eq!(send(&too_long).await, (400, "MaxPostPreDataLengthExceeded".into()));
    // A digest in a field is held against the file.
    let summed = format!("{USUAL},[\"starts-with\",\"$x-amz-checksum-crc32\",\"\"]");
    let fields = [("key", "user/k"), ("x-amz-checksum-crc32", "AAAAAA==")];
    assert_eq!(send(&author.form(&summed, &fields, b"x")).await, (400, "BadDigest".into()));
    assert_eq!(client.get("/forms/user/k").await.status, 404);
    server.stop().await;
}
