//! What the SDK is made to do, step by step.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart,
    CreateBucketConfiguration, Delete, ObjectIdentifier,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chartrier_conformance::http::{Answer, Endpoint};
use md5::{Digest, Md5};

/// What went wrong, for a person.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// S3's smallest part that is not the last.
const PART_BYTES: usize = 5 << 20;
/// Keys asked for in one page of the listing.
const PAGE_KEYS: i32 = 2;
/// A key that every layer may be tempted to rewrite.
const ODD_KEY: &str = "a/é b+c//%2F~";
/// Answers to presigned requests are this small.
const PRESIGNED_BYTES_MAX: usize = 1 << 20;

/// The SDK's client, a plain one beside it, and the bucket they use.
pub(crate) struct Scenario {
    pub(crate) s3: Client,
    /// For presigned URLs, which anyone's client must be able to use.
    pub(crate) plain_http: Endpoint,
    pub(crate) bucket: String,
}

impl Scenario {
    /// Runs every step; the bucket is gone afterwards if all of them passed.
    pub(crate) async fn run(&self) -> Result<String, Failure> {
        self.step("create bucket", self.create_bucket()).await?;
        self.step("put and get", self.put_and_get()).await?;
        self.step("checksum algorithms", self.checksums()).await?;
        self.step("ranged get", self.ranged_get()).await?;
        self.step("multipart upload", self.multipart()).await?;
        self.step("presigned", self.presigned()).await?;
        self.step("SSE-C", self.sse_c()).await?;
        let keys = self.step("list", self.list()).await?;
        let count = keys.len();
        self.step("delete objects", self.delete(keys)).await?;
        self.step("delete bucket", self.delete_bucket()).await?;
        Ok(format!("{count} objects: checksums, ranges, multipart, presigned, SSE-C, pages, deletes"))
    }

    /// Names the step in its failure.
    async fn step<T>(&self, name: &str, step: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        step.await.map_err(|failure| format!("{name}: {failure}").into())
    }

    async fn create_bucket(&self) -> Result<(), Failure> {
        let region = self.s3.config().region().map_or("us-east-1", |region| region.as_ref());
        let mut request = self.s3.create_bucket().bucket(&self.bucket);
        if region != "us-east-1" {
            let place = BucketLocationConstraint::from(region);
            request = request
                .create_bucket_configuration(CreateBucketConfiguration::builder().location_constraint(place).build());
        }
        request.send().await.map_err(told)?;
        self.s3.head_bucket().bucket(&self.bucket).send().await.map_err(told)?;
        Ok(())
    }

    /// The SDK sends its own checksum in a trailer and checks the server's on the way back.
    async fn put_and_get(&self) -> Result<(), Failure> {
        let body = pattern(100_000);
        let put = self
            .s3
            .put_object()
            .bucket(&self.bucket)
            .key(ODD_KEY)
            .content_type("text/plain")
            .metadata("kind", "charter")
            .body(ByteStream::from(body.clone()))
            .send()
            .await
            .map_err(told)?;
        require(put.checksum_crc32().is_some() || put.checksum_crc64_nvme().is_some(), "the PUT answers no checksum")?;
        let got = self.s3.get_object().bucket(&self.bucket).key(ODD_KEY).send().await.map_err(told)?;
        require(got.e_tag() == put.e_tag(), "GET has another ETag than PUT")?;
        require(got.content_type() == Some("text/plain"), "the content type changed")?;
        require(got.metadata().and_then(|all| all.get("kind")).is_some_and(|kind| kind == "charter"), "no metadata")?;
        require(got.body.collect().await?.to_vec() == body, "GET has other bytes than PUT")?;
        for (key, body) in [("empty", Vec::new()), ("small", b"x".to_vec()), ("chunk", pattern(16_384))] {
            self.put(key, &body).await?;
            require(self.get(key).await? == body, key)?;
        }
        let create = self.s3.put_object().bucket(&self.bucket).key("small").if_none_match("*");
        let refused = create.body(ByteStream::from_static(b"y")).send().await;
        require_refused(refused, 412, "PreconditionFailed")?;
        require_refused(self.s3.get_object().bucket(&self.bucket).key("none").send().await, 404, "NoSuchKey")
    }

