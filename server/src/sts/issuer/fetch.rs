//! Asking an issuer over HTTP: one question, one bounded answer, no redirects.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::jwks::{IssuerKey, parse};
use super::url::{IssuerUrl, IssuerUrlError, LocalIssuers, may_ask};
use crate::trust::{self, TrustError};

/// Longest answer of an issuer.
const ANSWER_LEN_BYTES_MAX: usize = 256 << 10;
/// Time for one question, from the name's look-up to the last byte.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// The keys of an issuer cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A URL of its configuration may not be asked.
    #[error("a URL of the issuer is refused")]
    Url(#[from] IssuerUrlError),
    /// Its name leads to no address that may be asked.
    #[error("the issuer's name leads to no address that may be asked")]
    Address,
    /// It cannot be reached.
    #[error("the issuer cannot be reached")]
    Connect(#[source] io::Error),
    /// The connection broke.
    #[error("the connection to the issuer broke")]
    Http(#[from] hyper::Error),
    /// It did not answer in time.
    #[error("the issuer did not answer within 5 seconds")]
    Timeout,
    /// It answered something else: a redirect, say.
    #[error("the issuer answered with status {0}")]
    Status(StatusCode),
    /// Its answer is too long, or not what it should be.
    #[error("the issuer's answer is not understood: {0}")]
    Answer(&'static str),
    /// It cannot be said whom to trust.
    #[error("whom to trust cannot be told")]
    Trust(#[from] TrustError),
    /// It was asked a moment ago, in vain.
    #[error("the issuer was asked a moment ago, in vain")]
    TooSoon,
}

/// Asks issuers.
pub(super) struct Fetcher {
    local: LocalIssuers,
    /// Whom the operator names.
    authorities: Vec<CertificateDer<'static>>,
    /// Trusts them and the system's, which are read when an issuer is first asked over TLS.
    tls: OnceCell<TlsConnector>,
}

impl Fetcher {
    pub(super) fn new(local: LocalIssuers, ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let authorities = ca_file.map(trust::authorities_of).transpose()?.unwrap_or_default();
        Ok(Self { local, authorities, tls: OnceCell::new() })
    }

    /// The keys of an issuer, from its configuration on.
    pub(super) async fn keys_of(&self, issuer: &str) -> Result<Vec<IssuerKey>, FetchError> {
        let base = issuer.trim_end_matches('/');
        let keys_url = keys_url(&self.answer(&format!("{base}{DISCOVERY}")).await?, base)?;
        parse(&self.answer(&keys_url).await?).ok_or(FetchError::Answer("its keys are no JWK set"))
    }

    async fn answer(&self, url: &str) -> Result<Bytes, FetchError> {
        let url = IssuerUrl::parse(url, self.local)?;
        tokio::time::timeout(PATIENCE, self.ask(&url)).await.unwrap_or(Err(FetchError::Timeout))
    }

    async fn ask(&self, url: &IssuerUrl) -> Result<Bytes, FetchError> {
        let tcp = self.connect(url).await?;
        if !url.is_tls() {
            return get(tcp, url).await;
        }
        let tls = self.tls.get_or_try_init(|| self.connector()).await?;
        let name = ServerName::try_from(url.host().to_owned()).map_err(|_| IssuerUrlError::Malformed)?;
        get(tls.connect(name, tcp).await.map_err(FetchError::Connect)?, url).await
    }

    async fn connector(&self) -> Result<TlsConnector, TrustError> {
        // A thread that panics has read none; with those that are named there is still somebody to trust.
        let system = tokio::task::spawn_blocking(trust::authorities_of_the_system).await.unwrap_or_default();
        trust::connector(self.authorities.clone(), system)
    }

    async fn connect(&self, url: &IssuerUrl) -> Result<TcpStream, FetchError> {
        let addresses = lookup_host((url.host(), url.port())).await.map_err(FetchError::Connect)?;
        let mut failed = FetchError::Address;
        for address in addresses.filter(|address| may_ask(address.ip(), self.local)).take(ADDRESSES_MAX) {
            match TcpStream::connect(address).await {
                Ok(tcp) => return Ok(tcp),
                Err(error) => failed = FetchError::Connect(error),
            }
        }
        Err(failed)
    }
}

/// Where the keys are, as the configuration of the issuer `base` says.
pub(in crate::sts) fn keys_url(configuration: &[u8], base: &str) -> Result<String, FetchError> {
    let configuration: Value =
        serde_json::from_slice(configuration).map_err(|_| FetchError::Answer("its configuration is not JSON"))?;
    let text = |name: &str| configuration.get(name).and_then(Value::as_str);
    // Otherwise one issuer could speak for another.
    if text("issuer").is_none_or(|named| named.trim_end_matches('/') != base) {
        return Err(FetchError::Answer("its configuration names another issuer"));
    }
    text("jwks_uri").map(str::to_owned).ok_or(FetchError::Answer("its configuration has no jwks_uri"))
}

async fn get<S>(stream: S, url: &IssuerUrl) -> Result<Bytes, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Cut when the answer is there, or when its time is over.
    let mut running = tokio::task::JoinSet::new();
    running.spawn(connection);
    let request = Request::get(url.path())
        .header(header::HOST, url.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "Chartrier")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| IssuerUrlError::Malformed)?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let body = Limited::new(response.into_body(), ANSWER_LEN_BYTES_MAX).collect().await;
    body.map(|body| body.to_bytes()).map_err(|_| FetchError::Answer("it is over 256 KiB, or broke off"))
}
