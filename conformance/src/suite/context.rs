//! What a case is given, and the small assertions that cases are made of.

use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use crate::admin::Admin;
use crate::client::{Client, Request};
use crate::http::Answer;
use crate::sign;

/// Why a case did not pass, in one line.
#[derive(Debug)]
pub enum Failure {
    /// The server did something else than it must.
    Wrong(String),
    /// The case needs something that this run does not have.
    NotRun(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(what) => f.write_str(what),
            Self::NotRun(why) => f.write_str(why),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Wrong(format!("the connection: {error}"))
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Wrong(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self::Wrong(text.to_owned())
    }
}

/// Rounds of races where nobody says how many.
pub const RACE_ROUNDS: u32 = 100;

/// A server to judge, and a name that no other case uses.
#[derive(Clone)]
pub struct Context {
    /// With the first access key.
    pub client: Client,
    /// With the access key of another user, if there is one.
    pub other: Option<Client>,
    /// The administrator's API, if there is one.
    pub admin: Option<Admin>,
    /// A bucket name of this case's own; the bucket is not there yet.
    pub bucket: String,
    /// How often many clients race for one key, in each case about that.
    pub race_rounds: u32,
    /// Makes bucket names of this run differ from those of others.
    run: String,
}

impl Context {
    /// `run` is at most 12 letters and digits, different for each run on a server.
    pub fn new(client: Client, other: Option<Client>, run: &str) -> Self {
        Self { client, other, admin: None, bucket: String::new(), race_rounds: RACE_ROUNDS, run: run.to_owned() }
    }

    /// The same, with other than [`RACE_ROUNDS`] rounds of races.
    #[must_use]
    pub fn with_race_rounds(self, race_rounds: u32) -> Self {
        Self { race_rounds, ..self }
    }

    /// The same, with an administrator.
    #[must_use]
    pub fn with_admin(self, admin: Option<Admin>) -> Self {
        Self { admin, ..self }
    }

    pub(super) fn for_case(&self, area: &str, name: &str) -> Self {
        let mut bucket = format!("{}-{area}-{name}", self.run).replace('_', "-");
        bucket.truncate(60);
        Self { bucket: bucket.trim_end_matches('-').to_owned(), ..self.clone() }
    }

    /// Ends a case that needs TLS where there is none.
    pub(super) fn needs_tls(&self) -> Result<(), Failure> {
        self.client.endpoint.tls.as_ref().map(drop).ok_or(Failure::NotRun("needs TLS"))
    }

    /// Ends a case that needs plain HTTP where there is TLS.
    pub(super) fn needs_plain_http(&self) -> Result<(), Failure> {
        if self.client.endpoint.tls.is_none() { Ok(()) } else { Err(Failure::NotRun("needs plain HTTP")) }
    }

    /// The other user, or the end of a case that needs one.
    pub(super) fn needs_other_user(&self) -> Result<&Client, Failure> {
        self.other.as_ref().ok_or(Failure::NotRun("needs another user"))
    }

    /// The administrator's API, or the end of a case that needs one.
    pub(super) fn needs_admin(&self) -> Result<&Admin, Failure> {
        self.admin.as_ref().ok_or(Failure::NotRun("needs an administrator"))
    }

    /// The canonical id of whoever signs with `client`.
    pub(super) async fn canonical_id(&self, client: &Client) -> Result<String, Failure> {
        let answer = client.send(&Request::new("GET", "", "")).await?;
        status(&answer, 200)?;
        element(&text(&answer), "ID").ok_or_else(|| "ListBuckets names no owner".into())
    }

    /// Sends a document with the digest that settings demand.
    pub(super) async fn set(&self, what: &str, document: &str) -> Result<Answer, Failure> {
        let md5 = STANDARD.encode(Md5::digest(document.as_bytes()));
        self.send(self.request("PUT", "").query(what, "").header("content-md5", &md5).body(document)).await
    }

    /// Reads a document of this case's bucket.
    pub(super) async fn get_setting(&self, what: &str) -> Result<Answer, Failure> {
        self.send(self.request("GET", "").query(what, "")).await
    }

    /// Sends without a signature.
    pub(super) async fn send_unsigned(&self, request: &Request) -> Result<Answer, Failure> {
        let mut head = format!("{} {}", request.method, request.path);
        if !request.query.is_empty() {
            head.push('?');
            head.push_str(&sign::canonical_query(&request.query));
        }
        head.push_str(&format!(" HTTP/1.1\r\nhost: {}\r\n", self.client.endpoint.authority));
        for (name, value) in &request.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", request.body.len()));
        let mut connection = self.client.endpoint.connect().await?;
        connection.send(head.as_bytes()).await?;
        // A server may answer, and close, before it has read a body that it refuses.
        let _ = connection.send(&request.body).await;
        Ok(connection.answer(&request.method, 1 << 20).await?)
    }

