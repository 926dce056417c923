//! What IAM answers: its XML, its errors.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::app::ReloadError;
use crate::s3::error::S3Error;
use crate::s3::response::{ResponseBody, S3Response};
use crate::s3::xml::XmlWriter;

const NAMESPACE: &str = "xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"";

/// An error of IAM.
#[derive(Debug)]
pub(super) struct IamError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl IamError {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Self { status, code, message: message.into() }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    pub(super) fn no_such(what: &str, name: &str) -> Self {
        Self::new(404, "NoSuchEntity", format!("The {what} with name {name} cannot be found."))
    }

    pub(super) fn exists(what: &str, name: &str) -> Self {
        Self::new(409, "EntityAlreadyExists", format!("{what} with name {name} already exists."))
    }

    pub(super) fn conflict(message: &str) -> Self {
        Self::new(409, "DeleteConflict", message)
    }

    pub(super) fn limit(message: &str) -> Self {
        Self::new(409, "LimitExceeded", message)
    }

    fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = crate::logging::chain(error), "an IAM request failed");
        Self::new(500, "ServiceFailure", "The request processing has failed because of an unknown error.")
    }

    pub(super) fn into_response(self, request_id: &str) -> S3Response {
        let mut doc = XmlWriter::new();
        doc.open_with("ErrorResponse", NAMESPACE);
        doc.open("Error");
        doc.element("Type", if self.status.is_server_error() { "Receiver" } else { "Sender" });
        doc.element("Code", self.code);
        doc.element("Message", &self.message);
        doc.close("Error");
        doc.element("RequestId", request_id);
        doc.close("ErrorResponse");
        respond(self.status, doc.finish())
    }
}

impl From<S3Error> for IamError {
    fn from(error: S3Error) -> Self {
        if error.status().is_server_error() {
            return Self::internal(&error);
        }
        // Signatures are judged by the rules of S3; IAM has other words for two of their failings.
        let code = match error.code.as_str() {
            "InvalidAccessKeyId" => "InvalidClientTokenId",
            "AuthorizationHeaderMalformed" => "IncompleteSignature",
            other => other,
        };
        Self::new(error.status().as_u16(), code, error.message)
    }
}

impl From<chartrier_storage::error::StorageError> for IamError {
    fn from(error: chartrier_storage::error::StorageError) -> Self {
        Self::internal(&error)
    }
}

impl From<ReloadError> for IamError {
    fn from(error: ReloadError) -> Self {
        Self::internal(&error)
    }
}

impl From<serde_json::Error> for IamError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(&error)
    }
}

/// Wraps what `fill` writes into the answer of an action.
pub(super) fn success(action: &str, request_id: &str, fill: impl FnOnce(&mut XmlWriter)) -> S3Response {
    let mut doc = XmlWriter::new();
    let (response, result) = (format!("{action}Response"), format!("{action}Result"));
    doc.open_with(&response, NAMESPACE);
    doc.open(&result);
    fill(&mut doc);
    doc.close(&result);
    doc.open("ResponseMetadata");
    doc.element("RequestId", request_id);
    doc.close("ResponseMetadata");
    doc.close(&response);
    respond(StatusCode::OK, doc.finish())
}

fn respond(status: StatusCode, body: Bytes) -> S3Response {
    let mut response = S3Response::new(ResponseBody::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
