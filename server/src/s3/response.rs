//! Answers: whole in memory, streamed, or kept alive until an XML document is ready.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::Interval;

use crate::s3::error::S3Error;

/// What an operation answers.
pub type S3Response = Response<ResponseBody>;

/// The connection must be cut: what follows can no longer be an honest answer.
///
/// The cause is logged where it arises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the response cannot be completed, so the connection is cut")]
pub struct CutConnection;

/// The body of an answer.
pub struct ResponseBody(Kind);

enum Kind {
    Full(Option<Bytes>),
    Channel { receiver: mpsc::Receiver<Result<Bytes, CutConnection>>, remaining: u64 },
    Boxed(Pin<Box<dyn Body<Data = Bytes, Error = CutConnection> + Send>>),
    KeepAlive { receiver: mpsc::Receiver<Bytes>, interval: Interval, begun: bool },
}

/// Where a producer puts the bytes of a streamed answer.
///
/// Dropping it before the announced length is reached cuts the connection, so a producer that
/// fails can never leave a clean short body.
#[derive(Debug)]
pub struct BodySender(mpsc::Sender<Result<Bytes, CutConnection>>);

impl BodySender {
    /// Waits for room, then hands the bytes over.
    ///
    /// # Errors
    /// [`CutConnection`] if the client is gone: stop producing.
    pub async fn send(&self, bytes: Bytes) -> Result<(), CutConnection> {
        self.0.send(Ok(bytes)).await.map_err(|_| CutConnection)
    }

    /// Cuts the connection.
    pub async fn cut(self) {
        let _ = self.0.send(Err(CutConnection)).await;
    }
}

impl ResponseBody {
    /// No body.
    pub fn empty() -> Self {
        Self(Kind::Full(None))
    }

    /// A body that is whole in memory; it leaves in one write with the head.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Kind::Full((!bytes.is_empty()).then_some(bytes)))
    }

    /// Whether all of it is in memory: what is left of it is its size hint.
    pub fn is_whole(&self) -> bool {
        matches!(self.0, Kind::Full(_))
    }

    /// A body of exactly `len_bytes`, with at most `depth` fragments waiting in between.
    pub fn channel(len_bytes: u64, depth: usize) -> (BodySender, Self) {
        let (sender, receiver) = mpsc::channel(depth);
        (BodySender(sender), Self(Kind::Channel { receiver, remaining: len_bytes }))
    }

    /// A body that some other type produces. Its size hint must be exact.
    pub fn boxed(body: impl Body<Data = Bytes, Error = CutConnection> + Send + 'static) -> Self {
        Self(Kind::Boxed(Box::pin(body)))
    }

    /// Spaces every few seconds until the document is ready, then the document: S3's way to keep a
    /// client waiting for Complete and Copy. The status is 200 whatever the document says.
    ///
    /// `document` begins with the XML declaration, which is sent first when a space has to be.
    pub fn keep_alive_then(document: impl Future<Output = Bytes> + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let _ = sender.send(document.await).await;
        });
        let interval = tokio::time::interval_at(tokio::time::Instant::now() + KEEP_ALIVE_EVERY, KEEP_ALIVE_EVERY);
        Self(Kind::KeepAlive { receiver, interval, begun: false })
    }
}

/// How often a waiting client is sent a space.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(5);

