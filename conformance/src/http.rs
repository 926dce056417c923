//! A small HTTP/1.1 client connection, over plain TCP or TLS.
//!
//! It sends just the bytes that it is told to send, right or wrong, and reads answers with bounded
//! memory. Keep-alive is up to the caller: a [`Connection`] can be used again after a whole answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// An answer's head is at most this long.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Headers in an answer.
const HEADERS_MAX: usize = 128;
/// No answer within this time is a failure.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Where a server listens, and how to trust it.
#[derive(Clone)]
pub struct Endpoint {
    /// `host:port`, as it stands in the `Host` header.
    pub authority: String,
    /// Set for `https`.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Endpoint {
    /// Parses `http://host:port` or `https://host:port`; `ca_pem` is the certificate to trust for the latter.
    ///
    /// # Errors
    /// If the URL has another form or the certificate is no PEM.
    pub fn parse(url: &str, ca_pem: Option<&[u8]>) -> io::Result<Self> {
        let url = url.trim_end_matches('/');
        if let Some(authority) = url.strip_prefix("http://") {
            return Ok(Self { authority: authority.to_owned(), tls: None });
        }
        let authority = url.strip_prefix("https://").ok_or_else(|| invalid("an endpoint is http://… or https://…"))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.unwrap_or_default()) {
            let certificate = certificate.map_err(|error| invalid(&format!("the CA certificate: {error}")))?;
            roots.add(certificate).map_err(|error| invalid(&format!("the CA certificate: {error}")))?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { authority: authority.to_owned(), tls: Some(Arc::new(config)) })
    }

    /// Opens a connection, with Nagle's algorithm off.
    ///
    /// # Errors
    /// If the server does not accept or the handshake fails.
    pub async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else {
            return Ok(Connection::new(Box::new(stream)));
        };
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host).to_owned();
        let name = ServerName::try_from(host).map_err(|_| invalid("the endpoint's host is no server name"))?;
        let tls = TlsConnector::from(config.clone()).connect(name, stream).await?;
        Ok(Connection::new(Box::new(tls)))
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One connection.
pub struct Connection {
    stream: Box<dyn Stream>,
    /// Bytes read and not yet used.
    buffer: Vec<u8>,
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Header names in lower case, with their values, in order.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status and headers.
    pub head: Head,
    /// The body, whole.
    pub body: Vec<u8>,
}

enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Connection {
    fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: Vec::with_capacity(16 << 10) }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// As the socket's.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Reads a whole answer to a request of `method`, at most `body_bytes_max` of body.
    ///
    /// # Errors
    /// If the connection ends early, the answer is no HTTP, the body is too long, or nothing comes for two minutes.
    pub async fn answer(&mut self, method: &str, body_bytes_max: usize) -> io::Result<Answer> {
        let mut body = Vec::new();
        let head = self
            .answer_with(method, |piece| {
                if body.len() + piece.len() > body_bytes_max {
                    return Err(invalid("the answer's body is longer than expected"));
                }
                body.extend_from_slice(piece);
                Ok(())
            })
            .await?;
        Ok(Answer { head, body })
    }

    /// Reads an answer and hands its body on piece by piece.
    ///
    /// # Errors
    /// As [`Connection::answer`], and what `sink` returns.
    pub async fn answer_with(&mut self, method: &str, sink: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Head> {
        timeout(ANSWER_TIMEOUT, self.answer_unbounded(method, sink))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no whole answer within two minutes"))?
    }

    async fn answer_unbounded(
        &mut self,
        method: &str,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Head> {
        let mut head = self.head().await?;
        while head.status == 100 {
            head = self.head().await?;
        }
        match framing(method, &head)? {
            Framing::Length(length) => self.body_of_length(length, &mut sink).await?,
            Framing::Chunked => self.body_chunked(&mut sink).await?,
            Framing::UntilClose => {
                while self.fill().await? {
                    sink(&self.buffer)?;
                    self.buffer.clear();
                }
            }
        }
        Ok(head)
    }

    /// Reads one head, `100 Continue` included.
    ///
    /// # Errors
    /// If the connection ends first or the bytes are no HTTP answer.
    pub async fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some((head, length)) = parse_head(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(head);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(invalid("the answer's head is too long"));
            }
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn body_of_length(
        &mut self,
        mut left: u64,
        sink: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        while left > 0 {
            if self.buffer.is_empty() && !self.fill().await? {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body ended early"));
            }
            let take = left.min(self.buffer.len() as u64) as usize;
            sink(&self.buffer[..take])?;
            if take == self.buffer.len() {
                self.buffer.clear();
            } else {
                self.buffer.drain(..take);
            }
            left -= take as u64;
        }
        Ok(())
    }

    async fn body_chunked(&mut self, sink: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        loop {
            let line = self.line().await?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = u64::from_str_radix(digits, 16).map_err(|_| invalid("a chunk's length is no number"))?;
            if length == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            self.body_of_length(length, sink).await?;
            self.line().await?;
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.buffer.len() > HEAD_BYTES_MAX || !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn fill(&mut self) -> io::Result<bool> {
        self.buffer.reserve(256 << 10);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes).map_err(|error| invalid(&format!("the answer is no HTTP: {error}")))? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(length) => {
            let headers = response
                .headers
                .iter()
                .map(|header| {
                    (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned())
                })
                .collect();
            Ok(Some((Head { status: response.code.unwrap_or(0), headers }, length)))
        }
    }
}

fn framing(method: &str, head: &Head) -> io::Result<Framing> {
    if method == "HEAD" || head.status == 204 || head.status == 304 || head.status < 200 {
        return Ok(Framing::Length(0));
    }
    if head.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return Ok(Framing::Chunked);
    }
    match head.header("content-length") {
        Some(length) => {
            length.parse().map(Framing::Length).map_err(|_| invalid("the answer's Content-Length is no number"))
        }
        None => Ok(Framing::UntilClose),
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}
