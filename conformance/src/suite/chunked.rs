//! Streaming payloads: signed chunks, unsigned with a trailer, signed with a trailer, and each thing that
//! can be wrong with them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, checksum};
use time::OffsetDateTime;

use super::context::{Context, Failure, check, error, header, pattern, status};
use crate::client::Request;
use crate::http::Answer;
use crate::sign::{Scope, sha256_hex};

super::cases!("chunked":
    signed_chunks_are_accepted,
    signed_empty_body_is_accepted,
    changed_chunk_is_refused,
    changed_chunk_signature_is_refused,
    swapped_chunks_are_refused,
    missing_last_chunk_is_refused,
    unsigned_with_trailer_is_accepted,
    unsigned_with_wrong_trailer_checksum_is_refused,
    trailer_that_was_not_announced_is_refused,
    announced_trailer_that_does_not_come_is_refused,
    signed_with_trailer_is_accepted,
    signed_with_changed_trailer_is_refused,
    one_large_chunk_is_accepted,
    too_long_for_decoded_length_is_refused,
    too_short_for_decoded_length_is_refused,
    chunk_header_that_never_ends_is_refused,
    chunk_length_that_is_no_number_is_refused,
    chunk_length_beyond_64_bits_is_refused,
    trailer_that_never_ends_is_refused,
    small_signed_chunk_in_the_middle_is_refused,
    aws_chunked_is_not_stored_as_content_encoding,
);

const SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const CHUNK_BYTES: usize = 64 << 10;

/// A streaming PUT of `key`: what its head says, and the running signature that its chunks go on from.
struct Stream {
    head: Vec<u8>,
    scope: Scope,
    signature: String,
}

fn stream(context: &Context, payload: &str, decoded_len_bytes: usize, body_len_bytes: usize, trailer: &str) -> Stream {
    let mut request = context
        .request("PUT", "key")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", &decoded_len_bytes.to_string());
    if !trailer.is_empty() {
        request = request.header("x-amz-trailer", trailer);
    }
    request.payload_hash = Some(payload.to_owned());
    stream_of(context, &request, body_len_bytes)
}

fn stream_of(context: &Context, request: &Request, body_len_bytes: usize) -> Stream {
    let when = OffsetDateTime::now_utc();
    let headers = context.client.signed_head(request, when);
    let mut head = format!("PUT {} HTTP/1.1\r\n", request.path);
    for (name, value) in &headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "content-length: {body_len_bytes}\r\n\r\n");
    let signature = headers
        .last()
        .and_then(|(_, value)| value.rsplit_once("Signature="))
        .map(|(_, signature)| signature.to_owned())
        .unwrap_or_default();
    Stream { head: head.into_bytes(), scope: context.client.credentials.scope(when), signature }
}

/// The body in signed chunks, the last one empty; returns it and the last signature.
fn signed_body(context: &Context, stream: &Stream, pieces: &[&[u8]]) -> (Vec<u8>, String) {
    let mut body = Vec::new();
    let mut previous = stream.signature.clone();
    for piece in pieces.iter().chain([&&b""[..]]) {
        let text = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{}\n{}",
            stream.scope.timestamp,
            stream.scope.scope,
            sha256_hex(b""),
            sha256_hex(piece)
        );
        previous = context.client.credentials.sign_text(&stream.scope, &text);
        body.extend_from_slice(format!("{:x};chunk-signature={previous}\r\n", piece.len()).as_bytes());
        body.extend_from_slice(piece);
        if !piece.is_empty() {
            body.extend_from_slice(b"\r\n");
        }
    }
    (body, previous)
}

fn signed_len_bytes(pieces: &[&[u8]]) -> usize {
    let chunk = |len: usize| format!("{len:x};chunk-signature={}\r\n", "0".repeat(64)).len() + len;
    pieces.iter().map(|piece| chunk(piece.len()) + 2).sum::<usize>() + chunk(0)
}

