//! Sealing into, and opening from, buffers whose ends fall anywhere in a chunk.
//!
//! The store works in stripes, the cipher in chunks of 16 400 sealed bytes, so about one chunk in
//! sixty lies across two buffers. These two types seal and open every other chunk where it lies
//! and carry that one over, so that callers only ever see windows and lengths.

use std::ops::Range;

use zeroize::{Zeroize, Zeroizing};

use crate::error::{OpenError, SealError};
use crate::header::{HEADER_LEN, PartHeader};
use crate::part::{ChunkIndex, LastChunk, PartOpener, PartSealer};
use crate::primitives::TAG_LEN;
use crate::range::{CHUNK_PLAIN, CHUNK_SEALED, SealedRange, sealed_range};

/// Seals a part of unknown length into a series of windows: header, then chunks.
pub struct StreamSealer {
    /// `None` once the last chunk is sealed.
    sealer: Option<PartSealer>,
    header: PartHeader,
    /// One chunk that does not fit in the window where it began; before that, the header.
    staging: Zeroizing<Box<[u8]>>,
    /// Sealed bytes in `staging` that still have to go out.
    drain: Range<usize>,
    /// Plaintext bytes of the chunk that is being filled.
    filled: usize,
    place: Place,
    plain_len: u64,
}

/// Where the chunk that is being filled lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Window,
    Staging,
}

/// What one call of [`StreamSealer::push`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the caller advances both by these lengths"]
pub struct SealStep {
    /// Plaintext bytes taken.
    pub consumed: usize,
    /// Sealed bytes at the start of the window: final, to be written.
    pub written: usize,
}

/// What one call of [`StreamSealer::finish`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the caller advances the window, and calls again unless it is done"]
pub struct FinishStep {
    /// Sealed bytes at the start of the window: final, to be written.
    pub written: usize,
    /// Nothing more will come.
    pub done: bool,
}

impl StreamSealer {
    /// Begins with a sealer that has sealed nothing yet.
    pub fn new(sealer: PartSealer) -> Self {
        let header = *sealer.header();
        let mut staging = Zeroizing::new(vec![0; CHUNK_SEALED].into_boxed_slice());
        staging[..HEADER_LEN].copy_from_slice(&header.encode());
        Self {
            sealer: Some(sealer),
            header,
            staging,
            drain: 0..HEADER_LEN,
            filled: 0,
            place: Place::Staging,
            plain_len: 0,
        }
    }

    /// The part's header, for its row.
    pub fn header(&self) -> &PartHeader {
        &self.header
    }

    /// Plaintext bytes taken so far.
    pub fn plain_len(&self) -> u64 {
        self.plain_len
    }

    /// Takes plaintext and seals it into `window`.
    ///
    /// The window is what lies behind the bytes already written: the caller drops `written` bytes
    /// from its front, and brings another window only once this one is used up. Behind `written`
    /// it may hold the plaintext of an unfinished chunk, which the next call expects there and
    /// seals. Returns when the plaintext or the window is used up.
    ///
    /// # Errors
    /// [`SealError::WindowMoved`] if the window shrank under an unfinished chunk,
    /// [`SealError::Finished`] after [`finish`](Self::finish), [`SealError::TooManyChunks`].
    pub fn push(&mut self, plain: &[u8], window: &mut [u8]) -> Result<SealStep, SealError> {
        let mut step = SealStep { consumed: 0, written: 0 };
        if self.sealer.is_none() {
            return Err(SealError::Finished);
        }
        loop {
            step.written += self.drain_into(&mut window[step.written..]);
            let rest = &plain[step.consumed..];
            let window = &mut window[step.written..];
            if rest.is_empty() || window.is_empty() {
                return Ok(step);
            }
            let taken = rest.len().min(CHUNK_PLAIN - self.filled);
            step.consumed += taken;
            step.written += self.fill(&rest[..taken], window)?;
        }
    }

    /// Seals what remains as the last chunk. To be called until it is done.
    ///
    /// # Errors
    /// [`SealError::WindowMoved`] if the window shrank under an unfinished chunk.
    pub fn finish(&mut self, window: &mut [u8]) -> Result<FinishStep, SealError> {
        let mut written = self.drain_into(window);
        if self.drain.is_empty()
            && let Some(sealer) = self.sealer.take_if(|_| written < window.len())
        {
            let window = &mut window[written..];
            self.choose_place(window.len());
            let chunk = Self::chunk(self.place, &mut self.staging, window)?;
            let sealed = sealer.seal_last(chunk, self.filled)?;
            match self.place {
                Place::Window => written += sealed,
                Place::Staging => {
                    self.drain = 0..sealed;
                    written += self.drain_into(window);
                }
            }
        }
        Ok(FinishStep { written, done: self.sealer.is_none() && self.drain.is_empty() })
    }

    /// Adds plaintext to the current chunk, and seals the chunk once it is whole.
    ///
    /// Returns the bytes that became final in the window.
    fn fill(&mut self, plain: &[u8], window: &mut [u8]) -> Result<usize, SealError> {
        self.choose_place(window.len());
        let chunk = Self::chunk(self.place, &mut self.staging, window)?;
        chunk[self.filled..self.filled + plain.len()].copy_from_slice(plain);
        self.filled += plain.len();
        self.plain_len += plain.len() as u64;
        if self.filled < CHUNK_PLAIN {
            return Ok(0);
        }
        let sealer = self.sealer.as_mut().ok_or(SealError::Finished)?;
        sealer.seal_chunk_in_place(chunk)?;
        self.filled = 0;
        match self.place {
            Place::Window => Ok(CHUNK_SEALED),
            Place::Staging => {
                self.drain = 0..CHUNK_SEALED;
                Ok(self.drain_into(window))
            }
        }
    }

