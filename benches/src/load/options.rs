//! The command line, and the plan that it makes.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chartrier_conformance::client::{Client, Request};
use chartrier_conformance::http::Endpoint;
use chartrier_conformance::sign::Credentials;
use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::counts;

const NO_PANIC: &str = "nothing panics while it holds this lock";

/// Loads an S3 endpoint and measures it.
#[derive(Parser, Debug)]
pub(crate) struct Options {
    /// http://host:port or https://host:port
    #[arg(long)]
    endpoint: String,
    #[arg(long)]
    access_key: String,
    #[arg(long)]
    secret_key: String,
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// PEM file of the CA that signed the endpoint's certificate
    #[arg(long)]
    ca: Option<PathBuf>,
    #[arg(long, default_value = "load")]
    bucket: String,
    /// Name shown in each row
    #[arg(long, default_value = "server")]
    label: String,
    /// Object sizes: 4k, 64k, 1m, 64m
    #[arg(long, value_delimiter = ',', value_parser = parse_size, default_value = "4k,64k,1m,64m")]
    pub(crate) sizes: Vec<u64>,
    /// Operations, in order; GET, HEAD, LIST and DELETE use what PUT wrote
    #[arg(long, value_delimiter = ',', default_value = "put,get")]
    pub(crate) operations: Vec<Operation>,
    /// Concurrent clients
    #[arg(long, value_delimiter = ',', default_value = "8")]
    pub(crate) clients: Vec<usize>,
    /// Each cell stops after this time
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Each cell stops after this many operations
    #[arg(long, default_value_t = 100_000)]
    count_max: u64,
    /// Each cell stops after this many bytes of bodies
    #[arg(long, value_parser = parse_size, default_value = "4g")]
    bytes_max: u64,
    /// A cell that writes more objects than this writes the first ones again
    #[arg(long, default_value_t = 20_000)]
    keys_max: u64,
    /// Spread the keys over this many folders, in no order
    #[arg(long, default_value_t = 1)]
    folders: u64,
    /// Send an SSE-C key with each request (https only)
    #[arg(long)]
    sse_c: bool,
    /// Part size of multipart uploads
    #[arg(long, value_parser = parse_size, default_value = "8m")]
    part_size: u64,
    /// The server's process, for its CPU time and memory
    #[arg(long)]
    server_pid: Option<u32>,
    /// A Chartrier's admin port, http://host:port: shows what each cell cost in syncs, writes and copies
    #[arg(long)]
    admin: Option<String>,
    /// Write the rows as JSON to this file as well
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

/// What a cell does again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Put,
    Get,
    Head,
    List,
    Delete,
    Multipart,
}

/// What every cell shares.
pub(crate) struct Plan {
    pub(crate) client: Client,
    pub(crate) bucket: String,
    pub(crate) label: String,
    pub(crate) time_max: Duration,
    pub(crate) count_max: u64,
    pub(crate) bytes_max: u64,
    /// The largest number of objects that a cell writes and later cells read.
    pub(crate) keys_max: u64,
    pub(crate) folders: u64,
    pub(crate) part_size_bytes: u64,
    pub(crate) server_pid: Option<u32>,
    /// The server's own counters, if it is a Chartrier.
    pub(crate) counters: Option<counts::Source>,
    /// Headers that choose SSE-C, or none.
    pub(crate) sse_headers: Vec<(String, String)>,
    /// By object size, how many keys the PUT cells have written: keys `0..n` exist.
    stored: Mutex<HashMap<u64, u64>>,
}

impl Options {
    pub(crate) fn plan(&self) -> io::Result<Plan> {
        let ca = self.ca.as_ref().map(std::fs::read).transpose()?;
        let endpoint = Endpoint::parse(&self.endpoint, ca.as_deref())?;
        let admin = self.admin.as_deref().map(|url| Endpoint::parse(url, None)).transpose()?;
        let credentials = Arc::new(Credentials::new(&self.access_key, &self.secret_key, &self.region));
        Ok(Plan {
            client: Client { endpoint, credentials },
            bucket: self.bucket.clone(),
            label: self.label.clone(),
            time_max: Duration::from_secs_f64(self.seconds),
            count_max: self.count_max,
            bytes_max: self.bytes_max,
            keys_max: self.keys_max.max(1),
            folders: self.folders,
            part_size_bytes: self.part_size,
            server_pid: self.server_pid,
            counters: admin.map(counts::Source),
            sse_headers: if self.sse_c { sse_c_headers() } else { Vec::new() },
            stored: Mutex::default(),
        })
    }
}

impl Plan {
    pub(crate) fn stored_keys(&self, size_bytes: u64) -> u64 {
        self.stored.lock().expect(NO_PANIC).get(&size_bytes).copied().unwrap_or(0)
    }

    pub(crate) fn set_stored_keys(&self, size_bytes: u64, count: u64) {
        self.stored.lock().expect(NO_PANIC).insert(size_bytes, count);
    }

    /// Creates the bucket, or finds that it is there.
    pub(crate) async fn prepare_bucket(&self) -> io::Result<()> {
        let answer = self.client.send(&Request::new("PUT", &self.bucket, "")).await?;
        match answer.head.status {
            200 | 409 => Ok(()),
            status => Err(io::Error::other(format!(
                "creating the bucket answered {status}: {}",
                String::from_utf8_lossy(&answer.body)
            ))),
        }
    }
}

fn sse_c_headers() -> Vec<(String, String)> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use md5::{Digest, Md5};
    let key = [0x42; 32];
    let prefix = "x-amz-server-side-encryption-customer";
    vec![
        (format!("{prefix}-algorithm"), "AES256".to_owned()),
        (format!("{prefix}-key"), STANDARD.encode(key)),
        (format!("{prefix}-key-md5"), STANDARD.encode(Md5::digest(key))),
    ]
}

fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 10),
        Some(b'm') => (&text[..text.len() - 1], 20),
        Some(b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| "a size is a number, then k, m or g".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "the size is too large".to_owned())
}
