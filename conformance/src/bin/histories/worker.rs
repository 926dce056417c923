//! One client: it asks one thing after the other, of keys that all others ask too, and records what it is told.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use chartrier_conformance::client::{Client, Request};
use chartrier_conformance::http::{Answer, Connection};
use chartrier_conformance::linear::{Answered, Asked, Call, Value};
use chartrier_conformance::random::Random;

use crate::objects::{self, body, etag, is_upload};

/// Where all keys live.
pub(crate) const BUCKET: &str = "histories";

/// What all clients share.
pub(crate) struct Shared {
    /// The clock of the histories.
    pub(crate) began: Instant,
    /// The last value that anyone wrote.
    pub(crate) values: AtomicU64,
    /// The server is about to be killed: a connection that breaks from then on is no defect.
    pub(crate) ending: AtomicBool,
}

impl Shared {
    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A client, and what it was told so far.
pub(crate) struct Worker {
    pub(crate) number: u32,
    random: Random,
    /// The value that it last knew each key to hold.
    known: Vec<Option<Value>>,
    /// Of which key, and what.
    pub(crate) calls: Vec<(usize, Call)>,
}

impl Worker {
    pub(crate) fn new(number: u32, keys: usize, seed: u64) -> Self {
        Self { number, random: Random::new(seed), known: vec![None; keys], calls: Vec::new() }
    }

    /// Asks until the connection breaks or the run is ending. A call that got no answer has no end yet (`u64::MAX`).
    ///
    /// # Errors
    /// An answer that S3 does not have for what was asked, bytes that nobody wrote, or a connection that breaks
    /// while the server should serve.
    pub(crate) async fn run(mut self, client: Client, shared: Arc<Shared>) -> io::Result<Self> {
        let mut connection = client.endpoint.connect().await?;
        while !shared.ending.load(Ordering::SeqCst) {
            let key = self.random.below(self.known.len() as u64) as usize;
            let asked = self.draw(key, &shared);
            let Ok(request) = prepare(&client, &mut connection, key, asked).await? else { break };
            let begin_ns = shared.now_ns();
            let answer = client.send_on(&mut connection, &request).await;
            let end_ns = if answer.is_ok() { shared.now_ns() } else { u64::MAX };
            let answered = answer.as_ref().ok().map(|answer| judge(asked, answer)).transpose()?;
            self.calls.push((key, Call { client: self.number, asked, answered, begin_ns, end_ns }));
            match (answered, asked) {
                (None, _) => break,
                (Some(Answered::Holds(state)), _) => self.known[key] = state,
                (Some(Answered::Done), Asked::Write(value) | Asked::Create(value) | Asked::Replace { value, .. }) => {
                    self.known[key] = Some(value)
                }
                _ => {}
            }
        }
        if shared.ending.load(Ordering::SeqCst) {
            return Ok(self);
        }
        Err(io::Error::other("the server broke a connection"))
    }

    fn draw(&mut self, key: usize, shared: &Shared) -> Asked {
        let latest = shared.values.load(Ordering::Relaxed);
        let recent = latest.saturating_sub(self.random.below(6)).max(1);
        let expected = self.known[key].filter(|_| self.random.below(4) > 0).unwrap_or(recent);
        let value = || shared.values.fetch_add(1, Ordering::Relaxed) + 1;
        match self.random.below(100) {
            0..=34 => Asked::Read,
            35..=44 => Asked::Write(value()),
            45..=59 => Asked::Create(value()),
            60..=79 => Asked::Replace { expected, value: value() },
            80..=87 => Asked::Remove,
            _ => Asked::RemoveIf(expected),
        }
    }
}

pub(crate) fn key_name(key: usize) -> String {
    format!("key-{key}")
}

/// The request that asks this; before the Complete of an upload its part is sent. The inner error is a connection that
/// broke meanwhile, which changes no key.
async fn prepare(
    client: &Client,
    connection: &mut Connection,
    key: usize,
    asked: Asked,
) -> io::Result<io::Result<Request>> {
    let name = key_name(key);
    let request = |method: &str| Request::new(method, BUCKET, &name);
    Ok(Ok(match asked {
        Asked::Read => request("GET"),
        Asked::Remove => request("DELETE"),
        Asked::RemoveIf(expected) => request("DELETE").header("if-match", &etag(expected)),
        Asked::Write(value) | Asked::Create(value) | Asked::Replace { value, .. } => {
            let write = if is_upload(value) {
                let create = match client.send_on(connection, &request("POST").query("uploads", "")).await {
                    Ok(answer) => answer,
                    Err(error) => return Ok(Err(error)),
                };
                let id =
                    element(&text(&create), "UploadId").ok_or_else(|| unexpected("CreateMultipartUpload", &create))?;
                let part = request("PUT").query("partNumber", "1").query("uploadId", &id).body(body(value));
                match client.send_on(connection, &part).await {
                    Ok(answer) if answer.head.status == 200 => {}
                    Ok(answer) => return Err(unexpected("UploadPart", &answer)),
                    Err(error) => return Ok(Err(error)),
                }
                let part = format!("<Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>", objects::part_etag(value));
                let document = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
                request("POST").query("uploadId", &id).body(document)
            } else {
                request("PUT").body(body(value))
            };
            match asked {
                Asked::Create(_) => write.header("if-none-match", "*"),
                Asked::Replace { expected, .. } => write.header("if-match", &etag(expected)),
                _ => write,
            }
        }
    }))
}

/// What an answer means. The code in the body counts: a long Complete has its status before its end.
fn judge(asked: Asked, answer: &Answer) -> io::Result<Answered> {
    let status = answer.head.status;
    if asked == Asked::Read && status == 200 {
        return objects::value_of(&answer.body, answer.head.header("etag")).map(|value| Answered::Holds(Some(value)));
    }
    let code = element(&text(answer), "Code");
    match (asked, status, code.as_deref()) {
        (Asked::Read, 404, Some("NoSuchKey")) => Ok(Answered::Holds(None)),
        (Asked::Remove | Asked::RemoveIf(_), 204, None) => Ok(Answered::Done),
        (Asked::Write(_) | Asked::Create(_) | Asked::Replace { .. }, 200, None) => Ok(Answered::Done),
        (Asked::Create(_) | Asked::Replace { .. } | Asked::RemoveIf(_), 412 | 200, Some("PreconditionFailed")) => {
            Ok(Answered::Refused)
        }
        (Asked::Replace { .. }, 404 | 200, Some("NoSuchKey")) => Ok(Answered::Absent),
        _ => Err(unexpected(&format!("{asked:?}"), answer)),
    }
}

fn unexpected(what: &str, answer: &Answer) -> io::Error {
    io::Error::other(format!("{what} answered {}: {}", answer.head.status, text(answer)))
}

fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once('<').map(|(inside, _)| inside.to_owned())
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}