    fn choose_place(&mut self, window_len: usize) {
        if self.filled == 0 {
            self.place = match window_len >= CHUNK_SEALED {
                true => Place::Window,
                false => Place::Staging,
            };
        }
    }

    fn chunk<'a>(place: Place, staging: &'a mut [u8], window: &'a mut [u8]) -> Result<&'a mut [u8], SealError> {
        match place {
            Place::Window => window.get_mut(..CHUNK_SEALED).ok_or(SealError::WindowMoved),
            Place::Staging => Ok(staging),
        }
    }

    fn drain_into(&mut self, window: &mut [u8]) -> usize {
        let n = self.drain.len().min(window.len());
        window[..n].copy_from_slice(&self.staging[self.drain.start..][..n]);
        self.drain.start += n;
        n
    }
}

/// Opens a range of a part from a series of buffers that hold its sealed bytes in order.
pub struct StreamOpener {
    opener: PartOpener,
    range: SealedRange,
    /// Index of the part's last chunk, and its sealed length.
    last_chunk: u64,
    last_sealed: usize,
    /// Next chunk to open.
    next: u64,
    /// Plaintext still to leave out, then still to give.
    skip: usize,
    take: u64,
    /// Start of a chunk whose end is in the next buffer.
    carry: Vec<u8>,
}

/// What one buffer opened to, in this order.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenedRun {
    /// Plaintext of a chunk that began in an earlier buffer; often empty.
    pub head: Vec<u8>,
    /// Where the plaintext of the buffer's own chunks lies in the buffer, without gaps.
    pub plain: Range<usize>,
}

impl StreamOpener {
    /// Prepares the bytes `plain` of a part of `plain_len` bytes.
    pub fn new(opener: PartOpener, plain_len: u64, plain: Range<u64>) -> Self {
        let range = sealed_range(plain_len, plain);
        Self {
            opener,
            last_chunk: plain_len / CHUNK_PLAIN as u64,
            last_sealed: (plain_len % CHUNK_PLAIN as u64) as usize + TAG_LEN,
            next: range.first_chunk,
            skip: range.skip,
            take: range.take,
            range,
            carry: Vec::new(),
        }
    }

    /// Which bytes of the blob the buffers must bring.
    pub fn sealed(&self) -> Range<u64> {
        self.range.sealed.clone()
    }

    /// Opens the next sealed bytes where they lie. Allocates at most twice a buffer.
    ///
    /// # Errors
    /// [`OpenError::AuthenticationFailed`] or [`OpenError::Length`]: nothing of this buffer may be
    /// used, and the stream is over.
    pub fn open(&mut self, buf: &mut [u8]) -> Result<OpenedRun, OpenError> {
        let (head, begin) = self.open_carried(buf)?;
        let head = self.trim_head(head);
        let (mut from, mut to) = (begin, begin);
        while self.next < self.end() {
            let (last, sealed) = self.next_chunk();
            if buf.len() - from < sealed {
                break;
            }
            let chunk = &mut buf[to..from + sealed];
            let index = ChunkIndex(self.next);
            to += self.opener.open_chunk_within(index, last, chunk, from - to)?;
            from += sealed;
            self.next += 1;
        }
        if from < buf.len() {
            if self.next >= self.end() {
                return Err(OpenError::Length);
            }
            self.carry.reserve_exact(CHUNK_SEALED);
            self.carry.extend_from_slice(&buf[from..]);
        }
        Ok(OpenedRun { head, plain: self.trim(begin..to) })
    }

    /// Checks that the whole range was opened.
    ///
    /// # Errors
    /// [`OpenError::Length`] if sealed bytes are missing.
    pub fn finish(&self) -> Result<(), OpenError> {
        if self.next == self.end() && self.carry.is_empty() { Ok(()) } else { Err(OpenError::Length) }
    }

    /// Completes the carried chunk; returns its plaintext and how much of `buf` it took.
    fn open_carried(&mut self, buf: &[u8]) -> Result<(Vec<u8>, usize), OpenError> {
        if self.carry.is_empty() {
            return Ok((Vec::new(), 0));
        }
        let (last, sealed) = self.next_chunk();
        let missing = (sealed - self.carry.len()).min(buf.len());
        self.carry.extend_from_slice(&buf[..missing]);
        if self.carry.len() < sealed {
            return Ok((Vec::new(), missing));
        }
        let index = ChunkIndex(self.next);
        let len = self.opener.open_chunk_in_place(index, last, &mut self.carry)?;
        self.next += 1;
        let mut head = std::mem::take(&mut self.carry);
        head.truncate(len);
        Ok((head, missing))
    }

    fn next_chunk(&self) -> (LastChunk, usize) {
        if self.next == self.last_chunk { (LastChunk::Yes, self.last_sealed) } else { (LastChunk::No, CHUNK_SEALED) }
    }

    fn end(&self) -> u64 {
        self.range.first_chunk + self.range.chunks
    }

    fn trim_head(&mut self, mut head: Vec<u8>) -> Vec<u8> {
        let kept = self.trim(0..head.len());
        head.truncate(kept.end);
        head.drain(..kept.start);
        head
    }

    /// Cuts what lies before and behind the range that was asked for.
    fn trim(&mut self, plain: Range<usize>) -> Range<usize> {
        let start = plain.start + self.skip.min(plain.len());
        self.skip -= start - plain.start;
        let room = usize::try_from(self.take).unwrap_or(usize::MAX);
        let end = plain.end.min(start.saturating_add(room));
        self.take -= (end - start) as u64;
        start..end
    }
}

impl Drop for StreamOpener {
    fn drop(&mut self) {
        self.carry.zeroize();
    }
}
