//! A small HTTP/1.1 client over a raw socket: tests see and send exact bytes.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningParams,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Both directions of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection on which several requests can follow one another.
pub type Connection = BufReader<Box<dyn Stream>>;

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What is between `<element>` and its end, at its first occurrence.
    pub fn element(&self, name: &str) -> Option<String> {
        let text = self.text();
        let rest = text.split_once(&format!("<{name}>"))?.1;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    }

    /// The S3 error code in the body, or an empty text.
    pub fn code(&self) -> String {
        self.element("Code").unwrap_or_default()
    }
}

/// What of the body is signed, and where the signature goes.
#[derive(Debug, Clone)]
pub enum Sign {
    /// In the header, over the body.
    Body,
    /// In the header, with this value of `x-amz-content-sha256`.
    As(&'static str),
    /// In the query, for this long.
    Presigned(Duration),
}

/// Where to connect and who to be.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    access_key_id: String,
    secret: String,
    token: Option<String>,
    tls: Option<TlsConnector>,
    region: String,
    time: Option<SystemTime>,
    anonymous: bool,
    service: &'static str,
}

impl Client {
    pub fn new(address: SocketAddr, (access_key_id, secret): (String, String)) -> Self {
        Self {
            address,
            access_key_id,
            secret,
            token: None,
            tls: None,
            region: "fr".into(),
            time: None,
            anonymous: false,
            service: "s3",
        }
    }

    pub fn over_tls(mut self, ca: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&std::fs::read(ca).unwrap()).unwrap()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        self.tls = Some(TlsConnector::from(Arc::new(config)));
        self
    }

    pub fn in_region(mut self, region: &str) -> Self {
        region.clone_into(&mut self.region);
        self
    }

    pub fn at_time(mut self, time: SystemTime) -> Self {
        self.time = Some(time);
        self
    }

    pub fn acting_as(mut self, access_key_id: &str, secret: &str) -> Self {
        access_key_id.clone_into(&mut self.access_key_id);
        secret.clone_into(&mut self.secret);
        self.token = None;
        self
    }

    /// With the temporary credentials that an answer of STS brings.
    pub fn with_credentials_of(self, answer: &Answer) -> Self {
        let element = |name| answer.element(name).unwrap_or_else(|| panic!("{}", answer.text()));
        let client = self.acting_as(&element("AccessKeyId"), &element("SecretAccessKey"));
        Self { token: Some(element("SessionToken")), ..client }
    }

    /// With another session token, or without one.
    pub fn with_token(self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self }
    }

    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Signs for STS, on the S3 port.
    pub fn for_sts(self) -> Self {
        Self { service: "sts", ..self }
    }

    /// Signs for a service, on the S3 port.
    pub fn for_service(self, service: &'static str) -> Self {
        Self { service, ..self }
    }

    /// The key and the secret that it signs with.
    pub fn credentials(&self) -> (String, String) {
        (self.access_key_id.clone(), self.secret.clone())
    }

    /// Signs for the IAM API on the admin port, which writes its address into the data directory.
    pub fn for_iam(mut self, data: &Path) -> Self {
        let text = std::fs::read_to_string(data.join("run/admin.json")).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        self.address = file["endpoint"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
        self.service = "iam";
        self
    }

    /// Signs nothing.
    pub fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    pub async fn connect(&self) -> Connection {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => Box::new(tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap()),
        };
        BufReader::new(stream)
    }

    /// Signs a request; the bytes of its head come back, and its body follows them.
    pub fn head(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8], how: &Sign) -> Vec<u8> {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let signable_body = match how {
            Sign::Body => SignableBody::Bytes(body),
            Sign::As(word) => SignableBody::Precomputed((*word).to_owned()),
            Sign::Presigned(expires) => {
                settings.signature_location = SignatureLocation::QueryParams;
                settings.expires_in = Some(*expires);
                SignableBody::UnsignedPayload
            }
        };
        if !matches!(how, Sign::Presigned(_)) {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity: Identity =
            Credentials::new(&self.access_key_id, &self.secret, self.token.clone(), None, "test").into();
        let params: SigningParams<'_> = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(self.time.unwrap_or_else(SystemTime::now))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let host = self.address.to_string();
        let mut signed = HeaderMap::new();
        signed.insert("host", HeaderValue::from_str(&host).unwrap());
        for (name, value) in headers {
            signed.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let uri = format!("http://{host}{target}");
        if self.anonymous {
            let mut request = Request::builder().method(method).uri(&uri).body(()).unwrap();
            *request.headers_mut() = signed;
            return head_bytes(&request);
        }
        let pairs: Vec<(&str, &str)> = signed.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        let request = SignableRequest::new(method, &uri, pairs.into_iter(), signable_body).unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let mut request = Request::builder().method(method).uri(&uri).body(()).unwrap();
        *request.headers_mut() = signed;
        instructions.apply_to_request_http1x(&mut request);
        head_bytes(&request)
    }

    /// Sends one request with a body on a new connection.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send_signed(method, target, headers, body, &Sign::Body).await
    }

    pub async fn send_signed(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        how: &Sign,
    ) -> Answer {
        let mut connection = self.connect().await;
        self.send_on(&mut connection, method, target, headers, body, how).await
    }

    /// Sends one request on a connection and reads its answer.
    pub async fn send_on(
        &self,
        connection: &mut Connection,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        how: &Sign,
    ) -> Answer {
        let mut bytes = with_length(self.head(method, target, headers, body, how), body.len());
        bytes.extend_from_slice(body);
        // The server may answer and close in the middle of a body.
        let _ = connection.write_all(&bytes).await;
        let _ = connection.flush().await;
        read_answer(connection, method).await.unwrap()
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], b"").await
    }

    pub async fn put(&self, target: &str, body: &[u8]) -> Answer {
        self.send("PUT", target, &[], body).await
    }
}

