//! The plaintext of a range of a version, as a stream of buffers.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use chartrier_crypto::{OpenError, PartHeader, PartOpener, StreamOpener};
use chartrier_storage::blob::{BlobReader, ReadLease};
use chartrier_storage::engine::Engine;
use chartrier_storage::namespace::rows::{BlobRef, PartRow};

use super::{OpenedObject, alarm};
use crate::s3::error::S3Error;
use crate::s3::response::ResponseBody;

/// Buffers that wait between opening and the socket: one, so that reading overlaps with writing and a
/// slow client holds little of the memory budget.
const DEPTH: usize = 1;

/// Verified plaintext of `range`, in order.
pub struct PlainStream {
    engine: Arc<Engine>,
    /// A delete meanwhile does not take the bytes away from under the reader, of no part.
    _lease: ReadLease,
    object: OpenedObject,
    /// Parts still to come: index and plaintext range inside the part.
    todo: VecDeque<(usize, Range<u64>)>,
    current: Option<PartStream>,
    /// Opened and not yet given out.
    ready: VecDeque<Bytes>,
    remaining: u64,
}

struct PartStream {
    opener: StreamOpener,
    source: Source,
}

enum Source {
    Inline(Option<Vec<u8>>),
    Blob(Box<BlobReader>),
}

impl OpenedObject {
    /// The plaintext of `range`, which lies inside the object. Nothing is read before the first poll.
    pub fn into_stream(self, engine: Arc<Engine>, range: Range<u64>) -> PlainStream {
        let todo = parts_of(&self.row.parts, &range);
        let remaining = range.end - range.start;
        let _lease = engine.blobs().hold(self.row.parts.iter().filter_map(|part| part.blob.stripes()));
        PlainStream { engine, _lease, object: self, todo, current: None, ready: VecDeque::new(), remaining }
    }
}

impl PlainStream {
    /// The next plaintext, never empty; `None` once the whole range was given and verified.
    ///
    /// # Errors
    /// What the storage engine answers; `InternalError`, with an alarm, if a chunk does not verify.
    pub async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.remaining -= bytes.len() as u64;
                return Ok(Some(bytes));
            }
            let part = match &mut self.current {
                Some(part) => part,
                None => match self.todo.pop_front() {
                    Some((index, range)) => {
                        let part = self.begin(index, range)?;
                        self.current.insert(part)
                    }
                    None if self.remaining == 0 => return Ok(None),
                    None => return Err(alarm(&self.object.row, OpenError::Length)),
                },
            };
            match part.source.next().await? {
                Some(mut buffer) => {
                    let run = part.opener.open(buffer.as_mut_slice()).map_err(|e| alarm(&self.object.row, e))?;
                    if !run.head.is_empty() {
                        self.ready.push_back(Bytes::from(run.head));
                    }
                    if !run.plain.is_empty() {
                        self.ready.push_back(buffer.into_bytes().slice(run.plain));
                    }
                }
                None => {
                    part.opener.finish().map_err(|error| alarm(&self.object.row, error))?;
                    self.current = None;
                }
            }
        }
    }

    /// A body of this stream. What fits in the first buffer is answered whole; for the rest a task
    /// reads ahead while the client is written to.
    ///
    /// # Errors
    /// A failure before the first byte. One that comes later cuts the connection.
    pub async fn into_body(mut self) -> Result<ResponseBody, S3Error> {
        let len_bytes = self.remaining;
        let Some(first) = self.next().await? else { return Ok(ResponseBody::empty()) };
        if first.len() as u64 == len_bytes {
            // The end of the part is verified before the answer begins.
            return match self.next().await? {
                None => Ok(ResponseBody::full(first)),
                Some(_) => Err(alarm(&self.object.row, OpenError::Length)),
            };
        }
        let (sender, body) = ResponseBody::channel(len_bytes, DEPTH);
        tokio::spawn(async move {
            let mut next = Ok(Some(first));
            loop {
                match next {
                    Ok(Some(bytes)) => {
                        if sender.send(bytes).await.is_err() {
                            return; // The client is gone.
                        }
                    }
                    Ok(None) => return,
                    Err(error) => {
                        let cause = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::error!(%error, cause, "a read failed after its answer began: connection cut");
                        sender.cut().await;
                        return;
                    }
                }
                next = self.next().await;
            }
        });
        Ok(body)
    }

    fn begin(&self, index: usize, range: Range<u64>) -> Result<PartStream, S3Error> {
        let part = &self.object.row.parts[index];
        // Everything but the bytes comes from the row, which the manifest MAC has verified: a blob
        // from another place, or of another part, does not open.
        let header = PartHeader {
            mode: self.object.mode,
            object_uuid: *self.object.row.object_uuid.as_bytes(),
            part_number: part.number.into(),
            salt: part.salt,
            commitment: part.commitment,
        };
        let opener =
            PartOpener::new(&self.object.object_key, &header).map_err(|error| alarm(&self.object.row, error))?;
        let opener = StreamOpener::new(opener, part.plain_bytes, range);
        let sealed = opener.sealed();
        let source = match &part.blob {
            BlobRef::Inline(bytes) => {
                let slice = usize::try_from(sealed.start).ok().zip(usize::try_from(sealed.end).ok());
                let slice = slice.and_then(|(start, end)| bytes.get(start..end));
                let slice = slice.ok_or_else(|| alarm(&self.object.row, OpenError::Length))?;
                Source::Inline(Some(slice.to_vec()))
            }
            blob @ BlobRef::Stripes(_) => Source::Blob(Box::new(self.engine.blobs().reader(blob, sealed))),
        };
        Ok(PartStream { opener, source })
    }
}

