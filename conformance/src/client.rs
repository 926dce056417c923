//! An S3 client of few lines: signed requests, sent whole or in pieces, answers read whole.

use std::io;
use std::sync::Arc;

use time::OffsetDateTime;

use crate::http::{Answer, Connection, Endpoint, Head};
use crate::sign::{self, Credentials, UNSIGNED_PAYLOAD};

/// A body that is read whole is at most this long.
const ANSWER_BYTES_MAX: usize = 80 << 20;

/// A server and an access key.
#[derive(Clone)]
pub struct Client {
    /// Where to send.
    pub endpoint: Endpoint,
    /// How to sign.
    pub credentials: Arc<Credentials>,
}

/// A request before it is signed.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, `PUT`, …
    pub method: String,
    /// Path as it goes on the wire, encoded.
    pub path: String,
    /// Query, not encoded.
    pub query: Vec<(String, String)>,
    /// Headers, names in lower case; `host`, `x-amz-date` and `x-amz-content-sha256` are added.
    pub headers: Vec<(String, String)>,
    /// Payload hash to sign; SHA-256 of the body if it is `None`.
    pub payload_hash: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request on `/bucket/key`, both not yet encoded; an empty bucket is the service itself.
    pub fn new(method: &str, bucket: &str, key: &str) -> Self {
        let path = match (bucket, key) {
            ("", _) => "/".to_owned(),
            (bucket, "") => format!("/{bucket}"),
            (bucket, key) => format!("/{bucket}/{}", sign::encode_path(key)),
        };
        Self { method: method.to_owned(), path, ..Self::default() }
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a header; `name` in lower case.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body, signed by its SHA-256.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Does not sign the body.
    #[must_use]
    pub fn unsigned(mut self) -> Self {
        self.payload_hash = Some(UNSIGNED_PAYLOAD.to_owned());
        self
    }
}

impl Client {
    /// The same, signing for another service.
    #[must_use]
    pub fn for_service(&self, service: &str) -> Self {
        Self { credentials: Arc::new(self.credentials.for_service(service)), ..self.clone() }
    }

    /// The same, with another access key.
    #[must_use]
    pub fn acting_as(&self, access_key_id: &str, secret_access_key: &str) -> Self {
        let credentials = Credentials::new(access_key_id, secret_access_key, &self.credentials.region);
        Self { credentials: Arc::new(credentials), ..self.clone() }
    }

    /// Sends on a fresh connection and reads the whole answer.
    ///
    /// # Errors
    /// As [`Connection::answer`].
    pub async fn send(&self, request: &Request) -> io::Result<Answer> {
        self.send_on(&mut self.endpoint.connect().await?, request).await
    }

    /// Sends on an open connection and reads the whole answer.
    ///
    /// # Errors
    /// As [`Connection::answer`].
    pub async fn send_on(&self, connection: &mut Connection, request: &Request) -> io::Result<Answer> {
        connection.send(&self.head_bytes(request, request.body.len() as u64)).await?;
        // A server may answer, and close, before it has read a body that it refuses.
        let sent = connection.send(&request.body).await;
        let answer = connection.answer(&request.method, ANSWER_BYTES_MAX).await;
        if answer.is_err() {
            sent?;
        }
        answer
    }

    /// Sends on an open connection; the body's bytes are handed to `sink` as they come.
    ///
    /// # Errors
    /// As [`Connection::answer_with`].
    pub async fn stream_on(
        &self,
        connection: &mut Connection,
        request: &Request,
        sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Head> {
        let mut bytes = self.head_bytes(request, request.body.len() as u64);
        if request.body.len() <= 64 << 10 {
            bytes.extend_from_slice(&request.body);
            connection.send(&bytes).await?;
        } else {
            connection.send(&bytes).await?;
            connection.send(&request.body).await?;
        }
        connection.answer_with(&request.method, sink).await
    }

    /// The signed head of a request, as it goes on the wire. `body_len_bytes` is what will follow.
    pub fn head_bytes(&self, request: &Request, body_len_bytes: u64) -> Vec<u8> {
        let headers = self.signed_head(request, OffsetDateTime::now_utc());
        let mut head = format!("{} {}", request.method, request.path);
        if !request.query.is_empty() {
            head.push('?');
            head.push_str(&sign::canonical_query(&request.query));
        }
        head.push_str(" HTTP/1.1\r\n");
        for (name, value) in &headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if body_len_bytes > 0 || matches!(request.method.as_str(), "PUT" | "POST") {
            head.push_str(&format!("content-length: {body_len_bytes}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// All headers of a request, signed at `when`, `authorization` last.
    pub fn signed_head(&self, request: &Request, when: OffsetDateTime) -> Vec<(String, String)> {
        let scope = self.credentials.scope(when);
        let payload_hash = request.payload_hash.clone().unwrap_or_else(|| sign::sha256_hex(&request.body));
        let mut headers = request.headers.clone();
        headers.push(("host".to_owned(), self.endpoint.authority.clone()));
        headers.push(("x-amz-content-sha256".to_owned(), payload_hash.clone()));
        headers.push(("x-amz-date".to_owned(), scope.timestamp.clone()));
        headers.sort();
        let canonical = sign::canonical_request(
            &request.method,
            &request.path,
            &sign::canonical_query(&request.query),
            &headers,
            &payload_hash,
        );
        let signature = self.credentials.signature(&scope, &canonical);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={signature}",
            self.credentials.access_key_id,
            scope.scope,
            sign::signed_headers(&headers),
        );
        headers.push(("authorization".to_owned(), authorization));
        headers
    }

    /// A presigned path and query for a request without a body, valid for `expires_s` seconds from `when`.
    pub fn presign(&self, request: &Request, when: OffsetDateTime, expires_s: u64) -> String {
        let scope = self.credentials.scope(when);
        let mut headers = request.headers.clone();
        headers.push(("host".to_owned(), self.endpoint.authority.clone()));
        headers.sort();
        let mut query = request.query.clone();
        for (name, value) in [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", format!("{}/{}", self.credentials.access_key_id, scope.scope)),
            ("X-Amz-Date", scope.timestamp.clone()),
            ("X-Amz-Expires", expires_s.to_string()),
            ("X-Amz-SignedHeaders", sign::signed_headers(&headers)),
        ] {
            query.push((name.to_owned(), value));
        }
        let canonical_query = sign::canonical_query(&query);
        let canonical =
            sign::canonical_request(&request.method, &request.path, &canonical_query, &headers, UNSIGNED_PAYLOAD);
        let signature = self.credentials.signature(&scope, &canonical);
        format!("{}?{canonical_query}&X-Amz-Signature={signature}", request.path)
    }
}
