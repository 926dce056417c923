//! The body of a request: decoded, authenticated, bounded in time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chartrier_crypto::Sha256;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use crate::auth::ChunkedDecoder;
use crate::s3::error::{S3Error, S3ErrorCode};

/// Largest XML body: DeleteObjects and Complete with every name at its longest fit.
pub const XML_BODY_LEN_BYTES_MAX: usize = 8 << 20;

/// How slow a client may be.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Longest wait for the next byte.
    pub stall_timeout: Duration,
    /// Over each window of 30 seconds, the client must send at least this much per second.
    pub bytes_per_second_min: u64,
}

/// Over which time the least progress is measured.
const PROGRESS_WINDOW: Duration = Duration::from_secs(30);

impl Default for BodyLimits {
    fn default() -> Self {
        Self { stall_timeout: Duration::from_secs(30), bytes_per_second_min: 512 }
    }
}

/// A request body as plaintext.
///
/// aws-chunked framing is removed; chunk and trailer signatures and `x-amz-content-sha256` are
/// verified. Fragments are given out as they arrive, some before the signature that covers them is
/// there, so that a chunk of any size needs no buffer: **what was read is authentic only once
/// [`RequestBody::next`] has answered `Ok(None)`**, and nothing may become visible before.
///
/// The first poll sends `100 Continue` to a client that waits for it: authorise before.
pub struct RequestBody {
    source: Source,
    decoding: Decoding,
    decoded_length: Option<u64>,
    limits: BodyLimits,
    /// Bytes received since `window_start`.
    window_bytes: u64,
    window_start: Option<Instant>,
    /// What the decoder has not consumed of the last frame.
    pending: Bytes,
    trailers: HeaderMap,
    finished: bool,
    /// Cleared when the last byte has come from the wire.
    unread: Option<Arc<AtomicBool>>,
}

enum Source {
    Incoming(Incoming),
    Memory(VecDeque<Bytes>),
}

/// How the bytes on the wire become plaintext.
pub enum Decoding {
    /// As they are, of declared length, with no hash to verify.
    Identity,
    /// As they are; the whole must have this SHA-256.
    Hashed {
        /// Running hash.
        hasher: Box<Sha256>,
        /// From `x-amz-content-sha256`.
        expected: [u8; 32],
    },
    /// aws-chunked.
    Chunked(Box<ChunkedDecoder>),
}

impl Decoding {
    /// A body whose SHA-256 is signed.
    pub fn hashed(expected: [u8; 32]) -> Self {
        Self::Hashed { hasher: Box::new(Sha256::new()), expected }
    }
}

impl RequestBody {
    /// A body from the wire. `decoded_length` is what the headers declare of the plaintext.
    pub fn new(incoming: Incoming, decoding: Decoding, decoded_length: Option<u64>, limits: BodyLimits) -> Self {
        Self::from_source(Source::Incoming(incoming), decoding, decoded_length, limits)
    }

