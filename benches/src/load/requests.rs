//! What one client sends.

use std::io;

use chartrier_conformance::client::{Client, Request};
use chartrier_conformance::http::{Connection, Head};

use crate::options::{Operation, Plan};

/// Bodies are made of pieces of this size, each stamped anew.
const PIECE_BYTES: usize = 1 << 20;
/// Keys a page.
const PAGE_KEYS: &str = "1000";

/// One client with its connection and its body bytes.
pub(crate) struct Worker {
    client: Client,
    bucket: String,
    operation: Operation,
    size_bytes: u64,
    part_size_bytes: u64,
    folders: u64,
    /// Keys `0..stored` exist.
    stored: u64,
    sse_headers: Vec<(String, String)>,
    connection: Option<Connection>,
    piece: Vec<u8>,
    stamp: u64,
}

impl Worker {
    pub(crate) fn new(plan: &Plan, operation: Operation, size_bytes: u64, number: u64, stored: u64) -> Self {
        let mut seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let piece =
            std::iter::repeat_with(|| xorshift(&mut seed).to_le_bytes()).take(PIECE_BYTES / 8).flatten().collect();
        Self {
            client: plan.client.clone(),
            bucket: plan.bucket.clone(),
            operation,
            size_bytes,
            part_size_bytes: plan.part_size_bytes,
            folders: plan.folders,
            stored,
            sse_headers: plan.sse_headers.clone(),
            connection: None,
            piece,
            stamp: std::process::id().into(),
        }
    }

    /// Does the operation once; returns the bytes of body moved.
    pub(crate) async fn once(&mut self, index: u64) -> io::Result<u64> {
        let key = self.key(index);
        match self.operation {
            Operation::Put => {
                let request = self.request("PUT", &key);
                self.upload(request, self.size_bytes).await?;
                Ok(self.size_bytes)
            }
            Operation::Get => {
                let key = self.key(index % self.stored);
                let request = self.request("GET", &key);
                let (_, bytes) = self.exchange(&request).await?;
                if bytes == self.size_bytes { Ok(bytes) } else { Err(io::Error::other("a GET answered too few bytes")) }
            }
            Operation::Head => {
                let key = self.key(index % self.stored);
                let request = self.request("HEAD", &key);
                self.exchange(&request).await.map(|_| 0)
            }
            Operation::Delete => {
                let request = Request::new("DELETE", &self.bucket, &key).unsigned();
                self.exchange(&request).await.map(|_| 0)
            }
            Operation::List => {
                let request = Request::new("GET", &self.bucket, "")
                    .query("list-type", "2")
                    .query("max-keys", PAGE_KEYS)
                    .query("prefix", &format!("{}/", self.size_bytes))
                    .unsigned();
                self.exchange(&request).await.map(|(_, bytes)| bytes)
            }
            Operation::Multipart => self.multipart(&key).await,
        }
    }

    async fn multipart(&mut self, key: &str) -> io::Result<u64> {
        let key = format!("multipart/{key}");
        let create = self.request("POST", &key).query("uploads", "");
        let answer = self.whole(&create).await?;
        let upload_id = element(&answer, "UploadId").ok_or_else(|| io::Error::other("Create gave no UploadId"))?;
        let mut list = String::from("<CompleteMultipartUpload>");
        let mut left = self.size_bytes;
        let mut number = 1;
        while left > 0 {
            let length = left.min(self.part_size_bytes);
            let part = self.request("PUT", &key).query("partNumber", &number.to_string()).query("uploadId", &upload_id);
            let head = self.upload(part, length).await?;
            let etag = head.header("etag").unwrap_or_default();
            list.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
            left -= length;
            number += 1;
        }
        list.push_str("</CompleteMultipartUpload>");
        let complete = Request::new("POST", &self.bucket, &key).query("uploadId", &upload_id).body(list);
        self.whole(&complete).await?;
        Ok(self.size_bytes)
    }

    fn key(&self, index: u64) -> String {
        if self.folders <= 1 {
            return format!("{}/{index:08}", self.size_bytes);
        }
        let folder = (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % self.folders;
        format!("{}/{folder:05}/{index:08}", self.size_bytes)
    }

    fn request(&self, method: &str, key: &str) -> Request {
        let mut request = Request::new(method, &self.bucket, key).unsigned();
        request.headers.extend(self.sse_headers.iter().cloned());
        request
    }

    /// Sends `length` bytes that were never sent before.
    async fn upload(&mut self, request: Request, length: u64) -> io::Result<Head> {
        let mut head = self.client.head_bytes(&request, length);
        let mut connection = self.take_connection().await?;
        let mut left = length as usize;
        while left > 0 {
            let take = left.min(PIECE_BYTES);
            self.stamp_piece(take);
            if take < PIECE_BYTES / 8 {
                head.extend_from_slice(&self.piece[..take]);
                left -= take;
                continue;
            }
            if !head.is_empty() {
                connection.send(&head).await?;
                head.clear();
            }
            connection.send(&self.piece[..take]).await?;
            left -= take;
        }
        if !head.is_empty() {
            connection.send(&head).await?;
        }
        let answer = connection.answer("PUT", 64 << 10).await?;
        expect_success(answer.head.status, &answer.body)?;
        self.keep(connection, &answer.head);
        Ok(answer.head)
    }

    async fn whole(&mut self, request: &Request) -> io::Result<String> {
        let mut connection = self.take_connection().await?;
        let answer = self.client.send_on(&mut connection, request).await?;
        expect_success(answer.head.status, &answer.body)?;
        self.keep(connection, &answer.head);
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    async fn exchange(&mut self, request: &Request) -> io::Result<(Head, u64)> {
        let mut connection = self.take_connection().await?;
        let mut bytes = 0;
        let count = |piece: &[u8]| {
            bytes += piece.len() as u64;
            Ok(())
        };
        let head = self.client.stream_on(&mut connection, request, count).await?;
        expect_success(head.status, b"")?;
        self.keep(connection, &head);
        Ok((head, bytes))
    }

    async fn take_connection(&mut self) -> io::Result<Connection> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.client.endpoint.connect().await,
        }
    }

    fn keep(&mut self, connection: Connection, head: &Head) {
        if head.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
            self.connection = Some(connection);
        }
    }

    /// Makes the piece differ from every piece before it, in each 4 KiB of it.
    fn stamp_piece(&mut self, length: usize) {
        self.stamp = self.stamp.wrapping_add(1 << 32);
        for block in self.piece[..length].chunks_mut(4096) {
            let mut seed = self.stamp | 1;
            for (byte, new) in block.iter_mut().zip(xorshift(&mut seed).to_le_bytes()) {
                *byte = new;
            }
        }
    }
}

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn expect_success(status: u16, body: &[u8]) -> io::Result<()> {
    if (200..300).contains(&status) {
        return Ok(());
    }
    Err(io::Error::other(format!("the server answered {status}: {}", String::from_utf8_lossy(body))))
}

fn element<'a>(xml: &'a str, name: &str) -> Option<String> {
    let text: &'a str = xml.split_once(&format!("<{name}>"))?.1;
    Some(text.split_once('<')?.0.to_owned())
}
