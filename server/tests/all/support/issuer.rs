//! A small issuer of identities: its configuration, its keys, the tokens that it signs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData as _};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::crypto::aws_lc_rs::sign::any_supported_type;

/// A key with its name.
pub struct IssuerKey {
    pub id: String,
    pair: KeyPair,
    algorithm: &'static str,
    scheme: SignatureScheme,
}

impl IssuerKey {
    pub fn rsa(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        Self { id: id.into(), pair, algorithm: "RS256", scheme: SignatureScheme::RSA_PKCS1_SHA256 }
    }

    pub fn ec(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self { id: id.into(), pair, algorithm: "ES256", scheme: SignatureScheme::ECDSA_NISTP256_SHA256 }
    }

    pub fn ed25519(id: &str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        Self { id: id.into(), pair, algorithm: "EdDSA", scheme: SignatureScheme::ED25519 }
    }

    pub fn jwk(&self) -> Value {
        let raw = self.pair.der_bytes();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self.algorithm {
            "RS256" => {
                let (n, e) = two_integers(raw);
                json!({"kty": "RSA", "n": text(n), "e": text(e)})
            }
            "ES256" => json!({"kty": "EC", "crv": "P-256", "x": text(&raw[1..33]), "y": text(&raw[33..65])}),
            _ => json!({"kty": "OKP", "crv": "Ed25519", "x": text(raw)}),
        };
        jwk["kid"] = self.id.as_str().into();
        jwk["use"] = "sig".into();
        jwk["alg"] = self.algorithm.into();
        jwk
    }

    pub fn header(&self) -> Value {
        json!({"typ": "JWT", "alg": self.algorithm, "kid": self.id})
    }

    /// A token under a header that may lie.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pair.serialize_der()));
        let key = any_supported_type(&der).unwrap();
        let signature = key.choose_scheme(&[self.scheme]).unwrap().sign(signed.as_bytes()).unwrap();
        let signature = if self.algorithm == "ES256" { fixed(&signature) } else { signature };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }
}

/// What the issuer serves.
#[derive(Clone)]
pub struct Served {
    pub configuration: Value,
    pub keys: Vec<Value>,
    /// Answered instead of anything else, as it is.
    pub instead: Option<Vec<u8>>,
}

/// An issuer on a port of its own.
pub struct Issuer {
    pub url: String,
    pub served: Arc<Mutex<Served>>,
    /// Requests so far.
    pub asked: Arc<AtomicUsize>,
}

impl Issuer {
    /// Serves in the clear until the test ends.
    pub async fn start(keys: &[&IssuerKey]) -> Self {
        Self::listen(keys, None).await
    }

    /// Serves over TLS until the test ends.
    pub async fn start_over(tls: TlsAcceptor, keys: &[&IssuerKey]) -> Self {
        Self::listen(keys, Some(tls)).await
    }

    async fn listen(keys: &[&IssuerKey], tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/realms/test", listener.local_addr().unwrap());
        let configuration = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        let keys = keys.iter().map(|key| key.jwk()).collect();
        let served = Arc::new(Mutex::new(Served { configuration, keys, instead: None }));
        let asked = Arc::new(AtomicUsize::new(0));
        let (answers, count) = (Arc::clone(&served), Arc::clone(&asked));
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                match &tls {
                    None => serve(tcp, &answers, &count).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(tcp).await {
                            serve(stream, &answers, &count).await;
                        }
                    }
                }
            }
        });
        Self { url, served, asked }
    }

    /// By which policies and providers name it.
    pub fn key(&self) -> String {
        self.url.split_once("://").unwrap().1.to_owned()
    }

    pub fn count(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answers: &Mutex<Served>, count: &AtomicUsize) {
    let mut head = Vec::new();
    let mut byte = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(len) if len > 0 => head.extend_from_slice(&byte[..len]),
            // Who does not like the certificate asks nothing.
            _ => return,
        }
    }
    count.fetch_add(1, Ordering::SeqCst);
    let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or("").to_owned();
    let answer = answer(&answers.lock().unwrap(), &path);
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

fn answer(served: &Served, path: &str) -> Vec<u8> {
    if let Some(instead) = &served.instead {
        return instead.clone();
    }
    let body = match path {
        "/realms/test/.well-known/openid-configuration" => served.configuration.to_string(),
        "/realms/test/keys" => json!({"keys": served.keys}).to_string(),
        _ => return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
    };
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// The two numbers of a DER `SEQUENCE` of two `INTEGER`s, without zeros in front.
fn two_integers(der: &[u8]) -> (&[u8], &[u8]) {
    fn element(der: &[u8]) -> (&[u8], &[u8]) {
        let (len, head) = match der[1] {
            short @ 0..=0x7f => (usize::from(short), 2),
            0x81 => (usize::from(der[2]), 3),
            _ => (usize::from(der[2]) * 256 + usize::from(der[3]), 4),
        };
        (&der[head..head + len], &der[head + len..])
    }
    let (inside, _) = element(der);
    let (first, rest) = element(inside);
    let (second, _) = element(rest);
    (strip(first), strip(second))
}

fn strip(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

/// An ECDSA signature as JWS has it: two numbers of 32 bytes.
fn fixed(der: &[u8]) -> Vec<u8> {
    let (r, s) = two_integers(der);
    let mut out = vec![0; 64];
    out[32 - r.len()..32].copy_from_slice(r);
    out[64 - s.len()..].copy_from_slice(s);
    out
}
