//! What `x-amz-content-sha256` says of the body.

use crate::s3::error::{S3Error, S3ErrorCode};

/// How the body is framed and what of it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// `UNSIGNED-PAYLOAD`.
    Unsigned,
    /// The digest of the whole body.
    Sha256([u8; 32]),
    /// aws-chunked.
    Chunked {
        /// Each chunk carries a signature.
        signed: bool,
        /// Trailers follow the last chunk.
        trailer: bool,
    },
}

impl Payload {
    /// Reads the value of the header.
    ///
    /// # Errors
    /// `NotImplemented` for the SigV4A forms, `InvalidArgument` for anything unknown.
    pub(super) fn parse(value: &str) -> Result<Self, S3Error> {
        match value {
            "UNSIGNED-PAYLOAD" => Ok(Self::Unsigned),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Ok(Self::Chunked { signed: true, trailer: false }),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Ok(Self::Chunked { signed: true, trailer: true }),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Ok(Self::Chunked { signed: false, trailer: true }),
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => {
                Err(S3Error::not_implemented("Signature Version 4A"))
            }
            _ => {
                let mut digest = [0; 32];
                hex::decode_to_slice(value, &mut digest).map_err(|_| {
                    S3Error::new(
                        S3ErrorCode::InvalidArgument,
                        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, \
                         STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-UNSIGNED-PAYLOAD-TRAILER or a valid \
                         sha256 value.",
                    )
                })?;
                Ok(Self::Sha256(digest))
            }
        }
    }
}