    /// A request on this case's bucket.
    pub fn request(&self, method: &str, key: &str) -> Request {
        Request::new(method, &self.bucket, key)
    }

    /// Sends with the first access key.
    pub async fn send(&self, request: Request) -> Result<Answer, Failure> {
        Ok(self.client.send(&request).await?)
    }

    /// Creates this case's bucket.
    pub async fn create_bucket(&self) -> Result<(), Failure> {
        let answer = self.send(self.request("PUT", "")).await?;
        status(&answer, 200)
    }

    /// Creates this case's bucket and one object in it.
    pub async fn create_object(&self, key: &str, body: &[u8]) -> Result<Answer, Failure> {
        self.create_bucket().await?;
        self.put(key, body).await
    }

    /// Puts an object and expects success.
    pub async fn put(&self, key: &str, body: &[u8]) -> Result<Answer, Failure> {
        let answer = self.send(self.request("PUT", key).body(body)).await?;
        status(&answer, 200)?;
        Ok(answer)
    }

    /// Gets an object and expects just these bytes.
    pub async fn expect_object(&self, key: &str, body: &[u8]) -> Result<Answer, Failure> {
        let answer = self.send(self.request("GET", key)).await?;
        status(&answer, 200)?;
        same_bytes(&answer.body, body)?;
        Ok(answer)
    }

    /// Expects that the object is not there.
    pub async fn expect_no_object(&self, key: &str) -> Result<(), Failure> {
        let answer = self.send(self.request("GET", key)).await?;
        error(&answer, 404, "NoSuchKey")
    }
}

/// Expects a status.
pub(super) fn status(answer: &Answer, expected: u16) -> Result<(), Failure> {
    if answer.head.status == expected {
        return Ok(());
    }
    Err(format!("expected {expected}, got {}: {}", answer.head.status, text(answer)).into())
}

/// Expects a status and an S3 error code in the body.
pub(super) fn error(answer: &Answer, expected: u16, code: &str) -> Result<(), Failure> {
    status(answer, expected)?;
    let got = element(&text(answer), "Code").unwrap_or_default();
    if got == code { Ok(()) } else { Err(format!("expected code {code}, got {got:?}: {}", text(answer)).into()) }
}

/// Expects a header's value.
pub(super) fn header(answer: &Answer, name: &str, expected: &str) -> Result<(), Failure> {
    match answer.head.header(name) {
        Some(value) if value == expected => Ok(()),
        other => Err(format!("header {name}: expected {expected:?}, got {other:?}").into()),
    }
}

/// Expects that a header is there, and gives its value.
pub(super) fn has_header<'a>(answer: &'a Answer, name: &str) -> Result<&'a str, Failure> {
    answer.head.header(name).ok_or_else(|| format!("header {name} is missing").into())
}

/// Expects that a header is not there.
pub(super) fn no_header(answer: &Answer, name: &str) -> Result<(), Failure> {
    match answer.head.header(name) {
        None => Ok(()),
        Some(value) => Err(format!("header {name} should not be there, it is {value:?}").into()),
    }
}

/// Expects something, or fails with a message.
pub(super) fn check(holds: bool, message: impl Into<String>) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Wrong(message.into())) }
}

pub(super) fn same_bytes(got: &[u8], expected: &[u8]) -> Result<(), Failure> {
    if got == expected {
        return Ok(());
    }
    let at = got.iter().zip(expected).position(|(one, other)| one != other);
    Err(format!("{} bytes instead of {}, first difference at {at:?}", got.len(), expected.len()).into())
}

/// The body as text.
pub(super) fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The text of the first element of this name.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).into_iter().next()
}

/// The texts of all elements of this name, entities of XML resolved.
pub(super) fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some((_, after)) = rest.split_once(&open) {
        let Some((inside, next)) = after.split_once(&close) else { break };
        found.push(unescape(inside));
        rest = next;
    }
    found
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&apos;", "'")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

/// Bytes that repeat with a long period, so that a shifted or swapped piece shows.
pub(super) fn pattern(len_bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(len_bytes + 8);
    while bytes.len() < len_bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len_bytes);
    bytes
}
