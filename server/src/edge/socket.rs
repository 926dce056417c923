//! A TCP stream that bounds what a client can cost when it stops reading or will not stop sending.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// After our last byte, what the client still sends is read and dropped for at most this long, so
/// that it gets to read an error that was answered in the middle of its upload.
const LINGER: Duration = Duration::from_secs(5);
/// And only while it sends: a client that is merely idle does not hold up a stop.
const LINGER_QUIET: Duration = Duration::from_millis(500);
/// And at most this much.
const LINGER_LEN_BYTES_MAX: usize = 64 << 20;

/// The stream under TLS and HTTP.
pub(super) struct Socket {
    tcp: TcpStream,
    write_timeout: Duration,
    /// Runs while the client takes nothing; boxed, because most connections never wait.
    write_stall: Option<Pin<Box<Sleep>>>,
    linger: Option<Linger>,
}

struct Linger {
    until: Instant,
    /// Ends the wait; put off each time that something comes.
    quiet: Pin<Box<Sleep>>,
    dropped_bytes: usize,
}

impl Socket {
    pub(super) fn new(tcp: TcpStream, write_timeout: Duration) -> Self {
        Self { tcp, write_timeout, write_stall: None, linger: None }
    }

    /// Passes a write's result on, or fails once the client has taken nothing for too long.
    fn bound_write(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if result.is_ready() {
            self.write_stall = None;
            return result;
        }
        let stall = self.write_stall.get_or_insert_with(|| Box::pin(sleep(self.write_timeout)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads nothing")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.bound_write(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.bound_write(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    /// Ends our side, then drops what still comes until the client ends its side.
    ///
    /// Closing with unread bytes in the kernel resets the connection, and the client may then lose
    /// an answer that is already on its way.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.tcp).poll_shutdown(cx))?;
        }
        let linger = this.linger.get_or_insert_with(|| Linger {
            until: Instant::now() + LINGER,
            quiet: Box::pin(sleep(LINGER_QUIET)),
            dropped_bytes: 0,
        });
        let mut scratch = [0; 16 << 10];
        while linger.dropped_bytes < LINGER_LEN_BYTES_MAX && Instant::now() < linger.until {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.tcp).poll_read(cx, &mut buf) {
                Poll::Pending => return linger.quiet.as_mut().poll(cx).map(Ok),
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    linger.dropped_bytes += buf.filled().len();
                    linger.quiet.as_mut().reset(linger.until.min(Instant::now() + LINGER_QUIET));
                }
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
