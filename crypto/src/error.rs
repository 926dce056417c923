//! Errors of this crate. None tells where authentication failed, nor with which key.

use thiserror::Error;

/// A key of another length than 32 bytes. The client's or the operator's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a key is 32 bytes")]
pub struct KeyLength;

/// The base64 text of a client key is not usable. The client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Base64KeyError {
    /// Not canonical base64 with padding.
    #[error("the key is not base64")]
    NotBase64,
    /// Base64 of something that is not 32 bytes.
    ///
    /// S3 answers a wrong MD5 before a wrong length, so the MD5 of those bytes comes along.
    #[error("a key is 32 bytes")]
    Length {
        /// MD5 of the decoded bytes, which are no key that this server uses.
        md5: [u8; 16],
    },
}

/// A wrap record gave no object key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// The root key is not the one that wrapped, or the record belongs to another version.
    /// The client can retry with the right key.
    #[error("the key does not open this object")]
    WrongKey,
    /// Not a wrap record that this version reads: damaged storage, or written by a newer one.
    #[error("malformed wrap record")]
    Malformed,
    /// The record lies under an epoch seal: [`epoch_open`](crate::epoch_open) comes first.
    #[error("the wrap record is sealed under an epoch key")]
    EpochSealed,
    /// The right key, but the record was changed: damaged or tampered storage.
    #[error("authentication failed")]
    AuthenticationFailed,
}

/// 88 bytes that are not a part header of this version: damaged storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed part header")]
pub struct HeaderError;

/// Nothing was sealed. Every variant is a bug in the caller, save the chunk limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The buffer does not hold the chunk and its tag.
    #[error("the buffer has the wrong length for the chunk")]
    Length,
    /// A stream has at most 2^38 chunks (4 PiB).
    #[error("the part has too many chunks")]
    TooManyChunks,
    /// The last chunk was sealed already.
    #[error("the part is finished")]
    Finished,
    /// The window passed in is not the one in which the current chunk was begun.
    #[error("the window changed in the middle of a chunk")]
    WindowMoved,
}

/// Sealed bytes did not open. The data must not be used; what it was is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Wrong key, changed bytes, or bytes from another place: damaged or tampered storage.
    #[error("authentication failed")]
    AuthenticationFailed,
    /// More, fewer or other lengths of bytes than the part has.
    #[error("the sealed bytes have the wrong length")]
    Length,
    /// Not a structure that this version reads.
    #[error("malformed sealed structure")]
    Malformed,
}
