//! A webhook: one connection at a time, kept between messages.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::target::Target;

/// Most bytes of an answer that are read before the connection is given up: nobody reads them.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Most bytes of an answer's head.
const ANSWER_HEAD_BYTES_MAX: usize = 16 << 10;

/// Why a message was not taken. Nothing secret is in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    /// A redirect too: a message is sent where the operator said, and nowhere else.
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("no answer in time")]
    Timeout,
}

pub(super) struct Webhook {
    target: Arc<Target>,
    idle: Option<SendRequest<Full<Bytes>>>,
}

impl Webhook {
    pub(super) fn new(target: Arc<Target>) -> Self {
        Self { target, idle: None }
    }

    /// Sends a message; it was taken if the answer is 2xx.
    pub(super) async fn post(&mut self, message: Bytes) -> Result<(), PostError> {
        let timeout = self.target.timeout;
        match tokio::time::timeout(timeout, self.attempt(message)).await {
            Ok(posted) => posted,
            // Dropped in the middle: the connection went with it.
            Err(_) => Err(PostError::Timeout),
        }
    }

    async fn attempt(&mut self, message: Bytes) -> Result<(), PostError> {
        let mut reused = None;
        if let Some(mut sender) = self.idle.take()
            && sender.ready().await.is_ok()
        {
            reused = Some(sender);
        }
        let answer = match reused {
            Some(mut sender) => match sender.send_request(self.request(&message)).await {
                Ok(answer) => Some((sender, answer)),
                // It was closed while it was idle. What was taken all the same is taken twice.
                Err(_) => None,
            },
            None => None,
        };
        let (sender, answer) = match answer {
            Some(answer) => answer,
            None => {
                let mut sender = self.connect().await?;
                let answer = sender.send_request(self.request(&message)).await?;
                (sender, answer)
            }
        };
        let status = answer.status();
        if drain(answer.into_body()).await {
            self.idle = Some(sender);
        }
        if status.is_success() { Ok(()) } else { Err(PostError::Status(status)) }
    }

    fn request(&self, message: &Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(message.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.path.parse().expect("it came out of a parsed URI");
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.target.authority.clone());
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, header::HeaderValue::from_static("Chartrier"));
        if let Some(authorization) = &self.target.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        request
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, PostError> {
        let Target { host, port, tls, .. } = &*self.target;
        let tcp = TcpStream::connect((host.as_str(), *port)).await.map_err(PostError::Connect)?;
        let _ = tcp.set_nodelay(true);
        match tls {
            None => speak(tcp).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), tcp).await.map_err(PostError::Connect)?;
                speak(stream).await
            }
        }
    }
}

async fn speak<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, PostError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new();
    let (sender, connection) = builder.max_buf_size(ANSWER_HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
    // Ends with the connection; what it ends with is reported by the request.
    tokio::spawn(connection);
    Ok(sender)
}

/// Reads an answer to its end; false if it is too long or breaks off, and the connection is of no more use.
async fn drain(mut body: Incoming) -> bool {
    let mut left = ANSWER_BYTES_MAX;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    true
}
