//! The edge's parsers: SigV4 of a request's head, aws-chunked of its body, XML of its documents.
//!
//! What is parsed is signed by the conformance suite's own signer, which shares no code with the edge.

use std::fmt::Write as _;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use chartrier::auth::{AuthRules, RequestHead, SigningKeys, authenticate};
use chartrier::identity::Identities;
use chartrier::identity::access_key::NewAccessKey;
use chartrier::s3::request::{Query, RequestBody};
use chartrier::s3::xml::Element;
use chartrier_conformance::sign::{
    Credentials, Scope, canonical_query, canonical_request, encode_path, sha256_hex, signed_headers,
};
use chartrier_crypto::OperatorKey;
use chartrier_storage::env::{Env, SimEnv};
use chartrier_storage::namespace::rows::UserRow;
use criterion::{BenchmarkId, Criterion, Throughput};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use time::OffsetDateTime;

use crate::noise;

const REGION: &str = "fr";
/// As the SDKs cut their bodies, and as a network gives them.
const CHUNK_BYTES: usize = 64 << 10;
const FRAME_BYTES: usize = 16 << 10;
const BODY_BYTES: usize = 1 << 20;

pub(crate) fn benches(criterion: &mut Criterion) {
    let edge = Edge::new();
    heads(criterion, &edge);
    bodies(criterion, &edge);
    documents(criterion);
}

fn heads(criterion: &mut Criterion, edge: &Edge) {
    let mut group = criterion.benchmark_group("sigv4");
    let put = edge.signed("PUT", "/archives/actes/2026/délibération n°7.pdf", &[], "UNSIGNED-PAYLOAD", &[]);
    group.bench_function("put object", |bench| bench.iter(|| edge.authenticate(black_box(&put))));
    let query = [("list-type", "2"), ("prefix", "actes/2026/é"), ("delimiter", "/"), ("max-keys", "1000")];
    let list = edge.signed("GET", "/archives", &query, &sha256_hex(b""), &[]);
    group.bench_function("list objects", |bench| bench.iter(|| edge.authenticate(black_box(&list))));
    group.finish();
}