/// Which parts a range touches, and which bytes of each. An empty object still has its one part, whose
/// last chunk proves that it is empty.
fn parts_of(parts: &[PartRow], range: &Range<u64>) -> VecDeque<(usize, Range<u64>)> {
    let mut begin = 0;
    let mut touched = VecDeque::new();
    for (index, part) in parts.iter().enumerate() {
        let end = begin + part.plain_bytes;
        let inside = range.start.max(begin)..range.end.min(end);
        if inside.start < inside.end {
            touched.push_back((index, inside.start - begin..inside.end - begin));
        }
        begin = end;
    }
    if begin == 0 && !parts.is_empty() {
        touched.push_back((0, 0..0));
    }
    touched
}

impl Source {
    async fn next(&mut self) -> Result<Option<Buffer>, S3Error> {
        match self {
            Self::Inline(bytes) => Ok(bytes.take().map(Buffer::Inline)),
            Self::Blob(reader) => Ok(reader.next().await?.map(Buffer::Blob)),
        }
    }
}

enum Buffer {
    Inline(Vec<u8>),
    Blob(chartrier_storage::blob::ReadBuf),
}

impl Buffer {
    fn as_mut_slice(&mut self) -> &mut [u8] {
        match self {
            Self::Inline(bytes) => bytes,
            Self::Blob(buffer) => buffer.as_mut_slice(),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Inline(bytes) => Bytes::from(bytes),
            Self::Blob(buffer) => Bytes::from_owner(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(lengths: &[u64]) -> Vec<PartRow> {
        let part = |(index, plain_bytes): (usize, &u64)| PartRow {
            number: u16::try_from(index).unwrap(),
            plain_bytes: *plain_bytes,
            salt: [0; 24],
            commitment: [0; 32],
            etag: String::new(),
            modified_us: 0,
            blob: BlobRef::Inline(Vec::new()),
            sealed_checksums: Vec::new(),
        };
        lengths.iter().enumerate().map(part).collect()
    }

    #[test]
    fn a_range_touches_the_parts_it_lies_in() {
        let parts = parts(&[10, 0, 5, 20]);
        assert_eq!(parts_of(&parts, &(0..35)), [(0, 0..10), (2, 0..5), (3, 0..20)]);
        assert_eq!(parts_of(&parts, &(9..11)), [(0, 9..10), (2, 0..1)]);
        assert_eq!(parts_of(&parts, &(15..16)), [(3, 0..1)]);
        assert_eq!(parts_of(&parts, &(3..4)), [(0, 3..4)]);
    }

    #[test]
    fn an_empty_object_still_reads_its_last_chunk() {
        assert_eq!(parts_of(&parts(&[0]), &(0..0)), [(0, 0..0)]);
    }
}
