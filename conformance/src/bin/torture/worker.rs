//! The load: one client that changes its keys, one at a time, until the server dies.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartrier_conformance::client::{Client, Request};
use chartrier_conformance::http::Connection;
use md5::{Digest, Md5};

use crate::ledger::{Body, Ledger, State};

/// Where all keys live.
pub(crate) const BUCKET: &str = "torture";
/// Every part but the last is this long.
const PART_BYTES: usize = 5 << 20;
const CLIENT_KEY: [u8; 32] = [0x5a; 32];

/// Makes the bucket, or finds it.
pub(crate) async fn prepare(client: &Client) -> io::Result<()> {
    let answer = client.send(&Request::new("PUT", BUCKET, "")).await?;
    match answer.head.status {
        200 | 409 => Ok(()),
        status => Err(io::Error::other(format!("CreateBucket answered {status}"))),
    }
}

/// A request on a key of this client, with its SSE-C headers if it uses them.
pub(crate) fn request(ledger: &Ledger, method: &str, key: &str) -> Request {
    let mut request = Request::new(method, BUCKET, key).unsigned();
    if ledger.uses_client_key() {
        let prefix = "x-amz-server-side-encryption-customer";
        request = request
            .header(&format!("{prefix}-algorithm"), "AES256")
            .header(&format!("{prefix}-key"), &STANDARD.encode(CLIENT_KEY))
            .header(&format!("{prefix}-key-md5"), &STANDARD.encode(Md5::digest(CLIENT_KEY)));
    }
    request
}

/// Changes keys until the connection breaks or `stop` is set; an answer other than success is a failure.
pub(crate) async fn run(client: Client, mut ledger: Ledger, stop: Arc<AtomicBool>) -> io::Result<Ledger> {
    let Ok(mut connection) = client.endpoint.connect().await else { return Ok(ledger) };
    while !stop.load(Ordering::Relaxed) {
        let index = ledger.random.below(ledger.keys.len() as u64) as usize;
        let key = ledger.key_name(index);
        let choice = ledger.random.below(10);
        let state = if choice < 3 { None } else { Some(draw_body(&mut ledger, choice)) };
        ledger.in_flight = Some((index, state));
        let change = match (choice, state) {
            (_, None) => delete(&client, &mut connection, &ledger, &key).await,
            (9, Some(body)) => multipart(&client, &mut connection, &ledger, &key, body).await,
            (_, Some(body)) => put(&client, &mut connection, &ledger, &key, body).await,
        };
        match change? {
            Change::Acknowledged => {
                ledger.in_flight = None;
                ledger.holds(index, state);
            }
            Change::Broken => return Ok(ledger),
        }
    }
    Ok(ledger)
}

enum Change {
    Acknowledged,
    /// No answer came: the server is dead.
    Broken,
}

fn draw_body(ledger: &mut Ledger, choice: u64) -> Body {
    let mut body = Body::draw(&mut ledger.random);
    if choice == 9 {
        body.len_bytes = PART_BYTES + body.len_bytes % PART_BYTES;
    }
    body
}

async fn put(
    client: &Client,
    connection: &mut Connection,
    ledger: &Ledger,
    key: &str,
    body: Body,
) -> io::Result<Change> {
    let request = request(ledger, "PUT", key).body(body.bytes());
    exchange(client, connection, &request).await.map(|answer| answer.map_or(Change::Broken, |_| Change::Acknowledged))
}

async fn delete(client: &Client, connection: &mut Connection, _: &Ledger, key: &str) -> io::Result<Change> {
    let request = Request::new("DELETE", BUCKET, key).unsigned();
    exchange(client, connection, &request).await.map(|answer| answer.map_or(Change::Broken, |_| Change::Acknowledged))
}

async fn multipart(
    client: &Client,
    connection: &mut Connection,
    ledger: &Ledger,
    key: &str,
    body: Body,
) -> io::Result<Change> {
    let create = request(ledger, "POST", key).query("uploads", "");
    let Some(answer) = exchange(client, connection, &create).await? else { return Ok(Change::Broken) };
    let upload_id = answer
        .split_once("<UploadId>")
        .and_then(|(_, rest)| rest.split_once('<'))
        .map(|(id, _)| id.to_owned())
        .ok_or_else(|| io::Error::other("Create gave no UploadId"))?;
    let mut list = String::from("<CompleteMultipartUpload>");
    for (number, piece) in (1..).zip(body.bytes().chunks(PART_BYTES)) {
        let part = request(ledger, "PUT", key)
            .query("partNumber", &i32::to_string(&number))
            .query("uploadId", &upload_id)
            .body(piece);
        if connection.send(&client.head_bytes(&part, piece.len() as u64)).await.is_err()
            || connection.send(piece).await.is_err()
        {
            return Ok(Change::Broken);
        }
        let Ok(answer) = connection.answer("PUT", 64 << 10).await else { return Ok(Change::Broken) };
        let etag = answer.head.header("etag").ok_or_else(|| {
            io::Error::other(format!("UploadPart answered {}: {}", answer.head.status, text(&answer.body)))
        })?;
        list.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
    }
    list.push_str("</CompleteMultipartUpload>");
    let complete = Request::new("POST", BUCKET, key).query("uploadId", &upload_id).body(list);
    exchange(client, connection, &complete).await.map(|answer| answer.map_or(Change::Broken, |_| Change::Acknowledged))
}

/// The answer's text, or `None` if none came.
async fn exchange(client: &Client, connection: &mut Connection, request: &Request) -> io::Result<Option<String>> {
    let Ok(answer) = client.send_on(connection, request).await else { return Ok(None) };
    let body = text(&answer.body);
    if (200..300).contains(&answer.head.status) && !body.contains("<Error>") {
        return Ok(Some(body));
    }
    Err(io::Error::other(format!("{} {} answered {}: {body}", request.method, request.path, answer.head.status)))
}

/// What a key holds on the server, compared with what it may hold.
pub(crate) async fn read(client: &Client, ledger: &Ledger, index: usize) -> io::Result<Option<Vec<u8>>> {
    let key = ledger.key_name(index);
    let answer = client.send(&request(ledger, "GET", &key)).await?;
    match answer.head.status {
        200 => Ok(Some(answer.body)),
        404 => Ok(None),
        status => Err(io::Error::other(format!("GET {key} answered {status}: {}", text(&answer.body)))),
    }
}

/// Whether what was read is this state, to the byte.
pub(crate) fn matches(read: Option<&[u8]>, state: State) -> bool {
    match (read, state) {
        (None, None) => true,
        (Some(bytes), Some(body)) => bytes.len() == body.len_bytes && bytes == body.bytes(),
        _ => false,
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}
