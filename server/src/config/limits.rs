//! What clients may cost.

use serde::{Deserialize, Serialize};

/// What a client may cost. Over a limit it is refused or cut, never served without bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once on the S3 port; more wait to be accepted.
    pub connections: usize,
    /// Headers of one request.
    pub headers: usize,
    /// Bytes of one request's head, and of one read from a socket; at most 128 KiB, so that the
    /// allocator wipes the buffer that held it.
    pub head_bytes: usize,
    /// From a connection's last answer to the end of its next request's head.
    pub idle_timeout_s: u64,
    /// From the first byte of a connection to the end of its TLS handshake.
    pub handshake_timeout_s: u64,
    /// Longest wait for the next bytes of a body, either way.
    pub stall_timeout_s: u64,
    /// Slowest upload that is put up with, over 30 seconds.
    pub upload_bytes_per_second_min: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            headers: 100,
            head_bytes: 64 << 10,
            idle_timeout_s: 60,
            handshake_timeout_s: 10,
            stall_timeout_s: 30,
            upload_bytes_per_second_min: 512,
        }
    }
}

/// How many requests a client may make; what is over is answered 503 `SlowDown`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Requests in a second that one access key signs; 0 is without limit.
    pub requests_per_second_of_key: u64,
    /// Requests in a second from one IPv4 address or one IPv6 network of 64 bits; 0 is without limit.
    pub requests_per_second_of_source: u64,
    /// Seconds of the rate that may come at once.
    pub burst_seconds: u64,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { requests_per_second_of_key: 0, requests_per_second_of_source: 0, burst_seconds: 2 }
    }
}
