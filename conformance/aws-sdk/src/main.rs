//! Drives the AWS SDK for Rust, with its default settings over TLS, against an S3 server.
//!
//! Makes a bucket, puts and gets what SDK users put and get, removes everything again. One line and
//! the exit code say whether all of it behaved. It is a crate of its own because the SDK is large:
//! nothing else should wait for it.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the verdict is this program's output")]

mod scenario;

use std::path::PathBuf;
use std::process::ExitCode;

use aws_credential_types::Credentials;
use aws_sdk_s3::config::{Config, Region};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use chartrier_conformance::http::Endpoint;
use clap::Parser;

use crate::scenario::{Failure, Scenario};

/// Drives the AWS SDK for Rust against an S3 server.
#[derive(Parser)]
struct Options {
    /// https://host:port of the server
    #[arg(long)]
    endpoint: String,
    #[arg(long)]
    access_key: String,
    #[arg(long)]
    secret_key: String,
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// PEM file of the CA to trust
    #[arg(long)]
    ca: PathBuf,
    /// Bucket to create, use and delete
    #[arg(long, default_value = "aws-sdk-rust")]
    bucket: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(said) => {
            println!("aws-sdk-rust: {said}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("aws-sdk-rust: FAILED: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<String, Failure> {
    let ca = std::fs::read(&options.ca).map_err(|error| format!("{}: {error}", options.ca.display()))?;
    let trusted =
        TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(ca.clone())).build()?;
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(trusted).build_https();
    let config = Config::builder()
        .behavior_version_latest()
        .endpoint_url(&options.endpoint)
        .region(Region::new(options.region))
        .credentials_provider(Credentials::from_keys(options.access_key, options.secret_key, None))
        .http_client(http)
        .build();
    let scenario = Scenario {
        s3: aws_sdk_s3::Client::from_conf(config),
        plain_http: Endpoint::parse(&options.endpoint, Some(&ca))?,
        bucket: options.bucket,
    };
    scenario.run().await
}
