//! What the query APIs answer: their XML, their errors.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::app::ReloadError;
use crate::s3::error::{S3Error, S3ErrorCode};
use crate::s3::response::{ResponseBody, S3Response};
use crate::s3::xml::XmlWriter;

/// Which API was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Users, keys, groups, roles, policies.
    Iam,
    /// Temporary credentials.
    Sts,
}

impl Api {
    /// As credential scopes and policies name it.
    pub fn service(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }

    fn namespace(self) -> &'static str {
        match self {
            Self::Iam => "xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"",
            Self::Sts => "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"",
        }
    }
}

/// An error that the client of a query API sees.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Self { status, code, message: message.into() }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    pub(crate) fn no_such(what: &str, name: &str) -> Self {
        Self::new(404, "NoSuchEntity", format!("The {what} with name {name} cannot be found."))
    }

    pub(crate) fn exists(what: &str, name: &str) -> Self {
        Self::new(409, "EntityAlreadyExists", format!("{what} with name {name} already exists."))
    }

    pub(crate) fn conflict(message: &str) -> Self {
        Self::new(409, "DeleteConflict", message)
    }

    pub(crate) fn limit(message: &str) -> Self {
        Self::new(409, "LimitExceeded", message)
    }

    fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = crate::logging::chain(error), "a request of IAM or STS failed");
        Self::new(500, "ServiceFailure", "The request processing has failed because of an unknown error.")
    }

    pub(crate) fn into_response(self, api: Api, request_id: &str) -> S3Response {
        let mut doc = XmlWriter::new();
        doc.open_with("ErrorResponse", api.namespace());
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

impl From<S3Error> for ApiError {
    fn from(error: S3Error) -> Self {
        if error.status().is_server_error() {
            return Self::internal(&error);
        }
        // Signatures are judged by the rules of S3; IAM and STS have other words for some of their failings.
        match error.code {
            S3ErrorCode::InvalidAccessKeyId | S3ErrorCode::InvalidToken => {
                Self::new(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
            }
            S3ErrorCode::ExpiredToken => {
                Self::new(403, "ExpiredToken", "The security token included in the request is expired")
            }
            S3ErrorCode::AuthorizationHeaderMalformed | S3ErrorCode::AuthorizationQueryParametersError => {
                Self::new(403, "IncompleteSignature", error.message)
            }
            other => Self::new(error.status().as_u16(), other.as_str(), error.message),
        }
    }
}

impl From<chartrier_storage::error::StorageError> for ApiError {
    fn from(error: chartrier_storage::error::StorageError) -> Self {
        Self::internal(&error)
    }
}

impl From<ReloadError> for ApiError {
    fn from(error: ReloadError) -> Self {
        Self::internal(&error)
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(&error)
    }
}

/// Wraps what `fill` writes into the answer of an action.
pub(crate) fn success(api: Api, action: &str, request_id: &str, fill: impl FnOnce(&mut XmlWriter)) -> S3Response {
    let mut doc = XmlWriter::new();
    let (response, result) = (format!("{action}Response"), format!("{action}Result"));
    doc.open_with(&response, api.namespace());
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