fn head_bytes(request: &Request<()>) -> Vec<u8> {
    let target = request.uri().path_and_query().unwrap().as_str();
    let mut bytes = format!("{} {target} HTTP/1.1\r\n", request.method()).into_bytes();
    for (name, value) in request.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Puts a `Content-Length` at the end of a head.
pub fn with_length(mut head: Vec<u8>, len: usize) -> Vec<u8> {
    head.truncate(head.len() - 2);
    head.extend_from_slice(format!("content-length: {len}\r\n\r\n").as_bytes());
    head
}

/// Reads one answer; `None` if the connection ends before it does.
pub async fn read_answer(connection: &mut Connection, method: &str) -> Option<Answer> {
    let (status, headers) = read_head(connection).await?;
    let bodiless = method == Method::HEAD || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    let mut body = Vec::new();
    if bodiless {
        return Some(Answer { status, headers, body });
    }
    if let Some(len) = headers.get("content-length") {
        body.resize(len.to_str().unwrap().parse().unwrap(), 0);
        connection.read_exact(&mut body).await.ok()?;
    } else if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
        loop {
            let len = usize::from_str_radix(&read_line(connection).await?, 16).ok()?;
            let start = body.len();
            body.resize(start + len, 0);
            connection.read_exact(&mut body[start..]).await.ok()?;
            read_line(connection).await?;
            if len == 0 {
                break;
            }
        }
    }
    Some(Answer { status, headers, body })
}

/// Reads the head of an answer.
pub async fn read_head(connection: &mut Connection) -> Option<(StatusCode, HeaderMap)> {
    let line = read_line(connection).await?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut headers = HeaderMap::new();
    loop {
        let line = read_line(connection).await?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value.trim()).ok()?);
    }
    Some((status, headers))
}

async fn read_line(connection: &mut Connection) -> Option<String> {
    let mut line = String::new();
    match connection.read_line(&mut line).await {
        Ok(n) if n > 0 => Some(line.trim_end().to_owned()),
        _ => None,
    }
}
