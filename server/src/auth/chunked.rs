//! aws-chunked, decoded and verified as it streams.
//!
//! ```text
//! 10000;chunk-signature=<64 hex>\r\n        (the extension only when chunks are signed)
//! <65536 bytes>\r\n
//! 0;chunk-signature=<64 hex>\r\n
//! x-amz-checksum-crc32c:sOO8/Q==\r\n        (only declared trailers)
//! x-amz-trailer-signature:<64 hex>\r\n      (only when chunks are signed)
//! \r\n
//! ```
//!
//! A chunk may have any size: nothing of it is held back but its last fragment, until the
//! signature that covers the chunk holds.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use chartrier_crypto::Sha256;
use http::HeaderMap;
use subtle::ConstantTimeEq as _;

use super::signing_keys::SigningKey;
use super::trailers::{DeclaredTrailers, TRAILERS_LEN_BYTES_MAX, Trailers, malformed};
use crate::s3::error::{S3Error, S3ErrorCode};

/// Only the last chunk may be shorter.
pub const CHUNK_LEN_BYTES_MIN: u64 = 8192;
/// Longest line before a chunk; a real one has at most 98 bytes.
const CHUNK_LINE_LEN_BYTES_MAX: usize = 256;
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Verifies the chain of signatures that begins with the request's own.
pub struct ChunkSigner {
    key: Arc<SigningKey>,
    /// `timestamp\nscope\n`, the same in every string to sign.
    prefix: String,
    previous: String,
}

impl ChunkSigner {
    /// Continues from `seed`, the signature of the request's head.
    pub fn new(key: Arc<SigningKey>, timestamp: &str, scope: &str, seed: String) -> Self {
        Self { key, prefix: format!("{timestamp}\n{scope}\n"), previous: seed }
    }

    fn verify_chunk(&mut self, signature: &str, digest: [u8; 32]) -> Result<(), S3Error> {
        let string_to_sign = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}{}\n{EMPTY_SHA256}\n{}",
            self.prefix,
            self.previous,
            hex::encode(digest)
        );
        self.verify(signature, &string_to_sign)
    }

    fn verify_trailers(&mut self, signature: &str, digest: [u8; 32]) -> Result<(), S3Error> {
        let string_to_sign =
            format!("AWS4-HMAC-SHA256-TRAILER\n{}{}\n{}", self.prefix, self.previous, hex::encode(digest));
        self.verify(signature, &string_to_sign)
    }

    fn verify(&mut self, signature: &str, string_to_sign: &str) -> Result<(), S3Error> {
        let expected = self.key.sign(string_to_sign.as_bytes());
        if bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
            self.previous = expected;
            Ok(())
        } else {
            Err(S3Error::of(S3ErrorCode::SignatureDoesNotMatch))
        }
    }
}

/// Takes the framing off a body.
pub struct ChunkedDecoder {
    signer: Option<ChunkSigner>,
    state: State,
    /// A line that is not complete yet.
    line: Vec<u8>,
    /// Plaintext bytes that are declared and have not come.
    declared_left: u64,
    /// Of the chunk before this one.
    last_chunk_was_short: bool,
    trailers: Trailers,
    /// Whether the payload type has trailers, and so a signature over them.
    trailers_expected: bool,
}

enum State {
    ChunkLine,
    Data { left: u64, hasher: Box<Sha256>, signature: String },
    DataEnd,
    Trailers,
    Done,
}

impl ChunkedDecoder {
    /// A decoder of a body whose plaintext has `declared_len` bytes. `trailers` is `None` for the
    /// payload type that has none.
    pub(super) fn new(signer: Option<ChunkSigner>, trailers: Option<DeclaredTrailers>, declared_len: u64) -> Self {
        let trailers_expected = trailers.is_some();
        Self {
            signer,
            state: State::ChunkLine,
            line: Vec::new(),
            declared_left: declared_len,
            last_chunk_was_short: false,
            trailers: Trailers::new(trailers.unwrap_or_default()),
            trailers_expected,
        }
    }