    /// A plaintext body from memory, for tests and for requests that the server makes to itself.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Self::from_frames([bytes], Decoding::Identity, Some(len))
    }

    /// A body from the frames that a network would have given.
    pub fn from_frames(
        frames: impl IntoIterator<Item = Bytes>,
        decoding: Decoding,
        decoded_length: Option<u64>,
    ) -> Self {
        Self::from_source(Source::Memory(frames.into_iter().collect()), decoding, decoded_length, BodyLimits::default())
    }

    fn from_source(source: Source, decoding: Decoding, decoded_length: Option<u64>, limits: BodyLimits) -> Self {
        Self {
            source,
            decoding,
            decoded_length,
            limits,
            window_bytes: 0,
            window_start: None,
            pending: Bytes::new(),
            trailers: HeaderMap::new(),
            finished: false,
            unread: None,
        }
    }

    /// Has it clear `unread` when the last byte has come from the wire.
    #[must_use]
    pub fn clearing_at_end(mut self, unread: Arc<AtomicBool>) -> Self {
        self.unread = Some(unread);
        self
    }

    /// Plaintext bytes that the headers declare: `x-amz-decoded-content-length` or `Content-Length`.
    pub fn decoded_length(&self) -> Option<u64> {
        self.decoded_length
    }

    /// The trailers, once [`RequestBody::next`] has answered `Ok(None)`: declared in `x-amz-trailer`,
    /// and authenticated when the framing is signed.
    pub fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }

    /// The next fragment of plaintext, never empty; `None` at the verified end.
    ///
    /// Cancel safe: a fragment is lost only with the future that would have answered it.
    ///
    /// # Errors
    /// `IncompleteBody` if the client went away or sent another length than declared;
    /// `RequestTimeout` if it is too slow; `SignatureDoesNotMatch`, `XAmzContentSHA256Mismatch`,
    /// `InvalidChunkSizeError`, `MalformedTrailerError` for what was sent.
    pub async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        while !self.finished {
            if let Some(plain) = self.decode_pending()? {
                return Ok(Some(plain));
            }
            match self.next_frame().await? {
                Some(frame) => self.pending = frame,
                None => {
                    self.finished = true;
                    if let Some(unread) = &self.unread {
                        unread.store(false, Ordering::Release);
                    }
                    self.verify_end()?;
                }
            }
        }
        Ok(None)
    }

    /// The whole body, if it is at most `limit` bytes.
    ///
    /// # Errors
    /// `MaxMessageLengthExceeded` over the limit, and those of [`RequestBody::next`].
    pub async fn read_to_limit(&mut self, limit: usize) -> Result<Bytes, S3Error> {
        let too_long = || S3Error::of(S3ErrorCode::MaxMessageLengthExceeded);
        if self.decoded_length.is_some_and(|len| len > limit as u64) {
            return Err(too_long());
        }
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else {
            return if first.len() > limit { Err(too_long()) } else { Ok(first) };
        };
        let mut whole = BytesMut::from(first);
        let mut fragment = Some(second);
        while let Some(bytes) = fragment {
            if whole.len() + bytes.len() > limit {
                return Err(too_long());
            }
            whole.extend_from_slice(&bytes);
            fragment = self.next().await?;
        }
        Ok(whole.freeze())
    }

    fn decode_pending(&mut self) -> Result<Option<Bytes>, S3Error> {
        if self.pending.is_empty() {
            return Ok(None);
        }
        match &mut self.decoding {
            Decoding::Identity => Ok(Some(std::mem::take(&mut self.pending))),
            Decoding::Hashed { hasher, .. } => {
                hasher.update(&self.pending);
                Ok(Some(std::mem::take(&mut self.pending)))
            }
            Decoding::Chunked(decoder) => decoder.decode(&mut self.pending),
        }
    }

    fn verify_end(&mut self) -> Result<(), S3Error> {
        match std::mem::replace(&mut self.decoding, Decoding::Identity) {
            Decoding::Identity => Ok(()),
            Decoding::Hashed { hasher, expected } => {
                if bool::from(hasher.finish().as_slice().ct_eq(&expected)) {
                    Ok(())
                } else {
                    Err(S3Error::of(S3ErrorCode::XAmzContentSha256Mismatch))
                }
            }
            Decoding::Chunked(decoder) => {
                self.trailers = decoder.finish()?;
                Ok(())
            }
        }
    }

    async fn next_frame(&mut self) -> Result<Option<Bytes>, S3Error> {
        let incoming = match &mut self.source {
            Source::Memory(frames) => return Ok(frames.pop_front()),
            Source::Incoming(incoming) => incoming,
        };
        loop {
            let frame = match tokio::time::timeout(self.limits.stall_timeout, incoming.frame()).await {
                Err(_) => return Err(S3Error::of(S3ErrorCode::RequestTimeout)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(source))) => {
                    return Err(S3Error::of(S3ErrorCode::IncompleteBody).with_source(source));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            // HTTP's own trailers are nothing that S3 knows: they are dropped.
            let Ok(data) = frame.into_data() else { continue };
            let now = Instant::now();
            let start = *self.window_start.get_or_insert(now);
            self.window_bytes += data.len() as u64;
            let elapsed = now.duration_since(start);
            if elapsed >= PROGRESS_WINDOW {
                if self.window_bytes < self.limits.bytes_per_second_min * elapsed.as_secs() {
                    return Err(S3Error::of(S3ErrorCode::RequestTimeout));
                }
                self.window_start = Some(now);
                self.window_bytes = 0;
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_within_the_limit_is_read_whole_and_one_over_it_is_not() {
        let frames = || [Bytes::from_static(b"abc"), Bytes::from_static(b"def"), Bytes::from_static(b"g")];
        let mut body = RequestBody::from_frames(frames(), Decoding::Identity, None);
        assert_eq!(body.read_to_limit(7).await.unwrap(), "abcdefg");
        let mut body = RequestBody::from_frames(frames(), Decoding::Identity, None);
        assert_eq!(body.read_to_limit(6).await.unwrap_err().code, S3ErrorCode::MaxMessageLengthExceeded);
        let mut body = RequestBody::from_bytes("0123456789");
        assert_eq!(body.read_to_limit(9).await.unwrap_err().code, S3ErrorCode::MaxMessageLengthExceeded);
    }

    #[tokio::test]
    async fn a_signed_hash_that_is_not_the_bodys_is_found_at_the_end() {
        let mut hasher = Sha256::new();
        hasher.update(b"abc");
        let expected = hasher.finish();
        for (body, holds) in [("abc", true), ("abd", false), ("ab", false)] {
            let decoding = Decoding::hashed(expected);
            let mut body = RequestBody::from_frames([Bytes::from_static(body.as_bytes())], decoding, None);
            assert!(body.next().await.unwrap().is_some());
            match body.next().await {
                Ok(None) => assert!(holds),
                Ok(Some(_)) => panic!("one frame went in"),
                Err(error) => {
                    assert!(!holds);
                    assert_eq!(error.code, S3ErrorCode::XAmzContentSha256Mismatch);
                }
            }
        }
    }
}
