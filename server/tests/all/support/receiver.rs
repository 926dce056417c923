//! A webhook receiver: keeps what it is told, answers what the test says, may go and come back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What was posted, and how it is answered.
#[derive(Default)]
pub struct Seen {
    pub messages: Mutex<Vec<Value>>,
    pub heads: Mutex<Vec<String>>,
    /// The status of answers; 0 never answers.
    pub status: AtomicU16,
    /// Of so many posts one is answered with 500 though it was kept.
    pub fails_every: AtomicU64,
    pub posts: AtomicU64,
    pub delay_ms: AtomicU64,
    /// Clients that did not like the certificate.
    pub refused: AtomicU64,
    /// Where redirects lead; somewhere that nobody listens if it is not said.
    pub location: Mutex<Option<String>>,
}

pub struct Receiver {
    pub address: SocketAddr,
    scheme: &'static str,
    pub seen: Arc<Seen>,
    running: JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        let seen = Arc::new(Seen::default());
        seen.status.store(200, Ordering::Relaxed);
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), seen).await
    }

    /// Over TLS.
    pub async fn start_over(tls: TlsAcceptor) -> Self {
        let seen = Arc::new(Seen::default());
        seen.status.store(200, Ordering::Relaxed);
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)), seen, Some(tls)).await
    }

    pub async fn start_at(address: SocketAddr, seen: Arc<Seen>) -> Self {
        Self::listen(address, seen, None).await
    }

    async fn listen(address: SocketAddr, seen: Arc<Seen>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (kept, scheme) = (Arc::clone(&seen), if tls.is_some() { "https" } else { "http" });
        let running = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, kept) = (tls.clone(), Arc::clone(&kept));
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, kept).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, kept).await,
                            Err(_) => {
                                kept.refused.fetch_add(1, Ordering::Relaxed);
                            }
                        },
                    }
                });
            }
        });
        Self { address, scheme, seen, running }
    }

    /// Goes, with its connections; the port is free then.
    pub async fn stop(self) -> (SocketAddr, Arc<Seen>) {
        self.running.abort();
        let _ = self.running.await;
        (self.address, self.seen)
    }

    pub fn url(&self) -> String {
        format!("{}://{}/hook", self.scheme, self.address)
    }

    /// Records of all messages, each once for each time that it was told.
    pub fn records(&self) -> Vec<Value> {
        records(&self.seen)
    }

    /// Waits until something holds of the records.
    pub async fn until(&self, what: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        for _ in 0..400 {
            let records = self.records();
            if holds(&records) {
                return records;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("never: {what}; seen {:?}", self.records().iter().map(named).collect::<Vec<_>>());
    }
}

pub fn records(seen: &Seen) -> Vec<Value> {
    let messages = seen.messages.lock().unwrap();
    messages.iter().filter_map(|message| message["Records"].as_array()).flatten().cloned().collect()
}

/// Event and key of a record.
pub fn named(record: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&record["eventName"]), text(&record["s3"]["object"]["key"]))
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, seen: Arc<Seen>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut len) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                len = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; len];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let posts = seen.posts.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::time::sleep(Duration::from_millis(seen.delay_ms.load(Ordering::Relaxed))).await;
        let mut status = seen.status.load(Ordering::Relaxed);
        if status == 0 {
            std::future::pending::<()>().await;
        }
        if status == 200 {
            seen.messages.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            seen.heads.lock().unwrap().push(head);
        }
        let fails_every = seen.fails_every.load(Ordering::Relaxed);
        if fails_every > 0 && posts.is_multiple_of(fails_every) {
            status = 500;
        }
        let location = seen.location.lock().unwrap().clone().unwrap_or_else(|| "http://127.0.0.1:1/".to_owned());
        let answer = format!("HTTP/1.1 {status} Said\r\nlocation: {location}\r\ncontent-length: 2\r\n\r\nok");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