fn unsigned_body(pieces: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for piece in pieces {
        body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        body.extend_from_slice(piece);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n");
    body
}

fn crc32(bytes: &[u8]) -> String {
    STANDARD.encode((checksum(CrcAlgorithm::Crc32IsoHdlc, bytes) as u32).to_be_bytes())
}

async fn exchange(context: &Context, head: &[u8], body: &[u8]) -> Result<Answer, Failure> {
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(head).await?;
    let _ = connection.send(body).await;
    Ok(connection.answer("PUT", 1 << 20).await?)
}

/// Sends signed chunks whose bytes `change` may alter after signing.
async fn put_signed(context: &Context, pieces: &[&[u8]], change: impl FnOnce(&mut Vec<u8>)) -> Result<Answer, Failure> {
    let decoded = pieces.iter().map(|piece| piece.len()).sum();
    let stream = stream(context, SIGNED, decoded, signed_len_bytes(pieces) + 2, "");
    let (mut body, _) = signed_body(context, &stream, pieces);
    body.extend_from_slice(b"\r\n");
    change(&mut body);
    exchange(context, &stream.head, &body).await
}

async fn put_unsigned(
    context: &Context,
    pieces: &[&[u8]],
    announced: &str,
    trailer: &str,
    decoded: usize,
) -> Result<Answer, Failure> {
    let mut body = unsigned_body(pieces);
    body.extend_from_slice(trailer.as_bytes());
    body.extend_from_slice(b"\r\n");
    let stream = stream(context, UNSIGNED_TRAILER, decoded, body.len(), announced);
    exchange(context, &stream.head, &body).await
}

async fn refused(context: &Context, answer: Answer, expected: u16, code: &str) -> Result<(), Failure> {
    error(&answer, expected, code)?;
    context.expect_no_object("key").await
}

async fn refused_with_400(context: &Context, answer: Answer) -> Result<(), Failure> {
    status(&answer, 400)?;
    context.expect_no_object("key").await
}

async fn signed_chunks_are_accepted(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(3 * CHUNK_BYTES + 17);
    let pieces: Vec<&[u8]> = bytes.chunks(CHUNK_BYTES).collect();
    status(&put_signed(&context, &pieces, |_| ()).await?, 200)?;
    context.expect_object("key", &bytes).await.map(drop)
}

async fn signed_empty_body_is_accepted(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&put_signed(&context, &[], |_| ()).await?, 200)?;
    context.expect_object("key", b"").await.map(drop)
}

async fn changed_chunk_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(2 * CHUNK_BYTES);
    let pieces: Vec<&[u8]> = bytes.chunks(CHUNK_BYTES).collect();
    let answer = put_signed(&context, &pieces, |body| body[CHUNK_BYTES + 1000] ^= 1).await?;
    refused(&context, answer, 403, "SignatureDoesNotMatch").await
}

async fn changed_chunk_signature_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(CHUNK_BYTES);
    let answer = put_signed(&context, &[&bytes], |body| {
        let at = "10000;chunk-signature=".len();
        body[at] = if body[at] == b'0' { b'1' } else { b'0' };
    })
    .await?;
    refused(&context, answer, 403, "SignatureDoesNotMatch").await
}

async fn swapped_chunks_are_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(2 * CHUNK_BYTES);
    let pieces: Vec<&[u8]> = bytes.chunks(CHUNK_BYTES).collect();
    let answer = put_signed(&context, &pieces, |body| {
        let chunk = "10000;chunk-signature=".len() + 64 + 2 + CHUNK_BYTES + 2;
        let (first, rest) = body.split_at_mut(chunk);
        first.swap_with_slice(&mut rest[..chunk]);
    })
    .await?;
    refused(&context, answer, 403, "SignatureDoesNotMatch").await
}

async fn missing_last_chunk_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(CHUNK_BYTES);
    let stream = stream(&context, SIGNED, bytes.len(), signed_len_bytes(&[&bytes]) - 86, "");
    let (mut body, _) = signed_body(&context, &stream, &[&bytes]);
    body.truncate(body.len() - 86);
    refused_with_400(&context, exchange(&context, &stream.head, &body).await?).await
}

async fn unsigned_with_trailer_is_accepted(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(CHUNK_BYTES + 5);
    let trailer = format!("x-amz-checksum-crc32:{}\r\n", crc32(&bytes));
    let pieces: Vec<&[u8]> = bytes.chunks(40_000).collect();
    let answer = put_unsigned(&context, &pieces, "x-amz-checksum-crc32", &trailer, bytes.len()).await?;
    status(&answer, 200)?;
    header(&answer, "x-amz-checksum-crc32", &crc32(&bytes))?;
    context.expect_object("key", &bytes).await.map(drop)
}

async fn unsigned_with_wrong_trailer_checksum_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let trailer = format!("x-amz-checksum-crc32:{}\r\n", crc32(b"other bytes"));
    let answer = put_unsigned(&context, &[b"these bytes"], "x-amz-checksum-crc32", &trailer, 11).await?;
    refused(&context, answer, 400, "BadDigest").await
}

async fn trailer_that_was_not_announced_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let trailer = format!("x-amz-checksum-crc32:{}\r\n", crc32(b"bytes"));
    let answer = put_unsigned(&context, &[b"bytes"], "x-amz-checksum-sha256", &trailer, 5).await?;
    refused_with_400(&context, answer).await
}

async fn announced_trailer_that_does_not_come_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = put_unsigned(&context, &[b"bytes"], "x-amz-checksum-crc32", "", 5).await?;
    refused_with_400(&context, answer).await
}

