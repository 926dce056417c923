//! One connection: TLS or plain, then HTTP/1.1 until it ends.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ProtocolVersion;

use super::socket::Socket;
use super::wiped::{ReadPace, Wiped};
use super::{admin_port, service};
use crate::app::App;
use crate::config::PlainHttp;
use crate::s3::request::Transport;
use crate::s3::response::ResponseBody;

/// The first byte of every TLS connection: the content type of a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a connection on the S3 port may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carrier {
    /// TLS or not.
    pub(super) transport: Transport,
    /// False when the configuration does not serve plain HTTP at this address.
    pub(super) allowed: bool,
    /// The version of TLS; `None` in the clear.
    pub(super) tls_version: Option<&'static str>,
    /// The cipher suite, as rustls names it; `None` in the clear.
    pub(super) cipher_suite: Option<&'static str>,
    /// The other end of the socket.
    pub(super) peer: IpAddr,
}

/// Serves S3 on a connection until the client ends it, a limit is reached, or `stop` turns true.
pub(super) async fn serve_s3(app: Arc<App>, tls: TlsAcceptor, tcp: TcpStream, stop: watch::Receiver<bool>) {
    let limits = &app.config.limits;
    let handshake_timeout = Duration::from_secs(limits.handshake_timeout_s);
    // An answer leaves in one write, and must not wait for the client's delayed acknowledgement.
    let _ = tcp.set_nodelay(true);
    let loopback = tcp.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
    let Ok(peer) = tcp.peer_addr() else { return };
    let peer = peer.ip();
    let mut first = [0];
    let idle = Duration::from_secs(limits.idle_timeout_s);
    match timeout(idle, tcp.peek(&mut first)).await {
        Ok(Ok(1)) => {}
        _ => return,
    }
    let socket = Socket::new(tcp, Duration::from_secs(limits.stall_timeout_s));
    if first[0] == TLS_HANDSHAKE {
        match timeout(handshake_timeout, tls.accept(Wiped::below_tls(socket))).await {
            Ok(Ok(stream)) => {
                let tls_version = match stream.get_ref().1.protocol_version() {
                    Some(ProtocolVersion::TLSv1_3) => Some("1.3"),
                    _ => Some("1.2"),
                };
                let cipher_suite =
                    stream.get_ref().1.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
                let carrier = Carrier { transport: Transport::Tls, allowed: true, tls_version, cipher_suite, peer };
                serve_s3_http(app, stream, carrier, stop).await;
            }
            Ok(Err(error)) => {
                app.metrics.handshakes_failed.inc();
                tracing::debug!(%error, "TLS handshake failed");
            }
            Err(_) => app.metrics.handshakes_failed.inc(),
        }
    } else {
        let allowed = match app.config.plain_http {
            PlainHttp::Everywhere => true,
            PlainHttp::Loopback => loopback,
            PlainHttp::Never => false,
        };
        let (tls_version, cipher_suite) = (None, None);
        let carrier = Carrier { transport: Transport::Plain, allowed, tls_version, cipher_suite, peer };
        serve_s3_http(app, socket, carrier, stop).await;
    }
}

async fn serve_s3_http<S>(app: Arc<App>, stream: S, carrier: Carrier, stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shared = Arc::clone(&app);
    let pace = Arc::new(ReadPace::default());
    let stream = Wiped::below_http(stream, Arc::clone(&pace));
    drive(&app, stream, stop, move |request| service::answer(Arc::clone(&shared), carrier, Arc::clone(&pace), request))
        .await;
}

/// Serves the admin port on a connection; plain HTTP only.
pub(super) async fn serve_admin(app: Arc<App>, tcp: TcpStream, stop: watch::Receiver<bool>) {
    let _ = tcp.set_nodelay(true);
    let Ok(peer) = tcp.peer_addr().map(|address| address.ip()) else { return };
    let socket = Socket::new(tcp, Duration::from_secs(app.config.limits.stall_timeout_s));
    let shared = Arc::clone(&app);
    drive(&app, socket, stop, move |request| admin_port::answer(Arc::clone(&shared), peer, request)).await;
}

async fn drive<S, H, F>(app: &App, stream: S, mut stop: watch::Receiver<bool>, handle: H)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<ResponseBody>>,
{
    let limits = &app.config.limits;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits.idle_timeout_s))
        .max_headers(limits.headers)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes)
        .half_close(true)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| {
                let answer = handle(request);
                async move { Ok::<_, std::convert::Infallible>(answer.await) }
            }),
        );
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