    async fn checksums(&self) -> Result<(), Failure> {
        use ChecksumAlgorithm::{Crc32, Crc32C, Crc64Nvme, Sha1, Sha256};
        let body = pattern(70_000);
        for algorithm in [Crc32, Crc32C, Crc64Nvme, Sha1, Sha256] {
            let key = format!("checksum/{}", algorithm.as_str());
            let put = self.s3.put_object().bucket(&self.bucket).key(&key).checksum_algorithm(algorithm);
            put.body(ByteStream::from(body.clone())).send().await.map_err(told)?;
            let get = self.s3.get_object().bucket(&self.bucket).key(&key).checksum_mode(ChecksumMode::Enabled);
            let bytes = get.send().await.map_err(told)?.body.collect().await?.to_vec();
            require(bytes == body, &key)?;
        }
        Ok(())
    }

    async fn ranged_get(&self) -> Result<(), Failure> {
        let body = pattern(100_000);
        for (range, expected) in [
            ("bytes=16380-49155", &body[16_380..49_156]),
            ("bytes=0-0", &body[..1]),
            ("bytes=99999-", &body[99_999..]),
            ("bytes=-17", &body[99_983..]),
        ] {
            let got = self.s3.get_object().bucket(&self.bucket).key(ODD_KEY).range(range).send().await.map_err(told)?;
            require(got.body.collect().await?.to_vec() == expected, range)?;
        }
        let beyond = self.s3.get_object().bucket(&self.bucket).key(ODD_KEY).range("bytes=100000-").send().await;
        require_refused(beyond, 416, "InvalidRange")
    }

    async fn multipart(&self) -> Result<(), Failure> {
        let body = pattern(2 * PART_BYTES + 12_345);
        let created = self.s3.create_multipart_upload().bucket(&self.bucket).key("multi").send().await.map_err(told)?;
        let upload = created.upload_id().ok_or("no upload id")?;
        let mut parts = Vec::new();
        for (number, bytes) in (1..).zip(body.chunks(PART_BYTES)) {
            let part = self.s3.upload_part().bucket(&self.bucket).key("multi").upload_id(upload).part_number(number);
            let done = part.body(ByteStream::from(bytes.to_vec())).send().await.map_err(told)?;
            parts.push(
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(done.e_tag)
                    .set_checksum_crc32(done.checksum_crc32)
                    .set_checksum_crc64_nvme(done.checksum_crc64_nvme)
                    .build(),
            );
        }
        let listed = self.s3.list_parts().bucket(&self.bucket).key("multi").upload_id(upload).send().await;
        require(listed.map_err(told)?.parts().len() == parts.len(), "ListParts has another number of parts")?;
        let all = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self.s3.complete_multipart_upload().bucket(&self.bucket).key("multi").upload_id(upload);
        complete.multipart_upload(all).send().await.map_err(told)?;
        require(self.get("multi").await? == body, "the parts do not come back as one")?;
        let second =
            self.s3.get_object().bucket(&self.bucket).key("multi").part_number(2).send().await.map_err(told)?;
        require(second.body.collect().await?.to_vec() == body[PART_BYTES..2 * PART_BYTES], "part 2 differs")
    }

    /// Signed by the SDK, sent by another client.
    async fn presigned(&self) -> Result<(), Failure> {
        let soon = || PresigningConfig::expires_in(Duration::from_secs(300));
        let body = pattern(20_000);
        let put =
            self.s3.put_object().bucket(&self.bucket).key("presigned é").presigned(soon()?).await.map_err(told)?;
        let answer = self.send(&put, &body).await?;
        require(answer.head.status == 200, &format!("PUT answers {}", answer.head.status))?;
        let get =
            self.s3.get_object().bucket(&self.bucket).key("presigned é").presigned(soon()?).await.map_err(told)?;
        let answer = self.send(&get, b"").await?;
        require(answer.head.status == 200, &format!("GET answers {}", answer.head.status))?;
        require(answer.body == body, "GET has other bytes than PUT")
    }