async fn put_signed_with_trailer(context: &Context, bytes: &[u8], sent: &str) -> Result<Answer, Failure> {
    let signed = format!("x-amz-checksum-crc32:{}\n", crc32(bytes));
    let sent = format!("x-amz-checksum-crc32:{sent}\r\n");
    let signature_len = "x-amz-trailer-signature:\r\n\r\n".len() + 64;
    let len = signed_len_bytes(&[bytes]) + sent.len() + signature_len;
    let stream = stream(context, SIGNED_TRAILER, bytes.len(), len, "x-amz-checksum-crc32");
    let (mut body, last) = signed_body(context, &stream, &[bytes]);
    let text = format!(
        "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{last}\n{}",
        stream.scope.timestamp,
        stream.scope.scope,
        sha256_hex(signed.as_bytes())
    );
    let signature = context.client.credentials.sign_text(&stream.scope, &text);
    body.extend_from_slice(format!("{sent}x-amz-trailer-signature:{signature}\r\n\r\n").as_bytes());
    exchange(context, &stream.head, &body).await
}

async fn signed_with_trailer_is_accepted(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(CHUNK_BYTES);
    status(&put_signed_with_trailer(&context, &bytes, &crc32(&bytes)).await?, 200)?;
    context.expect_object("key", &bytes).await.map(drop)
}

async fn signed_with_changed_trailer_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(CHUNK_BYTES);
    let answer = put_signed_with_trailer(&context, &bytes, &crc32(b"other")).await?;
    refused(&context, answer, 403, "SignatureDoesNotMatch").await
}

async fn one_large_chunk_is_accepted(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(24 << 20);
    let trailer = format!("x-amz-checksum-crc32:{}\r\n", crc32(&bytes));
    let answer = put_unsigned(&context, &[&bytes], "x-amz-checksum-crc32", &trailer, bytes.len()).await?;
    status(&answer, 200)?;
    context.expect_object("key", &bytes).await.map(drop)
}

async fn too_long_for_decoded_length_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let trailer = format!("x-amz-checksum-crc32:{}\r\n", crc32(b"seven b"));
    let answer = put_unsigned(&context, &[b"seven b"], "x-amz-checksum-crc32", &trailer, 6).await?;
    refused_with_400(&context, answer).await
}

async fn too_short_for_decoded_length_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let trailer = format!("x-amz-checksum-crc32:{}\r\n", crc32(b"seven b"));
    let answer = put_unsigned(&context, &[b"seven b"], "x-amz-checksum-crc32", &trailer, 8).await?;
    refused_with_400(&context, answer).await
}

/// Sends this after a good head; the server must answer before it has read a megabyte of nonsense.
async fn put_nonsense(context: &Context, start: &[u8], filler: u8) -> Result<Answer, Failure> {
    let stream = stream(context, UNSIGNED_TRAILER, 100, 64 << 20, "x-amz-checksum-crc32");
    let mut connection = context.client.endpoint.connect().await?;
    connection.send(&stream.head).await?;
    let _ = connection.send(start).await;
    for _ in 0..32 {
        if connection.send(&[filler; 32 << 10]).await.is_err() {
            break;
        }
    }
    Ok(connection.answer("PUT", 1 << 20).await?)
}

async fn chunk_header_that_never_ends_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = put_nonsense(&context, b"64;extension=", b'a').await?;
    refused_with_400(&context, answer).await
}

async fn chunk_length_that_is_no_number_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = put_nonsense(&context, b"zz\r\n", b'a').await?;
    refused_with_400(&context, answer).await
}

async fn chunk_length_beyond_64_bits_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = put_nonsense(&context, b"1ffffffffffffffff\r\n", b'a').await?;
    refused_with_400(&context, answer).await
}

async fn trailer_that_never_ends_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let mut start = b"64\r\n".to_vec();
    start.extend_from_slice(&[b'x'; 100]);
    start.extend_from_slice(b"\r\n0\r\nx-amz-checksum-crc32:");
    let answer = put_nonsense(&context, &start, b'A').await?;
    refused_with_400(&context, answer).await
}

async fn small_signed_chunk_in_the_middle_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(CHUNK_BYTES);
    let answer = put_signed(&context, &[&bytes[..100], &bytes[100..]], |_| ()).await?;
    refused(&context, answer, 403, "InvalidChunkSizeError").await
}

async fn aws_chunked_is_not_stored_as_content_encoding(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let bytes = pattern(CHUNK_BYTES);
    status(&put_signed(&context, &[&bytes], |_| ()).await?, 200)?;
    let answer = context.send(Request { method: "HEAD".to_owned(), ..context.request("HEAD", "key") }).await?;
    status(&answer, 200)?;
    check(
        answer.head.header("content-encoding").is_none_or(|value| !value.contains("aws-chunked")),
        "aws-chunked came back as Content-Encoding",
    )
}

/// Head and body of a PUT in signed chunks, as an SDK sends it; `request` brings key and headers.
pub(super) fn signed_put(context: &Context, request: Request, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let pieces: Vec<&[u8]> = bytes.chunks(CHUNK_BYTES).collect();
    let mut request = request
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", &bytes.len().to_string());
    request.payload_hash = Some(SIGNED.to_owned());
    let stream = stream_of(context, &request, signed_len_bytes(&pieces) + 2);
    let (mut body, _) = signed_body(context, &stream, &pieces);
    body.extend_from_slice(b"\r\n");
    (stream.head, body)
}
