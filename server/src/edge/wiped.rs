//! A stream that leaves no key in its reader's buffer while it waits for more.
//!
//! An SSE-C key travels in a header, so its text passes through the read buffers of rustls and
//! hyper, which live as long as the connection and keep old bytes until new ones cover them. Both
//! hand the free part of their buffer to the stream below when they want more. By then all that
//! came before is consumed, so the free part is overwritten before the wait.
//!
//! For that the free part must be the whole buffer. hyper takes its buffer back from the start
//! whenever less is free than it wants to read next, and it wants [`HEAD_READ_BYTES`] + 1 as long as
//! no read fills that much: reads of heads, and of bodies that come with a key, stop short of it. A
//! large body without a key is read in larger pieces and leaves a larger buffer behind; should a key
//! come after it on the same connection, the connection ends with that answer ([`ReadPace::key_came`]).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One byte less than the smallest buffer of hyper.
const HEAD_READ_BYTES: usize = (8 << 10) - 1;

/// How a connection is read; shared by the stream and by what answers its requests.
#[derive(Debug, Default)]
pub(super) struct ReadPace {
    /// A large body without a key is coming.
    fast: AtomicBool,
    /// Such a body came before.
    was_fast: AtomicBool,
}

impl ReadPace {
    /// A body comes with no key in its head.
    pub(super) fn body_without_key(&self, len_bytes: Option<u64>) {
        if len_bytes.is_none_or(|len| len > HEAD_READ_BYTES as u64) {
            self.was_fast.store(true, Ordering::Relaxed);
            self.fast.store(true, Ordering::Relaxed);
        }
    }

    /// A head with a key came. True if the connection must end with the answer.
    pub(super) fn key_came(&self) -> bool {
        self.was_fast.load(Ordering::Relaxed)
    }

    /// A request is answered: what comes next is a head.
    pub(super) fn answered(&self) {
        self.fast.store(false, Ordering::Relaxed);
    }
}

/// See the module. Writes pass through.
pub(super) struct Wiped<S> {
    stream: S,
    /// `None` below TLS, whose records bound a read by themselves.
    pace: Option<Arc<ReadPace>>,
}

impl<S> Wiped<S> {
    /// For rustls: it takes its buffer back from the start before each wait.
    pub(super) fn below_tls(stream: S) -> Self {
        Self { stream, pace: None }
    }

    /// For hyper.
    pub(super) fn below_http(stream: S, pace: Arc<ReadPace>) -> Self {
        Self { stream, pace: Some(pace) }
    }

    fn read_bytes_max(&self) -> usize {
        match &self.pace {
            Some(pace) if !pace.fast.load(Ordering::Relaxed) => HEAD_READ_BYTES,
            _ => usize::MAX,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wiped<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let len = buf.remaining().min(self.read_bytes_max());
        let read = if len < buf.remaining() {
            let mut piece = ReadBuf::new(buf.initialize_unfilled_to(len));
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut piece);
            let read_bytes = piece.filled().len();
            buf.advance(read_bytes);
            read
        } else {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        };
        if read.is_pending() {
            buf.initialize_unfilled().fill(0);
        }
        ready!(read)?;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wiped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_was_read_is_gone_once_the_reader_waits() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut stream = Wiped::below_tls(server);
        client.write_all(b"secret").await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 6);
        assert_eq!(&buffer[..6], b"secret");
        poll_fn(|cx| {
            assert!(Pin::new(&mut stream).poll_read(cx, &mut ReadBuf::new(&mut buffer)).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(buffer, [0; 16]);
    }

    #[tokio::test]
    async fn heads_are_read_in_pieces_that_do_not_make_the_buffer_grow() {
        let (mut client, server) = tokio::io::duplex(64 << 10);
        let pace = Arc::new(ReadPace::default());
        let mut stream = Wiped::below_http(server, pace.clone());
        client.write_all(&[1; 60 << 10]).await.unwrap();
        let mut buffer = vec![0; 32 << 10];
        assert_eq!(stream.read(&mut buffer).await.unwrap(), HEAD_READ_BYTES);
        pace.body_without_key(Some(100));
        assert_eq!(stream.read(&mut buffer).await.unwrap(), HEAD_READ_BYTES);
        assert!(!pace.key_came());
        pace.body_without_key(Some(1 << 20));
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 32 << 10);
        pace.answered();
        assert_eq!(stream.read(&mut buffer).await.unwrap(), HEAD_READ_BYTES);
        assert!(pace.key_came());
    }
}