    /// Consumes from `input` up to the next fragment of plaintext; `None` when `input` is empty.
    ///
    /// # Errors
    /// `InvalidChunkSizeError`, `IncompleteBody`, `SignatureDoesNotMatch`, `MalformedTrailerError`,
    /// `InvalidRequest` for what is not aws-chunked.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, S3Error> {
        while !input.is_empty() {
            match &mut self.state {
                State::ChunkLine => {
                    if self.take_line(input, CHUNK_LINE_LEN_BYTES_MAX)? {
                        self.begin_chunk()?;
                    }
                }
                State::Data { left, hasher, .. } => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    let fragment = input.split_to(take);
                    *left -= take as u64;
                    if self.signer.is_some() {
                        hasher.update(&fragment);
                    }
                    if *left == 0 {
                        self.end_chunk()?;
                    }
                    return Ok(Some(fragment));
                }
                State::DataEnd => {
                    if self.take_line(input, 2)? {
                        // The line end that closes a chunk's data, and nothing before it.
                        if !std::mem::take(&mut self.line).is_empty() {
                            return Err(not_chunked());
                        }
                        self.state = State::ChunkLine;
                    }
                }
                State::Trailers => {
                    if self.take_line(input, TRAILERS_LEN_BYTES_MAX).map_err(|_| malformed())? {
                        self.trailer_line()?;
                    }
                }
                State::Done => return Err(not_chunked()),
            }
        }
        Ok(None)
    }

    /// Verifies the end and answers the trailers.
    ///
    /// # Errors
    /// `IncompleteBody` if something is missing, and those of the trailers.
    pub fn finish(mut self) -> Result<HeaderMap, S3Error> {
        match self.state {
            State::Done => {}
            // Some clients leave out the last, empty line.
            State::Trailers if self.line.is_empty() => {}
            _ => return Err(S3Error::of(S3ErrorCode::IncompleteBody)),
        }
        if self.declared_left > 0 {
            return Err(S3Error::of(S3ErrorCode::IncompleteBody));
        }
        if let Some(signer) = &mut self.signer {
            match self.trailers.signed_hash() {
                Some((signature, digest)) => signer.verify_trailers(signature, digest)?,
                // Without trailers the chain ends with the last chunk.
                None if self.trailers_expected => return Err(malformed()),
                None => {}
            }
        }
        self.trailers.finish()
    }

    /// Moves a line into `self.line` and answers whether it is complete; its end is taken off.
    fn take_line(&mut self, input: &mut Bytes, len_bytes_max: usize) -> Result<bool, S3Error> {
        let (take, complete) = match input.iter().position(|&b| b == b'\n') {
            Some(at) => (at + 1, true),
            None => (input.len(), false),
        };
        if self.line.len() + take > len_bytes_max {
            return Err(not_chunked());
        }
        self.line.extend_from_slice(&input[..take]);
        input.advance(take);
        if complete {
            self.line.pop();
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
        }
        Ok(complete)
    }

    fn begin_chunk(&mut self) -> Result<(), S3Error> {
        let line = std::mem::take(&mut self.line);
        let (len, signature) = parse_chunk_line(&line, self.signer.is_some())?;
        if len == 0 {
            if let Some(signer) = &mut self.signer {
                signer.verify_chunk(&signature, Sha256::new().finish())?;
            }
            self.state = State::Trailers;
            return Ok(());
        }
        if self.last_chunk_was_short {
            return Err(S3Error::of(S3ErrorCode::InvalidChunkSizeError));
        }
        self.last_chunk_was_short = len < CHUNK_LEN_BYTES_MIN;
        self.declared_left = self.declared_left.checked_sub(len).ok_or_else(|| {
            S3Error::new(S3ErrorCode::IncompleteBody, "The body is longer than x-amz-decoded-content-length says.")
        })?;
        self.state = State::Data { left: len, hasher: Box::new(Sha256::new()), signature };
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), S3Error> {
        let State::Data { hasher, signature, .. } = std::mem::replace(&mut self.state, State::DataEnd) else {
            return Ok(());
        };
        match &mut self.signer {
            Some(signer) => signer.verify_chunk(&signature, hasher.finish()),
            None => Ok(()),
        }
    }

    fn trailer_line(&mut self) -> Result<(), S3Error> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            return self.trailers.line(&line, self.signer.is_some());
        }
        // One client puts an empty line between its trailers and their signature.
        if !(self.trailers_expected && self.signer.is_some() && !self.trailers.is_signed()) {
            self.state = State::Done;
        }
        Ok(())
    }
}

/// Reads `len[;chunk-signature=…]`.
fn parse_chunk_line(line: &[u8], signed: bool) -> Result<(u64, String), S3Error> {
    let text = std::str::from_utf8(line).map_err(|_| not_chunked())?;
    let (len, extension) = text.split_once(';').unwrap_or((text, ""));
    if len.is_empty() || len.len() > 16 || !len.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(not_chunked());
    }
    let len = u64::from_str_radix(len, 16).map_err(|_| not_chunked())?;
    match extension.strip_prefix("chunk-signature=") {
        Some(signature) => Ok((len, signature.to_owned())),
        None if signed => Err(S3Error::of(S3ErrorCode::SignatureDoesNotMatch)),
        None => Ok((len, String::new())),
    }
}

fn not_chunked() -> S3Error {
    S3Error::new(S3ErrorCode::InvalidRequest, "The body is not framed as aws-chunked.")
}
