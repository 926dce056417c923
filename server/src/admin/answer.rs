//! What the admin API answers: JSON, bytes, or an error with a stable code.

use bytes::Bytes;
use chartrier_journal::JournalError;
use chartrier_storage::error::StorageError;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::wire::{ErrorBody, ErrorDetail};
use crate::app::ReloadError;
use crate::s3::error::S3Error;
use crate::s3::response::ResponseBody;

/// An answer of the admin API.
pub type AdminResponse = Response<ResponseBody>;

/// Why the admin API refused. The cause is logged, never sent.
#[derive(Debug)]
pub struct AdminError {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// For a person.
    pub message: String,
    /// For the log.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl AdminError {
    /// An error with a message of its own.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), source: None }
    }

    /// 404.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 400.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
    }

    /// 409.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// A fault of ours.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let message = "The server met an error of its own; its log says which.";
        Self { source: Some(source.into()), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message) }
    }

    /// The answer; logs what is ours.
    pub fn into_response(self) -> AdminResponse {
        if self.status.is_server_error() {
            let cause = self.source.as_ref().map(ToString::to_string);
            tracing::error!(code = self.code, cause, "an admin request failed");
        }
        let detail = ErrorDetail { code: self.code.to_owned(), message: self.message };
        let mut response = json(&ErrorBody { error: detail });
        *response.status_mut() = self.status;
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StorageError> for AdminError {
    fn from(error: StorageError) -> Self {
        // The S3 edge already has the one map from engine errors to what a client may know.
        S3Error::from(error).into()
    }
}

impl From<S3Error> for AdminError {
    fn from(error: S3Error) -> Self {
        Self {
            status: error.status(),
            code: error.code.as_str(),
            message: error.message.into_owned(),
            source: error.source,
        }
    }
}

impl From<ReloadError> for AdminError {
    fn from(error: ReloadError) -> Self {
        Self::internal(error)
    }
}

impl From<JournalError> for AdminError {
    fn from(error: JournalError) -> Self {
        Self::internal(error)
    }
}

/// A JSON answer on one line.
pub fn json(body: &impl Serialize) -> AdminResponse {
    let mut text = serde_json::to_vec(body).expect("our answers are plain JSON");
    text.push(b'\n');
    bytes("application/json", text)
}

/// An answer of some other type.
pub fn bytes(content_type: &'static str, body: impl Into<Bytes>) -> AdminResponse {
    let mut response = Response::new(ResponseBody::full(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // What it shows changes at any time, and secrets of new keys must rest nowhere.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
