//! Signature Version 4: who sent a request, and whether its bytes are what was signed.
//!
//! | file | part |
//! |---|---|
//! | `claim` | what the request says of itself: `Authorization` header or query |
//! | `timestamp` | the times that a claim carries |
//! | `form` | the signature of a browser's form, over its policy |
//! | `canonical` | the canonical request, hashed without ever being assembled |
//! | `signing_keys` | keys derived per access key, day and region, cached |
//! | `verify` | the rules, in order |
//! | `payload` | what `x-amz-content-sha256` says of the body |
//! | `chunked`, `trailers` | aws-chunked, verified as it streams |
//!
//! Nothing here logs: headers still hold SSE-C keys at this point.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html>

mod canonical;
mod chunked;
mod claim;
mod form;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod oracle_tests;
mod payload;
#[cfg(test)]
mod rule_tests;
mod signing_keys;
mod timestamp;
mod trailers;
mod verify;

pub use chunked::{CHUNK_LEN_BYTES_MIN, ChunkSigner, ChunkedDecoder};
pub use claim::claimed_service;
pub use form::authenticate_form;
pub use payload::Payload;
pub use signing_keys::{SigningKey, SigningKeys};
pub use timestamp::unix_seconds;
pub use trailers::TRAILERS_LEN_BYTES_MAX;
pub use verify::{AuthRules, Authenticated, PRESIGNED_SECONDS_MAX, RequestHead, SKEW_SECONDS_MAX, authenticate};