fn bodies(criterion: &mut Criterion, edge: &Edge) {
    let plain = noise(BODY_BYTES);
    let mut group = criterion.benchmark_group("aws-chunked");
    group.throughput(Throughput::Bytes(BODY_BYTES as u64));
    let length = [("x-amz-decoded-content-length", BODY_BYTES.to_string())];
    for (name, payload) in
        [("unsigned", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), ("signed", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")]
    {
        let request = edge.signed("PUT", "/archives/object", &[], payload, &length);
        let body = if name == "signed" { edge.signed_chunks(&request, &plain) } else { unsigned_chunks(&plain) };
        let frames: Vec<Bytes> = body.chunks(FRAME_BYTES).map(Bytes::copy_from_slice).collect();
        let authenticated = edge.authenticate(&request);
        group.bench_function(BenchmarkId::new(name, BODY_BYTES), |bench| {
            bench.iter(|| {
                let (decoding, length) = authenticated.decoding(&request.headers, None).unwrap();
                let mut body = RequestBody::from_frames(black_box(frames.iter().cloned()), decoding, length);
                let mut plain_bytes = 0;
                while let Some(fragment) = ready(body.next()).unwrap() {
                    plain_bytes += black_box(fragment).len();
                }
                assert_eq!(plain_bytes, BODY_BYTES);
            });
        });
    }
    group.finish();
}

fn documents(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("xml");
    for count in [100, 10_000] {
        let mut text = String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        for number in 1..=count {
            let _ = write!(
                text,
                "<Part><ETag>&quot;{number:032x}&quot;</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32>\
                 <PartNumber>{number}</PartNumber></Part>"
            );
        }
        text += "</CompleteMultipartUpload>";
        document(&mut group, "complete", count, &text, "CompleteMultipartUpload");
    }
    for count in [10, 1000] {
        let mut text = String::from("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
        for number in 0..count {
            let _ = write!(text, "<Object><Key>actes/2026/{number:08} &amp; pièces.pdf</Key></Object>");
        }
        text += "</Delete>";
        document(&mut group, "delete objects", count, &text, "Delete");
    }
    group.finish();
}

fn document(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    count: usize,
    text: &str,
    root: &str,
) {
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function(BenchmarkId::new(name, count), |bench| {
        bench.iter(|| Element::parse(black_box(text.as_bytes()), root).unwrap());
    });
}

/// A user, the client's and the server's sides of that user's key, and a fixed time.
struct Edge {
    credentials: Credentials,
    identities: Identities,
    operator_key: OperatorKey,
    signing_keys: SigningKeys,
    now: OffsetDateTime,
}

struct Signed {
    method: Method,
    path: String,
    query: Query,
    headers: HeaderMap,
    signature: String,
    scope: Scope,
}

impl Edge {
    fn new() -> Self {
        let env: Env = SimEnv::env(1);
        let operator_key = OperatorKey::from_slice(&[1; 32]).unwrap();
        let key = NewAccessKey::generate(&env);
        let user = UserRow {
            id: "0".repeat(64),
            name: "bench".into(),
            display_name: "bench".into(),
            email: String::new(),
            root: true,
            created_us: 0,
            access_keys: vec![key.seal(&operator_key, &env)],
            account: String::new(),
            document: Vec::new(),
        };
        let identities = Identities::new();
        identities.load(&[user], &operator_key).unwrap();
        Self {
            credentials: Credentials::new(&key.access_key_id, &key.secret, REGION),
            identities,
            operator_key,
            signing_keys: SigningKeys::default(),
            now: OffsetDateTime::from_unix_timestamp(1_767_225_600).unwrap(),
        }
    }

    /// A head with the headers that an SDK sends, signed.
    fn signed(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        payload: &str,
        more: &[(&str, String)],
    ) -> Signed {
        let scope = self.credentials.scope(self.now);
        let path = encode_path(path);
        let pairs: Vec<_> = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let query = canonical_query(&pairs);
        let mut headers: Vec<(String, String)> = [
            ("content-type", "application/octet-stream"),
            ("host", "127.0.0.1:9000"),
            ("user-agent", "aws-sdk-rust/1.3 os/linux lang/rust/1.95"),
            ("x-amz-content-sha256", payload),
            ("x-amz-date", &scope.timestamp),
            ("x-amz-meta-series", "1 W 204"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        headers.sort();
        let signature =
            self.credentials.signature(&scope, &canonical_request(method, &path, &query, &headers, payload));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={signature}",
            self.credentials.access_key_id,
            scope.scope,
            signed_headers(&headers)
        );
        headers.push(("authorization".into(), authorization));
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        Signed {
            method: method.parse().unwrap(),
            path,
            query: Query::parse(&query).unwrap(),
            headers,
            signature,
            scope,
        }
    }

    fn authenticate(&self, request: &Signed) -> chartrier::auth::Authenticated {
        let head = RequestHead {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
            body_digest: None,
        };
        let rules = AuthRules {
            identities: &self.identities,
            operator_key: &self.operator_key,
            signing_keys: &self.signing_keys,
            region: REGION,
            region_aliases: &[],
            services: &["s3"],
            now_seconds: self.now.unix_timestamp(),
        };
        authenticate(head, rules).unwrap_or_else(|error| panic!("{}: {}", error.code.as_str(), error.message))
    }

    /// A body in signed chunks, going on from the signature of the head.
    fn signed_chunks(&self, request: &Signed, plain: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        let mut previous = request.signature.clone();
        for piece in plain.chunks(CHUNK_BYTES).chain([&b""[..]]) {
            let text = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{}\n{}",
                request.scope.timestamp,
                request.scope.scope,
                sha256_hex(b""),
                sha256_hex(piece)
            );
            previous = self.credentials.sign_text(&request.scope, &text);
            body.extend_from_slice(format!("{:x};chunk-signature={previous}\r\n", piece.len()).as_bytes());
            body.extend_from_slice(piece);
            body.extend_from_slice(b"\r\n");
        }
        body
    }
}

fn unsigned_chunks(plain: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for piece in plain.chunks(CHUNK_BYTES) {
        body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        body.extend_from_slice(piece);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

/// The result of a future that never waits: its bytes are all in memory.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a body in memory has nothing to wait for"),
    }
}
