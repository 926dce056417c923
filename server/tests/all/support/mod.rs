//! A server in this process, and a client that signs with `aws-sigv4`.

pub mod authority;
pub mod client;
pub mod issuer;
pub mod receiver;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use chartrier::app::App;
use chartrier::cli::serve::Server;
use chartrier::config::Config;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use client::{Answer, Client, Sign};

/// A server with small segments, stopped and wiped with the test.
pub struct TestServer {
    pub address: SocketAddr,
    pub app: Arc<App>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
    pub data: Arc<TempDir>,
}

/// The configuration of a test: small files, short timeouts.
pub fn config(data: &Path) -> Config {
    let mut config = Config { data: data.to_owned(), ..Config::default() };
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.admin_listen = config.listen;
    config.shutdown_grace_s = 5;
    config.storage.segment_bytes = 8 << 20;
    config.storage.log_segment_bytes = 4 << 20;
    config
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_on(Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    /// Starts on a directory that an earlier server may have used.
    pub async fn start_on(data: Arc<TempDir>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(data.path());
        change(&mut config);
        let server = Server::open(config.complete().unwrap()).await.unwrap();
        let address = server.s3_address().unwrap();
        let app = Arc::clone(server.app());
        let (stop, receiver) = watch::channel(false);
        // A test that ends without a stop drops its end of the directory while the server may still close in it.
        let held = Arc::clone(&data);
        let running = tokio::spawn(async move {
            server.run(receiver).await.unwrap();
            drop(held);
        });
        Self { address, app, stop, running, data }
    }

    /// Stops as SIGTERM would, and waits for the end.
    pub async fn stop(self) -> Arc<TempDir> {
        self.stop.send(true).unwrap();
        self.running.await.unwrap();
        self.data
    }

    /// A client with the root credentials, over plain HTTP.
    pub fn client(&self) -> Client {
        Client::new(self.address, self.root_credentials())
    }

    /// As [`TestServer::client`], over TLS, trusting the server's own CA.
    pub fn tls_client(&self) -> Client {
        self.client().over_tls(&self.data.path().join("tls/ca.pem"))
    }

    /// What `DATA/credentials` says.
    pub fn root_credentials(&self) -> (String, String) {
        let text = std::fs::read_to_string(self.data.path().join("credentials")).unwrap();
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_once(" = ").unwrap().1.to_owned()
        };
        (value("aws_access_key_id"), value("aws_secret_access_key"))
    }
}