    async fn sse_c(&self) -> Result<(), Failure> {
        let body = pattern(50_000);
        let (key, other) = (CustomerKey::new(7), CustomerKey::new(8));
        let put = self.s3.put_object().bucket(&self.bucket).key("sealed").body(ByteStream::from(body.clone()));
        let put = put.sse_customer_algorithm("AES256").sse_customer_key(&key.base64).sse_customer_key_md5(&key.md5);
        put.send().await.map_err(told)?;
        let get = || self.s3.get_object().bucket(&self.bucket).key("sealed");
        let with = |key: &CustomerKey| {
            get().sse_customer_algorithm("AES256").sse_customer_key(&key.base64).sse_customer_key_md5(&key.md5)
        };
        let got = with(&key).send().await.map_err(told)?;
        require(got.body.collect().await?.to_vec() == body, "GET has other bytes than PUT")?;
        require_refused(with(&other).send().await, 403, "AccessDenied")?;
        require_refused(get().send().await, 400, "InvalidRequest")
    }

    /// Every key, in order, a few to a page.
    async fn list(&self) -> Result<Vec<String>, Failure> {
        let mut pages = self.s3.list_objects_v2().bucket(&self.bucket).max_keys(PAGE_KEYS).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(told)?;
            require(page.contents().len() <= PAGE_KEYS as usize, "a page is longer than asked for")?;
            keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        }
        require(keys.is_sorted(), "keys are not in order")?;
        for key in [ODD_KEY, "empty", "multi", "presigned é", "sealed", "small"] {
            require(keys.iter().any(|listed| listed == key), &format!("{key:?} is not listed"))?;
        }
        Ok(keys)
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), Failure> {
        let count = keys.len();
        let mut list = Delete::builder();
        for key in keys {
            list = list.objects(ObjectIdentifier::builder().key(key).build()?);
        }
        let done = self.s3.delete_objects().bucket(&self.bucket).delete(list.build()?).send().await.map_err(told)?;
        require(done.errors().is_empty(), &format!("{:?}", done.errors()))?;
        require(done.deleted().len() == count, "the answer does not name every key")
    }

    async fn delete_bucket(&self) -> Result<(), Failure> {
        self.s3.delete_bucket().bucket(&self.bucket).send().await.map_err(told)?;
        require(self.s3.head_bucket().bucket(&self.bucket).send().await.is_err(), "the bucket is still there")
    }

    async fn put(&self, key: &str, body: &[u8]) -> Result<(), Failure> {
        let put = self.s3.put_object().bucket(&self.bucket).key(key);
        put.body(ByteStream::from(body.to_vec())).send().await.map_err(told)?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, Failure> {
        let got = self.s3.get_object().bucket(&self.bucket).key(key).send().await.map_err(told)?;
        Ok(got.body.collect().await?.to_vec())
    }

    async fn send(&self, request: &PresignedRequest, body: &[u8]) -> Result<Answer, Failure> {
        let after_scheme = request.uri().split_once("://").map_or("", |(_, rest)| rest);
        let path = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
        let mut head = format!("{} {path} HTTP/1.1\r\nhost: {}\r\n", request.method(), self.plain_http.authority);
        for (name, value) in request.headers().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            head += &format!("{name}: {value}\r\n");
        }
        if !request.headers().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "\r\n";
        let mut connection = self.plain_http.connect().await?;
        connection.send(&[head.as_bytes(), body].concat()).await?;
        Ok(connection.answer(request.method(), PRESIGNED_BYTES_MAX).await?)
    }
}

/// The two header values of a client's key.
struct CustomerKey {
    base64: String,
    md5: String,
}

impl CustomerKey {
    fn new(byte: u8) -> Self {
        let key = [byte; 32];
        Self { base64: BASE64.encode(key), md5: BASE64.encode(Md5::digest(key)) }
    }
}

/// Bytes in which every place differs from its neighbours, so that nothing can be swapped unseen.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|place| (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

fn require(holds: bool, otherwise: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// The answer must be an error of this status and S3 code.
fn require_refused<T, E>(answer: Result<T, SdkError<E>>, status: u16, code: &str) -> Result<(), Failure>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let Err(error) = answer else {
        return Err(format!("accepted, where {status} {code} is due").into());
    };
    let got = error.raw_response().map(|response| response.status().as_u16());
    require(got == Some(status) && error.code() == Some(code), &format!("{status} {code} is due, not {}", told(error)))
}

/// The SDK's errors show little of themselves unless asked.
fn told<E>(error: SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let code = error.code().unwrap_or("no code").to_owned();
    format!("{status} {code}: {}", aws_sdk_s3::error::DisplayErrorContext(error)).into()
}
