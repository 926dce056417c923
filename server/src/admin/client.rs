//! A small HTTP/1.1 client of the admin API: one connection per request.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::run_file::AdminToken;
use super::wire::{API_PREFIX, ErrorBody};

/// Why a call of the admin API failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The caller's mistake: the endpoint is not `http://host:port`.
    #[error("`{0}` is not an endpoint such as http://127.0.0.1:9001")]
    Endpoint(String),
    /// The caller's mistake: the token would cross a network in clear.
    #[error(
        "the token would travel in clear to {0}: open a tunnel to the server's loopback address, or say --allow-clear"
    )]
    NotLoopback(String),
    /// No server answers there: start it, or name another endpoint.
    #[error("cannot reach the server at {endpoint}")]
    Connect {
        /// Host and port.
        endpoint: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke: the command may or may not have been carried out.
    #[error("the connection to the server broke")]
    Http(#[from] hyper::Error),
    /// The server refused: the message says what to do.
    #[error("{message} ({code})")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// The stable code.
        code: String,
        /// For a person.
        message: String,
    },
    /// The answer is not of this API: another program listens there, or another version.
    #[error("the server's answer is not understood: {0}")]
    Answer(String),
    /// The answer could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// Where a token may be sent over plain HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clear {
    /// To this machine only.
    Loopback,
    /// To any host: the operator said that the network between is private.
    Anywhere,
}

/// Talks to one admin endpoint with one token.
#[derive(Clone)]
pub struct AdminClient {
    authority: String,
    token: AdminToken,
}

impl AdminClient {
    /// Prepares calls to `endpoint`; opens nothing yet.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`] and [`ClientError::NotLoopback`].
    pub fn new(endpoint: &str, token: AdminToken, clear: Clear) -> Result<Self, ClientError> {
        let uri: Uri = endpoint.parse().map_err(|_| ClientError::Endpoint(endpoint.to_owned()))?;
        let (Some("http"), Some(host), Some(port)) = (uri.scheme_str(), uri.host(), uri.port_u16()) else {
            return Err(ClientError::Endpoint(endpoint.to_owned()));
        };
        if clear == Clear::Loopback && !is_loopback(host) {
            return Err(ClientError::NotLoopback(host.to_owned()));
        }
        Ok(Self { authority: format!("{host}:{port}"), token })
    }

    /// `GET`, the answer read as JSON.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        parse(&self.bytes(Method::GET, path, Bytes::new()).await?)
    }

    /// `GET`, the answer as it is, at most [`ANSWER_BYTES_MAX`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get_bytes(&self, path: &str) -> Result<Bytes, ClientError> {
        self.bytes(Method::GET, path, Bytes::new()).await
    }

    /// `POST` of a JSON body, the answer read as JSON.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn post<B: serde::Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).expect("our request types are plain JSON");
        parse(&self.bytes(Method::POST, path, body.into()).await?)
    }

    /// `DELETE`, the answer read as JSON.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        parse(&self.bytes(Method::DELETE, path, Bytes::new()).await?)
    }

    /// `GET`, the answer streamed into a new file; answers its length.
    ///
    /// The file appears under its name only when it is whole.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn download(&self, path: &str, to: &std::path::Path) -> Result<u64, ClientError> {
        let mut body = self.send(Method::GET, path, Bytes::new()).await?;
        let mut partial = to.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let failed = |source| ClientError::Write { path: to.to_owned(), source };
        let mut file = tokio::fs::File::create(&partial).await.map_err(failed)?;
        let mut written = 0;
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                file.write_all(&data).await.map_err(failed)?;
                written += data.len() as u64;
            }
        }
        file.flush().await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;
        tokio::fs::rename(&partial, to).await.map_err(failed)?;
        Ok(written)
    }

    async fn bytes(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let body = self.send(method, path, body).await?;
        collect(body).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Incoming, ClientError> {
        let connect = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.authority)).await;
        let stream = connect
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|source| ClientError::Connect { endpoint: self.authority.clone(), source })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; what it ends with is reported by the request.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("{API_PREFIX}{path}"))
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| ClientError::Answer(error.to_string()))?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let bytes = collect(body).await?;
        Err(match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(ErrorBody { error }) => {
                ClientError::Refused { status: head.status, code: error.code, message: error.message }
            }
            Err(_) => ClientError::Answer(head.status.to_string()),
        })
    }
}

/// The longest answer that is not streamed to a file: far over any list of users or tile.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

async fn collect(body: Incoming) -> Result<Bytes, ClientError> {
    match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(error) => ClientError::Http(*error),
            Err(error) => ClientError::Answer(error.to_string()),
        }),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|error| ClientError::Answer(error.to_string()))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(endpoint: &str) -> Result<AdminClient, ClientError> {
        AdminClient::new(endpoint, AdminToken::from_text("t"), Clear::Loopback)
    }

    #[test]
    fn only_loopback_endpoints_are_spoken_to_in_clear() {
        assert!(client("http://127.0.0.1:9001").is_ok());
        assert!(client("http://localhost:9001").is_ok());
        assert!(client("http://[::1]:9001").is_ok());
        assert!(matches!(client("http://10.0.0.1:9001"), Err(ClientError::NotLoopback(_))));
        assert!(AdminClient::new("http://10.0.0.1:9001", AdminToken::from_text("t"), Clear::Anywhere).is_ok());
        assert!(matches!(client("ftp://127.0.0.1:9001"), Err(ClientError::Endpoint(_))));
        assert!(matches!(client("127.0.0.1"), Err(ClientError::Endpoint(_))));
    }
}