/// What every XML document of ours begins with.
pub const XML_DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = CutConnection;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutConnection>>> {
        match &mut self.0 {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Boxed(body) => body.as_mut().poll_frame(cx),
            Kind::Channel { receiver, remaining } => match ready!(receiver.poll_recv(cx)) {
                Some(Ok(bytes)) => match remaining.checked_sub(bytes.len() as u64) {
                    Some(left) => {
                        *remaining = left;
                        Poll::Ready(Some(Ok(Frame::data(bytes))))
                    }
                    None => Poll::Ready(Some(Err(CutConnection))),
                },
                Some(Err(cut)) => Poll::Ready(Some(Err(cut))),
                None if *remaining == 0 => Poll::Ready(None),
                None => Poll::Ready(Some(Err(CutConnection))),
            },
            Kind::KeepAlive { receiver, interval, begun } => {
                if let Poll::Ready(document) = receiver.poll_recv(cx) {
                    let Some(document) = document else {
                        // The task ended without a document: it panicked.
                        return Poll::Ready(Some(Err(CutConnection)));
                    };
                    let document = if *begun && document.starts_with(XML_DECLARATION.as_bytes()) {
                        document.slice(XML_DECLARATION.len()..)
                    } else {
                        document
                    };
                    self.0 = Kind::Full(None);
                    return Poll::Ready(Some(Ok(Frame::data(document))));
                }
                ready!(interval.poll_tick(cx));
                // The declaration must come before any space for the document to be well formed.
                let bytes =
                    if *begun { Bytes::from_static(b" ") } else { Bytes::from_static(XML_DECLARATION.as_bytes()) };
                *begun = true;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Channel { remaining, .. } => *remaining == 0,
            Kind::Boxed(body) => body.is_end_stream(),
            Kind::KeepAlive { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Kind::Channel { remaining, .. } => SizeHint::with_exact(*remaining),
            Kind::Boxed(body) => body.size_hint(),
            Kind::KeepAlive { .. } => SizeHint::default(),
        }
    }
}

/// An answer with a status and nothing else.
pub fn empty(status: StatusCode) -> S3Response {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    response
}

/// An answer with an XML document.
pub fn xml(status: StatusCode, document: impl Into<Bytes>) -> S3Response {
    let mut response = Response::new(ResponseBody::full(document));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/xml"));
    response
}

/// The XML document of an error, as in an error answer and inside a 200 of Complete and Copy.
pub fn error_document(error: &S3Error, request_id: &str) -> Bytes {
    let mut xml = crate::s3::xml::XmlWriter::new();
    xml.open("Error");
    xml.element("Code", error.code.as_str());
    xml.element("Message", &error.message);
    for (name, value) in &error.details {
        xml.element(name, value);
    }
    if let Some(resource) = &error.resource {
        xml.element("Resource", resource);
    }
    xml.element("RequestId", request_id);
    xml.element("HostId", request_id);
    xml.close("Error");
    xml.finish()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_producer_that_stops_short_cuts_the_connection() {
        let (sender, body) = ResponseBody::channel(6, 2);
        sender.send(Bytes::from_static(b"abc")).await.unwrap();
        drop(sender);
        assert_eq!(body.collect().await.unwrap_err(), CutConnection);

        let (sender, body) = ResponseBody::channel(3, 2);
        assert_eq!(body.size_hint().exact(), Some(3));
        sender.send(Bytes::from_static(b"abc")).await.unwrap();
        drop(sender);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    }

    #[tokio::test]
    async fn a_producer_that_sends_too_much_cuts_the_connection() {
        let (sender, body) = ResponseBody::channel(2, 2);
        sender.send(Bytes::from_static(b"abc")).await.unwrap();
        assert_eq!(body.collect().await.unwrap_err(), CutConnection);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_document_is_preceded_by_its_declaration_and_spaces() {
        let document = Bytes::from(format!("{XML_DECLARATION}<A/>"));
        let quick = ResponseBody::keep_alive_then(std::future::ready(document.clone()));
        assert_eq!(quick.collect().await.unwrap().to_bytes(), document);
        let slow = ResponseBody::keep_alive_then(async move {
            tokio::time::sleep(Duration::from_secs(17)).await;
            document
        });
        assert_eq!(slow.collect().await.unwrap().to_bytes(), format!("{XML_DECLARATION}  <A/>"));
    }

    #[test]
    fn an_error_document_escapes_what_the_client_sent() {
        let error = S3Error::invalid_argument("no", "key", "<&>");
        let text = error_document(&error, "ID");
        let text = std::str::from_utf8(&text).unwrap();
        assert!(text.contains("<Code>InvalidArgument</Code><Message>no</Message>"));
        assert!(text.contains("<ArgumentValue>&lt;&amp;&gt;</ArgumentValue>"));
        assert!(text.contains("<RequestId>ID</RequestId>"));
    }
}
