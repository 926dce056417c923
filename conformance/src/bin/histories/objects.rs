//! What is written: a number tells the bytes, how they are uploaded, and so the ETag.

use std::io;

use chartrier_conformance::linear::Value;
use chartrier_conformance::random::Random;
use md5::{Digest, Md5};

/// The bytes of a value, of a length that meets one of the ways in which objects are stored: inline, as whole copies,
/// as a stripe.
pub(crate) fn body(value: Value) -> Vec<u8> {
    let len_bytes = match value % 16 {
        0..=9 => 16,
        10..=12 => 6_000,
        13..=14 => 60_000,
        _ => 400_000,
    };
    let mut random = Random::new(value);
    let mut bytes = value.to_le_bytes().to_vec();
    while bytes.len() < len_bytes {
        bytes.extend_from_slice(&random.number().to_le_bytes());
    }
    bytes.truncate(len_bytes);
    bytes
}

/// Whether a value is written by the Complete of an upload, not by a PUT.
pub(crate) fn is_upload(value: Value) -> bool {
    value % 5 == 2
}

/// The ETag of a value, with its quotes: of an upload of one part the MD5 of its MD5.
pub(crate) fn etag(value: Value) -> String {
    let digest = Md5::digest(body(value));
    if is_upload(value) { format!("\"{}-1\"", hex::encode(Md5::digest(digest))) } else { part_etag(value) }
}

/// The ETag of the bytes of a value as one part, or one PUT.
pub(crate) fn part_etag(value: Value) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(body(value))))
}

/// The value that these bytes are.
///
/// # Errors
/// If they are of none, whole.
pub(crate) fn value_of(bytes: &[u8], etag_header: Option<&str>) -> io::Result<Value> {
    let number = bytes.first_chunk().map(|first| Value::from_le_bytes(*first));
    match number.filter(|&value| body(value) == bytes) {
        Some(value) if etag_header == Some(&etag(value)) => Ok(value),
        Some(value) => Err(io::Error::other(format!("value {value} was read under the ETag {etag_header:?}"))),
        None => Err(io::Error::other(format!("a read of {} bytes is of no value that was written", bytes.len()))),
    }
}
